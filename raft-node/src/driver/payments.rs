//! The task that performs what the payment worker decides: proposals, gateway calls, timers.
//!
//! Calls wait in tasks, not threads, so thousands can be open. One task makes all calls of a claim:
//! a task and a timer per call would cost more than an order does.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use engine::command::Command;
use engine::ids::RefundId;
use engine::outcome::Outcome;
use engine::trace::TraceId;
use futures_util::stream::StreamExt as _;
use tokio::sync::mpsc;
use tokio::task::{JoinSet, unconstrained};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::handle::Handle;
use crate::payment::worker::Worker;
use crate::payment::{Answer, Charge, Config, PaymentGateway, ProposalId, RefundCall, Try};
use crate::shared::Shared;

/// How long a claim or result may take to be applied before it counts as lost.
const PROPOSAL_TIMEOUT: Duration = Duration::from_secs(3);

enum Done {
    Proposed(ProposalId, Option<Outcome>),
    /// All calls of a claim have ended.
    Called,
    /// A call about a refund has ended, after so many without an answer.
    Refunded(RefundId, u32, Answer),
}

/// The gateway's answer, unchanged.
type Answers = Vec<(Try, Answer)>;

/// Makes the calls of a claim.
struct Calls {
    gateway: Arc<dyn PaymentGateway>,
    /// How long a call may take.
    limit: Duration,
    /// Holds as many answers as there are open calls, which the worker bounds.
    answers: mpsc::UnboundedSender<Answers>,
}

/// Runs the worker until the task is dropped.
pub(crate) async fn run(
    shared: Arc<Shared>,
    handle: Handle,
    config: Config,
    gateway: Arc<dyn PaymentGateway>,
) {
    let (answers, mut answered) = mpsc::unbounded_channel();
    let limit = Duration::from_millis(config.call_timeout_ms);
    let (can_charge, capabilities) = (gateway.is_there(), gateway.capabilities());
    let method = gateway.method();
    let calls = Calls { gateway, limit, answers };
    let mut ticks = interval(Duration::from_millis(config.poll_ms));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (node, cluster) = (shared.node(), shared.cluster_name.clone());
    let mut worker = Worker::new(node, cluster, capabilities, config);
    let mut tasks: JoinSet<Done> = JoinSet::new();
    shared.worker_alive.store(true, Ordering::Relaxed);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            Some(answers) = answered.recv() => {
                take_answers(&shared, &mut worker, answers);
                continue;
            }
            Some(done) = tasks.join_next(), if !tasks.is_empty() => {
                take(&shared, &mut worker, done, &mut tasks, &calls);
                continue;
            }
        }
        let (leads, clock) = {
            let view = shared.view.read();
            (view.leads_in_term, view.clock)
        };
        let now_ms = shared.now().mono_ms;
        let commands = worker.poll(now_ms, leads && can_charge, |after, limit| {
            let state = shared.state.read();
            state.due_payments(method, clock.max(state.clock()), after, limit)
        });
        let refunds = worker.poll_refunds(now_ms, leads && can_charge, |limit| {
            let state = shared.state.read();
            state.due_refunds(method, clock.max(state.clock()), limit)
        });
        for (proposal, command) in commands.into_iter().chain(refunds) {
            tasks.spawn(propose(handle.clone(), proposal, command));
        }
        shared.calls_in_flight.store(worker.calls_in_flight(), Ordering::Relaxed);
        shared.gateway.show(worker.gateway_state());
    }
}

/// Hands answers to the worker, and tells the operator of faults.
fn take_answers(shared: &Shared, worker: &mut Worker, answers: Answers) {
    let now_ms = shared.now().mono_ms;
    for (which, answer) in answers {
        shared.gateway.count(&answer);
        if let Answer::Faulty(fault) = &answer {
            let (order, attempt) = (which.order.0, which.attempt);
            tracing::error!(order, attempt, reason = %fault.reason, "payment_gateway_fault");
            shared.gateway.found(fault);
        }
        let before = worker.gateway_state();
        worker.called(now_ms, which, answer);
        let state = worker.gateway_state();
        if state != before {
            tracing::warn!(state = state.as_str(), "payment_gateway_breaker");
        }
    }
}

