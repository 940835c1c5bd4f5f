//! Transitions: orders move only as documented, and never leave a final status.

use std::collections::BTreeMap;

use super::verdict::{Checker, Judgement};
use crate::history::{Call, History, Outcome, Reply, Status};

/// Checks that everything seen of an order later can follow from what was seen before.
#[derive(Debug, Clone, Copy, Default)]
pub struct Transitions;

/// An order as seen at some moment between two times.
#[derive(Debug, Clone, Copy)]
struct Seen {
    since: u64,
    until: u64,
    status: Status,
    line: usize,
}

impl Checker for Transitions {
    fn name(&self) -> &'static str {
        "transitions"
    }

    fn promise(&self) -> &'static str {
        "an order moves only along the documented transitions and never leaves a final status"
    }

    fn check(&self, history: &History) -> Judgement {
        let mut judgement = Judgement::default();
        let mut seen: BTreeMap<&str, Vec<Seen>> = BTreeMap::new();
        for operation in &history.operations {
            let Some(until) = operation.returned() else { continue };
            let since = operation.invoked;
            let line = operation.end_line.unwrap_or(operation.line);
            let at = |status| Seen { since, until, status, line };
            match (&operation.call, &operation.outcome) {
                (Call::Cancel { order }, Outcome::Ok(_)) => {
                    seen.entry(order).or_default().push(at(Status::Cancelled));
                }
                (
                    Call::ReadOrder { order, stale: false },
                    Outcome::Ok(Reply::Order { status, .. }),
                ) => seen.entry(order).or_default().push(at(*status)),
                (_, Outcome::Ok(Reply::Dump(dump))) => {
                    for order in &dump.orders {
                        seen.entry(&order.order).or_default().push(at(order.status));
                    }
                }
                _ => {}
            }
        }
        let looks: usize = seen.values().map(Vec::len).sum();
        for (order, mut seen) in seen.iter().map(|(order, seen)| (order, seen.clone())) {
            seen.sort_by_key(|seen| seen.since);
            if let Some((first, second)) = contradiction(&seen) {
                judgement.invalid(format!(
                    "order {order} was {} (line {}) and later {} (line {})",
                    first.status, first.line, second.status, second.line
                ));
            }
        }
        if looks == 0 {
            judgement.empty("nobody read an order");
        }
        judgement.note(format!("{looks} looks at {} orders", seen.len()));
        judgement
    }
}

/// Two contradicting reads, the first of which ended before the second began.
fn contradiction(seen: &[Seen]) -> Option<(Seen, Seen)> {
    // Of each status, the read that ended first excludes the most.
    let mut over: BTreeMap<Status, Seen> = BTreeMap::new();
    for look in seen {
        let first = over.entry(look.status).or_insert(*look);
        if look.until < first.until {
            *first = *look;
        }
    }
    for look in seen {
        for first in over.values() {
            if first.until < look.since && !first.status.reaches(look.status) {
                return Some((*first, *look));
            }
        }
    }
    None
}
