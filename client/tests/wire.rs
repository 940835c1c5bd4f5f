//! The wire format, compared with committed JSON: a change of the format shows as a change of these
//! files.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use client::wire::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Compares `value` with the committed text in both directions, and reads it again with fields that
/// this version does not know.
#[track_caller]
fn golden<T>(text: &str, value: &T)
where
    T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug,
{
    let written = serde_json::to_string_pretty(value).unwrap();
    assert_eq!(written, text.trim_end(), "what is written");
    assert_eq!(&serde_json::from_str::<T>(text).unwrap(), value, "what is read");

    let mut newer: Value = serde_json::from_str(text).unwrap();
    add_unknown_fields(&mut newer, "");
    let newer = newer.to_string();
    assert_eq!(&serde_json::from_str::<T>(&newer).unwrap(), value, "read from {newer}");
}

/// Adds an unknown field to every object whose keys are fixed.
fn add_unknown_fields(value: &mut Value, name: &str) {
    match value {
        Value::Object(fields) if !["metadata", "errors", "payload"].contains(&name) => {
            for (name, value) in fields.iter_mut() {
                add_unknown_fields(value, name);
            }
            fields.insert("of_the_future".to_owned(), serde_json::json!({"deep": [1, null]}));
        }
        Value::Array(values) => values.iter_mut().for_each(|value| add_unknown_fields(value, "")),
        _ => {}
    }
}

