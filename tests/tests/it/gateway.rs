//! Payments through a payment service over HTTP.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tests::payment_service::PaymentService;
use tests::shop::{self, ORDERS};
use tests::{Call, Cluster, Options, wait};

/// How long results may take after a leader died: its claims are over after 25 s, and what it may
/// have sent is looked up after 10 s and again after a minute.
const LOOKED_UP: Duration = Duration::from_secs(150);

/// A cluster that charges through this service, and the directory of its secret, which nodes read
/// at every startup.
async fn cluster_of(test: &str, service: &PaymentService) -> (Cluster, TempDir) {
    let dir = tempfile::tempdir().expect("a directory");
    let secret = dir.path().join("secret");
    fs::write(&secret, "0123456789abcdef0123456789abcdef\n").expect("written");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).expect("its mode is set");
    let cluster = Options::new(test)
        .flag("--payment-gateway", "http")
        .flag("--gateway-url", &service.url())
        .flag("--gateway-secret-file", secret.to_str().expect("a path in UTF-8"))
        .flag("--payment-backoff-ms", "100,200,400")
        .start()
        .await;
    (cluster, dir)
}

async fn place(cluster: &Cluster, product: u64) -> u64 {
    let call = shop::place(&shop::order(product, 1, "gateway"));
    shop::id(&cluster.caller().ask(1, &call).await.expect(201).data())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_charges_each_order_at_most_once_although_answers_and_a_leader_are_lost() {
    let service = PaymentService::start(true).await;
    let test = "a_service_charges_each_order_at_most_once_although_answers_and_a_leader_are_lost";
    let (mut cluster, _secret) = cluster_of(test, &service).await;
    let product =
        shop::create_product(cluster.caller(), &mut cluster.random(1), "1.50", 1_000).await;
    let mut orders = Vec::new();
    for _ in 0..40 {
        orders.push(place(&cluster, product).await);
    }
    let dead = cluster.kill_leader().await;
    cluster.restart(dead);
    cluster.wait_ready().await;
    shop::all_settled_within(cluster.caller(), 1, LOOKED_UP).await;
    let mut paid = 0;
    for order in orders {
        let data = cluster.caller().get(1, &format!("{ORDERS}/{order}")).await.expect(200).data();
        assert_eq!(data["payment_method"], "gateway");
        let charges = service.charges(order);
        match data["status"].as_str() {
            Some("PAID") => assert_eq!(charges, [150], "order {order}"),
            Some("FAILED") => assert_eq!(charges, [0_i64; 0], "order {order}"),
            other => panic!("order {order} is {other:?}"),
        }
        paid += u64::from(data["status"] == "PAID");
    }
    assert_eq!(paid, 32, "every fifth is declined");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_refuses_the_node_stops_the_calls_and_orders_can_be_cancelled() {
    let service = PaymentService::start(false).await;
    let test = "a_service_that_refuses_the_node_stops_the_calls_and_orders_can_be_cancelled";
    let (cluster, _secret) = cluster_of(test, &service).await;
    let caller = cluster.caller();
    let product = shop::create_product(caller, &mut cluster.random(1), "1.50", 1_000).await;
    service.refuse(true);
    place(&cluster, product).await;
    let leader = cluster.leader().await;
    let warnings = async || {
        let health: Value = caller.get(leader, "/health").await.json();
        health["warnings"].to_string()
    };
    wait::until("the breaker opens", wait::READY, async || {
        let warnings = warnings().await;
        if warnings.contains("--gateway-secret-file") { Ok(()) } else { Err(warnings) }
    })
    .await;
    // A few orders are tried all the same, to see whether the service works again.
    wait::until("an order that waits is cancelled", wait::READY, async || {
        let waiting = place(&cluster, product).await;
        let answer = caller.ask(1, &shop::cancel(waiting)).await;
        if answer.status == 200 { Ok(()) } else { Err(format!("{answer:?}")) }
    })
    .await;
    let asked = service.requests();
    service.refuse(false);
    shop::all_settled(caller, 1).await;
    assert!(service.requests() > asked);
    wait::until("the warning goes", wait::READY, async || {
        // The breaker trusts the service again after some more orders.
        place(&cluster, product).await;
        let warnings = warnings().await;
        if warnings.contains("gateway") { Err(warnings) } else { Ok(()) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_ends_an_order_whose_service_does_not_tell() {
    let service = PaymentService::start(false).await;
    let test = "an_operator_ends_an_order_whose_service_does_not_tell";
    let (cluster, _secret) = cluster_of(test, &service).await;
    let caller = cluster.caller();
    let product = shop::create_product(caller, &mut cluster.random(1), "1.50", 1_000).await;
    service.refuse(true);
    let order = place(&cluster, product).await;
    wait::until("the payment is unsettled", wait::READY, async || {
        let list = caller.get(1, "/api/v1/payments/unsettled").await.expect(200).data();
        match list.as_array().map(Vec::as_slice) {
            Some([one]) if one["in_flight"] == false => {
                assert_eq!((&one["order_id"], &one["attempt"]), (&json!(order), &json!(1)));
                Ok(())
            }
            _ => Err(list.to_string()),
        }
    })
    .await;
    let settle = async |body: Value| {
        let call = Call::post(format!("{ORDERS}/{order}/settle"), &body);
        let answer = caller.ask(1, &call).await;
        (answer.status, answer.json())
    };
    let mut body = json!({
        "outcome": "failed", "expected_attempt": 1, "reason": "no charge there", "actor": "ann",
    });
    let (status, problem) = settle(body.clone()).await;
    assert_eq!((status, &problem["error"]), (409, &json!("payment_not_cancelled")), "{problem}");
    (body["expected_attempt"], body["force"]) = (json!(2), json!(true));
    let (status, problem) = settle(body.clone()).await;
    assert_eq!((status, &problem["error"]), (409, &json!("attempt_changed")), "{problem}");
    body["expected_attempt"] = json!(1);
    for _ in 0..2 {
        let (status, answer) = settle(body.clone()).await;
        assert_eq!((status, &answer["data"]["status"]), (200, &json!("FAILED")), "{answer}");
    }
    let steps = caller.get(1, &format!("{ORDERS}/{order}/events")).await.expect(200).data();
    assert_eq!(steps[2]["cause"], "settled_by_operator", "{steps}");
    let (status, problem) = settle(json!({
        "outcome": "paid", "expected_attempt": 1, "provider_ref": "p-1", "reason": "r", "actor": "a",
    }))
    .await;
    assert_eq!((status, &problem["error"]), (409, &json!("order_not_processing")), "{problem}");
    assert_eq!(service.charges(order), [0_i64; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refunds_give_back_once_what_was_paid_and_no_more() {
    let service = PaymentService::start(false).await;
    let test = "refunds_give_back_once_what_was_paid_and_no_more";
    let (mut cluster, _secret) = cluster_of(test, &service).await;
    let caller = cluster.caller().clone();
    let product = shop::create_product(&caller, &mut cluster.random(1), "1.50", 1_000).await;
    // Order 5 would be declined.
    let call = shop::place(&shop::order(product, 2, "gateway"));
    let order = shop::id(&caller.ask(1, &call).await.expect(201).data());
    shop::all_settled(&caller, 1).await;
    service.lose();
    let path = format!("{ORDERS}/{order}/refunds");
    let line = json!({"line": 1, "quantity": 1, "restock": true});
    let body = json!({
        "lines": [line], "reason": "returned", "actor": "ann", "idempotency_key": "rma-1",
    });
    let refund = caller.ask(1, &Call::post(&path, &body)).await.expect(201).data();
    assert_eq!((&refund["amount"], &refund["order_id"]), (&json!("1.50"), &json!(order)));
    let again = caller.ask(2, &Call::post(&path, &body)).await.expect(200).data();
    assert_eq!(again["id"], refund["id"]);
    let stock = caller.get(1, &format!("/api/v1/products/{product}")).await.expect(200).data();
    assert_eq!((&stock["stock"], &stock["sold"]), (&json!(999), &json!(1)));
    let dead = cluster.kill_leader().await;
    cluster.restart(dead);
    cluster.wait_ready().await;
    let rest = json!({"reason": "broken", "actor": "ann"});
    let rest = caller.ask(1, &Call::post(&path, &rest)).await.expect(201).data();
    assert_eq!(rest["amount"], "1.50", "all that is left");
    let more = json!({"amount": "0.01", "reason": "more", "actor": "ann"});
    let refused = caller.ask(1, &Call::post(&path, &more)).await;
    assert_eq!((refused.status, &refused.json()["error"]), (409, &json!("refund_exceeds_paid")));
    wait::until("the refunds succeeded", LOOKED_UP, async || {
        let of = caller.get(1, &path).await.expect(200).data();
        let all = of["refunds"].as_array().expect("a list").clone();
        match all.len() == 2 && all.iter().all(|refund| refund["status"] == "succeeded") {
            true => Ok(()),
            false => Err(of.to_string()),
        }
    })
    .await;
    assert_eq!(service.refunds(order), [150, 150]);
    assert_eq!(service.charges(order), [300]);
}
