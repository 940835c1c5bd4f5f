//! The hook that dispatches work after an order.

use serde::{Deserialize, Serialize};

use super::OrderAnswer;

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
    /// The order, as of the answer.
    #[serde(flatten)]
    pub order: OrderAnswer,
}
