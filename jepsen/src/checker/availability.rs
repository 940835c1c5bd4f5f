//! Availability: with a majority there is service, and after all faults service returns.

use std::time::Duration;

use super::verdict::{Checker, Judgement};
use crate::history::{History, Operation};

/// Checks how long clients got no answer, against what the nemesis recorded about the cluster.
///
/// An event of the nemesis may contain `"majority": true` or `false`: whether a majority is running
/// and connected from then on. Before the first such event it is.
#[derive(Debug, Clone, Copy)]
pub struct Availability {
    /// The longest allowed time without a success while there is a majority.
    pub gap_max: Duration,
}

impl Default for Availability {
    fn default() -> Self {
        Self { gap_max: Duration::from_secs(60) }
    }
}

/// A time with a majority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    since: u64,
    until: u64,
}

impl Availability {
    /// The longest time without a success in the whole history, in nanoseconds.
    #[must_use]
    pub fn longest_gap(history: &History) -> u64 {
        let Some((since, until)) = clients(history) else { return 0 };
        longest(&successes(history), Span { since, until })
    }
}

impl Checker for Availability {
    fn name(&self) -> &'static str {
        "availability"
    }

    fn promise(&self) -> &'static str {
        "there is service while there is a majority, and again after all faults end"
    }

    fn check(&self, history: &History) -> Judgement {
        let mut judgement = Judgement::default();
        let successes = successes(history);
        let Some((since, until)) = clients(history) else {
            judgement.empty("no client sent a request");
            return judgement;
        };
        if successes.is_empty() {
            judgement.empty("nothing succeeded");
            return judgement;
        }
        let allowed = u64::try_from(self.gap_max.as_nanos()).unwrap_or(u64::MAX);
        for span in spans(history, since, until) {
            let gap = longest(&successes, span);
            if gap > allowed {
                judgement.invalid(format!(
                    "{:.1} s without a success from {:.1} s to {:.1} s, though a majority was there",
                    seconds(gap),
                    seconds(span.since),
                    seconds(span.until)
                ));
            }
        }
        let longest = Self::longest_gap(history);
        judgement.note(format!("longest time without a success {:.1} s", seconds(longest)));
        judgement
    }
}

fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}

/// When clients began and when the last of them got its answer.
fn clients(history: &History) -> Option<(u64, u64)> {
    let since = history.client_operations().map(|operation| operation.invoked).min()?;
    let until = history.client_operations().filter_map(|operation| operation.ended).max()?;
    Some((since, until))
}

/// The times of successes and of refusals by the rules, in order.
fn successes(history: &History) -> Vec<u64> {
    let mut times: Vec<u64> = history
        .client_operations()
        .filter(|operation| !operation.is_stale())
        .filter(|operation| operation.is_ok() || operation.is_refused())
        .filter_map(Operation::returned)
        .collect();
    times.sort_unstable();
    times
}

/// The times with a majority.
fn spans(history: &History, since: u64, until: u64) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut begun = Some(since);
    for fault in &history.faults {
        match (fault.value.get("majority").and_then(serde_json::Value::as_bool), begun) {
            (Some(false), Some(since)) => {
                spans.push(Span { since, until: fault.time });
                begun = None;
            }
            (Some(true), None) => begun = Some(fault.time),
            _ => {}
        }
    }
    spans.extend(begun.map(|since| Span { since, until }));
    spans.retain(|span| span.since < span.until);
    spans
}

/// The longest time without a success within a span.
fn longest(successes: &[u64], span: Span) -> u64 {
    let from = successes.partition_point(|time| *time < span.since);
    let to = successes.partition_point(|time| *time <= span.until);
    let mut last = span.since;
    let mut longest = 0;
    for time in successes[from..to.max(from)].iter().copied().chain([span.until]) {
        longest = longest.max(time.saturating_sub(last));
        last = time;
    }
    longest
}
