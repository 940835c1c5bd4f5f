//! The shapes of products, adjustments and ledgers.

use engine::order::REASON_BYTES_MAX;
use engine::product::{NAME_BYTES_MAX, SKU_BYTES_MAX, STOCK_MAX};
use serde_json::{Value, json};

use crate::bounds::{LEDGER_MAX, LIST_MAX};
use crate::describe::words::{
    count, described, flag, nullable, object, plain, schema, success, text, units,
};

/// All of them.
pub(crate) fn all() -> Value {
    let envelope = |of: &str| object("", &[], json!({"success": success(), "data": schema(of)}));
    json!({
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
        "Product": object(
            "A product and its counters at one position: `stock + held + reserved = on_hand`, \
             `on_hand + sold = total_stock`.",
            &[],
            json!({
                "id": schema("Id"),
                "name": text("Its name."),
                "sku": {"type": ["string", "null"], "description": "The caller's own identifier."},
                "price": schema("Money"),
                "price_minor": schema("MinorUnits"),
                "stock": count("Units that can be sold."),
                "available_stock": count("The same as `stock`."),
                "total_stock": count("Units on hand and units sold."),
                "on_hand": count("Units in the house."),
                "held": count("Units in active holds."),
                "reserved": count("Units in open orders."),
                "sold": count("Units in paid orders."),
                "max_per_order": {"type": ["integer", "null"], "minimum": 1},
                "max_per_user": {"type": ["integer", "null"], "minimum": 1},
                "low_stock_threshold": {"type": ["integer", "null"], "minimum": 1},
                "created_at": schema("Moment"),
                "updated_at": schema("Moment"),
                "version": described("Position", "Its last change; also its `ETag`."),
            }),
        ),
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
        "ProductAnswer": envelope("Product"),
        "ProductList": object("", &[], json!({
            "success": success(),
            "data": {"type": "array", "maxItems": LIST_MAX, "items": schema("Product")},
            "meta": object("How to go on.", &[], json!({
                "next_cursor": {"type": ["string", "null"], "description": "Null at the end."},
                "has_more": flag("Whether more follow."),
            })),
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
