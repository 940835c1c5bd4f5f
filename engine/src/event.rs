//! Events. Apply derives them from entries, so every node has the same ones under the same ids.

use std::fmt;
use std::str::FromStr;

use bincode::{Decode, Encode};

use crate::ids::{
    AdjustmentId, HoldId, OrderId, Position, ProductId, ProductIds, RefundId, Timestamp, UserId,
    WebhookId,
};
use crate::money::Money;
use crate::order::Line;
use crate::trace::TraceId;
use crate::webhook::{Conflict, Report};

/// The place of an event: the position of its command, and its number among the events of that
/// command. Greater than that of every earlier event, and the same on all nodes.
///
/// The default is before all events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct EventId {
    /// The command.
    pub position: Position,
    /// The number, from 0.
    pub n: u32,
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.position, self.n)
    }
}

/// Why a text is not an [`EventId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a position, a point and a number, such as 80740355.4")]
pub struct ParseError;

impl FromStr for EventId {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<EventId, ParseError> {
        let number = |text: &str| {
            let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            plain.then(|| text.parse::<u64>().ok()).flatten().ok_or(ParseError)
        };
        let (position, n) = text.split_once('.').ok_or(ParseError)?;
        let (position, n) = (Position(number(position)?), number(n)?);
        Ok(EventId { position, n: u32::try_from(n).map_err(|_| ParseError)? })
    }
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The command that caused it.
    pub position: Position,
    /// Its number among the events of that command, from 0.
    pub n: u32,
    /// The replicated clock.
    pub at: Timestamp,
    /// The trace id of the order or request behind it.
    pub trace: TraceId,
    /// What happened.
    pub kind: Kind,
}

impl Event {
    /// Its id.
    pub fn id(&self) -> EventId {
        EventId { position: self.position, n: self.n }
    }
}

/// The events after a given one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventPage {
    /// These events, in order; empty when there is none yet.
    Events(Vec<Event>),
    /// They begin in this stored chunk, which [`crate::checkpoint::read_events`] reads. If it
    /// returns nothing, the chunk was removed meanwhile: ask again.
    Stored {
        /// The chunk's number.
        chunk: u64,
    },
    /// Some of them have been removed. Reading can continue after this event at the earliest.
    Gone {
        /// The newest event that was removed.
        floor: EventId,
    },
}

/// Kinds of events.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Kind {
    /// An order changed its status, or was placed.
    Order {
        /// The order.
        order: OrderId,
        /// Its customer.
        user: Option<UserId>,
        /// What happened to it.
        change: OrderChange,
        /// Its total.
        total: Money,
        /// Its products.
        products: ProductIds,
    },
    /// An order was refused for lack of stock.
    OrderRejected {
        /// The product that lacked units.
        product: ProductId,
        /// The customer.
        user: Option<UserId>,
    },
    /// A payment report could not be applied: somebody may have to refund the customer.
    PaymentConflict {
        /// The report.
        webhook: WebhookId,
        /// The order.
        order: OrderId,
        /// The reported result.
        report: Report,
        /// The reported amount, if any.
        amount: Option<Money>,
        /// The reason.
        conflict: Conflict,
    },
    /// A payment report found no order in time.
    PaymentUnmatched {
        /// The report.
        webhook: WebhookId,
        /// The order that never existed.
        order: OrderId,
        /// The reported result.
        report: Report,
        /// The reported amount, if any.
        amount: Option<Money>,
    },
    /// A hold was created, extended or ended.
    Hold {
        /// The hold.
        hold: HoldId,
        /// Its customer.
        user: Option<UserId>,
        /// Its lines.
        lines: Box<[Line]>,
        /// Its deadline.
        expires_at: Timestamp,
        /// What happened to it.
        change: HoldChange,
    },
    /// A product was created.
    ProductCreated(ProductId),
    /// A product was changed.
    ProductUpdated(ProductId),
    /// A product was archived.
    ProductArchived(ProductId),
    /// Somebody adjusted the stock of a product.
    StockAdjusted {
        /// The product.
        product: ProductId,
        /// The adjustment.
        adjustment: AdjustmentId,
        /// How many units were added, or removed when negative.
        delta: i64,
        /// Available units afterwards.
        available: i64,
    },
    /// The last available unit is gone.
    SoldOut(ProductId),
    /// The available units have reached the product's threshold. Not sent together with
    /// [`Kind::SoldOut`].
    LowStock {
        /// The product.
        product: ProductId,
        /// Available units.
        available: i64,
        /// The product's threshold.
        threshold: u32,
    },
    /// An operator decided about a payment without a definite result.
    PaymentSettled {
        /// The order.
        order: OrderId,
        /// Its customer.
        user: Option<UserId>,
        /// The attempt.
        attempt: u32,
        /// The payment at the provider; `None` when the customer was not charged.
        reference: Option<Box<str>>,
        /// Why the operator decided so.
        reason: Box<str>,
        /// Who decided, as the request says.
        actor: Box<str>,
    },
    /// A refund was requested, or ended.
    Refund {
        /// The refund.
        refund: RefundId,
        /// Its order.
        order: OrderId,
        /// The customer.
        user: Option<UserId>,
        /// What the customer gets.
        amount: Money,
        /// What happened to it.
        change: RefundChange,
    },
}

