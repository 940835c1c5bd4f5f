//! Payments without a definite result, and what an operator decides about them.

use serde::{Deserialize, Serialize};

use super::word::words;
use super::{CursorMeta, PaymentMethod};

words! {
    /// How an operator ends an order.
    SettleOutcome {
        /// The customer was charged: the order becomes PAID.
        Paid = "paid",
        /// The customer was not charged: the order becomes FAILED.
        Failed = "failed",
    }
}

/// The body of `POST /orders/{id}/settle`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SettleRequest {
    /// How the order ends.
    pub outcome: SettleOutcome,
    /// The attempt that you looked at, as `GET /payments/unsettled` shows it.
    pub expected_attempt: u32,
    /// The payment at the provider. Required for `paid`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_ref: Option<String>,
    /// Why.
    pub reason: String,
    /// Who decides.
    pub actor: String,
    /// With `failed`: do not ask the gateway to confirm that the payment takes no money any more.
    #[serde(default)]
    pub force: bool,
}

/// The body of `POST /orders/{id}/recheck`, which may be empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RecheckRequest {
    /// Refuse when another attempt is current.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_attempt: Option<u32>,
}

/// A payment that was begun and has no definite result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UnsettledPayment {
    /// The order, which is PROCESSING.
    pub order_id: u64,
    /// Who is asked.
    pub payment_method: PaymentMethod,
    /// What the gateway knows the attempt as.
    pub payment_key: String,
    /// The current attempt.
    pub attempt: u32,
    /// How often it was asked for without a definite answer.
    pub unanswered: u32,
    /// The amount.
    pub amount: String,
    /// The same in hundredths.
    pub amount_minor: i64,
    /// When the payment of the order began.
    pub since: String,
    /// When it is asked for next, or when the current call counts as lost.
    pub next_at: String,
    /// Whether a node may be calling about it now.
    pub in_flight: bool,
    /// The trace id of the order.
    pub trace_id: String,
}

/// The body of `GET /payments/unsettled`, newest order first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UnsettledList {
    /// Always `true`.
    pub success: bool,
    /// The payments of this page.
    pub data: Vec<UnsettledPayment>,
    /// Where the next page begins.
    pub meta: CursorMeta,
}

impl UnsettledList {
    /// A success with one page.
    #[must_use]
    pub const fn new(data: Vec<UnsettledPayment>, meta: CursorMeta) -> Self {
        Self { success: true, data, meta }
    }
}
