//! Examples of orders, keys, batches and tasks.

use client::wire::{self, ErrorCode, OrderStatus};
use serde_json::{Value, json};

use crate::describe::examples::{MOMENT, TRACE, VERSION, detail, shortage, value};
use crate::resources::products::examples::product_row;

/// The body of an order.
pub(crate) fn order_request() -> Value {
    json!({
        "user_id": 1,
        "items": [{"product_id": 1, "quantity": 2}],
        "payment_method": "mock",
        "client_reference": "cart-1234",
        "idempotency_key": "order-abc-123",
    })
}

/// The body of a purchase.
pub(crate) fn purchase_request() -> Value {
    json!({"product_id": 1, "quantity": 2, "user_id": 1})
}

fn order_row(status: OrderStatus) -> wire::Order {
    let cancelled = status == OrderStatus::Cancelled;
    wire::Order {
        id: 7,
        order_id: 7,
        user_id: Some(1),
        status,
        saga_status: status.into(),
        payment_method: wire::PaymentMethod::Mock,
        payment_status: (!cancelled).then_some(wire::PaymentStatus::Pending),
        hold_id: None,
        idempotency_key: Some("order-abc-123".to_owned()),
        items: vec![wire::OrderLine {
            id: 1,
            order_id: 7,
            product_id: 1,
            quantity: 2,
            unit_price: "999.99".to_owned(),
            unit_price_minor: 99_999,
            line_total: "1999.98".to_owned(),
        }],
        total_amount: "1999.98".to_owned(),
        total_price: "1999.98".to_owned(),
        total_amount_minor: 199_998,
        failure_reason: None,
        cancelled_at: cancelled.then(|| MOMENT.to_owned()),
        created_at: MOMENT.to_owned(),
        updated_at: MOMENT.to_owned(),
        version: VERSION,
        metadata: None,
        client_reference: Some("cart-1234".to_owned()),
        trace_id: Some(TRACE.to_owned()),
        product_id: Some(1),
        quantity: Some(2),
        product: None,
    }
}

/// An order in a status.
pub(crate) fn order(status: OrderStatus) -> Value {
    value(&wire::OrderAnswer::new(order_row(status)))
}

/// An order with the product after the sale.
pub(crate) fn purchase() -> Value {
    let mut order = order_row(OrderStatus::Pending);
    order.product = Some(Box::new(product_row()));
    value(&wire::OrderAnswer::new(order))
}

/// A page of orders.
pub(crate) fn order_list() -> Value {
    let meta = wire::PageMeta {
        current_page: Some(1),
        per_page: 15,
        total: Some(1),
        last_page: Some(1),
        next_cursor: None,
        has_more: false,
    };
    value(&wire::OrderList::new(vec![order_row(OrderStatus::Pending)], meta))
}

/// The history of an order.
pub(crate) fn history() -> Value {
    value(&wire::Envelope::new([wire::OrderEvent {
        index: VERSION,
        from: None,
        to: OrderStatus::Pending,
        time: MOMENT.to_owned(),
        cause: "placed".into(),
        reason: None,
        trace_id: Some(TRACE.to_owned()),
    }]))
}

/// A key that made an order.
pub(crate) fn by_key() -> Value {
    let order = Some(order_row(OrderStatus::Pending));
    value(&wire::Envelope::new(wire::ByKey { state: wire::KeyState::Applied, order }))
}

/// A key that was fenced.
pub(crate) fn fenced() -> Value {
    value(&wire::Envelope::new(wire::ByKey { state: wire::KeyState::Fenced, order: None }))
}

/// The body of a batch.
pub(crate) fn batch_request() -> Value {
    let order = |key: &str| {
        json!({
            "user_id": 1,
            "items": [{"product_id": 1, "quantity": 2}],
            "idempotency_key": key,
        })
    };
    json!({"atomic": false, "orders": [order("order-abc-123"), order("order-abc-124")]})
}

/// The results of a batch.
pub(crate) fn batch() -> Value {
    let code = ErrorCode::InsufficientStock;
    let refused = wire::BatchResult {
        index: 1,
        status: code.status(),
        error: Some(code.as_str().into()),
        error_code: Some(code.upper().into()),
        message: Some(detail(code).to_owned()),
        outcome: Some(code.outcome()),
        retryable: Some(code.is_retryable()),
        shortages: Some(vec![shortage()]),
        ..wire::BatchResult::default()
    };
    let order = Some(order_row(OrderStatus::Pending));
    let placed = wire::BatchResult { status: 201, order, ..wire::BatchResult::default() };
    value(&wire::Envelope::new([placed, refused]))
}

/// An order whose task was dispatched.
pub(crate) fn task() -> Value {
    value(&wire::TaskQueued::new(order_row(OrderStatus::Pending)))
}
