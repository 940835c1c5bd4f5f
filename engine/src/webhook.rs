//! Results of payments as a provider reports them, and what became of each report.

use std::fmt;

use bincode::{Decode, Encode};

use crate::ids::{OrderId, Position, Timestamp, WebhookId};
use crate::money::Money;
use crate::trace::TraceId;

/// The longest payload that is kept with a report, in bytes.
pub const PAYLOAD_BYTES_MAX: usize = 4096;

/// What the provider says about the payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub enum Report {
    /// The customer has paid.
    Succeeded,
    /// The customer has not, and will not under this payment.
    Failed,
}

impl Report {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Report::Succeeded => "success",
            Report::Failed => "failure",
        }
    }
}

/// Why a report could not be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub enum Conflict {
    /// The order had ended before, whether or not as the report says: a second success may be a
    /// second charge.
    Late,
    /// The payment worker had begun to charge the customer, and what its gateway says counts.
    UnderWay,
    /// The amount is not the order's total.
    Amount,
}

impl Conflict {
    /// The name in events and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Conflict::Late => "late",
            Conflict::UnderWay => "under_way",
            Conflict::Amount => "amount",
        }
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Conflict::Late => "it has ended",
            Conflict::UnderWay => "another payment is under way",
            Conflict::Amount => "its total is another amount",
        })
    }
}

/// What became of a report. All but the first are final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub enum Fate {
    /// Its order does not exist yet.
    Parked,
    /// It settled its order.
    Applied,
    /// It is recorded and changed nothing.
    Conflict(Conflict),
    /// Its order did not come to exist in time. Told again, it counts as a new report.
    Unmatched,
}

/// A report, as stored.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct Webhook {
    /// Its id.
    pub id: WebhookId,
    /// The provider's idempotency key.
    pub key: Box<str>,
    /// The order it is about, which may not exist.
    pub order: OrderId,
    /// What it says.
    pub report: Report,
    /// How much was paid, if it says so.
    pub amount: Option<Money>,
    /// What else the provider sent: JSON text.
    pub payload: Option<Box<str>>,
    /// What became of it.
    pub fate: Fate,
    /// While it is parked: when it counts as unmatched.
    pub parked_until: Timestamp,
    /// The trace id of the request that brought it.
    pub trace: TraceId,
    /// The command that brought it.
    pub received: Position,
    /// When it came.
    pub received_at: Timestamp,
    /// When it got its fate.
    pub processed_at: Timestamp,
}
