//! Consecutive rows that are kept as the bytes that a store has of them.
//!
//! Ledger rows and events are written once, read seldom and never changed. So they are encoded at
//! once: that writes less memory than the rows themselves, and a checkpoint only copies bytes.
//! Consecutive rows differ little in time and position, so each number is stored as its distance
//! from the one before, in one to three bytes instead of nine. Distances wrap around, so any
//! sequence of numbers is restored exactly.

mod chunks;
mod events;
mod ledger;
mod orders;

pub(crate) use chunks::{InChunk, PackedChunk};
pub(crate) use events::{CHUNK_EVENTS, EventRows, PackedEvents, Span};
pub(crate) use ledger::{LedgerRows, PackedLedger};

/// The number from which the next distance is measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Last(pub(crate) u64);

impl Last {
    /// Returns the signed distance to `next`, which becomes the last number.
    pub(crate) fn step(&mut self, next: u64) -> i64 {
        let before = std::mem::replace(&mut self.0, next);
        next.wrapping_sub(before) as i64
    }

    /// Returns the number at that distance, which becomes the last number.
    pub(crate) fn follow(&mut self, distance: i64) -> u64 {
        self.0 = self.0.wrapping_add(distance as u64);
        self.0
    }
}
