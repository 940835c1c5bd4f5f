//! The payment worker: decides which tasks to claim, which calls to make, which results to propose.
//!
//! Claims and results are replicated in batches. A lost claim costs a lease; a lost result is
//! proposed again. Attempts are numbered, so a result counts once.

use engine::command::{ClaimPayments, Command, PaymentResult, SettlePayments, Verdict};
use engine::ids::{NodeId, OrderId, RefundId, Timestamp};
use engine::outcome::{ClaimedPayment, Outcome};
use engine::payment_keys::PaymentKeys;
use engine::state::DuePayment;
use rustc_hash::{FxHashMap, FxHashSet};

use super::breaker::{Breaker, Ended};
use super::refunds::{self, RefundDesk};
use super::{Answer, Capabilities, Charge, Config, GatewayState, ProposalId, RefundCall, Try};

/// Most open claims, in batches.
const CLAIMS_IN_FLIGHT_MAX: usize = 4;
/// After this many polls the worker starts again from the earliest task, since one may have become
/// due before those that it has seen. Without an open claim it does so at once.
const LOOKS_MAX: u32 = 64;
/// A key is not charged again within this time of its end at the provider, in milliseconds: the
/// provider's clock may differ, and a call takes time.
const RETENTION_MARGIN_MS: u64 = 3_600_000;
/// The wait after a fault that an operator has to repair, in milliseconds.
const FAULT_WAIT_MS: u64 = 10_000;
/// Bounds on the waits that a gateway may ask for, in milliseconds.
const ASKED_WAIT_MS_MIN: u64 = 1_000;
const ASKED_WAIT_MS_MAX: u64 = 86_400_000;
/// The wait for a busy gateway that names none, in milliseconds.
const BUSY_WAIT_MS: u64 = 5_000;
/// Most open results, in batches.
const RESULTS_IN_FLIGHT_MAX: usize = 4;

/// Decides for the payment task; see the module's documentation.
pub struct Worker {
    node: NodeId,
    cluster: String,
    capabilities: Capabilities,
    config: Config,
    breaker: Breaker,
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
    refunds: RefundDesk,
}

impl Worker {
    /// A worker of this node, in the cluster of this name, for a gateway that can do this.
    pub fn new(
        node: NodeId,
        cluster: String,
        capabilities: Capabilities,
        config: Config,
    ) -> Worker {
        Worker {
            node,
            cluster,
            capabilities,
            config,
            breaker: Breaker::new(),
            next_proposal: 1,
            claiming: FxHashSet::default(),
            claims: FxHashMap::default(),
            seen: None,
            looks: 0,
            calling: FxHashSet::default(),
            results: Vec::new(),
            settling: FxHashMap::default(),
            refunds: RefundDesk::new(),
        }
    }

    /// Returns the commands about refunds to propose at `now_ms` of a monotonic clock. `due`
    /// returns at most the given number of due refunds. The breaker lets as many through as
    /// payments.
    pub fn poll_refunds(
        &mut self,
        now_ms: u64,
        leads: bool,
        due: impl FnOnce(usize) -> Vec<RefundId>,
    ) -> Vec<(ProposalId, Command)> {
        let mut commands = Vec::new();
        let proposal = self.new_proposal();
        commands.extend(self.refunds.settle(proposal).map(|command| (proposal, command)));
        if leads {
            let proposal = self.new_proposal();
            let calls_max = self.breaker.calls_max(now_ms);
            let (node, lease_ms) = (self.node, self.config.lease_ms);
            let claim = self.refunds.claim(proposal, node, lease_ms, calls_max, due);
            commands.extend(claim.map(|command| (proposal, command)));
        }
        commands
    }

    /// Takes the outcome of a command about refunds; others are not its own. Returns the calls to
    /// make. `keys` are as for [`Worker::proposed`].
    pub fn refunds_proposed(
        &mut self,
        proposal: ProposalId,
        outcome: Option<&Outcome>,
        keys: &PaymentKeys,
    ) -> Vec<RefundCall> {
        let (cluster, capabilities) = (&self.cluster, self.capabilities);
        self.refunds.proposed(proposal, outcome, |claimed| {
            refunds::call(claimed, cluster, keys, capabilities, RETENTION_MARGIN_MS)
        })
    }

