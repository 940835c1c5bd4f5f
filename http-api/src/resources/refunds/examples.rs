//! Examples of refunds.

use client::wire::{self, RefundStatus};
use serde_json::{Value, json};

use crate::describe::examples::value;

/// The body of a request.
pub(crate) fn request() -> Value {
    json!({
        "lines": [{"line": 1, "quantity": 1, "restock": true}],
        "reason": "returned",
        "actor": "ann",
        "idempotency_key": "rma-9",
    })
}

fn row() -> wire::Refund {
    wire::Refund {
        id: 3,
        order_id: 7,
        status: RefundStatus::Requested,
        amount: "999.99".into(),
        amount_minor: 99_999,
        lines: vec![wire::RefundLine { line: 1, quantity: 1, restock: true }],
        reason: "returned".into(),
        actor: "ann".into(),
        failure_reason: None,
        idempotency_key: Some("rma-9".into()),
        unanswered: 0,
        trace_id: "0190f5fe-7c00-7a00-8000-000000000000".into(),
        created_at: "2026-02-23T10:30:00.250Z".into(),
        updated_at: "2026-02-23T10:30:00.250Z".into(),
    }
}

/// One refund.
pub(crate) fn refund() -> Value {
    value(&wire::Envelope::new(row()))
}

/// The refunds of an order.
pub(crate) fn of_order() -> Value {
    value(&wire::Envelope::new(wire::OrderRefunds {
        order_id: 7,
        refunded: "999.99".into(),
        refunded_minor: 99_999,
        refunds: vec![row()],
    }))
}
