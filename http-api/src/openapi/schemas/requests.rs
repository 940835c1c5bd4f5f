//! The shapes of what is asked for: orders, products, users, members.

use engine::order::{LINES_MAX, REASON_BYTES_MAX};
use engine::product::{NAME_BYTES_MAX, SKU_BYTES_MAX};
use engine::user::FIELD_BYTES_MAX;
use raft_node::members::ADDRESS_BYTES_MAX;
use serde_json::{Value, json};

use super::{described, flag, nullable, plain, schema, units};

/// All of them.
pub(super) fn all() -> Value {
    let optional = |name: &str| nullable(schema(name));
    json!({
        "OrderRequest": {
            "type": "object",
            "oneOf": items_or("hold_id", json!({})),
            "properties": {
                "user_id": optional("Id"),
                "items": lines("Lines that name one product are added up before the check."),
                "payment_method": nullable(schema("PaymentMethod")),
                "idempotency_key": optional("IdempotencyKey"),
                "metadata": optional("Metadata"),
                "hold_id": nullable(described("Id", "The hold to take over, instead of `items`.")),
            },
        },
        "OrderLineRequest": {
            "type": "object",
            "required": ["product_id", "quantity"],
            "properties": {"product_id": schema("Id"), "quantity": schema("Quantity")},
        },
        "PurchaseRequest": {
            "type": "object",
            "required": ["product_id", "quantity"],
            "properties": {
                "product_id": schema("Id"),
                "quantity": schema("Quantity"),
                "user_id": optional("Id"),
                "idempotency_key": optional("IdempotencyKey"),
            },
        },
        "CancelRequest": {
            "type": "object",
            "properties": {
                "reason": nullable(plain(REASON_BYTES_MAX, "Why; kept in the order's history.")),
            },
        },
        "ProductRequest": {
            "type": "object",
            "required": ["name", "price", "stock"],
            "properties": product_fields(),
        },
        "ProductPatch": {
            "type": "object",
            "description": "What is left out stays as it is; null removes `sku` and the limits.",
            "properties": product_fields(),
        },
        "TaskRequest": {
            "type": "object",
            "required": ["order_id"],
            "properties": {"order_id": schema("Id")},
        },
        "MemberRequest": {
            "type": "object",
            "required": ["id", "raft_addr"],
            "properties": {
                "id": described("Id", "One that no member has or ever had."),
                "raft_addr": address("Where its peers reach it."),
                "http_addr": nullable(address("Where clients reach it.")),
                "incarnation": {
                    "type": ["string", "null"],
                    "pattern": "^[0-9a-fA-F]{16}$",
                    "description": "The random number of its data directory, which a node that \
                                    joins by itself tells. Without it the first directory met \
                                    under the id counts.",
                },
                "replaces": optional("Id"),
            },
        },
        "PaymentsRequest": {
            "type": "object",
            "required": ["paused"],
            "properties": {"paused": flag("Whether they are to wait.")},
        },
        "TransferRequest": {
            "type": "object",
            "properties": {"to": optional("Id")},
        },
        "UserRequest": {
            "type": "object",
            "required": ["name", "email"],
            "properties": {
                "name": plain(FIELD_BYTES_MAX, ""),
                "email": {
                    "type": "string",
                    "minLength": 3,
                    "maxLength": FIELD_BYTES_MAX,
                    "pattern": r"^[^@\s\u0000-\u001f\u007f-\u009f]+@[^@\s\u0000-\u001f\u007f-\u009f]+$",
                    "description": format!(
                        "Unlike that of any other user; at most {FIELD_BYTES_MAX} bytes of UTF-8."
                    ),
                },
            },
        },
    })
}

/// A port from 1 to 65535, zeros before it allowed.
const PORT: &str = "0*([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]\
                    |6553[0-5])";

/// A host and a port to connect to.
/// What an order or a hold asks for.
pub(super) fn lines(text: &str) -> Value {
    json!({
        "type": ["array", "null"],
        "minItems": 1,
        "maxItems": LINES_MAX,
        "items": schema("OrderLineRequest"),
        "description": text,
    })
}

fn address(text: &str) -> Value {
    json!({
        "type": "string",
        "minLength": 3,
        "maxLength": ADDRESS_BYTES_MAX,
        "pattern": format!(r"^[^\s\u0000-\u001f\u007f-\u009f]+:{PORT}$"),
        "description": format!("{text} HOST:PORT, at most {ADDRESS_BYTES_MAX} bytes."),
    })
}

/// Either `items` or `other`, which `more` says more about.
pub(super) fn items_or(other: &str, more: Value) -> [Value; 2] {
    let items = json!({
        "required": ["items"],
        "properties": {"items": {"type": "array"}, (other): {"type": "null"}},
    });
    let mut instead = json!({
        "required": [other],
        "properties": {(other): {"type": "integer"}, "items": {"type": "null"}},
    });
    if let (Value::Object(instead), Value::Object(more)) = (&mut instead, more) {
        instead.extend(more);
    }
    [items, instead]
}

/// What a product is made of, and what of it can be changed.
fn product_fields() -> Value {
    json!({
        "name": plain(NAME_BYTES_MAX, ""),
        "price": schema("Price"),
        "stock": units(),
        "sku": nullable(sku()),
        "max_per_order": nullable(max_per_order()),
        "max_per_user": nullable(max_per_user()),
        "low_stock_threshold": nullable(low_stock_threshold()),
    })
}

fn sku() -> Value {
    plain(SKU_BYTES_MAX, "The caller's own identifier, unlike that of any other product.")
}

fn max_per_order() -> Value {
    json!({
        "type": "integer",
        "minimum": 1,
        "maximum": u32::MAX,
        "description": "Most units in one order.",
    })
}

fn max_per_user() -> Value {
    json!({
        "type": "integer",
        "minimum": 1,
        "maximum": u32::MAX,
        "description": "Most units of one user: open, held and paid ones, from the request on that \
                        first sets a limit. Orders and holds must then name a user.",
    })
}

fn low_stock_threshold() -> Value {
    json!({
        "type": "integer",
        "minimum": 1,
        "maximum": u32::MAX,
        "description": "The event `stock.low` tells when the units that can be sold fall to this \
                        number or below it.",
    })
}
