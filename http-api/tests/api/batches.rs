//! Batches of orders: as JSON and one object per line, independent and atomic.

use http_api::Settings;
use serde_json::{Value, json};

use crate::harness::{Answer, Call, Fixture, order, settings};

const BATCH: &str = "/api/v1/orders/batch";

fn keyed(product: u64, quantity: u64, key: &str) -> Value {
    let mut order = order(product, quantity);
    order["idempotency_key"] = json!(key);
    order
}

fn lines(target: &str, lines: &[&str]) -> Call {
    let call = Call::new("POST", target).with_body(lines.join("\n"));
    call.header("content-type", "application/x-ndjson")
}

/// The results of a batch, after checking their indexes and shapes.
#[track_caller]
fn results(answer: &Answer) -> Vec<Value> {
    let results = answer.expect(200)["data"].as_array().unwrap().clone();
    for (index, result) in results.iter().enumerate() {
        assert_eq!(result["index"], index, "{result}");
        let status = result["status"].as_u64().unwrap();
        assert_eq!(result["order"].is_object(), status < 300, "{result}");
        assert_eq!(result["error"].is_string(), status >= 400, "{result}");
        assert_eq!(result["message"].is_string(), status >= 400, "{result}");
        assert_eq!(result["errors"].is_object(), result["error"] == "validation_error", "{result}");
    }
    results
}

