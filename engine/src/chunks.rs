//! Rows of one kind in chunks of consecutive ids, for orders, holds and the like.
//!
//! A freeze shares chunks by reference count; a shared chunk is copied only when it changes. A
//! chunk that is full and whose rows are all final is sealed: it never changes again, and may be
//! evicted from memory after a synced checkpoint has it. This module never looks into rows.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::digest::RowHasher;
use crate::packed::{InChunk, PackedChunk};
use crate::record::{Chunk, Record};

/// A row that a store may have for a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StoredRow {
    /// The number of the chunk.
    pub(crate) number: u64,
    /// Whether the chunk was sealed.
    pub(crate) sealed: bool,
    /// The checkpoint that wrote it.
    pub(crate) checkpoint: u64,
}

/// What a freeze takes of one kind of rows: chunks by number, ascending, shared with the state.
#[derive(Debug)]
pub(crate) struct FrozenChunks<R: InChunk> {
    /// Rows of older checkpoints that these replace.
    pub(crate) replaced: Vec<StoredRow>,
    /// Chunks that will never change again.
    pub(crate) sealed: Vec<(u64, Arc<PackedChunk<R>>)>,
    /// Chunks that may change, each with its share of the digest.
    pub(crate) open: Vec<(u64, Arc<Chunk<R>>, u64)>,
}

/// Where the rows of a chunk are.
#[derive(Debug)]
enum Rows<R: InChunk> {
    /// In memory and not packed. Some rows may change, or the chunk was not packed yet.
    Plain(Arc<Chunk<R>>),
    /// In memory, packed: it never changes again.
    Packed(Arc<PackedChunk<R>>),
    /// In the store only.
    Stored,
}

/// A chunk and its bookkeeping.
#[derive(Debug)]
struct Slot<R: InChunk> {
    rows: Rows<R>,
    /// Each row's share of the digest; empty once the chunk is packed or evicted.
    hashes: Vec<u64>,
    /// Rows changed since they were hashed, one bit each.
    touched: u64,
    /// Whether the list of changed chunks contains it.
    listed: bool,
    /// The number of rows that are not final.
    open: u8,
    /// Changed since the last freeze.
    dirty: bool,
}

/// All rows of one kind.
#[derive(Debug)]
pub(crate) struct Chunks<R: InChunk> {
    slots: Vec<Slot<R>>,
    len: u64,
    touched: Vec<u64>,
    touched_rows: usize,
    dirty: Vec<u64>,
    /// Frozen, and not yet known to be stored.
    in_flight: Vec<u64>,
    /// The newest row that a store may have for each chunk that was not stored sealed.
    stored: BTreeMap<u64, StoredRow>,
    /// Sealed chunks in memory that a synced checkpoint has, oldest first.
    evictable: VecDeque<u64>,
    resident: usize,
    resident_max: usize,
    /// Buffers of packed chunks, reused while they are in the processor's cache.
    spare: Vec<Vec<R>>,
    sum: u64,
}

/// Chunks that are evicted at once, of thousands that a checkpoint may make evictable: nobody else
/// can use the state meanwhile.
pub(crate) const EVICTED_AT_ONCE: usize = 256;
/// Chunks that are evicted whenever a new one is added.
pub(crate) const EVICTED_PER_NEW: usize = 4;

/// How many buffers are kept.
const SPARE_MAX: usize = 64;

impl<R: InChunk> Default for Chunks<R> {
    fn default() -> Chunks<R> {
        Chunks {
            slots: Vec::new(),
            len: 0,
            touched: Vec::new(),
            touched_rows: 0,
            dirty: Vec::new(),
            in_flight: Vec::new(),
            stored: BTreeMap::new(),
            evictable: VecDeque::new(),
            resident: 0,
            resident_max: R::RESIDENT_MAX,
            spare: Vec::new(),
            sum: 0,
        }
    }
}

impl<R: InChunk> Chunks<R> {
    /// How many rows have ever been added.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// The row, if it is in memory and not packed. Open rows always are.
    pub(crate) fn plain(&self, id: u64) -> Option<&R> {
        let (chunk, at) = R::place(id)?;
        match &self.slots.get(usize::try_from(chunk).ok()?)?.rows {
            Rows::Plain(chunk) => chunk.rows.get(at),
            Rows::Packed(_) | Rows::Stored => None,
        }
    }

