//! The shapes of results of payments.

use client::wire;
use engine::webhook::PAYLOAD_BYTES_MAX;
use serde_json::{Value, json};

use crate::describe::words::{described, flag, nullable, object, schema, success, words};

/// All of them.
pub(crate) fn all() -> Value {
    let envelope = |of: &str| object("", &[], json!({"success": success(), "data": schema(of)}));
    json!({
        "WebhookRequest": {
            "type": "object",
            "required": ["order_id", "status"],
            "properties": {
                "idempotency_key": nullable(described(
                    "IdempotencyKey",
                    "The provider's name for this result, the same in every delivery. Required \
                     here, where the signature covers it; without a secret the header will do.",
                )),
                "order_id": schema("Id"),
                "status": words("What became of the payment.", wire::PaymentResult::ALL),
                "amount": nullable(described(
                    "Amount",
                    "How much was paid. Another amount than the order's total is a conflict.",
                )),
                "payload": {
                    "description": format!(
                        "Anything else, kept with the result: at most {PAYLOAD_BYTES_MAX} bytes of \
                         JSON, numbers of at most 64 bits."
                    ),
                },
            },
        },
        "Amount": {
            "description": "Decimal text in a string or a number, with at most two places. It is \
                            never read as binary floating point.",
            "anyOf": [
                {"type": "string", "pattern": r"^[0-9]{1,16}(\.[0-9]{1,2})?$"},
                {"type": "number", "minimum": 0, "maximum": 1e14, "multipleOf": 0.01},
            ],
            "examples": ["1999.98", 30],
        },
        "WebhookReceipt": object("What became of the result of a payment.", &[], json!({
            "order_id": schema("Id"),
            "order_status": nullable(described(
                "OrderStatus",
                "How the order ended: PAID or FAILED. Null while the result waits for its order.",
            )),
            "duplicate": flag("The result was taken down before; this delivery changed nothing."),
            "parked": flag("The result waits for its order."),
        })),
        "WebhookAnswer": envelope("WebhookReceipt"),
    })
}
