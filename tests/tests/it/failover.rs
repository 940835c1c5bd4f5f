//! Processes killed, paused and stopped under load: no acknowledged order is lost, clients go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::Rng;
use serde_json::json;
use tests::load::{Load, Record};
use tests::seed::any_node;
use tests::shop::{self, ORDERS, PRODUCTS};
use tests::{Call, Cluster, NoAnswer, Options, wait};
use tokio::time::Instant;

/// Stock of the product: more than the load can buy.
const STOCK: u64 = 1_000_000;

/// Clients of the load.
const CLIENTS: u64 = 12;

/// The longest gap on a loaded machine. The goal is two election timeouts, at most 2 s; the tests
/// print the measured gap.
const GAP_MAX: Duration = Duration::from_secs(5);

/// A cluster under load of one product.
async fn under_load(options: Options, payment_method: &str) -> (Cluster, u64, Load) {
    let cluster = options.start().await;
    let mut random = cluster.random(1);
    let product = shop::create_product(cluster.caller(), &mut random, "3.00", STOCK).await;
    let load = Load::start(cluster.caller(), cluster.seed(), product, payment_method, CLIENTS);
    load.progress(50).await;
    (cluster, product, load)
}

/// The checks after any fault: all nodes are ready and have equal states, each has every
/// acknowledged order, and the counters account for every order and unit.
async fn assert_nothing_lost(cluster: &mut Cluster, product: u64, record: &Record) {
    cluster.wait_ready().await;
    let caller = cluster.caller();
    let nodes: Vec<u64> = caller.all().collect();
    record.assert_kept(caller, &nodes).await;
    cluster.agree().await;
    let acknowledged = record.acknowledged.len() as u64;
    for node in nodes {
        // The clients retry every key until they know its outcome, so every order was acknowledged.
        assert_eq!(shop::order_total(caller, node, "").await, acknowledged, "node {node}");
        let open = shop::order_total(caller, node, "status=PENDING").await
            + shop::order_total(caller, node, "status=PROCESSING").await;
        let paid = shop::order_total(caller, node, "status=PAID").await;
        let data = shop::product(caller, node, product).await;
        shop::assert_conserved(&data, STOCK);
        assert_eq!(data["reserved"], open, "node {node}: {data}");
        assert_eq!(data["sold"], paid, "node {node}: {data}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_the_leader_loses_nothing_and_clients_go_on() {
    let options = Options::new("killing_the_leader_loses_nothing").alone();
    let (mut cluster, product, load) = under_load(options, "none").await;
    let before = cluster.leader().await;
    let term = shop::count(&cluster.view(before).await, "term");
    let killed_at = Instant::now();
    cluster.kill(before);
    load.progress(200).await;
    let after = cluster.leader().await;
    let view = cluster.view(after).await;
    assert!(after != before && shop::count(&view, "term") > term, "{view}");
    cluster.restart(before);
    cluster.wait_node_ready(before).await;
    let record = load.stop().await;
    let gap = record.longest_gap(killed_at);
    println!("leader killed: clients waited {gap:?}; asked again: {:?}", record.retries);
    assert!(gap < GAP_MAX, "clients waited {gap:?}");
    assert_nothing_lost(&mut cluster, product, &record).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_a_follower_hardly_delays_clients() {
    let options = Options::new("killing_a_follower_hardly_delays_clients").alone();
    let (mut cluster, product, load) = under_load(options, "none").await;
    let leader = cluster.leader().await;
    let follower = cluster.follower().await;
    let killed_at = Instant::now();
    cluster.kill(follower);
    load.progress(200).await;
    assert_eq!(cluster.leader().await, leader, "a lost follower causes no election");
    cluster.restart(follower);
    cluster.wait_node_ready(follower).await;
    load.progress(50).await;
    let record = load.stop().await;
    let gap = record.longest_gap(killed_at);
    println!("follower killed: clients waited {gap:?}; asked again: {:?}", record.retries);
    assert!(gap < Duration::from_secs(2), "clients waited {gap:?}");
    assert_nothing_lost(&mut cluster, product, &record).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_all_at_once_loses_nothing() {
    let options = Options::new("killing_all_at_once_loses_nothing");
    let (mut cluster, product, load) = under_load(options, "mock").await;
    cluster.kill_all();
    // The data holds the members, so the command line need not repeat them.
    cluster.forget_peers();
    cluster.restart_all();
    load.progress(50).await;
    let record = load.stop().await;
    cluster.wait_ready().await;
    shop::all_settled(cluster.caller(), 1).await;
    assert_nothing_lost(&mut cluster, product, &record).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_rounds_of_kills_lose_nothing() {
    let options = Options::new("three_rounds_of_kills_lose_nothing");
    let (mut cluster, product, load) = under_load(options, "mock").await;
    let mut random = cluster.random(2);
    for round in 1..=3 {
        // One or two nodes at a time: with two down, no order is acknowledged until one is back.
        let first = any_node(&mut random, 3);
        cluster.kill(first);
        if random.random_bool(0.5) {
            cluster.kill(first % 3 + 1);
        } else {
            load.progress(30).await;
        }
        cluster.restart_all();
        cluster.wait_ready().await;
        load.progress(30).await;
        println!("round {round}: {} orders", load.acknowledged());
    }
    let record = load.stop().await;
    shop::all_settled(cluster.caller(), 1).await;
    assert_nothing_lost(&mut cluster, product, &record).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_killed_while_idle_comes_back_the_same() {
    let mut cluster = Cluster::start("a_cluster_killed_while_idle").await;
    let mut random = cluster.random(1);
    let product = shop::create_product(cluster.caller(), &mut random, "1.00", 100).await;
    let kept = shop::place(&shop::order(product, 2, "none")).key("kept");
    let kept = cluster.caller().ask_any(&mut random, &kept).await.expect(201).data();
    let gone = shop::place(&shop::order(product, 3, "none"));
    let gone = cluster.caller().ask_any(&mut random, &gone).await.expect(201).data();
    let gone = shop::id(&gone);
    let cancelled = cluster.caller().ask_any(&mut random, &shop::cancel(gone)).await.expect(200);
    for _ in 0..2 {
        cluster.kill_all();
        cluster.restart_all();
        cluster.wait_ready().await;
        let caller = cluster.caller();
        for node in caller.all() {
            assert_eq!(shop::read_order(caller, node, shop::id(&kept)).await, kept);
            assert_eq!(shop::read_order(caller, node, gone).await, cancelled.data());
            let data = shop::product(caller, node, product).await;
            assert_eq!(data["reserved"], 2, "{data}");
            shop::assert_conserved(&data, 100);
        }
        let again = shop::place(&shop::order(product, 2, "none")).key("kept");
        let again = caller.ask_any(&mut random, &again).await.expect(200).data();
        assert_eq!(again["id"], kept["id"]);
        cluster.agree().await;
    }
}

/// Sends an idempotent write to a node until it succeeds.
async fn written(cluster: &Cluster, node: u64, call: &Call) {
    wait::until("a write was done", wait::READY, async || {
        match cluster.caller().send(node, call).await {
            Ok(answer) if answer.status == 200 => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_woken_leader_serves_no_old_data() {
    let mut cluster = Cluster::start("a_woken_leader_serves_no_old_data").await;
    let mut random = cluster.random(1);
    let product = shop::create_product(cluster.caller(), &mut random, "1.00", 10).await;
    let path = format!("{PRODUCTS}/{product}");
    let sleeper = cluster.leader().await;
    let others: Vec<u64> = cluster.active().into_iter().filter(|id| *id != sleeper).collect();
    cluster.pause(sleeper);
    cluster.leader().await;
    let patch = Call::patch(&path, &json!({"stock": 77}));
    written(&cluster, others[0], &patch).await;
    let client = cluster.caller().clone();
    // These requests wait in the sockets of the paused node. It reads them first when it resumes
    // and still believes that it leads.
    let mut asked = tokio::task::JoinSet::new();
    for number in 0..10 {
        let (client, path) = (client.clone(), path.clone());
        asked.spawn(async move {
            if number % 2 == 0 {
                (true, client.send(sleeper, &Call::get(path)).await)
            } else {
                let sell = shop::place(&shop::order(product, 100, "none"));
                (false, client.send(sleeper, &sell).await)
            }
        });
    }
    cluster.resume(sleeper);
    while let Some(result) = asked.join_next().await {
        match result.expect("no client panics") {
            (true, Ok(answer)) if answer.status == 200 => {
                assert_eq!(answer.data()["stock"], 77, "old data");
            }
            (true, Ok(answer)) => {
                answer.problem(503, "stale_read");
            }
            (false, Ok(answer)) => {
                let body = answer.problem_of_any_kind();
                let known = ["insufficient_stock", "no_leader", "commit_timeout", "overloaded"];
                assert!(known.iter().any(|code| body["error"] == *code), "{body}");
                if body["error"] == "insufficient_stock" {
                    assert!(
                        body["detail"].to_string().contains("77"),
                        "decided on old data: {body}"
                    );
                }
            }
            (_, Err(error)) => panic!("{error}"),
        }
    }
    cluster.wait_ready().await;
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pausing_nodes_loses_nothing() {
    let options = Options::new("pausing_nodes_loses_nothing");
    let (mut cluster, product, load) = under_load(options, "mock").await;
    for round in 1..=3 {
        let leader = cluster.leader().await;
        cluster.pause(leader);
        // Clients that ask the paused node wait with it; the others find a new leader.
        cluster.leader().await;
        let patch = Call::patch(format!("{PRODUCTS}/{product}"), &json!({"name": "Widget"}));
        written(&cluster, cluster.active()[0], &patch).await;
        let second = cluster.follower().await;
        cluster.pause(second);
        // No node has a majority now. Then all resume, with messages of old terms on their way.
        cluster.resume(leader);
        cluster.resume(second);
        cluster.wait_ready().await;
        load.progress(30).await;
        println!("round {round}: slept {leader} and {second}, {} orders", load.acknowledged());
    }
    let record = load.stop().await;
    cluster.wait_ready().await;
    shop::all_settled(cluster.caller(), 1).await;
    assert_nothing_lost(&mut cluster, product, &record).await;
}

/// How the unkeyed orders of one client ended.
#[derive(Debug, Default)]
struct Unkeyed {
    placed: Vec<u64>,
    refused: u64,
    in_doubt: u64,
}

/// Places orders without keys, each once, until it is told to stop.
async fn unkeyed_client(
    caller: tests::Caller,
    mut random: rand::rngs::StdRng,
    product: u64,
    stop: Arc<AtomicBool>,
) -> Unkeyed {
    let mut seen = Unkeyed::default();
    let call = shop::place(&shop::order(product, 1, "none"));
    while !stop.load(Ordering::Relaxed) {
        let node = any_node(&mut random, caller.nodes());
        match caller.send(node, &call).await {
            Ok(answer) if answer.status == 201 => seen.placed.push(shop::id(&answer.data())),
            Ok(answer) if answer.status == 504 => {
                assert_eq!(answer.problem(504, "commit_timeout")["outcome"], "unknown");
                seen.in_doubt += 1;
            }
            Ok(answer) => {
                let problem = answer.problem_of_any_kind();
                assert_eq!(answer.status, 503, "{problem}");
                assert_eq!(problem["outcome"], "not_applied", "{problem}");
                seen.refused += 1;
            }
            Err(NoAnswer::NotSent(_)) => tokio::task::yield_now().await,
            Err(NoAnswer::Lost(_)) => seen.in_doubt += 1,
            Err(NoAnswer::Silence) => panic!("node {node} never answered"),
        }
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_without_a_key_is_never_doubled() {
    let mut cluster = Cluster::start("an_order_without_a_key_is_never_doubled").await;
    let mut random = cluster.random(1);
    let product = shop::create_product(cluster.caller(), &mut random, "1.00", STOCK).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut tasks = tokio::task::JoinSet::new();
    for client in 0..16 {
        let random = cluster.random(100 + client);
        let (caller, stop) = (cluster.caller().clone(), Arc::clone(&stop));
        tasks.spawn(unkeyed_client(caller, random, product, stop));
    }
    let client = cluster.caller().clone();
    for _ in 0..3 {
        // Nodes that forwarded a command to the dead leader do not know its outcome. They must find
        // out or say so; a blind retry would make a second order.
        let before = shop::order_total(&client, cluster.follower().await, "").await;
        let dead = cluster.kill_leader().await;
        let alive = cluster.active();
        cluster.leader().await;
        wait::until("orders were placed again", wait::READY, async || {
            let list = Call::get(format!("{ORDERS}?per_page=1"));
            let answer = client.send(alive[0], &list).await.map_err(|error| error.to_string())?;
            let total = answer.json()["meta"]["total"].as_u64().unwrap_or_default();
            if total > before + 20 { Ok(()) } else { Err(format!("{total}, {before} before")) }
        })
        .await;
        cluster.restart(dead);
        cluster.wait_ready().await;
    }
    stop.store(true, Ordering::Relaxed);
    let mut all = Unkeyed::default();
    while let Some(seen) = tasks.join_next().await {
        let seen = seen.expect("no client saw the contract broken");
        all.placed.extend(seen.placed);
        all.refused += seen.refused;
        all.in_doubt += seen.in_doubt;
    }
    let placed = all.placed.len() as u64;
    println!("{placed} placed, {} refused, {} in doubt", all.refused, all.in_doubt);
    all.placed.sort_unstable();
    all.placed.dedup();
    assert_eq!(all.placed.len() as u64, placed, "every answer has an order of its own");
    cluster.agree().await;
    for node in client.all() {
        let total = shop::order_total(&client, node, "").await;
        // Refused orders do not exist, placed ones do, those in doubt do or do not, once.
        let expected = placed..=placed + all.in_doubt;
        assert!(expected.contains(&total), "{total} orders, expected {expected:?}");
        let data = shop::product(&client, node, product).await;
        assert_eq!(data["reserved"], total, "{data}");
        for order in all.placed.iter().step_by(7) {
            shop::read_order(&client, node, *order).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_majority_nothing_is_acknowledged_and_reads_say_so() {
    let mut cluster = Cluster::start("without_a_majority_nothing_is_acknowledged").await;
    let mut random = cluster.random(1);
    let product = shop::create_product(cluster.caller(), &mut random, "1.00", 10).await;
    let survivor = any_node(&mut random, 3);
    for id in (1..=3).filter(|id| *id != survivor) {
        cluster.kill(id);
    }
    let caller = cluster.caller().clone();
    wait::until("the survivor noticed", wait::READY, async || {
        let answer = caller.get(survivor, "/health").await;
        if answer.status == 503 { Ok(()) } else { Err(answer.text()) }
    })
    .await;
    let health = caller.get(survivor, "/health").await.expect(503).json();
    assert_eq!(health["status"], "degraded", "{health}");
    assert_eq!(health["services"]["quorum"], "down", "{health}");
    assert_eq!(health["services"]["storage"], "ok", "{health}");
    caller.get(survivor, "/livez").await.expect(200);
    assert_eq!(cluster.view(survivor).await["node_id"], survivor);

    let stale = Call::get(format!("{PRODUCTS}/{product}")).stale();
    assert_eq!(caller.ask(survivor, &stale).await.expect(200).data()["stock"], 10);
    let start = Instant::now();
    let place = shop::place(&shop::order(product, 1, "none")).key("in-doubt");
    let refused = caller.ask(survivor, &place).await;
    assert!(matches!(refused.status, 503 | 504), "{} {}", refused.status, refused.text());
    let problem = refused.problem_of_any_kind();
    assert_eq!(problem["retryable"], true, "{problem}");
    if refused.status == 503 {
        assert_eq!(problem["outcome"], "not_applied", "{problem}");
        assert!(refused.header("retry-after").is_some(), "503 says when to ask again");
    }
    for path in [format!("{PRODUCTS}/{product}"), ORDERS.to_owned(), PRODUCTS.to_owned()] {
        caller.get(survivor, &path).await.problem(503, "stale_read");
    }
    println!("without a majority: four requests were answered after {:?}", start.elapsed());

    cluster.restart_all();
    cluster.wait_ready().await;
    let answer = cluster.caller().ask_any(&mut random, &place).await;
    assert!(matches!(answer.status, 200 | 201), "{}", answer.text());
    assert_eq!(shop::order_total(cluster.caller(), survivor, "").await, 1);
    assert_eq!(shop::product(cluster.caller(), survivor, product).await["reserved"], 1);
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_fails_no_order() {
    let options = Options::new("a_rolling_restart_fails_no_order").alone();
    let (mut cluster, product, load) = under_load(options, "none").await;
    let start = Instant::now();
    for _ in 0..3 {
        // The leader each time: it has most to hand over.
        let leader = cluster.leader().await;
        let status = cluster.stop(leader).await;
        assert!(status.success(), "SIGTERM is a clean end: {status}");
        load.progress(20).await;
        cluster.restart(leader);
        cluster.wait_node_ready(leader).await;
    }
    let record = load.stop().await;
    let gap = record.longest_gap(start);
    println!("three leaders restarted: longest wait {gap:?}; asked again: {:?}", record.retries);
    assert!(gap < Duration::from_secs(3), "a leader that stops hands over first: {gap:?}");
    assert_nothing_lost(&mut cluster, product, &record).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_stopped_by_sigterm_comes_back_the_same() {
    let mut cluster = Cluster::start("a_cluster_stopped_by_sigterm").await;
    let mut random = cluster.random(1);
    let product = shop::create_product(cluster.caller(), &mut random, "1.00", 100).await;
    let place = shop::place(&shop::order(product, 2, "none"));
    let order = cluster.caller().ask_any(&mut random, &place).await.expect(201).data();
    for id in 1..=3 {
        let status = cluster.stop(id).await;
        assert!(status.success(), "node {id}: {status}");
    }
    cluster.restart_all();
    cluster.wait_ready().await;
    for node in cluster.caller().all() {
        assert_eq!(shop::read_order(cluster.caller(), node, shop::id(&order)).await, order);
    }
    cluster.agree().await;
}
