//! Taking what changed from the state, and writing it to a store.

use std::sync::Arc;

use crate::adjustment::Adjustment;
use crate::audit;
use crate::checkpoint::dead::Key;
use crate::checkpoint::rows::{FORMAT, Meta, ProductRow, REFUNDS, Stored, key};
use crate::chunks::FrozenChunks;
use crate::codec::{ROW_VERSION, encode_row, encode_summed_row};
use crate::events::FrozenEvents;
use crate::fence::Fence;
use crate::hold::Hold;
use crate::ids::ProductId;
use crate::keyed::Kept;
use crate::keys::ShortMeanings;
use crate::level::Level;
use crate::lineage::Lineage;
use crate::order::Order;
use crate::packed::PackedLedger;
use crate::payment_keys::KeyScheme;
use crate::products::{FrozenBlocks, FrozenLedgers, FrozenSegment, LOCATION, NewHomes};
use crate::refund::Refund;
use crate::state::State;
use crate::store::{CheckpointStore, Error, Row, Write};
use crate::tokens::FrozenTokens;
use crate::user::User;
use crate::webhook::Webhook;

/// The most rows and bytes that are staged at once: few enough that a paced writer can pause
/// between two of them.
const STAGED_ROWS_MAX: usize = 64;
const STAGED_BYTES_MAX: usize = 1 << 18;

/// What changed since the last checkpoint, as of one applied index. Writing it does not need the
/// state.
///
/// Frozen parts must be written in the order in which they were frozen. One that is discarded loses
/// nothing: the next freeze takes its rows again.
#[derive(Debug)]
pub struct Frozen {
    generation: u64,
    meta: Meta,
    lineage: Lineage,
    level: Level,
    key_scheme: KeyScheme,
    short_meanings: ShortMeanings,
    orders: FrozenChunks<Order>,
    holds: FrozenChunks<Hold>,
    webhooks: FrozenChunks<Webhook>,
    refunds: FrozenChunks<Refund>,
    adjustments: FrozenChunks<Adjustment>,
    fences: FrozenChunks<Fence>,
    events: FrozenEvents,
    /// New blocks of products.
    products: Vec<(u64, Vec<ProductRow<PackedLedger>>)>,
    /// Rows that the published checkpoint does not count.
    dead: Arc<Vec<Key>>,
    ledgers: FrozenLedgers,
    users: Vec<User>,
    tokens: FrozenTokens,
    audit: Vec<audit::Row>,
    keyed: Vec<(u64, Vec<Kept>)>,
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
    /// The index up to which the store has everything.
    pub fn applied_index(&self) -> u64 {
        self.applied_index
    }

    /// How many rows were written.
    pub fn rows(&self) -> u64 {
        self.rows
    }
}

impl State {
    /// Takes what changed since the last checkpoint. Hashes the changed rows, copies each product
    /// that changed or must be rewritten, and shares each changed chunk.
    pub fn freeze(&mut self) -> Frozen {
        let digest = self.digest();
        self.generation += 1;
        let orders = self.orders.take_dirty(self.generation);
        let holds = self.holds.take_dirty(self.generation);
        let webhooks = self.webhooks.take_dirty(self.generation);
        let refunds = self.refunds.take_dirty(self.generation);
        let adjustments = self.adjustments.take_dirty(self.generation);
        let fences = self.fences.take_dirty(self.generation);
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
        let mut replaced = removed_keys(&blocks, &events);
        replaced_keys(&orders, &mut replaced);
        replaced_keys(&holds, &mut replaced);
        replaced_keys(&webhooks, &mut replaced);
        replaced_keys(&refunds, &mut replaced);
        replaced_keys(&adjustments, &mut replaced);
        replaced_keys(&fences, &mut replaced);
        let dead = self.dead.freeze(replaced);
        let meta = Meta {
            format: if self.is_plain() { FORMAT } else { REFUNDS },
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
            checkpoint: self.generation,
            refunds: self.refunds.len(),
        };
        let (users, tokens) = (self.users.take_dirty(), self.tokens.take_dirty());
        let audit = self.audit.take_dirty();
        let keyed = self.keyed.take_dirty();
        let generation = self.generation;
        Frozen {
            generation,
            meta,
            lineage: self.lineage.clone(),
            level: self.level.clone(),
            key_scheme: self.key_scheme,
            short_meanings: self.short_meanings(),
            orders,
            holds,
            webhooks,
            refunds,
            adjustments,
            fences,
            events,
            products,
            dead,
            ledgers,
            users,
            tokens,
            audit,
            keyed,
        }
    }

