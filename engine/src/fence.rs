//! Fences: idempotency keys that can no longer make an order.

use bincode::{Decode, Encode};

use crate::digest::Table;
use crate::ids::{OrderId, Position, Timestamp};
use crate::record::Record;
use crate::trace::TraceId;

/// The state of an idempotency key of orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// It made this order.
    Applied(OrderId),
    /// It made none and never will.
    Fenced,
    /// It has made none so far.
    Unused,
}

/// A stored fence. It never changes.
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
    // Nobody reads these rows: the index of keys has the same information.
    const RESIDENT_MAX: usize = 1;

    fn id(&self) -> u64 {
        self.id
    }

    fn is_open(&self) -> bool {
        false
    }
}
