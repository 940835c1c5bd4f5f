//! Results of payments as a provider reports them.

use serde::{Deserialize, Serialize};

use super::OrderStatus;
use super::word::words;

words! {
    /// The result of a payment.
    PaymentResult {
        /// The customer has paid.
        Success = "success",
        /// The customer has not paid, and will not under this payment.
        Failure = "failure",
    }
}

words! {
    /// What was done with the result of a payment.
    WebhookResult {
        /// It ended its order.
        Applied = "applied",
        /// It had ended its order before; this delivery changed nothing.
        Duplicate = "duplicate",
        /// It is recorded and changed nothing: `conflict` says why.
        Conflict = "conflict",
        /// It is recorded and never decides anything: its order did not exist when it came.
        Unmatched = "unmatched",
    }
}

words! {
    /// Why the result of a payment cannot be applied to its order.
    WebhookConflict {
        /// The order had ended. A second success may be a second charge.
        Late = "late",
        /// The payment worker charges for the order.
        UnderWay = "under_way",
        /// The amount is not the order's total.
        Amount = "amount",
        /// The order's payment method is not `webhook`.
        Method = "method",
    }
}

/// The body of `POST /payments/webhook`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WebhookRequest {
    /// The provider's name for this result, the same in every delivery: 1 to 255 printable
    /// characters. Required when webhooks are signed, because the signature covers it; without a
    /// secret the header will do.
    pub idempotency_key: String,
    /// The order.
    pub order_id: u64,
    /// The result of the payment.
    pub status: PaymentResult,
    /// How much was paid. An amount other than the order's total is a conflict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<String>,
    /// Anything else, kept with the result: at most 4 KiB of JSON, numbers of at most 64 bits.
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

/// What was done with the result of a payment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WebhookReceipt {
    /// The order.
    pub order_id: u64,
    /// The status of the order now; null when there is no such order.
    pub order_status: Option<OrderStatus>,
    /// What was done with the result.
    pub result: WebhookResult,
    /// Why the result cannot be applied; null unless it is in conflict.
    pub conflict: Option<WebhookConflict>,
    /// Whether the result was recorded before; then this delivery changed nothing.
    pub duplicate: bool,
    /// Whether the result waits for its order. Only earlier versions let one wait.
    pub parked: bool,
}
