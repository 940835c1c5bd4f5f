//! Conservation: no unit is sold twice and none is lost.

use std::collections::BTreeMap;

use super::verdict::{Checker, Judgement, describe};
use crate::history::{Call, Dump, History, Outcome, Reply};

/// Checks that initial units = remaining units + units in orders and holds that keep them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Conservation;

impl Checker for Conservation {
    fn name(&self) -> &'static str {
        "conservation"
    }

    fn promise(&self) -> &'static str {
        "initial stock = remaining stock + units in orders and holds that keep them; never negative"
    }

    fn check(&self, history: &History) -> Judgement {
        let mut judgement = Judgement::default();
        let mut first: BTreeMap<&str, i64> = BTreeMap::new();
        let mut dumps = 0;
        for operation in &history.operations {
            match (&operation.call, &operation.outcome) {
                (Call::CreateProduct { product, stock }, Outcome::Ok(_)) => {
                    first.insert(product, i64::try_from(*stock).unwrap_or(i64::MAX));
                }
                (_, Outcome::Ok(Reply::Stock(stock))) if *stock < 0 => {
                    judgement.invalid(format!("{} is negative", describe(operation)));
                }
                _ => {}
            }
        }
        for operation in &history.operations {
            if let Outcome::Ok(Reply::Dump(dump)) = &operation.outcome {
                dumps += 1;
                check_dump(dump, &first, &mut judgement);
            }
        }
        if dumps == 0 || first.is_empty() {
            judgement.empty("no final state of a node, or no product that was created");
        }
        judgement.note(format!("{} products in {dumps} final states", first.len()));
        judgement
    }
}

fn check_dump(dump: &Dump, first: &BTreeMap<&str, i64>, judgement: &mut Judgement) {
    let mut kept: BTreeMap<&str, i128> = BTreeMap::new();
    for order in dump.orders.iter().filter(|order| order.status.keeps_stock()) {
        for (product, qty) in &order.items {
            *kept.entry(product).or_default() += i128::from(*qty);
        }
    }
    for hold in dump.holds.iter().filter(|hold| hold.active) {
        *kept.entry(&hold.product).or_default() += i128::from(hold.qty);
    }
    let node = &dump.node;
    let mut shown: BTreeMap<&str, i64> = BTreeMap::new();
    for row in &dump.products {
        shown.insert(&row.product, row.stock);
        if row.stock < 0 {
            judgement.invalid(format!("{node} has {} of {}", row.stock, row.product));
        }
    }
    for (product, first) in first {
        let Some(left) = shown.get(product) else {
            judgement.invalid(format!("{node} has lost product {product}"));
            continue;
        };
        let kept = kept.get(product).copied().unwrap_or(0);
        if i128::from(*first) != i128::from(*left) + kept {
            judgement.invalid(format!(
                "{node}: {product} began with {first}, has {left} left and {kept} in orders and \
                 holds"
            ));
        }
    }
}
