//! The payment worker: every order ends once, whichever node dies and however slow the gateway is.

use std::time::Duration;

use serde_json::Value;
use tests::seed::any_node;
use tests::shop::{self, ORDERS};
use tests::{Caller, Cluster, Options, wait};
use tokio::task::JoinSet;

/// Places `count` orders of one unit through random nodes, at most 25 at a time.
async fn place_many(cluster: &Cluster, product: u64, count: u64) -> Vec<u64> {
    let caller = cluster.caller();
    let mut random = cluster.random(50);
    let call = shop::place(&shop::order(product, 1, "mock"));
    let mut orders = Vec::new();
    let mut tasks: JoinSet<u64> = JoinSet::new();
    for _ in 0..count {
        if tasks.len() == 25 {
            orders.extend(tasks.join_next().await.map(|order| order.expect("no client panics")));
        }
        let (caller, call) = (caller.clone(), call.clone());
        let node = any_node(&mut random, caller.nodes());
        tasks.spawn(async move { shop::id(&caller.ask(node, &call).await.expect(201).data()) });
    }
    orders.extend(tasks.join_all().await);
    orders
}

/// The statuses that an order had, in order.
async fn steps(caller: &Caller, node: u64, order: u64) -> Vec<String> {
    let events = caller.get(node, &format!("{ORDERS}/{order}/events")).await.expect(200).data();
    let events = events.as_array().expect("a list of steps");
    events.iter().map(|step| step["to"].as_str().expect("a status").to_owned()).collect()
}

