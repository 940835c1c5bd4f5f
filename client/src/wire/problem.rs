//! The one shape of every error: `application/problem+json`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ErrorCode, OrderStatus, Outcome, RefusedOrder};

/// The body of every answer that is not a success.
///
/// The code is kept as text, so that a reader understands status and outcome of a problem whose
/// code is newer than the reader; [`Problem::code`] gives the known ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Path that names the kind of problem, such as `/problems/insufficient-stock`.
    #[serde(rename = "type", default)]
    pub type_path: Cow<'static, str>,
    /// The kind of problem in words.
    #[serde(default)]
    pub title: Cow<'static, str>,
    /// The HTTP status.
    pub status: u16,
    /// This occurrence in words.
    #[serde(default)]
    pub detail: String,
    /// Always `false`.
    #[serde(default)]
    pub success: bool,
    /// The same as `detail`.
    #[serde(default)]
    pub message: String,
    /// The code, see [`ErrorCode`].
    pub error: Cow<'static, str>,
    /// The code in capitals, see [`ErrorCode::upper`].
    #[serde(default)]
    pub error_code: Cow<'static, str>,
    /// What the problem says about the effect of the request.
    pub outcome: Outcome,
    /// Whether the same request, sent again a little later, may well succeed.
    #[serde(default)]
    pub retryable: bool,
    /// For `validation_error`: each field at fault with what is wrong about it; null otherwise.
    #[serde(default)]
    pub errors: Option<BTreeMap<String, Vec<String>>>,
    /// For an atomic batch: every order for which it was refused; absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub results: Option<Vec<RefusedOrder>>,
    /// Whole seconds to wait before trying again; absent when the problem says nothing about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// For `hold_consumed` and `payment_conflict`: the order that the hold became, or that the
    /// result is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_id: Option<u64>,
    /// For `payment_conflict`: where that order stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_status: Option<OrderStatus>,
    /// The trace id under which the server's log tells more.
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
            retry_after: None,
            order_id: None,
            order_status: None,
            trace_id: trace_id.into(),
        }
    }

    /// The code, when it is one that this version knows.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        self.error.parse().ok()
    }
}
