//! Adjustments: stock that somebody counted, brought in or took out, and why.

use bincode::{Decode, Encode};

use crate::digest::Table;
use crate::ids::{AdjustmentId, Position, ProductId, Timestamp};
use crate::record::Record;
use crate::trace::TraceId;

/// How the stock shall change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub enum Change {
    /// By so many units: more when positive, fewer when negative, never by none.
    By(i64),
    /// To so many units that can be sold. Held and reserved ones stay as they are.
    To(i64),
}

/// An adjustment, as stored. It never changes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct Adjustment {
    /// Its id, which the product's ledger row names.
    pub id: AdjustmentId,
    /// The product.
    pub product: ProductId,
    /// What was asked for.
    pub change: Change,
    /// How many units had to be for sale before.
    pub expected: Option<i64>,
    /// Why, in somebody's words.
    pub reason: Box<str>,
    /// The idempotency key of the request.
    pub key: Option<Box<str>>,
    /// How many units came in, or went out when negative.
    pub delta: i64,
    /// How many units could be sold afterwards.
    pub available: i64,
    /// The trace id of the request.
    pub trace: TraceId,
    /// The command that made it.
    pub position: Position,
    /// When.
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