    /// The row, if it is in memory.
    pub(crate) fn get(&self, id: u64) -> Option<Cow<'_, R>> {
        let (chunk, at) = R::place(id)?;
        match &self.slots.get(usize::try_from(chunk).ok()?)?.rows {
            Rows::Plain(chunk) => chunk.rows.get(at).map(Cow::Borrowed),
            Rows::Packed(chunk) => (at < chunk.len()).then(|| Cow::Owned(chunk.get(at))),
            Rows::Stored => None,
        }
    }

    /// Prefetches a row that is about to change. Prefetching many rows before the first change lets
    /// their cache misses overlap.
    pub(crate) fn fetch(&self, id: u64) {
        std::hint::black_box(self.plain(id).map(Record::touch));
    }

    /// All rows in memory, by ascending id.
    pub(crate) fn residents(&self) -> impl Iterator<Item = Cow<'_, R>> {
        let chunks = (0..).zip(&self.slots).filter(|(_, slot)| slot.is_resident());
        let ids = chunks.flat_map(|(chunk, _)| chunk * R::CHUNK + 1..=(chunk + 1) * R::CHUNK);
        ids.filter_map(|id| self.get(id))
    }

    /// All rows that are not final, by ascending id.
    pub(crate) fn open_rows(&self) -> impl Iterator<Item = &R> {
        self.open_rows_from(1)
    }

    /// All rows that are not final and have this id or a greater one, by ascending id.
    pub(crate) fn open_rows_from(&self, first: u64) -> impl Iterator<Item = &R> {
        let slot = usize::try_from(first.saturating_sub(1) / R::CHUNK).unwrap_or(usize::MAX);
        self.slots
            .iter()
            .skip(slot)
            .filter(|slot| slot.open > 0)
            .filter_map(Slot::plain)
            .flat_map(|chunk| &chunk.rows)
            .filter(move |row| row.is_open() && row.id() >= first)
    }

    /// Adds a row under the next id.
    pub(crate) fn push(&mut self, row: R) {
        let (id, open) = (row.id(), row.is_open());
        let at = self.append(row);
        let slot = &mut self.slots[at];
        slot.hashes.push(0);
        slot.open += u8::from(open);
        self.mark(id);
    }

    /// Appends the row to its chunk; returns the chunk's index.
    fn append(&mut self, row: R) -> usize {
        assert_eq!(row.id(), self.len + 1, "ids are dense");
        if self.len.is_multiple_of(R::CHUNK) {
            let rows = self.spare.pop().unwrap_or_else(|| Vec::with_capacity(R::CHUNK as usize));
            let chunk = Arc::new(Chunk { rows });
            let hashes = Vec::with_capacity(R::CHUNK as usize);
            self.slots.push(Slot {
                rows: Rows::Plain(chunk),
                hashes,
                touched: 0,
                listed: false,
                open: 0,
                dirty: false,
            });
            self.resident += 1;
            self.evict(EVICTED_PER_NEW);
        }
        self.len += 1;
        let at = self.slots.len() - 1;
        self.slots[at].plain_mut().rows.push(row);
        at
    }

    /// An open row, to be changed. A caller that makes it final also calls [`Chunks::close`].
    pub(crate) fn change(&mut self, id: u64) -> &mut R {
        self.mark(id);
        let (chunk, at) = R::place(id).expect("ids start at 1");
        &mut self.slots[chunk as usize].plain_mut().rows[at]
    }

    /// Records that an open row becomes final.
    pub(crate) fn close(&mut self, id: u64) {
        let (chunk, _) = R::place(id).expect("ids start at 1");
        self.slots[chunk as usize].open -= 1;
    }

    fn mark(&mut self, id: u64) {
        let (chunk, at) = R::place(id).expect("ids start at 1");
        let slot = &mut self.slots[chunk as usize];
        if !slot.listed {
            slot.listed = true;
            self.touched.push(chunk);
        }
        if slot.touched & 1 << at == 0 {
            slot.touched |= 1 << at;
            self.touched_rows += 1;
        }
        if !slot.dirty {
            slot.dirty = true;
            self.dirty.push(chunk);
        }
    }

    /// Hashes a row that became final, while it is in the processor's cache: it will not change
    /// again. Packs the chunk once all its rows are final and hashed.
    pub(crate) fn settle(&mut self, id: u64, hasher: &mut RowHasher) {
        let (chunk, at) = R::place(id).expect("ids start at 1");
        let slot = &mut self.slots[chunk as usize];
        if slot.touched & 1 << at != 0 {
            slot.touched &= !(1 << at);
            self.touched_rows -= 1;
            slot.hash(at, &mut self.sum, hasher);
        }
        if slot.is_sealed() && slot.touched == 0 {
            let room = slot.pack();
            self.spare.extend(room.filter(|_| self.spare.len() < SPARE_MAX));
        }
    }

    /// Rows changed since they were last hashed.
    pub(crate) fn touched(&self) -> usize {
        self.touched_rows
    }

    /// Hashes the changed rows and returns the sum over all rows.
    pub(crate) fn digest(&mut self, hasher: &mut RowHasher) -> u64 {
        self.hash_touched(usize::MAX, hasher);
        self.sum
    }

    /// Hashes at least `rows` changed rows, if there are that many. Returns how many it hashed.
    pub(crate) fn hash_touched(&mut self, rows: usize, hasher: &mut RowHasher) -> usize {
        let before = self.touched_rows;
        while before - self.touched_rows < rows
            && let Some(chunk) = self.touched.pop()
        {
            let slot = &mut self.slots[chunk as usize];
            slot.listed = false;
            let mut touched = std::mem::take(&mut slot.touched);
            self.touched_rows -= touched.count_ones() as usize;
            while touched != 0 {
                let at = touched.trailing_zeros() as usize;
                touched &= touched - 1;
                slot.hash(at, &mut self.sum, hasher);
            }
        }
        before - self.touched_rows
    }

    /// Takes what changed since the last freeze, and what an earlier freeze took and nobody
    /// reported as stored, for the checkpoint with this number. Every row must have been hashed.
    pub(crate) fn take_dirty(&mut self, checkpoint: u64) -> FrozenChunks<R> {
        for chunk in self.in_flight.drain(..) {
            let slot = &mut self.slots[chunk as usize];
            if !slot.dirty {
                slot.dirty = true;
                self.dirty.push(chunk);
            }
        }
        std::mem::swap(&mut self.in_flight, &mut self.dirty);
        self.in_flight.sort_unstable();
        let (mut sealed, mut open, mut replaced) = (Vec::new(), Vec::new(), Vec::new());
        for &id in &self.in_flight {
            let slot = &mut self.slots[id as usize];
            slot.dirty = false;
            if slot.is_sealed() {
                slot.pack();
            }
            match &slot.rows {
                Rows::Plain(chunk) => open.push((id, Arc::clone(chunk), sum_of(&slot.hashes))),
                Rows::Packed(chunk) => sealed.push((id, Arc::clone(chunk))),
                Rows::Stored => unreachable!("a dirty chunk is resident"),
            }
            let row = StoredRow { number: id, sealed: slot.is_sealed(), checkpoint };
            replaced.extend(self.stored.insert(id, row));
        }
        FrozenChunks { replaced, sealed, open }
    }

    /// Records that a synced checkpoint has what the last freeze took.
    pub(crate) fn release(&mut self) {
        for id in std::mem::take(&mut self.in_flight) {
            let slot = &self.slots[id as usize];
            // A chunk that was sealed meanwhile is dirty again and waits for the next checkpoint.
            if slot.is_sealed() && !slot.dirty {
                self.evictable.push_back(id);
                self.stored.remove(&id);
            }
        }
        self.evict(EVICTED_AT_ONCE);
    }

    /// How many chunks are in memory.
    pub(crate) fn resident_chunks(&self) -> usize {
        self.resident
    }

    /// Sets how many chunks may stay in memory, beyond those that must.
    pub(crate) fn set_resident_chunks_max(&mut self, chunks: usize) {
        self.resident_max = chunks;
        self.evict(usize::MAX);
    }

    /// Evicts some more chunks from memory; true when there may be more.
    pub(crate) fn evict_some(&mut self) -> bool {
        let before = self.resident;
        self.evict(EVICTED_AT_ONCE);
        before - self.resident == EVICTED_AT_ONCE
    }

    /// Evicts the oldest chunks that a synced checkpoint has, at most `at_most`.
    fn evict(&mut self, at_most: usize) {
        for _ in 0..at_most.min(self.resident.saturating_sub(self.resident_max)) {
            let Some(id) = self.evictable.pop_front() else { break };
            let slot = &mut self.slots[id as usize];
            debug_assert!(slot.touched == 0, "a stored chunk was hashed when it was frozen");
            slot.rows = Rows::Stored;
            slot.hashes = Vec::new();
            self.resident -= 1;
        }
    }

    /// Restores the next chunk from a store, with each row's share of the digest, and the
    /// checkpoint that wrote it unless it was sealed. Only the last chunk may be partial.
    pub(crate) fn restore(&mut self, rows: Vec<R>, hashes: Vec<u64>, open: Option<u64>) {
        assert!(self.len.is_multiple_of(R::CHUNK) && hashes.len() == rows.len());
        if let Some(checkpoint) = open {
            let number = self.slots.len() as u64;
            self.stored.insert(number, StoredRow { number, sealed: false, checkpoint });
        }
        self.len += rows.len() as u64;
        self.sum = self.sum.wrapping_add(sum_of(&hashes));
        let open = rows.iter().filter(|row| row.is_open()).count();
        let slot = Slot {
            rows: Rows::Plain(Arc::new(Chunk { rows })),
            hashes,
            touched: 0,
            listed: false,
            open: u8::try_from(open).expect("a chunk is small"),
            dirty: false,
        };
        if slot.is_sealed() {
            self.evictable.push_back(self.slots.len() as u64);
        }
        self.slots.push(slot);
        self.resident += 1;
        self.evict(EVICTED_PER_NEW);
    }

    /// Packs restored chunks that stay in memory.
    pub(crate) fn pack_restored(&mut self) {
        for id in &self.evictable {
            self.slots[*id as usize].pack();
        }
    }

    /// How many rows of each chunk are not final.
    pub(crate) fn open_counts(&self) -> impl Iterator<Item = u64> {
        self.slots.iter().map(|slot| u64::from(slot.open))
    }

    /// Whether the chunks agree with their counts.
    pub(crate) fn is_sound(&self) -> bool {
        self.slots.len() as u64 == self.len.div_ceil(R::CHUNK)
            && self.slots.iter().filter(|slot| slot.is_resident()).count() == self.resident
            && self.slots.iter().all(|slot| match &slot.rows {
                Rows::Packed(_) | Rows::Stored => slot.open == 0,
                Rows::Plain(chunk) => {
                    let open = chunk.rows.iter().filter(|row| row.is_open()).count();
                    usize::from(slot.open) == open
                }
            })
    }

    /// Whether every row is in memory.
    pub(crate) fn all_resident(&self) -> bool {
        self.resident == self.slots.len()
    }
}

