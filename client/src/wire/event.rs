//! Events: what happened, as `GET /events` and `GET /ws` tell it.

use serde::{Deserialize, Serialize};

use super::word::words;
use super::{OrderStatus, SagaStatus};

words! {
    /// What an event tells of.
    EventType {
        /// An order was placed; its units are reserved.
        OrderPlaced = "order.placed",
        /// The payment of an order began.
        OrderProcessing = "order.processing",
        /// An order was paid.
        OrderPaid = "order.paid",
        /// The payment of an order was refused for good; its units are free again.
        OrderFailed = "order.failed",
        /// An order was cancelled; its units are free again.
        OrderCancelled = "order.cancelled",
        /// An order was refused for lack of stock by an entry of the log.
        OrderRejected = "order.rejected",
        /// A hold was made.
        HoldCreated = "hold.created",
        /// The deadline of a hold moved.
        HoldExtended = "hold.extended",
        /// A hold became an order.
        HoldConsumed = "hold.consumed",
        /// A hold ran out; its units are free again.
        HoldExpired = "hold.expired",
        /// A hold was given back; its units are free again.
        HoldReleased = "hold.released",
        /// A product was created.
        ProductCreated = "product.created",
        /// A product was changed.
        ProductUpdated = "product.updated",
        /// A product was archived.
        ProductArchived = "product.archived",
        /// Somebody adjusted the stock of a product.
        StockAdjusted = "stock.adjusted",
        /// Few units of a product can still be sold.
        StockLow = "stock.low",
        /// The last unit that could be sold is gone.
        StockSoldOut = "stock.sold_out",
        /// A payment result contradicts what became of its order.
        PaymentConflict = "payment.conflict",
        /// A payment result found no order in time.
        PaymentUnmatched = "payment.unmatched",
    }
}

impl EventType {
    /// The name in the words of older clients, if they have one.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::OrderPlaced => Some("OrderReserved"),
            Self::OrderPaid => Some("OrderPaid"),
            Self::OrderFailed => Some("OrderFailed"),
            Self::OrderCancelled => Some("OrderCancelled"),
            _ => None,
        }
    }
}

/// One thing that happened. Which fields are there follows from its type; the others are absent.
///
/// The id is the place of the event, `<position>.<n>`, the same on every node; events come in
/// ascending order of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its place, which `Last-Event-ID` and `after` take.
    pub id: String,
    /// What it tells of; [`Event::kind`] reads it.
    #[serde(rename = "type")]
    pub event_type: String,
    /// The name that older clients know it by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// When, by the clock of the cluster.
    pub timestamp: String,
    /// Trace id of the request behind it.
    pub trace_id: String,
    /// The order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_id: Option<u64>,
    /// Whose it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<u64>,
    /// The status that the order entered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<OrderStatus>,
    /// The same in the words of older clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saga_status: Option<SagaStatus>,
    /// The order's total.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_amount: Option<String>,
    /// The same in hundredths.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_amount_minor: Option<i64>,
    /// The products that the order names, each once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product_ids: Option<Vec<u64>>,
    /// Why the order failed or was cancelled, or why a payment result could not be applied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When the order was cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancelled_at: Option<String>,
    /// The hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold_id: Option<u64>,
    /// What it holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items: Option<Vec<super::OrderLineRequest>>,
    /// Its deadline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// The product.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product_id: Option<u64>,
    /// The adjustment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adjustment_id: Option<u64>,
    /// How many units came in, or went out when negative.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delta: Option<i64>,
    /// What can still be sold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub available_stock: Option<i64>,
    /// The product's threshold for telling that stock is low.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub low_stock_threshold: Option<u32>,
    /// The payment result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook_id: Option<u64>,
    /// What it says: `success` or `failure`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// Its amount, if it gave one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount: Option<String>,
    /// The same in hundredths.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount_minor: Option<i64>,
}

impl Event {
    /// What it tells of, if this version knows the type.
    #[must_use]
    pub fn kind(&self) -> Option<EventType> {
        self.event_type.parse().ok()
    }
}

/// What a client of `GET /ws` says. Exactly one field is there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SocketRequest {
    /// Tell of what happens in this channel: `private-orders.<user_id>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscribe: Option<String>,
    /// Tell no more of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unsubscribe: Option<String>,
    /// Answer with a `pong` that repeats this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ping: Option<u64>,
}

/// What the server of `GET /ws` says.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SocketFrame {
    /// `OrderPaid`, `OrderFailed` or `OrderCancelled`; else `subscribed`, `unsubscribed`, `pong` or
    /// `error`.
    pub event: String,
    /// The channel that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// What happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Event>,
    /// What a `ping` gave.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ping: Option<u64>,
    /// What is wrong with what the client said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_says_only_what_it_is_about() {
        let event = Event {
            id: "80740352.0".to_owned(),
            event_type: EventType::StockSoldOut.to_string(),
            timestamp: "2026-02-23T10:30:00.000Z".to_owned(),
            trace_id: "t".to_owned(),
            product_id: Some(5),
            available_stock: Some(0),
            ..Event::default()
        };
        let golden = concat!(
            r#"{"id":"80740352.0","type":"stock.sold_out","timestamp":"2026-02-23T10:30:00.000Z","#,
            r#""trace_id":"t","product_id":5,"available_stock":0}"#,
        );
        assert_eq!(serde_json::to_string(&event).unwrap(), golden);
        let later = golden.replace("sold_out", "on_fire").replace("delta", "more");
        let read: Event = serde_json::from_str(&later).unwrap();
        assert_eq!((read.kind(), read.product_id), (None, Some(5)));
        assert_eq!(
            serde_json::from_str::<Event>(golden).unwrap().kind(),
            "stock.sold_out".parse().ok()
        );
    }
}