/// Status and code of each result.
fn told(results: &[Value]) -> Vec<(u64, &str)> {
    let told = |result: &Value| (result["status"].as_u64().unwrap(), ());
    let codes = results.iter().map(|result| result["error"].as_str().unwrap_or(""));
    results.iter().map(told).zip(codes).map(|((status, ()), code)| (status, code)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_order_of_a_batch_has_the_same_answer_as_a_single_order() {
    let fixture = Fixture::start().await;
    let product = fixture.product("9.99", 10).await;
    let mine = fixture.post("/api/v1/orders", &keyed(product, 1, "old")).await.expect(201);
    let orders = json!([
        order(product, 2),
        keyed(product, 1, "old"),
        order(product, 100),
        order(99, 1),
        {"items": [{"product_id": product, "quantity": 0}]},
        7,
        keyed(product, 2, "old"),
        keyed(product, 3, "new"),
        {"items": [{"product_id": product, "quantity": 1}], "idempotency_key": ""},
    ]);
    let answer = fixture.post(BATCH, &json!({"orders": orders})).await;
    let results = results(&answer);
    let expected = [
        (201, ""),
        (200, ""),
        (409, "insufficient_stock"),
        (404, "not_found"),
        (422, "validation_error"),
        (400, "malformed_request"),
        (422, "idempotency_key_reused"),
        (201, ""),
        (400, "idempotency_key_invalid"),
    ];
    assert_eq!(told(&results), expected);
    assert_eq!(results[1]["order"], mine["data"], "the order as it is");
    assert_eq!(results[0]["order"]["status"], "PENDING");
    assert_eq!(results[0]["order"]["items"][0]["line_total"], "19.98");
    assert!(results[4]["errors"]["items.0.quantity"].is_array(), "{}", results[4]);
    assert_eq!(results[2]["outcome"], "rejected");
    // Single orders get the same.
    for (index, (status, code)) in expected.into_iter().enumerate() {
        if status >= 400 {
            let alone = Call::json("POST", "/api/v1/orders", &orders[index]);
            let problem = fixture.send(alone).await.problem(u16::try_from(status).unwrap(), code);
            assert_eq!(results[index]["error_code"], problem["error_code"]);
            // The stock has changed by now.
            let same = results[index]["message"] == problem["message"];
            assert!(same || code == "insufficient_stock", "{}", results[index]);
        }
    }
    let product = fixture.get(&format!("/api/v1/products/{product}")).await.expect(200);
    assert_eq!((&product["data"]["stock"], &product["data"]["reserved"]), (&json!(4), &json!(6)));
    let id = results[7]["order"]["id"].as_u64().unwrap();
    assert_eq!(
        fixture.get(&format!("/api/v1/orders/{id}")).await.expect(200)["data"],
        results[7]["order"]
    );
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_atomic_batch_is_all_or_409_and_names_the_orders_at_fault() {
    let fixture = Fixture::start().await;
    let product = fixture.product("1.00", 10).await;
    let batch = |orders: Value| json!({"atomic": true, "orders": orders});
    let too_much = json!([order(product, 6), order(product, 6), order(99, 1), order(product, 4)]);
    let problem = fixture.post(BATCH, &batch(too_much)).await.problem(409, "insufficient_stock");
    let named: Vec<(u64, u64, &str)> = problem["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|refused| {
            let status = refused["status"].as_u64().unwrap();
            (refused["index"].as_u64().unwrap(), status, refused["error"].as_str().unwrap())
        })
        .collect();
    assert_eq!(named, [(1, 409, "insufficient_stock"), (2, 404, "not_found")]);
    let missing = fixture.post(BATCH, &batch(json!([order(99, 1)]))).await;
    missing.problem(409, "batch_rejected");
    // Invalid orders are not a conflict: each error has its path.
    let broken = json!([order(product, 1), {"items": [], "user_id": 0}, {"items": 3}]);
    let answer = fixture.post(BATCH, &batch(broken)).await;
    for field in ["orders.1.items", "orders.1.user_id", "orders.2.items"] {
        answer.invalid(field);
    }
    assert_eq!(fixture.look().await.1["data"], json!([]), "nothing was placed");

    let fits = json!([order(product, 6), keyed(product, 4, "k"), keyed(product, 4, "k")]);
    let first = results(&fixture.post(BATCH, &batch(fits.clone())).await);
    assert_eq!(told(&first), [(201, ""), (201, ""), (200, "")]);
    assert_eq!(first[1]["order"]["id"], first[2]["order"]["id"]);
    // A retry would place the order without a key again, which lacks stock, so nothing happens.
    fixture.post(BATCH, &batch(fits)).await.problem(409, "insufficient_stock");
    let again = results(&fixture.post(BATCH, &batch(json!([keyed(product, 4, "k")]))).await);
    assert_eq!(told(&again), [(200, "")]);
    let product = fixture.get(&format!("/api/v1/products/{product}")).await.expect(200);
    assert_eq!((&product["data"]["stock"], &product["data"]["reserved"]), (&json!(0), &json!(10)));
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_atomic_batch_is_bounded_by_its_lines() {
    let fixture = Fixture::start().await;
    for _ in 0..100 {
        fixture.product("1.00", 1_000).await;
    }
    let items: Vec<_> = (1..=100).map(|id| json!({"product_id": id, "quantity": 1})).collect();
    let long = json!({"items": items, "payment_method": "none"});
    let batch = |orders: usize, atomic: bool| {
        let orders = vec![long.clone(); orders];
        json!({"atomic": atomic, "orders": orders})
    };
    let refused = fixture.post(BATCH, &batch(51, true)).await;
    refused.invalid("orders");
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("5000 lines") && detail.contains("have 5100"), "{detail}");
    assert_eq!(results(&fixture.post(BATCH, &batch(50, true)).await).len(), 50);
    // Independent orders are split.
    let each = results(&fixture.post(BATCH, &batch(51, false)).await);
    assert!(each.iter().all(|result| result["status"] == 201));
    // The lines of a hold count as those of its order.
    fixture.post("/api/v1/holds", &json!({ "items": items })).await.expect(201);
    let mut with_hold = batch(50, true);
    with_hold["orders"].as_array_mut().unwrap().push(json!({"hold_id": 1}));
    fixture.post(BATCH, &with_hold).await.invalid("orders");
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_of_lines_is_read_line_by_line() {
    let fixture = Fixture::start().await;
    let product = fixture.product("1.00", 10).await;
    let good = order(product, 1).to_string();
    let deep = "[".repeat(40) + &"]".repeat(40);
    let sent = [&good, "{", "", "  \r", "\"x\"", "{\"items\":[]}", &deep, &good];
    let results_ = results(&fixture.send(lines(BATCH, &sent)).await);
    let malformed = (400, "malformed_request");
    let expected =
        [(201, ""), malformed, malformed, (422, "validation_error"), malformed, (201, "")];
    assert_eq!(told(&results_), expected);
    let atomic = format!("{BATCH}?atomic=true");
    fixture.send(lines(&atomic, &[&good, "{"])).await.problem(400, "malformed_request");
    fixture.send(lines(&atomic, &[&good, "{}"])).await.invalid("orders.1.items");
    assert_eq!(told(&results(&fixture.send(lines(&atomic, &[&good, &good])).await)).len(), 2);
    fixture.send(lines(&format!("{BATCH}?atomic=yes"), &[&good])).await.invalid("atomic");
    fixture.send(lines(BATCH, &[""])).await.invalid("orders");
    fixture.send(lines(BATCH, &vec![&*good; 1001])).await.invalid("orders");
    // Only batches accept lines.
    let single = lines("/api/v1/orders", &[&good]);
    fixture.send(single).await.problem(415, "unsupported_media_type");
    let text = Call::new("POST", BATCH).with_body(good).header("content-type", "text/plain");
    fixture.send(text).await.problem(415, "unsupported_media_type");
    let product = fixture.get(&format!("/api/v1/products/{product}")).await.expect(200);
    assert_eq!(product["data"]["reserved"], 4);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bounds_of_a_batch_are_kept() {
    let settings = Settings { batch_bytes_max: 2 << 20, ..settings() };
    let fixture = Fixture::with(settings).await;
    let product = fixture.product("1.00", 5_000).await;
    for body in [
        json!({}),
        json!({"orders": []}),
        json!({"orders": null}),
        json!({"orders": {}}),
        json!({"orders": vec![order(product, 1); 1001]}),
    ] {
        fixture.post(BATCH, &body).await.invalid("orders");
    }
    let not_a_word = json!({"orders": [order(product, 1)], "atomic": "yes"});
    fixture.post(BATCH, &not_a_word).await.invalid("atomic");
    let all = json!({"orders": [order(product, 1)], "atomic": true});
    fixture.post(&format!("{BATCH}?atomic=false"), &all).await.invalid("atomic");
    fixture.post(&format!("{BATCH}?atomic=perhaps"), &all).await.invalid("atomic");
    let too_much = json!({"orders": [order(product, 1), order(product, 5_000)]});
    let refused = fixture.post(&format!("{BATCH}?atomic=true"), &too_much).await;
    refused.problem(409, "insufficient_stock");
    fixture.send(Call::text("POST", BATCH, "[]")).await.problem(400, "malformed_request");
    fixture.send(Call::text("POST", BATCH, "")).await.problem(400, "malformed_request");
    let header = Call::json("POST", BATCH, &json!({"orders": [order(product, 1)]}));
    let header = header.header("idempotency-key", "k");
    fixture.send(header).await.problem(400, "idempotency_key_invalid");
    // Refused by its length, before a byte of it arrives.
    let large = format!(
        "POST {BATCH} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n",
        (2 << 20) + 1
    );
    let refused = fixture.raw(large.as_bytes()).await;
    assert_eq!(refused.status(), Some(413), "{}", refused.text);
    assert_eq!(fixture.look().await.1["data"], json!([]), "nothing was placed");

    // More than a megabyte of orders: several entries, and one answer for each order.
    let mut big = order(product, 1);
    big["metadata"] = json!({"note": "x".repeat(1_500)});
    let most = json!({"orders": vec![big; 1000]});
    let all = results(&fixture.post(BATCH, &most).await);
    assert!(all.len() == 1000 && all.iter().all(|result| result["status"] == 201));
    let ids: Vec<u64> = all.iter().map(|result| result["order"]["id"].as_u64().unwrap()).collect();
    assert!(ids.is_sorted_by(|one, other| one < other), "in the order that they were sent");
    let versions: std::collections::BTreeSet<u64> =
        all.iter().map(|result| result["order"]["version"].as_u64().unwrap()).collect();
    assert!((2..10).contains(&versions.len()), "{} entries", versions.len());
    let product = fixture.get(&format!("/api/v1/products/{product}")).await.expect(200);
    assert_eq!(product["data"]["reserved"], 1000);
    fixture.handle.read(|state| state.check_invariants()).unwrap();
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_make_fields_required_in_batches() {
    let settings = Settings { require_users: true, require_idempotency_key: true, ..settings() };
    let fixture = Fixture::with(settings).await;
    let product = fixture.product("1.00", 10).await;
    let user = json!({"name": "Alice", "email": "alice@example.com"});
    fixture.post("/api/v1/users", &user).await.expect(201);
    let mut good = keyed(product, 1, "k");
    good["user_id"] = json!(1);
    let mut stranger = keyed(product, 1, "l");
    stranger["user_id"] = json!(2);
    let orders = json!([order(product, 1), good, stranger]);
    let results = results(&fixture.post(BATCH, &json!({"orders": orders})).await);
    let invalid = (422, "validation_error");
    assert_eq!(told(&results), [invalid, (201, ""), invalid]);
    for field in ["user_id", "idempotency_key"] {
        assert!(results[0]["errors"][field].is_array(), "{field}: {}", results[0]);
    }
    assert!(results[2]["errors"]["user_id"].is_array(), "{}", results[2]);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_without_a_leader_was_certainly_not_placed() {
    let settings = Settings {
        request_timeout: std::time::Duration::from_millis(300),
        batch_bytes_max: 1 << 10,
        body_bytes_max: 200,
        bodies_in_flight_bytes_max: 2 << 10,
        ..settings()
    };
    let fixture = Fixture::alone_of_three(settings).await;
    let batch = json!({"orders": [order(1, 1)]});
    let problem = fixture.post(BATCH, &batch).await.problem(503, "no_leader");
    assert_eq!(problem["outcome"], "not_applied");
    // A batch of invalid orders needs no leader.
    let bad = fixture.post(BATCH, &json!({"orders": [{}]})).await;
    assert_eq!(told(&results(&bad)), [(422, "validation_error")]);
    // The total size of large bodies is bounded too.
    let one = fixture.send(Call::json(
        "POST",
        BATCH,
        &json!({"orders": [order(1, 1)], "x": "y".repeat(600)}),
    ));
    let other = fixture.send(Call::json(
        "POST",
        BATCH,
        &json!({"orders": [order(1, 1)], "x": "y".repeat(600)}),
    ));
    let (one, other) = tokio::join!(one, other);
    let codes = [one.problem_code(), other.problem_code()];
    assert!(codes.contains(&"overloaded".to_owned()), "{codes:?}");
    assert!(codes.contains(&"no_leader".to_owned()), "{codes:?}");
    fixture.stop().await;
}

/// The node's refusals for lack of stock, as its metrics count them.
async fn refused_by_stock(fixture: &Fixture) -> f64 {
    let page = fixture.get("/metrics").await;
    let page = String::from_utf8(page.body.to_vec()).unwrap();
    let line = page
        .lines()
        .find_map(|line| line.strip_prefix("orders_failed_total{reason=\"insufficient_stock\"} "));
    line.expect("the counter").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_of_sold_out_products_write_nothing_to_the_log() {
    let fixture = Fixture::start().await;
    let gone = fixture.product("1.00", 0).await;
    let left = fixture.product("1.00", 5).await;
    // A checkpoint keeps the state for a moment, and then the log decides.
    let at_rest = async || {
        let metrics = fixture.handle.metrics();
        metrics.checkpoint_index == metrics.applied_index
    };
    fixture.until("written down", at_rest).await;
    // An entry would have been applied before its answer.
    let index = || fixture.handle.read(|state| state.applied_index());
    let before = index();
    let sold_out = (409, "insufficient_stock");

    let two = json!({"orders": [order(gone, 1), keyed(gone, 2, "k")]});
    let each = fixture.post(BATCH, &two).await;
    assert_eq!(told(&results(&each)), [sold_out; 2]);
    // Invalid requests never get as far.
    let faulty = json!({"orders": [order(gone, 1), {"items": []}]});
    let each = fixture.post(BATCH, &faulty).await;
    assert_eq!(told(&results(&each)), [sold_out, (422, "validation_error")]);
    // The third order lacks what the first will take.
    let three = json!({"orders": [order(left, 3), order(left, 2), order(left, 1)], "atomic": true});
    let whole = fixture.post(BATCH, &three).await;
    let problem = whole.problem(409, "insufficient_stock");
    assert_eq!(problem["outcome"], "rejected");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.starts_with("The order at index 2 of the batch: "), "{detail}");
    let bodies = vec![order(gone, 1).to_string(); 1000];
    let bodies: Vec<&str> = bodies.iter().map(String::as_str).collect();
    let many = fixture.send(lines(BATCH, &bodies)).await;
    assert_eq!(told(&results(&many)), [sold_out; 1000]);
    assert_eq!(index(), before, "no entry");
    let refused = refused_by_stock(&fixture).await;
    assert_eq!(refused, 1004.0);

    // If any order can be placed, the log decides, and the refusals count the same.
    let some = json!({"orders": [order(gone, 1), order(left, 5)]});
    let each = fixture.post(BATCH, &some).await;
    assert_eq!(told(&results(&each)), [sold_out, (201, "")]);
    assert_eq!(index(), before + 1);
    assert_eq!(refused_by_stock(&fixture).await, 1005.0);
    // A refused key can be used again.
    let stock = json!({"delta": 2, "reason": "found"});
    fixture.post(&format!("/api/v1/products/{gone}/adjustments"), &stock).await.expect(201);
    let again = fixture.post(BATCH, &json!({"orders": [keyed(gone, 2, "k")]})).await;
    assert_eq!(told(&results(&again)), [(201, "")]);
    fixture.stop().await;
}
