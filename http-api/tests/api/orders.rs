//! Orders: place, retry, read, cancel, list.

use http_api::Settings;
use serde_json::json;

use crate::harness::{Call, Fixture, order, settings};

const ORDERS: &str = "/api/v1/orders";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_placed_read_and_paid() {
    let fixture = Fixture::start().await;
    let product = fixture.product("999.99", 10).await;
    let other = fixture.product("0.10", 10).await;
    let body = json!({
        "user_id": 7,
        "items": [
            {"product_id": product, "quantity": 2},
            {"product_id": other, "quantity": 3},
        ],
        "idempotency_key": "order-abc-123",
        "metadata": {"b": [1, 2.5], "a": "x"},
        "unknown": {"is": "ignored"},
    });
    let trace = "550e8400-e29b-41d4-a716-446655440000";
    let call = Call::json("POST", "/api/v1/orders", &body).header("x-trace-id", trace);
    let answer = fixture.send(call).await;
    let placed = answer.expect(201);
    assert_eq!(answer.header("x-trace-id"), Some(trace));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("location"), Some("/api/v1/orders/1"));
    assert_eq!(answer.header("idempotent-replayed"), None);
    let version = placed["data"]["version"].as_u64().unwrap();
    assert_eq!(answer.header("etag"), Some(format!("\"{version}\"").as_str()));
    assert_eq!(answer.header("x-position"), Some(version.to_string().as_str()));
    assert_eq!((&placed["success"], &placed["order_id"]), (&json!(true), &json!(1)));
    assert_eq!(placed["status"], "PENDING");
    let data = &placed["data"];
    assert_eq!(data["saga_status"], "RESERVED");
    assert_eq!(data["total_amount"], "2000.28");
    assert_eq!(data["total_amount_minor"], 200_028);
    assert_eq!(data["items"][1]["line_total"], "0.30");
    assert_eq!(data["metadata"], json!({"a": "x", "b": [1, 2.5]}));
    assert_eq!(data["trace_id"], trace);
    assert_eq!(data["payment_method"], "mock");
    assert!(data.get("product_id").is_none(), "two lines");

    let settled = async || fixture.get("/api/orders/1").await.json()["status"] == "PAID";
    fixture.until("paid", settled).await;
    let paid = fixture.get("/api/v1/orders/1").await;
    let data = &paid.expect(200)["data"];
    assert_eq!(
        (&data["saga_status"], &data["payment_status"]),
        (&json!("CONFIRMED"), &json!("succeeded"))
    );
    assert_eq!(paid.header("etag"), Some(format!("\"{}\"", data["version"]).as_str()));

    let history = fixture.get("/api/v1/orders/1/events").await.expect(200);
    let causes: Vec<_> =
        history["data"].as_array().unwrap().iter().map(|step| &step["cause"]).collect();
    assert_eq!(causes, ["placed", "payment_claimed", "payment_succeeded"]);
    assert_eq!(history["data"][0]["trace_id"], trace);
    assert_eq!(history["data"][0]["index"], version);

    let cancel = fixture.post("/api/v1/orders/1/cancel", &json!({})).await;
    let problem = cancel.problem(422, "order_not_cancellable");
    assert_eq!(problem["error_code"], "INVALID_TRANSITION");
    assert_eq!(problem["message"], "Order with status PAID cannot be cancelled.");

    let view = fixture.get(&format!("/api/v1/products/{product}")).await.expect(200);
    assert_eq!((&view["data"]["stock"], &view["data"]["sold"]), (&json!(8), &json!(2)));
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_makes_one_order() {
    let fixture = Fixture::start().await;
    let product = fixture.product("1.00", 10).await;
    let place = |body: &str, key: Option<&str>| {
        let call = Call::text("POST", "/api/v1/orders", body.to_owned());
        key.map_or(call.clone(), |key| call.header("idempotency-key", key))
    };
    let unused = fixture.get("/api/v1/orders/by-key/k%2F1").await.expect(200);
    assert_eq!(unused["data"], json!({"state": "unused"}));

    let body = format!(
        r#"{{"items":[{{"product_id":{product},"quantity":1}}],"payment_method":"none","idempotency_key":"k/1"}}"#
    );
    let first = fixture.send(place(&body, None)).await.expect(201);
    // Equal by meaning: another order of fields, spaces, and the key in the header.
    let again = format!(
        r#" {{ "payment_method" : "none", "items": [ {{"quantity":1, "product_id":{product}}} ] }} "#
    );
    for call in [place(&body, None), place(&again, Some("k/1")), place(&body, Some("k/1"))] {
        let answer = fixture.send(call).await;
        assert_eq!(answer.expect(200)["data"], first["data"]);
        assert_eq!(answer.header("idempotent-replayed"), Some("true"));
    }
    let other = body.replace("\"quantity\":1", "\"quantity\":2");
    fixture.send(place(&other, None)).await.problem(422, "idempotency_key_reused");
    fixture.send(place(&body, Some("k2"))).await.problem(400, "idempotency_key_mismatch");
    let twice = place(&again, Some("k/1")).header("idempotency-key", "k/1");
    fixture.send(twice).await.problem(400, "idempotency_key_invalid");
    for key in [" ", &"x".repeat(256)] {
        fixture.send(place(&again, Some(key))).await.problem(400, "idempotency_key_invalid");
    }
    for key in ["", " ", "a\\u0000", "a\\n", "\\u2028"] {
        let body = body.replace("k/1", key);
        fixture.send(place(&body, None)).await.problem(400, "idempotency_key_invalid");
    }
    // A refusal does not use a key.
    let greedy = body.replace("\"quantity\":1", "\"quantity\":999").replace("k/1", "k3");
    fixture.send(place(&greedy, None)).await.problem(409, "insufficient_stock");
    let modest = greedy.replace("999", "1");
    fixture.send(place(&modest, None)).await.expect(201);

    let used = fixture.get("/api/v1/orders/by-key/k%2F1").await.expect(200);
    assert_eq!(used["data"]["state"], "applied");
    assert_eq!(used["data"]["order"], first["data"]);
    for (key, code) in [
        ("%", "malformed_request"),
        ("%00", "idempotency_key_invalid"),
        ("%ff", "malformed_request"),
    ] {
        fixture.get(&format!("/api/v1/orders/by-key/{key}")).await.problem(400, code);
    }
    let view = fixture.get(&format!("/api/v1/products/{product}")).await.expect(200);
    assert_eq!(view["data"]["reserved"], 2);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn purchases_show_the_remaining_stock() {
    let fixture = Fixture::start().await;
    let product = fixture.product("15000000", 10).await;
    let body = json!({"product_id": product, "quantity": 2, "idempotency_key": "p"});
    let answer = fixture.post("/api/orders/purchase", &body).await;
    let bought = answer.expect(201);
    assert_eq!(bought["data"]["total_price"], "30000000.00");
    assert_eq!(
        (&bought["data"]["product_id"], &bought["data"]["quantity"]),
        (&json!(product), &json!(2))
    );
    assert_eq!(bought["data"]["product"]["stock"], 8);
    let again = fixture.post("/api/orders/purchase", &body).await;
    assert_eq!(again.expect(200)["data"]["product"]["stock"], 8);
    assert_eq!(again.header("idempotent-replayed"), Some("true"));

    let greedy = json!({"product_id": product, "quantity": 9});
    let refused = fixture.post("/api/orders/purchase", &greedy).await;
    let problem = refused.problem(409, "insufficient_stock");
    let words = format!("Insufficient stock for product ID {product}. Requested: 9, available: 8.");
    assert_eq!(problem["message"], words);
    assert_eq!((&problem["outcome"], &problem["retryable"]), (&json!("rejected"), &json!(false)));
    let nothing = json!({"product_id": 999, "quantity": 1});
    fixture.post("/api/orders/purchase", &nothing).await.problem(404, "not_found");
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_releases_the_units_once() {
    let fixture = Fixture::start().await;
    let product = fixture.product("1.00", 5).await;
    fixture.post("/api/v1/orders", &order(product, 5)).await.expect(201);
    fixture.post("/api/v1/orders", &order(product, 1)).await.problem(409, "insufficient_stock");
    let reason = json!({"reason": "changed my mind"});
    let cancelled = fixture.post("/api/v1/orders/1/cancel", &reason).await.expect(200);
    assert_eq!(cancelled["status"], "CANCELLED");
    assert_eq!(cancelled["data"]["saga_status"], "CANCELLED");
    assert!(cancelled["data"]["cancelled_at"].is_string());
    assert_eq!(cancelled["data"]["payment_status"], json!(null));
    // Without a body, and again.
    let again = fixture.send(Call::new("POST", "/api/v1/orders/1/cancel")).await.expect(200);
    assert_eq!(again["data"], cancelled["data"]);
    let history = fixture.get("/api/v1/orders/1/events").await.expect(200);
    assert_eq!(history["data"][1]["reason"], "changed my mind");
    let shown = fixture.get("/api/v1/orders/1").await.expect(200);
    assert_eq!(shown["data"]["failure_reason"], "changed my mind");
    let view = fixture.get(&format!("/api/v1/products/{product}")).await.expect(200);
    assert_eq!((&view["data"]["stock"], &view["data"]["reserved"]), (&json!(5), &json!(0)));
    fixture.post("/api/v1/orders/2/cancel", &json!({})).await.problem(404, "not_found");
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_are_filtered_and_paged() {
    let fixture = Fixture::start().await;
    let one = fixture.product("1.00", 100).await;
    let two = fixture.product("1.00", 100).await;
    for i in 0..20_u64 {
        let mut body = order(if i % 2 == 0 { one } else { two }, 1);
        body["user_id"] = json!(1 + i % 4);
        fixture.post("/api/v1/orders", &body).await.expect(201);
    }
    fixture.post("/api/v1/orders/3/cancel", &json!({})).await.expect(200);
    let ids = async |query: &str| -> (Vec<u64>, serde_json::Value) {
        let list = fixture.get(&format!("/api/v1/orders{query}")).await.expect(200);
        let ids =
            list["data"].as_array().unwrap().iter().map(|order| order["id"].as_u64().unwrap());
        (ids.collect(), list["meta"].clone())
    };
    let (first, meta) = ids("").await;
    assert_eq!(first, (6..=20).rev().collect::<Vec<_>>());
    assert_eq!(
        meta,
        json!({"current_page": 1, "per_page": 15, "total": 20, "last_page": 2, "next_cursor": "o6", "has_more": true})
    );
    let (second, meta) = ids("?page=2").await;
    assert_eq!(second, [5, 4, 3, 2, 1]);
    assert_eq!((&meta["has_more"], &meta["next_cursor"]), (&json!(false), &json!(null)));
    let (beyond, meta) = ids("?page=3&per_page=15").await;
    assert_eq!((beyond.len(), &meta["total"]), (0, &json!(20)));
    assert_eq!(ids("?user_id=1&per_page=50").await.0, [17, 13, 9, 5, 1]);
    assert_eq!(ids("?status=CANCELLED").await.0, [3]);
    assert_eq!(ids(&format!("?product_id={two}&user_id=2")).await.0, [18, 14, 10, 6, 2]);
    assert_eq!(ids("?user_id=&status=&page=").await.0.len(), 15);
    assert_eq!(ids("?user_id=99").await.1["last_page"], 1);
    // By cursor: everything once, newest first.
    let (mut seen, mut query) = (Vec::new(), "?limit=7".to_owned());
    loop {
        let (page, meta) = ids(&query).await;
        seen.extend(page);
        match meta["next_cursor"].as_str() {
            Some(cursor) => query = format!("?limit=7&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(seen, (1..=20).rev().collect::<Vec<_>>());
    for (query, field) in [
        ("page=0", "page"),
        ("per_page=51", "per_page"),
        ("limit=1001", "limit"),
        ("limit=abc", "limit"),
        ("limit=1&limit=2", "limit"),
        ("cursor=x", "cursor"),
        ("status=paid", "status"),
        ("user_id=-1", "user_id"),
        ("product_id=1.5", "product_id"),
        ("consistency=strong", "consistency"),
    ] {
        fixture.get(&format!("/api/v1/orders?{query}")).await.invalid(field);
    }
    fixture.get("/api/v1/orders?status=%zz").await.problem(400, "malformed_request");
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_can_demand_users_and_keys() {
    let settings = Settings {
        require_users: true,
        require_idempotency_key: true,
        open_unpaid_orders_max: 1,
        ..settings()
    };
    let fixture = Fixture::with(settings).await;
    let product = fixture.product("1.00", 10).await;
    let mut body = order(product, 1);
    let refused = fixture.post("/api/v1/orders", &body).await;
    refused.invalid("user_id");
    refused.invalid("idempotency_key");
    body["idempotency_key"] = json!("k");
    body["user_id"] = json!(1);
    fixture.post("/api/v1/orders", &body).await.invalid("user_id");
    let alice = json!({"name": "Alice", "email": "alice@example.com"});
    fixture.post("/api/v1/users", &alice).await.expect(201);
    fixture.post("/api/v1/orders", &body).await.expect(201);
    body["idempotency_key"] = json!("k2");
    let full = fixture.post("/api/v1/orders", &body).await.problem(503, "overloaded");
    assert_eq!((&full["outcome"], &full["retryable"]), (&json!("not_applied"), &json!(true)));
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_in_metadata_keep_their_text() {
    let fixture = Fixture::start().await;
    let product = fixture.product("1", 9).await;
    let body = |key: &str, metadata: &str| {
        let line = format!(r#"{{"product_id":{product},"quantity":1}}"#);
        format!(
            r#"{{"items":[{line}],"payment_method":"none","idempotency_key":"{key}","metadata":{metadata}}}"#
        )
    };
    for (n, metadata) in
        [r#"{"a":1.10}"#, r#"{"a":12345678901234567890}"#, r#"{"a":-0.0,"b":[1E+2,{"c":0.1000}]}"#]
            .into_iter()
            .enumerate()
    {
        let key = format!("k{n}");
        let kept = format!(r#""metadata":{metadata}"#);
        let placed = fixture.send(Call::text("POST", ORDERS, body(&key, metadata))).await;
        let id = placed.expect(201)["data"]["id"].clone();
        let again = fixture.send(Call::text("POST", ORDERS, body(&key, metadata))).await;
        assert_eq!(again.expect(200)["data"]["id"], id);
        let by_key = fixture.get(&format!("{ORDERS}/by-key/{key}")).await;
        let list = fixture.get(&format!("{ORDERS}?limit=1")).await;
        let get = fixture.get(&format!("{ORDERS}/{id}")).await;
        for answer in [placed, by_key, list, get] {
            let text = String::from_utf8(answer.body.to_vec()).unwrap();
            assert!(text.contains(&kept), "{kept} in {text}");
        }
    }
    let other = fixture.send(Call::text("POST", ORDERS, body("k0", r#"{"a":1.1}"#))).await;
    other.problem(422, "idempotency_key_reused");
    fixture.stop().await;
}
