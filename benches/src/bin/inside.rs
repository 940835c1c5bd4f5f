//! Orders into three nodes in one process: replication, synced logs, payments and checkpoints,
//! without HTTP.
//!
//! `cargo run --profile dist -p benches --bin inside -- [SECONDS] [PROPOSERS] [BATCH]` keeps one
//! batch per proposer in flight, spread over the three nodes. It prints how many orders per second
//! were placed and how many paid, the latency of a batch, and the processor time per order.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use benches::cluster::{Cluster, propose_all};
use benches::shop::{Orders, create_product, place_order};
use engine::command::{BATCH_ORDERS_MAX, Command, PlaceBatch};
use engine::outcome::Outcome;
use engine::product::STOCK_MAX;
use engine::trace::TraceId;
use raft_node::Handle;
use tokio::task::JoinSet;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The number of products.
const PRODUCTS: u64 = 1_000;
/// The time limit for an answer.
const LIMIT: Duration = Duration::from_secs(10);

fn main() {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse().expect("a number"));
    let seconds: u64 = numbers.next().unwrap_or(10);
    let proposers: u64 = numbers.next().unwrap_or(16);
    let batch: u64 = numbers.next().unwrap_or(1_000);
    assert!((1..=BATCH_ORDERS_MAX as u64).contains(&batch), "a batch has 1 to 1,000 orders");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime can be started");
    runtime.block_on(run(Duration::from_secs(seconds), proposers, batch));
}

async fn run(time: Duration, proposers: u64, batch: u64) {
    let cluster = Cluster::start(3).await;
    let products = (1..=PRODUCTS).map(|number| create_product(number, STOCK_MAX)).collect();
    propose_all(&cluster.leader(), products).await;

    let next = Arc::new(AtomicU64::new(1));
    let (started, cpu) = (Instant::now(), cpu_time());
    let mut tasks = JoinSet::new();
    for (_, handle) in (0..proposers).zip(cluster.handles().into_iter().cycle()) {
        tasks.spawn(propose(handle, Arc::clone(&next), started + time, batch));
    }
    let mut latencies: Vec<Duration> = Vec::new();
    while let Some(done) = tasks.join_next().await {
        latencies.extend(done.expect("a proposer does not panic"));
    }
    let took = started.elapsed().as_secs_f64();
    let cpu = (cpu_time() - cpu).as_secs_f64();
    let (paid, open) = cluster.leader().read(|state| {
        let totals = state.totals();
        (totals.orders_paid + totals.orders_failed, state.open_orders())
    });

    let orders = latencies.len() as u64 * batch;
    latencies.sort_unstable();
    let at = |part: f64| {
        let place = (latencies.len() as f64 * part) as usize;
        latencies.get(place).map_or(0.0, |latency| latency.as_secs_f64() * 1e3)
    };
    let per_second = |count: u64| count as f64 / took;
    println!("orders_per_s settled_per_s open_orders p50_ms p99_ms max_ms cpu_us_per_order");
    println!(
        "{:.0} {:.0} {open} {:.2} {:.2} {:.2} {:.1}",
        per_second(orders),
        per_second(paid),
        at(0.5),
        at(0.99),
        at(1.0 - f64::EPSILON),
        cpu * 1e6 / orders as f64,
    );
    cluster.stop().await;
}

/// Proposes one batch after the other; returns how long each took.
async fn propose(handle: Handle, next: Arc<AtomicU64>, end: Instant, batch: u64) -> Vec<Duration> {
    let mut latencies = Vec::new();
    while Instant::now() < end {
        let first = next.fetch_add(batch, Ordering::Relaxed);
        let orders = first..first + batch;
        let orders = orders.map(|number| place_order(number, PRODUCTS, Orders::SIMPLE)).collect();
        let command = Command::PlaceBatch(PlaceBatch { atomic: false, orders });
        let begun = Instant::now();
        let applied = handle.propose(command, TraceId::NONE, (begun + LIMIT).into()).await;
        latencies.push(begun.elapsed());
        let Ok(Outcome::Batch(outcomes)) = applied.map(|applied| applied.outcome) else {
            panic!("a healthy cluster decides every batch")
        };
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Placed(_))));
    }
    latencies
}

/// The processor time that this process has used.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
