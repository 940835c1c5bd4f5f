//! Races between many clients, each request at a random node.

use serde_json::{Value, json};
use tests::seed::any_node;
use tests::shop::{self, ORDERS};
use tests::{Answer, Call, Caller, Cluster};
use tokio::task::JoinSet;

/// Sends every call at once, each to a random node.
async fn all_at_once(caller: &Caller, nodes: Vec<u64>, calls: Vec<Call>) -> Vec<Answer> {
    let start = std::sync::Arc::new(tokio::sync::Barrier::new(calls.len()));
    let mut tasks = JoinSet::new();
    for (node, call) in nodes.into_iter().zip(calls) {
        let (caller, start) = (caller.clone(), std::sync::Arc::clone(&start));
        tasks.spawn(async move {
            start.wait().await;
            caller.ask(node, &call).await
        });
    }
    tasks.join_all().await
}

fn with_status(answers: &[Answer], status: u16) -> Vec<&Answer> {
    answers.iter().filter(|answer| answer.status == status).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_clients_race_for_the_last_unit() {
    let cluster = Cluster::start("fifty_clients_race_for_the_last_unit").await;
    let caller = cluster.caller();
    let mut random = cluster.random(1);
    for round in 0..5 {
        let product = shop::create_product(caller, &mut random, "9.99", 1).await;
        let nodes = (0..50).map(|_| any_node(&mut random, caller.nodes())).collect();
        // Half of the clients use keys.
        let calls = (0..50).map(|client| {
            let call = shop::place(&shop::order(product, 1, "none"));
            if client % 2 == 0 { call.key(&format!("race-{round}-{client}")) } else { call }
        });
        let answers = all_at_once(caller, nodes, calls.collect()).await;
        assert_eq!(with_status(&answers, 201).len(), 1, "round {round}");
        let refused = with_status(&answers, 409);
        assert_eq!(refused.len(), 49, "round {round}");
        for answer in refused {
            answer.problem(409, "insufficient_stock");
        }
        for node in caller.all() {
            let data = shop::product(caller, node, product).await;
            assert_eq!(data["stock"], 0, "{data}");
            assert_eq!(data["reserved"], 1, "{data}");
            shop::assert_conserved(&data, 1);
            let query = format!("product_id={product}");
            assert_eq!(shop::order_total(caller, node, &query).await, 1);
        }
    }
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_requests_with_one_key_make_one_order() {
    let cluster = Cluster::start("fifty_requests_with_one_key").await;
    let caller = cluster.caller();
    let mut random = cluster.random(1);
    for round in 0..5 {
        let product = shop::create_product(caller, &mut random, "9.99", 100).await;
        let nodes = (0..50).map(|_| any_node(&mut random, caller.nodes())).collect();
        let call = shop::place(&shop::order(product, 2, "none")).key(&format!("one-{round}"));
        let answers = all_at_once(caller, nodes, vec![call; 50]).await;
        let created = with_status(&answers, 201);
        assert_eq!(created.len(), 1, "round {round}");
        assert_eq!(created[0].header("idempotent-replayed"), None);
        let order = shop::id(&created[0].data());
        let repeated = with_status(&answers, 200);
        assert_eq!(repeated.len(), 49, "round {round}");
        for answer in repeated {
            assert_eq!(shop::id(&shop::order_of(answer)), order);
            assert_eq!(answer.header("idempotent-replayed"), Some("true"));
        }
        let data = shop::product(caller, any_node(&mut random, 3), product).await;
        assert_eq!(data["stock"], 98, "stock moved once: {data}");
        shop::assert_conserved(&data, 100);
    }
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_key_with_two_bodies_makes_one_order() {
    let cluster = Cluster::start("one_key_with_two_bodies").await;
    let caller = cluster.caller();
    let mut random = cluster.random(1);
    let product = shop::create_product(caller, &mut random, "1.00", 100).await;
    let nodes = (0..20).map(|_| any_node(&mut random, caller.nodes())).collect();
    let calls = (0..20)
        .map(|client| shop::place(&shop::order(product, 1 + client % 2, "none")).key("contested"));
    let answers = all_at_once(caller, nodes, calls.collect()).await;
    let created = with_status(&answers, 201);
    assert_eq!(created.len(), 1);
    let order = created[0].data();
    assert_eq!(with_status(&answers, 200).len(), 9);
    let reused = with_status(&answers, 422);
    assert_eq!(reused.len(), 10);
    for answer in reused {
        answer.problem(422, "idempotency_key_reused");
    }
    let data = shop::product(caller, 1, product).await;
    assert_eq!(data["reserved"], order["quantity"], "{data}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_concurrent_cancels_give_the_stock_back_once() {
    let cluster = Cluster::start("five_concurrent_cancels").await;
    let caller = cluster.caller();
    let mut random = cluster.random(1);
    let product = shop::create_product(caller, &mut random, "1.00", 10).await;
    for round in 0..10 {
        let place = shop::place(&shop::order(product, 4, "none"));
        let order = shop::id(&caller.ask_any(&mut random, &place).await.expect(201).data());
        let nodes = (0..5).map(|_| any_node(&mut random, caller.nodes())).collect();
        let answers = all_at_once(caller, nodes, vec![shop::cancel(order); 5]).await;
        let mut versions = Vec::new();
        for answer in &answers {
            assert_eq!(answer.status, 200, "round {round}: {}", answer.text());
            let data = shop::order_of(answer);
            assert_eq!(data["status"], "CANCELLED");
            versions.push(shop::count(&data, "version"));
        }
        assert!(versions.iter().all(|version| *version == versions[0]), "one cancel counted");
        let data = shop::product(caller, any_node(&mut random, 3), product).await;
        assert_eq!(data["stock"], 10, "stock came back once: {data}");
        shop::assert_conserved(&data, 10);
    }
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_of_one_product_are_added_up_before_the_check() {
    let cluster = Cluster::start("lines_of_one_product").await;
    let caller = cluster.caller();
    let mut random = cluster.random(1);
    let product = shop::create_product(caller, &mut random, "1.00", 1).await;
    let line = json!({"product_id": product, "quantity": 1});
    let twice = shop::place(&json!({"user_id": 1, "items": [line, line]}));
    for _ in 0..5 {
        let refused = caller.ask_any(&mut random, &twice).await;
        refused.problem(409, "insufficient_stock");
    }
    assert_eq!(shop::product(caller, 2, product).await["stock"], 1);
    assert_eq!(shop::order_total(caller, 1, "").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_of_several_products_is_all_or_nothing() {
    let cluster = Cluster::start("an_order_of_several_products").await;
    let caller = cluster.caller();
    let mut random = cluster.random(1);
    let plenty = shop::create_product(caller, &mut random, "1.00", 1_000).await;
    let scarce = shop::create_product(caller, &mut random, "1.00", 7).await;
    let both = json!({"user_id": 1, "payment_method": "none", "items": [
        {"product_id": plenty, "quantity": 2}, {"product_id": scarce, "quantity": 1}]});
    let nodes = (0..40).map(|_| any_node(&mut random, caller.nodes())).collect();
    let answers = all_at_once(caller, nodes, vec![shop::place(&both); 40]).await;
    assert_eq!(with_status(&answers, 201).len(), 7);
    assert_eq!(with_status(&answers, 409).len(), 33);
    assert_eq!(shop::product(caller, 1, plenty).await["reserved"], 14);
    assert_eq!(shop::product(caller, 1, scarce).await["reserved"], 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_many_orders_as_units_succeed() {
    let cluster = Cluster::start("as_many_orders_as_units").await;
    let caller = cluster.caller();
    let mut random = cluster.random(1);
    // Stock 5, wanted 3 and 4: one of them wins.
    let product = shop::create_product(caller, &mut random, "1.00", 5).await;
    let nodes = (0..2).map(|_| any_node(&mut random, caller.nodes())).collect();
    let calls = [3, 4].map(|quantity| shop::place(&shop::order(product, quantity, "none")));
    let answers = all_at_once(caller, nodes, calls.to_vec()).await;
    assert_eq!(with_status(&answers, 201).len(), 1);
    assert_eq!(with_status(&answers, 409).len(), 1);
    let left = shop::count(&shop::product(caller, 3, product).await, "stock");
    assert!(left == 1 || left == 2, "{left}");
    // Ten buyers of one unit each, six units.
    let product = shop::create_product(caller, &mut random, "1.00", 6).await;
    let nodes = (0..10).map(|_| any_node(&mut random, caller.nodes())).collect();
    let buy =
        Call::post(format!("{ORDERS}/purchase"), &json!({"product_id": product, "quantity": 1}));
    let answers = all_at_once(caller, nodes, vec![buy; 10]).await;
    assert_eq!(with_status(&answers, 201).len(), 6);
    assert_eq!(with_status(&answers, 409).len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_times_ten_cents_are_thirty() {
    let cluster = Cluster::start("three_times_ten_cents").await;
    let caller = cluster.caller();
    let mut random = cluster.random(1);
    for price in [json!("0.10"), json!(0.1), json!("0.1"), json!(0.10)] {
        let body = json!({"name": "Dime", "price": price, "stock": 30});
        let answer = caller.ask_any(&mut random, &Call::post(shop::PRODUCTS, &body)).await;
        let product = shop::id(&answer.expect(201).data());
        let line = json!({"product_id": product, "quantity": 1});
        let bodies = [
            json!({"items": [{"product_id": product, "quantity": 3}], "payment_method": "none"}),
            json!({"items": [line, line, line], "payment_method": "none"}),
        ];
        for body in bodies {
            // The server ignores totals that a client sends.
            let mut body = body;
            body["total_amount"] = json!("0.01");
            let placed = caller.ask_any(&mut random, &shop::place(&body)).await.expect(201);
            let order = shop::order_of(&placed);
            assert_eq!(order["total_amount"], "0.30", "{order}");
            assert_eq!(order["total_amount_minor"], 30, "{order}");
            let read = shop::read_order(caller, any_node(&mut random, 3), shop::id(&order)).await;
            assert_eq!(read["total_price"], "0.30", "{read}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_races_the_payment_and_one_of_them_wins() {
    let cluster = Cluster::start("a_cancel_races_the_payment").await;
    let caller = cluster.caller();
    let mut random = cluster.random(1);
    let product = shop::create_product(caller, &mut random, "1.00", 100).await;
    let mut tasks = JoinSet::new();
    for _ in 0..60 {
        let nodes = [any_node(&mut random, 3), any_node(&mut random, 3)];
        let caller = caller.clone();
        tasks.spawn(async move {
            let place = shop::place(&shop::order(product, 1, "mock"));
            let order = shop::id(&caller.ask(nodes[0], &place).await.expect(201).data());
            let answer = caller.ask(nodes[1], &shop::cancel(order)).await;
            if answer.status != 200 {
                answer.problem(422, "order_not_cancellable");
            }
            (order, answer.status == 200)
        });
    }
    let results = tasks.join_all().await;
    let mut paid = 0;
    for (order, cancelled) in results {
        let end = shop::settled(caller, any_node(&mut random, 3), order).await;
        shop::assert_order(&end);
        assert_eq!(end["status"] == "CANCELLED", cancelled, "{end}");
        paid += u64::from(end["status"] == "PAID");
        let path = format!("{ORDERS}/{order}/events");
        let events = caller.get(1, &path).await.expect(200).data();
        let ends = events.as_array().expect("steps").iter();
        let ends: Vec<&Value> = ends.map(|step| &step["to"]).collect();
        let last = ends.last().expect("a last step");
        assert_eq!(**last, end["status"], "{events}");
        if cancelled {
            assert_eq!(ends, ["PENDING", "CANCELLED"], "never charged: {events}");
        }
    }
    let data = shop::product(caller, 1, product).await;
    assert_eq!(data["sold"], paid, "{data}");
    assert_eq!(data["reserved"], 0, "{data}");
    shop::assert_conserved(&data, 100);
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_is_never_older_than_what_was_acknowledged() {
    let cluster = Cluster::start("a_refusal_is_never_older").await;
    let caller = cluster.caller();
    let mut random = cluster.random(1);
    let product = shop::create_product(caller, &mut random, "1.00", 1).await;
    let other = shop::create_product(caller, &mut random, "1.00", 0).await;
    let place = shop::place(&shop::order(product, 1, "none"));
    // Other clients are refused on every node all the time, by the shortcut for sold-out products.
    let mut noise = JoinSet::new();
    for node in caller.all() {
        let (caller, call) = (caller.clone(), shop::place(&shop::order(other, 1, "none")));
        noise.spawn(async move {
            while caller.ask(node, &call).await.problem(409, "insufficient_stock").is_object() {}
        });
    }
    let mut order = shop::id(&caller.ask_any(&mut random, &place).await.expect(201).data());
    for _ in 0..60 {
        caller.ask_any(&mut random, &place).await.problem(409, "insufficient_stock");
        caller.ask_any(&mut random, &shop::cancel(order)).await.expect(200);
        // The unit was free before the cancel was answered, so the next order gets it.
        order = shop::id(&caller.ask_any(&mut random, &place).await.expect(201).data());
    }
    let path = format!("{}/{product}", shop::PRODUCTS);
    for _ in 0..20 {
        let more = Call::patch(&path, &json!({"stock": 1}));
        caller.ask_any(&mut random, &more).await.expect(200);
        caller.ask_any(&mut random, &place).await.expect(201);
    }
    noise.abort_all();
    while let Some(ended) = noise.join_next().await {
        let error = ended.expect_err("it goes on until it is told to stop");
        assert!(error.is_cancelled(), "somebody was not refused: {error}");
    }
    assert_eq!(shop::product(caller, 1, product).await["reserved"], 21);
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_for_a_sold_out_product_add_nothing_to_the_log() {
    let cluster = Cluster::start("orders_for_a_sold_out_product_add_nothing_to_the_log").await;
    let caller = cluster.caller();
    let mut random = cluster.random(1);
    let product = shop::create_product(caller, &mut random, "1.00", 3).await;
    let winner = shop::place(&shop::order(product, 3, "none")).key("winner");
    let order = shop::id(&caller.ask_any(&mut random, &winner).await.expect(201).data());
    cluster.agree().await;
    let before = shop::count(&cluster.view(1).await, "commit_index");
    let nodes = (0..200).map(|_| any_node(&mut random, 3)).collect();
    let calls = (0..200).map(|client| {
        let late = shop::place(&shop::order(product, 1, "none"));
        if client % 2 == 0 { late.key(&format!("late-{client}")) } else { late }
    });
    for answer in all_at_once(caller, nodes, calls.collect()).await {
        answer.problem(409, "insufficient_stock");
    }
    let after = shop::count(&cluster.view(1).await, "commit_index");
    assert_eq!(after, before, "a refusal changes nothing, so it needs no entry");
    // The key of an order still returns it; a refused key is still free.
    let again = caller.ask_any(&mut random, &winner).await.expect(200);
    assert_eq!(shop::id(&again.data()), order);
    let other = shop::place(&shop::order(product, 1, "none")).key("winner");
    caller.ask_any(&mut random, &other).await.problem(422, "idempotency_key_reused");
    caller.ask_any(&mut random, &shop::cancel(order)).await.expect(200);
    let late = shop::place(&shop::order(product, 1, "none")).key("late-0");
    caller.ask_any(&mut random, &late).await.expect(201);
}
