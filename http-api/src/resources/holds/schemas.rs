//! The shapes of holds.

use client::wire;
use engine::order::LINES_MAX;
use serde_json::{Value, json};

use crate::describe::words::{described, nullable, object, schema, success, words};
use crate::resources::orders::schemas::{items_or, lines};

/// All of them.
pub(crate) fn all() -> Value {
    let optional = |name: &str| nullable(schema(name));
    let ttl = |text: &str| {
        json!({
            "type": "integer",
            "minimum": 1,
            "description": format!("{text} At most what the server allows, 3600 unless set otherwise."),
        })
    };
    let envelope = |of: &str| object("", &[], json!({"success": success(), "data": schema(of)}));
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
        "HoldAnswer": envelope("Hold"),
    })
}
