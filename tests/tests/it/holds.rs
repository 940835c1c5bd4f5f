//! Holds over three processes: exact deadlines, one order from each, and many deadlines at once.

use std::sync::Arc;
use std::time::Duration;

use client::wire::{ErrorCode, ExtendRequest, HoldRequest, HoldStatus, OrderRequest, Outcome};
use client::{Client, Error};
use rand::Rng;
use serde_json::{Value, json};
use tests::moment::{moment_ms, now_ms};
use tests::seed::any_node;
use tests::shop::{self, HOLDS, ORDERS};
use tests::{Call, Caller, Cluster, Options, wait};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// How late an idle cluster may sweep a hold, with room for a busy machine.
const LATE_MS: u64 = 1_500;

/// How far clocks of processes on one machine and the latency of an answer may mislead a test.
const CLOCKS_MS: u64 = 100;

fn hold(product: u64, quantity: u64, ttl_s: u64) -> Call {
    let body = json!({"product_id": product, "quantity": quantity, "ttl_seconds": ttl_s});
    Call::post(HOLDS, &body)
}

fn from_hold(hold: u64) -> Call {
    Call::post(ORDERS, &json!({"hold_id": hold}))
}

async fn read(caller: &Caller, node: u64, id: u64) -> Value {
    caller.get(node, &format!("{HOLDS}/{id}")).await.expect(200).data()
}

fn at(data: &Value, field: &str) -> u64 {
    moment_ms(data[field].as_str().unwrap_or_else(|| panic!("no {field} in {data}")))
}

/// Waits until a node has no held unit of a product.
async fn all_ended(caller: &Caller, node: u64, product: u64) -> Value {
    wait::until("all holds had ended", wait::READY, async || {
        let data = shop::product(caller, node, product).await;
        if data["held"] == 0 { Ok(data) } else { Err(data.to_string()) }
    })
    .await
}

