//! The payment provider: honours its keys, and keeps a ledger of its decisions.
//!
//! Verdicts come from production's simulated gateway. The provider loses some requests before it
//! sees them, loses some answers after it decided, gets some requests twice, and decides some
//! payments late. Depending on the run it can be asked about a key without charging.

use std::collections::BTreeMap;

use engine::ids::OrderId;
use raft_node::payment::{
    Answer, Capabilities, Charge, RefundCall, SimulatedGateway, SimulatedSettings,
};

use super::plan::ProviderPlan;
use super::time::{MS, SECOND};

#[derive(Debug)]
pub(super) struct Provider {
    /// Gives the verdict on a key.
    verdicts: SimulatedGateway,
    /// Gives whether and when a try is answered. Its verdict is ignored.
    tries: SimulatedGateway,
    capabilities: Capabilities,
    /// How long a payment that is decided late waits at most, in microseconds.
    pending_us_max: u64,
    /// The refunds by key: the order, the amount, and whether the customer got it.
    refunds: BTreeMap<String, (OrderId, i64, bool)>,
    /// The attempts of each order.
    ledger: BTreeMap<OrderId, BTreeMap<u32, Attempt>>,
}

/// An attempt that the provider has seen.
#[derive(Debug)]
struct Attempt {
    key: String,
    amount: i64,
    is_charged: bool,
    /// When it is decided.
    decided_at: u64,
}

/// The provider's reaction to a request.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) answer: Answer,
    /// Whether this request began the attempt. Later ones under its key get the same verdict.
    pub(super) is_new: bool,
}

impl Provider {
    pub(super) fn new(plan: &ProviderPlan) -> Provider {
        let settings = |error_ppm| SimulatedSettings {
            success_ppm: plan.success_ppm,
            error_ppm,
            delay_ms: plan.delay_ms.0..=plan.delay_ms.1,
        };
        Provider {
            verdicts: SimulatedGateway::new(settings(0)),
            tries: SimulatedGateway::new(settings(plan.error_ppm)),
            capabilities: Capabilities {
                looks_up: plan.looks_up,
                is_remote: plan.has_breaker,
                key_retention_ms: None,
            },
            pending_us_max: plan.pending_ms_max * MS,
            refunds: BTreeMap::new(),
            ledger: BTreeMap::new(),
        }
    }

    /// Takes a request for a refund.
    ///
    /// # Errors
    /// When the customer would get more than was paid.
    pub(super) fn refund(&mut self, refund: &RefundCall) -> Result<Answer, String> {
        let answer = |is_given: bool| match is_given {
            true => Answer::Succeeded,
            false => Answer::Declined("refund declined".into()),
        };
        if let Some((.., is_given)) = self.refunds.get(&refund.key) {
            return Ok(answer(*is_given));
        }
        let (order, amount) = (refund.order, refund.amount.0);
        let attempts = self.ledger.get(&order).into_iter().flat_map(BTreeMap::values);
        let paid: i64 = attempts.filter(|one| one.is_charged).map(|one| one.amount).sum();
        // One that it has not charged was settled by an operator.
        let is_given = paid > 0 && amount % 7 != 3;
        if is_given && self.refunded(order) + amount > paid {
            return Err(format!("{} gives more back than the {paid} of order {order}", refund.key));
        }
        self.refunds.insert(refund.key.clone(), (order, amount, is_given));
        Ok(answer(is_given))
    }

    /// What the customer of an order got back.
    pub(super) fn refunded(&self, order: OrderId) -> i64 {
        let of_order = self.refunds.values().filter(|(of, _, is_given)| *of == order && *is_given);
        of_order.map(|(_, amount, _)| amount).sum()
    }

    pub(super) fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    /// From now on every try is answered, and quickly. What is pending is decided within a second.
    pub(super) fn calm(&mut self, now: u64) {
        let settings = SimulatedSettings { error_ppm: 0, delay_ms: 1..=20, success_ppm: 0 };
        self.tries = SimulatedGateway::new(settings);
        for attempt in self.ledger.values_mut().flat_map(BTreeMap::values_mut) {
            attempt.decided_at = attempt.decided_at.min(now + SECOND);
        }
    }

    /// The duration of this try, in milliseconds.
    pub(super) fn delay_ms(&self, charge: &Charge) -> u64 {
        self.tries.decide(charge).0
    }

    /// Takes a request to charge. `is_pending` says whether a new attempt is decided late.
    ///
    /// # Errors
    /// When it would charge an order twice, or begins an attempt before the last one was refused.
    pub(super) fn charge(
        &mut self,
        now: u64,
        charge: &Charge,
        is_pending: bool,
    ) -> Result<Done, String> {
        let Charge { key, order, attempt, .. } = charge;
        let attempts = self.ledger.entry(*order).or_default();
        if let Some(Attempt { key: known, .. }) = attempts.get(attempt)
            && known != key
        {
            return Err(format!("attempt {attempt} of order {order} came as {known} and as {key}"));
        }
        for earlier in 1..*attempt {
            match attempts.get(&earlier) {
                Some(attempt) if attempt.decided_at > now => {
                    return Err(format!("order {order} is charged again while {earlier} pends"));
                }
                Some(Attempt { is_charged: false, .. }) => {}
                Some(_) => {
                    return Err(format!("order {order} is charged again by attempt {attempt}"));
                }
                None => {
                    return Err(format!(
                        "attempt {attempt} of order {order} began before attempt {earlier} was \
                         refused"
                    ));
                }
            }
        }
        let is_new = !attempts.contains_key(attempt);
        if is_new {
            let is_charged = self.verdicts.decide(charge).1 == Answer::Succeeded;
            let wait = if is_pending { 1 + charge.amount.0.unsigned_abs() * MS } else { 0 };
            let decided_at = now + wait.min(self.pending_us_max);
            let (key, amount) = (key.clone(), charge.amount.0);
            attempts.insert(*attempt, Attempt { key, amount, is_charged, decided_at });
        }
        Ok(Done { answer: self.answer(now, charge), is_new })
    }

    /// Takes a question about a key.
    pub(super) fn look_up(&self, now: u64, charge: &Charge) -> Answer {
        let is_known = self.attempt(charge).is_some_and(|attempt| attempt.key == charge.key);
        match is_known {
            true => self.answer(now, charge),
            false => Answer::Unseen,
        }
    }

    fn attempt(&self, charge: &Charge) -> Option<&Attempt> {
        self.ledger.get(&charge.order).and_then(|all| all.get(&charge.attempt))
    }

    /// The answer about an attempt that it has seen.
    fn answer(&self, now: u64, charge: &Charge) -> Answer {
        let attempt = self.attempt(charge).expect("the attempt was seen");
        if self.tries.decide(charge).1 == Answer::Unknown {
            return Answer::Unknown;
        }
        match attempt.decided_at > now {
            true => Answer::Pending { ask_in_ms: None },
            false => self.verdicts.decide(charge).1,
        }
    }

    /// Returns whether this attempt was or will be charged.
    pub(super) fn is_charged(&self, charge: &Charge) -> bool {
        self.attempt(charge).is_some_and(|attempt| attempt.is_charged)
    }

    /// The numbers of charges and refusals of an order.
    pub(super) fn of(&self, order: OrderId) -> (usize, usize) {
        let Some(attempts) = self.ledger.get(&order) else { return (0, 0) };
        let charged = attempts.values().filter(|attempt| attempt.is_charged).count();
        (charged, attempts.len() - charged)
    }
}