fn take(
    shared: &Shared,
    worker: &mut Worker,
    done: Result<Done, tokio::task::JoinError>,
    tasks: &mut JoinSet<Done>,
    calls: &Calls,
) {
    match done {
        Ok(Done::Called) => {}
        Ok(Done::Refunded(refund, unanswered, answer)) => {
            shared.gateway.count(&answer);
            if let Answer::Faulty(fault) = &answer {
                tracing::error!(refund = refund.0, reason = %fault.reason, "refund_fault");
            }
            worker.refunded(shared.now().mono_ms, refund, unanswered, answer);
        }
        Ok(Done::Proposed(proposal, outcome)) => {
            // The state has applied the claim, so an order keeps the key that it gets here.
            let keys = shared.state.read().payment_keys();
            for refund in worker.refunds_proposed(proposal, outcome.as_ref(), &keys) {
                tasks.spawn(give_back(Arc::clone(&calls.gateway), refund, calls.limit));
            }
            let charges = worker.proposed(proposal, outcome, &keys);
            if !charges.is_empty() {
                shared.counters.payment_calls.add(charges.len() as u64);
                let (gateway, answers) = (Arc::clone(&calls.gateway), calls.answers.clone());
                tasks.spawn(call(gateway, charges, calls.limit, answers));
            }
        }
        // Only a panicking gateway gets here, and only in builds that unwind.
        Err(error) => shared.fail(format!("a payment call panicked: {error}")),
    }
}

async fn propose(handle: Handle, proposal: ProposalId, command: Command) -> Done {
    let deadline = Instant::now() + PROPOSAL_TIMEOUT;
    let applied = handle.propose(command, TraceId::NONE, deadline).await;
    Done::Proposed(proposal, applied.ok().map(|applied| applied.outcome))
}

/// Makes the call for a refund.
async fn give_back(gateway: Arc<dyn PaymentGateway>, refund: RefundCall, limit: Duration) -> Done {
    let (id, unanswered) = (refund.refund, refund.unanswered);
    let answer = timeout(limit, gateway.settle_refund(refund)).await;
    Done::Refunded(id, unanswered, answer.unwrap_or(Answer::Unknown))
}

/// Makes the calls of one claim. A call without an answer in time counts as unanswered.
async fn call(
    gateway: Arc<dyn PaymentGateway>,
    charges: Vec<Charge>,
    limit: Duration,
    answers: mpsc::UnboundedSender<Answers>,
) -> Done {
    let mut open: Vec<Option<Try>> = charges.iter().map(|charge| Some(charge.which())).collect();
    let mut calls = gateway.settle_all(charges);
    let hand_on = async {
        while let Some(answered) = calls.next().await {
            // A second answer to a call is ignored.
            let mut which = |at: usize| open.get_mut(at).and_then(Option::take);
            let told = answered.into_iter().filter_map(|(at, answer)| Some((which(at)?, answer)));
            // The worker is gone only when the node stops.
            let _ = answers.send(told.collect());
        }
    };
    // The calls take turns by themselves. With a budget for each, most would be polled in vain.
    let _ = timeout(limit, unconstrained(hand_on)).await;
    let unanswered: Answers =
        open.into_iter().flatten().map(|which| (which, Answer::Unknown)).collect();
    if !unanswered.is_empty() {
        let _ = answers.send(unanswered);
    }
    Done::Called
}

#[cfg(test)]
mod tests {
    use engine::ids::OrderId;
    use engine::money::Money;

    use super::*;
    use crate::payment::gateway::Call;

    /// Answers orders with even numbers, and never the others.
    struct Half;

    impl PaymentGateway for Half {
        fn charge(&self, charge: Charge) -> Call<'_> {
            match charge.order.0 % 2 {
                0 => Box::pin(std::future::ready(Answer::Succeeded)),
                _ => Box::pin(std::future::pending()),
            }
        }
    }

    #[tokio::test]
    async fn each_call_has_one_answer_and_those_that_take_too_long_have_none() {
        let charge = |order| Charge {
            key: format!("k-{order}"),
            order: OrderId(order),
            attempt: 1,
            unanswered: 3,
            amount: Money(1),
            trace: TraceId::NONE,
            look_up_first: false,
            may_charge: true,
        };
        let (answers, mut answered) = mpsc::unbounded_channel();
        let charges = (1..=500).map(charge).collect();
        let limit = Duration::from_millis(20);
        assert!(matches!(call(Arc::new(Half), charges, limit, answers).await, Done::Called));
        let mut all = Vec::new();
        while let Some(told) = answered.recv().await {
            all.extend(told);
        }
        all.sort_by_key(|(which, _)| which.order);
        assert_eq!(all.len(), 500);
        for (order, (which, answer)) in (1..).zip(all) {
            assert_eq!((which.order, which.unanswered), (OrderId(order), 3));
            let wanted = if order % 2 == 0 { Answer::Succeeded } else { Answer::Unknown };
            assert_eq!(answer, wanted, "order {order}");
        }
    }
}
