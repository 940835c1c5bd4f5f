//! Creates the products of a run through the API, before it starts.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use client::Client;
use client::wire::ProductRequest;
use tokio::task::JoinSet;

use super::request::NUMBER_MAX;
use crate::exit::CliError;
use crate::remote;

/// Units of each product: more than any run orders.
const STOCK: u64 = 1_000_000_000_000;
/// Most concurrent requests.
const CONCURRENCY: usize = 64;

/// Creates `count` products for this run and returns their ids.
pub(crate) async fn create(
    client: &Client,
    run: &str,
    count: usize,
    sold_out: bool,
) -> Result<Vec<u64>, CliError> {
    let next = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..CONCURRENCY.min(count) {
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
        let some = done.map_err(|error| CliError::because("cannot create the products", &error))?;
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
) -> Result<u64, CliError> {
    let request = ProductRequest {
        name: format!("bench {run} {number}"),
        price: "9.99".to_owned(),
        stock: if sold_out { 0 } else { STOCK },
        ..ProductRequest::default()
    };
    let answer = client.create_product(&request).await.map_err(|error| remote::failure(&error))?;
    if answer.id > NUMBER_MAX {
        return Err(CliError::Failed(format!(
            "product id {} is too large: expected at most {NUMBER_MAX}",
            answer.id
        )));
    }
    Ok(answer.id)
}
