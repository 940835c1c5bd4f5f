//! Batches of orders: many in one request, each with an answer of its own.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ErrorCode, Order, OrderRequest, Outcome};

/// The body of `POST /orders/batch`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchRequest {
    /// Place all orders or none. Otherwise each is placed or refused as if it had come alone.
    #[serde(default)]
    pub atomic: bool,
    /// The orders, 1 to [`BatchRequest::ORDERS_MAX`]. Keys stand in them.
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

/// What became of one order of a batch: the order, or what an error says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchResult {
    /// Which order of the request, from 0.
    pub index: u64,
    /// The HTTP status that the order alone would have had: 201 placed, 200 made before by its key.
    pub status: u16,
    /// The order, right after the batch; absent when it was refused or is in doubt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Order>,
    /// The code of the error, see [`ErrorCode`]; absent when there is an order, as all below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Cow<'static, str>>,
    /// The code in capitals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<Cow<'static, str>>,
    /// What went wrong, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What the error says about the effect of the order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Whether the same order, sent again a little later, may well succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retryable: Option<bool>,
    /// For `validation_error`: each field at fault with what is wrong about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<BTreeMap<String, Vec<String>>>,
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

/// An order for which an atomic batch was refused, as a problem lists them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedOrder {
    /// Which order of the request, from 0.
    pub index: u64,
    /// The HTTP status that the order alone would have had.
    pub status: u16,
    /// The code of the error, see [`ErrorCode`].
    pub error: Cow<'static, str>,
    /// What went wrong, in words.
    pub message: String,
}
