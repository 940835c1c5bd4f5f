//! The orders: their rows in chunks, and the status of every order permanently in memory.
//!
//! This module only stores rows. Its callers decide which moves are legal; here they are asserted.

use std::borrow::Cow;

use crate::chunks::{Chunks, FrozenChunks};
use crate::digest::{RowHasher, Table};
use crate::ids::OrderId;
use crate::order::{Order, PaymentMethod, Status};
use crate::record::Record;
use crate::statuses::Statuses;
use crate::trace::TraceId;

impl Record for Order {
    const TABLE: Table = Table::Order;
    // As many as the statuses have in one block.
    const CHUNK: u64 = 64;
    // About a quarter of a million orders.
    const RESIDENT_MAX: usize = 4096;

    fn id(&self) -> u64 {
        self.id.0
    }

    fn is_open(&self) -> bool {
        !self.status.is_final()
    }

    fn touch(&self) -> u64 {
        let item = self.items.first().map_or(0, |item| item.product.0);
        let moves = self.history.first().zip(self.history.last());
        let moves = moves.map_or(0, |(first, last)| first.position.0 ^ last.position.0);
        let task = self.task.map_or(0, |task| task.due.0);
        let deadline = self.payment_deadline.map_or(0, |deadline| deadline.0);
        let key = self.key.as_ref().and_then(|key| key.bytes().next()).map_or(0, u64::from);
        let trace = u64::from(self.trace == TraceId::NONE);
        let times = self.created_at.0 ^ self.updated_at.0 ^ self.version.0;
        item ^ moves ^ task ^ deadline ^ key ^ trace ^ times ^ self.total.0.unsigned_abs()
    }
}

/// Where a row is that may have been evicted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup<'a, R: Clone> {
    /// There is no such row.
    Absent,
    /// It is in memory.
    Resident(Cow<'a, R>),
    /// It is final and only in the checkpoint store, where [`crate::checkpoint`] reads it.
    Stored,
}

/// Where an order's row is; [`crate::checkpoint::read_order`] reads a stored one.
pub type OrderLookup<'a> = Lookup<'a, Order>;

/// All orders.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    chunks: Chunks<Order>,
    statuses: Statuses,
    /// Open orders whose payment method is `none`.
    unpaid: u64,
}

/// Whether the order is open and waits for no payment.
fn is_unpaid(order: &Order) -> bool {
    order.is_open() && order.payment_method == PaymentMethod::None
}

impl Orders {
    /// How many orders there have ever been.
    pub(crate) fn len(&self) -> u64 {
        self.statuses.len()
    }

    /// How many orders are not final.
    pub(crate) fn open(&self) -> u64 {
        self.statuses.count(Status::Pending) + self.statuses.count(Status::Processing)
    }

    /// How many of the open orders wait for no payment: their payment method is `none`.
    pub(crate) fn unpaid(&self) -> u64 {
        self.unpaid
    }

    /// The statuses of all orders, by id − 1.
    pub(crate) fn statuses(&self) -> &Statuses {
        &self.statuses
    }

    /// The order's status.
    pub(crate) fn status(&self, id: OrderId) -> Option<Status> {
        self.statuses.get(id.0.checked_sub(1)?)
    }

