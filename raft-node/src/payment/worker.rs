//! The payment worker: decides which tasks to claim, which calls to make, which results to propose.
//!
//! Claims and results are replicated in batches. A lost claim costs a lease; a lost result is
//! proposed again. Attempts are numbered, so a result counts once.

use std::fmt::Write as _;

use engine::command::{ClaimPayments, Command, PaymentResult, SettlePayments, Verdict};
use engine::ids::{NodeId, OrderId, Timestamp};
use engine::outcome::{ClaimedPayment, Outcome};
use engine::state::DuePayment;
use rustc_hash::{FxHashMap, FxHashSet};

use super::{Answer, Charge, Config, Try};

/// Identifies a command that the worker proposed.
pub type ProposalId = u64;

/// Most open claims, in batches.
const CLAIMS_IN_FLIGHT_MAX: usize = 4;
/// After this many polls the worker starts again from the earliest task, since one may have become
/// due before those that it has seen. Without an open claim it does so at once.
const LOOKS_MAX: u32 = 64;
/// Room for the numbers of most keys.
const KEY_DIGITS: usize = 24;
/// Most open results, in batches.
const RESULTS_IN_FLIGHT_MAX: usize = 4;

/// Decides for the payment task; see the module's documentation.
pub struct Worker {
    node: NodeId,
    cluster: String,
    config: Config,
    next_proposal: ProposalId,
    /// Sets and maps here are only read by key, so their order decides nothing.
    claiming: FxHashSet<OrderId>,
    claims: FxHashMap<ProposalId, Vec<OrderId>>,
    /// The last task that was seen. Tasks up to it are claimed, as far as the worker knows.
    seen: Option<(Timestamp, OrderId)>,
    looks: u32,
    calling: FxHashSet<(OrderId, u32)>,
    results: Vec<PaymentResult>,
    settling: FxHashMap<ProposalId, Vec<PaymentResult>>,
}

impl Worker {
    /// A worker of this node, in the cluster of this name.
    pub fn new(node: NodeId, cluster: String, config: Config) -> Worker {
        Worker {
            node,
            cluster,
            config,
            next_proposal: 1,
            claiming: FxHashSet::default(),
            claims: FxHashMap::default(),
            seen: None,
            looks: 0,
            calling: FxHashSet::default(),
            results: Vec::new(),
            settling: FxHashMap::default(),
        }
    }

    /// Open calls.
    pub fn calls_in_flight(&self) -> usize {
        self.calling.len()
    }

    /// Returns the commands to propose now. `due` returns at most the given number of due tasks of
    /// the state, from a place on. A node that does not lead claims nothing, but still proposes the
    /// results of its calls.
    pub fn poll(
        &mut self,
        leads: bool,
        due: impl FnOnce(Option<(Timestamp, OrderId)>, usize) -> Vec<DuePayment>,
    ) -> Vec<(ProposalId, Command)> {
        let mut commands = Vec::new();
        while !self.results.is_empty() && self.settling.len() < RESULTS_IN_FLIGHT_MAX {
            let rest = self.results.split_off(self.results.len().min(self.config.batch_max));
            let results = std::mem::replace(&mut self.results, rest);
            let proposal = self.new_proposal();
            self.settling.insert(proposal, results.clone());
            commands.push((proposal, Command::SettlePayments(SettlePayments { results })));
        }
        if leads {
            commands.extend(self.claim(due));
        }
        commands
    }

    fn claim(
        &mut self,
        due: impl FnOnce(Option<(Timestamp, OrderId)>, usize) -> Vec<DuePayment>,
    ) -> Option<(ProposalId, Command)> {
        self.looks += 1;
        let busy = self.calling.len() + self.claiming.len();
        let room = self.config.calls_max.saturating_sub(busy).min(self.config.batch_max);
        if room == 0 || self.claims.len() >= CLAIMS_IN_FLIGHT_MAX {
            return None;
        }
        if self.claims.is_empty() || self.looks >= LOOKS_MAX {
            (self.seen, self.looks) = (None, 0);
        }
        let mut tasks = Vec::new();
        // Tasks with an open claim still look due, so ask for that many more.
        for DuePayment { due, order, attempt } in due(self.seen, room + self.claiming.len()) {
            if tasks.len() == room {
                break;
            }
            self.seen = Some((due, order));
            if !self.claiming.contains(&order) && !self.calling.contains(&(order, attempt)) {
                tasks.push((order, attempt));
            }
        }
        if tasks.is_empty() {
            return None;
        }
        let proposal = self.new_proposal();
        let orders: Vec<_> = tasks.iter().map(|(order, _)| *order).collect();
        self.claiming.extend(&orders);
        self.claims.insert(proposal, orders);
        let claim = ClaimPayments { node: self.node, lease_ms: self.config.lease_ms, tasks };
        Some((proposal, Command::ClaimPayments(claim)))
    }

