//! The shapes of holds and of results of payments.

use client::wire;
use engine::order::LINES_MAX;
use engine::webhook::PAYLOAD_BYTES_MAX;
use serde_json::{Value, json};

use super::requests::{items_or, lines};
use super::{described, flag, nullable, object, schema, words};

pub(super) fn requests() -> Value {
    let optional = |name: &str| nullable(schema(name));
    let ttl = |text: &str| {
        json!({
            "type": "integer",
            "minimum": 1,
            "description": format!("{text} At most what the server allows, 3600 unless set otherwise."),
        })
    };
    json!({
        "HoldRequest": {
            "type": "object",
            "oneOf": items_or("product_id", json!({
                "anyOf": [
                    {"required": ["quantity"], "properties": {"quantity": {"type": "integer"}}},
                    {"required": ["qty"], "properties": {"qty": {"type": "integer"}}},
                ],
            })),
            "properties": {
                "user_id": optional("Id"),
                "items": lines(
                    "Instead of `product_id`. Lines that name one product are added up before the \
                     check.",
                ),
                "product_id": nullable(described("Id", "Instead of `items`.")),
                "quantity": nullable(described("Quantity", "With `product_id`.")),
                "qty": nullable(described(
                    "Quantity",
                    "The same as `quantity`, in the word of older clients.",
                )),
                "ttl_seconds": nullable(ttl("For how long; 120 unless set otherwise.")),
                "idempotency_key": optional("IdempotencyKey"),
            },
        },
        "ExtendRequest": {
            "type": "object",
            "required": ["ttl_seconds"],
            "properties": {"ttl_seconds": ttl("For how long from now.")},
        },
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
    })
}

pub(super) fn rows() -> Value {
    json!({
        "Hold": object(
            "A hold as it is at one position.",
            &["product_id", "quantity", "qty"],
            json!({
                "id": schema("Id"),
                "hold_id": described("Id", "The same as `id`."),
                "user_id": nullable(schema("Id")),
                "status": words(
                    "`active` → `consumed` by one order, `expired` at its deadline, or `released`.",
                    wire::HoldStatus::ALL,
                ),
                "items": {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": LINES_MAX,
                    "items": object("A line of a hold.", &[], json!({
                        "product_id": schema("Id"),
                        "quantity": schema("Quantity"),
                    })),
                },
                "expires_at": described("Moment", "From this moment on it is unusable."),
                "order_id": nullable(described("Id", "The order that took it over.")),
                "idempotency_key": nullable(schema("IdempotencyKey")),
                "created_at": schema("Moment"),
                "updated_at": schema("Moment"),
                "version": described("Position", "Its last change; also its `ETag`."),
                "trace_id": {"type": ["string", "null"], "description": "Of the request that made it."},
                "product_id": described("Id", "Of a hold of one line."),
                "quantity": described("Quantity", "Of a hold of one line."),
                "qty": described("Quantity", "The same as `quantity`."),
            }),
        ),
        "WebhookReceipt": object("What became of the result of a payment.", &[], json!({
            "order_id": schema("Id"),
            "order_status": nullable(described(
                "OrderStatus",
                "How the order ended: PAID or FAILED. Null while the result waits for its order.",
            )),
            "duplicate": flag("The result was taken down before; this delivery changed nothing."),
            "parked": flag("The result waits for its order."),
        })),
    })
}
