//! Adjustments, the ledger, limits per user, and fenced keys.

use std::collections::BTreeMap;

use http_api::Settings;
use serde_json::{Value, json};

use crate::harness::{Call, Fixture, order, settings};

const ORDERS: &str = "/api/v1/orders";

fn adjustments(product: u64) -> String {
    format!("/api/v1/products/{product}/adjustments")
}

/// All rows of a ledger, read in pages of `limit`.
async fn ledger(fixture: &Fixture, product: u64, limit: u64) -> Vec<Value> {
    let mut rows = Vec::new();
    let mut after = String::new();
    loop {
        let target = format!("/api/v1/products/{product}/ledger?limit={limit}{after}");
        let page = fixture.get(&target).await.expect(200);
        rows.extend(page["data"].as_array().unwrap().iter().cloned());
        let Some(cursor) = page["meta"]["next_cursor"].as_str() else {
            assert_eq!(page["meta"]["has_more"], false);
            return rows;
        };
        assert_eq!(page["data"].as_array().unwrap().len() as u64, limit);
        after = format!("&after={cursor}");
    }
}

/// Checks that the deltas add up, from row to row and to the counters of the product.
fn assert_adds_up(rows: &[Value], product: &Value) {
    let mut sums: BTreeMap<&str, i64> = BTreeMap::new();
    for row in rows {
        for name in ["stock", "on_hand", "held", "reserved", "sold"] {
            let sum = sums.entry(name).or_default();
            *sum += row["deltas"][name].as_i64().unwrap();
            assert_eq!(row["counters"][name], *sum, "{name} of {row}");
        }
    }
    for (name, sum) in sums {
        assert_eq!(product[name], sum, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stock_is_adjusted_by_a_number_or_to_one_with_a_reason() {
    let fixture = Fixture::start().await;
    let product = fixture.product("1.00", 10).await;
    fixture.post(ORDERS, &order(product, 4)).await.expect(201);
    let target = adjustments(product);
    let adjust = async |body: Value| fixture.post(&target, &body).await;
    let made = adjust(json!({"delta": 5, "reason": "found behind the shelf"})).await.expect(201);
    let data = &made["data"];
    assert_eq!((&data["id"], &data["delta"], &data["stock"]), (&json!(1), &json!(5), &json!(11)));
    assert_eq!((&data["set"], &data["expected"]), (&Value::Null, &Value::Null));
    assert_eq!(
        (&data["product"]["on_hand"], &data["product"]["reserved"]),
        (&json!(15), &json!(4))
    );
    let set = adjust(json!({"set": 3, "reason": "counted", "expected": 11})).await.expect(201);
    assert_eq!((&set["data"]["delta"], &set["data"]["stock"]), (&json!(-8), &json!(3)));
    assert_eq!(set["data"]["product"]["reserved"], 4, "reserved units stay");
    let wrong = adjust(json!({"set": 9, "reason": "counted", "expected": 11})).await;
    let problem = wrong.problem(409, "stock_mismatch");
    assert_eq!(problem["detail"], format!("The stock of product {product} is 3, not 11."));
    let below = adjust(json!({"delta": -4, "reason": "lost"})).await;
    below.problem(409, "insufficient_stock");
    fixture
        .post(&adjustments(99), &json!({"set": 1, "reason": "r"}))
        .await
        .problem(404, "not_found");
    adjust(json!({"set": 1, "delta": 1, "reason": "r"})).await.invalid("set");
    adjust(json!({"reason": "r"})).await.invalid("delta");
    adjust(json!({"delta": 1})).await.invalid("reason");
    adjust(json!({"delta": 281_474_976_710_656_i64, "reason": "r"})).await.invalid("stock");

    let rows = ledger(&fixture, product, 100).await;
    let causes: Vec<_> = rows.iter().map(|row| row["cause"].as_str().unwrap()).collect();
    assert_eq!(causes, ["created", "order", "adjustment", "adjustment"]);
    assert_eq!(rows[1]["reference"], json!({"type": "order", "id": 1}));
    assert_eq!(rows[2]["reference"], json!({"type": "adjustment", "id": 1}));
    assert_eq!(
        (&rows[2]["reason"], &rows[1]["reason"]),
        (&json!("found behind the shelf"), &Value::Null)
    );
    assert_eq!(
        rows[3]["deltas"],
        json!({"stock": -8, "on_hand": -8, "held": 0, "reserved": 0, "sold": 0})
    );
    assert_eq!(rows[2]["index"], made["data"]["version"]);
    let now = fixture.get(&format!("/api/v1/products/{product}")).await.expect(200);
    assert_adds_up(&rows, &now["data"]);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_adjusts_once() {
    let fixture = Fixture::start().await;
    let product = fixture.product("1.00", 10).await;
    let call = |delta: i64| {
        let body = json!({"delta": delta, "reason": "r"});
        Call::json("POST", &adjustments(product), &body).header("idempotency-key", "k")
    };
    let first = fixture.send(call(5)).await.expect(201);
    let again = fixture.send(call(5)).await;
    assert_eq!(again.expect(200)["data"], first["data"]);
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    fixture.send(call(6)).await.problem(422, "idempotency_key_reused");
    // Orders have keys of their own, and a refusal does not use a key.
    let mut body = order(product, 1);
    body["idempotency_key"] = json!("k");
    fixture.post(ORDERS, &body).await.expect(201);
    let refused = |expected: u64| json!({"set": 1, "expected": expected, "reason": "r", "idempotency_key": "l"});
    fixture.post(&adjustments(product), &refused(99)).await.problem(409, "stock_mismatch");
    fixture.post(&adjustments(product), &refused(14)).await.expect(201);
    let mismatch = call(5).with_body(r#"{"delta":1,"reason":"r","idempotency_key":"m"}"#);
    fixture.send(mismatch).await.problem(400, "idempotency_key_mismatch");
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ledger_is_read_in_pages_from_memory_and_from_the_store() {
    let fixture = Fixture::start().await;
    let product = fixture.product("1.00", 1_000).await;
    let batch = json!({"orders": vec![order(product, 1); 100]});
    fixture.post("/api/v1/orders/batch", &batch).await.expect(200);
    for delta in [3, -2] {
        let body = json!({"delta": delta, "reason": format!("by {delta}")});
        fixture.post(&adjustments(product), &body).await.expect(201);
    }
    // A checkpoint evicts rows from memory.
    let resident = || fixture.handle.read(|state| state.ledger(product_id(product)).count());
    fixture.until("stored", async || resident() < 32).await;
    let whole = ledger(&fixture, product, 1000).await;
    assert_eq!(whole.len(), 103);
    let now = fixture.get(&format!("/api/v1/products/{product}")).await.expect(200);
    assert_adds_up(&whole, &now["data"]);
    for limit in [1, 7, 32, 33, 100, 102] {
        assert_eq!(ledger(&fixture, product, limit).await, whole, "in pages of {limit}");
    }
    // All orders of the batch have one position and different lines.
    let lines: Vec<u64> = whole[1..101].iter().map(|row| row["line"].as_u64().unwrap()).collect();
    assert_eq!(lines, (0..100).collect::<Vec<u64>>());
    let position = whole[1]["index"].as_u64().unwrap();
    let after = async |after: String| {
        let target = format!("/api/v1/products/{product}/ledger?limit=1000&after={after}");
        fixture.get(&target).await.expect(200)["data"].as_array().unwrap().clone()
    };
    assert_eq!(after(position.to_string()).await, whole[101..]);
    assert_eq!(after(format!("{position}.97")).await, whole[99..]);
    assert_eq!(after((position - 1).to_string()).await, whole[1..]);
    assert_eq!(after("0".into()).await, whole);
    assert_eq!(after(whole[102]["index"].to_string()).await, Vec::<Value>::new());
    for bad in ["after=x", "limit=0", "limit=1001"] {
        let target = format!("/api/v1/products/{product}/ledger?{bad}");
        fixture.get(&target).await.invalid(bad.split('=').next().unwrap());
    }
    fixture.get("/api/v1/products/99/ledger").await.problem(404, "not_found");
    fixture.send(Call::new("DELETE", &format!("/api/v1/products/{product}"))).await.expect(204);
    assert_eq!(ledger(&fixture, product, 1000).await, whole, "an archived product keeps it");
    fixture.stop().await;
}

fn product_id(id: u64) -> engine::ids::ProductId {
    engine::ids::ProductId(id)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_threshold_of_low_stock_is_kept_changed_and_removed() {
    const FIELD: &str = "low_stock_threshold";
    let fixture = Fixture::start().await;
    let body = json!({"name": "Few", "price": "1", "stock": 5, "low_stock_threshold": 3});
    let made = fixture.post("/api/v1/products", &body).await.expect(201);
    assert_eq!(made["data"][FIELD], 3);
    for (value, shown) in [(json!(4), json!(4)), (Value::Null, Value::Null), (json!(1), json!(1))] {
        let patch = Call::json("PATCH", "/api/v1/products/1", &json!({FIELD: value}));
        assert_eq!(fixture.send(patch).await.expect(200)["data"][FIELD], shown);
    }
    let whole = json!({"name": "Few", "price": "1", "stock": 5});
    let replaced = fixture.send(Call::json("PUT", "/api/v1/products/1", &whole)).await.expect(200);
    assert_eq!(replaced["data"][FIELD], Value::Null, "PUT removes what is left out");
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_per_user_counts_what_the_user_has() {
    let fixture = Fixture::start().await;
    let body = json!({"name": "Rare", "price": "1", "stock": 50, "max_per_user": 3});
    let made = fixture.post("/api/v1/products", &body).await.expect(201);
    assert_eq!(made["data"]["max_per_user"], 3);
    let place = async |user: Value, quantity: u64| {
        let mut body = order(1, quantity);
        body["user_id"] = user;
        fixture.post(ORDERS, &body).await
    };
    place(Value::Null, 1).await.invalid("user_id");
    place(json!(1), 2).await.expect(201);
    let over = place(json!(1), 2).await.problem(409, "purchase_limit_exceeded");
    assert_eq!(over["detail"], "At most 3 of product 1 per user. Requested: 2, taken: 2.");
    place(json!(2), 3).await.expect(201);
    let patch = Call::json("PATCH", "/api/v1/products/1", &json!({"max_per_user": null}));
    assert_eq!(fixture.send(patch).await.expect(200)["data"]["max_per_user"], Value::Null);
    place(Value::Null, 5).await.expect(201);
    place(json!(1), 2).await.expect(201);
    let patch = Call::json("PATCH", "/api/v1/products/1", &json!({"max_per_user": 4}));
    assert_eq!(fixture.send(patch).await.expect(200)["data"]["max_per_user"], 4);
    place(json!(1), 1).await.problem(409, "purchase_limit_exceeded");
    let whole = json!({"name": "Rare", "price": "1", "stock": 50});
    let replaced = fixture.send(Call::json("PUT", "/api/v1/products/1", &whole)).await.expect(200);
    assert_eq!(replaced["data"]["max_per_user"], Value::Null, "PUT removes what is left out");
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fenced_key_makes_no_order_and_a_used_one_answers_its_order() {
    let fixture = Fixture::start().await;
    let product = fixture.product("1.00", 10).await;
    let place =
        |key: &str| Call::json("POST", ORDERS, &order(product, 1)).header("idempotency-key", key);
    let fence = |key: &str| Call::new("POST", &format!("{ORDERS}/by-key/{key}/fence"));
    let state = async |key: &str| {
        let answer = fixture.get(&format!("{ORDERS}/by-key/{key}")).await.expect(200);
        answer["data"]["state"].as_str().unwrap().to_owned()
    };
    let placed = fixture.send(place("used")).await.expect(201);
    let used = fixture.send(fence("used")).await.expect(200);
    assert_eq!(used["data"], json!({"state": "applied", "order": placed["data"]}));
    assert_eq!(state("closed%20key").await, "unused");
    for _ in 0..2 {
        let closed = fixture.send(fence("closed%20key")).await.expect(200);
        assert_eq!(closed["data"], json!({"state": "fenced"}));
        assert_eq!(state("closed%20key").await, "fenced");
        let problem = fixture.send(place("closed key")).await.problem(409, "key_fenced");
        assert_eq!(problem["outcome"], "rejected");
    }
    fixture.send(place("used")).await.expect(200);
    fixture.send(fence("%20")).await.problem(400, "idempotency_key_invalid");
    fixture.send(fence("%zz")).await.problem(400, "malformed_request");
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retried_adjustment_is_not_counted() {
    let fixture = Fixture::with(Settings { rate_limit_per_minute: 10, ..settings() }).await;
    let product = fixture.product("1.00", 10).await;
    let adjust = |key: &str| {
        let body = json!({"delta": 1, "reason": "r", "idempotency_key": key});
        Call::json("POST", &adjustments(product), &body)
    };
    fixture.send(adjust("k")).await.expect(201);
    while fixture.get("/api/v1/test").await.status == 200 {}
    fixture.send(adjust("k")).await.expect(200);
    fixture.send(adjust("l")).await.problem(429, "too_many_requests");
    let batch = json!({"orders": [order(product, 1)]});
    fixture.post("/api/v1/orders/batch", &batch).await.problem(429, "too_many_requests");
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_names_every_product_that_is_short() {
    let fixture = Fixture::start().await;
    let (one, many, none) = (
        fixture.product("1", 1).await,
        fixture.product("1", 9).await,
        fixture.product("1", 0).await,
    );
    let line = |product: u64, quantity: u64| json!({"product_id": product, "quantity": quantity});
    let short = |product: u64, requested: u64, available: u64| json!({"product_id": product, "requested": requested, "available": available});
    let lines = json!([line(one, 2), line(many, 9), line(none, 1), line(one, 1)]);
    let expected = json!([short(one, 3, 1), short(none, 1, 0)]);
    let words = format!(
        "Insufficient stock for product ID {one}. Requested: 3, available: 1. (and 1 more product)"
    );
    let refused = async |path: &str, body: Value| {
        fixture.post(path, &body).await.problem(409, "insufficient_stock")
    };
    let body = json!({"items": lines, "payment_method": "none"});
    for (path, body) in [("/api/v1/orders", &body), ("/api/v1/holds", &json!({"items": lines}))] {
        let problem = refused(path, body.clone()).await;
        assert_eq!(
            (&problem["shortages"], &problem["detail"]),
            (&expected, &json!(words)),
            "{path}"
        );
    }
    let problem = refused("/api/v1/orders/purchase", line(none, 2)).await;
    assert_eq!(problem["shortages"], json!([short(none, 2, 0)]));
    // Each order of a batch has its own; an atomic one counts the orders before it. The log decides
    // the first, because one of its orders is placed.
    let batch = json!({"orders": [order(many, 5), body]});
    let results = fixture.post("/api/v1/orders/batch", &batch).await.expect(200);
    assert_eq!(results["data"][0]["status"], 201, "{results}");
    let after = json!([short(one, 3, 1), short(many, 9, 4), short(none, 1, 0)]);
    assert_eq!(results["data"][1]["shortages"], after);
    let batch = json!({"atomic": true, "orders": [order(many, 2), body, order(many, 3)]});
    let problem = refused("/api/v1/orders/batch", batch).await;
    let after = json!([short(one, 3, 1), short(many, 9, 2), short(none, 1, 0)]);
    assert_eq!(problem["results"][0]["shortages"], after, "{problem}");
    assert_eq!(problem["results"][1]["shortages"], json!([short(many, 3, 2)]));
    assert!(problem.get("shortages").is_none(), "they are those of its orders");
    // Other refusals have none.
    let adjust = format!("/api/v1/products/{one}/adjustments");
    let problem = refused(&adjust, json!({"delta": -5, "reason": "lost"})).await;
    assert!(problem.get("shortages").is_none());
    fixture.stop().await;
}
