//! The shapes of orders, of what is known about keys, of batches and of tasks.

use client::wire;
use engine::command::BATCH_ORDERS_MAX;
use engine::order::{LINES_MAX, REASON_BYTES_MAX};
use serde_json::{Value, json};

use crate::describe::words::{
    count, described, faults, flag, nullable, object, plain, schema, success, text, words,
};

/// All of them.
pub(crate) fn all() -> Value {
    let optional = |name: &str| nullable(schema(name));
    let envelope = |of: &str| object("", &[], json!({"success": success(), "data": schema(of)}));
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
        "BatchRequest": {
            "type": "object",
            "required": ["orders"],
            "properties": {
                "atomic": nullable(flag("Place all orders or none.")),
                "orders": {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": BATCH_ORDERS_MAX,
                    "items": schema("OrderRequest"),
                    "description": "Each with its own key, if any.",
                },
            },
        },
        "TaskRequest": {
            "type": "object",
            "required": ["order_id"],
            "properties": {"order_id": schema("Id")},
        },
        "Order": object("An order as it is at one position.", &["product_id", "quantity", "product"], json!({
            "id": schema("Id"),
            "order_id": described("Id", "The same as `id`."),
            "user_id": nullable(schema("Id")),
            "status": schema("OrderStatus"),
            "saga_status": schema("SagaStatus"),
            "payment_method": schema("PaymentMethod"),
            "payment_status": nullable(schema("PaymentStatus")),
            "hold_id": nullable(schema("Id")),
            "idempotency_key": nullable(schema("IdempotencyKey")),
            "items": {
                "type": "array", "minItems": 1, "maxItems": LINES_MAX, "items": schema("OrderLine"),
            },
            "total_amount": schema("Money"),
            "total_price": described("Money", "The same as `total_amount`."),
            "total_amount_minor": schema("MinorUnits"),
            "failure_reason": {"type": ["string", "null"], "description": "Why it is FAILED."},
            "cancelled_at": nullable(schema("Moment")),
            "created_at": schema("Moment"),
            "updated_at": schema("Moment"),
            "version": described("Position", "Its last change; also its `ETag`."),
            "metadata": nullable(schema("Metadata")),
            "trace_id": {"type": ["string", "null"], "description": "Of the request that placed it."},
            "product_id": described("Id", "Of an order of one line."),
            "quantity": described("Quantity", "Of an order of one line."),
            "product": described("Product", "After the sale; in answers to purchases."),
        })),
        "OrderLine": object("A line, priced when the order was placed.", &[], json!({
            "id": {"type": "integer", "minimum": 1, "maximum": LINES_MAX, "description": "Its number."},
            "order_id": schema("Id"),
            "product_id": schema("Id"),
            "quantity": schema("Quantity"),
            "unit_price": schema("Money"),
            "unit_price_minor": schema("MinorUnits"),
            "line_total": schema("Money"),
        })),
        "OrderEvent": object("A step of an order.", &[], json!({
            "index": described("Position", "Where in the log."),
            "from": nullable(schema("OrderStatus")),
            "to": schema("OrderStatus"),
            "time": schema("Moment"),
            "cause": text("What brought it about, such as `placed` or `payment_declined`."),
            "reason": {"type": ["string", "null"], "description": "The words that came with it."},
            "trace_id": {"type": ["string", "null"], "description": "Of the request behind it."},
        })),
        "ByKey": object("What is known about a key.", &["order"], json!({
            "state": words("`applied` when the key made an order.", wire::KeyState::ALL),
            "order": schema("Order"),
        })),
        "BatchResult": object(
            "What became of one order of a batch: the order, or what an error says.",
            &["order", "error", "error_code", "message", "outcome", "retryable", "errors"],
            json!({
                "index": count("Which order of the request, from 0."),
                "status": {
                    "type": "integer",
                    "minimum": 200,
                    "maximum": 599,
                    "description": "The HTTP status that the order alone would have had: 201 placed, \
                                    200 made before by its key.",
                },
                "order": schema("Order"),
                "error": text("The code."),
                "error_code": {"type": "string", "pattern": "^[A-Z_]+$"},
                "message": text("What went wrong, in words."),
                "outcome": words("As in a problem.", wire::Outcome::ALL),
                "retryable": flag("Whether the same order may succeed a little later."),
                "errors": faults(),
            }),
        ),
        "RefusedOrder": object("An order for which an atomic batch was refused.", &[], json!({
            "index": count("Which order of the request, from 0."),
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "error": text("The code that the order alone would have had."),
            "message": text("What is wrong with it, in words."),
        })),
        "OrderAnswer": object("", &[], json!({
            "success": success(),
            "order_id": described("Id", "The same as `data.id`."),
            "status": described("OrderStatus", "The same as `data.status`."),
            "data": schema("Order"),
        })),
        "TaskQueued": object("", &[], json!({
            "message": {"type": "string", "const": "Task queued"},
            "success": success(),
            "order_id": described("Id", "The same as `data.id`."),
            "status": described("OrderStatus", "The same as `data.status`."),
            "data": schema("Order"),
        })),
        "OrderList": object("", &[], json!({
            "success": success(),
            "data": {"type": "array", "maxItems": 1000, "items": schema("Order")},
            "meta": schema("PageMeta"),
        })),
        "PageMeta": object("Where a page stands in the whole list.", &[], json!({
            "current_page": {"type": ["integer", "null"], "minimum": 1, "description": "Null by cursor."},
            "per_page": {"type": "integer", "minimum": 1, "maximum": 1000},
            "total": {"type": ["integer", "null"], "minimum": 0, "description": "Null by cursor."},
            "last_page": {"type": ["integer", "null"], "minimum": 1, "description": "Null by cursor."},
            "next_cursor": {"type": ["string", "null"], "description": "Null at the end."},
            "has_more": flag("Whether more follow."),
        })),
        "OrderHistory": object("", &[], json!({
            "success": success(),
            "data": {"type": "array", "minItems": 1, "items": schema("OrderEvent")},
        })),
        "ByKeyAnswer": envelope("ByKey"),
        "BatchAnswer": object("", &[], json!({
            "success": success(),
            "data": {
                "type": "array",
                "minItems": 1,
                "maxItems": BATCH_ORDERS_MAX,
                "items": schema("BatchResult"),
            },
        })),
    })
}

/// What an order or a hold asks for.
pub(crate) fn lines(text: &str) -> Value {
    json!({
        "type": ["array", "null"],
        "minItems": 1,
        "maxItems": LINES_MAX,
        "items": schema("OrderLineRequest"),
        "description": text,
    })
}

/// Either `items` or `other`, which `more` says more about.
pub(crate) fn items_or(other: &str, more: Value) -> [Value; 2] {
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
