//! The hook that dispatches what follows an order.

use serde::{Deserialize, Serialize};

use super::OrderAnswer;

/// The body of `POST /tasks/order-processed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskRequest {
    /// Which order.
    pub order_id: u64,
}

/// The answer to `POST /tasks/order-processed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskQueued {
    /// Always `Task queued`.
    pub message: String,
    /// The order as it is now.
    #[serde(flatten)]
    pub order: OrderAnswer,
}
