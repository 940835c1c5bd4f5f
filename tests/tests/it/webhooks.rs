//! Results of payments over three processes: one outcome in every race, none lost, and none
//! accepted without a signature.

use std::sync::Arc;
use std::time::Duration;

use client::wire::{
    ErrorCode, HoldRequest, OrderRequest, OrderStatus, PaymentMethod, PaymentResult,
    WebhookConflict, WebhookRequest, WebhookResult,
};
use client::{Client, Error};
use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use tests::answer::Answer;
use tests::cluster::WEBHOOK_SECRET;
use tests::moment::{moment_ms, now_ms};
use tests::seed::any_node;
use tests::shop::{self, ORDERS, WEBHOOK};
use tests::{Call, Caller, Cluster, Options};
use tokio::task::JoinSet;

fn report(key: &str, order: u64, status: &str) -> Call {
    Call::post(WEBHOOK, &json!({"idempotency_key": key, "order_id": order, "status": status}))
}

/// An order over two units that waits for a webhook.
async fn waiting(caller: &Caller, random: &mut StdRng, product: u64) -> u64 {
    let place = shop::place(&shop::order(product, 2, "webhook"));
    shop::id(&caller.ask_any(random, &place).await.expect(201).data())
}

/// Checks that a result was recorded, and returns whether it is a duplicate.
#[track_caller]
fn taken(answer: Answer, status: &str) -> bool {
    let answer = answer.expect(200);
    let data = answer.data();
    assert_eq!(data["order_status"], status, "{data}");
    let duplicate = data["duplicate"].as_bool().expect("a flag");
    assert_eq!(answer.header("idempotent-replayed") == Some("true"), duplicate);
    duplicate
}

