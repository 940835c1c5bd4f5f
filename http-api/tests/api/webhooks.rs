//! Results of payments over real sockets: signatures, duplicates, parking, conflicts.

use std::time::{SystemTime, UNIX_EPOCH};

use http_api::{Settings, WebhookSecret};
use serde_json::{Value, json};

use crate::harness::{Answer, Call, Fixture, settings};

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
    let result = if duplicate { "duplicate" } else { "applied" };
    assert_eq!((&data["result"], &data["conflict"]), (&json!(result), &Value::Null), "{data}");
    assert_eq!(answer.header("idempotent-replayed"), duplicate.then_some("true"));
}

/// Checks that a report is in conflict for this reason, and where its order stands.
#[track_caller]
fn in_conflict(answer: &Answer, conflict: &str, status: &str, duplicate: bool) {
    let data = answer.expect(200)["data"].clone();
    assert_eq!((&data["result"], &data["conflict"]), (&json!("conflict"), &json!(conflict)));
    assert_eq!((&data["order_status"], &data["duplicate"]), (&json!(status), &json!(duplicate)));
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
    for (key, status, again) in
        [("b", "failure", false), ("c", "success", false), ("b", "failure", true)]
    {
        let answer = fixture.post(WEBHOOK, &report(key, &order, status)).await;
        in_conflict(&answer, "late", "PAID", again);
    }
    let cancelled = waiting(&fixture, product).await;
    fixture.post(&format!("{ORDERS}/{cancelled}/cancel"), &json!({})).await.expect(200);
    let late = fixture.post(WEBHOOK, &report("d", &cancelled, "success")).await;
    in_conflict(&late, "late", "CANCELLED", false);
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
        in_conflict(&fixture.post(WEBHOOK, &body).await, "amount", "PENDING", false);
    }
    assert_eq!(status(&fixture, &order).await, "PENDING");
    let mut body = report("d", &order, "success");
    body["amount"] = json!(19.98);
    settled(&fixture.post(WEBHOOK, &body).await, "PAID", false);
    // A redelivery says what is true now, not what was true then.
    let mut body = report("a", &order, "success");
    body["amount"] = json!("19.97");
    in_conflict(&fixture.post(WEBHOOK, &body).await, "amount", "PAID", true);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_decides_only_an_order_that_waits_for_one() {
    let fixture = Fixture::start().await;
    let product = fixture.product("9.99", 10).await;
    let body = json!({"items": [{"product_id": product, "quantity": 1}], "payment_method": "none"});
    let order = fixture.post(ORDERS, &body).await.expect(201)["data"]["id"].clone();
    for word in ["success", "failure"] {
        let answer = fixture.post(WEBHOOK, &report(word, &order, word)).await;
        in_conflict(&answer, "method", "PENDING", false);
    }
    assert_eq!(status(&fixture, &order).await, "PENDING");
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_for_an_order_that_does_not_exist_decides_nothing() {
    let fixture = Fixture::start().await;
    let product = fixture.product("9.99", 10).await;
    let early = |status: &str| {
        let data = json!({"order_id": 1, "order_status": null, "result": "unmatched",
            "conflict": null, "duplicate": false, "parked": false});
        (report(status, &json!(1), status), data)
    };
    for (body, mut data) in ["success", "failure"].map(early) {
        assert_eq!(fixture.post(WEBHOOK, &body).await.expect(200)["data"], data);
        data["duplicate"] = json!(true);
        assert_eq!(fixture.post(WEBHOOK, &body).await.expect(200)["data"], data);
    }
    let order = waiting(&fixture, product).await;
    assert_eq!((&order, status(&fixture, &order).await), (&json!(1), json!("PENDING")));
    let again = fixture.post(WEBHOOK, &report("success", &order, "success")).await.expect(200);
    let told = (&again["data"]["result"], &again["data"]["order_status"]);
    assert_eq!(told, (&json!("unmatched"), &json!("PENDING")));
    assert_eq!(status(&fixture, &order).await, "PENDING");
    settled(&fixture.post(WEBHOOK, &report("now", &order, "success")).await, "PAID", false);
    let text = String::from_utf8(fixture.get("/metrics").await.body.to_vec()).unwrap();
    assert!(text.contains("\nwebhooks_total{result=\"unmatched\"} 2\n"), "{text}");
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_ends_at_its_payment_deadline() {
    let settings = Settings { payment_deadline_ms: 150, ..settings() };
    let fixture = Fixture::with(settings).await;
    let product = fixture.product("9.99", 10).await;
    let order = waiting(&fixture, product).await;
    fixture.until("cancelled", async || status(&fixture, &order).await == "CANCELLED").await;
    let row = fixture.get(&format!("/api/v1/products/{product}")).await.expect(200);
    assert_eq!((&row["data"]["reserved"], &row["data"]["stock"]), (&json!(0), &json!(10)));
    let late = fixture.post(WEBHOOK, &report("a", &order, "success")).await;
    in_conflict(&late, "late", "CANCELLED", false);
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
async fn without_a_secret_no_result_is_believed() {
    let fixture = Fixture::with(Settings { webhook_unsigned: false, ..settings() }).await;
    let product = fixture.product("9.99", 10).await;
    let order = waiting(&fixture, product).await;
    let body = report("a", &order, "success");
    for call in [Call::json("POST", WEBHOOK, &body), signed(&[SECRET], now_s(), &body)] {
        let refused = fixture.send(call).await.problem(401, "invalid_signature");
        let detail = refused["detail"].as_str().unwrap();
        assert!(detail.contains("--webhook-secret-file"), "{detail}");
    }
    assert_eq!(status(&fixture, &order).await, "PENDING");
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_signed_results_are_believed_where_there_is_a_secret() {
    let secrets = vec![WebhookSecret::new(SECRET), WebhookSecret::new(NEXT)];
    let fixture = Fixture::with(Settings { webhook_secrets: secrets, ..settings() }).await;
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
