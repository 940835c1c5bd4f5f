//! The whole replicated state, in memory, and its readers.
//!
//! Only [`State::apply`] in [`crate::apply`] changes it. [`crate::checkpoint`] writes it to disk
//! and reads it back.

use std::sync::Arc;

use crate::adjustment::Adjustment;
use crate::audit::{self, Audit};
use crate::checkpoint::dead::DeadRows;
use crate::chunks::Chunks;
use crate::codec;
use crate::digest::{RowHasher, Table};
use crate::event::{Event, EventId, EventPage};
use crate::events::{Events, RESIDENT_CHUNKS_MAX};
use crate::fence::Fence;
use crate::hold::Hold;
use crate::holds::Holds;
use crate::ids::{
    AdjustmentId, HoldId, OrderId, Position, ProductId, RefundId, RequestId, Timestamp, UserId,
    WebhookId,
};
use crate::keyed::KeyedResults;
use crate::keys::{KeyHash, Keys, Scope, ShortMeanings};
use crate::ledger;
use crate::level::Level;
use crate::lineage::Lineage;
use crate::money::Money;
use crate::order::{PaymentMethod, Status};
use crate::orders::Orders;
use crate::outcome::Outcome;
use crate::payment_keys::{KeyScheme, LineageId, PaymentKeys};
use crate::product::Product;
use crate::products::{LedgerHome, Products};
use crate::record::Record;
use crate::refund::Refund;
use crate::refunds::Refunds;
use crate::rolling::Rolling;
use crate::schedule::Schedule;
use crate::sessions::Sessions;
use crate::taken::Taken;
use crate::tasks::Tasks;
use crate::tokens::Tokens;
use crate::trace::TraceId;
use crate::user::User;
use crate::users::Users;
use crate::webhook::Webhook;
use crate::webhooks::Webhooks;

pub use crate::orders::{Lookup, OrderLookup};
pub use crate::totals::Totals;

/// Learns what each command did, right after it.
pub trait Observer {
    /// A command was applied. The state has its effects and those of all before it.
    fn applied(&mut self, state: &State, position: Position, request: RequestId, outcome: Outcome);

    /// Something happened. Events of a command come before its [`Observer::applied`]. Events of
    /// deadlines that passed come before the first command of the entry.
    fn event(&mut self, event: &Event);

    /// The bytes at this position encode no command, or the whole entry that begins there is none.
    /// They have no effect on any node.
    fn undecodable(&mut self, position: Position, error: &codec::Error) {
        let _ = (position, error);
    }
}

/// A payment task that may be claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DuePayment {
    /// From when it may be claimed. Tasks are sorted by it, then by the order's id.
    pub due: Timestamp,
    /// The order to be paid.
    pub order: OrderId,
    /// The attempt to claim.
    pub attempt: u32,
}

/// The number of rows of each kind.
pub(crate) type Counts = (u64, u64, u64, u64, u64, u64, u64, u64);

/// The digest's share of what is not in rows.
pub(crate) fn hash_counts(
    hasher: &mut RowHasher,
    clock: Timestamp,
    counts: Counts,
    totals: &Totals,
    sessions: &Sessions,
) -> u64 {
    hasher.hash(Table::Meta, 0, &(clock, counts, totals, sessions))
}

/// The digest's share of the lineage: 0 for a newly founded cluster.
pub(crate) fn hash_lineage(hasher: &mut RowHasher, lineage: &Lineage) -> u64 {
    if lineage.is_plain() { 0 } else { hasher.hash(Table::Lineage, 0, lineage) }
}

/// The digest's share of the level: 0 at level 0.
pub(crate) fn hash_level(hasher: &mut RowHasher, level: &Level) -> u64 {
    if level.is_plain() { 0 } else { hasher.hash(Table::Level, 0, level) }
}

/// The digest's share of the scheme of payment keys: 0 for the default.
pub(crate) fn hash_key_scheme(hasher: &mut RowHasher, scheme: &KeyScheme) -> u64 {
    if scheme.is_plain() { 0 } else { hasher.hash(Table::KeyScheme, 0, scheme) }
}

