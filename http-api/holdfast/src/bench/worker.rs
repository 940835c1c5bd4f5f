//! A thread of the generator: runs its share of the connections, each with one open request.
//!
//! The path of a request uses only numbers and reused buffers. Threads share two counters, and the
//! permits of the pacer in an open loop.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::connection::{Answer, Connection, Error};
use super::distribution::Sampler;
use super::pace::Schedule;
use super::request::{ReadTemplate, Shape, Template, count_statuses};
use super::stats::Stats;

/// Pause before opening a broken connection again.
const RECONNECT_PAUSE: Duration = Duration::from_millis(50);

/// A node to send requests to.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// The `Host` header.
    pub(crate) host: String,
    /// The address to connect to.
    pub(crate) address: SocketAddr,
}

/// The times of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    /// The first request is due.
    pub(crate) start: Instant,
    /// Requests that are due from then on are measured.
    pub(crate) measured_from: Instant,
    /// The last request is due.
    pub(crate) end: Instant,
    /// The run stops waiting for answers.
    pub(crate) give_up: Instant,
}

/// When requests are sent.
#[derive(Debug)]
pub(crate) enum Pace {
    /// After the answer to the last request of the connection.
    Closed,
    /// When the schedule says so, with a permit per request.
    Open {
        /// The due times.
        schedule: Schedule,
        /// One permit per request that is due.
        permits: Arc<Semaphore>,
    },
}

/// The plan of a run, shared by all threads of the generator.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The nodes; connections take them in turn.
    pub(crate) targets: Vec<Target>,
    /// What all requests have in common.
    pub(crate) shape: Shape,
    /// The ids of the products.
    pub(crate) products: Vec<u64>,
    /// Picks the product of an order or a read.
    pub(crate) sampler: Sampler,
    /// Percentage of requests that read a product instead of ordering.
    pub(crate) reads: u64,
    /// Number of users, 0 for orders without a user.
    pub(crate) users: u64,
    /// When requests are sent.
    pub(crate) pace: Pace,
    /// The times of the run.
    pub(crate) times: Times,
    /// Most requests of the run.
    pub(crate) total: u64,
    /// The expected status of an order: 201, or 409 in a sold-out run.
    pub(crate) wanted: u16,
    /// Requests assigned so far.
    pub(crate) given_out: AtomicU64,
    /// Requests sent so far.
    pub(crate) sent: AtomicU64,
    /// Set to end the run early: no further request is sent.
    pub(crate) stopped: AtomicBool,
}

impl Plan {
    /// Ends the run early. Open requests are still answered.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        if let Pace::Open { permits, .. } = &self.pace {
            permits.close();
        }
    }

    /// Whether the run was ended early.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// The product of the order or read with this number.
    fn product(&self, number: u64) -> u64 {
        self.products[self.sampler.choose(scatter(number), self.products.len())]
    }

    /// Counts an answer.
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

/// Runs the connections of these numbers to the end of the plan. Blocks its thread.
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
        tracing::debug!("connections still waited for answers at the end of the run");
    }
    // Dropping a task counts its open request, so drop the tasks before reading the statistics.
    drop(local);
    let stats = Rc::into_inner(stats).expect("all tasks of this thread have been dropped");
    Ok(stats.into_inner())
}

/// The request templates of a connection.
struct Templates {
    order: Template,
    read: ReadTemplate,
}

/// Makes the choice between reading and ordering independent of the choice of a product.
const READS: u64 = 0x5bd1_e995_9d1b_54a1;

/// One connection's place in the run.
struct Worker {
    plan: Arc<Plan>,
    stats: Rc<RefCell<Stats>>,
    number: usize,
}

/// Why a connection ended.
enum End {
    /// The run is over.
    Over,
    /// The server closes it.
    Closing,
    /// It broke.
    Broken(Error),
}

/// An open request. It counts as unanswered if the task is dropped before the answer.
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
            // Try another target after each broken connection: one node may be down.
            let target = &plan.targets[(self.number + opened) % plan.targets.len()];
            let end = match Connection::open(target.address).await {
                Ok(connection) => {
                    self.stats.borrow_mut().reconnects += u64::from(opened > 0);
                    let mut templates = Templates {
                        order: Template::new(&target.host, &plan.shape),
                        read: ReadTemplate::new(&target.host, &plan.shape),
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
            if plan.is_stopped() || Instant::now() >= plan.times.end {
                return;
            }
            tokio::time::sleep(RECONNECT_PAUSE).await;
            opened += 1;
        }
    }

    /// Sends requests until the run or the connection ends.
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

    /// Waits until the next request is due. Returns its number and due time.
    async fn next(&self, now: Instant) -> Option<(u64, Instant)> {
        let plan = &*self.plan;
        let is_over = matches!(plan.pace, Pace::Closed) && now >= plan.times.end;
        if is_over || plan.is_stopped() {
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

/// Maps consecutive numbers to evenly distributed ones, the same in every run: the finalizer of
/// SplitMix64.
fn scatter(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
#[path = "worker_tests.rs"]
mod tests;
