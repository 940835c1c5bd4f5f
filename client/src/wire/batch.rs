//! Batches of orders: many in one request, each with an answer of its own.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ErrorCode, Order, OrderRequest, Outcome, Shortage};

/// The body of `POST /orders/batch`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BatchRequest {
    /// Place all orders or none. Otherwise each order is placed or refused on its own.
    #[serde(default)]
    pub atomic: bool,
    /// The orders, 1 to 1,000, each with its own idempotency key, if any.
    pub orders: Vec<OrderRequest>,
}

impl BatchRequest {
    /// The most orders of one request.
    pub const ORDERS_MAX: usize = 1000;

    /// A batch of these orders, each placed or refused by itself.
    #[must_use]
    pub fn of(orders: impl IntoIterator<Item = OrderRequest>) -> Self {
        Self { atomic: false, orders: orders.into_iter().collect() }
    }

    /// The same, to be placed as a whole or not at all.
    #[must_use]
    pub fn atomic(mut self) -> Self {
        self.atomic = true;
        self
    }

    /// Adds an order at the end.
    #[must_use]
    pub fn with(mut self, order: OrderRequest) -> Self {
        self.orders.push(order);
        self
    }
}

/// The result of one order of a batch: the order, or an error.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BatchResult {
    /// The place of the order in the request, from 0.
    pub index: u64,
    /// The HTTP status that the order would have had on its own: 201 when it was placed, 200 when
    /// its key had placed it before.
    pub status: u16,
    /// The order right after the batch; absent when there is an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Order>,
    /// The error code; absent when there is an order, as are all fields of the error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Cow<'static, str>>,
    /// The error code in capitals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<Cow<'static, str>>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Whether the order may have taken effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Whether the same order may succeed when it is sent again later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retryable: Option<bool>,
    /// For `validation_error`: what is wrong, by field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<BTreeMap<String, Vec<String>>>,
    /// For `insufficient_stock`: every product that is short, in the order of the lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shortages: Option<Vec<Shortage>>,
    /// For `sale_not_open`: when the sale opens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opens_at: Option<String>,
    /// For `sale_not_open`: milliseconds until the sale opens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

impl BatchResult {
    /// The code of the error, when there is one that this version knows.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        self.error.as_deref()?.parse().ok()
    }

    /// Whether the order had been made before by its key, so that this batch placed nothing for it.
    #[must_use]
    pub fn is_replay(&self) -> bool {
        self.order.is_some() && self.status == 200
    }
}

/// An order because of which an atomic batch was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RefusedOrder {
    /// The place of the order in the request, from 0.
    pub index: u64,
    /// The HTTP status that the order would have had on its own.
    pub status: u16,
    /// The error code that the order would have had on its own.
    pub error: Cow<'static, str>,
    /// What went wrong.
    pub message: String,
    /// For `insufficient_stock`: every product that is short, in the order of the lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shortages: Option<Vec<Shortage>>,
    /// For `sale_not_open`: when the sale opens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opens_at: Option<String>,
    /// For `sale_not_open`: milliseconds until the sale opens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}
