//! Results of payments over real sockets: signatures, duplicates, parking, conflicts.

use std::time::{SystemTime, UNIX_EPOCH};

use http_api::{Settings, WebhookSecret};
use serde_json::{Value, json};

use crate::harness::{Answer, Call, Fixture};

const WEBHOOK: &str = "/api/v1/payments/webhook";
const ORDERS: &str = "/api/v1/orders";
const SECRET: &str = "first-secret-of-the-shop";
const NEXT: &str = "second-secret-of-the-shop";

fn report(key: &str, order: &Value, status: &str) -> Value {
    json!({"idempotency_key": key, "order_id": order, "status": status})
}

/// An order that waits for a webhook.
async fn waiting(fixture: &Fixture, product: u64) -> Value {
    let body = json!({
        "items": [{"product_id": product, "quantity": 2}],
        "payment_method": "webhook",
    });
    fixture.post(ORDERS, &body).await.expect(201)["data"]["id"].clone()
}

async fn status(fixture: &Fixture, order: &Value) -> Value {
    fixture.get(&format!("{ORDERS}/{order}")).await.expect(200)["data"]["status"].clone()
}

#[track_caller]
fn settled(answer: &Answer, status: &str, duplicate: bool) {
    let data = answer.expect(200)["data"].clone();
    assert_eq!(data["order_status"], status, "{data}");
    assert_eq!(data["duplicate"], duplicate, "{data}");
    assert_eq!(data["parked"], false, "{data}");
    assert_eq!(answer.header("idempotent-replayed"), duplicate.then_some("true"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_settles_its_order_once_per_key() {
    let fixture = Fixture::start().await;
    let product = fixture.product("9.99", 10).await;
    let (paid, failed) = (waiting(&fixture, product).await, waiting(&fixture, product).await);
    settled(&fixture.post(WEBHOOK, &report("a", &paid, "success")).await, "PAID", false);
    settled(&fixture.post(WEBHOOK, &report("b", &failed, "failure")).await, "FAILED", false);
    for _ in 0..3 {
        settled(&fixture.post(WEBHOOK, &report("a", &paid, "success")).await, "PAID", true);
    }
    // The payload may differ between deliveries, and the key may be in the header.
    let body = json!({"order_id": paid, "status": "success", "payload": {"try": 2}});
    let call = Call::json("POST", WEBHOOK, &body).header("idempotency-key", "a");
    settled(&fixture.send(call).await, "PAID", true);
    for other in [report("a", &failed, "success"), report("a", &paid, "failure")] {
        fixture.post(WEBHOOK, &other).await.problem(422, "idempotency_key_reused");
    }
    let row = fixture.get(&format!("/api/v1/products/{product}")).await.expect(200);
    assert_eq!((&row["data"]["sold"], &row["data"]["stock"]), (&json!(2), &json!(8)));
    // Both steps are recorded, in one entry.
    let history = fixture.get(&format!("{ORDERS}/{paid}/events")).await.expect(200);
    let steps: Vec<_> = history["data"].as_array().unwrap().iter().map(|row| &row["to"]).collect();
    assert_eq!(steps, ["PENDING", "PROCESSING", "PAID"]);
    assert_eq!(history["data"][1]["index"], history["data"][2]["index"]);
    let text = String::from_utf8(fixture.get("/metrics").await.body.to_vec()).unwrap();
    for line in [
        r#"webhooks_total{result="applied"} 2"#,
        r#"webhooks_total{result="duplicate"} 4"#,
        r#"webhooks_total{result="conflict"} 0"#,
        "webhooks_parked 0",
    ] {
        assert!(text.contains(&format!("\n{line}\n")), "{line}: {text}");
    }
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_or_contradicting_results_are_conflicts_and_change_nothing() {
    let fixture = Fixture::start().await;
    let product = fixture.product("9.99", 10).await;
    let order = waiting(&fixture, product).await;
    settled(&fixture.post(WEBHOOK, &report("a", &order, "success")).await, "PAID", false);
    let before = fixture.get(&format!("{ORDERS}/{order}")).await.expect(200);
    for (key, status) in [("b", "failure"), ("c", "success"), ("b", "failure")] {
        let answer = fixture.post(WEBHOOK, &report(key, &order, status)).await;
        let problem = answer.problem(409, "payment_conflict");
        assert_eq!((&problem["order_id"], &problem["order_status"]), (&order, &json!("PAID")));
    }
    let cancelled = waiting(&fixture, product).await;
    fixture.post(&format!("{ORDERS}/{cancelled}/cancel"), &json!({})).await.expect(200);
    let late = fixture.post(WEBHOOK, &report("d", &cancelled, "success")).await;
    assert_eq!(late.problem(409, "payment_conflict")["order_status"], "CANCELLED");
    assert_eq!(fixture.get(&format!("{ORDERS}/{order}")).await.expect(200), before);
    assert_eq!(status(&fixture, &cancelled).await, "CANCELLED");
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_amount_must_be_the_total() {
    let fixture = Fixture::start().await;
    let product = fixture.product("9.99", 10).await;
    let order = waiting(&fixture, product).await;
    for (key, amount) in [("a", json!("19.97")), ("b", json!(0)), ("c", json!("1998"))] {
        let mut body = report(key, &order, "success");
        body["amount"] = amount;
        fixture.post(WEBHOOK, &body).await.problem(409, "payment_conflict");
    }
    assert_eq!(status(&fixture, &order).await, "PENDING");
    let mut body = report("d", &order, "success");
    body["amount"] = json!(19.98);
    settled(&fixture.post(WEBHOOK, &body).await, "PAID", false);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_waits_for_an_order_that_does_not_exist_yet() {
    let fixture = Fixture::with(Settings { webhooks_parked_max: 2, ..Settings::default() }).await;
    let product = fixture.product("9.99", 10).await;
    for duplicate in [false, true] {
        let answer = fixture.post(WEBHOOK, &report("a", &json!(1), "success")).await;
        let data = answer.expect(202)["data"].clone();
        assert_eq!(data["duplicate"], duplicate, "{data}");
        assert_eq!((&data["parked"], &data["order_status"]), (&json!(true), &Value::Null));
    }
    fixture.post(WEBHOOK, &report("b", &json!(77), "success")).await.expect(202);
    let full = fixture.post(WEBHOOK, &report("c", &json!(78), "success")).await;
    full.problem(503, "overloaded");
    let body = json!({"items": [{"product_id": product, "quantity": 1}],
        "payment_method": "webhook"});
    let placed = fixture.post(ORDERS, &body).await.expect(201);
    assert_eq!((&placed["order_id"], &placed["status"]), (&json!(1), &json!("PAID")));
    settled(&fixture.post(WEBHOOK, &report("a", &json!(1), "success")).await, "PAID", true);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_ends_at_its_payment_deadline() {
    let settings = Settings { payment_deadline_ms: 150, ..Settings::default() };
    let fixture = Fixture::with(settings).await;
    let product = fixture.product("9.99", 10).await;
    let order = waiting(&fixture, product).await;
    fixture.until("cancelled", async || status(&fixture, &order).await == "CANCELLED").await;
    let row = fixture.get(&format!("/api/v1/products/{product}")).await.expect(200);
    assert_eq!((&row["data"]["reserved"], &row["data"]["stock"]), (&json!(0), &json!(10)));
    let late = fixture.post(WEBHOOK, &report("a", &order, "success")).await;
    late.problem(409, "payment_conflict");
    fixture.stop().await;
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A result with the signature of a client with these secrets.
fn signed(secrets: &[&str], at_s: u64, body: &Value) -> Call {
    let body = body.to_string();
    let signature = client::signature(secrets, at_s, body.as_bytes()).unwrap();
    Call::text("POST", WEBHOOK, body).header("holdfast-signature", &signature)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_signed_results_are_believed_where_there_is_a_secret() {
    let secrets = vec![WebhookSecret::new(SECRET), WebhookSecret::new(NEXT)];
    let fixture = Fixture::with(Settings { webhook_secrets: secrets, ..Settings::default() }).await;
    let product = fixture.product("9.99", 100).await;
    let order = waiting(&fixture, product).await;
    let body = report("a", &order, "success");
    let now = now_s();
    let before = (fixture.look().await, fixture.handle.read(|state| state.position()));
    let good = client::signature(&[SECRET], now, body.to_string().as_bytes()).unwrap();
    let mut changed = body.to_string();
    changed.push(' ');
    let bare = || Call::json("POST", WEBHOOK, &body);
    let calls = [
        bare(),
        bare().header("holdfast-signature", ""),
        bare().header("holdfast-signature", "v1=0"),
        bare().header("holdfast-signature", &good.replacen("v1=", "v2=", 1)),
        bare().header("holdfast-signature", &good).header("holdfast-signature", &good),
        Call::text("POST", WEBHOOK, changed).header("holdfast-signature", &good),
        signed(&["a secret of somebody else"], now, &body),
        signed(&[SECRET], now - 310, &body),
        signed(&[SECRET], now + 310, &body),
        // An unknown sender learns nothing about the body either.
        Call::text("POST", WEBHOOK, "{"),
        Call::text("POST", WEBHOOK, "{}"),
        Call::new("POST", WEBHOOK),
    ];
    let refused = calls.len();
    for call in calls {
        let answer = fixture.send(call).await;
        answer.problem(401, "invalid_signature");
        assert!(answer.header("www-authenticate").is_some());
    }
    let after = (fixture.look().await, fixture.handle.read(|state| state.position()));
    assert_eq!(after, before);
    let text = String::from_utf8(fixture.get("/metrics").await.body.to_vec()).unwrap();
    let line = format!("\nwebhook_signatures_refused_total {refused}\n");
    assert!(text.contains(&line), "{text}");
    // Either secret is accepted, within the window on both sides.
    settled(&fixture.send(signed(&[SECRET], now, &body)).await, "PAID", false);
    settled(&fixture.send(signed(&[SECRET], now, &body)).await, "PAID", true);
    settled(&fixture.send(signed(&[NEXT], now + 290, &body)).await, "PAID", true);
    settled(
        &fixture.send(signed(&["unknown-to-them", NEXT], now - 290, &body)).await,
        "PAID",
        true,
    );
    // The signature does not cover headers, so a key in the header is not enough.
    let bare = json!({"order_id": order, "status": "success"});
    let call = signed(&[SECRET], now, &bare).header("idempotency-key", "another");
    fixture.send(call).await.invalid("idempotency_key");
    let call = signed(&[SECRET], now, &body).header("idempotency-key", "another");
    fixture.send(call).await.problem(400, "idempotency_key_mismatch");
    // The rest of the API needs no signature.
    waiting(&fixture, product).await;
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_fields_of_results_are_named() {
    let fixture = Fixture::start().await;
    let product = fixture.product("9.99", 10).await;
    let order = waiting(&fixture, product).await;
    let before = fixture.look().await;
    for (field, value) in [
        ("idempotency_key", Value::Null),
        ("idempotency_key", json!(7)),
        ("order_id", Value::Null),
        ("order_id", json!("1")),
        ("order_id", json!(0)),
        ("order_id", json!(-1)),
        ("order_id", json!(9_007_199_254_740_992_u64)),
        ("status", Value::Null),
        ("status", json!("paid")),
        ("status", json!(true)),
        ("amount", json!("-1")),
        ("amount", json!("1.999")),
        ("amount", json!([1])),
        ("payload", json!("x".repeat(4_096))),
    ] {
        let mut body = report("k", &order, "success");
        body[field] = value;
        fixture.post(WEBHOOK, &body).await.invalid(field);
    }
    for key in ["", " ", &"x".repeat(256), "a\nb"] {
        let body = report(key, &order, "success");
        fixture.post(WEBHOOK, &body).await.problem(400, "idempotency_key_invalid");
    }
    let body = report("k", &order, "success");
    let both = Call::json("POST", WEBHOOK, &body).header("idempotency-key", "other");
    fixture.send(both).await.problem(400, "idempotency_key_mismatch");
    assert_eq!(fixture.look().await, before);
    fixture.stop().await;
}