    /// A call about a refund ended at `now_ms`, after `unanswered` others.
    pub fn refunded(&mut self, now_ms: u64, refund: RefundId, unanswered: u32, answer: Answer) {
        if self.capabilities.is_remote {
            self.breaker.ended(now_ms, ended(&answer));
        }
        let verdict = refunds::verdict(&self.config, answer, unanswered);
        self.refunds.called(refund, verdict);
    }

    /// Open calls.
    pub fn calls_in_flight(&self) -> usize {
        self.calling.len()
    }

    /// What the breaker lets through.
    pub fn gateway_state(&self) -> GatewayState {
        self.breaker.state()
    }

    /// Returns the commands to propose at `now_ms` of a monotonic clock. `due` returns at most the
    /// given number of due tasks of the state, from a place on. A node that does not lead claims
    /// nothing, but still proposes the results of its calls.
    pub fn poll(
        &mut self,
        now_ms: u64,
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
        match leads {
            true => commands.extend(self.claim(now_ms, due)),
            // It knows nothing of a gateway that it does not call.
            false => self.breaker = Breaker::new(),
        }
        commands
    }

    fn claim(
        &mut self,
        now_ms: u64,
        due: impl FnOnce(Option<(Timestamp, OrderId)>, usize) -> Vec<DuePayment>,
    ) -> Option<(ProposalId, Command)> {
        self.looks += 1;
        let busy = self.calling.len() + self.claiming.len();
        let calls_max = match self.breaker.calls_max(now_ms) {
            Some(few) => few.min(self.config.calls_max),
            None => self.config.calls_max,
        };
        let room = calls_max.saturating_sub(busy).min(self.config.batch_max);
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
    /// `keys` are those of a state that has applied the command.
    pub fn proposed(
        &mut self,
        proposal: ProposalId,
        outcome: Option<Outcome>,
        keys: &PaymentKeys,
    ) -> Vec<Charge> {
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
            return claimed.into_iter().map(|claimed| self.call(claimed, keys)).collect();
        }
        if let Some(results) = self.settling.remove(&proposal)
            && !matches!(outcome, Some(Outcome::Settled(_)))
        {
            // A second proposal is harmless: it finds the attempt settled.
            self.results.extend(results);
        }
        Vec::new()
    }

    fn call(&mut self, claimed: ClaimedPayment, keys: &PaymentKeys) -> Charge {
        let ClaimedPayment { order, attempt, epoch, unanswered, amount, trace, .. } = claimed;
        self.calling.insert((order, attempt));
        let Capabilities { looks_up, key_retention_ms, .. } = self.capabilities;
        let is_kept = |kept| claimed.age_ms.saturating_add(RETENTION_MARGIN_MS) < kept;
        Charge {
            key: keys.attempt(&self.cluster, epoch, order, attempt),
            order,
            attempt,
            unanswered,
            amount,
            trace,
            look_up_first: claimed.maybe_sent && looks_up,
            may_charge: !claimed.maybe_sent || key_retention_ms.is_none_or(is_kept),
        }
    }

    /// A call ended at `now_ms`.
    pub fn called(&mut self, now_ms: u64, which: Try, answer: Answer) {
        let Try { order, attempt, unanswered } = which;
        self.calling.remove(&(order, attempt));
        if self.capabilities.is_remote {
            self.breaker.ended(now_ms, ended(&answer));
        }
        #[cfg(feature = "simulation")]
        let answer = crate::planted::misread(answer);
        let verdict = match answer {
            Answer::Succeeded => Verdict::Succeeded,
            Answer::Declined(mut reason) => {
                if reason.len() > 255 {
                    reason = reason.chars().take(80).collect::<String>().into();
                }
                let retry_in_ms = self.config.backoff(attempt.saturating_sub(1));
                Verdict::Declined { reason, retry_in_ms }
            }
            open => Verdict::NoAnswer { retry_in_ms: self.wait(&open, unanswered) },
        };
        self.results.push(PaymentResult { order, attempt, verdict });
    }

