//! Clients that place keyed orders without pause and remember every acknowledgement.
//!
//! A client follows the contract of the API: after "certainly not applied" or no answer, it asks
//! another node under the same key, until it knows the outcome of the order. It records every
//! answer that breaks the contract as a violation.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::caller::{Caller, NoAnswer};
use crate::seed::{Seed, any_node};
use crate::shop::{id, order, place, read_order};
use crate::wait;

/// Longest pause before a retry.
const RETRY_MS_MAX: u64 = 40;

/// An order that a node acknowledged.
#[derive(Debug, Clone)]
pub struct Acknowledged {
    /// The order's id.
    pub order: u64,
    /// The idempotency key of the order.
    pub key: String,
    /// When the answer came.
    pub at: Instant,
}

/// The records that all clients write to.
#[derive(Debug, Default)]
struct Book {
    acknowledged: Mutex<Vec<Acknowledged>>,
    violations: Mutex<Vec<String>>,
    retries: Mutex<BTreeMap<String, u64>>,
    stop: AtomicBool,
}

/// Running clients.
#[derive(Debug)]
pub struct Load {
    book: Arc<Book>,
    clients: JoinSet<()>,
}

/// What the clients recorded.
#[derive(Debug)]
pub struct Record {
    /// Every acknowledged order, by the time of the answer.
    pub acknowledged: Vec<Acknowledged>,
    /// Number of retries by reason.
    pub retries: BTreeMap<String, u64>,
}

impl Load {
    /// Starts `clients` clients that order one unit of `product` again and again, each request
    /// at a random node.
    #[must_use]
    pub fn start(
        caller: &Caller,
        seed: Seed,
        product: u64,
        payment_method: &str,
        clients: u64,
    ) -> Self {
        /// Loads of this process, so that no two of them share a key.
        static LOADS: AtomicU64 = AtomicU64::new(0);
        let number = LOADS.fetch_add(1, Ordering::Relaxed);
        let book = Arc::new(Book::default());
        let mut tasks = JoinSet::new();
        for client in 0..clients {
            let client = Client {
                name: format!("load-{number}-{client}"),
                caller: caller.clone(),
                body: order(product, 1, payment_method),
                random: seed.stream(1_000 + client),
                book: Arc::clone(&book),
            };
            tasks.spawn(client.run());
        }
        Self { book, clients: tasks }
    }

    /// Number of acknowledged orders so far.
    ///
    /// # Panics
    /// When a client panicked.
    #[must_use]
    pub fn acknowledged(&self) -> usize {
        self.book.acknowledged.lock().expect("no client panics with this lock").len()
    }

    /// Waits until `more` orders were acknowledged after this call.
    ///
    /// # Panics
    /// When that takes too long, or a client recorded a violation.
    pub async fn progress(&self, more: usize) {
        let goal = self.acknowledged() + more;
        wait::until("the clients went on", wait::READY, async || {
            self.assert_clean();
            let count = self.acknowledged();
            if count >= goal { Ok(()) } else { Err(format!("{count} of {goal} orders")) }
        })
        .await;
    }

    /// Waits until every client has finished its order, and returns what they recorded.
    ///
    /// # Panics
    /// When a client recorded a violation or cannot finish.
    pub async fn stop(self) -> Record {
        self.book.stop.store(true, Ordering::Relaxed);
        let joined = tokio::time::timeout(wait::READY, self.clients.join_all()).await;
        assert!(joined.is_ok(), "clients cannot finish their last order");
        let mut acknowledged = std::mem::take(&mut *self.book.acknowledged.lock().expect("lock"));
        acknowledged.sort_by_key(|acknowledged| acknowledged.at);
        let violations = std::mem::take(&mut *self.book.violations.lock().expect("lock"));
        assert!(violations.is_empty(), "{violations:#?}");
        let retries = std::mem::take(&mut *self.book.retries.lock().expect("lock"));
        Record { acknowledged, retries }
    }