/// Checks the end of a hold against its time: an order before the deadline, or expiry no sooner
/// than the deadline. Returns the order.
#[track_caller]
fn assert_exact(hold: &Value) -> Option<u64> {
    let (changed, deadline) = (at(hold, "updated_at"), at(hold, "expires_at"));
    match hold["status"].as_str() {
        Some("consumed") => assert!(changed < deadline, "taken over too late: {hold}"),
        Some("expired") => assert!(changed >= deadline, "expired too soon: {hold}"),
        Some("released") => assert!(changed < deadline, "released too late: {hold}"),
        _ => panic!("it has not ended: {hold}"),
    }
    hold["order_id"].as_u64()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_checkout_of_a_flash_sale_works_with_the_fields_of_older_clients() {
    let cluster = Cluster::start("the_checkout_of_a_flash_sale_works_with").await;
    let caller = cluster.caller();
    let product = shop::create_product(caller, &mut cluster.random(1), "20.00", 10).await;
    let body = json!({"product_id": product, "qty": 2});
    let held = caller.ask(2, &Call::post("/api/holds", &body)).await.expect(201).data();
    assert!(held["expires_at"].is_string(), "{held}");
    let body = json!({"hold_id": held["hold_id"]});
    let order = caller.ask(3, &Call::post("/api/orders", &body)).await.expect(201).data();
    assert_eq!(order["total_price"], "40.00", "{order}");
    let body = json!({
        "idempotency_key": "unique-payment-123",
        "order_id": order["order_id"],
        "status": "success",
    });
    let paid = caller.ask(1, &Call::post("/api/payments/webhook", &body)).await.expect(200);
    assert_eq!(paid.data()["order_status"], "PAID");
    for node in caller.all() {
        let row = caller.get(node, &format!("/api/products/{product}")).await.expect(200).data();
        assert_eq!((&row["stock"], &row["sold"]), (&json!(8), &json!(2)), "{row}");
    }
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_is_usable_until_its_deadline_and_never_after() {
    let cluster = Cluster::start("a_hold_is_usable_until_its_deadline").await;
    let (caller, mut random) = (cluster.caller().clone(), cluster.random(1));
    let product = shop::create_product(&caller, &mut random, "1.00", 100).await;
    // Each hold is tried at another time around its deadline, through a random node.
    let mut tasks = JoinSet::new();
    for number in 0..60_u64 {
        let made = caller.ask_any(&mut random, &hold(product, 1, 2)).await.expect(201).data();
        let (caller, node) = (caller.clone(), any_node(&mut random, 3));
        let offset_ms = random.random_range(0..300) + if number % 6 == 0 { 0 } else { 50 };
        tasks.spawn(async move {
            let moment = at(&made, "expires_at") + 150 - offset_ms;
            sleep(Duration::from_millis(moment.saturating_sub(now_ms()))).await;
            let answer = caller.ask(node, &from_hold(shop::count(&made, "id"))).await;
            (made, answer)
        });
    }
    let (mut consumed, mut expired) = (0, 0);
    while let Some(result) = tasks.join_next().await {
        let (made, answer) = result.expect("no client panics");
        let id = shop::count(&made, "id");
        let now = read(&caller, any_node(&mut random, 3), id).await;
        match answer.status {
            201 => {
                let order = shop::order_of(&answer);
                assert_eq!(now["order_id"], order["id"], "{now}");
                assert!(at(&order, "created_at") < at(&made, "expires_at"), "{order} {made}");
                consumed += 1;
            }
            _ => {
                answer.problem(409, "hold_expired");
                assert_eq!(now["status"], "expired", "{now}");
                expired += 1;
            }
        }
    }
    println!("{consumed} were taken over in time, {expired} were too late");
    assert!(consumed > 0 && expired > 0, "both sides of the deadline were tried");
    // The same on every node, to the last field.
    let mut rows = Vec::new();
    for node in caller.all() {
        let data = all_ended(&caller, node, product).await;
        assert_eq!(shop::count(&data, "reserved"), consumed, "{data}");
        assert_eq!(shop::count(&data, "stock"), 100 - consumed, "{data}");
        let mut holds = Vec::new();
        for id in 1..=60 {
            let hold = read(&caller, node, id).await;
            assert_exact(&hold);
            holds.push(hold);
        }
        rows.push(holds);
    }
    assert!(rows.iter().all(|holds| *holds == rows[0]));
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_cluster_ends_holds_on_time() {
    let cluster = Options::new("an_idle_cluster_ends_holds_on_time").alone().start().await;
    let (caller, mut random) = (cluster.caller(), cluster.random(1));
    let product = shop::create_product(caller, &mut random, "1.00", 5).await;
    let made = caller.ask_any(&mut random, &hold(product, 5, 2)).await.expect(201).data();
    let (id, deadline) = (shop::count(&made, "id"), at(&made, "expires_at"));
    assert_eq!(deadline - at(&made, "created_at"), 2_000);
    // No client writes from here on; the test only reads.
    let mut nodes = JoinSet::new();
    for node in caller.all() {
        let caller = caller.clone();
        nodes.spawn(async move {
            loop {
                let asked = now_ms();
                let seen = read(&caller, node, id).await;
                if seen["status"] == "expired" {
                    assert!(now_ms() + CLOCKS_MS >= deadline, "node {node}, too soon: {seen}");
                    let data = shop::product(&caller, node, product).await;
                    assert_eq!((&data["stock"], &data["held"]), (&json!(5), &json!(0)), "{data}");
                    return seen;
                }
                assert_eq!(seen["status"], "active", "{seen}");
                assert!(asked < deadline + LATE_MS, "node {node}, too late: {seen}");
                sleep(Duration::from_millis(20)).await;
            }
        });
    }
    let seen = nodes.join_all().await;
    println!("swept {} ms after the deadline", at(&seen[0], "updated_at") - deadline);
    assert!(seen.iter().all(|other| *other == seen[0]), "{seen:?}");
    assert!(at(&seen[0], "updated_at") < deadline + LATE_MS, "{seen:?}");
    // Units came back in the entry that ended the hold.
    let ledger = caller.get(1, &format!("/api/v1/products/{product}/ledger")).await.expect(200);
    let rows = ledger.data();
    let last = rows.as_array().and_then(|rows| rows.last()).expect("a ledger has rows");
    assert_eq!(last["index"], seen[0]["version"], "{last}");
}

/// Runs `holdfast` as a client of node 2 and returns the JSON that it printed.
async fn command(caller: &Caller, words: &str) -> Value {
    let mut command = tests::cluster::holdfast();
    let url = format!("http://{}", caller.address(2));
    command.args(words.split(' ')).args(["--json", "--url", &url]);
    let output = tokio::task::spawn_blocking(move || command.output()).await;
    let output = output.expect("it can be waited for").expect("the binary can be started");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words}: {} {said}", output.status);
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn holds_are_handled_on_the_command_line() {
    let cluster = Cluster::start("holds_are_handled_on_the_command_line").await;
    let caller = cluster.caller();
    let product = shop::create_product(caller, &mut cluster.random(1), "9.99", 10).await;
    let made = command(caller, &format!("holds create --item {product}:4 --ttl-s 60")).await;
    assert_eq!((&made["status"], &made["quantity"]), (&json!("active"), &json!(4)));
    let longer = command(caller, "holds extend 1 --ttl-s 600").await;
    assert!(at(&longer, "expires_at") > at(&made, "expires_at") + 500_000, "{longer}");
    assert_eq!(command(caller, "holds show 1").await, longer);
    let order = command(caller, "orders place --hold 1").await;
    assert_eq!((&order["hold_id"], &order["quantity"]), (&json!(1), &json!(4)), "{order}");
    command(caller, &format!("holds create --item {product}")).await;
    let released = command(caller, "holds release 2").await;
    assert_eq!(released, json!({"hold_id": 2, "status": "released"}));
    let data = shop::product(caller, 3, product).await;
    assert_eq!((&data["stock"], &data["held"]), (&json!(6), &json!(0)), "{data}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_clients_turn_a_hold_into_one_order() {
    let cluster = Cluster::start("fifty_clients_turn_a_hold_into_one_order").await;
    let (caller, mut random) = (cluster.caller().clone(), cluster.random(1));
    let product = shop::create_product(&caller, &mut random, "9.99", 10).await;
    for round in 1..=3 {
        let made = caller.ask_any(&mut random, &hold(product, 2, 60)).await.expect(201).data();
        let id = shop::count(&made, "id");
        let mut tasks = JoinSet::new();
        for _ in 0..50 {
            let (caller, node) = (caller.clone(), any_node(&mut random, 3));
            tasks.spawn(async move { caller.ask(node, &from_hold(id)).await });
        }
        let answers = tasks.join_all().await;
        let (won, lost): (Vec<_>, Vec<_>) =
            answers.into_iter().partition(|answer| answer.status == 201);
        assert_eq!((won.len(), lost.len()), (1, 49));
        let order = shop::order_of(&won[0]);
        for answer in lost {
            let problem = answer.problem(409, "hold_consumed");
            assert_eq!(problem["order_id"], order["id"], "{problem}");
        }
        for node in caller.all() {
            let data = shop::product(&caller, node, product).await;
            assert_eq!((&data["held"], &data["reserved"]), (&json!(0), &json!(2 * round)));
            shop::assert_conserved(&data, 10);
        }
    }
    cluster.agree().await;
}

/// What one client did with its hold.
enum Tried {
    Order(Result<u64, Error>),
    Extend(Result<String, Error>),
    Release(Result<(), Error>),
}

/// Orders from, extends or releases a hold.
async fn try_hold(client: Arc<Client>, id: u64, number: u64) -> Tried {
    match number % 3 {
        0 => {
            let order = client.create_order(&OrderRequest::from_hold(id)).await;
            Tried::Order(order.map(|order| order.id))
        }
        1 => {
            let extended = client.extend_hold(id, &ExtendRequest { ttl_seconds: 4 }).await;
            Tried::Extend(extended.map(|hold| hold.data.expires_at))
        }
        _ => Tried::Release(client.release_hold(id).await.map(drop)),
    }
}

/// Whether an attempt was refused. An earlier attempt with an unknown outcome may contradict that.
#[track_caller]
fn refused(error: &Error) -> bool {
    let known = [ErrorCode::HoldExpired, ErrorCode::HoldReleased, ErrorCode::HoldConsumed];
    assert!(error.code().is_some_and(|code| known.contains(&code)), "{:?}", error.report());
    error.outcome() == Outcome::Rejected
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deadlines_race_orders_extensions_and_releases_though_the_leader_dies() {
    let mut cluster = Cluster::start("deadlines_race_orders_extensions_and").await;
    let (caller, mut random) = (cluster.caller().clone(), cluster.random(1));
    let product = shop::create_product(&caller, &mut random, "1.00", 1_000).await;
    let makers: Vec<_> =
        (0..9).map(|i| Arc::new(caller.retrying(&mut cluster.random(i)))).collect();
    let mut tasks = JoinSet::new();
    for number in 0..90_u64 {
        let request = HoldRequest { ttl_seconds: Some(4), ..HoldRequest::of([(product, 1)]) };
        let client = Arc::clone(&makers[usize::try_from(number).expect("few") % makers.len()]);
        let offset_ms = random.random_range(0..1_500);
        tasks.spawn(async move {
            let made = client.create_hold(&request).await.expect("units are there").data;
            let moment = moment_ms(&made.expires_at) + 300 - offset_ms;
            sleep(Duration::from_millis(moment.saturating_sub(now_ms()))).await;
            let tried = try_hold(client, made.id, number).await;
            (made, tried)
        });
    }
    // The first deadlines are some seconds away: the leader dies among them.
    let first = wait::until("there was a hold", wait::READY, async || {
        let answer = caller.send(1, &Call::get(format!("{HOLDS}/1"))).await;
        match answer.map_err(|error| error.to_string())? {
            answer if answer.status == 200 => Ok(at(&answer.data(), "expires_at")),
            answer => Err(answer.text()),
        }
    })
    .await;
    sleep(Duration::from_millis((first - 500).saturating_sub(now_ms()))).await;
    let dead = cluster.kill_leader().await;
    let results = tasks.join_all().await;
    cluster.restart(dead);
    cluster.wait_ready().await;
    let (mut orders, mut kept) = (0, 0);
    all_ended(&caller, 1, product).await;
    for (made, tried) in results {
        let hold = read(&caller, any_node(&mut random, 3), made.id).await;
        let order = assert_exact(&hold);
        orders += u64::from(order.is_some());
        let ended = hold["status"].clone();
        match tried {
            Tried::Order(Ok(id)) => assert_eq!(order, Some(id), "{hold}"),
            // No other client tried to order from it.
            Tried::Order(Err(error)) => assert!(!refused(&error) || order.is_none(), "{hold}"),
            Tried::Extend(Ok(until)) => {
                assert!(at(&hold, "expires_at") >= moment_ms(&until), "{hold}");
                assert_eq!(ended, HoldStatus::Expired.as_str(), "{hold}");
                kept += 1;
            }
            Tried::Extend(Err(error)) => {
                assert!(!refused(&error) || ended == HoldStatus::Expired.as_str(), "{hold}");
            }
            Tried::Release(Ok(())) => assert_eq!(ended, HoldStatus::Released.as_str(), "{hold}"),
            Tried::Release(Err(error)) => {
                assert!(!refused(&error) || ended == HoldStatus::Expired.as_str(), "{hold}");
            }
        }
    }
    println!("{orders} became orders, {kept} lived on");
    for node in caller.all() {
        let data = all_ended(&caller, node, product).await;
        assert_eq!(shop::count(&data, "reserved"), orders, "{data}");
        shop::assert_conserved(&data, 1_000);
    }
    cluster.agree().await;
}

/// Holds that end together.
const MANY: u64 = 10_000;
/// The clients that make them.
const MAKERS: u64 = 48;
/// The part of each second in which clients request holds.
const PULSE_MS: u64 = 150;
/// How long the slowest order may take while the holds end, on a busy machine.
const SLOWEST: Duration = Duration::from_millis(1_500);

/// Makes holds whose deadlines all lie in the same part of one second. Lifetimes are whole seconds,
/// so clients request holds only in that part of each second.
async fn make_many(cluster: &Cluster, product: u64, deadline_s: u64) {
    let left = Arc::new(std::sync::atomic::AtomicI64::new(MANY.cast_signed()));
    let mut makers = JoinSet::new();
    for maker in 0..MAKERS {
        let (caller, left) = (cluster.caller().clone(), Arc::clone(&left));
        makers.spawn(async move {
            while left.fetch_sub(1, std::sync::atomic::Ordering::Relaxed) > 0 {
                let now = now_ms();
                let within = now % 1_000;
                if within > PULSE_MS {
                    sleep(Duration::from_millis(1_000 - within)).await;
                }
                let ttl_s = deadline_s.checked_sub(now_ms() / 1_000);
                let ttl_s = ttl_s.filter(|ttl_s| *ttl_s > 1).expect("there was time enough");
                caller.ask(1 + maker % 3, &hold(product, 1, ttl_s)).await.expect(201);
            }
        });
    }
    makers.join_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_holds_that_end_together_delay_no_order() {
    let cluster =
        Options::new("ten_thousand_holds_that_end_together_delay_no_order").alone().start().await;
    let (caller, mut random) = (cluster.caller().clone(), cluster.random(1));
    let product = shop::create_product(&caller, &mut random, "1.00", 2 * MANY).await;
    let deadline_s = now_ms() / 1_000 + 50;
    make_many(&cluster, product, deadline_s).await;
    let made_s = now_ms() / 1_000;
    let data = shop::product(&caller, 1, product).await;
    assert_eq!(data["held"], MANY, "{data}");
    println!("{MANY} holds were there {} s before they end", deadline_s - made_s);
    // Orders at a steady rate, from before the deadlines until all holds have ended.
    let begin = deadline_s * 1_000 - 2_000;
    sleep(Duration::from_millis(begin.saturating_sub(now_ms()))).await;
    let mut orders = JoinSet::new();
    let mut next = Instant::now();
    while now_ms() < begin + 6_000 {
        let (caller, node) = (caller.clone(), any_node(&mut random, 3));
        let call = shop::place(&shop::order(product, 1, "none"));
        orders.spawn(async move {
            let (asked, started) = (now_ms(), Instant::now());
            caller.ask(node, &call).await.expect(201);
            (asked, started.elapsed())
        });
        next += Duration::from_millis(20);
        tokio::time::sleep_until(next).await;
    }
    let latencies = orders.join_all().await;
    let ending = deadline_s * 1_000 - 50..deadline_s * 1_000 + 2_500;
    for (name, during) in [("before", false), ("while they end", true)] {
        let mut some: Vec<_> = latencies
            .iter()
            .filter(|(asked, _)| *asked < ending.end && ending.contains(asked) == during)
            .map(|(_, took)| *took)
            .collect();
        some.sort_unstable();
        let (middle, slowest) = (some[some.len() / 2], some[some.len() - 1]);
        println!("{name}: {} orders, p50 {middle:?}, slowest {slowest:?}", some.len());
        assert!(slowest < SLOWEST, "{name}: {slowest:?}");
    }
    let placed = u64::try_from(latencies.len()).expect("a few hundred");
    for node in caller.all() {
        let data = all_ended(&caller, node, product).await;
        assert_eq!(shop::count(&data, "stock"), 2 * MANY - placed, "{data}");
    }
    // None of them ended much too late, not even the last ones.
    let (mut latest, mut first, mut last) = (0, u64::MAX, 0);
    for id in (1..=MANY).step_by(97) {
        let hold = read(&caller, any_node(&mut random, 3), id).await;
        assert_exact(&hold);
        let deadline = at(&hold, "expires_at");
        (first, last) = (first.min(deadline), last.max(deadline));
        latest = latest.max(at(&hold, "updated_at") - deadline);
    }
    println!("their deadlines were {} ms apart", last - first);
    assert!(last - first < 1_000 && deadline_s * 1_000 <= first, "{first} to {last}");
    println!("the latest of those looked at was swept {latest} ms after its deadline");
    assert!(latest < 2 * LATE_MS, "{latest}");
    cluster.agree().await;
}
