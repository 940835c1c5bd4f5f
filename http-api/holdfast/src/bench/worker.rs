//! One generator thread: its share of the connections, each sending one request after the other.
//!
//! Everything on the way of a request is plain numbers and reused buffers; what the threads share
//! is one counter, and the permits of the pacer when there is one.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::connection::{Answer, Connection, Error};
use super::distribution::Sampler;
use super::pace::Schedule;
use super::request::{ReadTemplate, Shape, Template, count_statuses};
use super::stats::Stats;

/// Pause after a connection broke, so that a dead server is not hammered.
const RECONNECT_PAUSE: Duration = Duration::from_millis(50);

/// Where requests go.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// For the `Host` header.
    pub(crate) host: String,
    /// Where to connect.
    pub(crate) address: SocketAddr,
}

/// When the parts of a run begin and end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    /// No request goes out before this.
    pub(crate) start: Instant,
    /// Requests that are due from here on are measured.
    pub(crate) measured_from: Instant,
    /// No request is due after this.
    pub(crate) end: Instant,
    /// Nothing is waited for after this.
    pub(crate) give_up: Instant,
}

/// Which request is sent when.
#[derive(Debug)]
pub(crate) enum Pace {
    /// As soon as the connection's last one is answered.
    Closed,
    /// When the schedule says so; a permit is released for each.
    Open {
        /// The due times.
        schedule: Schedule,
        /// One permit per request that is due.
        permits: Arc<Semaphore>,
    },
}

/// A run, shared by all generator threads.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Where requests go; connections are spread over them.
    pub(crate) targets: Vec<Target>,
    /// How requests look.
    pub(crate) shape: Shape,
    /// What is sold.
    pub(crate) products: Vec<u64>,
    /// Picks the product of an order or a read.
    pub(crate) sampler: Sampler,
    /// Of a hundred requests, how many read a product instead of ordering.
    pub(crate) reads: u64,
    /// How many users the orders are spread over, if they name users at all.
    pub(crate) users: u64,
    /// When they go out.
    pub(crate) pace: Pace,
    /// When the run ends.
    pub(crate) times: Times,
    /// Most requests in all.
    pub(crate) total: u64,
    /// The answer that an order is to have: 201, or 409 in a sold-out run.
    pub(crate) wanted: u16,
    /// Requests given out so far.
    pub(crate) given_out: AtomicU64,
    /// Requests sent so far.
    pub(crate) sent: AtomicU64,
}

impl Plan {
    /// The product that an order or a read of this number is about.
    fn product(&self, number: u64) -> u64 {
        self.products[self.sampler.choose(scatter(number), self.products.len())]
    }

    /// Counts what an answer came to.
    fn count(&self, stats: &mut Stats, read: bool, answer: &Answer<'_>, now: Instant) {
        let in_time = now <= self.times.end;
        if read {
            stats.reads += u64::from(answer.status == 200);
            stats.reads_in_time += u64::from(answer.status == 200 && in_time);
            if answer.status != 200 {
                stats.quote(answer.status, answer.body);
            }
            return;
        }
        let orders = match (self.shape.batch, answer.status) {
            (0 | 1, status) => u64::from(status == self.wanted),
            (_, 200) => count_statuses(answer.body, self.wanted),
            _ => 0,
        };
        if orders < self.shape.batch.max(1) as u64 {
            stats.quote(answer.status, answer.body);
        }
        stats.orders += orders;
        stats.in_time += if in_time { orders } else { 0 };
    }
}

/// Runs the connections with these numbers to the end of the plan. Blocks its thread.
pub(crate) fn run(plan: &Arc<Plan>, connections: Vec<usize>) -> std::io::Result<Stats> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let stats = Rc::new(RefCell::new(Stats::new()));
    let local = tokio::task::LocalSet::new();
    let in_time = local.block_on(&runtime, async {
        let mut tasks = JoinSet::new();
        for number in connections {
            let worker = Worker { plan: Arc::clone(plan), stats: Rc::clone(&stats), number };
            tasks.spawn_local(worker.run());
        }
        let all = async { while tasks.join_next().await.is_some() {} };
        tokio::time::timeout_at(plan.times.give_up.into(), all).await.is_ok()
    });
    if !in_time {
        tracing::debug!("connections were still waiting when the run had to end");
    }
    // Dropping the tasks counts what they still waited for, so it comes before reading.
    drop(local);
    let stats = Rc::into_inner(stats).expect("every task of this thread has been dropped");
    Ok(stats.into_inner())
}

