//! Creates the products of a run through the API, before it starts.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use client::Client;
use client::wire::{HoldRequest, ProductRequest};
use tokio::task::JoinSet;

use super::request::NUMBER_MAX;
use crate::exit::CliError;
use crate::remote;

/// Units of each product: more than any run orders.
pub(crate) const STOCK: u64 = 1_000_000_000_000;
/// An instant that no run reaches.
pub(crate) const FUTURE: &str = "2999-01-01T00:00:00Z";
/// An instant before all runs.
pub(crate) const PAST: &str = "2020-01-01T00:00:00Z";
/// The first deadline of a hold comes after this many seconds, and one follows the other within
/// [`HOLDS_SPREAD_S`].
const HOLDS_FIRST_S: u64 = 30;
/// See [`HOLDS_FIRST_S`].
const HOLDS_SPREAD_S: u64 = 600;
/// Most concurrent requests.
const CONCURRENCY: usize = 64;

/// What the products of a run are like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Goods {
    /// Units of each.
    pub(crate) stock: u64,
    /// When their sale opens.
    pub(crate) opens_at: Option<&'static str>,
    /// When it closes.
    pub(crate) closes_at: Option<&'static str>,
}

/// Creates `count` holds of a product that no order of the run names.
pub(crate) async fn hold(client: &Client, run: &str, count: u64) -> Result<(), CliError> {
    if count == 0 {
        return Ok(());
    }
    let goods = Goods { stock: STOCK, opens_at: None, closes_at: None };
    let product = create_one(client, run, 0, goods).await?;
    let next = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..CONCURRENCY {
        let (client, next) = (client.clone(), Arc::clone(&next));
        tasks.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed) as u64;
                if number >= count {
                    return Ok(());
                }
                let request = HoldRequest {
                    ttl_seconds: Some(HOLDS_FIRST_S + number % HOLDS_SPREAD_S),
                    ..HoldRequest::of([(product, 1)])
                };
                client.create_hold(&request).await.map_err(|error| remote::failure(&error))?;
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.map_err(|error| CliError::because("cannot create the holds", &error))??;
    }
    Ok(())
}

/// Creates `count` products for this run and returns their ids.
pub(crate) async fn create(
    client: &Client,
    run: &str,
    count: usize,
    goods: Goods,
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
                ids.push(create_one(&client, &run, number, goods).await?);
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
    goods: Goods,
) -> Result<u64, CliError> {
    let request = ProductRequest {
        name: format!("bench {run} {number}"),
        price: "9.99".to_owned(),
        stock: goods.stock,
        opens_at: goods.opens_at.map(str::to_owned),
        closes_at: goods.closes_at.map(str::to_owned),
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
