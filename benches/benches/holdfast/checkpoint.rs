//! The state to disk and back: the cost of a checkpoint per order since the last one, and the cost
//! of opening per stored order.

use std::time::{Duration, Instant};

use benches::shop::{Orders, Shop};
use criterion::{Criterion, Throughput, criterion_group};
use engine::state::State;
use engine::store::sled::SledStore;

criterion_group!(benches, write, open);

/// Orders in one entry.
const BATCH: u64 = 250;
/// The number of products.
const PRODUCTS: u64 = 1_000;

/// Freezes, writes and syncs what changed since the last checkpoint.
fn write(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("checkpoint");
    group.sample_size(10);
    for count in [1_000, 10_000] {
        group.throughput(Throughput::Elements(count));
        group.bench_function(format!("write_{count}_paid_orders"), |bencher| {
            bencher.iter_custom(|iterations| {
                let directory = tempfile::tempdir().expect("a directory can be made");
                let store = SledStore::open(directory.path()).expect("a new store opens");
                let mut shop = Shop::new(PRODUCTS);
                checkpoint(&mut shop, &store);
                let mut spent = Duration::ZERO;
                for _ in 0..iterations {
                    sell(&mut shop, count);
                    let start = Instant::now();
                    checkpoint(&mut shop, &store);
                    spent += start.elapsed();
                }
                spent
            });
        });
    }
    group.finish();
}

/// Opens a checkpoint.
fn open(criterion: &mut Criterion) {
    const COUNT: u64 = 20_000;

    let mut group = criterion.benchmark_group("checkpoint");
    group.sample_size(10);
    group.throughput(Throughput::Elements(COUNT));
    group.bench_function(format!("open_{COUNT}_paid_orders"), |bencher| {
        let directory = tempfile::tempdir().expect("a directory can be made");
        let store = SledStore::open(directory.path()).expect("a new store opens");
        let mut shop = Shop::new(PRODUCTS);
        sell(&mut shop, COUNT);
        checkpoint(&mut shop, &store);
        bencher.iter_with_large_drop(|| State::open(&store).expect("a good checkpoint opens"));
    });
    group.finish();
}

/// Places and pays `count` orders.
fn sell(shop: &mut Shop, count: u64) {
    for _ in 0..count / BATCH {
        let first = shop.orders() + 1;
        let placed = shop.place(BATCH, Orders::SIMPLE);
        let paid = shop.pay(first, shop.orders());
        for payload in std::iter::once(placed).chain(paid) {
            shop.apply(&payload);
        }
    }
}

fn checkpoint(shop: &mut Shop, store: &SledStore) {
    let frozen = shop.state().freeze();
    let written = frozen.write(store).expect("a checkpoint can be written");
    shop.state().release(&written);
}
