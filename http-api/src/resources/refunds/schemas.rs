//! Schemas of refunds.

use client::wire;
use engine::order::{LINES_MAX, REASON_BYTES_MAX};
use engine::refund::PER_ORDER_MAX;
use serde_json::{Value, json};

use crate::describe::shapes::Shapes;
use crate::describe::words::schema;

/// All of them.
pub(crate) fn all() -> Value {
    let requests = Shapes::requests()
        .of::<wire::RefundLine>()
        .with("RefundLine.line", json!({"minimum": 1, "maximum": LINES_MAX}))
        .of::<wire::RefundRequest>()
        .is("RefundRequest.amount", schema("Amount"))
        .optional("RefundRequest.amount")
        .with("RefundRequest.lines", json!({"minItems": 1, "maxItems": LINES_MAX}))
        .optional("RefundRequest.lines")
        .plain("RefundRequest.reason", REASON_BYTES_MAX)
        .plain("RefundRequest.actor", REASON_BYTES_MAX);
    let answers = Shapes::answers()
        .of::<wire::RefundStatus>()
        .of::<wire::Refund>()
        .of::<wire::OrderRefunds>()
        .with("OrderRefunds.refunds", json!({"maxItems": PER_ORDER_MAX}))
        .envelope::<wire::Refund>("RefundAnswer")
        .envelope::<wire::OrderRefunds>("OrderRefundsAnswer");
    requests.and(answers)
}
