//! Orders: their rows and the legal transitions of their status.

use std::fmt;

use bincode::enc::Encoder;
use bincode::error::{DecodeError, EncodeError};
use bincode::{Decode, Encode};

use crate::few::Few;
use crate::ids::{
    HoldId, NodeId, OrderId, Position, ProductId, ProductIds, Quantity, Timestamp, UserId,
};
use crate::money::Money;
use crate::trace::TraceId;

/// The status of an order. The last three are final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum Status {
    /// Placed; its units are reserved.
    Pending,
    /// A payment attempt is in progress.
    Processing,
    /// Paid: its units are sold.
    Paid,
    /// Payment refused and no attempt left: its units are available again.
    Failed,
    /// Cancelled by the user or by the payment deadline: its units are available again.
    Cancelled,
}

impl Status {
    /// All of them, in the order of their discriminants.
    pub const ALL: [Status; 5] =
        [Status::Pending, Status::Processing, Status::Paid, Status::Failed, Status::Cancelled];

    /// Whether `next` may follow. Exactly four moves are legal.
    pub fn can_become(self, next: Status) -> bool {
        matches!(
            (self, next),
            (Status::Pending, Status::Processing | Status::Cancelled)
                | (Status::Processing, Status::Paid | Status::Failed)
        )
    }

    /// Whether no status may follow.
    pub fn is_final(self) -> bool {
        matches!(self, Status::Paid | Status::Failed | Status::Cancelled)
    }

    /// The name on the wire and in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Pending => "PENDING",
            Status::Processing => "PROCESSING",
            Status::Paid => "PAID",
            Status::Failed => "FAILED",
            Status::Cancelled => "CANCELLED",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who obtains the payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub enum PaymentMethod {
    /// The worker on the leader asks the gateway.
    Mock,
    /// A webhook reports the result. A deadline cancels the order if no report arrives.
    Webhook,
    /// Nobody: the order stays PENDING until somebody cancels it or a webhook settles it.
    None,
    /// The worker on the leader asks a payment service. [`PaymentMethod::Mock`] is for the
    /// simulated gateway alone, so a change of gateways charges nobody for an order of a trial.
    Gateway,
}

impl PaymentMethod {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            PaymentMethod::Mock => "mock",
            PaymentMethod::Webhook => "webhook",
            PaymentMethod::None => "none",
            PaymentMethod::Gateway => "gateway",
        }
    }

    /// Whether the payment worker obtains the payment.
    pub fn has_worker(self) -> bool {
        matches!(self, PaymentMethod::Mock | PaymentMethod::Gateway)
    }
}

/// A product and the number of units that a customer requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct Line {
    /// The product.
    pub product: ProductId,
    /// 1 to [`Quantity::MAX`].
    pub quantity: Quantity,
}

/// The most lines in one order.
pub const LINES_MAX: usize = 100;
/// The longest metadata of an order, in bytes of its JSON text.
pub const METADATA_BYTES_MAX: usize = 4096;
/// The longest reference of an order, in characters.
pub const REFERENCE_CHARS_MAX: usize = 64;
/// The longest reason for a cancellation or a refused payment, in bytes.
pub const REASON_BYTES_MAX: usize = 255;

/// A line of a placed order, with the price at that time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct Item {
    /// The product.
    pub product: ProductId,
    /// Units of it.
    pub quantity: Quantity,
    /// Price of one unit when the order was placed; later price changes do not affect it.
    pub unit_price: Money,
}

/// The items of an order. Nearly all orders have one.
pub type Items = Few<[Item; 1]>;

/// Why an order moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub enum Cause {
    /// The customer placed it.
    Placed,
    /// The payment worker claimed it.
    PaymentClaimed,
    /// A provider reported the result of its payment.
    PaymentReported,
    /// The gateway, or the provider, confirmed the payment.
    PaymentSucceeded,
    /// The gateway declined and no attempt is left, or the provider declined.
    PaymentDeclined,
    /// The customer cancelled it.
    Cancelled,
    /// No payment arrived before the deadline.
    PaymentTimeout,
    /// An operator decided about a payment without a definite result.
    SettledByOperator,
}

impl Cause {
    /// The name on the wire.
    pub fn as_str(&self) -> &'static str {
        match self {
            Cause::Placed => "placed",
            Cause::PaymentClaimed => "payment_claimed",
            Cause::PaymentReported => "payment_reported",
            Cause::PaymentSucceeded => "payment_succeeded",
            Cause::PaymentDeclined => "payment_declined",
            Cause::Cancelled => "cancelled",
            Cause::PaymentTimeout => "payment_timeout",
            Cause::SettledByOperator => "settled_by_operator",
        }
    }
}

/// One move of an order.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct HistoryRow {
    /// The command that moved it.
    pub position: Position,
    /// The status before; `None` in the first row.
    pub from: Option<Status>,
    /// The status after.
    pub to: Status,
    /// The replicated clock at that moment.
    pub at: Timestamp,
    /// The reason.
    pub cause: Cause,
    /// The trace id of the request that moved it, unless it is the order's own.
    pub trace: Option<Box<TraceId>>,
}