    /// Whether a build before levels can read a checkpoint.
    fn is_plain(&self) -> bool {
        self.level.is_plain() && self.refunds.len() == 0 && self.keyed.len() == 0
    }

    /// Records that the last frozen part is on disk. A report of an earlier one changes nothing,
    /// since the last freeze took its rows again.
    pub fn release(&mut self, done: &Written) {
        if done.generation != self.generation {
            return;
        }
        self.orders.release();
        self.holds.release();
        self.webhooks.release();
        self.refunds.release();
        self.adjustments.release();
        self.fences.release();
        self.events.release();
        self.dead.release();
        self.products.release(&done.segments);
        self.users.release();
        self.tokens.release();
        self.audit.release();
        self.keyed.release();
    }

    /// Evicts some chunks that a synced checkpoint has, a few hundred of each kind. True when there
    /// may be more.
    pub fn evict(&mut self) -> bool {
        // Call all of them: `||` would stop at the first.
        self.orders.evict()
            | self.holds.evict()
            | self.webhooks.evict()
            | self.refunds.evict()
            | self.adjustments.evict_some()
            | self.fences.evict_some()
            | self.events.evict_some()
    }
}

impl Frozen {
    /// The index up to which it has everything.
    pub fn applied_index(&self) -> u64 {
        self.meta.applied_index
    }

    /// Stages, syncs, publishes and syncs.
    ///
    /// # Errors
    /// When the store fails. The store then has the last checkpoint or this one; the node stops.
    pub fn write(&self, store: &dyn CheckpointStore) -> Result<Written, Error> {
        let staged = self.stage(store)?;
        if staged > 0 || !self.dead.is_empty() {
            store.sync()?;
        }
        let writes = self.writes();
        let rows = staged + writes.iter().filter(|(_, row)| row.is_some()).count() as u64;
        store.publish(writes)?;
        store.sync()?;
        Ok(Written {
            generation: self.generation,
            applied_index: self.meta.applied_index,
            rows,
            segments: self.ledgers.homes.clone(),
        })
    }

