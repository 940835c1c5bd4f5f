//! Taking what changed out of the state, and writing it.

use crate::adjustment::Adjustment;
use crate::checkpoint::rows::{FORMAT, Meta, ProductRow, Stored, key};
use crate::checkpoint::{CheckpointStore, Row, Write};
use crate::chunks::FrozenChunks;
use crate::codec::{ROW_VERSION, encode_row, encode_summed_row};
use crate::events::FrozenEvents;
use crate::fence::Fence;
use crate::hold::Hold;
use crate::ids::ProductId;
use crate::lineage::Lineage;
use crate::order::Order;
use crate::packed::PackedLedger;
use crate::products::{FrozenBlocks, FrozenLedgers, FrozenSegment, LOCATION, NewHomes};
use crate::state::State;
use crate::store::Error;
use crate::user::User;
use crate::webhook::Webhook;

/// The most rows and bytes that are staged at once: so few that whoever writes at a gentle pace can
/// rest between any two of them.
const STAGED_ROWS_MAX: usize = 64;
const STAGED_BYTES_MAX: usize = 1 << 18;

/// What changed since the last checkpoint, as of one applied index. Writing it needs no state.
///
/// Frozen parts must be written in the order in which they were frozen. One that is thrown away is
/// no loss: the next freeze takes its rows again.
#[derive(Debug)]
pub struct Frozen {
    generation: u64,
    meta: Meta,
    lineage: Lineage,
    orders: FrozenChunks<Order>,
    holds: FrozenChunks<Hold>,
    webhooks: FrozenChunks<Webhook>,
    adjustments: FrozenChunks<Adjustment>,
    fences: FrozenChunks<Fence>,
    events: FrozenEvents,
    /// New blocks of products, and which keys of older rows nobody needs any more.
    products: Vec<(u64, Vec<ProductRow<PackedLedger>>)>,
    removed: Vec<Vec<u8>>,
    ledgers: FrozenLedgers,
    users: Vec<User>,
}

/// Proof that a [`Frozen`] part is on disk, for [`State::release`].
#[derive(Debug)]
pub struct Written {
    generation: u64,
    applied_index: u64,
    rows: u64,
    segments: Vec<NewHomes>,
}

impl Written {
    /// The index up to which the store holds everything.
    pub fn applied_index(&self) -> u64 {
        self.applied_index
    }

    /// How many rows were written.
    pub fn rows(&self) -> u64 {
        self.rows
    }
}

impl State {
    /// Takes what changed since the last checkpoint. Costs the hashing of what was touched, a copy
    /// of each product that changed or is written again, and a reference to each changed chunk.
    pub fn freeze(&mut self) -> Frozen {
        let digest = self.digest();
        self.generation += 1;
        let orders = self.orders.take_dirty();
        let holds = self.holds.take_dirty();
        let webhooks = self.webhooks.take_dirty();
        let adjustments = self.adjustments.take_dirty();
        let fences = self.fences.take_dirty();
        let events = self.events.freeze();
        let blocks = self.products.take_dirty();
        let ledgers = self.products.take_ledgers();
        let row = |id: &ProductId| {
            let entry = self.products.entry(*id).expect("a changed product exists");
            ProductRow { product: entry.product.clone(), tail: entry.tail.clone() }
        };
        let written = blocks.written.iter();
        let products = written.map(|(number, ids)| (*number, ids.iter().map(row).collect()));
        let products = products.collect();
        let removed = removed_keys(&blocks, &ledgers);
        let meta = Meta {
            format: FORMAT,
            applied_index: self.applied_index,
            applied_term: self.applied_term,
            position: self.position,
            clock: self.clock,
            orders: self.orders.len(),
            holds: self.holds.len(),
            webhooks: self.webhooks.len(),
            adjustments: self.adjustments.len(),
            fences: self.fences.len(),
            events: self.events.extent(),
            products: self.products.len() as u64,
            users: self.users.len() as u64,
            totals: self.totals.clone(),
            sessions: self.sessions.clone(),
            digest,
            blocks: blocks.next,
            ledger_blocks: ledgers.next,
        };
        let users = self.users.take_dirty();
        let generation = self.generation;
        Frozen {
            generation,
            meta,
            lineage: self.lineage.clone(),
            orders,
            holds,
            webhooks,
            adjustments,
            fences,
            events,
            products,
            removed,
            ledgers,
            users,
        }
    }

    /// Notes that the last frozen part is on disk. A report of an earlier one changes nothing,
    /// since the last freeze took its rows again.
    pub fn release(&mut self, done: &Written) {
        if done.generation != self.generation {
            return;
        }
        self.orders.release();
        self.holds.release();
        self.webhooks.release();
        self.adjustments.release();
        self.fences.release();
        self.events.release();
        self.products.release(&done.segments);
        self.users.release();
    }
}

impl Frozen {
    /// The index up to which it holds everything.
    pub fn applied_index(&self) -> u64 {
        self.meta.applied_index
    }

    /// Stages, syncs, publishes and syncs.
    ///
    /// # Errors
    /// When the store fails. What it then holds is the last checkpoint or this one; the node stops.
    pub fn write(&self, store: &dyn CheckpointStore) -> Result<Written, Error> {
        let staged = self.stage(store)?;
        if staged > 0 {
            store.sync()?;
        }
        let writes = self.writes();
        // That there is no past to tell is no row.
        let rows = staged + writes.len() as u64 - u64::from(self.lineage.is_plain());
        store.publish(writes)?;
        store.sync()?;
        Ok(Written {
            generation: self.generation,
            applied_index: self.meta.applied_index,
            rows,
            segments: self.ledgers.homes.clone(),
        })
    }

