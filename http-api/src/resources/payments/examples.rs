//! Examples of results of payments.

use client::wire::{self, OrderStatus};
use serde_json::{Value, json};

use crate::describe::examples::value;

/// The body of a payment's result.
pub(crate) fn webhook_request() -> Value {
    json!({
        "idempotency_key": "payment-xyz-789",
        "order_id": 7,
        "status": "success",
        "amount": "1999.98",
        "payload": {"provider_reference": "ch_1"},
    })
}

/// The answer to a payment's result.
pub(crate) fn webhook() -> Value {
    let receipt = wire::WebhookReceipt {
        order_id: 7,
        order_status: Some(OrderStatus::Paid),
        result: wire::WebhookResult::Applied,
        conflict: None,
        duplicate: false,
        parked: false,
    };
    value(&wire::Envelope::new(receipt))
}
