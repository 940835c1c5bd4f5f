//! Examples, made of the wire types themselves, so that a new field appears here too.

mod holds;

use std::collections::BTreeSet;

use client::wire::{self, ErrorCode, OrderStatus, Problem};
use serde::Serialize;
use serde_json::{Map, Value, json};

pub(super) use holds::{hold, hold_request, webhook, webhook_request};

const TRACE: &str = "550e8400-e29b-41d4-a716-446655440000";
const MOMENT: &str = "2026-02-23T10:30:00.000Z";
const VERSION: u64 = 4711 << 20;

fn value(of: &impl Serialize) -> Value {
    serde_json::to_value(of).expect("wire types have string keys and finite values")
}

/// The body of an order.
pub(super) fn order_request() -> Value {
    json!({
        "user_id": 1,
        "items": [{"product_id": 1, "quantity": 2}],
        "payment_method": "mock",
        "idempotency_key": "order-abc-123",
    })
}

/// The body of a purchase.
pub(super) fn purchase_request() -> Value {
    json!({"product_id": 1, "quantity": 2, "user_id": 1})
}

/// The body of a product.
pub(super) fn product_request() -> Value {
    json!({"name": "Laptop Pro", "price": "999.99", "stock": 50, "sku": "LP-1", "max_per_order": 5})
}

/// The body of a user.
pub(super) fn user_request() -> Value {
    json!({"name": "Alice", "email": "alice@example.com"})
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
        trace_id: Some(TRACE.to_owned()),
        product_id: Some(1),
        quantity: Some(2),
        product: None,
    }
}

/// An order in a status.
pub(super) fn order(status: OrderStatus) -> Value {
    value(&wire::OrderAnswer::new(order_row(status)))
}

/// An order with the product after the sale.
pub(super) fn purchase() -> Value {
    let mut order = order_row(OrderStatus::Pending);
    order.product = Some(Box::new(product_row()));
    value(&wire::OrderAnswer::new(order))
}