    /// Writes what will never change, in bounded batches; gives how many rows.
    fn stage(&self, store: &dyn CheckpointStore) -> Result<u64, Error> {
        let mut stage = Stage::new(store);
        stage.add_sealed(&self.orders)?;
        stage.add_sealed(&self.holds)?;
        stage.add_sealed(&self.webhooks)?;
        stage.add_sealed(&self.adjustments)?;
        stage.add_sealed(&self.fences)?;
        for (number, events) in &self.events.full {
            stage
                .add(key::chunk(key::EVENTS, *number), encode_row(ROW_VERSION, events.as_ref()))?;
        }
        for (number, segments) in &self.ledgers.written {
            let row = encode_summed_row(sum_of(segments), segments);
            stage.add(key::ledgers(LOCATION, *number), row)?;
        }
        for (number, rows) in &self.products {
            let row = encode_row(ROW_VERSION, rows);
            stage.add(key::products(LOCATION, *number), row)?;
        }
        for user in &self.users {
            stage.add(key::user(user.id), encode_row(ROW_VERSION, user))?;
        }
        stage.finish()
    }

    /// The one transaction: what may change, and the row that publishes everything.
    fn writes(&self) -> Vec<Write> {
        let mut writes = Vec::new();
        write_chunks(&self.orders, &mut writes);
        write_chunks(&self.holds, &mut writes);
        write_chunks(&self.webhooks, &mut writes);
        write_chunks(&self.adjustments, &mut writes);
        write_chunks(&self.fences, &mut writes);
        writes.extend(self.removed.iter().map(|key| (key.clone(), None)));
        self.write_events(&mut writes);
        // One that is plain again must not leave behind what was stored before.
        let lineage = Some(&self.lineage).filter(|lineage| !lineage.is_plain());
        let lineage = lineage.map(|lineage| encode_row(ROW_VERSION, lineage));
        writes.push((key::LINEAGE.to_vec(), lineage));
        writes.push((key::META.to_vec(), Some(encode_row(ROW_VERSION, &self.meta))));
        writes
    }

    /// The newest events, and which old ones nobody needs any more.
    fn write_events(&self, writes: &mut Vec<Write>) {
        let FrozenEvents { tail, tail_changed, removed, .. } = &self.events;
        if *tail_changed {
            let row = tail.span().map(|_| encode_row(ROW_VERSION, tail));
            writes.push((key::EVENTS_TAIL.to_vec(), row));
        }
        let removed = removed.clone();
        writes.extend(removed.map(|number| (key::chunk(key::EVENTS, number), None)));
    }
}

/// What the segments of a block add to the digest.
fn sum_of(segments: &[FrozenSegment]) -> u64 {
    segments.iter().fold(0, |sum, (_, _, segment)| sum.wrapping_add(segment.sum()))
}

/// The rows of products and ledgers that nobody needs any more.
fn removed_keys(products: &FrozenBlocks, ledgers: &FrozenLedgers) -> Vec<Vec<u8>> {
    let blocks = products.removed.iter().map(|number| key::products(LOCATION, *number));
    let single = products.removed_single.iter().map(|id| key::product(LOCATION, *id));
    let segments = ledgers.removed.iter().map(|number| key::ledgers(LOCATION, *number));
    let leftovers = ledgers.leftovers.iter();
    let leftovers = leftovers.map(|(id, number)| key::segment(LOCATION, *id, *number));
    blocks.chain(single).chain(segments).chain(leftovers).collect()
}

/// Publishes the chunks of one kind: those that may change are written, those that were sealed take
/// the place of what was written of them before.
fn write_chunks<R: Stored>(chunks: &FrozenChunks<R>, writes: &mut Vec<Write>) {
    for (number, _) in &chunks.sealed {
        writes.push((key::chunk(R::OPEN, *number), None));
    }
    for (number, chunk, sum) in &chunks.open {
        let row = encode_summed_row(*sum, chunk.as_ref());
        writes.push((key::chunk(R::OPEN, *number), Some(row)));
    }
}

/// Rows on their way to the store.
pub(super) struct Stage<'a> {
    store: &'a dyn CheckpointStore,
    rows: Vec<Row>,
    bytes: usize,
    staged: u64,
}

impl<'a> Stage<'a> {
    pub(super) fn new(store: &'a dyn CheckpointStore) -> Stage<'a> {
        Stage { store, rows: Vec::new(), bytes: 0, staged: 0 }
    }

    pub(super) fn store(&self) -> &'a dyn CheckpointStore {
        self.store
    }

    pub(super) fn add(&mut self, key: Vec<u8>, row: Vec<u8>) -> Result<(), Error> {
        self.bytes += key.len() + row.len();
        self.rows.push((key, row));
        if self.rows.len() >= STAGED_ROWS_MAX || self.bytes >= STAGED_BYTES_MAX {
            self.flush()?;
        }
        Ok(())
    }

    fn add_sealed<R: Stored>(&mut self, chunks: &FrozenChunks<R>) -> Result<(), Error> {
        for (number, chunk) in &chunks.sealed {
            self.add(key::chunk(R::SEALED, *number), chunk.bytes().to_vec())?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.staged += self.rows.len() as u64;
        self.bytes = 0;
        match self.rows.is_empty() {
            true => Ok(()),
            false => self.store.stage(std::mem::take(&mut self.rows)),
        }
    }

    pub(super) fn finish(mut self) -> Result<u64, Error> {
        self.flush()?;
        Ok(self.staged)
    }
}
