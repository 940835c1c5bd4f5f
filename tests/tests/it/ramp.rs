//! A ramp to fifty clients: every request is answered, and the latencies are printed. Once more
//! with the leader killed on the way: clients that retry see a delay, but no error.

use std::time::Duration;

use client::Client;
use client::wire::OrderRequest;
use rand::Rng;
use rand::rngs::StdRng;
use tests::seed::any_node;
use tests::shop::{self, ORDERS, PRODUCTS};
use tests::{Call, Caller, Options};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Clients at the top of the ramp.
const CLIENTS: u32 = 50;

/// Time from the first client to the last.
const RAMP: Duration = Duration::from_secs(10);

/// Time from the first request to the last.
const TOTAL: Duration = Duration::from_secs(30);

/// Products that the clients buy.
const PRODUCTS_COUNT: usize = 20;

/// The latencies and failures of one client.
#[derive(Default)]
struct Seen {
    latencies: Vec<Duration>,
    placed: u64,
    sold_out: u64,
    failures: Vec<String>,
}

impl Seen {
    /// Adds the records of another client.
    fn add(&mut self, other: Self) {
        self.latencies.extend(other.latencies);
        self.failures.extend(other.failures);
        self.placed += other.placed;
        self.sold_out += other.sold_out;
    }

    /// Prints the figures and checks that nothing failed.
    fn summarise(&mut self, what: &str) {
        self.latencies.sort_unstable();
        println!(
            "{what}: {CLIENTS} clients, {} calls, {} orders, {} sold out, p50 {:?}, p95 {:?}, \
             p99 {:?}",
            self.latencies.len(),
            self.placed,
            self.sold_out,
            self.at(50),
            self.at(95),
            self.at(99)
        );
        let failures = self.failures.len();
        self.failures.truncate(5);
        assert_eq!(failures, 0, "failed calls, the first: {:#?}", self.failures);
    }

    /// A percentile of the sorted latencies.
    fn at(&self, share: usize) -> Duration {
        self.latencies[(self.latencies.len() - 1) * share / 100]
    }

    /// Sends one call, notes how long it took, and whether it failed.
    async fn ask(&mut self, caller: &Caller, node: u64, call: &Call, expected: &[u16]) -> u16 {
        let start = Instant::now();
        let result = caller.send(node, call).await;
        self.latencies.push(start.elapsed());
        match result {
            Ok(answer) if expected.contains(&answer.status) => answer.status,
            Ok(answer) => {
                self.failures.push(format!("{} {}", answer.asked, answer.text()));
                answer.status
            }
            Err(error) => {
                self.failures.push(error.to_string());
                0
            }
        }
    }
}

/// Places keyed orders until the end, and reads now and then.
async fn shopper(
    caller: Caller,
    mut random: StdRng,
    number: u32,
    products: Vec<u64>,
    start: Instant,
) -> Seen {
    let mut seen = Seen::default();
    tokio::time::sleep_until(start + RAMP * number / CLIENTS).await;
    let mut round = 0;
    while start.elapsed() < TOTAL {
        round += 1;
        let product = products[random.random_range(0..products.len())];
        let key = format!("ramp-{number}-{round}");
        let place = shop::place(&shop::order(product, random.random_range(1..=3), "mock"));
        let node = any_node(&mut random, caller.nodes());
        match seen.ask(&caller, node, &place.key(&key), &[201, 409]).await {
            201 => seen.placed += 1,
            409 => seen.sold_out += 1,
            _ => {}
        }
        let read = match round % 5 {
            0 => Call::get(format!("{ORDERS}?per_page=5&user_id=1")),
            1 => Call::get(format!("{ORDERS}/by-key/{key}")),
            2 => Call::get(format!("{PRODUCTS}/{product}")),
            _ => continue,
        };
        let node = any_node(&mut random, caller.nodes());
        seen.ask(&caller, node, &read, &[200]).await;
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ramp_to_fifty_clients_fails_no_request() {
    let cluster = Options::new("a_ramp_to_fifty_clients").alone().start().await;
    let caller = cluster.caller();
    let mut random = cluster.random(1);
    let mut products = Vec::new();
    // The last product sells out on the way.
    for number in 0..PRODUCTS_COUNT {
        let stock = if number + 1 == PRODUCTS_COUNT { 200 } else { 1_000_000 };
        products.push((shop::create_product(caller, &mut random, "19.99", stock).await, stock));
    }
    let ids: Vec<u64> = products.iter().map(|(product, _)| *product).collect();
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for number in 0..CLIENTS {
        let random = cluster.random(u64::from(1_000 + number));
        tasks.spawn(shopper(caller.clone(), random, number, ids.clone(), start));
    }
    let mut all = Seen::default();
    for seen in tasks.join_all().await {
        all.add(seen);
    }
    all.summarise("ramp");
    assert!(all.placed > 0 && all.sold_out > 0, "the ramp met both ends of an order");
    assert!(all.at(95) < Duration::from_millis(500), "p95 {:?}", all.at(95));
    assert!(all.at(99) < Duration::from_secs(1), "p99 {:?}", all.at(99));

    shop::all_settled(caller, 1).await;
    cluster.agree().await;
    assert_eq!(shop::order_total(caller, 2, "").await, all.placed);
    for (product, stock) in products {
        let data = shop::product(caller, any_node(&mut random, 3), product).await;
        shop::assert_conserved(&data, stock);
        assert_eq!(data["reserved"], 0, "{data}");
    }
}

/// Places keyed orders through a client that retries, until the end.
async fn patient_shopper(client: Client, number: u32, product: u64, start: Instant) -> Seen {
    let mut seen = Seen::default();
    tokio::time::sleep_until(start + RAMP / 2 * number / CLIENTS).await;
    let mut round = 0;
    while start.elapsed() < TOTAL / 2 {
        round += 1;
        let mut request = OrderRequest::of([(product, 1)]);
        request.idempotency_key = Some(format!("patient-{number}-{round}"));
        let begun = Instant::now();
        match client.create_order(&request).await {
            Ok(_) => seen.placed += 1,
            Err(error) => seen.failures.push(format!("{error}: {:?}", error.report())),
        }
        seen.latencies.push(begun.elapsed());
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ramp_fails_no_call_though_the_leader_dies() {
    let mut cluster = Options::new("a_ramp_fails_no_call_though").alone().start().await;
    let mut random = cluster.random(1);
    let product = shop::create_product(cluster.caller(), &mut random, "19.99", 1_000_000).await;
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for number in 0..CLIENTS {
        let client = cluster.caller().retrying(&mut cluster.random(u64::from(1_000 + number)));
        tasks.spawn(patient_shopper(client, number, product, start));
    }
    // All clients run when the leader dies.
    tokio::time::sleep_until(start + RAMP / 2 + RAMP / 10).await;
    let dead = cluster.kill_leader().await;
    let next = cluster.leader().await;
    assert_ne!(dead, next);
    cluster.restart(dead);
    let mut all = Seen::default();
    for seen in tasks.join_all().await {
        all.add(seen);
    }
    all.summarise("ramp with the leader killed");
    println!("the longest call took {:?}", all.at(100));

    cluster.wait_ready().await;
    let caller = cluster.caller();
    shop::all_settled(caller, next).await;
    cluster.agree().await;
    for node in caller.all() {
        assert_eq!(shop::order_total(caller, node, "").await, all.placed, "one order a key");
        let data = shop::product(caller, node, product).await;
        shop::assert_conserved(&data, 1_000_000);
        assert_eq!(data["sold"], shop::order_total(caller, node, "status=PAID").await);
    }
}
