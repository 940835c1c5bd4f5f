//! What rows that live in chunks have in common, and the chunk itself.

use std::fmt;

use bincode::Encode;

use crate::digest::Table;

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

    /// Looks at all parts of the row, wherever they lie; what it gives means nothing.
    fn touch(&self) -> u64 {
        self.id()
    }

    /// The chunk that holds a row, and the row's place there. There is no row 0.
    fn place(id: u64) -> Option<(u64, usize)> {
        let slot = id.checked_sub(1)?;
        Some((slot / Self::CHUNK, (slot % Self::CHUNK) as usize))
    }
}

/// Consecutive rows, stored as one; how they are packed is in [`crate::packed`].
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
