//! Rows that live in chunks, and the chunk itself.

use std::fmt;

use bincode::Encode;

use crate::digest::Table;

/// A row that lives in a chunk.
pub(crate) trait Record: Clone + fmt::Debug + PartialEq + Encode {
    /// The kind of row; part of the hash.
    const TABLE: Table;
    /// Rows per chunk, at most 64.
    const CHUNK: u64;
    /// How many chunks stay in memory by default.
    const RESIDENT_MAX: usize;

    /// The row's id: dense, from 1.
    fn id(&self) -> u64;

    /// Whether the row may still change. A final row never becomes open again.
    fn is_open(&self) -> bool;

    /// Reads one byte of each part of the row, to bring it into the processor's cache. The result
    /// means nothing.
    fn touch(&self) -> u64 {
        self.id()
    }

    /// The chunk of a row, and the row's index in it. There is no row 0.
    fn place(id: u64) -> Option<(u64, usize)> {
        let slot = id.checked_sub(1)?;
        Some((slot / Self::CHUNK, (slot % Self::CHUNK) as usize))
    }
}

/// Consecutive rows, stored as one value; [`crate::packed`] encodes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chunk<R> {
    pub(crate) rows: Vec<R>,
}

impl<R: Record> Chunk<R> {
    /// The id of the first row, or 0 when there is none.
    pub(crate) fn first(&self) -> u64 {
        self.rows.first().map_or(0, Record::id)
    }
}
