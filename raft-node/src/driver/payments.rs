//! The task that performs what the payment worker decides: proposals, calls to the gateway, timers.
//!
//! Calls are tasks, not threads, so thousands may be under way.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use engine::command::Command;
use engine::outcome::Outcome;
use engine::trace::TraceId;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::Handle;
use crate::payment::worker::{BatchId, Worker};
use crate::payment::{Answer, Charge, Config, PaymentGateway, Try};
use crate::shared::Shared;

/// How long a claim or result may take to be applied before it counts as lost.
const PROPOSAL_TIMEOUT: Duration = Duration::from_secs(3);

enum Done {
    Proposed(BatchId, Option<Outcome>),
    Called(Try, Answer),
}

/// Runs the worker until the task is dropped.
pub(crate) async fn run(
    shared: Arc<Shared>,
    handle: Handle,
    config: Config,
    gateway: Arc<dyn PaymentGateway>,
) {
    let call_timeout = Duration::from_millis(config.call_timeout_ms);
    let mut ticks = interval(Duration::from_millis(config.poll_ms));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut worker = Worker::new(shared.node(), shared.cluster_name.clone(), config);
    let mut tasks: JoinSet<Done> = JoinSet::new();
    shared.worker_alive.store(true, Ordering::Relaxed);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            Some(done) = tasks.join_next(), if !tasks.is_empty() => {
                take(&shared, &mut worker, done, &mut tasks, &gateway, call_timeout);
                while let Some(done) = tasks.try_join_next() {
                    take(&shared, &mut worker, done, &mut tasks, &gateway, call_timeout);
                }
                continue;
            }
        }
        let (leads, clock) = {
            let view = shared.view.read();
            (view.leads_in_term, view.clock)
        };
        let commands = worker.poll(leads, |limit| {
            let state = shared.state.read();
            state.due_payments(clock.max(state.clock()), limit)
        });
        for (batch, command) in commands {
            tasks.spawn(propose(handle.clone(), batch, command));
        }
        shared.calls_in_flight.store(worker.calls_in_flight(), Ordering::Relaxed);
    }
}

fn take(
    shared: &Shared,
    worker: &mut Worker,
    done: Result<Done, tokio::task::JoinError>,
    tasks: &mut JoinSet<Done>,
    gateway: &Arc<dyn PaymentGateway>,
    call_timeout: Duration,
) {
    match done {
        Ok(Done::Called(which, answer)) => worker.called(which, answer),
        Ok(Done::Proposed(batch, outcome)) => {
            for charge in worker.proposed(batch, outcome) {
                shared.counters.payment_calls.add(1);
                tasks.spawn(call(Arc::clone(gateway), charge, call_timeout));
            }
        }
        // Only a panicking gateway gets here, and only in builds that unwind.
        Err(error) => shared.fail(format!("a payment call panicked: {error}")),
    }
}

async fn propose(handle: Handle, batch: BatchId, command: Command) -> Done {
    let deadline = Instant::now() + PROPOSAL_TIMEOUT;
    let applied = handle.propose(command, TraceId::NONE, deadline).await;
    Done::Proposed(batch, applied.ok().map(|applied| applied.outcome))
}

async fn call(gateway: Arc<dyn PaymentGateway>, charge: Charge, limit: Duration) -> Done {
    let which = charge.which();
    let answer = timeout(limit, gateway.charge(charge)).await;
    Done::Called(which, answer.unwrap_or(Answer::NoAnswer))
}
