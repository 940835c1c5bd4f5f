//! Every illegal transition of an order is refused and changes nothing.

use serde_json::{Value, json};
use tests::shop::{self, ORDERS};
use tests::{Call, Caller, Cluster, Options, wait};

/// An order in the wanted status, or a panic.
async fn order_in(cluster: &Cluster, product: u64, method: &str, wanted: &str) -> Value {
    let caller = cluster.caller();
    let place = shop::place(&shop::order(product, 2, method));
    let order = shop::id(&caller.ask(1, &place).await.expect(201).data());
    if wanted == "CANCELLED" {
        caller.ask(2, &shop::cancel(order)).await.expect(200);
    }
    wait::until(&format!("an order was {wanted}"), wait::SETTLED, async || {
        let data = shop::read_order(caller, 3, order).await;
        if data["status"] == wanted { Ok(data) } else { Err(data.to_string()) }
    })
    .await
}

/// The answers to all requests by which a client could try to move an order, from every node.
async fn attempts(caller: &Caller, order: u64) -> Vec<tests::Answer> {
    let mut answers = Vec::new();
    let path = format!("{ORDERS}/{order}");
    for node in caller.all() {
        for status in ["PENDING", "PROCESSING", "PAID", "FAILED", "CANCELLED"] {
            let body = json!({"status": status});
            for call in [Call::put(&path, &body), Call::patch(&path, &body)] {
                answers.push(caller.ask(node, &call).await);
            }
        }
        answers.push(caller.ask(node, &Call::delete(&path)).await);
    }
    answers
}

/// Checks that neither cancelling nor anything else moves an order that is past cancelling.
async fn assert_stuck(cluster: &Cluster, order: &Value, product: u64) {
    let caller = cluster.caller();
    let id = shop::id(order);
    let counters = shop::product(caller, 1, product).await;
    for node in caller.all() {
        for call in [shop::cancel(id), Call::new("POST", format!("/api/orders/{id}/cancel"))] {
            let refused = caller.ask(node, &call).await;
            let problem = refused.problem(422, "order_not_cancellable");
            assert_eq!(problem["error_code"], "INVALID_TRANSITION", "{problem}");
            assert_eq!(problem["outcome"], "rejected", "{problem}");
            assert_eq!(problem["retryable"], false, "{problem}");
        }
    }
    for answer in attempts(caller, id).await {
        answer.problem(405, "method_not_allowed");
    }
    let after = shop::read_order(caller, 2, id).await;
    // Repeated payment attempts may be noted; they must not move the order.
    for field in ["status", "items", "cancelled_at", "failure_reason", "total_amount"] {
        assert_eq!(after[field], order[field], "{field}");
    }
    assert_eq!(shop::product(caller, 3, product).await["stock"], counters["stock"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paid_order_stays_paid() {
    let cluster =
        Options::new("a_paid_order_stays_paid").flag("--payment-success-rate", "1").start().await;
    let product = shop::create_product(cluster.caller(), &mut cluster.random(1), "1.00", 9).await;
    let order = order_in(&cluster, product, "mock", "PAID").await;
    assert_stuck(&cluster, &order, product).await;
    assert_eq!(shop::product(cluster.caller(), 1, product).await["sold"], 2);
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_order_stays_failed() {
    let cluster =
        Options::new("a_failed_order_stays_failed").flag("--payment-success-rate", "0").start();
    let cluster = cluster.await;
    let product = shop::create_product(cluster.caller(), &mut cluster.random(1), "1.00", 9).await;
    let order = order_in(&cluster, product, "mock", "FAILED").await;
    assert_stuck(&cluster, &order, product).await;
    assert_eq!(shop::product(cluster.caller(), 1, product).await["stock"], 9);
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_whose_payment_is_under_way_cannot_be_cancelled() {
    let cluster = Options::new("an_order_whose_payment_is_under_way")
        .flag("--payment-error-rate", "1")
        .flag("--payment-backoff-ms", "60000")
        .start()
        .await;
    let product = shop::create_product(cluster.caller(), &mut cluster.random(1), "1.00", 9).await;
    let order = order_in(&cluster, product, "mock", "PROCESSING").await;
    assert_stuck(&cluster, &order, product).await;
    assert_eq!(shop::product(cluster.caller(), 1, product).await["reserved"], 2);
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_order_stays_cancelled_and_a_pending_one_moves_only_by_cancel() {
    let cluster = Cluster::start("a_cancelled_order_stays_cancelled").await;
    let caller = cluster.caller();
    let product = shop::create_product(caller, &mut cluster.random(1), "1.00", 9).await;
    let pending = order_in(&cluster, product, "none", "PENDING").await;
    for answer in attempts(caller, shop::id(&pending)).await {
        answer.problem(405, "method_not_allowed");
        assert_eq!(answer.header("allow").map(|allow| allow.contains("GET")), Some(true));
    }
    assert_eq!(shop::read_order(caller, 1, shop::id(&pending)).await, pending);

    let cancelled = order_in(&cluster, product, "none", "CANCELLED").await;
    // Cancelling again is not a transition: the answer has the same order and version.
    for node in caller.all() {
        let again = caller.ask(node, &shop::cancel(shop::id(&cancelled))).await.expect(200);
        assert_eq!(shop::order_of(&again), cancelled, "node {node}");
    }
    for answer in attempts(caller, shop::id(&cancelled)).await {
        answer.problem(405, "method_not_allowed");
    }
    let data = shop::product(caller, 2, product).await;
    assert_eq!(data["stock"], 7, "given back once: {data}");
    caller.ask(1, &shop::cancel(4_242_424_242)).await.problem(404, "not_found");
    cluster.agree().await;
}