/// The requests of one connection.
struct Templates {
    order: Template,
    read: ReadTemplate,
}

/// Makes the choice between reading and ordering independent of that of a product.
const READS: u64 = 0x5bd1_e995_9d1b_54a1;

/// One connection's place in the run.
struct Worker {
    plan: Arc<Plan>,
    stats: Rc<RefCell<Stats>>,
    number: usize,
}

/// Why a connection is not used any further.
enum End {
    /// The run is over.
    Over,
    /// The server said that it is going to close it.
    Closing,
    /// It broke.
    Broken(Error),
}

/// A request under way. Counts it as unanswered when the task is dropped before the answer.
struct InFlight<'a> {
    stats: &'a RefCell<Stats>,
    counts: bool,
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        if self.counts {
            self.stats.borrow_mut().unanswered += 1;
        }
    }
}

impl Worker {
    async fn run(self) {
        let plan = &*self.plan;
        let mut opened = 0;
        loop {
            // Another target after each broken connection: a cluster goes on when one node is gone.
            let target = &plan.targets[(self.number + opened) % plan.targets.len()];
            let end = match Connection::open(target.address).await {
                Ok(connection) => {
                    self.stats.borrow_mut().reconnects += u64::from(opened > 0);
                    let mut templates = Templates {
                        order: Template::new(&target.host, &plan.shape),
                        read: ReadTemplate::new(&target.host),
                    };
                    self.converse(connection, &mut templates).await
                }
                Err(error) => {
                    self.stats.borrow_mut().last_error = Some(error.to_string());
                    End::Closing
                }
            };
            match end {
                End::Over => return,
                End::Closing => {}
                End::Broken(error) => self.stats.borrow_mut().error(&error),
            }
            if Instant::now() >= plan.times.end {
                return;
            }
            tokio::time::sleep(RECONNECT_PAUSE).await;
            opened += 1;
        }
    }

    /// Sends requests until the run is over or the connection is.
    async fn converse(&self, mut connection: Connection, templates: &mut Templates) -> End {
        let plan = &*self.plan;
        tokio::time::sleep_until(plan.times.start.into()).await;
        let mut now = Instant::now();
        loop {
            let Some((number, due)) = self.next(now).await else { return End::Over };
            let read = scatter(number ^ READS) % 100 < plan.reads;
            let request = if read {
                templates.read.fill(plan.product(number))
            } else {
                let first = number * plan.shape.batch as u64;
                templates.order.fill(first, |order| {
                    let user = scatter(!order) % plan.users.max(1) + 1;
                    (plan.product(order), user)
                })
            };
            plan.sent.fetch_add(1, Ordering::Relaxed);
            let measured = due >= plan.times.measured_from;
            let mut in_flight = InFlight { stats: &self.stats, counts: measured };
            let outcome = connection.exchange(request).await;
            in_flight.counts = false;
            now = Instant::now();
            match outcome {
                Ok(answer) => {
                    if measured {
                        let mut stats = self.stats.borrow_mut();
                        let latency = now.saturating_duration_since(due);
                        stats.answer(read, answer.status, latency, now);
                        plan.count(&mut stats, read, &answer, now);
                    }
                    if answer.last {
                        return End::Closing;
                    }
                }
                Err(error) if measured => return End::Broken(error),
                Err(_) => return End::Closing,
            }
        }
    }

    /// The next request's number and the moment when it is due, once that has come.
    async fn next(&self, now: Instant) -> Option<(u64, Instant)> {
        let plan = &*self.plan;
        if matches!(plan.pace, Pace::Closed) && now >= plan.times.end {
            return None;
        }
        let number = plan.given_out.fetch_add(1, Ordering::Relaxed);
        if number >= plan.total {
            return None;
        }
        match &plan.pace {
            Pace::Closed => Some((number, now)),
            Pace::Open { schedule, permits } => {
                permits.acquire().await.ok()?.forget();
                Some((number, schedule.due(number)))
            }
        }
    }
}

/// Spreads consecutive numbers evenly and without pattern, the same in every run: the finalizer of
/// the SplitMix64 generator.
fn scatter(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
#[path = "worker_tests.rs"]
mod tests;
