//! Examples of products, adjustments and ledgers.

use client::wire;
use serde_json::{Value, json};

use crate::describe::examples::{MOMENT, TRACE, VERSION, value};

/// The body of a product.
pub(crate) fn product_request() -> Value {
    json!({"name": "Laptop Pro", "price": "999.99", "stock": 50, "sku": "LP-1", "max_per_order": 5})
}

pub(crate) fn product_row() -> wire::Product {
    wire::Product {
        id: 1,
        name: "Laptop Pro".to_owned(),
        sku: Some("LP-1".to_owned()),
        price: "999.99".to_owned(),
        price_minor: 99_999,
        stock: 48,
        available_stock: 48,
        total_stock: 50,
        on_hand: 50,
        held: 0,
        reserved: 2,
        sold: 0,
        max_per_order: Some(5),
        max_per_user: None,
        low_stock_threshold: Some(10),
        opens_at: Some(MOMENT.to_owned()),
        closes_at: None,
        min_per_order: None,
        max_held_per_user: Some(4),
        per_window: Some(wire::PerWindow { units: 2, days: 28 }),
        created_at: MOMENT.to_owned(),
        updated_at: MOMENT.to_owned(),
        version: VERSION,
    }
}

/// A product.
pub(crate) fn product() -> Value {
    value(&wire::Envelope::new(product_row()))
}

/// A list of products.
pub(crate) fn product_list() -> Value {
    let meta = wire::CursorMeta { next_cursor: None, has_more: false };
    value(&wire::ProductList::new(vec![product_row()], meta))
}

/// The body of an adjustment.
pub(crate) fn adjustment_request() -> Value {
    json!({"delta": -2, "expected": 50, "reason": "two came back broken", "idempotency_key": "adj-1"})
}

/// An adjustment.
pub(crate) fn adjustment() -> Value {
    value(&wire::Envelope::new(wire::Adjustment {
        id: 1,
        product_id: 1,
        delta: -2,
        set: None,
        expected: Some(50),
        reason: "two came back broken".to_owned(),
        stock: 48,
        idempotency_key: Some("adj-1".to_owned()),
        created_at: MOMENT.to_owned(),
        version: VERSION,
        trace_id: Some(TRACE.to_owned()),
        product: Some(product_row()),
    }))
}

/// A page of a ledger.
pub(crate) fn ledger() -> Value {
    let row = wire::LedgerRow {
        index: VERSION,
        line: 0,
        time: MOMENT.to_owned(),
        cause: "order".into(),
        reference: Some(wire::LedgerReference { kind: "order".into(), id: 7 }),
        reason: None,
        deltas: wire::LedgerDeltas { stock: -2, reserved: 2, ..wire::LedgerDeltas::default() },
        counters: wire::LedgerCounters {
            stock: 48,
            on_hand: 50,
            reserved: 2,
            ..wire::LedgerCounters::default()
        },
    };
    let next_cursor = Some(format!("{VERSION}.0"));
    let meta = wire::CursorMeta { next_cursor, has_more: true };
    value(&wire::LedgerList::new(vec![row], meta))
}
