//! Examples of holds.

use client::wire::{self, HoldStatus};
use serde_json::{Value, json};

use crate::describe::examples::{MOMENT, TRACE, VERSION, value};

/// The body of a hold.
pub(crate) fn hold_request() -> Value {
    json!({"product_id": 1, "quantity": 2, "user_id": 1, "idempotency_key": "hold-abc-123"})
}

/// A hold of one line.
pub(crate) fn hold(status: HoldStatus) -> Value {
    value(&wire::Envelope::new(hold_row(status)))
}

/// A page of holds.
pub(crate) fn hold_list() -> Value {
    let meta = wire::CursorMeta { next_cursor: None, has_more: false };
    value(&wire::HoldList::new(vec![hold_row(HoldStatus::Active)], meta))
}

fn hold_row(status: HoldStatus) -> wire::Hold {
    let unit_price = Some("999.99".to_owned());
    wire::Hold {
        id: 3,
        hold_id: 3,
        user_id: Some(1),
        status,
        items: vec![wire::HoldLine { product_id: 1, quantity: 2, unit_price }],
        total_amount: Some("1999.98".to_owned()),
        expires_at: MOMENT.to_owned(),
        order_id: (status == HoldStatus::Consumed).then_some(7),
        idempotency_key: Some("hold-abc-123".to_owned()),
        created_at: MOMENT.to_owned(),
        updated_at: MOMENT.to_owned(),
        version: VERSION,
        trace_id: Some(TRACE.to_owned()),
        product_id: Some(1),
        quantity: Some(2),
        qty: Some(2),
    }
}
