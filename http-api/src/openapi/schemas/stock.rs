//! The shapes of batches, adjustments and ledgers.

use client::wire;
use engine::command::BATCH_ORDERS_MAX;
use engine::order::REASON_BYTES_MAX;
use engine::product::STOCK_MAX;
use serde_json::{Map, Value, json};

use super::{
    count, described, faults, flag, nullable, object, plain, schema, success, text, units, words,
};
use crate::handlers::stock::LEDGER_MAX;

/// All of them.
pub(super) fn all() -> Value {
    let mut all = Map::new();
    for part in [requests(), rows(), answers()] {
        if let Value::Object(part) = part {
            all.extend(part);
        }
    }
    all.into()
}

fn requests() -> Value {
    json!({
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
        "AdjustmentRequest": {
            "type": "object",
            "required": ["reason"],
            "description": "Exactly one of `delta` and `set`.",
            "properties": {
                "delta": nullable(json!({
                    "type": "integer",
                    "minimum": -STOCK_MAX,
                    "maximum": STOCK_MAX,
                    "not": {"const": 0},
                    "description": "Units to bring in, or to take out when negative.",
                })),
                "set": nullable(units()),
                "expected": nullable(json!({
                    "type": "integer",
                    "minimum": 0,
                    "maximum": STOCK_MAX,
                    "description": "Units that must be for sale before, else 409 `stock_mismatch`.",
                })),
                "reason": plain(REASON_BYTES_MAX, "Why; the ledger shows it."),
                "idempotency_key": nullable(schema("IdempotencyKey")),
            },
            "oneOf": [
                {"required": ["delta"], "properties": {"delta": {"type": "integer"}, "set": {"type": "null"}}},
                {"required": ["set"], "properties": {"set": {"type": "integer"}, "delta": {"type": "null"}}},
            ],
        },
    })
}

fn rows() -> Value {
    json!({
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
        "Adjustment": object("An adjustment of stock. It never changes.", &["product"], json!({
            "id": schema("Id"),
            "product_id": schema("Id"),
            "delta": {"type": "integer", "description": "Units that came in, or went out."},
            "set": {"type": ["integer", "null"], "minimum": 0, "description": "What was asked for."},
            "expected": {"type": ["integer", "null"], "minimum": 0},
            "reason": text("Why."),
            "stock": count("Units that could be sold right after it."),
            "idempotency_key": nullable(schema("IdempotencyKey")),
            "created_at": schema("Moment"),
            "version": described("Position", "Where in the log."),
            "trace_id": {"type": ["string", "null"], "description": "Of the request."},
            "product": described("Product", "After the request, unless it is archived."),
        })),
        "LedgerRow": object("A movement of units.", &[], json!({
            "index": described("Position", "Where in the log."),
            "line": count("Its number among the rows of that position, from 0."),
            "time": schema("Moment"),
            "cause": text(
                "`created`, `order`, `sale`, `release`, `cancel`, `adjustment`, `hold`, \
                 `hold_consume`, `hold_release` or `hold_expire`.",
            ),
            "reference": nullable(object("What moved the units.", &[], json!({
                "type": {"type": "string", "enum": ["order", "hold", "adjustment"]},
                "id": schema("Id"),
            }))),
            "reason": {"type": ["string", "null"], "description": "Of an adjustment."},
            "deltas": object("By how much each counter changed.", &[], json!({
                "stock": {"type": "integer"},
                "on_hand": {"type": "integer"},
                "held": {"type": "integer"},
                "reserved": {"type": "integer"},
                "sold": {"type": "integer"},
            })),
            "counters": object("The counters after it.", &[], json!({
                "stock": count("Units that can be sold."),
                "on_hand": count("Units in the house."),
                "held": count("Units in active holds."),
                "reserved": count("Units in open orders."),
                "sold": count("Units in paid orders."),
            })),
        })),
    })
}

fn answers() -> Value {
    json!({
        "BatchAnswer": object("", &[], json!({
            "success": success(),
            "data": {
                "type": "array",
                "minItems": 1,
                "maxItems": BATCH_ORDERS_MAX,
                "items": schema("BatchResult"),
            },
        })),
        "AdjustmentAnswer": object("", &[], json!({"success": success(), "data": schema("Adjustment")})),
        "LedgerList": object("", &[], json!({
            "success": success(),
            "data": {"type": "array", "maxItems": LEDGER_MAX, "items": schema("LedgerRow")},
            "meta": object("How to go on.", &[], json!({
                "next_cursor": {
                    "type": ["string", "null"],
                    "description": "To be sent as `after`; null at the end.",
                },
                "has_more": flag("Whether more follow."),
            })),
        })),
    })
}
