//! The hook that dispatches work after an order.

use serde::{Deserialize, Serialize};

use super::{Order, OrderStatus};

/// The body of `POST /tasks/order-processed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TaskRequest {
    /// The order.
    pub order_id: u64,
}

/// The answer to `POST /tasks/order-processed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TaskQueued {
    /// Always `Task queued`.
    pub message: String,
    /// Always `true`.
    pub success: bool,
    /// The same as `data.id`.
    pub order_id: u64,
    /// The same as `data.status`.
    pub status: OrderStatus,
    /// The order, as of the answer.
    pub data: Order,
}

impl TaskQueued {
    /// The answer for an order.
    #[must_use]
    pub fn new(order: Order) -> Self {
        let message = "Task queued".to_owned();
        Self { message, success: true, order_id: order.id, status: order.status, data: order }
    }
}