    /// Removes what no published checkpoint counts and writes the new rows, in bounded batches;
    /// returns how many rows were written.
    fn stage(&self, store: &dyn CheckpointStore) -> Result<u64, Error> {
        for dead in self.dead.chunks(STAGED_ROWS_MAX) {
            store.discard(dead.to_vec())?;
        }
        let mut stage = Stage::new(store);
        let checkpoint = self.meta.checkpoint;
        stage.add_chunks(&self.orders, checkpoint)?;
        stage.add_chunks(&self.holds, checkpoint)?;
        stage.add_chunks(&self.webhooks, checkpoint)?;
        stage.add_chunks(&self.refunds, checkpoint)?;
        stage.add_chunks(&self.adjustments, checkpoint)?;
        stage.add_chunks(&self.fences, checkpoint)?;
        for (number, events) in &self.events.full {
            stage.add(key::events(*number), encode_row(ROW_VERSION, events.as_ref()))?;
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

    /// The one transaction: the rows that each checkpoint writes to the same keys, and the row that
    /// publishes everything.
    fn writes(&self) -> Vec<Write> {
        let mut writes = Vec::new();
        let FrozenEvents { tail, tail_changed, .. } = &self.events;
        if *tail_changed {
            let row = tail.span().map(|_| encode_row(ROW_VERSION, tail));
            writes.push((key::EVENTS_TAIL.to_vec(), row));
        }
        // All blocks of segments below the published number count. So the transaction removes those
        // of a freeze that nobody reported as stored; there hardly ever are any.
        let removed = self.ledgers.removed.iter();
        writes.extend(removed.map(|number| (key::ledgers(LOCATION, *number), None)));
        // A lineage that is the default again must not leave its old row behind.
        let lineage = Some(&self.lineage).filter(|lineage| !lineage.is_plain());
        let lineage = lineage.map(|lineage| encode_row(ROW_VERSION, lineage));
        writes.push((key::LINEAGE.to_vec(), lineage));
        // A level never falls, so there is nothing to remove.
        if !self.level.is_plain() {
            writes.push((key::LEVEL.to_vec(), Some(encode_row(ROW_VERSION, &self.level))));
        }
        // There are few tokens, so their rows need no numbers of checkpoints: the transaction
        // replaces and removes them.
        let FrozenTokens { head, rows } = &self.tokens;
        for (id, token) in rows {
            let row = token.as_deref().map(|token| encode_row(ROW_VERSION, token));
            writes.push((key::token(*id), row));
        }
        // Each row is replaced as a whole, and none is ever removed.
        for (number, keys) in &self.keyed {
            writes.push((key::keyed(*number), Some(encode_row(ROW_VERSION, keys))));
        }
        if !head.is_plain() {
            writes.push((key::AUTH.to_vec(), Some(encode_row(ROW_VERSION, head))));
        }
        // So has the audit few rows, each in the place of an older one.
        for row in &self.audit {
            writes.push((key::audit(row.place()), Some(encode_row(ROW_VERSION, row))));
        }
        if !self.key_scheme.is_plain() {
            let row = encode_row(ROW_VERSION, &self.key_scheme);
            writes.push((key::KEY_SCHEME.to_vec(), Some(row)));
        }
        if !self.short_meanings.is_plain() {
            let row = encode_row(ROW_VERSION, &self.short_meanings);
            writes.push((key::SHORT_MEANINGS.to_vec(), Some(row)));
        }
        writes.push((key::META.to_vec(), Some(encode_row(ROW_VERSION, &self.meta))));
        writes
    }
}

/// The share of the digest of the segments of a block.
fn sum_of(segments: &[FrozenSegment]) -> u64 {
    segments.iter().fold(0, |sum, (_, _, segment)| sum.wrapping_add(segment.sum()))
}

/// The rows of products and events that a freeze no longer counts.
fn removed_keys(products: &FrozenBlocks, events: &FrozenEvents) -> Vec<Key> {
    let blocks = products.removed.iter().map(|number| key::products(LOCATION, *number));
    let single = products.removed_single.iter().map(|id| key::product(LOCATION, *id));
    let events = events.removed.clone().map(key::events);
    blocks.chain(single).chain(events).collect()
}

/// The rows of chunks that a freeze replaces.
fn replaced_keys<R: Stored>(chunks: &FrozenChunks<R>, keys: &mut Vec<Key>) {
    keys.extend(chunks.replaced.iter().map(|row| {
        let letter = if row.sealed { R::SEALED } else { R::OPEN };
        key::chunk(letter, row.number, row.checkpoint)
    }));
}

/// Rows that are staged in bounded batches.
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

    fn add_chunks<R: Stored>(
        &mut self,
        chunks: &FrozenChunks<R>,
        checkpoint: u64,
    ) -> Result<(), Error> {
        for (number, chunk) in &chunks.sealed {
            self.add(key::chunk(R::SEALED, *number, checkpoint), chunk.bytes().to_vec())?;
        }
        for (number, chunk, sum) in &chunks.open {
            let row = encode_summed_row(*sum, chunk.as_ref());
            self.add(key::chunk(R::OPEN, *number, checkpoint), row)?;
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
