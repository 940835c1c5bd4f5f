//! Whether enough happened for a history to prove anything.

use super::verdict::{Checker, Judgement};
use crate::history::{Call, History, Outcome, Reason};

/// Checks that enough happened in a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Enough {
    /// The least number of acknowledged orders.
    pub orders: usize,
    /// The least number of acknowledged cancels.
    pub cancels: usize,
    /// The least number of refusals for lack of stock.
    pub refusals: usize,
    /// The least number of faults whose effect the nemesis proved.
    pub faults: usize,
}

impl Checker for Enough {
    fn name(&self) -> &'static str {
        "enough"
    }

    fn promise(&self) -> &'static str {
        "enough happened, and every fault was seen to take effect"
    }

    fn check(&self, history: &History) -> Judgement {
        let mut judgement = Judgement::default();
        let count = |wanted: &dyn Fn(&Call, &Outcome) -> bool| {
            let operations = history.operations.iter();
            operations.filter(|operation| wanted(&operation.call, &operation.outcome)).count()
        };
        let orders = count(&|call, outcome| {
            matches!((call, outcome), (Call::PlaceOrder { .. }, Outcome::Ok(_)))
        });
        let cancels = count(&|call, outcome| {
            matches!((call, outcome), (Call::Cancel { .. }, Outcome::Ok(_)))
        });
        let refusals =
            count(&|_, outcome| matches!(outcome, Outcome::Fail(Reason::InsufficientStock)));
        let effect = |fault: &&crate::history::Fault| {
            fault.value.get("effect").is_some_and(|effect| !effect.is_null())
        };
        let proved = history.faults.iter().filter(effect).count();
        for (what, there, least) in [
            ("acknowledged orders", orders, self.orders),
            ("acknowledged cancels", cancels, self.cancels),
            ("refusals for lack of stock", refusals, self.refusals),
            ("faults that took effect", proved, self.faults),
        ] {
            if there < least {
                judgement.empty(format!("{there} {what}; at least {least} are needed"));
            }
        }
        if orders == 0 {
            judgement.empty("no order was acknowledged");
        }
        for fault in &history.faults {
            if fault.value.get("effect").is_some_and(serde_json::Value::is_null) {
                judgement.empty(format!("{} in line {} had no effect", fault.f, fault.line));
            }
        }
        judgement.note(format!(
            "{orders} orders, {cancels} cancels, {refusals} refusals, {proved} faults proved"
        ));
        judgement
    }
}
