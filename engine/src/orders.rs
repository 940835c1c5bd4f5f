//! The orders: rows in chunks of consecutive ids, and the status of every order in memory for good.
//!
//! A chunk is shared with a freeze by reference count and copied only when it changes meanwhile.
//! Once all its orders are final it is sealed: nothing in it changes any more, and after a synced
//! checkpoint holds it, it may leave memory. This module moves rows about; which moves are legal is
//! decided by its callers, and asserted here.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::digest::{RowHasher, Table};
use crate::ids::OrderId;
use crate::order::{Order, Status};
use crate::statuses::Statuses;

/// Orders per chunk.
pub(crate) const CHUNK_ORDERS: u64 = 64;

/// How many chunks stay in memory unless set otherwise: about a quarter of a million orders.
pub(crate) const RESIDENT_CHUNKS_MAX: usize = 4096;

/// Consecutive orders, stored as one row; how it is packed is in [`crate::checkpoint`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OrderChunk {
    pub(crate) orders: Vec<Order>,
}

/// What is known of one chunk.
#[derive(Debug, Default)]
struct Slot {
    chunk: Option<Arc<OrderChunk>>,
    /// What each order adds to the digest; empty when the chunk is not resident.
    hashes: Vec<u64>,
    /// Orders changed since they were hashed, a bit each.
    touched: u64,
    /// Orders that are not final.
    open: u8,
    /// Changed since the last freeze.
    dirty: bool,
}

/// The chunk that holds an order, and its place there.
pub(crate) fn place(id: OrderId) -> Option<(u64, usize)> {
    let slot = id.0.checked_sub(1)?;
    Some((slot / CHUNK_ORDERS, (slot % CHUNK_ORDERS) as usize))
}

/// Where an order's row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderLookup<'a> {
    /// There is no such order.
    Absent,
    /// It is in memory.
    Resident(&'a Order),
    /// It is final and only in the checkpoint store: ask [`crate::checkpoint::read_order`].
    Stored,
}

/// All orders.
#[derive(Debug)]
pub(crate) struct Orders {
    slots: Vec<Slot>,
    statuses: Statuses,
    touched: Vec<u64>,
    touched_orders: usize,
    dirty: Vec<u64>,
    /// Frozen and not yet known to be stored.
    in_flight: Vec<u64>,
    /// Sealed chunks in memory that a synced checkpoint holds, oldest first.
    evictable: VecDeque<u64>,
    resident: usize,
    resident_max: usize,
    sum: u64,
}

impl Default for Orders {
    fn default() -> Orders {
        Orders {
            slots: Vec::new(),
            statuses: Statuses::default(),
            touched: Vec::new(),
            touched_orders: 0,
            dirty: Vec::new(),
            in_flight: Vec::new(),
            evictable: VecDeque::new(),
            resident: 0,
            resident_max: RESIDENT_CHUNKS_MAX,
            sum: 0,
        }
    }
}

impl Orders {
    /// How many orders there ever were.
    pub(crate) fn len(&self) -> u64 {
        self.statuses.len()
    }

    /// How many orders are not final.
    pub(crate) fn open(&self) -> u64 {
        self.statuses.count(Status::Pending) + self.statuses.count(Status::Processing)
    }

    /// The statuses of all orders, by id less one.
    pub(crate) fn statuses(&self) -> &Statuses {
        &self.statuses
    }

    /// The order's status.
    pub(crate) fn status(&self, id: OrderId) -> Option<Status> {
        self.statuses.get(id.0.checked_sub(1)?)
    }

