//! Payment results that a provider reports, and what became of each report.

use bincode::{Decode, Encode};

use crate::ids::{OrderId, Position, Timestamp, WebhookId};
use crate::money::Money;
use crate::trace::TraceId;

/// The longest payload that is kept with a report, in bytes.
pub const PAYLOAD_BYTES_MAX: usize = 4096;

/// What the provider says about the payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub enum Report {
    /// The customer paid.
    Succeeded,
    /// The customer did not pay, and will not with this payment.
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
    /// The order had already ended. A second success may be a second charge.
    Late,
    /// The payment worker has begun to charge the customer; only its gateway's answer counts.
    UnderWay,
    /// The amount differs from the order's total.
    Amount,
    /// The order is not to be paid by webhook.
    Method,
}

impl Conflict {
    /// The name in events and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Conflict::Late => "late",
            Conflict::UnderWay => "under_way",
            Conflict::Amount => "amount",
            Conflict::Method => "method",
        }
    }
}

/// What became of a report. All but the first are final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub enum Fate {
    /// Its order does not exist yet, and it waits for it. Only builds of before made such reports.
    Parked,
    /// It settled its order.
    Applied,
    /// It is recorded and changed nothing else.
    Conflict(Conflict),
    /// Its order did not exist, or did not come to exist in time. It never decides anything.
    Unmatched,
}

/// A stored report.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct Webhook {
    /// Its id.
    pub id: WebhookId,
    /// The provider's idempotency key.
    pub key: Box<str>,
    /// The order it names, which may not exist.
    pub order: OrderId,
    /// The result it reports.
    pub report: Report,
    /// The paid amount, if the report has one.
    pub amount: Option<Money>,
    /// Other data from the provider: JSON text.
    pub payload: Option<Box<str>>,
    /// What became of it.
    pub fate: Fate,
    /// While it is parked: when it becomes unmatched.
    pub parked_until: Timestamp,
    /// The trace id of its request.
    pub trace: TraceId,
    /// The command that recorded it.
    pub received: Position,
    /// When it arrived.
    pub received_at: Timestamp,
    /// When its fate was decided.
    pub processed_at: Timestamp,
}