/// The moves of an order, oldest first.
pub type History = Few<[HistoryRow; 3]>;

/// A claim on a payment attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct Claim {
    /// The node whose worker has the claim.
    pub node: NodeId,
    /// Until then no other node may claim the attempt.
    pub lease_until: Timestamp,
}

/// The payment step of an open order that the in-process worker settles.
///
/// It is written with the order and removed with its result, so a crash cannot lose it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct PaymentTask {
    /// The current or next attempt, from 1. It is part of the gateway's key, and changes only after
    /// a definite refusal.
    pub attempt: u32,
    /// Attempts that may be refused before the order fails, at least 1.
    pub attempts_max: u32,
    /// How often this attempt got no answer. The next call reuses the key.
    pub unanswered: u32,
    /// When the task may be claimed: at once, after a back-off, or when a lease has ended.
    pub due: Timestamp,
    /// The worker that processes it, if any.
    pub claim: Option<Claim>,
}

/// Whether a text may be the reference of an order: printable ASCII characters.
pub fn is_reference(text: &str) -> bool {
    (1..=REFERENCE_CHARS_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
}

/// A stored order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Order {
    /// Its id.
    pub id: OrderId,
    /// The customer, if the request or its hold named one.
    pub user: Option<UserId>,
    /// The hold that it consumed, if any.
    pub hold: Option<HoldId>,
    /// Whether the user is the hold's because the request named none.
    pub user_of_hold: bool,
    /// Its status.
    pub status: Status,
    /// Who obtains the payment.
    pub payment_method: PaymentMethod,
    /// Its lines, as the customer gave them.
    pub items: Items,
    /// The exact sum of its lines.
    pub total: Money,
    /// The customer's idempotency key.
    pub key: Option<Box<str>>,
    /// The customer's metadata: a JSON object, as text.
    pub metadata: Option<Box<str>>,
    /// Why it failed or was cancelled.
    pub failure_reason: Option<Box<str>>,
    /// The trace id of the request that placed it.
    pub trace: TraceId,
    /// When it was placed.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// The command that last changed it; its `ETag`.
    pub version: Position,
    /// The payment step, until the worker has settled it.
    pub task: Option<PaymentTask>,
    /// When the order is cancelled unless a payment arrives; only for orders that wait for a
    /// webhook.
    pub payment_deadline: Option<Timestamp>,
    /// Its moves, oldest first: at most three.
    pub history: History,
    /// The caller's name of the order, which no other order has.
    pub reference: Option<Box<str>>,
}

/// The number of a stored status, and whether a reference follows the other fields. Rows without
/// one are as before orders had any.
pub(crate) fn status_number(order: &Order) -> u32 {
    let has_reference = u32::from(order.reference.is_some());
    order.status as u32 + Status::ALL.len() as u32 * has_reference
}

/// Reads [`status_number`].
pub(crate) fn read_status(number: u32) -> Result<(Status, bool), DecodeError> {
    let count = Status::ALL.len() as u32;
    match number / count {
        has_reference @ 0..=1 => Ok((Status::ALL[(number % count) as usize], has_reference == 1)),
        _ => Err(DecodeError::Other("unknown status of an order")),
    }
}

impl Encode for Order {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        (self.id, self.user, self.hold, self.user_of_hold, status_number(self)).encode(encoder)?;
        (self.payment_method, &self.items, self.total, &self.key).encode(encoder)?;
        (&self.metadata, &self.failure_reason, &self.trace).encode(encoder)?;
        (self.created_at, self.updated_at, self.version).encode(encoder)?;
        (self.task, self.payment_deadline, &self.history).encode(encoder)?;
        self.reference.as_ref().map_or(Ok(()), |text| text.encode(encoder))
    }
}

impl Order {
    /// The command that placed it.
    pub fn placed(&self) -> Position {
        self.history.first().map_or(self.version, |row| row.position)
    }

    /// The products of its lines, each once, by first mention.
    pub(crate) fn products(&self) -> ProductIds {
        let mut products = ProductIds::new();
        for item in self.items.iter() {
            // At most 100 lines, so a linear search is faster than a set.
            if !products.contains(&item.product) {
                products.push(item.product);
            }
        }
        products
    }

    /// Units of all lines together.
    pub fn units(&self) -> u64 {
        self.items.iter().map(|item| u64::from(item.quantity.0)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_moves_are_legal_and_the_other_twenty_one_are_not() {
        let legal: Vec<_> = Status::ALL
            .into_iter()
            .flat_map(|from| Status::ALL.map(|to| (from, to)))
            .filter(|(from, to)| from.can_become(*to))
            .collect();
        assert_eq!(
            legal,
            vec![
                (Status::Pending, Status::Processing),
                (Status::Pending, Status::Cancelled),
                (Status::Processing, Status::Paid),
                (Status::Processing, Status::Failed),
            ]
        );
        for status in Status::ALL {
            assert_eq!(status.is_final(), !Status::ALL.into_iter().any(|to| status.can_become(to)));
        }
    }
}
