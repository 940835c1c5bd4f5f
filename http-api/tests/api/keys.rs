//! Idempotency keys of writes whose rows keep none.

use serde_json::{Value, json};

use crate::harness::{Answer, Call, Fixture, order};

/// Sends a request under a key.
async fn keyed(fixture: &Fixture, key: &str, call: Call) -> Answer {
    fixture.send(call.header("idempotency-key", key)).await
}

fn is_replayed(answer: &Answer) -> bool {
    answer.header("idempotent-replayed") == Some("true")
}

/// Sends a request twice under one key: the second answer is that of the first, as a replay.
async fn twice(fixture: &Fixture, key: &str, call: Call, status: u16) -> Answer {
    let first = keyed(fixture, key, call.clone()).await;
    first.expect(status);
    assert!(!is_replayed(&first), "{key}");
    let again = keyed(fixture, key, call).await;
    again.expect(if status == 201 { 200 } else { status });
    assert!(is_replayed(&again) && again.header("location").is_none(), "{key}");
    assert_eq!(again.body, first.body, "{key}");
    first
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_write_under_a_key_is_done_once() {
    let fixture = Fixture::start().await;
    let product = json!({"name": "Widget", "price": "1.00", "stock": 9});
    let made = twice(&fixture, "a", Call::json("POST", "/api/v1/products", &product), 201).await;
    assert_eq!(made.json()["data"]["id"], 1);
    let user = json!({"name": "Alice", "email": "alice@example.com"});
    twice(&fixture, "a", Call::json("POST", "/api/v1/users", &user), 201).await;
    fixture.post("/api/v1/users", &user).await.invalid("email");
    let price = json!({"price": "2.00"});
    twice(&fixture, "a", Call::json("PATCH", "/api/v1/products/1", &price), 200).await;
    twice(&fixture, "a", Call::json("PUT", "/api/v1/products/1", &product), 200).await;
    fixture.post("/api/v1/orders", &order(1, 2)).await.expect(201);
    let reason = json!({"reason": "late"});
    twice(&fixture, "a", Call::json("POST", "/api/v1/orders/1/cancel", &reason), 200).await;
    for id in [1, 2] {
        let hold = json!({"product_id": 1, "quantity": 1});
        assert_eq!(fixture.post("/api/v1/holds", &hold).await.expect(201)["data"]["hold_id"], id);
    }
    let longer = json!({"ttl_seconds": 600});
    twice(&fixture, "a", Call::json("POST", "/api/v1/holds/1/extend", &longer), 200).await;
    twice(&fixture, "a", Call::new("DELETE", "/api/v1/holds/2"), 204).await;
    let paused = json!({"paused": true});
    let pause = || Call::json("POST", "/api/v1/cluster/payments", &paused);
    assert!(!is_replayed(&keyed(&fixture, "a", pause()).await));
    fixture.post("/api/v1/cluster/payments", &json!({"paused": false})).await.expect(200);
    let again = keyed(&fixture, "a", pause()).await;
    assert_eq!(again.expect(200)["data"]["payments_paused"], false, "a late pause is no pause");
    assert!(is_replayed(&again));
    let mode = json!({"mode": "optional"});
    twice(&fixture, "a", Call::json("PUT", "/api/v1/auth/mode", &mode), 200).await;
    twice(&fixture, "a", Call::new("DELETE", "/api/v1/products/1"), 204).await;
    assert_eq!(fixture.handle.read(|state| state.keyed_results()), 10);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_retry_undoes_nothing_and_another_request_is_refused() {
    let fixture = Fixture::start().await;
    let id = fixture.product("1.00", 5).await;
    let path = format!("/api/v1/products/{id}");
    let patch = |body: Value| Call::json("PATCH", &path, &body);
    let tag = fixture.get(&path).await.header("etag").unwrap().to_owned();
    // One tag goes into the command; of several, the node looks which one is current.
    for (key, tags) in [("k1", tag.clone()), ("k2", String::new())] {
        let tags = if tags.is_empty() {
            format!("\"1\", {}", fixture.get(&path).await.header("etag").unwrap())
        } else {
            tags
        };
        let call = || patch(json!({"stock": 7})).header("if-match", &tags);
        keyed(&fixture, key, call()).await.expect(200);
        fixture.send(patch(json!({"stock": 3}))).await.expect(200);
        let again = keyed(&fixture, key, call()).await;
        assert_eq!(again.expect(200)["data"]["stock"], 3, "the product as it is now");
        assert!(is_replayed(&again));
    }
    let other = keyed(&fixture, "k1", patch(json!({"stock": 8}))).await;
    other.problem(422, "idempotency_key_reused");
    let elsewhere = Call::json("PATCH", "/api/v1/products/99", &json!({"stock": 7}));
    keyed(&fixture, "k1", elsewhere).await.problem(422, "idempotency_key_reused");
    // A refusal does not use a key up.
    let missing = Call::json("PATCH", "/api/v1/products/99", &json!({"stock": 7}));
    keyed(&fixture, "k3", missing).await.problem(404, "not_found");
    keyed(&fixture, "k3", patch(json!({"stock": 6}))).await.expect(200);
    // The product that a key made may be archived by now.
    let body = json!({"name": "Gone", "price": "1.00", "stock": 1});
    let create = || Call::json("POST", "/api/v1/products", &body);
    keyed(&fixture, "k4", create()).await.expect(201);
    fixture.send(Call::new("DELETE", "/api/v1/products/2")).await.expect(204);
    keyed(&fixture, "k4", create()).await.problem(404, "not_found");
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_would_be_ignored_is_refused() {
    let fixture = Fixture::start().await;
    for name in ["idempotency_key", "idempotencyKey", "Idempotency-Key"] {
        let mut body = json!({"name": "Widget", "price": "1.00", "stock": 9});
        body[name] = json!("k");
        let answer = fixture.post("/api/v1/products", &body).await;
        answer.invalid(name);
        assert!(answer.json()["detail"].as_str().unwrap().contains("header Idempotency-Key"));
    }
    let user = json!({"name": "Bob", "email": "bob@example.com"});
    let create = || Call::json("POST", "/api/v1/users", &user);
    keyed(&fixture, "", create()).await.problem(400, "idempotency_key_invalid");
    let long = "k".repeat(256);
    keyed(&fixture, &long, create()).await.problem(400, "idempotency_key_invalid");
    let two = create().header("idempotency-key", "a").header("idempotency-key", "a");
    fixture.send(two).await.problem(400, "idempotency_key_invalid");
    let token = json!({"owner": "shop", "scopes": ["orders:read"]});
    let token = Call::json("POST", "/api/v1/auth/tokens", &token);
    let refused = keyed(&fixture, "k", token).await;
    refused.problem(400, "idempotency_key_invalid");
    keyed(&fixture, "k", create()).await.expect(201);
    fixture.stop().await;
}
