//! Ways in which a stranger's order was once decided: by a gateway that nobody had asked for, by an
//! unsigned report, by a report that came before its order, and by one that a backup carried over.

use std::path::Path;

use serde_json::{Value, json};
use tests::cluster::{WEBHOOK_SECRET, holdfast};
use tests::shop::{self, ORDERS, WEBHOOK};
use tests::{Call, Caller, Options};

fn success(key: &str, order: u64) -> Call {
    Call::post(WEBHOOK, &json!({"idempotency_key": key, "order_id": order, "status": "success"}))
}

async fn place(caller: &Caller, body: &Value) -> Value {
    caller.ask(1, &shop::place(body)).await.expect(201).data()
}

/// Checks that nobody has decided an order.
async fn stays_pending(caller: &Caller, order: u64) {
    let row = shop::read_order(caller, 1, order).await;
    assert_eq!(row["status"], "PENDING", "somebody decided this order: {row}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_without_a_gateway_pays_no_order_by_dice() {
    let options = Options::new("a_node_without_a_gateway").without_payments().nodes(1);
    let cluster = options.start().await;
    let (caller, mut random) = (cluster.caller().clone(), cluster.random(1));
    let product = shop::create_product(&caller, &mut random, "9.99", 100).await;
    let line = json!({"product_id": product, "quantity": 1});
    let orders = [
        place(&caller, &json!({"user_id": 1, "items": [line]})).await,
        caller.ask(1, &Call::post(format!("{ORDERS}/purchase"), &line)).await.expect(201).data(),
    ];
    for order in &orders {
        assert_eq!(order["payment_method"], "webhook", "{order}");
        stays_pending(&caller, shop::id(order)).await;
    }
    let mock = caller.ask(1, &shop::place(&shop::order(product, 1, "mock"))).await;
    mock.problem(422, "payment_method_unavailable");
    let batch = json!({"atomic": false, "orders": [shop::order(product, 1, "mock")]});
    let answer = caller.ask(1, &Call::post(format!("{ORDERS}/batch"), &batch)).await.expect(200);
    assert_eq!(answer.data()[0]["error"], "payment_method_unavailable", "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unsigned_report_decides_no_order() {
    let options = Options::new("an_unsigned_report").without_payments().nodes(1);
    let cluster = options.start().await;
    let (caller, mut random) = (cluster.caller().clone(), cluster.random(1));
    let product = shop::create_product(&caller, &mut random, "9.99", 100).await;
    caller.ask(1, &success("early", 1)).await.problem(401, "invalid_signature");
    for method in ["none", "webhook"] {
        let order = shop::id(&place(&caller, &shop::order(product, 1, method)).await);
        caller.ask(1, &success(method, order)).await.problem(401, "invalid_signature");
        stays_pending(&caller, order).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signed_report_for_an_order_of_the_future_decides_no_order() {
    let options = Options::new("a_signed_report_for_an_order_of_the_future").without_payments();
    let cluster = options.nodes(1).flag("--webhook-secret", WEBHOOK_SECRET).start().await;
    let caller = cluster.caller().clone().signing(WEBHOOK_SECRET);
    let product = shop::create_product(&caller, &mut cluster.random(1), "9.99", 100).await;
    for order in 1..=2 {
        let early = caller.ask(1, &success(&format!("early-{order}"), order)).await.expect(200);
        assert_eq!(early.data()["result"], "unmatched", "{}", early.text());
    }
    let orders = [
        place(&caller, &shop::order(product, 1, "webhook")).await,
        place(&caller, &shop::order(product, 1, "none")).await,
    ];
    for order in orders.iter().map(shop::id) {
        // Nor does the same report when it is delivered again.
        let again = caller.ask(1, &success(&format!("early-{order}"), order)).await.expect(200);
        let data = again.data();
        assert_eq!((&data["result"], &data["duplicate"]), (&json!("unmatched"), &json!(true)));
        stays_pending(&caller, order).await;
    }
    // A report decides only an order that waits for one.
    let none = caller.ask(1, &success("none", 2)).await.expect(200).data();
    assert_eq!((&none["result"], &none["conflict"]), (&json!("conflict"), &json!("method")));
    let paid = caller.ask(1, &success("now", 1)).await.expect(200).data();
    assert_eq!((&paid["result"], &paid["order_status"]), (&json!("applied"), &json!("PAID")));
    stays_pending(&caller, 2).await;
}

fn run(words: &[&str]) {
    let output = holdfast().args(words).output().expect("the binary can be started");
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn text(path: &Path) -> &str {
    path.to_str().expect("paths of tests are text")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_report_outlives_a_restore_and_decides_another_order() {
    let options = Options::new("no_report_outlives_a_restore").without_payments();
    let options = options.nodes(1).flag("--webhook-secret", WEBHOOK_SECRET);
    let mut cluster = options.start().await;
    let caller = cluster.caller().clone().signing(WEBHOOK_SECRET);
    let product = shop::create_product(&caller, &mut cluster.random(1), "9.99", 100).await;
    // Its order is one of those that the backup has lost, and the copy gives the id out again.
    let early = caller.ask(1, &success("early", 1)).await;
    assert!(early.status < 300, "{}", early.text());
    let (backup, data) = (cluster.dir().join("backup"), cluster.data_dir(1).to_owned());
    run(&["backup", text(&backup), "--url", &caller.urls()[0]]);
    cluster.kill(1);
    cluster.wipe(1);
    let raft = cluster.raft_address(1).to_string();
    let target = ["--data", text(&data), "--raft", &raft, "--id", "1", "--cluster", "copy"];
    run(&[&["restore", text(&backup)][..], &target].concat());
    cluster.set_flag("--cluster", "copy");
    cluster.forget_peers();
    cluster.restart(1);
    cluster.wait_ready().await;
    let order = shop::id(&place(&caller, &shop::order(product, 1, "webhook")).await);
    assert_eq!(order, 1, "the id is given out again");
    stays_pending(&caller, order).await;
    let again = caller.ask(1, &success("early", 1)).await.expect(200).data();
    assert_eq!(again["result"], "unmatched", "{again}");
    stays_pending(&caller, order).await;
}
