//! Payment reports: their rows in chunks, the fate of each permanently in memory, and those that
//! wait for their order.
//!
//! [`crate::apply`] decides what a report does to its order.

use std::borrow::Cow;
use std::collections::BTreeMap;

use smallvec::SmallVec;

use crate::chunks::{Chunks, FrozenChunks};
use crate::digest::{RowHasher, Table};
use crate::ids::{OrderId, Timestamp, WebhookId};
use crate::orders::Lookup;
use crate::record::Record;
use crate::schedule::Schedule;
use crate::webhook::{Fate, Webhook};

/// The most reports that wait for one order.
pub(crate) const PARKED_PER_ORDER_MAX: usize = 16;

impl Record for Webhook {
    const TABLE: Table = Table::Webhook;
    // Each may have 4 KiB of payload, and a stored row should stay well below 128 KiB.
    const CHUNK: u64 = 16;
    const RESIDENT_MAX: usize = 128;

    fn id(&self) -> u64 {
        self.id.0
    }

    fn is_open(&self) -> bool {
        self.fate == Fate::Parked
    }
}

/// All reports.
#[derive(Debug, Default)]
pub(crate) struct Webhooks {
    chunks: Chunks<Webhook>,
    fates: Vec<Fate>,
    /// Parked reports by their order, in order of arrival.
    parked: BTreeMap<OrderId, SmallVec<[WebhookId; 1]>>,
    /// Parked reports by the moment at which they become unmatched.
    deadlines: Schedule<WebhookId>,
}

impl Webhooks {
    /// How many reports there have ever been.
    pub(crate) fn len(&self) -> u64 {
        self.chunks.len()
    }

    /// How many are parked.
    pub(crate) fn parked(&self) -> u64 {
        self.deadlines.len() as u64
    }

    /// How many are parked for this order.
    pub(crate) fn parked_for(&self, order: OrderId) -> usize {
        self.parked.get(&order).map_or(0, SmallVec::len)
    }

    /// What became of the report.
    pub(crate) fn fate(&self, id: WebhookId) -> Option<Fate> {
        self.fates.get(usize::try_from(id.0.checked_sub(1)?).ok()?).copied()
    }

    /// The report's row, or where it is.
    pub(crate) fn lookup(&self, id: WebhookId) -> Lookup<'_, Webhook> {
        match self.chunks.get(id.0) {
            Some(webhook) => Lookup::Resident(webhook),
            None if self.fate(id).is_some() => Lookup::Stored,
            None => Lookup::Absent,
        }
    }

    /// The report's row, if it is in memory and not packed. Parked ones always are.
    pub(crate) fn resident(&self, id: WebhookId) -> Option<&Webhook> {
        self.chunks.plain(id.0)
    }

    /// All rows in memory, by ascending id.
    pub(crate) fn residents(&self) -> impl Iterator<Item = Cow<'_, Webhook>> {
        self.chunks.residents()
    }

    /// When the next parked report becomes unmatched.
    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.next()
    }

    /// The parked reports whose time is over at `now`, earliest first.
    pub(crate) fn due(&self, now: Timestamp) -> impl Iterator<Item = WebhookId> {
        self.deadlines.due(now)
    }

    /// Adds a report under the next id.
    pub(crate) fn push(&mut self, webhook: Webhook) {
        self.note(&webhook);
        self.chunks.push(webhook);
    }

    pub(crate) fn note(&mut self, webhook: &Webhook) {
        self.fates.push(webhook.fate);
        if webhook.fate == Fate::Parked {
            self.deadlines.insert(webhook.parked_until, webhook.id);
            self.parked.entry(webhook.order).or_default().push(webhook.id);
        }
    }

    /// The reports that are parked for an order, in order of arrival.
    pub(crate) fn waiting(&self, order: OrderId) -> SmallVec<[WebhookId; 1]> {
        self.parked.get(&order).cloned().unwrap_or_default()
    }

    /// Sets the fate of a parked report.
    pub(crate) fn settle(&mut self, id: WebhookId, fate: Fate, at: Timestamp) {
        assert!(fate != Fate::Parked, "a report is parked once");
        let kept = &mut self.fates[id.0 as usize - 1];
        assert!(*kept == Fate::Parked, "report {id} was settled before");
        *kept = fate;
        self.chunks.close(id.0);
        let webhook = self.chunks.change(id.0);
        (webhook.fate, webhook.processed_at) = (fate, at);
        self.deadlines.remove(webhook.parked_until, id);
        let waiting = self.parked.get_mut(&webhook.order).expect("a parked report is listed");
        waiting.retain(|parked| *parked != id);
        if waiting.is_empty() {
            self.parked.remove(&webhook.order);
        }
    }

    /// Hashes the changed rows and returns the sum over all rows.
    pub(crate) fn digest(&mut self, hasher: &mut RowHasher) -> u64 {
        self.chunks.digest(hasher)
    }

    /// Reports changed since they were last hashed.
    pub(crate) fn touched(&self) -> usize {
        self.chunks.touched()
    }

    /// See [`Chunks::evict_some`].
    pub(crate) fn evict(&mut self) -> bool {
        self.chunks.evict_some()
    }

    /// See [`Chunks::hash_touched`].
    pub(crate) fn hash_touched(&mut self, rows: usize, hasher: &mut RowHasher) -> usize {
        self.chunks.hash_touched(rows, hasher)
    }

    /// See [`Chunks::take_dirty`].
    pub(crate) fn take_dirty(&mut self, checkpoint: u64) -> FrozenChunks<Webhook> {
        self.chunks.take_dirty(checkpoint)
    }

    /// Records that a synced checkpoint has what the last freeze took.
    pub(crate) fn release(&mut self) {
        self.chunks.release();
    }

    /// Sets how many chunks may stay in memory, beyond those that must.
    pub(crate) fn set_resident_chunks_max(&mut self, chunks: usize) {
        self.chunks.set_resident_chunks_max(chunks);
    }

    /// Restores a stored chunk; see [`Chunks::restore`].
    pub(crate) fn restore(&mut self, webhooks: Vec<Webhook>, hashes: Vec<u64>, open: Option<u64>) {
        self.chunks.restore(webhooks, hashes, open);
    }

    /// Whether rows, fates and parked reports agree.
    pub(crate) fn is_sound(&self) -> bool {
        let mut parked = 0;
        let listed = self.chunks.open_rows().all(|webhook| {
            parked += 1;
            let waiting = self.parked.get(&webhook.order);
            self.deadlines.contains(webhook.parked_until, webhook.id)
                && waiting.is_some_and(|waiting| waiting.contains(&webhook.id))
        });
        let fates =
            self.chunks.residents().all(|webhook| self.fate(webhook.id) == Some(webhook.fate));
        listed
            && fates
            && parked == self.deadlines.len()
            && parked == self.parked.values().map(SmallVec::len).sum::<usize>()
            && parked == self.fates.iter().filter(|fate| **fate == Fate::Parked).count()
            && self.fates.len() as u64 == self.chunks.len()
            && self.chunks.is_sound()
    }
}
