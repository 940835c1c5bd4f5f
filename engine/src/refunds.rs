//! The refunds: their rows in chunks, and for each order that has some, what was given back.
//!
//! This module moves no units and no money: [`crate::apply`] does.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::chunks::{Chunks, FrozenChunks};
use crate::digest::RowHasher;
use crate::ids::{OrderId, ProductId, RefundId, Timestamp};
use crate::money::Money;
use crate::orders::Lookup;
use crate::refund::{Facts, Refund, Status};
use crate::schedule::Schedule;

/// What was given back of one order. Always in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refunded {
    /// The facts that its refunds agree on.
    pub(crate) facts: Facts,
    /// The money of refunds that have not failed.
    pub(crate) amount: Money,
    /// Units of each line that are refunded or came back, also by refunds that failed.
    pub(crate) units: Vec<u64>,
    /// Units of each product that came back into stock.
    pub(crate) restocked: BTreeMap<ProductId, u64>,
    /// The refunds, ascending.
    pub(crate) ids: Vec<RefundId>,
}

/// All refunds.
#[derive(Debug, Default)]
pub(crate) struct Refunds {
    chunks: Chunks<Refund>,
    by_order: BTreeMap<OrderId, Refunded>,
    /// Calls to the gateway by the moment from which they may be claimed.
    tasks: Schedule<RefundId>,
}

impl Refunds {
    /// How many refunds there have ever been.
    pub(crate) fn len(&self) -> u64 {
        self.chunks.len()
    }

    /// How many wait for the gateway.
    pub(crate) fn open(&self) -> u64 {
        self.tasks.len() as u64
    }

    /// What was given back of an order.
    pub(crate) fn of(&self, order: OrderId) -> Option<&Refunded> {
        self.by_order.get(&order)
    }

    /// The refund's row, or where it is.
    pub(crate) fn lookup(&self, id: RefundId) -> Lookup<'_, Refund> {
        match self.chunks.get(id.0) {
            Some(refund) => Lookup::Resident(refund),
            None if (1..=self.len()).contains(&id.0) => Lookup::Stored,
            None => Lookup::Absent,
        }
    }

    /// The refund's row, if it is open.
    pub(crate) fn waiting(&self, id: RefundId) -> Option<&Refund> {
        self.chunks.plain(id.0).filter(|refund| refund.status == Status::Requested)
    }

    /// All rows in memory.
    pub(crate) fn residents(&self) -> impl Iterator<Item = Cow<'_, Refund>> {
        self.chunks.residents()
    }

    /// All that wait for the gateway, by ascending id.
    pub(crate) fn waiting_rows(&self) -> impl Iterator<Item = &Refund> {
        self.chunks.open_rows()
    }

    /// Those that may be claimed at `now`, earliest first.
    pub(crate) fn due(&self, now: Timestamp) -> impl Iterator<Item = RefundId> {
        self.tasks.due(now)
    }

    /// Whether exactly this task exists.
    pub(crate) fn is_scheduled(&self, due: Timestamp, id: RefundId) -> bool {
        self.tasks.contains(due, id)
    }

    /// Adds a refund under the next id.
    pub(crate) fn push(&mut self, refund: Refund) {
        self.note(&refund);
        self.chunks.push(refund);
    }

    /// Moves the task of an open refund.
    pub(crate) fn reschedule(&mut self, id: RefundId, due: Timestamp) -> &mut Refund {
        let refund = self.chunks.change(id.0);
        let task = refund.task.as_mut().expect("an open refund has its task");
        self.tasks.remove(task.due, id);
        self.tasks.insert(due, id);
        task.due = due;
        refund
    }

    /// Ends an open refund and returns its row for the rest of the change.
    pub(crate) fn end(&mut self, id: RefundId, status: Status) -> &mut Refund {
        assert!(status != Status::Requested, "a refund ends in a final status");
        self.chunks.close(id.0);
        let refund = self.chunks.change(id.0);
        let task = refund.task.take().expect("an open refund has its task");
        self.tasks.remove(task.due, id);
        refund.status = status;
        if status == Status::Failed {
            let refunded = self.by_order.get_mut(&refund.order).expect("it was noted");
            refunded.amount = Money(refunded.amount.0 - refund.amount.0);
        }
        refund
    }

    /// Records what a row gives back.
    fn note(&mut self, refund: &Refund) {
        if let Some(task) = &refund.task {
            self.tasks.insert(task.due, refund.id);
        }
        let refunded = self.by_order.entry(refund.order).or_insert_with(|| Refunded {
            facts: refund.facts.clone(),
            amount: Money(0),
            units: vec![0; refund.facts.items.len()],
            restocked: BTreeMap::new(),
            ids: Vec::new(),
        });
        refunded.ids.push(refund.id);
        if refund.status != Status::Failed {
            refunded.amount = Money(refunded.amount.0 + refund.amount.0);
        }
        for line in &refund.lines {
            refunded.units[line.line as usize - 1] += u64::from(line.quantity.0);
        }
        for (product, units) in refund.restocked() {
            *refunded.restocked.entry(product).or_default() += units;
        }
    }

    /// Restores a stored chunk.
    pub(crate) fn restore(&mut self, rows: Vec<Refund>, hashes: Vec<u64>, open: Option<u64>) {
        rows.iter().for_each(|refund| self.note(refund));
        self.chunks.restore(rows, hashes, open);
    }

    /// Hashes the changed rows and returns the sum over all rows.
    pub(crate) fn digest(&mut self, hasher: &mut RowHasher) -> u64 {
        self.chunks.digest(hasher)
    }

    /// Refunds changed since they were last hashed.
    pub(crate) fn touched(&self) -> usize {
        self.chunks.touched()
    }

    /// See [`Chunks::hash_touched`].
    pub(crate) fn hash_touched(&mut self, rows: usize, hasher: &mut RowHasher) -> usize {
        self.chunks.hash_touched(rows, hasher)
    }

    /// See [`Chunks::take_dirty`].
    pub(crate) fn take_dirty(&mut self, checkpoint: u64) -> FrozenChunks<Refund> {
        self.chunks.take_dirty(checkpoint)
    }

    /// Records that a synced checkpoint has what the last freeze took.
    pub(crate) fn release(&mut self) {
        self.chunks.release();
    }

    /// See [`Chunks::evict_some`].
    pub(crate) fn evict(&mut self) -> bool {
        self.chunks.evict_some()
    }

    /// Sets how many chunks may stay in memory, beyond those that must.
    pub(crate) fn set_resident_chunks_max(&mut self, chunks: usize) {
        self.chunks.set_resident_chunks_max(chunks);
    }

    /// Whether the chunks agree with the counts, and every order with its rows in memory.
    pub(crate) fn is_sound(&self) -> bool {
        let listed: usize = self.by_order.values().map(|refunded| refunded.ids.len()).sum();
        self.chunks.is_sound() && listed as u64 == self.len()
    }
}
