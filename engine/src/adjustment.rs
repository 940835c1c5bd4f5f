//! Adjustments: stock that somebody counted, added or removed, and why.

use bincode::{Decode, Encode};

use crate::digest::Table;
use crate::ids::{AdjustmentId, Position, ProductId, Timestamp};
use crate::record::Record;
use crate::trace::TraceId;

/// How the stock changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub enum Change {
    /// By this many units: added when positive, removed when negative, never 0.
    By(i64),
    /// To this many units that can be sold. Held and reserved units stay as they are.
    To(i64),
}

/// A stored adjustment. It never changes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct Adjustment {
    /// Its id, which the product's ledger row names.
    pub id: AdjustmentId,
    /// The product.
    pub product: ProductId,
    /// The requested change.
    pub change: Change,
    /// How many units had to be available before.
    pub expected: Option<i64>,
    /// The reason, as free text.
    pub reason: Box<str>,
    /// The idempotency key of the request.
    pub key: Option<Box<str>>,
    /// How many units were added, or removed when negative.
    pub delta: i64,
    /// How many units were available afterwards.
    pub available: i64,
    /// The trace id of the request.
    pub trace: TraceId,
    /// The command that made it.
    pub position: Position,
    /// The replicated clock at that moment.
    pub at: Timestamp,
}

impl Record for Adjustment {
    const TABLE: Table = Table::Adjustment;
    const CHUNK: u64 = 64;
    const RESIDENT_MAX: usize = 64;

    fn id(&self) -> u64 {
        self.id.0
    }

    fn is_open(&self) -> bool {
        false
    }
}