    /// The order's row, wherever it is.
    pub(crate) fn lookup(&self, id: OrderId) -> OrderLookup<'_> {
        if self.status(id).is_none() {
            return OrderLookup::Absent;
        }
        self.resident(id).map_or(OrderLookup::Stored, OrderLookup::Resident)
    }

    /// The order's row, if it is in memory. Open orders always are.
    pub(crate) fn resident(&self, id: OrderId) -> Option<&Order> {
        let (chunk, at) = place(id)?;
        self.slots.get(usize::try_from(chunk).ok()?)?.chunk.as_ref()?.orders.get(at)
    }

    /// All rows in memory, by ascending id.
    pub(crate) fn residents(&self) -> impl Iterator<Item = &Order> {
        self.slots.iter().filter_map(|slot| slot.chunk.as_ref()).flat_map(|chunk| &chunk.orders)
    }

    /// All orders that are not final, by ascending id.
    pub(crate) fn open_orders(&self) -> impl Iterator<Item = &Order> {
        self.slots
            .iter()
            .filter(|slot| slot.open > 0)
            .filter_map(|slot| slot.chunk.as_ref())
            .flat_map(|chunk| &chunk.orders)
            .filter(|order| !order.status.is_final())
    }

    /// Adds an order under the next id.
    pub(crate) fn push(&mut self, order: Order) {
        assert_eq!(order.id.0, self.len() + 1, "order ids are dense");
        assert!(!order.status.is_final(), "an order is placed open");
        let id = order.id;
        let at = self.append(order);
        let slot = &mut self.slots[at];
        slot.hashes.push(0);
        slot.open += 1;
        self.mark(id);
    }

    /// Puts the row into its chunk and its status beside the others; gives the chunk's place.
    fn append(&mut self, order: Order) -> usize {
        if self.len().is_multiple_of(CHUNK_ORDERS) {
            let chunk = OrderChunk { orders: Vec::with_capacity(CHUNK_ORDERS as usize) };
            self.slots.push(Slot { chunk: Some(Arc::new(chunk)), ..Slot::default() });
            self.resident += 1;
        }
        let at = self.slots.len() - 1;
        self.statuses.push(order.status);
        let chunk = self.slots[at].chunk.as_mut().expect("the last chunk is resident");
        Arc::make_mut(chunk).orders.push(order);
        at
    }

    /// An open order's row, to change anything but its status.
    pub(crate) fn change(&mut self, id: OrderId) -> &mut Order {
        self.mark(id);
        let (chunk, at) = place(id).expect("order ids start at 1");
        let chunk = self.slots[chunk as usize].chunk.as_mut().expect("open orders are resident");
        &mut Arc::make_mut(chunk).orders[at]
    }

    /// Moves an order to its next status and gives its row for the rest of the change.
    pub(crate) fn transition(&mut self, id: OrderId, to: Status) -> &mut Order {
        let from = self.status(id).expect("only a placed order moves");
        assert!(from.can_become(to), "order {id} must not go from {from} to {to}");
        self.statuses.set(id.0 - 1, to);
        if to.is_final() {
            let (chunk, _) = place(id).expect("order ids start at 1");
            self.slots[chunk as usize].open -= 1;
        }
        let order = self.change(id);
        order.status = to;
        order
    }

    fn mark(&mut self, id: OrderId) {
        let (chunk, at) = place(id).expect("order ids start at 1");
        let slot = &mut self.slots[chunk as usize];
        if slot.touched == 0 {
            self.touched.push(chunk);
        }
        if slot.touched & 1 << at == 0 {
            slot.touched |= 1 << at;
            self.touched_orders += 1;
        }
        if !slot.dirty {
            slot.dirty = true;
            self.dirty.push(chunk);
        }
    }

    /// Orders changed since they were last hashed.
    pub(crate) fn touched(&self) -> usize {
        self.touched_orders
    }

    /// Hashes what was touched and gives the sum over all rows.
    pub(crate) fn digest(&mut self, hasher: &mut RowHasher) -> u64 {
        for chunk in self.touched.drain(..) {
            let slot = &mut self.slots[chunk as usize];
            let rows = slot.chunk.as_ref().expect("a touched chunk is resident");
            let mut touched = std::mem::take(&mut slot.touched);
            while touched != 0 {
                let at = touched.trailing_zeros() as usize;
                touched &= touched - 1;
                let order = &rows.orders[at];
                let hash = hasher.hash(Table::Order, order.id.0, order);
                self.sum = self.sum.wrapping_sub(slot.hashes[at]).wrapping_add(hash);
                slot.hashes[at] = hash;
            }
        }
        self.touched_orders = 0;
        self.sum
    }

    /// Takes what changed since the last freeze, with what an earlier freeze took and nobody
    /// reported as stored: sealed chunks, then open ones, each ascending. Everything must have been
    /// hashed.
    pub(crate) fn take_dirty(&mut self) -> (SharedChunks, SharedChunks) {
        for chunk in self.in_flight.drain(..) {
            let slot = &mut self.slots[chunk as usize];
            if !slot.dirty {
                slot.dirty = true;
                self.dirty.push(chunk);
            }
        }
        std::mem::swap(&mut self.in_flight, &mut self.dirty);
        self.in_flight.sort_unstable();
        let (mut sealed, mut open) = (Vec::new(), Vec::new());
        for &id in &self.in_flight {
            let slot = &mut self.slots[id as usize];
            slot.dirty = false;
            let chunk = slot.chunk.clone().expect("a dirty chunk is resident");
            if slot.is_sealed() { &mut sealed } else { &mut open }.push((id, chunk));
        }
        (sealed, open)
    }

    /// Notes that a synced checkpoint holds what the last freeze took.
    pub(crate) fn release(&mut self) {
        for id in std::mem::take(&mut self.in_flight) {
            let slot = &self.slots[id as usize];
            // One that was sealed since is dirty again and waits for the next checkpoint.
            if slot.is_sealed() && !slot.dirty {
                self.evictable.push_back(id);
            }
        }
        self.evict();
    }

    /// How many chunks are in memory.
    pub(crate) fn resident_chunks(&self) -> usize {
        self.resident
    }

    /// Sets how many chunks may stay in memory beyond those that must.
    pub(crate) fn set_resident_chunks_max(&mut self, chunks: usize) {
        self.resident_max = chunks;
        self.evict();
    }

    fn evict(&mut self) {
        while self.resident > self.resident_max
            && let Some(id) = self.evictable.pop_front()
        {
            let slot = &mut self.slots[id as usize];
            debug_assert!(slot.touched == 0, "a stored chunk was hashed when it was frozen");
            slot.chunk = None;
            slot.hashes = Vec::new();
            self.resident -= 1;
        }
    }

    /// Puts a stored order back under the next id.
    pub(crate) fn restore(&mut self, order: Order, hasher: &mut RowHasher) {
        let hash = hasher.hash(Table::Order, order.id.0, &order);
        let open = !order.status.is_final();
        self.sum = self.sum.wrapping_add(hash);
        let at = self.append(order);
        let slot = &mut self.slots[at];
        slot.hashes.push(hash);
        slot.open += u8::from(open);
        if slot.is_sealed() {
            self.evictable.push_back(at as u64);
            self.evict();
        }
    }

    /// Whether the chunks agree with the statuses and the counts.
    pub(crate) fn is_sound(&self) -> bool {
        self.statuses.is_sound()
            && self.slots.len() as u64 == self.len().div_ceil(CHUNK_ORDERS)
            && self.slots.iter().filter(|slot| slot.chunk.is_some()).count() == self.resident
            && (0_u64..).zip(&self.slots).all(|(id, slot)| {
                let open = self.statuses.count_in_block(id, Status::Pending)
                    + self.statuses.count_in_block(id, Status::Processing);
                u64::from(slot.open) == open && (open == 0 || slot.chunk.is_some())
            })
    }
}

