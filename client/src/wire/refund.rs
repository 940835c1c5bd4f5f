//! Refunds: money and units that go back.

use serde::{Deserialize, Serialize};

use super::word::words;

words! {
    /// The status of a refund.
    RefundStatus {
        /// The gateway has not decided.
        Requested = "requested",
        /// The customer has the money.
        Succeeded = "succeeded",
        /// The customer does not get the money. Units that came back stay in stock.
        Failed = "failed",
    }
}

/// Units of a line of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RefundLine {
    /// The line of the order, from 1.
    pub line: u32,
    /// How many of its units.
    pub quantity: u64,
    /// Whether they can be sold again.
    #[serde(default)]
    pub restock: bool,
}

/// The body of `POST /orders/{id}/refunds`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RefundRequest {
    /// What the customer gets. Without it, the price of the lines, as far as that is left; without
    /// lines too, all that is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<String>,
    /// The units that it is for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<RefundLine>,
    /// Why.
    pub reason: String,
    /// Who decides.
    pub actor: String,
    /// Makes retries safe: 1 to 255 printable characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
}

/// A refund.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Refund {
    /// Its id.
    pub id: u64,
    /// The order.
    pub order_id: u64,
    /// Its status.
    pub status: RefundStatus,
    /// What the customer gets.
    pub amount: String,
    /// The same in hundredths.
    pub amount_minor: i64,
    /// The units that it is for.
    pub lines: Vec<RefundLine>,
    /// Why.
    pub reason: String,
    /// Who decided, as the request said.
    pub actor: String,
    /// Why it failed; null otherwise.
    pub failure_reason: Option<String>,
    /// The idempotency key of the request; null for none.
    pub idempotency_key: Option<String>,
    /// How often the gateway was asked without a definite answer.
    pub unanswered: u32,
    /// The trace id of the request.
    pub trace_id: String,
    /// When it was requested.
    pub created_at: String,
    /// When it last changed.
    pub updated_at: String,
}

/// The refunds of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OrderRefunds {
    /// The order.
    pub order_id: u64,
    /// What customers got or get back, by refunds that have not failed.
    pub refunded: String,
    /// The same in hundredths.
    pub refunded_minor: i64,
    /// The refunds, oldest first.
    pub refunds: Vec<Refund>,
}
