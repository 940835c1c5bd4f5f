//! Three nodes in this process: each syncs its raft log, and applies every order before its answer.

use std::cell::OnceCell;

use benches::cluster::{Cluster, propose_all};
use benches::shop::{Orders, create_product, place_order};
use criterion::{Criterion, Throughput, criterion_group};
use engine::command::Command;
use engine::ids::ProductId;
use engine::order::PaymentMethod;
use engine::outcome::Outcome;
use engine::product::STOCK_MAX;
use raft_node::Handle;

criterion_group!(benches, replicate);

/// The number of products.
const PRODUCTS: u64 = 100;

fn replicate(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime can be started");
    // The first bench that runs starts it, so that other parts of the benches do not pay for it.
    let started = OnceCell::new();

    let mut group = criterion.benchmark_group("replicate");
    group.sample_size(20);
    let orders = Orders { lines: 1, payment: PaymentMethod::None };
    let mut number = 0;
    for batch in [1, 256] {
        group.throughput(Throughput::Elements(batch));
        group.bench_function(format!("three_nodes_batch_of_{batch}"), |bencher| {
            let (_, leader) = started.get_or_init(|| runtime.block_on(open()));
            bencher.iter_custom(|iterations| {
                let mut spent = std::time::Duration::ZERO;
                for _ in 0..iterations {
                    let commands = (0..batch)
                        .map(|_| {
                            number += 1;
                            Command::PlaceOrder(place_order(number, PRODUCTS, orders))
                        })
                        .collect();
                    let start = std::time::Instant::now();
                    let outcomes = runtime.block_on(propose_all(leader, commands));
                    spent += start.elapsed();
                    let placed = |outcome: &Outcome| matches!(outcome, Outcome::Placed(_));
                    assert!(outcomes.iter().all(placed), "{outcomes:?}");
                }
                spent
            });
        });
    }
    group.finish();
    if let Some((cluster, _)) = started.into_inner() {
        runtime.block_on(cluster.stop());
    }
}

/// Starts the nodes and creates the products.
async fn open() -> (Cluster, Handle) {
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader();
    let products = (1..=PRODUCTS).map(|number| create_product(number, STOCK_MAX)).collect();
    for outcome in propose_all(&leader, products).await {
        assert!(matches!(outcome, Outcome::ProductCreated(_)), "{outcome:?}");
    }
    assert!(leader.read(|state| state.product(ProductId(PRODUCTS)).is_some()));
    (cluster, leader)
}
