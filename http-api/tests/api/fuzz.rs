//! Random requests: no 5xx, every answer as documented, and nothing oversold.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::harness::{Answer, Call, Fixture};

/// Values of the wrong type.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0..4_i64).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        Just(json!("mock")),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::hash_map(name(), inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Names of fields, and others.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        proptest::sample::select(vec![
            "user_id",
            "items",
            "product_id",
            "quantity",
            "payment_method",
            "idempotency_key",
            "metadata",
            "hold_id",
            "qty",
            "ttl_seconds",
            "order_id",
            "status",
            "amount",
            "payload",
            "name",
            "price",
            "stock",
            "sku",
            "max_per_order",
            "max_per_user",
            "low_stock_threshold",
            "reason",
            "delta",
            "set",
            "expected",
            "orders",
            "atomic",
            "email",
        ])
        .prop_map(str::to_owned),
        ".{0,8}",
    ]
}

/// An object that is almost an order, a product or a user.
fn object() -> impl Strategy<Value = Vec<u8>> {
    let line = (0..4_u64, 0..4_u64)
        .prop_map(|(product, quantity)| json!({"product_id": product, "quantity": quantity}));
    let items = prop_oneof![proptest::collection::vec(line, 0..4).prop_map(Value::from), value()];
    let members = proptest::collection::hash_map(name(), value(), 0..8);
    (items, members).prop_map(|(items, members)| {
        let order = json!({"items": items});
        let mut object = json!({"items": items, "orders": [order, items], "reason": "r", "delta": 1, "product_id": 1, "quantity": 1, "name": "n", "price": "1", "stock": 5});
        for (name, value) in members {
            object[name] = value;
        }
        object.to_string().into_bytes()
    })
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..200),
        "[\\[\\]{}:,\"0-9a-z\\\\ .eE+-]{0,80}".prop_map(String::into_bytes),
        object(),
        // A valid text with one wrong byte.
        (object(), any::<proptest::sample::Index>(), any::<u8>()).prop_map(
            |(mut text, at, byte)| {
                let at = at.index(text.len());
                text[at] = byte;
                text
            }
        ),
    ]
}

const WRITES: [(&str, &str); 12] = [
    ("POST", "/api/v1/orders/batch"),
    ("POST", "/api/v1/products/1/adjustments"),
    ("POST", "/api/v1/orders"),
    ("POST", "/api/v1/orders/purchase"),
    ("POST", "/api/v1/orders/1/cancel"),
    ("POST", "/api/v1/products"),
    ("PUT", "/api/v1/products/1"),
    ("PATCH", "/api/v1/products/2"),
    ("POST", "/api/v1/users"),
    ("POST", "/api/v1/holds"),
    ("POST", "/api/v1/holds/1/extend"),
    ("POST", "/api/v1/payments/webhook"),
];

fn check(answer: &Answer) -> Result<(), TestCaseError> {
    let text = String::from_utf8_lossy(&answer.body);
    prop_assert!(answer.status < 500, "{} {}", answer.status, text);
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    prop_assert_eq!(&body["success"], answer.status < 300, "{}", text);
    if answer.status >= 400 {
        prop_assert!(body["error"].is_string() && body["trace_id"].is_string(), "{}", text);
    }
    Ok(())
}

#[test]
fn no_body_and_no_query_breaks_the_server() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.unwrap();
    let fixture = runtime.block_on(async {
        let fixture = Fixture::start().await;
        fixture.product("9.99", 1_000).await;
        fixture.product("0.01", 1_000).await;
        fixture
    });
    let mut runner = TestRunner::new(Config { cases: 1_500, ..Config::default() });
    let writes = (proptest::sample::select(WRITES.to_vec()), body());
    let written = runner.run(&writes, |((method, target), body)| {
        check(&runtime.block_on(fixture.send(Call::text(method, target, body))))
    });
    written.unwrap();
    let parts = proptest::sample::select(vec![
        "page",
        "per_page",
        "limit",
        "cursor",
        "status",
        "user_id",
        "ids",
        "consistency",
        "x",
    ]);
    let query = proptest::collection::vec((parts, "[0-9a-zA-Z%+=.,-]{0,12}"), 0..5);
    let targets = proptest::sample::select(vec![
        "/api/v1/orders",
        "/api/v1/products",
        "/api/orders/1",
        "/api/v1/orders/by-key/k",
    ]);
    let reads = (targets, query);
    let read = runner.run(&reads, |(target, query)| {
        let query: Vec<_> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let target = format!("{target}?{}", query.join("&"));
        check(&runtime.block_on(fixture.send(Call::new("GET", &target))))
    });
    read.unwrap();
    runtime.block_on(async {
        fixture.handle.read(|state| state.check_invariants()).unwrap();
        fixture.get("/health").await.expect(200);
        fixture.stop().await;
    });
}
