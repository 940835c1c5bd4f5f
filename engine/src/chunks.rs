//! Rows of one kind in chunks of consecutive ids: what orders, holds and the like have in common.
//!
//! A chunk is shared with a freeze by reference count and copied only when it changes meanwhile.
//! Once it is full and all its rows are final it is sealed: nothing in it changes any more, and
//! after a synced checkpoint holds it, it may leave memory. This module moves rows about and never
//! looks into them.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use bincode::Encode;

use crate::digest::{RowHasher, Table};

/// A row that lives in a chunk.
pub(crate) trait Record: Clone + fmt::Debug + PartialEq + Encode {
    /// The kind of row, for the digest.
    const TABLE: Table;
    /// Rows per chunk, at most 64.
    const CHUNK: u64;
    /// How many chunks stay in memory unless set otherwise.
    const RESIDENT_MAX: usize;

    /// The row's id: dense, from 1.
    fn id(&self) -> u64;

    /// Whether the row may still change. One that may not never may again.
    fn is_open(&self) -> bool;

    /// The chunk that holds a row, and the row's place there. There is no row 0.
    fn place(id: u64) -> Option<(u64, usize)> {
        let slot = id.checked_sub(1)?;
        Some((slot / Self::CHUNK, (slot % Self::CHUNK) as usize))
    }
}

/// Consecutive rows, stored as one; how they are packed is in [`crate::checkpoint`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chunk<R> {
    pub(crate) rows: Vec<R>,
}

/// Chunks by number, shared with the state.
pub(crate) type SharedChunks<R> = Vec<(u64, Arc<Chunk<R>>)>;

/// What a freeze takes of one kind of rows.
#[derive(Debug)]
pub(crate) struct FrozenChunks<R> {
    /// Chunks that will never change again, ascending.
    pub(crate) sealed: SharedChunks<R>,
    /// Chunks that may change, ascending.
    pub(crate) open: SharedChunks<R>,
}

/// What is known of one chunk.
#[derive(Debug)]
struct Slot<R> {
    chunk: Option<Arc<Chunk<R>>>,
    /// What each row adds to the digest; empty when the chunk is not resident.
    hashes: Vec<u64>,
    /// Rows changed since they were hashed, a bit each.
    touched: u64,
    /// Rows that are not final.
    open: u8,
    /// Changed since the last freeze.
    dirty: bool,
}

/// All rows of one kind.
#[derive(Debug)]
pub(crate) struct Chunks<R> {
    slots: Vec<Slot<R>>,
    len: u64,
    touched: Vec<u64>,
    touched_rows: usize,
    dirty: Vec<u64>,
    /// Frozen and not yet known to be stored.
    in_flight: Vec<u64>,
    /// Sealed chunks in memory that a synced checkpoint holds, oldest first.
    evictable: VecDeque<u64>,
    resident: usize,
    resident_max: usize,
    sum: u64,
}

impl<R: Record> Default for Chunks<R> {
    fn default() -> Chunks<R> {
        Chunks {
            slots: Vec::new(),
            len: 0,
            touched: Vec::new(),
            touched_rows: 0,
            dirty: Vec::new(),
            in_flight: Vec::new(),
            evictable: VecDeque::new(),
            resident: 0,
            resident_max: R::RESIDENT_MAX,
            sum: 0,
        }
    }
}

impl<R: Record> Chunks<R> {
    /// How many rows there ever were.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// The row, if it is in memory. Open rows always are.
    pub(crate) fn get(&self, id: u64) -> Option<&R> {
        let (chunk, at) = R::place(id)?;
        self.slots.get(usize::try_from(chunk).ok()?)?.chunk.as_ref()?.rows.get(at)
    }

    /// All rows in memory, by ascending id.
    pub(crate) fn residents(&self) -> impl Iterator<Item = &R> {
        self.slots.iter().filter_map(|slot| slot.chunk.as_ref()).flat_map(|chunk| &chunk.rows)
    }

