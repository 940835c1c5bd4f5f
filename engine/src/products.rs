//! The products, their counters and their ledgers.
//!
//! Every change of a counter goes through [`Products::shift`] or [`Products::adjust`], which keep
//! counters and ledger consistent. Nothing here decides whether a change is allowed.

mod blocks;
mod ledgers;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::digest::{RowHasher, Table, ledger_hash};
use crate::ids::{LocationId, OrderId, Position, ProductId, Timestamp};
use crate::ledger::{self, Delta, SEGMENT_ROWS};
use crate::order::Status;
use crate::packed::PackedLedger;
use crate::postings::{COUNTED_FROM, Counts, Postings};
use crate::product::{Counters, Product};
use crate::statuses::Statuses;

pub(crate) use self::blocks::{BLOCK_ROWS, FrozenBlocks};
pub use self::ledgers::LedgerHome;
pub(crate) use self::ledgers::{BLOCK_SEGMENTS, FrozenLedgers, FrozenSegment, NewHomes};

use self::blocks::Blocks;
use self::ledgers::{LedgerBlocks, Segment};

/// The only location of stock today.
pub(crate) const LOCATION: LocationId = LocationId::DEFAULT;

/// The ledger segments that a store has of one product.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct StoredLedger {
    /// The home of each segment.
    pub(crate) homes: Vec<LedgerHome>,
    /// The counters after them.
    pub(crate) after: Counters,
}

/// A product and what belongs to it.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) product: Product,
    /// The home of each full ledger segment that a synced checkpoint has. Shared with readers,
    /// since there may be many.
    pub(crate) homes: Arc<Vec<LedgerHome>>,
    /// Full ledger segments that no synced checkpoint has yet, with ascending numbers.
    pub(crate) full: Vec<(u64, Segment)>,
    /// The ledger rows after the last full segment, fewer than [`SEGMENT_ROWS`].
    pub(crate) tail: PackedLedger,
    /// The counters before the first ledger row that is in memory.
    pub(crate) base: Counters,
    /// Orders of the product, counted by status once there are many.
    pub(crate) orders: Postings,
    pub(crate) counts: Option<Counts>,
    /// The row's share of the digest when it was last hashed.
    hash: u64,
    /// Changed since it was hashed.
    touched: bool,
    /// Changed since the last freeze.
    dirty: bool,
}

impl Entry {
    fn new(product: Product, base: Counters) -> Entry {
        Entry {
            product,
            homes: Arc::default(),
            full: Vec::new(),
            tail: PackedLedger::default(),
            base,
            orders: Postings::default(),
            counts: None,
            hash: 0,
            touched: false,
            dirty: false,
        }
    }

    /// How many ledger rows are in memory.
    pub(crate) fn resident_count(&self) -> u64 {
        (self.full.len() * SEGMENT_ROWS + self.tail.len()) as u64
    }

    /// The ledger rows in memory, oldest first.
    pub(crate) fn resident_rows(&self) -> impl Iterator<Item = ledger::Row> {
        self.full.iter().flat_map(|(_, segment)| segment.iter()).chain(self.tail.iter())
    }
}

/// All products, by id from 1.
#[derive(Debug, Default)]
pub(crate) struct Products {
    entries: Vec<Entry>,
    /// SKUs of products that are not archived.
    skus: BTreeMap<Box<str>, ProductId>,
    touched: Vec<ProductId>,
    dirty: Vec<ProductId>,
    /// Frozen, and not yet known to be stored.
    in_flight: Vec<ProductId>,
    /// Which blocks have the rows.
    blocks: Blocks,
    /// Which blocks have the ledgers.
    ledgers: LedgerBlocks,
    /// The sum of the hashes of all product and ledger rows, except those of changed products.
    sum: u64,
}

impl Products {
    /// How many there are, archived ones included.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The product and what belongs to it, archived or not.
    pub(crate) fn entry(&self, id: ProductId) -> Option<&Entry> {
        self.entries.get(usize::try_from(id.0.checked_sub(1)?).ok()?)
    }

    /// The product, unless it is archived.
    pub(crate) fn active(&self, id: ProductId) -> Option<&Product> {
        self.entry(id).map(|entry| &entry.product).filter(|product| !product.archived)
    }

    /// Prefetches a product that is about to be sold.
    pub(crate) fn fetch(&self, id: ProductId) {
        let touch = |entry: &Entry| {
            let (product, tail) = (&entry.product, entry.tail.newest_byte());
            let limits = u64::from(product.max_per_user.is_some()) ^ product.ledger_rows;
            let row = product.stock.available() ^ product.price.0 ^ i64::from(tail);
            row.cast_unsigned() ^ limits ^ product.version.0 ^ entry.orders.last() ^ entry.hash
        };
        std::hint::black_box(self.entry(id).map(touch));
    }

