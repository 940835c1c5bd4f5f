//! Monitoring and the cluster's status, with and without a quorum.

use std::time::Duration;

use http_api::Settings;
use serde_json::json;

use crate::harness::{Call, Fixture, order, settings};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_healthy_node_says_so() {
    let fixture = Fixture::start().await;
    for path in ["/health", "/api/health", "/api/v1/health"] {
        let health = fixture.get(path).await.expect(200);
        assert_eq!(health["status"], "ok", "{health}");
        let services = json!({"storage": "ok", "raft": "ok", "quorum": "ok", "worker": "ok"});
        assert_eq!(health["services"], services);
        assert_eq!((&health["node_id"], &health["leader_id"]), (&json!(1), &json!(1)));
        assert!(health["timestamp"].as_str().unwrap().ends_with('Z'));
    }
    for path in ["/livez", "/readyz"] {
        assert_eq!(fixture.get(path).await.expect(200), json!({"status": "ok"}));
    }
    let test = fixture.get("/api/test").await.expect(200);
    assert_eq!(test["message"], "API is working!");
    let cluster = fixture.get("/api/v1/cluster").await.expect(200)["data"].clone();
    assert_eq!((&cluster["node_id"], &cluster["leader_id"]), (&json!(1), &json!(1)));
    assert_eq!(cluster["members"][0]["role"], "leader");
    assert_eq!(cluster["digest"].as_str().unwrap().len(), 16);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_count_what_happened() {
    let fixture = Fixture::start().await;
    let product = fixture.product("1.00", 3).await;
    fixture
        .post("/api/v1/orders/purchase", &json!({"product_id": product, "quantity": 2}))
        .await
        .expect(201);
    let cancelled = fixture.post("/api/v1/orders", &order(product, 1)).await.expect(201);
    let cancel = format!("/api/v1/orders/{}/cancel", cancelled["order_id"]);
    fixture.post(&cancel, &json!({})).await.expect(200);
    fixture.post("/api/v1/orders", &order(product, 9)).await.problem(409, "insufficient_stock");
    let paid = async || fixture.get("/api/v1/orders/1").await.json()["status"] == "PAID";
    fixture.until("paid", paid).await;
    fixture
        .send(Call::new("BREW", "/api/v1/orders/12345"))
        .await
        .problem(405, "method_not_allowed");
    let answer = fixture.send(Call::new("GET", "/metrics").header("accept", "text/plain")).await;
    answer.check_headers();
    assert!(answer.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    for line in [
        "orders_created_total 2",
        "orders_reserved_total 2",
        "orders_paid_total 1",
        "orders_cancelled_total 1",
        "payment_success_total 1",
        "orders_failed_total{reason=\"insufficient_stock\"} 1",
        "orders_failed_total{reason=\"payment_declined\"} 0",
        "orders_open 0",
        "inventory_reserve_latency_seconds_count 3",
        "http_request_duration_seconds_count{method=\"POST\",route=\"/api/v1/orders\",status=\"409\"} 1",
        "http_request_duration_seconds_count{method=\"other\",route=\"/api/v1/orders/{id}\",status=\"405\"} 1",
        "raft_is_leader 1",
    ] {
        assert!(text.lines().any(|found| found == line), "no `{line}` in\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
    assert!(!text.contains("12345"), "an id became a label");
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_quorum_the_node_says_what_it_can() {
    let settings = Settings { request_timeout: Duration::from_millis(300), ..settings() };
    let fixture = Fixture::alone_of_three(settings).await;
    let health = fixture.get("/health").await.expect(503);
    assert_eq!(
        (&health["status"], &health["services"]["quorum"]),
        (&json!("degraded"), &json!("down"))
    );
    fixture.get("/livez").await.expect(200);
    let ready = fixture.get("/readyz").await.expect(503);
    assert_eq!(
        (&ready["status"], &ready["reason"]),
        (&json!("degraded"), &json!("no leader is known"))
    );
    let cluster = fixture.get("/api/v1/cluster").await.expect(200);
    assert_eq!(cluster["data"]["leader_id"], json!(null));
    assert_eq!(cluster["data"]["members"][2]["role"], "unknown");

    let refused = fixture.post("/api/v1/orders", &order(1, 1)).await.problem(503, "no_leader");
    assert_eq!((&refused["outcome"], &refused["retry_after"]), (&json!("not_applied"), &json!(1)));
    fixture.get("/api/v1/orders/1").await.problem(503, "stale_read");
    fixture.get("/api/v1/products").await.problem(503, "stale_read");
    let stale = fixture.get("/api/v1/products?consistency=stale").await;
    assert_eq!(stale.expect(200)["data"], json!([]));
    assert_eq!(stale.header("x-consistency"), Some("stale"));
    let missing = Call::new("GET", "/api/v1/orders/1").header("x-consistency", "stale");
    let missing = fixture.send(missing).await;
    missing.problem(404, "not_found");
    assert_eq!(missing.header("x-consistency"), Some("stale"));
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_wait_for_a_position() {
    let settings = Settings { request_timeout: Duration::from_millis(300), ..settings() };
    let fixture = Fixture::with(settings).await;
    let product = fixture.product("1.00", 10).await;
    let target = format!("/api/v1/products/{product}?consistency=stale");
    let placed = fixture.post("/api/v1/orders", &order(product, 1)).await;
    let position = placed.header("x-position").unwrap().to_owned();
    let at = |position: &str| Call::new("GET", &target).header("x-min-position", position);
    let read = fixture.send(at(&position)).await;
    assert_eq!(read.expect(200)["data"]["reserved"], 1);
    let reached: u64 = read.header("x-position").unwrap().parse().unwrap();
    assert!(reached >= position.parse().unwrap());
    fixture.send(at("9007199254740991")).await.problem(503, "stale_read");
    for bad in ["-1", "x", "", "9007199254740992", "1.0"] {
        fixture.send(at(bad)).await.problem(400, "malformed_request");
    }
    let write =
        Call::json("POST", "/api/v1/orders", &order(product, 1)).header("x-min-position", "x");
    fixture.send(write).await.problem(400, "malformed_request");
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_filter_changes_for_a_while() {
    const PATH: &str = "/api/v1/admin/log-filter";
    let fixture = Fixture::start().await;
    let shown = async || fixture.get(PATH).await.expect(200)["data"].clone();
    let configured = json!({"filter": "info", "configured": "info", "seconds_left": null});
    assert_eq!(shown().await, configured);
    let set = async |body| fixture.send(Call::json("PUT", PATH, &body)).await;
    set(json!({"filter": "debug", "seconds": 60})).await.expect(200);
    let changed = shown().await;
    assert_eq!((&changed["filter"], &changed["configured"]), (&json!("debug"), &json!("info")));
    assert!((1..=60).contains(&changed["seconds_left"].as_u64().unwrap()), "{changed}");
    for (body, field) in [
        (json!({"filter": "nonsense="}), "filter"),
        (json!({"filter": ""}), "filter"),
        (json!({"filter": "x".repeat(1025)}), "filter"),
        (json!({"filter": "debug", "seconds": 0}), "seconds"),
        (json!({"filter": "debug", "seconds": 3601}), "seconds"),
    ] {
        set(body).await.invalid(field);
    }
    assert_eq!(shown().await["filter"], "debug");
    assert_eq!(set(json!({})).await.expect(200)["data"], configured);
    fixture.stop().await;

    let fixed = Fixture::with(Settings { log_filter: None, ..settings() }).await;
    fixed.get(PATH).await.problem(404, "not_found");
    fixed.stop().await;
}