/// The digest's share of which rows have short meanings: 0 for none.
pub(crate) fn hash_short_meanings(hasher: &mut RowHasher, short: ShortMeanings) -> u64 {
    if short.is_plain() { 0 } else { hasher.hash(Table::ShortMeanings, 0, &short) }
}

/// An observer that does nothing: for replay, when nobody waits for an answer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn applied(&mut self, _: &State, _: Position, _: RequestId, _: Outcome) {}

    fn event(&mut self, _: &Event) {}
}

/// The whole replicated state.
#[derive(Debug, Default)]
pub struct State {
    pub(crate) applied_index: u64,
    pub(crate) applied_term: u64,
    pub(crate) position: Position,
    pub(crate) clock: Timestamp,
    pub(crate) sessions: Sessions,
    pub(crate) totals: Totals,
    pub(crate) lineage: Lineage,
    pub(crate) level: Level,
    pub(crate) key_scheme: KeyScheme,
    pub(crate) orders: Orders,
    pub(crate) holds: Holds,
    pub(crate) webhooks: Webhooks,
    pub(crate) refunds: Refunds,
    pub(crate) products: Products,
    pub(crate) adjustments: Chunks<Adjustment>,
    pub(crate) users: Users,
    pub(crate) tokens: Tokens,
    pub(crate) audit: Audit,
    /// While a command is executed: the user whose rows its sender is limited to.
    pub(crate) bound: Option<UserId>,
    pub(crate) keys: Keys,
    pub(crate) keyed: KeyedResults,
    pub(crate) fences: Chunks<Fence>,
    pub(crate) events: Events,
    /// Rows to remove from the store of this state's checkpoints.
    pub(crate) dead: DeadRows,
    /// Units that users have of products with a limit per user.
    pub(crate) taken: Taken,
    /// Units that users have in active holds.
    pub(crate) held: Taken,
    /// Units that users took within the windows of limits that roll.
    pub(crate) rolling: Rolling,
    /// Payment tasks by the moment from which they may be claimed.
    pub(crate) tasks: Tasks,
    /// Orders that wait for a webhook, by their deadline.
    pub(crate) deadlines: Schedule<OrderId>,
    pub(crate) hasher: RowHasher,
    /// The number of the last freeze and its checkpoint.
    pub(crate) generation: u64,
}

impl State {
    /// An empty state: nothing applied yet.
    pub fn new() -> State {
        State::default()
    }

    /// The raft index of the last applied entry, 0 before the first.
    pub fn applied_index(&self) -> u64 {
        self.applied_index
    }

    /// The raft term of the last applied entry.
    pub fn applied_term(&self) -> u64 {
        self.applied_term
    }

    /// The position of the last applied command, or of the last entry when it had none.
    pub fn position(&self) -> Position {
        self.position
    }

    /// The replicated clock.
    pub fn clock(&self) -> Timestamp {
        self.clock
    }

    /// The level whose rules the cluster uses, up to [`crate::level::NEWEST`].
    pub fn level(&self) -> u32 {
        self.level.number
    }

    /// Hashes at least `rows` changed rows, if there are that many, so that [`State::digest`] and a
    /// freeze have fewer to hash at once. Returns how many it hashed.
    pub fn hash_touched(&mut self, rows: usize) -> usize {
        let mut hashed = self.orders.hash_touched(rows, &mut self.hasher);
        hashed += self.holds.hash_touched(rows.saturating_sub(hashed), &mut self.hasher);
        hashed += self.webhooks.hash_touched(rows.saturating_sub(hashed), &mut self.hasher);
        hashed + self.refunds.hash_touched(rows.saturating_sub(hashed), &mut self.hasher)
    }

