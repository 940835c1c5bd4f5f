//! Batches of orders on a real cluster: races for the last units while the leader dies, atomicity,
//! and retries after an unknown outcome.

use std::sync::Arc;

use client::wire::{BatchRequest, BatchResult, ErrorCode, KeyState, OrderRequest, PaymentMethod};
use serde_json::{Value, json};
use tests::shop::{self, ORDERS};
use tests::{Call, Caller, Cluster, Killing};

const BATCH: &str = "/api/v1/orders/batch";

fn order(product: u64, quantity: u64, key: String) -> OrderRequest {
    OrderRequest {
        payment_method: Some(PaymentMethod::None),
        idempotency_key: Some(key),
        ..OrderRequest::of([(product, quantity)])
    }
}

/// One retrying client for each task, each asking the nodes in its own order.
fn clients(cluster: &Cluster, count: u64) -> Vec<Arc<client::Client>> {
    let caller: &Caller = cluster.caller();
    (0..count).map(|client| Arc::new(caller.retrying(&mut cluster.random(100 + client)))).collect()
}

/// Checks the number of orders of a product and of its reserved units on every node.
async fn assert_placed(cluster: &Cluster, product: u64, orders: u64, units: u64, initial: u64) {
    let caller = cluster.caller();
    for node in caller.all() {
        let data = shop::product(caller, node, product).await;
        assert_eq!(data["reserved"], units, "node {node}: {data}");
        shop::assert_conserved(&data, initial);
        let total = shop::order_total(caller, node, &format!("product_id={product}")).await;
        assert_eq!(total, orders, "node {node}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_that_race_for_the_last_units_do_not_oversell_though_the_leader_dies() {
    let mut cluster = Cluster::start("batches_that_race_for_the_last_units").await;
    let mut random = cluster.random(1);
    let product = shop::create_product(cluster.caller(), &mut random, "9.99", 100).await;
    let clients = clients(&cluster, 20);
    let killing = Killing::plan(&cluster).await;
    let tasks = killing.start(20, |number| {
        let client = Arc::clone(&clients[usize::try_from(number).expect("few clients")]);
        let batch = (0..10).map(|at| order(product, 1, format!("race-{number}-{at}")));
        let batch = BatchRequest::of(batch);
        async move { client.place_batch(&batch).await.map(client::Answer::into_data) }
    });
    let results = killing.strike(&mut cluster, tasks).await;
    let mut placed = 0;
    for result in results {
        let results: Vec<BatchResult> =
            result.unwrap_or_else(|error| panic!("{error}: {:?}", error.report()));
        for result in results {
            match result.order {
                Some(order) => {
                    assert_eq!(order.product_id, Some(product));
                    placed += 1;
                }
                None => assert_eq!(result.code(), Some(ErrorCode::InsufficientStock), "{result:?}"),
            }
        }
    }
    assert_eq!(placed, 100, "200 were asked for");
    assert_placed(&cluster, product, 100, 100, 100).await;
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_atomic_batch_is_whole_or_absent_though_the_leader_dies() {
    let mut cluster = Cluster::start("an_atomic_batch_is_whole_or_absent").await;
    let mut random = cluster.random(1);
    let first = shop::create_product(cluster.caller(), &mut random, "1.00", 25).await;
    let second = shop::create_product(cluster.caller(), &mut random, "1.00", 1_000).await;
    let clients = clients(&cluster, 20);
    let killing = Killing::plan(&cluster).await;
    // Each wants five of the first and five of the second product, but only five are available.
    let tasks = killing.start(20, |number| {
        let client = Arc::clone(&clients[usize::try_from(number).expect("few clients")]);
        let batch = (0..10).map(|at| {
            order(if at % 2 == 0 { first } else { second }, 1, format!("atomic-{number}-{at}"))
        });
        let batch = BatchRequest::of(batch).atomic();
        async move { client.place_batch(&batch).await.map(client::Answer::into_data) }
    });
    let results = killing.strike(&mut cluster, tasks).await;
    let mut whole = 0;
    for result in results {
        match result {
            Ok(results) => {
                assert!(results.iter().all(|result| result.order.is_some()), "{results:?}");
                whole += 1;
            }
            // An earlier attempt may have placed it; the counts tell.
            Err(error) => {
                assert_eq!(error.code(), Some(ErrorCode::InsufficientStock), "{error:?}");
                let refused = error.problem().and_then(|problem| problem.results.clone());
                assert!(!refused.expect("the orders at fault").is_empty());
            }
        }
    }
    assert_eq!(whole, 5);
    assert_placed(&cluster, first, 25, 25, 25).await;
    assert_placed(&cluster, second, 25, 25, 1_000).await;
    // All keys of a batch have the same outcome.
    let caller = cluster.caller();
    for number in 0..20 {
        let mut states = Vec::new();
        for at in 0..10 {
            let path = format!("{ORDERS}/by-key/atomic-{number}-{at}");
            states
                .push(caller.get(1 + number % 3, &path).await.expect(200).data()["state"].clone());
        }
        assert!(states.iter().all(|state| *state == states[0]), "batch {number}: {states:?}");
    }
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_is_sent_again_after_an_unknown_outcome_places_nothing_twice() {
    let mut cluster = Cluster::start("a_batch_that_is_sent_again").await;
    let mut random = cluster.random(1);
    let product = shop::create_product(cluster.caller(), &mut random, "9.99", 1_000).await;
    let batch = |atomic: bool| {
        let order = |at: u64| {
            let mut order = shop::order(product, 1, "none");
            order["idempotency_key"] = json!(format!("{atomic}-{at}"));
            order
        };
        json!({"atomic": atomic, "orders": (0..50).map(order).collect::<Vec<Value>>()})
    };
    for atomic in [false, true] {
        let leader = cluster.leader().await;
        let followers: Vec<u64> = cluster.caller().all().filter(|node| *node != leader).collect();
        // The leader appends the batch to its log and does not reach a majority in time.
        for follower in &followers {
            cluster.pause(*follower);
        }
        let answer = cluster.caller().ask(leader, &Call::post(BATCH, &batch(atomic))).await;
        assert_eq!(answer.problem(504, "commit_timeout")["outcome"], "unknown");
        for follower in &followers {
            cluster.resume(*follower);
        }
        cluster.wait_ready().await;
        let mut ids: Vec<Value> = Vec::new();
        for node in cluster.caller().all() {
            let answer = cluster.caller().ask(node, &Call::post(BATCH, &batch(atomic))).await;
            let results = answer.expect(200).data();
            let these = results.as_array().expect("results").iter().map(|result| {
                let status = result["status"].as_u64();
                assert!(status == Some(200) || status == Some(201), "{result}");
                result["order"]["id"].clone()
            });
            let these: Vec<Value> = these.collect();
            assert!(ids.is_empty() || ids == these, "the same orders on each node");
            ids = these;
        }
        assert_eq!(ids.len(), 50);
    }
    assert_placed(&cluster, product, 100, 100, 1_000).await;
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_orders_in_lines_are_placed_paid_and_told_in_order() {
    let cluster = tests::Options::new("a_thousand_orders_in_lines")
        .flag("--payment-success-rate", "1")
        .flag("--payment-delay-ms", "1-5")
        .start()
        .await;
    let caller = cluster.caller();
    let mut random = cluster.random(1);
    let product = shop::create_product(caller, &mut random, "2.50", 5_000).await;
    let lines: Vec<String> = (0..1_000)
        .map(|at| {
            let mut order = shop::order(product, 1 + at % 3, "mock");
            order["idempotency_key"] = json!(format!("line-{at}"));
            order.to_string()
        })
        .collect();
    let call = Call::new("POST", BATCH)
        .body(lines.join("\n"))
        .header("content-type", "application/x-ndjson");
    let node = cluster.follower().await;
    let answer = caller.ask(node, &call).await.expect(200);
    let position = answer.position();
    let results = answer.data();
    let results = results.as_array().expect("results");
    assert_eq!(results.len(), 1_000);
    let mut last = 0;
    for (at, result) in (0_u64..).zip(results) {
        assert_eq!((&result["index"], &result["status"]), (&json!(at), &json!(201)), "{result}");
        let order = &result["order"];
        shop::assert_order(order);
        assert_eq!(order["quantity"], 1 + at % 3);
        assert_eq!(order["status"], "PENDING", "as it was right after the batch");
        let id = shop::id(order);
        assert!(id > last, "in the order of the lines");
        last = id;
    }
    // Every other node shows them at the position of the answer.
    for other in caller.all() {
        let path = format!("{ORDERS}/{last}");
        let call = Call::get(&path).header("x-min-position", &position.to_string()).stale();
        caller.ask(other, &call).await.expect(200);
    }
    shop::all_settled(caller, 1).await;
    let data = shop::product(caller, 1, product).await;
    assert_eq!(shop::count(&data, "sold"), 1_999, "{data}");
    shop::assert_conserved(&data, 5_000);
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fence_and_an_order_that_race_leave_one_of_the_two() {
    let mut cluster = Cluster::start("a_fence_and_an_order_that_race").await;
    let mut random = cluster.random(1);
    let product = shop::create_product(cluster.caller(), &mut random, "1.00", 1_000).await;
    let clients = clients(&cluster, 60);
    let killing = Killing::plan(&cluster).await;
    // Three tasks for each key: one fences it, the others order under it.
    let tasks = killing.start(60, |number| {
        let client = Arc::clone(&clients[usize::try_from(number).expect("few clients")]);
        let key = format!("fence-{}", number / 3);
        let request = order(product, 1, key.clone());
        async move {
            if number % 3 == 0 {
                let fate = client.fence_key(&key).await.map(|answer| answer.data.state);
                return (number, fate.map(Some).map_err(|error| format!("{error:?}")));
            }
            match client.create_order(&request).await {
                Ok(_) => (number, Ok(Some(KeyState::Applied))),
                Err(error) if error.code() == Some(ErrorCode::KeyFenced) => {
                    (number, Ok(Some(KeyState::Fenced)))
                }
                Err(error) => (number, Err(format!("{error:?}"))),
            }
        }
    });
    let mut fates: Vec<(u64, KeyState)> = killing
        .strike(&mut cluster, tasks)
        .await
        .into_iter()
        .map(|(number, fate)| (number, fate.expect("an answer").expect("a state")))
        .collect();
    fates.sort_unstable_by_key(|(number, _)| *number);
    let caller = cluster.caller();
    let mut applied = 0;
    for key in 0..20 {
        let told: Vec<KeyState> =
            fates.iter().filter(|(number, _)| number / 3 == key).map(|(_, fate)| *fate).collect();
        assert!(told.iter().all(|fate| *fate == told[0]), "key {key}: {told:?}");
        applied += u64::from(told[0] == KeyState::Applied);
        for node in caller.all() {
            let path = format!("{ORDERS}/by-key/fence-{key}");
            let data = caller.get(node, &path).await.expect(200).data();
            assert_eq!(data["state"], told[0].as_str(), "key {key} on node {node}");
            assert_eq!(data["order"].is_object(), told[0] == KeyState::Applied);
        }
    }
    assert_placed(&cluster, product, applied, applied, 1_000).await;
    cluster.agree().await;
}