/// Checks that a result is recorded and changed nothing, and gives whether it had been before.
#[track_caller]
fn in_conflict(answer: Answer, conflict: &str, status: &str) -> bool {
    let data = answer.expect(200).data();
    assert_eq!((&data["result"], &data["conflict"]), (&json!("conflict"), &json!(conflict)));
    assert_eq!(data["order_status"], status, "{data}");
    data["duplicate"].as_bool().expect("a flag")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn success_and_failure_race_to_one_outcome() {
    let cluster = Cluster::start("success_and_failure_race_to_one_outcome").await;
    let (caller, mut random) = (cluster.caller().clone(), cluster.random(1));
    let product = shop::create_product(&caller, &mut random, "9.99", 100).await;
    let mut paid = 0;
    for round in 0..8 {
        let order = waiting(&caller, &mut random, product).await;
        let mut tasks = JoinSet::new();
        for number in 0..40 {
            let status = if random.random() { "success" } else { "failure" };
            let call = report(&format!("{round}-{number}"), order, status);
            let (caller, node) = (caller.clone(), any_node(&mut random, 3));
            tasks.spawn(async move { (status, caller.ask(node, &call).await) });
        }
        let answers = tasks.join_all().await;
        let (won, lost): (Vec<_>, Vec<_>) =
            answers.into_iter().partition(|(_, answer)| answer.data()["result"] == "applied");
        assert_eq!(won.len(), 1, "one result counts: {won:?}");
        let end = if won[0].0 == "success" { "PAID" } else { "FAILED" };
        assert!(!taken(won[0].1.clone(), end));
        for (_, answer) in lost {
            in_conflict(answer, "late", end);
        }
        paid += u64::from(end == "PAID");
        for node in caller.all() {
            assert_eq!(shop::read_order(&caller, node, order).await["status"], end);
        }
    }
    println!("{paid} of 8 were paid");
    for node in caller.all() {
        let data = shop::product(&caller, node, product).await;
        assert_eq!(shop::count(&data, "sold"), 2 * paid, "{data}");
        assert_eq!(shop::count(&data, "stock"), 100 - 2 * paid, "{data}");
    }
    cluster.agree().await;
}

/// Reports a result, and retries until its outcome is known.
async fn report_until_certain(client: &Client, request: &WebhookRequest) -> Option<OrderStatus> {
    loop {
        match client.send_webhook(request, &[WEBHOOK_SECRET]).await {
            Ok(answer) if answer.result == WebhookResult::Conflict => {
                assert_eq!(answer.conflict, Some(WebhookConflict::Late), "{answer:?}");
                return None;
            }
            Ok(answer) => return answer.order_status,
            Err(error @ Error::Rejected(_)) => panic!("{error}"),
            Err(error) => println!("asked again: {error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_outcome_and_one_sale_though_the_leader_dies() {
    let mut cluster = Cluster::start("one_outcome_and_one_sale_though").await;
    let (caller, mut random) = (cluster.caller().clone(), cluster.random(1));
    let product = shop::create_product(&caller, &mut random, "9.99", 100).await;
    let mut orders = Vec::new();
    for _ in 0..10 {
        orders.push(waiting(&caller, &mut random, product).await);
    }
    let mut tasks = JoinSet::new();
    for number in 0..60_u64 {
        let client = caller.retrying(&mut cluster.random(10 + number));
        let order = orders[usize::try_from(number % 10).expect("few")];
        // Two keys for each order; three clients deliver each.
        let (name, status) = match number % 20 < 10 {
            true => ("good", PaymentResult::Success),
            false => ("bad", PaymentResult::Failure),
        };
        let request = WebhookRequest::new(format!("{name}-{order}"), order, status);
        tasks.spawn(async move {
            tokio::time::sleep(Duration::from_millis(number * 5)).await;
            (order, status, report_until_certain(&client, &request).await)
        });
    }
    let first = tasks.join_next().await.expect("there are clients").expect("no client panics");
    let dead = cluster.kill_leader().await;
    let mut results = tasks.join_all().await;
    results.push(first);
    cluster.restart(dead);
    cluster.wait_ready().await;
    let mut paid = 0;
    for order in orders {
        let row = shop::read_order(&caller, any_node(&mut random, 3), order).await;
        let won =
            if row["status"] == "PAID" { PaymentResult::Success } else { PaymentResult::Failure };
        paid += u64::from(won == PaymentResult::Success);
        for (_, status, end) in results.iter().filter(|(about, ..)| *about == order) {
            // The three deliveries of the winning result succeeded, the others did not.
            assert_eq!(end.is_some(), *status == won, "{status} {end:?} {row}");
            assert!(end.is_none_or(|end| end.as_str() == row["status"]), "{row}");
        }
    }
    for node in caller.all() {
        let data = shop::product(&caller, node, product).await;
        assert_eq!(shop::count(&data, "sold"), 2 * paid, "{data}");
        assert_eq!(shop::count(&data, "reserved"), 0, "{data}");
    }
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_counts_once() {
    let mut cluster = Cluster::start("a_result_counts_once").await;
    let (caller, mut random) = (cluster.caller().clone(), cluster.random(1));
    let product = shop::create_product(&caller, &mut random, "9.99", 10).await;
    let order = waiting(&caller, &mut random, product).await;
    let mut tasks = JoinSet::new();
    for _ in 0..50 {
        let (caller, node) = (caller.clone(), any_node(&mut random, 3));
        tasks.spawn(async move { caller.ask(node, &report("once", order, "success")).await });
    }
    let answers = tasks.join_all().await;
    let firsts = answers.into_iter().filter(|answer| !taken(answer.clone(), "PAID")).count();
    assert_eq!(firsts, 1);
    cluster.kill_all();
    cluster.restart_all();
    cluster.wait_ready().await;
    for node in caller.all() {
        assert!(taken(caller.ask(node, &report("once", order, "success")).await, "PAID"));
        let other = caller.ask(node, &report("once", order, "failure")).await;
        other.problem(422, "idempotency_key_reused");
        let data = shop::product(&caller, node, product).await;
        assert_eq!((&data["sold"], &data["stock"]), (&json!(2), &json!(8)), "{data}");
    }
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_before_its_order_decides_nothing_though_nodes_die() {
    let mut cluster = Cluster::start("a_result_that_comes_first_decides").await;
    let (caller, mut random) = (cluster.caller().clone(), cluster.random(1));
    let product = shop::create_product(&caller, &mut random, "9.99", 100).await;
    let unmatched = |answer: Answer, duplicate: bool| {
        let data = answer.expect(200).data();
        assert_eq!((&data["result"], &data["duplicate"]), (&json!("unmatched"), &json!(duplicate)));
    };
    unmatched(caller.ask(1, &report("early", 1, "success")).await, false);
    unmatched(caller.ask(2, &report("early", 1, "success")).await, true);
    cluster.kill_all();
    cluster.restart_all();
    cluster.wait_ready().await;
    assert_eq!(waiting(&caller, &mut random, product).await, 1);
    for node in caller.all() {
        unmatched(caller.ask(node, &report("early", 1, "success")).await, true);
        assert_eq!(shop::read_order(&caller, node, 1).await["status"], "PENDING");
    }
    // An order and its result on their way at the same time: paid or not, as the log has it.
    for next in 2..=11 {
        let (one, other) = (any_node(&mut random, 3), any_node(&mut random, 3));
        let (place, report) = (
            shop::place(&shop::order(product, 1, "webhook")),
            report(&next.to_string(), next, "success"),
        );
        let (placed, reported) = tokio::join!(caller.ask(one, &place), caller.ask(other, &report));
        placed.expect(201);
        let data = reported.expect(200).data();
        let end = if data["result"] == "applied" { "PAID" } else { "PENDING" };
        for node in caller.all() {
            assert_eq!(shop::read_order(&caller, node, next).await["status"], end, "{data}");
        }
    }
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_and_contradicting_results_are_a_conflict_on_every_node() {
    let cluster =
        Cluster::start("late_and_contradicting_results_are_a_conflict_on_every_node").await;
    let (caller, mut random) = (cluster.caller().clone(), cluster.random(1));
    let product = shop::create_product(&caller, &mut random, "9.99", 10).await;
    let order = waiting(&caller, &mut random, product).await;
    let mut wrong = json!({"idempotency_key": "less", "order_id": order, "status": "success"});
    wrong["amount"] = json!("19.97");
    let answer = caller.ask_any(&mut random, &Call::post(WEBHOOK, &wrong)).await;
    assert!(!in_conflict(answer, "amount", "PENDING"));
    let mut right = wrong.clone();
    (right["idempotency_key"], right["amount"]) = (json!("all"), json!("19.98"));
    assert!(!taken(caller.ask_any(&mut random, &Call::post(WEBHOOK, &right)).await, "PAID"));
    let before = shop::read_order(&caller, 1, order).await;
    for node in caller.all() {
        for (key, status) in [("late", "success"), ("contradicts", "failure")] {
            let answer = caller.ask(node, &report(key, order, status)).await;
            assert_eq!(in_conflict(answer, "late", "PAID"), node > 1);
        }
        assert_eq!(shop::read_order(&caller, node, order).await, before);
    }
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unpaid_orders_end_at_their_deadline() {
    let options = Options::new("unpaid_orders_end_at_their_deadline");
    let cluster = options.flag("--payment-deadline-s", "2").start().await;
    let (caller, mut random) = (cluster.caller().clone(), cluster.random(1));
    let product = shop::create_product(&caller, &mut random, "9.99", 10).await;
    let client = Arc::new(caller.retrying(&mut random));
    let hold = client.create_hold(&HoldRequest::of([(product, 4)])).await.expect("units are there");
    let placed =
        client.create_order(&OrderRequest::from_hold(hold.id)).await.expect("it is active");
    assert_eq!(placed.payment_method, PaymentMethod::Webhook);
    for node in caller.all() {
        let ended = shop::settled(&caller, node, placed.id).await;
        assert_eq!(ended["status"], "CANCELLED", "{ended}");
        let moment = |field: &str| moment_ms(ended[field].as_str().expect("a moment"));
        let lived = moment("cancelled_at") - moment("created_at");
        assert!((2_000..4_000).contains(&lived), "{lived} ms: {ended}");
        let data = shop::product(&caller, node, product).await;
        assert_eq!((&data["stock"], &data["reserved"]), (&json!(10), &json!(0)), "{data}");
        let late = caller.ask(node, &report("late", placed.id, "success")).await;
        assert_eq!(in_conflict(late, "late", "CANCELLED"), node > 1);
    }
    cluster.agree().await;
}

const OLD: &str = "whsec-of-last-year-0123456789";
const NEW: &str = "whsec-of-this-year-0123456789";

fn signed(secret: &str, moment_s: u64, body: &Value) -> Call {
    let body = body.to_string();
    let value = client::signature(&[secret], moment_s, body.as_bytes()).expect("there is a secret");
    let call = Call::new("POST", WEBHOOK).header("content-type", "application/json");
    call.header("holdfast-signature", &value).body(body)
}

/// An order, its product, and the end of the log.
async fn look(caller: &Caller, order: u64, product: u64) -> (Value, Value, u64) {
    let row = caller.get(1, &format!("{ORDERS}/{order}")).await.expect(200);
    (row.data(), shop::product(caller, 1, product).await, row.position())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_signed_results_are_accepted_and_secrets_stay_secret() {
    let secrets = tempfile::NamedTempFile::new().expect("a file can be made");
    std::fs::write(secrets.path(), format!("{OLD}\n{NEW}\n")).expect("it can be written");
    let path = secrets.path().to_str().expect("a plain path");
    let options = Options::new("only_signed_results_are_accepted_and_secrets_stay_secret");
    let cluster = options.flag("--webhook-secret-file", path).start().await;
    let (caller, mut random) = (cluster.caller().clone(), cluster.random(1));
    let product = shop::create_product(&caller, &mut random, "9.99", 10).await;
    let order = waiting(&caller, &mut random, product).await;
    let body = json!({"idempotency_key": "paid", "order_id": order, "status": "success"});
    let now_s = now_ms() / 1_000;
    let text = body.to_string();
    let good = client::signature(&[NEW], now_s, text.as_bytes()).expect("there is a secret");
    let with = |body: &str, header: &str| {
        let call = Call::new("POST", WEBHOOK).header("content-type", "application/json");
        call.header("holdfast-signature", header).body(body.to_owned())
    };
    let before = look(&caller, order, product).await;
    for (what, call) in [
        ("none", Call::post(WEBHOOK, &body)),
        ("empty", with(&text, "")),
        ("of zeros", with(&text, &format!("t={now_s},v1={}", "0".repeat(64)))),
        ("of another secret", signed("whsec-of-somebody-else-12345", now_s, &body)),
        ("too old", signed(NEW, now_s - 320, &body)),
        ("of the future", signed(NEW, now_s + 320, &body)),
        (
            "of another moment",
            with(&text, &good.replace(&now_s.to_string(), &(now_s + 1).to_string())),
        ),
        ("of a body changed by one byte", with(&text.replace("success", "succesS"), &good)),
        ("of a body with one byte more", with(&format!("{text} "), &good)),
        ("twice", with(&text, &good).header("holdfast-signature", &good)),
    ] {
        for node in caller.all() {
            let answer = caller.ask(node, &call).await;
            assert_eq!(answer.status, 401, "{what}: {}", answer.text());
            answer.problem(401, "invalid_signature");
        }
    }
    assert_eq!(look(&caller, order, product).await, before, "nothing entered the log");
    // Both secrets are valid during a change; repeated results have no effect.
    assert!(!taken(caller.ask(1, &signed(OLD, now_s, &body)).await, "PAID"));
    for node in caller.all() {
        assert!(taken(caller.ask(node, &with(&text, &good)).await, "PAID"));
    }
    let client = caller.retrying(&mut random);
    let request = WebhookRequest::new("paid", order, PaymentResult::Success);
    let again = client.send_webhook(&request, &["unknown", NEW]).await.expect("it is signed");
    assert!(again.duplicate);
    let said = client.send_webhook(&request, &[]).await.expect_err("it is not signed");
    assert_eq!(said.code(), Some(ErrorCode::InvalidSignature));
    for node in caller.all() {
        let log = cluster.log_text(node);
        assert!(!log.contains(OLD) && !log.contains(NEW), "node {node} tells a secret");
    }
    cluster.agree().await;
}
