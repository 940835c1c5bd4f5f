//! Schemas of the results of payments.

use client::wire;
use engine::order::REASON_BYTES_MAX;
use serde_json::{Value, json};

use crate::bounds::LIMIT_MAX;
use crate::describe::shapes::Shapes;

/// All of them.
pub(crate) fn all() -> Value {
    let requests = Shapes::requests()
        .of::<wire::PaymentResult>()
        .of::<wire::WebhookRequest>()
        .optional("WebhookRequest.idempotency_key")
        .rule("WebhookRequest", "required", json!(["order_id", "status"]))
        .of::<wire::SettleOutcome>()
        .of::<wire::SettleRequest>()
        .with("SettleRequest.expected_attempt", json!({"minimum": 1, "maximum": u32::MAX}))
        .plain("SettleRequest.provider_ref", REASON_BYTES_MAX)
        .plain("SettleRequest.reason", REASON_BYTES_MAX)
        .plain("SettleRequest.actor", REASON_BYTES_MAX)
        .of::<wire::RecheckRequest>()
        .with("RecheckRequest.expected_attempt", json!({"minimum": 1, "maximum": u32::MAX}));
    let answers = Shapes::answers()
        .of::<wire::WebhookResult>()
        .of::<wire::WebhookConflict>()
        .of::<wire::WebhookReceipt>()
        .of::<wire::UnsettledPayment>()
        .of::<wire::UnsettledList>()
        .with("UnsettledList.data", json!({"maxItems": LIMIT_MAX}))
        .envelope::<wire::WebhookReceipt>("WebhookAnswer");
    let mut all = requests.and(answers);
    all["Amount"] = json!({
        "description": "Decimal text in a string or a number, with at most two places. It is \
                        never read as binary floating point.",
        "anyOf": [
            {"type": "string", "pattern": r"^[0-9]{1,16}(\.[0-9]{1,2})?$"},
            {"type": "number", "minimum": 0, "maximum": 1e14, "multipleOf": 0.01},
        ],
        "examples": ["1999.98", 30],
    });
    all
}