    /// All entries, by ascending id.
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Which active product has the SKU.
    pub(crate) fn by_sku(&self, sku: &str) -> Option<ProductId> {
        self.skus.get(sku).copied()
    }

    /// Records that the newest order contains the product.
    pub(crate) fn post(&mut self, id: ProductId, order: OrderId, statuses: &Statuses) {
        let entry = self.at(id);
        entry.orders.push(order.0);
        if let Some(counts) = &mut entry.counts {
            let status = statuses.get(order.0 - 1).expect("a listed order exists");
            counts.push(entry.orders.len() - 1, status);
        } else if entry.orders.len() >= COUNTED_FROM {
            entry.counts = Some(Counts::of(&entry.orders, statuses));
        }
    }

    /// Records that an order of the product moved.
    pub(crate) fn moved(&mut self, id: ProductId, order: OrderId, from: Status, to: Status) {
        let entry = self.at(id);
        if let Some(counts) = &mut entry.counts {
            counts.moved(&entry.orders, order, from, to);
        }
    }

    /// Adds a product without stock, under the next id.
    pub(crate) fn create(&mut self, product: Product) {
        let id = product.id;
        assert_eq!(id.0, self.entries.len() as u64 + 1, "product ids are dense");
        if let Some(sku) = product.sku.clone() {
            self.skus.insert(sku, id);
        }
        self.entries.push(Entry::new(product, Counters::default()));
        self.mark(id);
    }

    /// Changes fields that are not counters. The row's version and time change with them.
    pub(crate) fn change(
        &mut self,
        id: ProductId,
        position: Position,
        at: Timestamp,
        change: impl FnOnce(&mut Product),
    ) {
        self.mark(id);
        let product = &mut self.at(id).product;
        let (stock, rows) = (product.stock, product.ledger_rows);
        let listed = product.sku.clone().filter(|_| !product.archived);
        change(product);
        assert!(
            product.stock == stock && product.ledger_rows == rows,
            "counters change with their ledger only"
        );
        (product.version, product.updated_at) = (position, at);
        let list = product.sku.clone().filter(|_| !product.archived);
        if listed != list {
            listed.and_then(|sku| self.skus.remove(&sku));
            list.and_then(|sku| self.skus.insert(sku, id));
        }
    }

    /// Adds or removes units, with their ledger row.
    pub(crate) fn adjust(
        &mut self,
        id: ProductId,
        on_hand: i64,
        cause: ledger::Cause,
        position: Position,
        at: Timestamp,
    ) {
        let brought_in = &mut self.at(id).product.brought_in;
        *brought_in = brought_in.checked_add(on_hand).expect("the plan checked the sum");
        self.shift(id, Delta { on_hand, ..Delta::default() }, cause, position, at);
    }

    /// Moves units between counters, with the ledger row. The plan must have checked that the units
    /// exist: a counter that goes wrong here stops the node.
    pub(crate) fn shift(
        &mut self,
        id: ProductId,
        delta: Delta,
        cause: ledger::Cause,
        position: Position,
        at: Timestamp,
    ) {
        self.mark(id);
        let entry = self.at(id);
        let product = &mut entry.product;
        let after = delta.apply_to(product.stock).expect("the plan checked the counters");
        assert!(
            after.is_sound() && after.total() == product.brought_in,
            "product {id} would have {after:?} of {} units",
            product.brought_in
        );
        product.stock = after;
        (product.version, product.updated_at) = (position, at);
        let row = ledger::Row {
            position,
            at,
            cause,
            on_hand: delta.on_hand,
            held: delta.held,
            reserved: delta.reserved,
            sold: delta.sold,
            after,
        };
        let number = product.ledger_rows;
        product.ledger_rows += 1;
        let hash = ledger_hash(LOCATION, id, number, &row);
        entry.tail.push(&row, hash);
        if entry.tail.len() == SEGMENT_ROWS {
            let next = entry.tail.following();
            let segment = std::mem::replace(&mut entry.tail, next);
            entry.full.push((number / SEGMENT_ROWS as u64, Arc::new(segment)));
        }
        self.sum = self.sum.wrapping_add(hash);
    }

    fn at(&mut self, id: ProductId) -> &mut Entry {
        &mut self.entries[id.0 as usize - 1]
    }

    fn mark(&mut self, id: ProductId) {
        let entry = &mut self.entries[id.0 as usize - 1];
        if !entry.touched {
            entry.touched = true;
            self.touched.push(id);
        }
        self.mark_dirty(id);
    }

