//! The products that a run sells, created through the API before it begins.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use client::Client;
use client::wire::ProductRequest;
use tokio::task::JoinSet;

use super::request::NUMBER_MAX;
use crate::exit::Failure;
use crate::remote;

/// Units of each product: more than any run sells.
const STOCK: u64 = 1_000_000_000_000;
/// How many products are created at a time.
const AT_ONCE: usize = 64;

/// Creates `count` products of this run and gives their ids.
pub(crate) async fn create(
    client: &Client,
    run: &str,
    count: usize,
    sold_out: bool,
) -> Result<Vec<u64>, Failure> {
    let next = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..AT_ONCE.min(count) {
        let (client, run, next) = (client.clone(), run.to_owned(), Arc::clone(&next));
        tasks.spawn(async move {
            let mut ids = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed) + 1;
                if number > count {
                    return Ok(ids);
                }
                ids.push(create_one(&client, &run, number, sold_out).await?);
            }
        });
    }
    let mut ids = Vec::with_capacity(count);
    while let Some(done) = tasks.join_next().await {
        let some = done.map_err(|error| Failure::because("creating products", &error))?;
        ids.extend(some?);
    }
    ids.sort_unstable();
    Ok(ids)
}

async fn create_one(
    client: &Client,
    run: &str,
    number: usize,
    sold_out: bool,
) -> Result<u64, Failure> {
    let request = ProductRequest {
        name: format!("bench {run} {number}"),
        price: "9.99".to_owned(),
        stock: if sold_out { 0 } else { STOCK },
        ..ProductRequest::default()
    };
    let answer = client.create_product(&request).await.map_err(|error| remote::failure(&error))?;
    if answer.id > NUMBER_MAX {
        return Err(Failure::Failed(format!("product id {} is too large", answer.id)));
    }
    Ok(answer.id)
}
