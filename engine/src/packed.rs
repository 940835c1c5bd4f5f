//! Consecutive rows that are kept as the bytes which a store holds of them.
//!
//! Movements and events are told once, read seldom and never changed. So they are encoded when they
//! are told: that is less to write to memory than the rows themselves, and a checkpoint copies
//! bytes instead of encoding. Consecutive rows differ little in time and place, so each number is
//! stored as its distance from the one before, in one to three bytes instead of nine. Distances
//! wrap around: any value comes back as it was, whether or not it grows.

mod chunks;
mod events;
mod ledger;
mod orders;

pub(crate) use chunks::{InChunk, PackedChunk};
pub(crate) use events::{CHUNK_EVENTS, EventRows, PackedEvents, Span};
pub(crate) use ledger::{LedgerRows, PackedLedger};

/// The number that the next one is told apart from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Last(pub(crate) u64);

impl Last {
    /// The signed distance to `next`, which takes the place of the last.
    pub(crate) fn step(&mut self, next: u64) -> i64 {
        let before = std::mem::replace(&mut self.0, next);
        next.wrapping_sub(before) as i64
    }

    /// The number at that distance, which takes the place of the last.
    pub(crate) fn follow(&mut self, distance: i64) -> u64 {
        self.0 = self.0.wrapping_add(distance as u64);
        self.0
    }
}