/// A chunk's share of the digest.
fn sum_of(hashes: &[u64]) -> u64 {
    hashes.iter().fold(0, |sum, hash| sum.wrapping_add(*hash))
}

impl<R: InChunk> Slot<R> {
    fn is_resident(&self) -> bool {
        !matches!(self.rows, Rows::Stored)
    }

    /// The rows, if they are in memory and not packed.
    fn plain(&self) -> Option<&Chunk<R>> {
        match &self.rows {
            Rows::Plain(chunk) => Some(chunk),
            Rows::Packed(_) | Rows::Stored => None,
        }
    }

    /// The rows, to be changed. Copies a chunk that a freeze shares.
    fn plain_mut(&mut self) -> &mut Chunk<R> {
        match &mut self.rows {
            Rows::Plain(chunk) => Arc::make_mut(chunk),
            Rows::Packed(_) | Rows::Stored => unreachable!("a chunk that changes is in memory"),
        }
    }

    /// Packs a sealed chunk whose rows are all hashed, unless it is packed; returns the buffer of
    /// its rows.
    fn pack(&mut self) -> Option<Vec<R>> {
        debug_assert!(
            self.is_sealed() && self.touched == 0,
            "only chunks that never change again are packed"
        );
        let Rows::Plain(chunk) = &self.rows else { return None };
        std::hint::black_box(chunk.rows.iter().fold(0, |all, row| all ^ row.touch()));
        let packed = Rows::Packed(Arc::new(PackedChunk::of(chunk, sum_of(&self.hashes))));
        self.hashes = Vec::new();
        match std::mem::replace(&mut self.rows, packed) {
            Rows::Plain(chunk) => {
                let mut rows = Arc::into_inner(chunk)?.rows;
                rows.clear();
                Some(rows)
            }
            Rows::Packed(_) | Rows::Stored => None,
        }
    }

    /// Hashes a changed row, and replaces its old share of the sum.
    fn hash(&mut self, at: usize, sum: &mut u64, hasher: &mut RowHasher) {
        let row = &self.plain().expect("a touched chunk is not packed").rows[at];
        let hash = hasher.hash(R::TABLE, row.id(), row);
        *sum = sum.wrapping_sub(self.hashes[at]).wrapping_add(hash);
        self.hashes[at] = hash;
    }

    /// Whether it never changes again.
    fn is_sealed(&self) -> bool {
        // A packed or stored chunk was full.
        self.open == 0 && self.plain().is_none_or(|chunk| chunk.rows.len() as u64 == R::CHUNK)
    }
}
