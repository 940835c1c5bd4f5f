//! Keys: one idempotency key makes at most one order.

use std::collections::BTreeMap;

use super::verdict::{Checker, Judgement};
use crate::history::{Call, History, Items, Outcome, Reply};

/// Checks that no key made two orders, despite retries, restarts and changes of leader.
#[derive(Debug, Clone, Copy, Default)]
pub struct Keys;

impl Checker for Keys {
    fn name(&self) -> &'static str {
        "keys"
    }

    fn promise(&self) -> &'static str {
        "an idempotency key makes at most one order, and only for the request that used it first"
    }

    fn check(&self, history: &History) -> Judgement {
        let mut judgement = Judgement::default();
        let mut orders: BTreeMap<&str, BTreeMap<&str, usize>> = BTreeMap::new();
        let mut asked: BTreeMap<&str, Vec<&Items>> = BTreeMap::new();
        let mut keys_of: BTreeMap<&str, BTreeMap<&str, usize>> = BTreeMap::new();
        let mut repeated = 0;
        for operation in &history.operations {
            match (&operation.call, &operation.outcome) {
                (Call::PlaceOrder { key: Some(key), items }, outcome) => {
                    let asked = asked.entry(key).or_default();
                    repeated += usize::from(!asked.is_empty());
                    asked.push(items);
                    if let Outcome::Ok(Reply::Placed(order)) = outcome {
                        let line = operation.end_line.unwrap_or(operation.line);
                        orders.entry(key).or_default().entry(order).or_insert(line);
                        keys_of.entry(order).or_default().entry(key).or_insert(line);
                    }
                }
                (_, Outcome::Ok(Reply::Dump(dump))) => {
                    for order in &dump.orders {
                        let Some(key) = &order.key else { continue };
                        let line = operation.end_line.unwrap_or(operation.line);
                        orders.entry(key).or_default().entry(&order.order).or_insert(line);
                        let known = asked.get(key.as_str());
                        if known.is_some_and(|known| !known.contains(&&order.items)) {
                            let name = &order.order;
                            judgement.invalid(format!(
                                "order {name} under key {key} is of something that nobody asked \
                                 for under it (line {line})"
                            ));
                        }
                    }
                }
                _ => {}
            }
        }
        for (key, made) in orders.iter().filter(|(_, made)| made.len() > 1) {
            let made: Vec<String> =
                made.iter().map(|(order, line)| format!("{order} (line {line})")).collect();
            judgement.invalid(format!("key {key} made {}", made.join(" and ")));
        }
        for (order, keys) in keys_of.iter().filter(|(_, keys)| keys.len() > 1) {
            let keys: Vec<&str> = keys.keys().copied().collect();
            judgement
                .invalid(format!("order {order} was the answer for the keys {}", keys.join(", ")));
        }
        if asked.is_empty() {
            judgement.empty("no request had a key");
        }
        judgement.note(format!("{} keys, {repeated} requests that repeat one", asked.len()));
        judgement
    }
}