    /// How long to wait after an answer that decides nothing, when `unanswered` came before.
    fn wait(&self, answer: &Answer, unanswered: u32) -> u64 {
        let asked_for = |ms: u64| ms.clamp(ASKED_WAIT_MS_MIN, ASKED_WAIT_MS_MAX);
        let config = &self.config;
        match answer {
            Answer::Pending { ask_in_ms: Some(ms) } => asked_for(*ms),
            Answer::Pending { ask_in_ms: None } => config.look_up_wait(unanswered),
            Answer::Busy { retry_in_ms } => asked_for(retry_in_ms.unwrap_or(BUSY_WAIT_MS)),
            Answer::Faulty(fault) if !fault.is_of_payment => FAULT_WAIT_MS,
            Answer::Faulty(_) | Answer::Unseen => config.look_up_wait(unanswered),
            // Soon at first, then as often as a look-up is useful.
            Answer::Unknown if self.capabilities.looks_up => {
                let quick = u32::try_from(config.backoff_ms.len()).unwrap_or(u32::MAX);
                match unanswered.checked_sub(quick) {
                    None => config.backoff(unanswered),
                    Some(asked) => config.look_up_wait(asked),
                }
            }
            _ => config.backoff(unanswered),
        }
    }
}

/// What an answer says about the gateway.
fn ended(answer: &Answer) -> Ended {
    match answer {
        Answer::Succeeded | Answer::Declined(_) | Answer::Pending { .. } | Answer::Unseen => {
            Ended::Answered
        }
        Answer::Unknown => Ended::Unknown,
        Answer::Busy { retry_in_ms } => Ended::Busy(retry_in_ms.unwrap_or(BUSY_WAIT_MS)),
        Answer::Faulty(fault) if fault.is_of_payment => Ended::Answered,
        Answer::Faulty(_) => Ended::Refused,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use engine::money::Money;
    use engine::state::State;
    use engine::trace::TraceId;

    use super::*;
    use crate::payment::Fault;

    fn worker() -> Worker {
        let config = Config { calls_max: 3, batch_max: 2, ..Config::default() };
        Worker::new(NodeId(1), "shop".into(), Capabilities::default(), config)
    }

    fn keys() -> PaymentKeys {
        State::new().payment_keys()
    }

    fn claimed_of(order: u64) -> ClaimedPayment {
        ClaimedPayment {
            order: OrderId(order),
            attempt: 1,
            epoch: 0,
            unanswered: 0,
            maybe_sent: false,
            age_ms: 0,
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
        let first = worker.poll(0, true, due);
        assert_eq!(claims(&first), vec![1, 2]);
        let second = worker.poll(0, true, due);
        assert_eq!(claims(&second), vec![3], "only three calls may be under way");
        assert!(worker.poll(0, true, due).is_empty());
        let calls =
            worker.proposed(first[0].0, Some(Outcome::Claimed(vec![claimed_of(1)])), &keys());
        assert_eq!(calls.len(), 1);
        assert_eq!(calls[0].key, "shop-1-1");
        // The claim of 2 was refused, so it may be claimed again; 1 is being called.
        assert_eq!(claims(&worker.poll(0, true, due)), vec![2]);
        assert!(worker.poll(0, false, due).is_empty(), "who does not lead claims nothing");
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
        let mut worker = Worker::new(NodeId(1), "shop".into(), Capabilities::default(), config);
        let mut due: BTreeSet<_> = (1..=300).map(|id| (Timestamp(50), OrderId(id))).collect();
        let first = worker.poll(0, true, of(&due));
        assert_eq!(claims(&first), [1], "this claim stays under way");
        due.insert((Timestamp(40), OrderId(999)));
        let mut polls = 0;
        loop {
            polls += 1;
            assert!(polls <= LOOKS_MAX, "it was not looked for");
            let commands = worker.poll(0, true, of(&due));
            let claimed = claims(&commands);
            if claimed == [999] {
                break;
            }
            assert_eq!(claimed.len(), 1, "others are claimed meanwhile");
            due.remove(&(Timestamp(50), OrderId(claimed[0])));
            worker.proposed(
                commands[0].0,
                Some(Outcome::Claimed(vec![claimed_of(claimed[0])])),
                &keys(),
            );
        }
    }

    #[test]
    fn claims_under_way_hide_no_task_behind_them() {
        let config = Config { calls_max: 1_000, batch_max: 100, ..Config::default() };
        let mut worker = Worker::new(NodeId(1), "shop".into(), Capabilities::default(), config);
        let due: BTreeSet<_> = (1..=350).map(|id| (Timestamp(50), OrderId(id))).collect();
        for first in [1, 101, 201] {
            assert_eq!(claims(&worker.poll(0, true, of(&due)))[0], first);
        }
        worker.seen = None;
        assert_eq!(claims(&worker.poll(0, true, of(&due))), (301..=350).collect::<Vec<_>>());
    }

    #[test]
    fn results_are_handed_in_until_they_are_recorded() {
        let mut worker = worker();
        let claim = worker.poll(0, true, due);
        let calls =
            worker.proposed(claim[0].0, Some(Outcome::Claimed(vec![claimed_of(1)])), &keys());
        worker.called(0, calls[0].which(), Answer::Unknown);
        for _ in 0..2 {
            let commands = worker.poll(0, false, due);
            let [(proposal, Command::SettlePayments(settle))] = &commands[..] else {
                panic!("{commands:?}");
            };
            assert_eq!(settle.results[0].verdict, Verdict::NoAnswer { retry_in_ms: 1_000 });
            assert!(worker.proposed(*proposal, None, &keys()).is_empty());
        }
        let commands = worker.poll(0, false, due);
        worker.proposed(commands[0].0, Some(Outcome::Settled(1)), &keys());
        assert!(worker.poll(0, false, due).is_empty());
    }

    /// A worker for a gateway that is asked before it charges again and forgets keys after a day.
    fn careful() -> Worker {
        let capabilities =
            Capabilities { looks_up: true, is_remote: true, key_retention_ms: Some(86_400_000) };
        Worker::new(NodeId(1), "shop".into(), capabilities, Config::default())
    }

    #[test]
    fn what_may_have_been_sent_is_looked_up_and_not_charged_when_its_key_may_be_forgotten() {
        let mut worker = careful();
        let mut flags = |maybe_sent, age_ms| {
            let claimed = ClaimedPayment { maybe_sent, age_ms, ..claimed_of(1) };
            let charge = worker.call(claimed, &keys());
            (charge.look_up_first, charge.may_charge)
        };
        assert_eq!(flags(false, 0), (false, true));
        assert_eq!(flags(true, 0), (true, true));
        assert_eq!(flags(true, 82_799_999), (true, true));
        assert_eq!(flags(true, 82_800_000), (true, false), "an hour before the key's end");
        assert_eq!(flags(false, 90_000_000), (false, true), "a new attempt has a new key");
    }

    #[test]
    fn look_ups_become_rarer_and_the_gateway_may_say_when() {
        let worker = careful();
        let waits = |answer: &Answer| [0, 1, 3, 4, 99].map(|asked| worker.wait(answer, asked));
        let unknown = [1_000, 3_000, 10_000, 60_000, 86_400_000];
        assert_eq!(waits(&Answer::Unknown), unknown);
        let pending = Answer::Pending { ask_in_ms: None };
        assert_eq!(waits(&pending), [10_000, 60_000, 1_800_000, 7_200_000, 86_400_000]);
        let asked = |ms| worker.wait(&Answer::Pending { ask_in_ms: Some(ms) }, 9);
        assert_eq!([0, 2_500, u64::MAX].map(asked), [1_000, 2_500, 86_400_000]);
    }

    #[test]
    fn nothing_is_claimed_while_the_breaker_is_open() {
        let mut worker = careful();
        let first = worker.poll(0, true, due);
        let claimed = (1..=10).map(claimed_of).collect();
        let calls = worker.proposed(first[0].0, Some(Outcome::Claimed(claimed)), &keys());
        let fault = Fault { reason: "401".into(), is_of_payment: false };
        worker.called(0, calls[0].which(), Answer::Faulty(fault));
        assert_eq!(worker.gateway_state(), GatewayState::Open);
        for call in &calls[1..] {
            worker.called(0, call.which(), Answer::Succeeded);
        }
        let more = |after: Option<_>, limit| due(after.filter(|_| false), limit);
        assert_eq!(claims(&worker.poll(1, true, more)), Vec::<u64>::new());
        assert_eq!(claims(&worker.poll(5_000, true, more)), [1], "one at first");
    }
}
