//! Schemas of holds.

use client::wire;
use engine::order::LINES_MAX;
use serde_json::{Value, json};

use crate::bounds::LIMIT_MAX;
use crate::describe::shapes::Shapes;
use crate::describe::words::{described, nullable};
use crate::resources::orders::schemas::{items_or, lines};

/// All of them.
pub(crate) fn all() -> Value {
    requests().and(answers())
}

fn requests() -> Shapes {
    let ttl = json!({"type": "integer", "minimum": 1});
    let single = json!({
        "anyOf": [
            {"required": ["quantity"], "properties": {"quantity": {"type": "integer"}}},
            {"required": ["qty"], "properties": {"qty": {"type": "integer"}}},
        ],
    });
    let quantity = "The same as `quantity`, in the word of older clients.";
    // The wire type of the client knows `items` only; the server takes a single line as well.
    Shapes::requests()
        .of::<wire::HoldRequest>()
        .rule("HoldRequest", "oneOf", items_or("product_id", single))
        .optional("HoldRequest.items")
        .is("HoldRequest.items", lines())
        .is("HoldRequest.product_id", nullable(described("Id", "Instead of `items`.")))
        .is("HoldRequest.quantity", nullable(described("Quantity", "With `product_id`.")))
        .is("HoldRequest.qty", nullable(described("Quantity", quantity)))
        .with("HoldRequest.ttl_seconds", json!({"minimum": 1}))
        .of::<wire::ExtendRequest>()
        .is("ExtendRequest.ttl_seconds", ttl)
}

fn answers() -> Shapes {
    Shapes::answers()
        .of::<wire::HoldStatus>()
        .of::<wire::HoldLine>()
        .of::<wire::Hold>()
        .with("Hold.items", json!({"minItems": 1, "maxItems": LINES_MAX}))
        .envelope::<wire::Hold>("HoldAnswer")
        .of::<wire::HoldList>()
        .with("HoldList.data", json!({"maxItems": LIMIT_MAX}))
}