/// A page of orders.
pub(super) fn order_list() -> Value {
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
pub(super) fn history() -> Value {
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
pub(super) fn by_key() -> Value {
    let order = Some(order_row(OrderStatus::Pending));
    value(&wire::Envelope::new(wire::ByKey { state: wire::KeyState::Applied, order }))
}

/// A key that was fenced.
pub(super) fn fenced() -> Value {
    value(&wire::Envelope::new(wire::ByKey { state: wire::KeyState::Fenced, order: None }))
}

/// The body of a batch.
pub(super) fn batch_request() -> Value {
    let order = |key: &str| {
        json!({
            "user_id": 1,
            "items": [{"product_id": 1, "quantity": 2}],
            "idempotency_key": key,
        })
    };
    json!({"atomic": false, "orders": [order("order-abc-123"), order("order-abc-124")]})
}

/// What became of a batch.
pub(super) fn batch() -> Value {
    let code = ErrorCode::InsufficientStock;
    let refused = wire::BatchResult {
        index: 1,
        status: code.status(),
        error: Some(code.as_str().into()),
        error_code: Some(code.upper().into()),
        message: Some(detail(code).to_owned()),
        outcome: Some(code.outcome()),
        retryable: Some(code.is_retryable()),
        ..wire::BatchResult::default()
    };
    let order = Some(order_row(OrderStatus::Pending));
    let placed = wire::BatchResult { status: 201, order, ..wire::BatchResult::default() };
    value(&wire::Envelope::new([placed, refused]))
}

/// The body of an adjustment.
pub(super) fn adjustment_request() -> Value {
    json!({"delta": -2, "expected": 50, "reason": "two came back broken", "idempotency_key": "adj-1"})
}

/// An adjustment.
pub(super) fn adjustment() -> Value {
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
pub(super) fn ledger() -> Value {
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

fn product_row() -> wire::Product {
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
        created_at: MOMENT.to_owned(),
        updated_at: MOMENT.to_owned(),
        version: VERSION,
    }
}

/// A product.
pub(super) fn product() -> Value {
    value(&wire::Envelope::new(product_row()))
}

/// A list of products.
pub(super) fn product_list() -> Value {
    let meta = wire::CursorMeta { next_cursor: None, has_more: false };
    value(&wire::ProductList::new(vec![product_row()], meta))
}

/// A user.
pub(super) fn user() -> Value {
    value(&wire::Envelope::new(wire::User {
        id: 1,
        name: "Alice".to_owned(),
        email: "alice@example.com".to_owned(),
        created_at: MOMENT.to_owned(),
        version: VERSION,
    }))
}

/// A cluster of one.
pub(super) fn cluster() -> Value {
    value(&wire::Envelope::new(wire::Cluster {
        cluster_id: "9c1b0e6f".to_owned(),
        node_id: 1,
        leader_id: Some(1),
        term: 2,
        commit_index: 4711,
        applied_index: 4711,
        digest: "00c0ffee00c0ffee".to_owned(),
        payments_paused: false,
        rebuilt_from: None,
        next_member_id: 2,
        members: vec![wire::Member {
            id: 1,
            role: wire::MemberRole::Leader,
            raft_addr: "127.0.0.1:9080".to_owned(),
            http_addr: Some("127.0.0.1:8080".to_owned()),
            replaces: None,
            match_index: Some(4711),
            lag: Some(0),
            healthy: true,
        }],
    }))
}

/// A node that is to join.
pub(super) fn member_request() -> Value {
    value(&wire::MemberRequest {
        id: 4,
        raft_addr: "10.0.0.4:9080".to_owned(),
        http_addr: Some("10.0.0.4:8080".to_owned()),
        ..wire::MemberRequest::default()
    })
}

/// What it is told.
pub(super) fn member_added() -> Value {
    let member = |id: u64, role, match_index, lag| wire::Member {
        id,
        role,
        raft_addr: format!("10.0.0.{id}:9080"),
        http_addr: Some(format!("10.0.0.{id}:8080")),
        replaces: None,
        match_index: Some(match_index),
        lag: Some(lag),
        healthy: true,
    };
    value(&wire::Envelope::new(wire::MemberAdded {
        cluster_id: "9c1b0e6f00c0ffee9c1b0e6f00c0ffee".to_owned(),
        cluster_name: "holdfast".to_owned(),
        founders: vec![wire::Founder {
            id: 1,
            raft_addr: "10.0.0.1:9080".to_owned(),
            http_addr: Some("10.0.0.1:8080".to_owned()),
        }],
        incarnations: vec![wire::KnownIncarnation {
            id: 1,
            incarnation: "00c0ffee00c0ffee".to_owned(),
        }],
        members: vec![
            member(1, wire::MemberRole::Leader, 4711, 0),
            member(4, wire::MemberRole::Learner, 0, 4711),
        ],
    }))
}

/// A snapshot that was taken.
pub(super) fn snapshot() -> Value {
    value(&wire::Envelope::new(wire::Snapshot {
        index: 4711,
        term: 2,
        bytes: 183_000,
        digest: "00c0ffee00c0ffee".to_owned(),
    }))
}

/// The health of a node.
pub(super) fn health(status: wire::HealthStatus) -> Value {
    let well = status == wire::HealthStatus::Ok;
    let state = if well { wire::ServiceState::Ok } else { wire::ServiceState::Down };
    value(&wire::Health {
        status,
        services: wire::Services {
            storage: wire::ServiceState::Ok,
            raft: state,
            quorum: state,
            worker: wire::ServiceState::Standby,
        },
        node_id: 1,
        leader_id: well.then_some(2),
        timestamp: MOMENT.to_owned(),
    })
}

/// A probe.
pub(super) fn probe(status: wire::HealthStatus) -> Value {
    let well = status == wire::HealthStatus::Ok;
    value(&wire::Probe { status, reason: (!well).then(|| "no leader is known".to_owned()) })
}

/// The friendly line.
pub(super) fn test() -> Value {
    value(&wire::Test { message: "API is working!".to_owned(), timestamp: MOMENT.to_owned() })
}

/// An order whose task was dispatched.
pub(super) fn task() -> Value {
    let message = "Task queued".to_owned();
    let order = wire::OrderAnswer::new(order_row(OrderStatus::Pending));
    value(&wire::TaskQueued { message, order })
}

/// A malformed request with another word than the code.
pub(super) fn malformed_as(word: &str) -> Value {
    let mut problem = Problem::new(ErrorCode::MalformedRequest, word, TRACE);
    problem.error = word.to_owned().into();
    value(&problem)
}

/// One problem for each code.
pub(super) fn problems(codes: &BTreeSet<ErrorCode>) -> Value {
    let example = |code: &ErrorCode| {
        let mut problem = Problem::new(*code, detail(*code), TRACE);
        problem.retry_after = crate::error::says_when_to_retry(*code).then_some(1);
        if *code == ErrorCode::ValidationError {
            let field = ("items".to_owned(), vec![problem.detail.clone()]);
            problem.errors = Some([field].into());
        }
        if code == &ErrorCode::BatchRejected {
            let missing = ErrorCode::NotFound;
            problem.results = Some(vec![wire::RefusedOrder {
                index: 1,
                status: missing.status(),
                error: missing.as_str().into(),
                message: "Product 9 not found.".to_owned(),
            }]);
        }
        if matches!(*code, ErrorCode::HoldConsumed | ErrorCode::PaymentConflict) {
            problem.order_id = Some(7);
            let conflict = *code == ErrorCode::PaymentConflict;
            problem.order_status = conflict.then_some(OrderStatus::Cancelled);
        }
        (code.as_str().to_owned(), json!({"summary": code.title(), "value": value(&problem)}))
    };
    codes.iter().map(example).collect::<Map<_, _>>().into()
}

fn detail(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::InsufficientStock => {
            "Insufficient stock for product ID 5. Requested: 10, available: 3."
        }
        ErrorCode::ValidationError => "The items field is required.",
        ErrorCode::NotFound => "Order not found.",
        ErrorCode::EventsGone => {
            "Events up to 4939841539.0 are no longer kept. Read the state anew, and go on from now \
             or after 4939841539.0."
        }
        ErrorCode::HoldConsumed => "Hold 3 was consumed by order 7.",
        ErrorCode::PaymentConflict => {
            "Order 7 is CANCELLED, and the payment result cannot be applied: it has ended."
        }
        ErrorCode::OrderNotCancellable => "Order with status PAID cannot be cancelled.",
        ErrorCode::IdempotencyKeyReused => "The idempotency key was used for another request.",
        ErrorCode::CommitTimeout => {
            "The write was not confirmed in time and may still take effect; retry with the same \
             idempotency key."
        }
        other => other.title(),
    }
}
