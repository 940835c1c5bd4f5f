//! Runs a scenario: its virtual users, and the check of the thresholds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use client::wire::{OrderLineRequest, OrderRequest, ProductRequest};
use client::{Client, OrderQuery, Paging};
use indicatif::ProgressBar;
use parking_lot::Mutex;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::Scenario;
use super::verdict::{Rule, Tally, Verdict};
use crate::exit::CliError;
use crate::remote;

/// Pause of a user between two orders in `high-load`.
const THINK_TIME: Duration = Duration::from_secs(1);
/// Number of user ids in orders.
const USERS: u64 = 1_000;

/// The state that all users of a run share.
struct Stage {
    scenario: Scenario,
    client: Client,
    product: u64,
    key: String,
    start: Instant,
    end: Instant,
    gate: Barrier,
    tally: Mutex<Tally>,
    progress: ProgressBar,
}

/// Runs a scenario and checks its thresholds. `duration` is in seconds.
pub(crate) async fn run(
    scenario: Scenario,
    client: &Client,
    run: &str,
    duration: Option<u64>,
    progress: ProgressBar,
) -> Result<Verdict, CliError> {
    let product = ProductRequest {
        name: format!("bench {run} {scenario:?}"),
        price: "299.99".to_owned(),
        stock: scenario.stock(),
        ..ProductRequest::default()
    };
    let product = client.create_product(&product).await.map_err(|it| remote::failure(&it))?.id;
    let users = scenario.users();
    let start = Instant::now();
    let length = duration.map_or(scenario.duration(), Duration::from_secs);
    let stage = Arc::new(Stage {
        scenario,
        // Repetitions by the client would not be counted.
        client: client.with_attempts_max(1),
        product,
        key: format!("bench-{run}-same-key"),
        start,
        end: start + length,
        gate: Barrier::new(usize::try_from(users).expect("few users")),
        tally: Mutex::new(Tally::new()),
        progress,
    });
    let mut crew = JoinSet::new();
    for number in 0..users {
        crew.spawn(user(Arc::clone(&stage), number));
    }
    while let Some(ended) = crew.join_next().await {
        ended.map_err(|error| CliError::because("a user of the scenario failed", &error))?;
    }
    stage.progress.finish_and_clear();
    let seconds = start.elapsed().as_secs_f64();
    let tally = std::mem::replace(&mut *stage.tally.lock(), Tally::new());
    judge(&stage, tally, seconds).await
}

/// Runs one user.
async fn user(stage: Arc<Stage>, number: u64) {
    match stage.scenario {
        Scenario::Oversell | Scenario::Idempotency => {
            stage.gate.wait().await;
            order(&stage, number, number).await;
        }
        Scenario::HighLoad => {
            // Users arrive one by one, evenly over the whole time.
            let share = number as f64 / stage.scenario.users() as f64;
            let arrival = stage.start + (stage.end - stage.start).mul_f64(share);
            tokio::time::sleep_until(arrival.into()).await;
            for turn in 0.. {
                if Instant::now() >= stage.end {
                    return;
                }
                order(&stage, number, turn).await;
                let rest = stage.end.saturating_duration_since(Instant::now());
                tokio::time::sleep(THINK_TIME.min(rest)).await;
            }
        }
        Scenario::OrderTest => {
            for turn in 0.. {
                if Instant::now() >= stage.end {
                    return;
                }
                order(&stage, number, turn).await;
            }
        }
    }
}

/// Places one order at the node of this user, and counts the answer.
async fn order(stage: &Stage, number: u64, turn: u64) {
    let nodes = stage.client.base_urls().len() as u64;
    let node = usize::try_from(number % nodes).expect("few nodes");
    let client = stage.client.pinned(node).expect("below their number");
    let same_key = stage.scenario == Scenario::Idempotency;
    let request = OrderRequest {
        // Requests under one key must be equal.
        user_id: Some(if same_key { 1 } else { 1 + (number * 7_919 + turn * 104_729) % USERS }),
        items: vec![OrderLineRequest { product_id: stage.product, quantity: 1 }],
        payment_method: Some(stage.scenario.payment()),
        idempotency_key: same_key.then(|| stage.key.clone()),
        ..OrderRequest::default()
    };
    let asked = Instant::now();
    let answer = client.create_order(&request).await;
    let took = asked.elapsed();
    stage.progress.inc(1);
    let mut tally = stage.tally.lock();
    match answer {
        Ok(answer) => tally.count(answer.receipt.status, Some(answer.id), took),
        Err(error) => {
            let status = error.problem().map_or(0, |problem| problem.status);
            tally.count(status, None, took);
            tally.last_error = Some(remote::failure(&error).to_string());
        }
    }
}

/// Compares the counts, and the stock and orders in the cluster, with the thresholds.
async fn judge(stage: &Stage, tally: Tally, seconds: f64) -> Result<Verdict, CliError> {
    let failed = |error| remote::failure(&error);
    let product = stage.client.product(stage.product).await.map_err(failed)?;
    let paging = Paging::Page { page: 1, per_page: Some(1) };
    let query = OrderQuery { product_id: Some(stage.product), paging, ..OrderQuery::default() };
    let stored = stage.client.orders(&query).await.map_err(failed)?.meta.total.unwrap_or(0);
    let (created, existing) = (tally.with(201), tally.with(200));
    let rejected = tally.with(409);
    let rules = match stage.scenario {
        Scenario::Oversell => vec![
            Rule::count("orders_created_total", created, 1),
            Rule::count("orders_rejected_total", rejected, stage.scenario.users() - 1),
            Rule::count("orders_stored", stored, 1),
            Rule::count("units_left", product.stock, 0),
            Rule::count("units_reserved", product.reserved, 1),
        ],
        Scenario::Idempotency => vec![
            Rule::count("orders_created_total", created, 1),
            Rule::count("orders_unexpected_total", tally.total() - created - existing, 0),
            Rule::count("orders_stored", stored, 1),
        ],
        Scenario::HighLoad => vec![
            Rule::below("http_req_duration p(95)", tally.quantile_ms(0.95), 500.0),
            Rule::below("http_req_duration p(99)", tally.quantile_ms(0.99), 1_000.0),
            Rule::rate_below("http_req_failed", tally.failed_rate(), 0.1),
            Rule::rate_above("order_success_rate", 1.0 - tally.failed_rate(), 0.8),
            Rule::count("orders_stored", stored, created),
        ],
        Scenario::OrderTest => vec![
            Rule::count("status_is_not_201", tally.total() - created, 0),
            Rule::rate_below("http_req_failed", tally.failed_rate(), 0.01),
            Rule::count("orders_stored", stored, created),
        ],
    };
    let users = stage.scenario.users();
    Ok(Verdict { scenario: stage.scenario, users, seconds, rules, tally })
}
