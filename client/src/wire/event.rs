//! Events, as `GET /events` and `GET /ws` send them.

use serde::{Deserialize, Serialize};

use super::word::words;
use super::{OrderStatus, SagaStatus};

words! {
    /// The type of an event.
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
        /// A hold was created.
        HoldCreated = "hold.created",
        /// The deadline of a hold was extended.
        HoldExtended = "hold.extended",
        /// An order was placed from a hold.
        HoldConsumed = "hold.consumed",
        /// A hold expired; its units are free again.
        HoldExpired = "hold.expired",
        /// A client released a hold; its units are free again.
        HoldReleased = "hold.released",
        /// A product was created.
        ProductCreated = "product.created",
        /// A product was changed.
        ProductUpdated = "product.updated",
        /// A product was archived.
        ProductArchived = "product.archived",
        /// The stock of a product was adjusted.
        StockAdjusted = "stock.adjusted",
        /// Few units of a product can still be sold.
        StockLow = "stock.low",
        /// The last unit that could be sold is gone.
        StockSoldOut = "stock.sold_out",
        /// A payment result contradicts the final status of its order.
        PaymentConflict = "payment.conflict",
        /// A payment result found no order in time.
        PaymentUnmatched = "payment.unmatched",
        /// An operator ended an order whose payment had no definite result.
        PaymentSettled = "payment.settled",
        /// A refund was requested; units that come back are in stock again.
        RefundRequested = "refund.requested",
        /// The customer has the money of a refund.
        RefundSucceeded = "refund.succeeded",
        /// The customer does not get the money of a refund.
        RefundFailed = "refund.failed",
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

/// One thing that happened. Its type says which fields are there; the others are absent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Event {
    /// Its id, `<position>.<n>`: the same on every node, ascending, and what `after` takes.
    pub id: String,
    /// Its type.
    #[serde(rename = "type")]
    pub event_type: String,
    /// The name that clients of the older systems use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// When, on the cluster's clock.
    pub timestamp: String,
    /// Trace id of the request behind it.
    pub trace_id: String,
    /// The order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_id: Option<u64>,
    /// The user of the order or hold.
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
    /// Why an order failed or was cancelled, or why an operator decided so; for
    /// `payment.conflict`: `late`, `under_way`, `amount` or `method`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The refund.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refund_id: Option<u64>,
    /// Who decided, as the request said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// The payment attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// The payment at the provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_ref: Option<String>,
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
    /// Units that were added, or taken out when negative.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delta: Option<i64>,
    /// Units that can be sold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub available_stock: Option<i64>,
    /// The number of units at which `stock.low` is sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub low_stock_threshold: Option<u32>,
    /// The payment result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook_id: Option<u64>,
    /// The payment's result.
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
    /// Its type, if this version knows it.
    #[must_use]
    pub fn kind(&self) -> Option<EventType> {
        self.event_type.parse().ok()
    }
}

/// A message of a WebSocket client: exactly one of these fields.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SocketRequest {
    /// The channel to subscribe to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscribe: Option<String>,
    /// For a client without a token: `<key>:<signature>`, by which an application of the shop
    /// allows the channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<String>,
    /// The channel to unsubscribe from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unsubscribe: Option<String>,
    /// A number that the `pong` repeats.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ping: Option<u64>,
}

/// A message of the server to a WebSocket client.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SocketFrame {
    /// `OrderPaid`, `OrderFailed` or `OrderCancelled`; else `connected`, `subscribed`,
    /// `unsubscribed`, `pong` or `error`.
    pub event: String,
    /// The channel that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// The event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Event>,
    /// With `connected`: the id of the connection, for which an application signs channels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub socket_id: Option<String>,
    /// The number of the `ping`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ping: Option<u64>,
    /// What is wrong with the client's message.
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
        let later = golden.replace("sold_out", "on_fire");
        let read: Event = serde_json::from_str(&later).unwrap();
        assert_eq!((read.kind(), read.product_id), (None, Some(5)));
        assert_eq!(
            serde_json::from_str::<Event>(golden).unwrap().kind(),
            "stock.sold_out".parse().ok()
        );
    }
}