/// Chunks by number, shared with the state.
pub(crate) type SharedChunks = Vec<(u64, Arc<OrderChunk>)>;

impl Slot {
    /// Whether nothing in it will change any more. The last chunk is resident, so an absent one is
    /// full.
    fn is_sealed(&self) -> bool {
        self.open == 0
            && self.chunk.as_ref().is_none_or(|chunk| chunk.orders.len() as u64 == CHUNK_ORDERS)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::ids::{Position, ProductId, Quantity, Timestamp, UserId};
    use crate::money::Money;
    use crate::order::{Cause, HistoryRow, Item, Items, PaymentMethod};
    use crate::trace::TraceId;

    /// A pending order with every field in use.
    pub(crate) fn sample(id: u64) -> Order {
        let item = Item { product: ProductId(1), quantity: Quantity(2), unit_price: Money(99_999) };
        Order {
            id: OrderId(id),
            user: Some(UserId(7)),
            status: Status::Pending,
            payment_method: PaymentMethod::None,
            items: Items([item].into()),
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
            history: vec![HistoryRow {
                position: Position::new(2, 0),
                from: None,
                to: Status::Pending,
                at: Timestamp(1_700_000_000_000),
                cause: Cause::Placed,
                trace: None,
            }],
        }
    }

    fn seal(orders: &mut Orders, ids: std::ops::RangeInclusive<u64>) {
        for id in ids {
            orders.push(sample(id));
            orders.transition(OrderId(id), Status::Cancelled);
        }
    }

    #[test]
    fn only_what_is_sealed_and_stored_leaves_memory() {
        let mut orders = Orders::default();
        let mut hasher = RowHasher::default();
        orders.set_resident_chunks_max(1);
        seal(&mut orders, 1..=64);
        orders.push(sample(65));
        assert_eq!(orders.resident_chunks(), 2, "not stored yet");
        let sum = orders.digest(&mut hasher);
        let (sealed, open) = orders.take_dirty();
        assert_eq!((sealed.len(), open.len()), (1, 1));
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
    fn what_was_frozen_and_never_stored_is_frozen_again() {
        let mut orders = Orders::default();
        seal(&mut orders, 1..=64);
        orders.digest(&mut RowHasher::default());
        assert_eq!(orders.take_dirty().0.len(), 1);
        assert_eq!(orders.take_dirty().0.len(), 1, "nobody said that it is stored");
        orders.release();
        assert_eq!(orders.take_dirty().0.len(), 0);
    }

    #[test]
    fn a_chunk_sealed_after_its_freeze_waits_for_the_next() {
        let mut orders = Orders::default();
        let mut hasher = RowHasher::default();
        orders.set_resident_chunks_max(0);
        seal(&mut orders, 1..=63);
        orders.push(sample(64));
        orders.digest(&mut hasher);
        let (_, open) = orders.take_dirty();
        orders.transition(OrderId(64), Status::Cancelled);
        assert_eq!(open[0].1.orders[63].status, Status::Pending, "a freeze is a copy");
        orders.release();
        assert_eq!(orders.resident_chunks(), 1, "the store holds the chunk as it was");
        orders.digest(&mut hasher);
        assert_eq!(orders.take_dirty().0.len(), 1);
        orders.release();
        assert_eq!(orders.resident_chunks(), 0);
    }
}