/// Checks that an order went to its end once, along the only way there is.
async fn assert_ended_once(caller: &Caller, node: u64, order: u64) -> bool {
    let steps = steps(caller, node, order).await;
    let paid = steps == ["PENDING", "PROCESSING", "PAID"];
    assert!(paid || steps == ["PENDING", "PROCESSING", "FAILED"], "order {order}: {steps:?}");
    paid
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_leader_settles_payments_that_the_dead_one_began() {
    let mut cluster = Options::new("a_new_leader_settles_payments_that_the_dead_one_began")
        .flag("--payment-delay-ms", "400-800")
        .start()
        .await;
    let mut random = cluster.random(1);
    let product = shop::create_product(cluster.caller(), &mut random, "1.00", 1_000).await;
    let orders = place_many(&cluster, product, 100).await;
    let client = cluster.caller().clone();
    wait::until("payments were under way", wait::READY, async || {
        let under_way = shop::order_total(&client, 1, "status=PROCESSING").await;
        if under_way > 0 { Ok(()) } else { Err("none is PROCESSING".to_owned()) }
    })
    .await;
    let dead = cluster.kill_leader().await;
    let alive = cluster.active();
    let left = wait::until("a survivor answers", wait::READY, async || {
        let call = tests::Call::get(format!("{ORDERS}?status=PROCESSING"));
        match client.send(alive[0], &call).await {
            Ok(answer) if answer.status == 200 => Ok(shop::count(&answer.json()["meta"], "total")),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    assert!(left > 0, "the kill was to leave payments unfinished");
    println!("{left} of {} payments were under way when the leader died", orders.len());
    shop::all_settled(&client, alive[0]).await;
    cluster.restart(dead);
    cluster.wait_ready().await;
    let mut paid = 0;
    for order in &orders {
        paid += u64::from(assert_ended_once(&client, any_node(&mut random, 3), *order).await);
    }
    for node in client.all() {
        let data = shop::product(&client, node, product).await;
        assert_eq!(data["sold"], paid, "node {node}: {data}");
        assert_eq!(data["reserved"], 0, "node {node}: {data}");
        shop::assert_conserved(&data, 1_000);
        assert_eq!(shop::order_total(&client, node, "status=PAID").await, paid);
    }
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_payments_do_not_add_threads() {
    let cluster = Options::new("slow_payments_do_not_add_threads")
        .flag("--payment-delay-ms", "2000-2000")
        .start()
        .await;
    let mut random = cluster.random(1);
    let product = shop::create_product(cluster.caller(), &mut random, "1.00", 1_000).await;
    // This starts the threads that are made on first use.
    let early = place_many(&cluster, product, 50).await;
    let before: Vec<u64> = (1..=3).map(|node| cluster.threads(node)).collect();
    let orders = place_many(&cluster, product, 500).await;
    let caller = cluster.caller();
    let open = shop::order_total(caller, 1, "status=PROCESSING").await
        + shop::order_total(caller, 1, "status=PENDING").await;
    let after: Vec<u64> = (1..=3).map(|node| cluster.threads(node)).collect();
    println!("threads with 50 orders {before:?}, with {open} payments under way {after:?}");
    assert!(open > 250, "the gateway is slow, so most payments are open: {open}");
    for (before, after) in before.iter().zip(&after) {
        // A few more may serve connections; a thread per payment would be hundreds.
        assert!(*after <= before + 8, "threads grew from {before} to {after}");
    }
    shop::all_settled(caller, 1).await;
    for order in early.iter().chain(&orders).step_by(25) {
        assert_ended_once(caller, any_node(&mut random, 3), *order).await;
    }
    shop::assert_conserved(&shop::product(caller, 1, product).await, 1_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_declined_payment_fails_the_order_and_gives_the_stock_back() {
    let cluster = Options::new("a_declined_payment_fails_the_order")
        .flag("--payment-success-rate", "0")
        .start()
        .await;
    let caller = cluster.caller();
    let mut random = cluster.random(1);
    let product = shop::create_product(caller, &mut random, "1.00", 30).await;
    let orders = place_many(&cluster, product, 20).await;
    for order in orders {
        let end = shop::settled(caller, any_node(&mut random, 3), order).await;
        shop::assert_order(&end);
        assert_eq!(end["status"], "FAILED", "{end}");
        assert!(!assert_ended_once(caller, any_node(&mut random, 3), order).await);
    }
    for node in caller.all() {
        let data = shop::product(caller, node, product).await;
        assert_eq!(data["stock"], 30, "{data}");
        assert_eq!(data["sold"], 0, "{data}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_without_an_answer_stays_open_until_one_arrives() {
    let mut cluster = Options::new("an_attempt_without_an_answer_stays_open_until_one_arrives")
        .flag("--payment-error-rate", "1")
        .flag("--payment-success-rate", "1")
        .flag("--payment-delay-ms", "1-5")
        .flag("--payment-backoff-ms", "50,100")
        .start()
        .await;
    let mut random = cluster.random(1);
    let product = shop::create_product(cluster.caller(), &mut random, "1.00", 30).await;
    let orders = place_many(&cluster, product, 10).await;
    let client = cluster.caller().clone();
    for &order in &orders {
        let node = any_node(&mut random, 3);
        let data = wait::until("the payment is in doubt", wait::READY, async || {
            let data = shop::read_order(&client, node, order).await;
            if data["payment_status"] == "unsettled" { Ok(data) } else { Err(data.to_string()) }
        })
        .await;
        assert_eq!(data["status"], "PROCESSING", "{data}");
    }
    let data = shop::product(&client, 1, product).await;
    assert_eq!(data["reserved"], 10, "{data}");
    // The gateway answers again after the nodes restart.
    cluster.set_flag("--payment-error-rate", "0");
    cluster.kill_all();
    cluster.restart_all();
    cluster.wait_ready().await;
    shop::all_settled(&client, 1).await;
    for &order in &orders {
        assert!(assert_ended_once(&client, any_node(&mut random, 3), order).await, "no refusal");
    }
    let data = shop::product(&client, 2, product).await;
    assert_eq!(data["sold"], 10, "{data}");
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_declined_attempt_is_retried_while_attempts_are_left() {
    let cluster = Options::new("a_declined_attempt_is_retried_while_attempts_are_left")
        .flag("--payment-success-rate", "0.5")
        .flag("--payment-delay-ms", "1-5")
        .flag("--payment-backoff-ms", "20")
        .flag("--payment-attempts", "20")
        .start()
        .await;
    let caller = cluster.caller();
    let mut random = cluster.random(1);
    let product = shop::create_product(caller, &mut random, "1.00", 100).await;
    let orders = place_many(&cluster, product, 40).await;
    shop::all_settled(caller, 1).await;
    // The chance that one of the forty fails is below one in twenty thousand.
    for order in &orders {
        let data: Value = shop::read_order(caller, any_node(&mut random, 3), *order).await;
        assert_eq!(data["status"], "PAID", "{data}");
    }
    assert_eq!(shop::product(caller, 1, product).await["sold"], 40);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_placed_right_before_a_crash_is_still_paid() {
    let mut cluster = Options::new("an_order_placed_right_before_a_crash")
        .flag("--payment-delay-ms", "100-100")
        .start()
        .await;
    let mut random = cluster.random(1);
    let product = shop::create_product(cluster.caller(), &mut random, "1.00", 100).await;
    let orders = place_many(&cluster, product, 5).await;
    cluster.kill_all();
    cluster.restart_all();
    cluster.wait_ready().await;
    for order in orders {
        let start = std::time::Instant::now();
        let end = shop::settled(cluster.caller(), any_node(&mut random, 3), order).await;
        assert!(matches!(end["status"].as_str(), Some("PAID" | "FAILED")), "{end}");
        assert!(start.elapsed() < Duration::from_secs(30));
    }
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_waits_for_a_webhook_is_cancelled_at_its_deadline() {
    let mut cluster = Options::new("an_order_that_waits_for_a_webhook")
        .flag("--payment-deadline-s", "2")
        .start()
        .await;
    let mut random = cluster.random(1);
    let product = shop::create_product(cluster.caller(), &mut random, "1.00", 30).await;
    let place = shop::place(&shop::order(product, 2, "webhook"));
    let mut orders = Vec::new();
    for _ in 0..5 {
        let placed = cluster.caller().ask_any(&mut random, &place).await.expect(201).data();
        assert_eq!(placed["status"], "PENDING", "{placed}");
        assert_eq!(placed["payment_method"], "webhook", "{placed}");
        orders.push(shop::id(&placed));
    }
    let quiet = shop::place(&shop::order(product, 1, "none"));
    let quiet = cluster.caller().ask_any(&mut random, &quiet).await.expect(201).data();
    assert_eq!(shop::product(cluster.caller(), 1, product).await["reserved"], 11);
    // Deadlines are part of the state, so the next leader keeps them.
    let dead = cluster.kill_leader().await;
    cluster.leader().await;
    cluster.restart(dead);
    cluster.wait_ready().await;
    for order in orders {
        let end = shop::settled(cluster.caller(), any_node(&mut random, 3), order).await;
        shop::assert_order(&end);
        assert_eq!(end["status"], "CANCELLED", "{end}");
        assert_eq!(steps(cluster.caller(), 1, order).await, ["PENDING", "CANCELLED"]);
    }
    for node in cluster.caller().all() {
        let data = shop::product(cluster.caller(), node, product).await;
        assert_eq!(data["reserved"], 1, "the one without a deadline: {data}");
        shop::assert_conserved(&data, 30);
    }
    let quiet = shop::read_order(cluster.caller(), 2, shop::id(&quiet)).await;
    assert_eq!(quiet["status"], "PENDING", "{quiet}");
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open_orders_are_bounded_and_ended_ones_make_room() {
    let cluster = Options::new("open_orders_are_bounded_and_ended_ones_make_room")
        .flag("--open-unpaid-orders-max", "10")
        .start()
        .await;
    let caller = cluster.caller();
    let mut random = cluster.random(1);
    let product = shop::create_product(caller, &mut random, "1.00", 100).await;
    let place = shop::place(&shop::order(product, 1, "none"));
    let mut tasks = JoinSet::new();
    for _ in 0..30 {
        let (caller, place) = (caller.clone(), place.clone());
        let node = any_node(&mut random, 3);
        tasks.spawn(async move { caller.ask(node, &place).await });
    }
    let answers = tasks.join_all().await;
    let placed: Vec<_> = answers.iter().filter(|answer| answer.status == 201).collect();
    assert_eq!(placed.len(), 10);
    for refused in answers.iter().filter(|answer| answer.status != 201) {
        let problem = refused.problem(503, "overloaded");
        assert_eq!(problem["outcome"], "not_applied", "{problem}");
        assert!(refused.header("retry-after").is_some(), "{problem}");
    }
    assert_eq!(shop::product(caller, 1, product).await["reserved"], 10);
    // A final order is no longer open.
    let first = shop::id(&placed[0].data());
    caller.ask_any(&mut random, &shop::cancel(first)).await.expect(200);
    caller.ask_any(&mut random, &place).await.expect(201);
    caller.ask_any(&mut random, &place).await.problem(503, "overloaded");
}