    fn mark_dirty(&mut self, id: ProductId) {
        let entry = &mut self.entries[id.0 as usize - 1];
        if !entry.dirty {
            entry.dirty = true;
            self.dirty.push(id);
        }
    }

    /// Hashes the changed products and returns the sum over all rows.
    pub(crate) fn digest(&mut self, hasher: &mut RowHasher) -> u64 {
        for id in self.touched.drain(..) {
            let entry = &mut self.entries[id.0 as usize - 1];
            let hash = hasher.hash(Table::Product, id.0, &entry.product);
            self.sum = self.sum.wrapping_sub(entry.hash).wrapping_add(hash);
            entry.hash = hash;
            entry.touched = false;
        }
        self.sum
    }

    /// Takes the products that changed since the last freeze, those that an earlier freeze took and
    /// nobody reported as stored, and those that must be written again.
    pub(crate) fn take_dirty(&mut self) -> FrozenBlocks {
        for id in self.in_flight.drain(..) {
            let entry = &mut self.entries[id.0 as usize - 1];
            if !entry.dirty {
                entry.dirty = true;
                self.dirty.push(id);
            }
        }
        let changed = std::mem::take(&mut self.dirty);
        for id in &changed {
            self.entries[id.0 as usize - 1].dirty = false;
        }
        let frozen = self.blocks.freeze(changed, self.entries.len());
        self.in_flight = frozen.written.iter().flat_map(|(_, ids)| ids).copied().collect();
        frozen
    }

    /// Takes the full ledger segments of these products that nobody reported as stored.
    pub(crate) fn take_ledgers(&mut self) -> FrozenLedgers {
        let entries = &self.entries;
        let full = |id: &ProductId| {
            let full = entries[id.0 as usize - 1].full.iter();
            let id = *id;
            full.map(move |(number, segment)| (id, *number, Arc::clone(segment)))
        };
        self.ledgers.freeze(self.in_flight.iter().flat_map(full).collect())
    }

    /// Evicts ledger segments that a synced checkpoint has.
    pub(crate) fn release(&mut self, segments: &[NewHomes]) {
        self.in_flight.clear();
        self.blocks.release();
        self.ledgers.release();
        for NewHomes { product, first, homes } in segments {
            let entry = self.at(*product);
            assert_eq!(*first, entry.homes.len() as u64, "segments are stored in their order");
            Arc::make_mut(&mut entry.homes).extend(homes);
            entry.full.drain(..homes.len());
            let next = entry.full.first().and_then(|(_, segment)| segment.before());
            let base = next.or_else(|| entry.tail.before());
            entry.base = base.unwrap_or(entry.product.stock);
        }
    }

    /// Restores a stored product under the next id, with its stored ledger segments and the rows
    /// after them.
    pub(crate) fn restore(
        &mut self,
        product: Product,
        rows_after: &[ledger::Row],
        stored: StoredLedger,
        hasher: &mut RowHasher,
    ) {
        let (id, rows) = (product.id, product.ledger_rows);
        if let Some(sku) = product.sku.clone().filter(|_| !product.archived) {
            self.skus.insert(sku, id);
        }
        let hash = hasher.hash(Table::Product, id.0, &product);
        self.sum = self.sum.wrapping_add(hash);
        let first = rows - rows_after.len() as u64;
        let mut tail = PackedLedger::default();
        for (number, row) in (first..).zip(rows_after) {
            tail.push(row, ledger_hash(LOCATION, id, number, row));
        }
        self.sum = self.sum.wrapping_add(tail.sum());
        let StoredLedger { homes, after } = stored;
        let homes = Arc::new(homes);
        self.entries.push(Entry { tail, homes, hash, ..Entry::new(product, after) });
    }

    /// Restores which blocks a store has, by ascending number, the number of the next block, and
    /// which products still have a row of format 1. Those are in no block: the next checkpoint
    /// writes them.
    pub(crate) fn restore_blocks(
        &mut self,
        blocks: Vec<(u64, Vec<ProductId>)>,
        next: u64,
        single: Vec<ProductId>,
    ) {
        if blocks.is_empty() {
            (1..=self.entries.len() as u64).for_each(|id| self.mark_dirty(ProductId(id)));
        }
        self.blocks.restore(blocks, next, single);
    }

    /// Restores the stored ledger segments' share of the digest, and the number of their next
    /// block.
    pub(crate) fn restore_ledgers(&mut self, sum: u64, next: u64) {
        self.sum = self.sum.wrapping_add(sum);
        self.ledgers.restore(next);
    }

    /// The SKU index, for the invariants.
    pub(crate) fn skus(&self) -> &BTreeMap<Box<str>, ProductId> {
        &self.skus
    }
}
