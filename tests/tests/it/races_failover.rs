//! The same races while the leader dies.
//!
//! Half of the clients start before the kill, half right after it, when no node leads. All use the
//! `client` crate, which retries under the same key. Its answers must fit the final counts.

use std::sync::Arc;

use client::wire::{CancelRequest, ErrorCode, KeyState, Order, OrderRequest, PaymentMethod};
use client::{Client, Error};
use tests::shop;
use tests::{Caller, Cluster, Killing, Options};

/// One client for each task, each asking the nodes in its own order.
fn clients(cluster: &Cluster, count: u64) -> Vec<Arc<Client>> {
    let caller: &Caller = cluster.caller();
    (0..count).map(|client| Arc::new(caller.retrying(&mut cluster.random(100 + client)))).collect()
}

fn request(lines: &[(u64, u64)], key: String) -> OrderRequest {
    let mut request = OrderRequest::of(lines.iter().copied());
    request.payment_method = Some(PaymentMethod::None);
    request.idempotency_key = Some(key);
    request
}

/// Lets all clients order a product, each under the key of its number, and kills the leader
/// meanwhile.
async fn race(
    cluster: &mut Cluster,
    clients: &[Arc<Client>],
    product: u64,
    quantity: u64,
    key: impl Fn(u64) -> String,
) -> Vec<Result<Order, Error>> {
    let killing = Killing::plan(cluster).await;
    let tasks = killing.start(clients.len() as u64, |number| {
        let client = Arc::clone(&clients[usize::try_from(number).expect("few clients")]);
        let request = request(&[(product, quantity)], key(number));
        async move { client.create_order(&request).await.map(client::Answer::into_data) }
    });
    killing.strike(cluster, tasks).await
}