    /// All rows that are not final, by ascending id.
    pub(crate) fn open_rows(&self) -> impl Iterator<Item = &R> {
        self.slots
            .iter()
            .filter(|slot| slot.open > 0)
            .filter_map(|slot| slot.chunk.as_ref())
            .flat_map(|chunk| &chunk.rows)
            .filter(|row| row.is_open())
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

    /// Puts the row into its chunk; gives the chunk's place.
    fn append(&mut self, row: R) -> usize {
        assert_eq!(row.id(), self.len + 1, "ids are dense");
        if self.len.is_multiple_of(R::CHUNK) {
            let chunk = Arc::new(Chunk { rows: Vec::with_capacity(R::CHUNK as usize) });
            let (hashes, touched, open, dirty) = (Vec::new(), 0, 0, false);
            self.slots.push(Slot { chunk: Some(chunk), hashes, touched, open, dirty });
            self.resident += 1;
        }
        self.len += 1;
        let at = self.slots.len() - 1;
        let chunk = self.slots[at].chunk.as_mut().expect("the last chunk is resident");
        Arc::make_mut(chunk).rows.push(row);
        at
    }

    /// An open row, to be changed. One that becomes final must be closed too.
    pub(crate) fn change(&mut self, id: u64) -> &mut R {
        self.mark(id);
        let (chunk, at) = R::place(id).expect("ids start at 1");
        let chunk = self.slots[chunk as usize].chunk.as_mut().expect("open rows are resident");
        &mut Arc::make_mut(chunk).rows[at]
    }

    /// Notes that an open row becomes final.
    pub(crate) fn close(&mut self, id: u64) {
        let (chunk, _) = R::place(id).expect("ids start at 1");
        self.slots[chunk as usize].open -= 1;
    }

    fn mark(&mut self, id: u64) {
        let (chunk, at) = R::place(id).expect("ids start at 1");
        let slot = &mut self.slots[chunk as usize];
        if slot.touched == 0 {
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

    /// Rows changed since they were last hashed.
    pub(crate) fn touched(&self) -> usize {
        self.touched_rows
    }

    /// Hashes what was touched and gives the sum over all rows.
    pub(crate) fn digest(&mut self, hasher: &mut RowHasher) -> u64 {
        for chunk in self.touched.drain(..) {
            let slot = &mut self.slots[chunk as usize];
            let chunk = slot.chunk.as_ref().expect("a touched chunk is resident");
            let mut touched = std::mem::take(&mut slot.touched);
            while touched != 0 {
                let at = touched.trailing_zeros() as usize;
                touched &= touched - 1;
                let row = &chunk.rows[at];
                let hash = hasher.hash(R::TABLE, row.id(), row);
                self.sum = self.sum.wrapping_sub(slot.hashes[at]).wrapping_add(hash);
                slot.hashes[at] = hash;
            }
        }
        self.touched_rows = 0;
        self.sum
    }

    /// Takes what changed since the last freeze, with what an earlier freeze took and nobody
    /// reported as stored. Everything must have been hashed.
    pub(crate) fn take_dirty(&mut self) -> FrozenChunks<R> {
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
        FrozenChunks { sealed, open }
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

    /// Puts a stored row back under the next id.
    pub(crate) fn restore(&mut self, row: R, hasher: &mut RowHasher) {
        let hash = hasher.hash(R::TABLE, row.id(), &row);
        let open = row.is_open();
        self.sum = self.sum.wrapping_add(hash);
        let at = self.append(row);
        let slot = &mut self.slots[at];
        slot.hashes.push(hash);
        slot.open += u8::from(open);
        if slot.is_sealed() {
            self.evictable.push_back(at as u64);
            self.evict();
        }
    }

    /// How many rows of each chunk are not final.
    pub(crate) fn open_counts(&self) -> impl Iterator<Item = u64> {
        self.slots.iter().map(|slot| u64::from(slot.open))
    }

    /// Whether the chunks agree with their counts.
    pub(crate) fn is_sound(&self) -> bool {
        self.slots.len() as u64 == self.len.div_ceil(R::CHUNK)
            && self.slots.iter().filter(|slot| slot.chunk.is_some()).count() == self.resident
            && self.slots.iter().all(|slot| match &slot.chunk {
                None => slot.open == 0,
                Some(chunk) => {
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

impl<R: Record> Slot<R> {
    /// Whether nothing in it will change any more. The last chunk is resident, so an absent one is
    /// full.
    fn is_sealed(&self) -> bool {
        self.open == 0
            && self.chunk.as_ref().is_none_or(|chunk| chunk.rows.len() as u64 == R::CHUNK)
    }
}