fn metadata() -> Metadata {
    Metadata::from_text(r#"{"channel":"web"}"#).unwrap()
}

fn line(id: u64, order_id: u64, product_id: u64, quantity: u64, minor: i64) -> OrderLine {
    let text = |minor: i64| format!("{}.{:02}", minor / 100, minor % 100);
    OrderLine {
        id,
        order_id,
        product_id,
        quantity,
        unit_price: text(minor),
        unit_price_minor: minor,
        line_total: text(minor * i64::try_from(quantity).unwrap()),
    }
}

fn order() -> Order {
    Order {
        id: 7,
        order_id: 7,
        user_id: Some(1),
        status: OrderStatus::Pending,
        saga_status: SagaStatus::Reserved,
        payment_method: PaymentMethod::Mock,
        payment_status: Some(PaymentStatus::Pending),
        hold_id: None,
        idempotency_key: Some("order-abc-123".to_owned()),
        items: vec![line(1, 7, 1, 2, 99_999), line(2, 7, 2, 1, 2_999)],
        total_amount: "2029.97".to_owned(),
        total_price: "2029.97".to_owned(),
        total_amount_minor: 202_997,
        failure_reason: None,
        cancelled_at: None,
        created_at: "2026-02-23T10:30:00.000000Z".to_owned(),
        updated_at: "2026-02-23T10:30:00.000000Z".to_owned(),
        version: 4711,
        metadata: Some(metadata()),
        client_reference: None,
        trace_id: Some("550e8400-e29b-41d4-a716-446655440000".to_owned()),
        product_id: None,
        quantity: None,
        product: None,
    }
}

fn product() -> Product {
    Product {
        id: 2,
        name: "Wireless Mouse".to_owned(),
        sku: None,
        price: "29.99".to_owned(),
        price_minor: 2_999,
        stock: 190,
        available_stock: 190,
        total_stock: 200,
        on_hand: 196,
        held: 1,
        reserved: 5,
        sold: 4,
        max_per_order: None,
        max_per_user: Some(3),
        low_stock_threshold: Some(10),
        opens_at: None,
        closes_at: Some("2026-03-01T12:00:00.000Z".to_owned()),
        min_per_order: None,
        max_held_per_user: Some(2),
        per_window: None,
        created_at: "2026-02-23T10:00:00.000000Z".to_owned(),
        updated_at: "2026-02-23T10:35:00.000000Z".to_owned(),
        version: 4712,
    }
}

#[test]
fn order_answer() {
    golden(include_str!("goldens/order.json"), &OrderAnswer::new(order()));
}

#[test]
fn purchase_answer() {
    let order = Order {
        id: 8,
        order_id: 8,
        user_id: None,
        status: OrderStatus::Cancelled,
        saga_status: SagaStatus::Cancelled,
        payment_method: PaymentMethod::None,
        payment_status: None,
        idempotency_key: None,
        items: vec![line(1, 8, 2, 1, 2_999)],
        total_amount: "29.99".to_owned(),
        total_price: "29.99".to_owned(),
        total_amount_minor: 2_999,
        cancelled_at: Some("2026-02-23T10:35:00.000000Z".to_owned()),
        updated_at: "2026-02-23T10:35:00.000000Z".to_owned(),
        version: 4712,
        metadata: None,
        trace_id: None,
        product_id: Some(2),
        quantity: Some(1),
        product: Some(Box::new(product())),
        ..order()
    };
    golden(include_str!("goldens/purchase.json"), &OrderAnswer::new(order));
}

#[test]
fn lists() {
    let meta = PageMeta {
        current_page: Some(1),
        per_page: 15,
        total: Some(0),
        last_page: Some(1),
        next_cursor: None,
        has_more: false,
    };
    golden(include_str!("goldens/order_list.json"), &OrderList::new(vec![], meta));
    let meta = CursorMeta { next_cursor: Some("NTA".to_owned()), has_more: true };
    golden(include_str!("goldens/product_list.json"), &ProductList::new(vec![], meta));
}

#[test]
fn history() {
    let placed = OrderEvent {
        index: 4711,
        from: None,
        to: OrderStatus::Pending,
        time: "2026-02-23T10:30:00.000000Z".to_owned(),
        cause: "placed".into(),
        reason: None,
        trace_id: Some("t-1".to_owned()),
    };
    let cancelled = OrderEvent {
        index: 4800,
        from: Some(OrderStatus::Pending),
        to: OrderStatus::Cancelled,
        time: "2026-02-23T10:35:00.000000Z".to_owned(),
        cause: "cancelled".into(),
        reason: Some("changed my mind".to_owned()),
        trace_id: None,
    };
    golden(include_str!("goldens/history.json"), &Envelope::new(vec![placed, cancelled]));
}

#[test]
fn by_key() {
    let answer = Envelope::new(ByKey { state: KeyState::Unused, order: None });
    golden(include_str!("goldens/by_key.json"), &answer);
}

#[test]
fn batches() {
    let request = BatchRequest::of([OrderRequest::of([(1, 2)])]).atomic();
    golden(include_str!("goldens/batch_request.json"), &request);
    let placed = BatchResult { status: 201, order: Some(order()), ..BatchResult::default() };
    let code = ErrorCode::ValidationError;
    let field = ("items".to_owned(), vec!["The items field is required.".to_owned()]);
    let refused = BatchResult {
        index: 1,
        status: code.status(),
        error: Some(code.as_str().into()),
        error_code: Some(code.upper().into()),
        message: Some("The items field is required.".to_owned()),
        outcome: Some(code.outcome()),
        retryable: Some(code.is_retryable()),
        errors: Some([field].into()),
        ..BatchResult::default()
    };
    assert_eq!((refused.code(), refused.is_replay()), (Some(code), false));
    golden(include_str!("goldens/batch.json"), &Envelope::new(vec![placed, refused]));
    let mut problem = Problem::new(ErrorCode::BatchRejected, "words", "t");
    problem.results = Some(vec![RefusedOrder {
        index: 1,
        status: 404,
        error: "not_found".into(),
        message: "Product 9 not found.".to_owned(),
        shortages: None,
        opens_at: None,
        retry_after_ms: None,
    }]);
    golden(include_str!("goldens/problem_batch.json"), &problem);
}

#[test]
fn adjustments_and_ledgers() {
    let request = AdjustmentRequest::to(48, "counted").expecting(50);
    golden(include_str!("goldens/adjustment_request.json"), &request);
    let adjustment = Adjustment {
        id: 1,
        product_id: 2,
        delta: -2,
        set: Some(48),
        expected: Some(50),
        reason: "counted".to_owned(),
        stock: 48,
        idempotency_key: None,
        created_at: "2026-02-23T10:35:00.000000Z".to_owned(),
        version: 4712,
        trace_id: Some("t".to_owned()),
        product: Some(product()),
    };
    golden(include_str!("goldens/adjustment.json"), &Envelope::new(adjustment));
    let row = |line, cause: &'static str, kind: Option<&'static str>| LedgerRow {
        index: 4712,
        line,
        time: "2026-02-23T10:35:00.000000Z".to_owned(),
        cause: cause.into(),
        reference: kind.map(|kind| LedgerReference { kind: kind.into(), id: 7 }),
        reason: None,
        deltas: LedgerDeltas { stock: -2, reserved: 2, ..LedgerDeltas::default() },
        counters: LedgerCounters {
            stock: 48,
            on_hand: 50,
            reserved: 2,
            ..LedgerCounters::default()
        },
    };
    let meta = CursorMeta { next_cursor: Some("4712.1".to_owned()), has_more: true };
    let rows = vec![row(0, "created", None), row(1, "order", Some("order"))];
    golden(include_str!("goldens/ledger.json"), &LedgerList::new(rows, meta));
}

#[test]
fn tasks() {
    golden(include_str!("goldens/task_request.json"), &TaskRequest { order_id: 7 });
    let answer = TaskQueued::new(order());
    golden(include_str!("goldens/task.json"), &answer);
}

#[test]
fn users() {
    let user = User {
        id: 1,
        name: "Alice".to_owned(),
        email: "alice@example.com".to_owned(),
        created_at: "2026-02-23T10:00:00.000000Z".to_owned(),
        version: 1_048_576,
    };
    golden(include_str!("goldens/user.json"), &Envelope::new(user));
    let request = UserRequest { name: "Alice".to_owned(), email: "alice@example.com".to_owned() };
    golden(include_str!("goldens/user_request.json"), &request);
}

#[test]
fn cluster() {
    let leader = Member {
        id: 1,
        role: MemberRole::Leader,
        raft_addr: "127.0.0.1:9080".to_owned(),
        http_addr: Some("127.0.0.1:8080".to_owned()),
        replaces: None,
        match_index: None,
        lag: None,
        healthy: true,
        last_contact_ms: Some(40),
        level_newest: None,
        version: None,
        uptime_seconds: None,
    };
    let follower = Member {
        id: 2,
        role: MemberRole::Follower,
        raft_addr: "127.0.0.1:9081".to_owned(),
        http_addr: None,
        replaces: None,
        match_index: Some(118),
        lag: Some(2),
        healthy: false,
        last_contact_ms: None,
        level_newest: Some(1),
        version: Some("0.1.0".to_owned()),
        uptime_seconds: Some(90),
    };
    let cluster = Cluster {
        cluster_id: "holdfast".to_owned(),
        node_id: 2,
        leader_id: Some(1),
        term: 3,
        commit_index: 120,
        applied_index: 118,
        digest: "00f1e2d3c4b5a697".to_owned(),
        level: 1,
        level_newest: 1,
        payments_paused: false,
        rebuilt_from: Some(3),
        next_member_id: 5,
        warnings: vec!["the clock is behind".to_owned()],
        node: Some(NodeState {
            version: "0.1.0".to_owned(),
            uptime_seconds: 90,
            disk_free_bytes: 1_000_000_000,
            disk_reserve_bytes: Some(268_435_456),
            memory_bytes: Some(50_000_000),
            memory_limit_bytes: None,
            files_open: Some(40),
            files_max: None,
        }),
        insecure: vec!["http".into()],
        unsafe_settings: vec!["--disk-reserve-mb 0".into()],
        log_entries_left: Some(8_589_934_471),
        members: vec![leader, follower],
    };
    golden(include_str!("goldens/cluster.json"), &Envelope::new(cluster));
}

#[test]
fn health_and_probes() {
    let timestamp = || "2026-02-23T10:30:00.000000Z".to_owned();
    let health = Health {
        status: HealthStatus::Degraded,
        services: Services {
            storage: ServiceState::Ok,
            raft: ServiceState::Ok,
            quorum: ServiceState::Down,
            worker: ServiceState::Standby,
        },
        node_id: 2,
        leader_id: None,
        warnings: Vec::new(),
        timestamp: timestamp(),
    };
    golden(include_str!("goldens/health.json"), &health);
    let reason = Some("no leader is known".to_owned());
    golden(include_str!("goldens/probe.json"), &Probe { status: HealthStatus::Degraded, reason });
    let test = Test { message: "Holdfast is up".to_owned(), timestamp: timestamp() };
    golden(include_str!("goldens/test.json"), &test);
}

#[test]
fn problems() {
    let detail = "Insufficient stock for product ID 5. Requested: 10, available: 3.";
    let mut problem = Problem::new(ErrorCode::InsufficientStock, detail, "t-1");
    problem.shortages = Some(vec![Shortage { product_id: 5, requested: 10, available: 3 }]);
    golden(include_str!("goldens/problem.json"), &problem);

    let required = |words: &str| vec![words.to_owned()];
    let mut problem =
        Problem::new(ErrorCode::ValidationError, "The items field is required.", "t-1");
    problem.errors = Some(
        [
            ("items".to_owned(), required("The items field is required.")),
            ("user_id".to_owned(), required("The user id field is required.")),
        ]
        .into(),
    );
    golden(include_str!("goldens/problem_fields.json"), &problem);

    let mut problem = Problem::new(ErrorCode::NoLeader, "No leader is known.", "t-1");
    problem.retry_after = Some(1);
    golden(include_str!("goldens/problem_retry.json"), &problem);
}

#[test]
fn order_requests() {
    let request = OrderRequest {
        user_id: Some(1),
        payment_method: Some(PaymentMethod::None),
        idempotency_key: Some("order-abc-123".to_owned()),
        metadata: Some(metadata()),
        ..OrderRequest::of([(1, 2)])
    };
    golden(include_str!("goldens/order_request.json"), &request);
    let request = OrderRequest { hold_id: Some(12), ..OrderRequest::default() };
    golden(include_str!("goldens/order_request_hold.json"), &request);
    let request = PurchaseRequest { product_id: 1, quantity: 2, ..PurchaseRequest::default() };
    golden(include_str!("goldens/purchase_request.json"), &request);
    let request = CancelRequest { reason: Some("changed my mind".to_owned()) };
    golden(include_str!("goldens/cancel_request.json"), &request);
}

#[test]
fn product_requests() {
    let request = ProductRequest {
        name: "Laptop Pro".to_owned(),
        price: "999.99".to_owned(),
        stock: 50,
        sku: Some("LP-1".to_owned()),
        max_per_order: Some(5),
        max_per_user: None,
        ..ProductRequest::default()
    };
    golden(include_str!("goldens/product_request.json"), &request);
    let patch = ProductPatch { price: Some("899.00".to_owned()), ..ProductPatch::default() };
    golden(include_str!("goldens/product_patch.json"), &patch);
    let patch = ProductPatch {
        sku: Patch::Clear,
        max_per_order: Patch::Set(3),
        max_per_user: None.into(),
        low_stock_threshold: Some(2).into(),
        ..ProductPatch::default()
    };
    golden(include_str!("goldens/product_patch_limits.json"), &patch);
}

#[test]
fn a_price_may_be_a_number_and_keeps_its_digits() {
    let json = r#"{"name": "x", "price": 0.10, "stock": 1}"#;
    let request: ProductRequest = serde_json::from_str(json).unwrap();
    assert_eq!(request.price, "0.10");
    let patch: ProductPatch = serde_json::from_str(r#"{"price": 99999999.99}"#).unwrap();
    assert_eq!(patch.price.as_deref(), Some("99999999.99"));
}

/// Every word of every closed set, so that nobody renames or removes one unnoticed.
#[test]
fn words() {
    fn joined<T: std::fmt::Display>(words: &[T]) -> String {
        words.iter().map(T::to_string).collect::<Vec<_>>().join(" ")
    }
    assert_eq!(joined(OrderStatus::ALL), "PENDING PROCESSING PAID FAILED CANCELLED");
    assert_eq!(joined(SagaStatus::ALL), "RESERVED CONFIRMED CANCELLED");
    assert_eq!(joined(PaymentMethod::ALL), "mock webhook none gateway");
    assert_eq!(joined(PaymentStatus::ALL), "pending unsettled succeeded declined");
    assert_eq!(joined(KeyState::ALL), "applied fenced unused");
    assert_eq!(joined(MemberRole::ALL), "leader follower candidate learner unknown");
    assert_eq!(joined(HealthStatus::ALL), "ok degraded");
    assert_eq!(joined(ServiceState::ALL), "ok standby down");
    assert_eq!(joined(Outcome::ALL), "not_applied rejected unknown");
}

/// The table of error codes: status, code, upper-case code and outcome.
#[test]
fn error_codes() {
    let table: String = ErrorCode::ALL
        .iter()
        .map(|code| format!("{} {code} {} {}\n", code.status(), code.upper(), code.outcome()))
        .collect();
    assert_eq!(table, include_str!("goldens/error_codes.txt"));
}

#[test]
fn statuses_agree_with_each_other() {
    for &status in OrderStatus::ALL {
        let saga = SagaStatus::from(status);
        assert_eq!(status.is_final(), saga != SagaStatus::Reserved, "{status} {saga}");
    }
}

#[test]
fn holds() {
    golden(
        include_str!("goldens/hold.json"),
        &Envelope::new(Hold {
            id: 3,
            hold_id: 3,
            user_id: Some(1),
            status: HoldStatus::Active,
            items: vec![HoldLine {
                product_id: 1,
                quantity: 2,
                unit_price: Some("29.99".to_owned()),
            }],
            total_amount: Some("59.98".to_owned()),
            expires_at: "2026-02-23T10:32:00.000Z".to_owned(),
            order_id: None,
            idempotency_key: Some("hold-abc-123".to_owned()),
            created_at: "2026-02-23T10:30:00.000Z".to_owned(),
            updated_at: "2026-02-23T10:30:00.000Z".to_owned(),
            version: 4711,
            trace_id: Some("550e8400-e29b-41d4-a716-446655440000".to_owned()),
            product_id: Some(1),
            quantity: Some(2),
            qty: Some(2),
        }),
    );
    let mut request = HoldRequest::of([(1, 2)]);
    request.user_id = Some(1);
    request.ttl_seconds = Some(60);
    request.idempotency_key = Some("hold-abc-123".to_owned());
    golden(include_str!("goldens/hold_request.json"), &request);
    assert_eq!(OrderRequest::from_hold(3).hold_id, Some(3));
}

#[test]
fn webhooks() {
    let receipt = WebhookReceipt {
        order_id: 7,
        order_status: Some(OrderStatus::Paid),
        result: WebhookResult::Applied,
        conflict: None,
        duplicate: false,
        parked: false,
    };
    golden(include_str!("goldens/webhook.json"), &Envelope::new(receipt));
    let mut request = WebhookRequest::new("payment-xyz-789", 7, PaymentResult::Success);
    request.amount = Some("1999.98".to_owned());
    request.payload = Some(serde_json::json!({"try": 1}));
    golden(include_str!("goldens/webhook_request.json"), &request);
    let mut problem = Problem::new(ErrorCode::HoldConsumed, "Hold 3 became order 7.", "t-1");
    problem.order_id = Some(7);
    golden(include_str!("goldens/problem_order.json"), &problem);
}
