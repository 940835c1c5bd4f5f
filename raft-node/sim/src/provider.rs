//! The payment provider: honours its keys, and keeps a ledger of its decisions.
//!
//! Verdicts come from production's simulated gateway. The provider loses some requests before it
//! sees them, loses some answers after it decided, and gets some requests twice.

use std::collections::BTreeMap;

use engine::ids::OrderId;
use raft_node::payment::{Answer, Charge, SimulatedGateway, SimulatedSettings};

use super::plan::ProviderPlan;

#[derive(Debug)]
pub(super) struct Provider {
    /// Gives the verdict on a key.
    verdicts: SimulatedGateway,
    /// Gives whether and when a try is answered. Its verdict is ignored.
    tries: SimulatedGateway,
    /// The attempts of each order, with their key and whether they were charged.
    ledger: BTreeMap<OrderId, BTreeMap<u32, (String, bool)>>,
}

/// The provider's reaction to a request.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) answer: Answer,
    /// Whether this request decided the attempt. Later ones under its key get the same answer.
    pub(super) decided: bool,
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
            ledger: BTreeMap::new(),
        }
    }

    /// From now on every try is answered, and quickly.
    pub(super) fn calm(&mut self) {
        let settings = SimulatedSettings { error_ppm: 0, delay_ms: 1..=20, success_ppm: 0 };
        self.tries = SimulatedGateway::new(settings);
    }

    /// The duration of this try, in milliseconds.
    pub(super) fn delay_ms(&self, charge: &Charge) -> u64 {
        self.tries.decide(charge).0
    }

    /// Takes a request.
    ///
    /// # Errors
    /// When it would charge an order twice, or begins an attempt before the last one was refused.
    pub(super) fn charge(&mut self, charge: &Charge) -> Result<Done, String> {
        let Charge { key, order, attempt, .. } = charge;
        let attempts = self.ledger.entry(*order).or_default();
        if let Some((known, _)) = attempts.get(attempt)
            && known != key
        {
            return Err(format!("attempt {attempt} of order {order} came as {known} and as {key}"));
        }
        for earlier in 1..*attempt {
            match attempts.get(&earlier) {
                Some((_, false)) => {}
                Some((_, true)) => {
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
        let verdict = self.verdicts.decide(charge).1;
        let charged = verdict == Answer::Succeeded;
        let before = attempts.insert(*attempt, (key.clone(), charged));
        let silent = self.tries.decide(charge).1 == Answer::NoAnswer;
        let answer = if silent { Answer::NoAnswer } else { verdict };
        Ok(Done { answer, decided: before.is_none() })
    }

    /// Returns whether this attempt was charged.
    pub(super) fn was_charged(&self, charge: &Charge) -> bool {
        let attempts = self.ledger.get(&charge.order);
        attempts.and_then(|all| all.get(&charge.attempt)).is_some_and(|(_, charged)| *charged)
    }

    /// The numbers of charges and refusals of an order.
    pub(super) fn of(&self, order: OrderId) -> (usize, usize) {
        let attempts = self.ledger.get(&order);
        let charged = |all: &BTreeMap<_, (String, bool)>| {
            all.values().filter(|(_, charged)| *charged).count()
        };
        let charged = attempts.map_or(0, charged);
        (charged, attempts.map_or(0, BTreeMap::len) - charged)
    }
}