/// The order, or `None` when the product was sold out; panics on any other error.
fn order_or_sold_out(result: Result<Order, Error>) -> Option<Order> {
    match result {
        Ok(order) => Some(order),
        // The outcome of an earlier attempt may be unknown, and the client says so. The counts
        // below tell whether it made an order.
        Err(error) if error.code() == Some(ErrorCode::InsufficientStock) => None,
        Err(error) => panic!("{error}: {:?}", error.report()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_unit_is_sold_once_though_the_leader_dies() {
    let mut cluster = Cluster::start("the_last_unit_is_sold_once_though_the_leader_dies").await;
    let mut random = cluster.random(1);
    for round in 0..2 {
        let product = shop::create_product(cluster.caller(), &mut random, "9.99", 1).await;
        let clients = clients(&cluster, 50);
        let key = |number| format!("last-{round}-{number}");
        let results = race(&mut cluster, &clients, product, 1, key).await;
        let orders: Vec<Order> = results.into_iter().filter_map(order_or_sold_out).collect();
        assert!(orders.len() <= 1, "sold twice: {orders:#?}");
        let caller = cluster.caller();
        for node in caller.all() {
            let data = shop::product(caller, node, product).await;
            assert_eq!(data["stock"], 0, "node {node}: {data}");
            assert_eq!(data["reserved"], 1, "node {node}: {data}");
            let query = format!("product_id={product}");
            assert_eq!(shop::order_total(caller, node, &query).await, 1, "node {node}");
        }
        // The winner has its order, or finds it by its key.
        let mut applied = 0;
        for number in 0..50 {
            let key = format!("last-{round}-{number}");
            let answer = clients[0].order_by_key(&key).await.expect("a node answers");
            applied += u64::from(answer.data.state == KeyState::Applied);
        }
        assert_eq!(applied, 1);
    }
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_key_makes_one_order_though_the_leader_dies() {
    let mut cluster = Cluster::start("one_key_makes_one_order_though_the_leader_dies").await;
    let mut random = cluster.random(1);
    for round in 0..2 {
        let product = shop::create_product(cluster.caller(), &mut random, "9.99", 100).await;
        let clients = clients(&cluster, 50);
        let key = |_| format!("one-{round}");
        let results = race(&mut cluster, &clients, product, 2, key).await;
        assert_eq!(results.len(), 50);
        let ids: Vec<u64> = results
            .into_iter()
            .map(|result| result.unwrap_or_else(|error| panic!("{:?}", error.report())).id)
            .collect();
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        for node in cluster.caller().all() {
            let data = shop::product(cluster.caller(), node, product).await;
            assert_eq!(data["stock"], 98, "stock moved once: {data}");
            shop::assert_conserved(&data, 100);
        }
    }
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancels_give_the_stock_back_once_though_the_leader_dies() {
    let mut cluster =
        Cluster::start("cancels_give_the_stock_back_once_though_the_leader_dies").await;
    let mut random = cluster.random(1);
    let product = shop::create_product(cluster.caller(), &mut random, "1.00", 100).await;
    // Several orders at once, so that the kill meets cancels at every stage.
    let mut orders = Vec::new();
    for _ in 0..8 {
        let place = shop::place(&shop::order(product, 4, "none"));
        let placed = cluster.caller().ask_any(&mut random, &place).await.expect(201);
        orders.push(shop::id(&placed.data()));
    }
    let clients = clients(&cluster, 40);
    let killing = Killing::plan(&cluster).await;
    let tasks = killing.start(40, |number| {
        let number = usize::try_from(number).expect("few clients");
        let client = Arc::clone(&clients[number]);
        let order = orders[number / 5];
        async move {
            let request = CancelRequest { reason: Some("changed my mind".to_owned()) };
            let answer = client.cancel_order(order, &request).await;
            answer.map(|answer| answer.into_data())
        }
    });
    for result in killing.strike(&mut cluster, tasks).await {
        let order = result.unwrap_or_else(|error| panic!("{:?}", error.report()));
        assert_eq!(order.status, client::wire::OrderStatus::Cancelled);
    }
    for node in cluster.caller().all() {
        let data = shop::product(cluster.caller(), node, product).await;
        assert_eq!(data["stock"], 100, "stock came back once: {data}");
        assert_eq!(shop::order_total(cluster.caller(), node, "status=CANCELLED").await, 8);
    }
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_are_added_up_and_cents_exact_though_the_leader_dies() {
    let mut cluster = Cluster::start("lines_are_added_up_and_cents_exact_though").await;
    let mut random = cluster.random(1);
    let scarce = shop::create_product(cluster.caller(), &mut random, "1.00", 1).await;
    let dime = shop::create_product(cluster.caller(), &mut random, "0.10", 1_000).await;
    let clients = clients(&cluster, 40);
    let killing = Killing::plan(&cluster).await;
    let tasks = killing.start(40, |number| {
        let client = Arc::clone(&clients[usize::try_from(number).expect("few clients")]);
        // In pairs, so that both kinds are requested before and after the kill.
        let dimes = number % 4 < 2;
        let lines = if dimes { vec![(dime, 3)] } else { vec![(scarce, 1), (scarce, 1)] };
        let request = request(&lines, format!("sum-{number}"));
        async move {
            let result = client.create_order(&request).await.map(client::Answer::into_data);
            (dimes, result)
        }
    });
    for (dimes, result) in killing.strike(&mut cluster, tasks).await {
        match (dimes, order_or_sold_out(result)) {
            (true, Some(order)) => assert_eq!(order.total_amount, "0.30"),
            (false, None) => {}
            (_, other) => panic!("three dimes: {dimes}, but {other:?}"),
        }
    }
    let caller = cluster.caller();
    for node in caller.all() {
        assert_eq!(shop::product(caller, node, scarce).await["stock"], 1, "node {node}");
        assert_eq!(shop::product(caller, node, dime).await["reserved"], 60, "node {node}");
        assert_eq!(shop::order_total(caller, node, "").await, 20, "node {node}");
    }
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn illegal_moves_are_refused_though_the_leader_dies() {
    let options = Options::new("illegal_moves_are_refused_though_the_leader_dies");
    let mut cluster = options.flag("--payment-success-rate", "0.5").start().await;
    let mut random = cluster.random(1);
    let product = shop::create_product(cluster.caller(), &mut random, "1.00", 100).await;
    let mut orders = Vec::new();
    for _ in 0..8 {
        let place = shop::place(&shop::order(product, 1, "mock"));
        let placed = cluster.caller().ask_any(&mut random, &place).await.expect(201);
        orders.push(shop::id(&placed.data()));
    }
    let mut ends = Vec::new();
    for &order in &orders {
        ends.push(shop::settled(cluster.caller(), 1, order).await);
    }
    let clients = clients(&cluster, 40);
    let killing = Killing::plan(&cluster).await;
    let tasks = killing.start(40, |number| {
        let number = usize::try_from(number).expect("few clients");
        let client = Arc::clone(&clients[number]);
        let order = orders[number / 5];
        async move { client.cancel_order(order, &CancelRequest::default()).await }
    });
    for result in killing.strike(&mut cluster, tasks).await {
        let error = result.expect_err("a paid or failed order cannot be cancelled");
        assert_eq!(error.code(), Some(ErrorCode::OrderNotCancellable), "{:?}", error.report());
    }
    for node in cluster.caller().all() {
        for (order, end) in orders.iter().zip(&ends) {
            assert_eq!(shop::read_order(cluster.caller(), node, *order).await, *end);
        }
    }
    cluster.agree().await;
}