    /// A number that is equal on all nodes that applied the same entries. Hashes the rows that
    /// changed since the last call, and clock, totals and sessions.
    pub fn digest(&mut self) -> u64 {
        let (counts, short) = (self.counts(), self.short_meanings());
        let digest =
            hash_counts(&mut self.hasher, self.clock, counts, &self.totals, &self.sessions)
                .wrapping_add(self.orders.digest(&mut self.hasher))
                .wrapping_add(self.holds.digest(&mut self.hasher))
                .wrapping_add(self.webhooks.digest(&mut self.hasher))
                .wrapping_add(self.refunds.digest(&mut self.hasher))
                .wrapping_add(self.products.digest(&mut self.hasher))
                .wrapping_add(self.adjustments.digest(&mut self.hasher))
                .wrapping_add(self.fences.digest(&mut self.hasher))
                .wrapping_add(self.users.digest())
                .wrapping_add(self.tokens.digest(&mut self.hasher))
                .wrapping_add(self.audit.digest())
                .wrapping_add(self.keyed.digest())
                .wrapping_add(hash_lineage(&mut self.hasher, &self.lineage))
                .wrapping_add(hash_level(&mut self.hasher, &self.level))
                .wrapping_add(hash_key_scheme(&mut self.hasher, &self.key_scheme))
                .wrapping_add(hash_short_meanings(&mut self.hasher, short));
        #[cfg(feature = "planted-bugs")]
        if crate::planted::is_planted(crate::planted::Bug::DigestOfMemory) {
            return digest.wrapping_add(self.orders.resident_chunks() as u64);
        }
        digest
    }

    /// Which rows have short meanings.
    pub(crate) fn short_meanings(&self) -> ShortMeanings {
        self.keys.rule().short_meanings()
    }

    /// The number of rows of each kind, in the order of the digest.
    fn counts(&self) -> Counts {
        (
            self.orders.len(),
            self.holds.len(),
            self.webhooks.len(),
            self.products.len() as u64,
            self.adjustments.len(),
            self.fences.len(),
            self.events.extent().told,
            self.users.len() as u64,
        )
    }

