//! Examples of holds and of results of payments.

use client::wire::{self, HoldStatus, OrderStatus};
use serde_json::{Value, json};

use super::{MOMENT, TRACE, VERSION, value};

/// The body of a hold.
pub(in crate::openapi) fn hold_request() -> Value {
    json!({"product_id": 1, "quantity": 2, "user_id": 1, "idempotency_key": "hold-abc-123"})
}

/// The body of a payment's result.
pub(in crate::openapi) fn webhook_request() -> Value {
    json!({
        "idempotency_key": "payment-xyz-789",
        "order_id": 7,
        "status": "success",
        "amount": "1999.98",
        "payload": {"provider_reference": "ch_1"},
    })
}

/// A hold of one line.
pub(in crate::openapi) fn hold(status: HoldStatus) -> Value {
    let line = wire::HoldLine { product_id: 1, quantity: 2 };
    value(&wire::Envelope::new(wire::Hold {
        id: 3,
        hold_id: 3,
        user_id: Some(1),
        status,
        items: vec![line],
        expires_at: MOMENT.to_owned(),
        order_id: (status == HoldStatus::Consumed).then_some(7),
        idempotency_key: Some("hold-abc-123".to_owned()),
        created_at: MOMENT.to_owned(),
        updated_at: MOMENT.to_owned(),
        version: VERSION,
        trace_id: Some(TRACE.to_owned()),
        product_id: Some(line.product_id),
        quantity: Some(line.quantity),
        qty: Some(line.quantity),
    }))
}

/// The answer to a payment's result.
pub(in crate::openapi) fn webhook(parked: bool) -> Value {
    let order_status = (!parked).then_some(OrderStatus::Paid);
    let receipt = wire::WebhookReceipt { order_id: 7, order_status, duplicate: false, parked };
    value(&wire::Envelope::new(receipt))
}