    fn new_proposal(&mut self) -> ProposalId {
        self.next_proposal += 1;
        self.next_proposal
    }

    /// Takes the outcome of a proposed command; `None` if it is unknown. Returns the calls to make.
    pub fn proposed(&mut self, proposal: ProposalId, outcome: Option<Outcome>) -> Vec<Charge> {
        if let Some(orders) = self.claims.remove(&proposal) {
            for order in &orders {
                self.claiming.remove(order);
            }
            let claimed = match outcome {
                Some(Outcome::Claimed(claimed)) => claimed,
                // The claim may have been applied. Then its lease expires and the task is due
                // again.
                _ => Vec::new(),
            };
            if claimed.len() < orders.len() {
                // Some of them may still be due.
                self.seen = None;
            }
            return claimed.into_iter().map(|claimed| self.call(claimed)).collect();
        }
        if let Some(results) = self.settling.remove(&proposal)
            && !matches!(outcome, Some(Outcome::Settled(_)))
        {
            // A second proposal is harmless: it finds the attempt settled.
            self.results.extend(results);
        }
        Vec::new()
    }

    fn call(&mut self, claimed: ClaimedPayment) -> Charge {
        let ClaimedPayment { order, attempt, epoch, unanswered, amount, trace } = claimed;
        self.calling.insert((order, attempt));
        // A cluster made from another may give out an order id that the other has given out too.
        // The gateway must not take the two orders for one.
        let mut key = String::with_capacity(self.cluster.len() + KEY_DIGITS);
        key.push_str(&self.cluster);
        if epoch > 0 {
            let _ = write!(key, ".{epoch}");
        }
        let _ = write!(key, "-{order}-{attempt}");
        Charge { key, order, attempt, unanswered, amount, trace }
    }

