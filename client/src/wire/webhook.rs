//! Results of payments as a provider reports them.

use serde::{Deserialize, Serialize};

use super::OrderStatus;
use super::word::words;

words! {
    /// What became of a payment.
    PaymentResult {
        /// The customer has paid.
        Success = "success",
        /// The customer has not paid, and will not under this payment.
        Failure = "failure",
    }
}

/// The body of `POST /payments/webhook`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookRequest {
    /// The provider's name for this result, the same in every delivery of it: 1 to 255 printable
    /// characters.
    pub idempotency_key: String,
    /// The order, which may not exist yet.
    pub order_id: u64,
    /// What became of the payment.
    pub status: PaymentResult,
    /// How much was paid, as decimal text; must be the order's total.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<String>,
    /// What else the provider has to say, at most 4 KiB of JSON. Kept with the report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<serde_json::Value>,
}

impl WebhookRequest {
    /// A report of `status` about an order, without an amount.
    #[must_use]
    pub fn new(key: impl Into<String>, order_id: u64, status: PaymentResult) -> Self {
        Self { idempotency_key: key.into(), order_id, status, amount: None, payload: None }
    }
}

/// The data of an answer to `POST /payments/webhook`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookReceipt {
    /// The order.
    pub order_id: u64,
    /// How the order ended; null while the result waits for an order that does not exist yet.
    pub order_status: Option<OrderStatus>,
    /// Whether the result was taken down before, so that this delivery changed nothing.
    pub duplicate: bool,
    /// Whether the result waits for its order.
    pub parked: bool,
}
