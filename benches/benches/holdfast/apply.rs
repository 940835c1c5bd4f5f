//! The state machine alone: entries in, rows in memory.

use benches::shop::{Orders, Shop};
use criterion::measurement::WallTime;
use criterion::{BatchSize, BenchmarkGroup, Criterion, Throughput, criterion_group};
use engine::order::PaymentMethod;

criterion_group!(benches, apply);

/// Orders in one entry.
const BATCH: u64 = 256;
/// A shop is replaced when it has this many orders, which bounds the memory of a long bench.
const ORDERS_MAX: u64 = 200_000;

fn apply(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("apply");
    group.throughput(Throughput::Elements(BATCH));
    let simple = Orders { lines: 1, payment: PaymentMethod::None };
    place(&mut group, "uniform", simple, || Shop::new(1_000));
    place(&mut group, "hot", simple, || Shop::new(1));
    place(&mut group, "three_lines", Orders { lines: 3, ..simple }, || Shop::new(1_000));
    place(&mut group, "sold_out", simple, || Shop::with_stock(1, 0));
    place_and_pay(&mut group);
    group.finish();
}

/// Places orders that stay open.
fn place(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    orders: Orders,
    open: impl Fn() -> Shop,
) {
    let mut shop = open();
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|iterations| {
            let mut spent = std::time::Duration::ZERO;
            for _ in 0..iterations {
                if shop.orders() >= ORDERS_MAX {
                    shop = open();
                }
                let payload = shop.place(BATCH, orders);
                let start = std::time::Instant::now();
                shop.apply(&payload);
                spent += start.elapsed();
            }
            spent
        });
    });
}

/// The whole life of orders: placed, claimed by the worker, paid.
fn place_and_pay(group: &mut BenchmarkGroup<'_, WallTime>) {
    group.bench_function("placed_and_paid", |bencher| {
        bencher.iter_batched_ref(
            || {
                let mut shop = Shop::new(1_000);
                let placed = shop.place(BATCH, Orders::SIMPLE);
                let [claimed, settled] = shop.pay(1, BATCH);
                (shop, [placed, claimed, settled])
            },
            |(shop, payloads)| {
                for payload in payloads {
                    shop.apply(payload);
                }
            },
            BatchSize::PerIteration,
        );
    });
}
