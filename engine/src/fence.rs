//! Fences: idempotency keys that can never make an order any more.

use bincode::{Decode, Encode};

use crate::digest::Table;
use crate::ids::{OrderId, Position, Timestamp};
use crate::record::Record;
use crate::trace::TraceId;

/// What an idempotency key of orders has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// It made this order.
    Applied(OrderId),
    /// It made none and never will.
    Fenced,
    /// It made none so far.
    Unused,
}

/// A fenced key, as stored. It never changes.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Fence {
    /// Dense, from 1.
    pub(crate) id: u64,
    pub(crate) key: Box<str>,
    /// The trace id of the request.
    pub(crate) trace: TraceId,
    /// The command that fenced it, and when.
    pub(crate) position: Position,
    pub(crate) at: Timestamp,
}

impl Record for Fence {
    const TABLE: Table = Table::Fence;
    const CHUNK: u64 = 64;
    // Nobody asks for the rows: the index of keys knows all there is to know.
    const RESIDENT_MAX: usize = 1;

    fn id(&self) -> u64 {
        self.id
    }

    fn is_open(&self) -> bool {
        false
    }
}
