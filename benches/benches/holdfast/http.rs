//! The whole path: three processes, one order per request, durable on a majority before its answer.

use std::cell::OnceCell;

use client::Client;
use client::wire::{OrderRequest, PaymentMethod, ProductRequest};
use criterion::{Criterion, Throughput, criterion_group};
use tokio::task::JoinSet;

criterion_group!(benches, http);

fn http(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime can be started");
    // The first bench that runs starts it, so that other parts of the benches do not pay for it.
    let started = OnceCell::new();
    let mut group = criterion.benchmark_group("http");
    group.sample_size(20);
    for at_once in [1, 64] {
        group.throughput(Throughput::Elements(at_once));
        group.bench_function(format!("three_processes_{at_once}_at_once"), |bencher| {
            let (_, client, product) = started.get_or_init(|| runtime.block_on(open()));
            bencher.iter(|| runtime.block_on(place(client, *product, at_once)));
        });
    }
    group.finish();
    // Ends the processes while the runtime still exists.
    drop(started);
}

/// Starts the cluster and creates a product.
async fn open() -> (tests::Cluster, Client, u64) {
    let cluster = tests::Options::new("bench").alone().start().await;
    // Its nodes are numbered from 1.
    let at = cluster.leader().await as usize - 1;
    let client = Client::builder()
        .base_url(cluster.caller().urls().swap_remove(at))
        .build()
        .expect("the cluster's URL is usable");
    let request = ProductRequest {
        name: "bench".to_owned(),
        price: "9.99".to_owned(),
        stock: 1_000_000_000,
        ..ProductRequest::default()
    };
    let product = client.create_product(&request).await.expect("a product can be created").id;
    (cluster, client, product)
}

/// Places orders concurrently, and waits for the last answer.
async fn place(client: &Client, product: u64, count: u64) {
    let mut calls = JoinSet::new();
    for _ in 0..count {
        let client = client.clone();
        calls.spawn(async move {
            let request = OrderRequest {
                payment_method: Some(PaymentMethod::None),
                ..OrderRequest::of([(product, 1)])
            };
            client.create_order(&request).await
        });
    }
    while let Some(call) = calls.join_next().await {
        let answer = call.expect("a call does not panic").expect("an order is placed");
        assert_eq!(answer.receipt.status, 201);
    }
}