    /// A call ended.
    pub fn called(&mut self, which: Try, answer: Answer) {
        let Try { order, attempt, unanswered } = which;
        self.calling.remove(&(order, attempt));
        let verdict = match answer {
            Answer::Succeeded => Verdict::Succeeded,
            Answer::Declined(mut reason) => {
                if reason.len() > 255 {
                    reason = reason.chars().take(80).collect::<String>().into();
                }
                let retry_in_ms = self.config.backoff(attempt.saturating_sub(1));
                Verdict::Declined { reason, retry_in_ms }
            }
            Answer::NoAnswer => Verdict::NoAnswer { retry_in_ms: self.config.backoff(unanswered) },
        };
        self.results.push(PaymentResult { order, attempt, verdict });
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use engine::money::Money;
    use engine::trace::TraceId;

    use super::*;

    fn worker() -> Worker {
        let config = Config { calls_max: 3, batch_max: 2, ..Config::default() };
        Worker::new(NodeId(1), "shop".into(), config)
    }

    fn claimed_of(order: u64) -> ClaimedPayment {
        ClaimedPayment {
            order: OrderId(order),
            attempt: 1,
            epoch: 0,
            unanswered: 0,
            amount: Money(100),
            trace: TraceId::NONE,
        }
    }

    fn due(after: Option<(Timestamp, OrderId)>, limit: usize) -> Vec<DuePayment> {
        let task = |order| DuePayment { due: Timestamp(5), order: OrderId(order), attempt: 1 };
        let first = after.map_or(0, |(_, order)| order.0);
        (first + 1..=10).map(task).take(limit).collect()
    }

    fn claims(commands: &[(ProposalId, Command)]) -> Vec<u64> {
        commands
            .iter()
            .filter_map(|(_, command)| match command {
                Command::ClaimPayments(claim) => Some(claim.tasks.iter().map(|(id, _)| id.0)),
                _ => None,
            })
            .flatten()
            .collect()
    }

    #[test]
    fn tasks_are_claimed_once_and_calls_are_bounded() {
        let mut worker = worker();
        let first = worker.poll(true, due);
        assert_eq!(claims(&first), vec![1, 2]);
        let second = worker.poll(true, due);
        assert_eq!(claims(&second), vec![3], "only three calls may be under way");
        assert!(worker.poll(true, due).is_empty());
        let calls = worker.proposed(first[0].0, Some(Outcome::Claimed(vec![claimed_of(1)])));
        assert_eq!(calls.len(), 1);
        assert_eq!(calls[0].key, "shop-1-1");
        let later = ClaimedPayment { epoch: 2, ..claimed_of(1) };
        assert_eq!(
            super::Worker::new(NodeId(1), "shop".into(), Config::default()).call(later).key,
            "shop.2-1-1"
        );
        // The claim of 2 was refused, so it may be claimed again; 1 is being called.
        assert_eq!(claims(&worker.poll(true, due)), vec![2]);
        assert!(worker.poll(false, due).is_empty(), "who does not lead claims nothing");
    }

    /// What the state tells of a set of due tasks.
    fn of(
        set: &BTreeSet<(Timestamp, OrderId)>,
    ) -> impl FnOnce(Option<(Timestamp, OrderId)>, usize) -> Vec<DuePayment> {
        move |after, limit| {
            let later = set.iter().filter(|place| after.is_none_or(|after| **place > after));
            let task = |&(due, order)| DuePayment { due, order, attempt: 1 };
            later.map(task).take(limit).collect()
        }
    }

    #[test]
    fn a_task_that_becomes_due_before_those_that_were_seen_is_claimed_all_the_same() {
        let config = Config { calls_max: 1_000, batch_max: 1, ..Config::default() };
        let mut worker = Worker::new(NodeId(1), "shop".into(), config);
        let mut due: BTreeSet<_> = (1..=300).map(|id| (Timestamp(50), OrderId(id))).collect();
        let first = worker.poll(true, of(&due));
        assert_eq!(claims(&first), [1], "this claim stays under way");
        due.insert((Timestamp(40), OrderId(999)));
        let mut polls = 0;
        loop {
            polls += 1;
            assert!(polls <= LOOKS_MAX, "it was not looked for");
            let commands = worker.poll(true, of(&due));
            let claimed = claims(&commands);
            if claimed == [999] {
                break;
            }
            assert_eq!(claimed.len(), 1, "others are claimed meanwhile");
            due.remove(&(Timestamp(50), OrderId(claimed[0])));
            worker.proposed(commands[0].0, Some(Outcome::Claimed(vec![claimed_of(claimed[0])])));
        }
    }

    #[test]
    fn claims_under_way_hide_no_task_behind_them() {
        let config = Config { calls_max: 1_000, batch_max: 100, ..Config::default() };
        let mut worker = Worker::new(NodeId(1), "shop".into(), config);
        let due: BTreeSet<_> = (1..=350).map(|id| (Timestamp(50), OrderId(id))).collect();
        for first in [1, 101, 201] {
            assert_eq!(claims(&worker.poll(true, of(&due)))[0], first);
        }
        worker.seen = None;
        assert_eq!(claims(&worker.poll(true, of(&due))), (301..=350).collect::<Vec<_>>());
    }

    #[test]
    fn results_are_handed_in_until_they_are_recorded() {
        let mut worker = worker();
        let claim = worker.poll(true, due);
        let calls = worker.proposed(claim[0].0, Some(Outcome::Claimed(vec![claimed_of(1)])));
        worker.called(calls[0].which(), Answer::NoAnswer);
        for _ in 0..2 {
            let commands = worker.poll(false, due);
            let [(proposal, Command::SettlePayments(settle))] = &commands[..] else {
                panic!("{commands:?}");
            };
            assert_eq!(settle.results[0].verdict, Verdict::NoAnswer { retry_in_ms: 1_000 });
            assert!(worker.proposed(*proposal, None).is_empty());
        }
        let commands = worker.poll(false, due);
        worker.proposed(commands[0].0, Some(Outcome::Settled(1)));
        assert!(worker.poll(false, due).is_empty());
    }
}