    /// The order's row, or where it is.
    pub(crate) fn lookup(&self, id: OrderId) -> OrderLookup<'_> {
        if self.status(id).is_none() {
            return Lookup::Absent;
        }
        self.chunks.get(id.0).map_or(Lookup::Stored, Lookup::Resident)
    }

    /// The order's row, if it is in memory and not packed. Open orders always are.
    pub(crate) fn resident(&self, id: OrderId) -> Option<&Order> {
        self.chunks.plain(id.0)
    }

    /// Prefetches a row that is about to change; see [`Chunks::fetch`].
    pub(crate) fn fetch(&self, id: OrderId) {
        self.chunks.fetch(id.0);
    }

    /// All rows in memory, by ascending id.
    pub(crate) fn residents(&self) -> impl Iterator<Item = Cow<'_, Order>> {
        self.chunks.residents()
    }

    /// Whether every row is in memory.
    pub(crate) fn all_resident(&self) -> bool {
        self.chunks.all_resident()
    }

    /// All orders that are not final, by ascending id.
    pub(crate) fn open_orders(&self) -> impl Iterator<Item = &Order> {
        self.chunks.open_rows()
    }

    /// Adds an order under the next id.
    pub(crate) fn push(&mut self, order: Order) {
        assert!(!order.status.is_final(), "an order is placed open");
        self.statuses.push(order.status);
        self.unpaid += u64::from(is_unpaid(&order));
        self.chunks.push(order);
    }

    /// An open order's row, to change anything except its status.
    pub(crate) fn change(&mut self, id: OrderId) -> &mut Order {
        self.chunks.change(id.0)
    }

    /// Moves an order to its next status and returns its row for the rest of the change.
    pub(crate) fn transition(&mut self, id: OrderId, to: Status) -> &mut Order {
        let from = self.status(id).expect("only a placed order moves");
        assert!(from.can_become(to), "order {id} must not go from {from} to {to}");
        self.statuses.set(id.0 - 1, to);
        if to.is_final() {
            self.chunks.close(id.0);
        }
        let order = self.chunks.change(id.0);
        self.unpaid -= u64::from(to.is_final() && is_unpaid(order));
        order.status = to;
        order
    }

    /// Records that a final order will not change again; see [`Chunks::settle`].
    pub(crate) fn settle(&mut self, id: OrderId, hasher: &mut RowHasher) {
        self.chunks.settle(id.0, hasher);
    }

    /// Orders changed since they were last hashed.
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

    /// Hashes the changed rows and returns the sum over all rows.
    pub(crate) fn digest(&mut self, hasher: &mut RowHasher) -> u64 {
        self.chunks.digest(hasher)
    }

    /// See [`Chunks::take_dirty`].
    pub(crate) fn take_dirty(&mut self, checkpoint: u64) -> FrozenChunks<Order> {
        self.chunks.take_dirty(checkpoint)
    }

    /// Records that a synced checkpoint has what the last freeze took.
    pub(crate) fn release(&mut self) {
        self.chunks.release();
    }

    /// How many chunks are in memory.
    pub(crate) fn resident_chunks(&self) -> usize {
        self.chunks.resident_chunks()
    }

    /// Sets how many chunks may stay in memory, beyond those that must.
    pub(crate) fn set_resident_chunks_max(&mut self, chunks: usize) {
        self.chunks.set_resident_chunks_max(chunks);
    }

    /// Restores the status of a stored order, under the next id.
    pub(crate) fn restore_status(&mut self, status: Status) {
        self.statuses.push(status);
    }

    /// Restores a stored chunk whose statuses are restored; see [`Chunks::restore`].
    pub(crate) fn restore(&mut self, orders: Vec<Order>, hashes: Vec<u64>, open: Option<u64>) {
        self.unpaid += orders.iter().filter(|order| is_unpaid(order)).count() as u64;
        self.chunks.restore(orders, hashes, open);
    }

    /// Packs restored chunks that stay in memory.
    pub(crate) fn pack_restored(&mut self) {
        self.chunks.pack_restored();
    }

    /// Whether the chunks agree with the statuses and the counts.
    pub(crate) fn is_sound(&self) -> bool {
        self.statuses.is_sound()
            && self.chunks.is_sound()
            && self.chunks.len() == self.statuses.len()
            && self.chunks.open_rows().filter(|order| is_unpaid(order)).count() as u64
                == self.unpaid
            && (0_u64..).zip(self.chunks.open_counts()).all(|(block, open)| {
                let pending = self.statuses.count_in_block(block, Status::Pending);
                open == pending + self.statuses.count_in_block(block, Status::Processing)
            })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::ids::{Position, ProductId, Quantity, Timestamp, UserId};
    use crate::money::Money;
    use crate::order::{Cause, HistoryRow, Item};
    use crate::trace::TraceId;

    /// A pending order with every field in use.
    pub(crate) fn sample(id: u64) -> Order {
        let item = Item { product: ProductId(1), quantity: Quantity(2), unit_price: Money(99_999) };
        Order {
            id: OrderId(id),
            user: Some(UserId(7)),
            hold: None,
            user_of_hold: false,
            status: Status::Pending,
            payment_method: PaymentMethod::None,
            items: [item].into_iter().collect(),
            total: Money(199_998),
            key: Some("order-abc-123".into()),
            metadata: Some("{\"gift\":true}".into()),
            failure_reason: None,
            trace: TraceId::Text("abc".into()),
            created_at: Timestamp(1_700_000_000_000),
            updated_at: Timestamp(1_700_000_000_000),
            version: Position::new(2, 0),
            task: None,
            payment_deadline: None,
            history: [HistoryRow {
                position: Position::new(2, 0),
                from: None,
                to: Status::Pending,
                at: Timestamp(1_700_000_000_000),
                cause: Cause::Placed,
                trace: None,
            }]
            .into_iter()
            .collect(),
            reference: None,
        }
    }

    fn seal(orders: &mut Orders, ids: std::ops::RangeInclusive<u64>) {
        for id in ids {
            orders.push(sample(id));
            orders.transition(OrderId(id), Status::Cancelled);
        }
    }

    #[test]
    fn only_sealed_and_stored_chunks_are_evicted() {
        let mut orders = Orders::default();
        let mut hasher = RowHasher::default();
        orders.set_resident_chunks_max(1);
        seal(&mut orders, 1..=64);
        orders.push(sample(65));
        assert_eq!(orders.resident_chunks(), 2, "not stored yet");
        let sum = orders.digest(&mut hasher);
        let frozen = orders.take_dirty(1);
        assert_eq!((frozen.sealed.len(), frozen.open.len()), (1, 1));
        orders.release();
        assert_eq!(orders.resident_chunks(), 1);
        assert_eq!(orders.lookup(OrderId(64)), OrderLookup::Stored);
        assert_eq!(orders.status(OrderId(64)), Some(Status::Cancelled));
        assert!(matches!(orders.lookup(OrderId(65)), OrderLookup::Resident(_)));
        assert_eq!(orders.lookup(OrderId(66)), OrderLookup::Absent);
        assert_eq!(orders.digest(&mut hasher), sum, "leaving memory changes nothing");
        assert!(orders.is_sound());
        orders.set_resident_chunks_max(0);
        assert_eq!(orders.resident_chunks(), 1, "an open chunk stays");
    }

    #[test]
    fn orders_that_end_one_by_one_have_the_same_hashes_and_bytes() {
        let (mut one, mut other) = (Orders::default(), Orders::default());
        let mut hasher = RowHasher::default();
        for id in 1..=65 {
            one.push(sample(id));
            other.push(sample(id));
        }
        let mut frozen = None;
        // In random order, with a freeze in the middle that keeps the chunk as it is then.
        for id in (1..=64).map(|n| n * 37 % 64 + 1) {
            if id == 7 {
                one.digest(&mut hasher);
                frozen = Some(one.take_dirty(1));
            }
            one.transition(OrderId(id), Status::Cancelled).failure_reason = Some("why".into());
            one.settle(OrderId(id), &mut hasher);
            other.transition(OrderId(id), Status::Cancelled).failure_reason = Some("why".into());
        }
        assert_eq!(one.touched(), 0, "the open one was hashed for the freeze");
        assert_eq!(one.digest(&mut hasher), other.digest(&mut hasher));
        for id in 1..=64 {
            let id = OrderId(id);
            assert_eq!(one.resident(id), None, "it is packed");
            assert_eq!(one.lookup(id), other.lookup(id));
            assert!(matches!(one.lookup(id), OrderLookup::Resident(Cow::Owned(_))));
        }
        let before = frozen.expect("there was a freeze").open;
        assert!(before[0].1.rows.iter().any(|order| order.status == Status::Pending));
        assert_eq!(one.residents().count(), 65);
        let frozen = one.take_dirty(1);
        assert_eq!((frozen.sealed.len(), frozen.open.len()), (1, 1));
        assert!(one.is_sound());
    }

    #[test]
    fn hashing_in_parts_gives_the_same_digest() {
        let (mut turns, mut once) = (Orders::default(), Orders::default());
        let mut hasher = RowHasher::default();
        for id in 1..=200 {
            turns.push(sample(id));
            once.push(sample(id));
        }
        let hashed = turns.hash_touched(50, &mut hasher);
        assert!((50..200).contains(&hashed), "{hashed}");
        assert_eq!(turns.touched(), 200 - hashed);
        // Changes a row that was hashed, and one that was not.
        for id in [200, 1] {
            turns.transition(OrderId(id), Status::Cancelled);
            once.transition(OrderId(id), Status::Cancelled);
        }
        while turns.hash_touched(50, &mut hasher) > 0 {}
        assert_eq!(turns.touched(), 0);
        assert_eq!(turns.digest(&mut hasher), once.digest(&mut hasher));
    }

    #[test]
    fn stored_chunks_are_evicted_a_few_at_a_time() {
        let mut orders = Orders::default();
        orders.set_resident_chunks_max(2);
        seal(&mut orders, 1..=64 * 700);
        orders.digest(&mut RowHasher::default());
        orders.take_dirty(1);
        assert_eq!(orders.resident_chunks(), 700);
        orders.release();
        assert_eq!(orders.resident_chunks(), 444, "not all at once");
        orders.push(sample(64 * 700 + 1));
        assert_eq!(orders.resident_chunks(), 441, "four fewer and a new one");
        assert!(orders.evict());
        assert!(!orders.evict());
        assert_eq!(orders.resident_chunks(), 2);
    }

    #[test]
    fn chunks_frozen_but_never_stored_are_frozen_again() {
        let mut orders = Orders::default();
        seal(&mut orders, 1..=64);
        orders.digest(&mut RowHasher::default());
        assert_eq!(orders.take_dirty(1).sealed.len(), 1);
        assert_eq!(orders.take_dirty(1).sealed.len(), 1, "nobody said that it is stored");
        orders.release();
        assert_eq!(orders.take_dirty(1).sealed.len(), 0);
    }

    #[test]
    fn a_chunk_sealed_after_a_freeze_waits_for_the_next_one() {
        let mut orders = Orders::default();
        let mut hasher = RowHasher::default();
        orders.set_resident_chunks_max(0);
        seal(&mut orders, 1..=63);
        orders.push(sample(64));
        orders.digest(&mut hasher);
        let open = orders.take_dirty(1).open;
        orders.transition(OrderId(64), Status::Cancelled);
        assert_eq!(open[0].1.rows[63].status, Status::Pending, "a freeze is a copy");
        orders.release();
        assert_eq!(orders.resident_chunks(), 1, "the store has the chunk as it was");
        orders.digest(&mut hasher);
        assert_eq!(orders.take_dirty(1).sealed.len(), 1);
        orders.release();
        assert_eq!(orders.resident_chunks(), 0);
    }
}
