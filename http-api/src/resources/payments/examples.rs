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

/// A page of payments without a result.
pub(crate) fn unsettled() -> Value {
    let payment = wire::UnsettledPayment {
        order_id: 7,
        payment_method: wire::PaymentMethod::Gateway,
        payment_key: "a1b2c3d4e5f6.0-7-1".into(),
        attempt: 1,
        unanswered: 3,
        amount: "1999.98".into(),
        amount_minor: 199_998,
        since: "2026-02-23T10:30:00.250Z".into(),
        next_at: "2026-02-23T10:31:10.250Z".into(),
        in_flight: false,
        trace_id: "0190f5fe-7c00-7a00-8000-000000000000".into(),
    };
    let meta = wire::CursorMeta { next_cursor: None, has_more: false };
    value(&wire::UnsettledList::new(vec![payment], meta))
}

/// The body of a settlement.
pub(crate) fn settle_request() -> Value {
    json!({
        "outcome": "paid",
        "expected_attempt": 1,
        "provider_ref": "pi_3Qx",
        "reason": "charged at the provider, answer lost",
        "actor": "ann",
    })
}

/// The body of a recheck.
pub(crate) fn recheck_request() -> Value {
    json!({"expected_attempt": 1})
}
