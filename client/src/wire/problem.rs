//! The one shape of every error: `application/problem+json`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ErrorCode, Outcome, PricedLine, RefusedOrder, Shortage};

/// Every error, in the shape of RFC 9457.
// The code is text, so that a reader understands the status and outcome of a problem whose code is
// newer than the reader. `Problem::code` gives the known ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Problem {
    /// Path that names the kind of problem, such as `/problems/insufficient-stock`.
    #[serde(rename = "type", default)]
    pub type_path: Cow<'static, str>,
    /// The kind of problem.
    #[serde(default)]
    pub title: Cow<'static, str>,
    /// The HTTP status.
    pub status: u16,
    /// What went wrong, with which value, and what to do.
    #[serde(default)]
    pub detail: String,
    /// Always `false`.
    #[serde(default)]
    pub success: bool,
    /// The same as `detail`.
    #[serde(default)]
    pub message: String,
    /// The error code.
    pub error: Cow<'static, str>,
    /// The error code in capitals.
    #[serde(default)]
    pub error_code: Cow<'static, str>,
    /// Whether the request may have taken effect.
    pub outcome: Outcome,
    /// Whether the same request may succeed when it is sent again later.
    #[serde(default)]
    pub retryable: bool,
    /// For `validation_error`: what is wrong, by field; null otherwise.
    #[serde(default)]
    pub errors: Option<BTreeMap<String, Vec<String>>>,
    /// For an atomic batch: every order because of which it was refused; absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub results: Option<Vec<RefusedOrder>>,
    /// For `insufficient_stock` of an order or a hold: every product that is short, in the order of
    /// the lines; absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shortages: Option<Vec<Shortage>>,
    /// Seconds to wait before a retry; absent when no wait is suggested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// For `sale_not_open`: when the sale opens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opens_at: Option<String>,
    /// For `sale_not_open`: the replicated clock at the refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock: Option<String>,
    /// For `sale_not_open`: milliseconds until the sale opens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// For `purchase_limit_exceeded` by a limit within a window: when enough units of the user stop
    /// counting. Absent when the request exceeds the limit by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_at: Option<String>,
    /// For `total_mismatch`: the total that the request expected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// For `total_mismatch`: the total that the order would have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actual: Option<String>,
    /// For `total_mismatch`: the lines with their prices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<Vec<PricedLine>>,
    /// For `hold_consumed`: the order that the hold became. For `reference_taken`: the order that
    /// has the reference, if the caller may know it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_id: Option<u64>,
    /// The same as `X-Trace-Id`. The server's log has more under this id.
    #[serde(default)]
    pub trace_id: String,
}

impl Problem {
    /// A problem with everything that follows from its code.
    #[must_use]
    pub fn new(code: ErrorCode, detail: impl Into<String>, trace_id: impl Into<String>) -> Self {
        let detail = detail.into();
        Self {
            type_path: Cow::Borrowed(code.type_path()),
            title: Cow::Borrowed(code.title()),
            status: code.status(),
            message: detail.clone(),
            detail,
            success: false,
            error: Cow::Borrowed(code.as_str()),
            error_code: Cow::Borrowed(code.upper()),
            outcome: code.outcome(),
            retryable: code.is_retryable(),
            errors: None,
            results: None,
            shortages: None,
            retry_after: None,
            opens_at: None,
            clock: None,
            retry_after_ms: None,
            allowed_at: None,
            expected: None,
            actual: None,
            items: None,
            order_id: None,
            trace_id: trace_id.into(),
        }
    }

    /// The code, when it is one that this version knows.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        self.error.parse().ok()
    }
}
