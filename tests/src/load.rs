//! Clients that place keyed orders without pause and remember every acknowledgement.
//!
//! A client does what API.md asks of one: an answer that says "certainly not applied" or no
//! answer at all makes it ask another node again under the same key, and it never gives an order
//! up before it knows. Whatever breaks the contract is kept as a violation.

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

/// Longest pause before a client asks again.
const RETRY_MS_MAX: u64 = 40;

/// An order that a node said it had placed.
#[derive(Debug, Clone)]
pub struct Acknowledged {
    /// The order's id.
    pub order: u64,
    /// The key that made it.
    pub key: String,
    /// When the answer came.
    pub at: Instant,
}

/// What the clients share.
#[derive(Debug, Default)]
struct Book {
    acknowledged: Mutex<Vec<Acknowledged>>,
    violations: Mutex<Vec<String>>,
    retries: Mutex<BTreeMap<String, u64>>,
    stop: AtomicBool,
}

/// Clients at work.
#[derive(Debug)]
pub struct Load {
    book: Arc<Book>,
    clients: JoinSet<()>,
}

/// What the clients saw.
#[derive(Debug)]
pub struct Record {
    /// Every acknowledged order, by the time of the answer.
    pub acknowledged: Vec<Acknowledged>,
    /// How often clients had to ask again, by reason.
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

    /// How many orders were acknowledged so far.
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
    /// When that takes too long, or a client saw the contract broken.
    pub async fn progress(&self, more: usize) {
        let goal = self.acknowledged() + more;
        wait::until("the clients went on", wait::READY, async || {
            self.assert_clean();
            let count = self.acknowledged();
            if count >= goal { Ok(()) } else { Err(format!("{count} of {goal} orders")) }
        })
        .await;
    }

    /// Lets every client finish its order and returns what they saw.
    ///
    /// # Panics
    /// When a client saw the contract broken or cannot finish.
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
    /// The longest time without any acknowledgement that began at or after `from`, or that was
    /// under way then: what clients felt of a fault at that moment.
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

    /// Checks that every acknowledged order is there on every one of `nodes`, under its key, and
    /// that no two of them are one order.
    ///
    /// # Panics
    /// When one is missing or is another's.
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

    /// Places one order, however long it takes.
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
                // Every request ends, whatever became of the leader.
                Err(NoAnswer::Silence) => {
                    return self.violation(format!("node {node} never answered {key}"));
                }
                Err(NoAnswer::NotSent(_)) => self.count_retry("not sent"),
                Err(NoAnswer::Lost(_)) => self.count_retry("no answer"),
            }
            asked_again = true;
            // Jitter between attempts, as any client needs that must not storm a new leader.
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
