//! A ramp to fifty clients: everything is answered, and how fast is printed.

use std::time::Duration;

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

/// What one client saw.
#[derive(Default)]
struct Seen {
    latencies: Vec<Duration>,
    placed: u64,
    sold_out: u64,
    failures: Vec<String>,
}

impl Seen {
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
    // The last one runs out on the way.
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
        all.latencies.extend(seen.latencies);
        all.failures.extend(seen.failures);
        all.placed += seen.placed;
        all.sold_out += seen.sold_out;
    }
    all.latencies.sort_unstable();
    let at = |share: usize| all.latencies[(all.latencies.len() - 1) * share / 100];
    println!(
        "ramp to {CLIENTS} clients in {TOTAL:?}: {} requests, {} orders, {} sold out, \
         p50 {:?}, p95 {:?}, p99 {:?}",
        all.latencies.len(),
        all.placed,
        all.sold_out,
        at(50),
        at(95),
        at(99)
    );
    let failures = all.failures.len();
    all.failures.truncate(5);
    assert_eq!(failures, 0, "failed requests, the first: {:#?}", all.failures);
    assert!(all.placed > 0 && all.sold_out > 0, "the ramp met both ends of an order");
    assert!(at(95) < Duration::from_millis(500), "p95 {:?}", at(95));
    assert!(at(99) < Duration::from_secs(1), "p99 {:?}", at(99));

    shop::all_settled(caller, 1).await;
    cluster.agree().await;
    assert_eq!(shop::order_total(caller, 2, "").await, all.placed);
    for (product, stock) in products {
        let data = shop::product(caller, any_node(&mut random, 3), product).await;
        shop::assert_conserved(&data, stock);
        assert_eq!(data["reserved"], 0, "{data}");
    }
}