    /// The order's row, or where to find it.
    pub fn order(&self, id: OrderId) -> OrderLookup<'_> {
        self.orders.lookup(id)
    }

    /// The order's status; always in memory.
    pub fn order_status(&self, id: OrderId) -> Option<Status> {
        self.orders.status(id)
    }

    /// The hold's row, or where to find it: [`crate::checkpoint::read_hold`] reads a stored one.
    /// Whether it has expired depends on the replicated clock: see [`Hold::status_at`].
    pub fn hold(&self, id: HoldId) -> Lookup<'_, Hold> {
        self.holds.lookup(id)
    }

    /// The hold that this key made.
    pub fn hold_by_key(&self, key: &str) -> Option<HoldId> {
        self.keys.get(KeyHash::of(Scope::Hold, key)).map(|used| HoldId(used.id))
    }

    /// The active holds with ids above `after`, ascending, including those past their deadline that
    /// were not swept yet.
    pub fn active_holds_after(&self, after: HoldId) -> impl Iterator<Item = &Hold> {
        self.holds.active_after(after)
    }

    /// How many holds are active.
    pub fn active_holds(&self) -> u64 {
        self.holds.active()
    }

    /// The audit's rows of a kind above an id, oldest first.
    pub fn audit(
        &self,
        kind: audit::Kind,
        after: u64,
    ) -> impl DoubleEndedIterator<Item = &audit::Row> {
        self.audit.after(kind, after)
    }

    /// The row of a payment report, or where to find it: [`crate::checkpoint::read_webhook`] reads
    /// a stored one.
    pub fn webhook(&self, id: WebhookId) -> Lookup<'_, Webhook> {
        self.webhooks.lookup(id)
    }

    /// The newest payment report under this key.
    pub fn webhook_by_key(&self, key: &str) -> Option<WebhookId> {
        self.keys.get(KeyHash::of(Scope::Webhook, key)).map(|used| WebhookId(used.id))
    }

    /// A refund's row, or where to find it: [`crate::checkpoint::read_refund`] reads a stored one.
    pub fn refund(&self, id: RefundId) -> Lookup<'_, Refund> {
        self.refunds.lookup(id)
    }

    /// The refund that this key made.
    pub fn refund_by_key(&self, key: &str) -> Option<RefundId> {
        self.keys.get(KeyHash::of(Scope::Refund, key)).map(|used| RefundId(used.id))
    }

    /// The refunds of an order, ascending, and the sum of those that have not failed.
    pub fn refunds_of(&self, order: OrderId) -> (Vec<RefundId>, Money) {
        match self.refunds.of(order) {
            Some(refunded) => (refunded.ids.clone(), refunded.amount),
            None => (Vec::new(), Money(0)),
        }
    }

    /// How many refunds wait for the gateway.
    pub fn open_refunds(&self) -> u64 {
        self.refunds.open()
    }

    /// Refunds that may be claimed at `now`, earliest first, at most `limit`; those of a payment
    /// method. Empty while payments are paused.
    pub fn due_refunds(
        &self,
        method: PaymentMethod,
        now: Timestamp,
        limit: usize,
    ) -> Vec<RefundId> {
        if self.lineage.payments_paused {
            return Vec::new();
        }
        let is_of = |id: &RefundId| {
            let refund = self.refunds.waiting(*id);
            refund.is_some_and(|refund| refund.facts.payment_method == method)
        };
        self.refunds.due(now).filter(is_of).take(limit).collect()
    }

    /// How many payment reports wait for their orders.
    pub fn parked_webhooks(&self) -> u64 {
        self.webhooks.parked()
    }

    /// The product, unless it does not exist or is archived.
    pub fn product(&self, id: ProductId) -> Option<&Product> {
        self.products.active(id)
    }

    /// The product with this SKU, unless it does not exist or is archived.
    pub fn product_by_sku(&self, sku: &str) -> Option<&Product> {
        self.products.by_sku(sku).and_then(|id| self.products.active(id))
    }

    /// The products with ids above `after`, ascending, without archived ones.
    pub fn products(&self, after: ProductId) -> impl Iterator<Item = &Product> {
        let start = usize::try_from(after.0).unwrap_or(usize::MAX).min(self.products.len());
        self.products.entries()[start..]
            .iter()
            .map(|entry| &entry.product)
            .filter(|product| !product.archived)
    }

    /// The product's ledger rows in memory with their numbers, oldest first: all after the last
    /// full segment of 32, and those that no synced checkpoint has.
    /// [`crate::checkpoint::read_ledger`] reads earlier ones. Archived products keep theirs.
    pub fn ledger(&self, id: ProductId) -> impl Iterator<Item = (u64, ledger::Row)> {
        self.products.entry(id).into_iter().flat_map(|entry| {
            let resident = entry.resident_count();
            (entry.product.ledger_rows - resident..).zip(entry.resident_rows())
        })
    }

    /// Where [`crate::checkpoint::read_ledger`] finds each full segment of a product's ledger that
    /// the store has: 32 rows each, the oldest first.
    pub fn ledger_homes(&self, id: ProductId) -> Arc<Vec<LedgerHome>> {
        self.products.entry(id).map(|entry| Arc::clone(&entry.homes)).unwrap_or_default()
    }

    /// How many rows the ledger of a product has, archived or not; `None` when there is no such
    /// product.
    pub fn ledger_rows(&self, id: ProductId) -> Option<u64> {
        self.products.entry(id).map(|entry| entry.product.ledger_rows)
    }

    /// An adjustment of stock, which ledger rows name. [`crate::checkpoint::read_adjustment`] reads
    /// a stored one.
    pub fn adjustment(&self, id: AdjustmentId) -> Lookup<'_, Adjustment> {
        match self.adjustments.get(id.0) {
            Some(adjustment) => Lookup::Resident(adjustment),
            None if (1..=self.adjustments.len()).contains(&id.0) => Lookup::Stored,
            None => Lookup::Absent,
        }
    }

    /// The adjustment that this key made.
    pub fn adjustment_by_key(&self, key: &str) -> Option<AdjustmentId> {
        let used = self.keys.get(KeyHash::of(Scope::Adjustment, key))?;
        Some(AdjustmentId(used.id))
    }

    /// The user's row.
    pub fn user(&self, id: UserId) -> Option<&User> {
        self.users.get(id)
    }

    /// The order that this key made; [`State::key_state`] also knows fences.
    pub fn order_by_key(&self, key: &str) -> Option<OrderId> {
        self.keys.get(KeyHash::of(Scope::Order, key))?.order()
    }

    /// The order that has this reference.
    pub fn order_by_reference(&self, reference: &str) -> Option<OrderId> {
        self.keys.get(KeyHash::of(Scope::Reference, reference))?.order()
    }

    /// What makes the keys of payment attempts, as of now. An order that exists keeps its keys.
    pub fn payment_keys(&self) -> PaymentKeys {
        let lineage = (self.level() > 0).then(|| LineageId::of(&self.level.secret));
        PaymentKeys { lineage, named: self.key_scheme.named }
    }

    /// How many clusters had begun from others when the order was placed.
    pub fn payment_epoch(&self, order: OrderId) -> u32 {
        self.lineage.epoch(order)
    }

    /// Payment tasks of a method that may be claimed at `now`, earliest first, at most `limit`;
    /// only those after `after`, if it is given. Empty while payments are paused.
    pub fn due_payments(
        &self,
        method: PaymentMethod,
        now: Timestamp,
        after: Option<(Timestamp, OrderId)>,
        limit: usize,
    ) -> Vec<DuePayment> {
        if self.lineage.payments_paused {
            return Vec::new();
        }
        let attempt = |id| self.task(id).expect("a scheduled order has its task").attempt;
        self.tasks
            .of(method)
            .due_after(now, after)
            .take(limit)
            .map(|(due, order)| DuePayment { due, order, attempt: attempt(order) })
            .collect()
    }

    /// When the next payment task may be claimed.
    pub fn next_payment_due(&self) -> Option<Timestamp> {
        self.tasks.next()
    }

    /// When the next deadline passes: an order's, a hold's or that of a parked report. An idle
    /// leader proposes a tick then.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let deadlines =
            [self.deadlines.next(), self.holds.next_deadline(), self.webhooks.next_deadline()];
        deadlines.into_iter().flatten().min()
    }

    /// The events after `id`, at most `limit`, oldest first. `id` need not exist: it may be that of
    /// an event on a node that is ahead of this one.
    pub fn events_after(&self, id: EventId, limit: usize) -> EventPage {
        self.events.after(id, limit)
    }

    /// The newest event, from which a new subscriber starts.
    pub fn last_event(&self) -> EventId {
        self.events.last()
    }

    /// Sets how many events are retained, and for how long by the replicated clock, in
    /// milliseconds. Whole chunks of 256 are dropped, and the newest chunk stays. It decides no
    /// outcome, so nodes may differ in it.
    pub fn set_event_retention(&mut self, events_max: u64, age_ms_max: u64) {
        self.events.set_retention(events_max, age_ms_max);
    }

    /// Business counters since the cluster was founded.
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// How many orders are not final.
    pub fn open_orders(&self) -> u64 {
        self.orders.open()
    }

    /// How many payment tasks there are, claimed ones included.
    pub fn payment_tasks(&self) -> u64 {
        self.tasks.len() as u64
    }

    /// How many chunks of 64 orders are in memory.
    pub fn resident_chunks(&self) -> usize {
        self.orders.resident_chunks()
    }

    /// Sets how many chunks of 64 orders may stay in memory, and at most as many of every other
    /// kind of row. Chunks with open rows, and those that no synced checkpoint has, stay
    /// regardless. It decides no outcome, so nodes may differ in it.
    pub fn set_resident_chunks_max(&mut self, chunks: usize) {
        self.orders.set_resident_chunks_max(chunks);
        self.holds.set_resident_chunks_max(chunks.min(Hold::RESIDENT_MAX));
        self.webhooks.set_resident_chunks_max(chunks.min(Webhook::RESIDENT_MAX));
        self.refunds.set_resident_chunks_max(chunks.min(Refund::RESIDENT_MAX));
        self.adjustments.set_resident_chunks_max(chunks.min(Adjustment::RESIDENT_MAX));
        self.fences.set_resident_chunks_max(chunks.min(Fence::RESIDENT_MAX));
        self.events.set_resident_chunks_max(chunks.min(RESIDENT_CHUNKS_MAX));
    }
}

/// The trace id of work that no request asked for.
pub(crate) static NO_TRACE: TraceId = TraceId::NONE;