/// What happened to a refund.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum RefundChange {
    /// Requested: its units are back.
    Requested,
    /// The customer has the money.
    Succeeded,
    /// The customer does not get the money.
    Failed {
        /// The gateway's reason.
        reason: Box<str>,
    },
}

/// What happened to an order.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum OrderChange {
    /// Placed: its units are reserved.
    Placed,
    /// The payment worker claimed it.
    Processing,
    /// Paid.
    Paid,
    /// Payment refused for good.
    Failed {
        /// The gateway's reason.
        reason: Box<str>,
    },
    /// Cancelled.
    Cancelled {
        /// The reason.
        reason: Option<Box<str>>,
    },
}

/// What happened to a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum HoldChange {
    /// Created: its units are held.
    Created,
    /// Its deadline moved.
    Extended,
    /// An order consumed its units.
    Consumed(OrderId),
    /// Its deadline passed.
    Expired,
    /// Released early.
    Released,
}

impl Kind {
    /// The dotted name on the wire and in logs.
    pub fn as_str(&self) -> &'static str {
        match self {
            Kind::Order { change, .. } => match change {
                OrderChange::Placed => "order.placed",
                OrderChange::Processing => "order.processing",
                OrderChange::Paid => "order.paid",
                OrderChange::Failed { .. } => "order.failed",
                OrderChange::Cancelled { .. } => "order.cancelled",
            },
            Kind::OrderRejected { .. } => "order.rejected",
            Kind::PaymentConflict { .. } => "payment.conflict",
            Kind::PaymentUnmatched { .. } => "payment.unmatched",
            Kind::Hold { change, .. } => match change {
                HoldChange::Created => "hold.created",
                HoldChange::Extended => "hold.extended",
                HoldChange::Consumed(_) => "hold.consumed",
                HoldChange::Expired => "hold.expired",
                HoldChange::Released => "hold.released",
            },
            Kind::ProductCreated(_) => "product.created",
            Kind::ProductUpdated(_) => "product.updated",
            Kind::ProductArchived(_) => "product.archived",
            Kind::StockAdjusted { .. } => "stock.adjusted",
            Kind::SoldOut(_) => "stock.sold_out",
            Kind::LowStock { .. } => "stock.low",
            Kind::PaymentSettled { .. } => "payment.settled",
            Kind::Refund { change, .. } => match change {
                RefundChange::Requested => "refund.requested",
                RefundChange::Succeeded => "refund.succeeded",
                RefundChange::Failed { .. } => "refund.failed",
            },
        }
    }

    /// The user whom it concerns, if any.
    pub fn user(&self) -> Option<UserId> {
        match self {
            Kind::Order { user, .. }
            | Kind::OrderRejected { user, .. }
            | Kind::Hold { user, .. }
            | Kind::PaymentSettled { user, .. }
            | Kind::Refund { user, .. } => *user,
            _ => None,
        }
    }

    /// Whether it concerns this product.
    pub fn is_about(&self, id: ProductId) -> bool {
        match self {
            Kind::Order { products, .. } => products.contains(&id),
            Kind::Hold { lines, .. } => lines.iter().any(|line| line.product == id),
            Kind::OrderRejected { product, .. }
            | Kind::StockAdjusted { product, .. }
            | Kind::LowStock { product, .. }
            | Kind::ProductCreated(product)
            | Kind::ProductUpdated(product)
            | Kind::ProductArchived(product)
            | Kind::SoldOut(product) => *product == id,
            Kind::PaymentConflict { .. }
            | Kind::PaymentUnmatched { .. }
            | Kind::PaymentSettled { .. }
            | Kind::Refund { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_id_parses_as_it_is_printed() {
        let id = EventId { position: Position::new(77, 3), n: 4 };
        assert_eq!(id.to_string(), "80740355.4");
        assert_eq!("80740355.4".parse(), Ok(id));
        for text in ["", ".", "1", "1.", ".1", "1.2.3", "+1.2", "1.-2", "1.4294967296", " 1.2"] {
            assert_eq!(text.parse::<EventId>(), Err(ParseError), "{text:?}");
        }
    }
}
