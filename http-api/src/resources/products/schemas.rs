//! Schemas of products, adjustments and ledgers.

use client::wire;
use engine::order::REASON_BYTES_MAX;
use engine::product::{NAME_BYTES_MAX, SKU_BYTES_MAX, STOCK_MAX};
use engine::sale::WINDOW_DAYS_MAX;
use serde_json::{Value, json};

use crate::bounds::{LEDGER_MAX, LIST_MAX};
use crate::describe::shapes::Shapes;
use crate::describe::words::schema;

/// The limits of a product.
const LIMITS: [&str; 5] =
    ["max_per_order", "max_per_user", "low_stock_threshold", "min_per_order", "max_held_per_user"];

/// All of them.
pub(crate) fn all() -> Value {
    requests().and(answers())
}

fn requests() -> Shapes {
    let stock = || json!({"minimum": 0, "maximum": STOCK_MAX});
    let mut shapes = Shapes::requests().of::<wire::ProductRequest>().of::<wire::ProductPatch>();
    for of in ["ProductRequest", "ProductPatch"] {
        for limit in LIMITS {
            let bounds = json!({"minimum": 1, "maximum": u32::MAX});
            shapes = shapes.with(&format!("{of}.{limit}"), bounds);
        }
        for instant in ["opens_at", "closes_at"] {
            shapes = shapes.with(&format!("{of}.{instant}"), json!({"format": "date-time"}));
        }
        shapes = shapes
            .plain(&format!("{of}.name"), NAME_BYTES_MAX)
            .plain(&format!("{of}.sku"), SKU_BYTES_MAX)
            .with(&format!("{of}.stock"), stock());
        for field in ["name", "price", "stock"] {
            shapes = shapes.not_null(&format!("{of}.{field}"));
        }
    }
    let delta = json!({"minimum": -STOCK_MAX, "maximum": STOCK_MAX, "not": {"const": 0}});
    let is = |kind: &str| json!({"type": kind});
    let one_of = json!([
        {"required": ["delta"], "properties": {"delta": is("integer"), "set": is("null")}},
        {"required": ["set"], "properties": {"set": is("integer"), "delta": is("null")}},
    ]);
    shapes
        .of::<wire::AdjustmentRequest>()
        .rule("AdjustmentRequest", "oneOf", one_of)
        .with("AdjustmentRequest.delta", delta)
        .with("AdjustmentRequest.set", stock())
        .with("AdjustmentRequest.expected", stock())
        .plain("AdjustmentRequest.reason", REASON_BYTES_MAX)
}

fn answers() -> Shapes {
    let days = json!({"minimum": 1, "maximum": WINDOW_DAYS_MAX});
    let mut shapes = Shapes::answers()
        .of::<wire::Product>()
        .of::<wire::PerWindow>()
        .with("PerWindow.units", json!({"minimum": 1, "maximum": u32::MAX}))
        .with("PerWindow.days", days);
    for limit in LIMITS {
        shapes = shapes.with(&format!("Product.{limit}"), json!({"minimum": 1}));
    }
    shapes
        .of::<wire::Adjustment>()
        .of::<wire::LedgerRow>()
        .is("LedgerRow.index", schema("Position"))
        .of::<wire::LedgerReference>()
        .with("LedgerReference.type", json!({"enum": ["order", "hold", "adjustment", "refund"]}))
        .of::<wire::LedgerDeltas>()
        .of::<wire::LedgerCounters>()
        .of::<wire::CursorMeta>()
        .envelope::<wire::Product>("ProductAnswer")
        .of::<wire::ProductList>()
        .with("ProductList.data", json!({"maxItems": LIST_MAX}))
        .envelope::<wire::Adjustment>("AdjustmentAnswer")
        .of::<wire::LedgerList>()
        .with("LedgerList.data", json!({"maxItems": LEDGER_MAX}))
}