    fn assert_clean(&self) {
        // A copy, so that a failing test does not take the lock with it.
        let violations = self.book.violations.lock().expect("lock").clone();
        assert!(violations.is_empty(), "{violations:#?}");
    }
}

impl Record {
    /// The longest time without an acknowledgement that ended after `from`: how long clients
    /// noticed a fault at that moment.
    ///
    /// # Panics
    /// When nothing was acknowledged after `from`.
    #[must_use]
    pub fn longest_gap(&self, from: Instant) -> Duration {
        let later = self.acknowledged.iter().map(|acknowledged| acknowledged.at);
        let mut last = from;
        let mut longest = None;
        for at in later.filter(|at| *at > from) {
            longest = longest.max(Some(at - last));
            last = at;
        }
        longest.expect("clients went on after the fault")
    }

    /// Checks that each of `nodes` has every acknowledged order under its key, and that no order
    /// has two keys.
    ///
    /// # Panics
    /// When an order is missing or has another key.
    pub async fn assert_kept(&self, caller: &Caller, nodes: &[u64]) {
        let mut seen = BTreeMap::new();
        for Acknowledged { order, key, .. } in &self.acknowledged {
            let other = seen.insert(*order, key);
            assert_eq!(other, None, "order {order} was acknowledged to two keys, also {key}");
        }
        for &node in nodes {
            let mut reads = JoinSet::new();
            for share in self.acknowledged.chunks(self.acknowledged.len().div_ceil(8).max(1)) {
                let (caller, share) = (caller.clone(), share.to_vec());
                reads.spawn(async move {
                    for Acknowledged { order, key, .. } in share {
                        let data = read_order(&caller, node, order).await;
                        assert_eq!(data["idempotency_key"], key, "order {order}: {data}");
                    }
                });
            }
            while let Some(read) = reads.join_next().await {
                read.unwrap_or_else(|error| panic!("node {node} lost an order: {error}"));
            }
        }
    }
}

/// One client.
struct Client {
    name: String,
    caller: Caller,
    body: Value,
    random: StdRng,
    book: Arc<Book>,
}

impl Client {
    async fn run(mut self) {
        let mut number = 0;
        while !self.book.stop.load(Ordering::Relaxed) {
            number += 1;
            let key = format!("{}-{number}", self.name);
            self.place(key).await;
        }
    }

    /// Places one order, and retries until it knows the outcome.
    async fn place(&mut self, key: String) {
        let call = place(&self.body).key(&key);
        let mut asked_again = false;
        loop {
            let node = any_node(&mut self.random, self.caller.nodes());
            match self.caller.send(node, &call).await {
                Ok(answer) if answer.status == 201 || (answer.status == 200 && asked_again) => {
                    let acknowledged =
                        Acknowledged { order: id(&answer.data()), key, at: Instant::now() };
                    self.book.acknowledged.lock().expect("lock").push(acknowledged);
                    return;
                }
                Ok(answer) if matches!(answer.status, 503 | 504) => {
                    let body = answer.problem_of_any_kind();
                    self.count_retry(body["error"].as_str().unwrap_or_default());
                }
                Ok(answer) => {
                    let text = format!("{}: {} {}", answer.asked, answer.status, answer.text());
                    return self.violation(text);
                }
                // Every request ends, also when the leader dies.
                Err(NoAnswer::Silence) => {
                    return self.violation(format!("node {node} never answered {key}"));
                }
                Err(NoAnswer::NotSent(_)) => self.count_retry("not sent"),
                Err(NoAnswer::Lost(_)) => self.count_retry("no answer"),
            }
            asked_again = true;
            // Jitter between attempts, so that clients do not storm a new leader.
            let pause = self.random.random_range(5..=RETRY_MS_MAX);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    fn violation(&self, text: String) {
        self.book.violations.lock().expect("lock").push(text);
    }

    fn count_retry(&self, reason: &str) {
        let mut retries = self.book.retries.lock().expect("lock");
        *retries.entry(reason.to_owned()).or_default() += 1;
    }
}
