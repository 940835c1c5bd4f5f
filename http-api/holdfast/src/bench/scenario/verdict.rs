//! The verdict of a scenario: counts, thresholds, and the output of the older scripts.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::Scenario;

/// Highest latency, two minutes: longer ones count as this.
const LATENCY_US_MAX: u64 = 120_000_000;

/// The line above and below a verdict.
const RULE: &str = "══════════════════════════════════════";

/// Counts of answers.
#[derive(Debug)]
pub(crate) struct Tally {
    /// Answers by status; 0 means no answer.
    statuses: BTreeMap<u16, u64>,
    /// Answers with the id of an order.
    with_id: u64,
    latency_us: Histogram<u64>,
    /// The last refusal or error.
    pub(crate) last_error: Option<String>,
}

impl Tally {
    /// Creates empty counts.
    pub(crate) fn new() -> Tally {
        let latency_us = Histogram::new_with_bounds(1, LATENCY_US_MAX, 3)
            .expect("the bounds are constants that the histogram allows");
        Tally { statuses: BTreeMap::new(), with_id: 0, latency_us, last_error: None }
    }

    /// Counts an answer; status 0 means none.
    pub(crate) fn count(&mut self, status: u16, id: Option<u64>, took: Duration) {
        *self.statuses.entry(status).or_insert(0) += 1;
        self.with_id += u64::from(id.is_some());
        let us = u64::try_from(took.as_micros()).unwrap_or(LATENCY_US_MAX);
        self.latency_us.saturating_record(us.max(1));
    }

    /// Number of answers with a status.
    pub(crate) fn with(&self, status: u16) -> u64 {
        self.statuses.get(&status).copied().unwrap_or(0)
    }

    /// Number of requests.
    pub(crate) fn total(&self) -> u64 {
        self.statuses.values().sum()
    }

    /// Share of requests without an order, from 0 to 1.
    pub(crate) fn failed_rate(&self) -> f64 {
        let placed = self.with(200) + self.with(201);
        share(self.total() - placed, self.total())
    }

    /// A quantile of the latency, in milliseconds.
    pub(crate) fn quantile_ms(&self, quantile: f64) -> f64 {
        self.latency_us.value_at_quantile(quantile) as f64 / 1000.0
    }
}

fn share(part: u64, whole: u64) -> f64 {
    // A run without a request fails.
    if whole == 0 { 1.0 } else { part as f64 / whole as f64 }
}

/// A threshold with the measured value.
#[derive(Debug)]
pub(crate) struct Rule {
    metric: &'static str,
    value: String,
    bound: String,
    met: bool,
}

impl Rule {
    /// Requires exactly this count.
    pub(crate) fn count(metric: &'static str, value: u64, wanted: u64) -> Rule {
        let bound = format!("count=={wanted}");
        Rule { metric, value: value.to_string(), bound, met: value == wanted }
    }

    /// Requires milliseconds below a bound.
    pub(crate) fn below(metric: &'static str, value: f64, bound: f64) -> Rule {
        Rule {
            metric,
            value: format!("{value:.2}ms"),
            bound: format!("<{bound}"),
            met: value < bound,
        }
    }

    /// Requires a share below a bound.
    pub(crate) fn rate_below(metric: &'static str, value: f64, bound: f64) -> Rule {
        Rule { metric, value: percent(value), bound: format!("rate<{bound}"), met: value < bound }
    }

    /// Requires a share above a bound.
    pub(crate) fn rate_above(metric: &'static str, value: f64, bound: f64) -> Rule {
        Rule { metric, value: percent(value), bound: format!("rate>{bound}"), met: value > bound }
    }

    fn mark(&self) -> char {
        if self.met { '✓' } else { '✗' }
    }
}

fn percent(share: f64) -> String {
    format!("{:.2}%", share * 100.0)
}

/// The result of a scenario.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) scenario: Scenario,
    pub(crate) users: u64,
    pub(crate) seconds: f64,
    pub(crate) rules: Vec<Rule>,
    pub(crate) tally: Tally,
}

impl Verdict {
    /// Describes the missed thresholds; none if all were met.
    pub(crate) fn missed(&self) -> Option<String> {
        let missed: Vec<String> = self
            .rules
            .iter()
            .filter(|rule| !rule.met)
            .map(|rule| format!("{} is {}, expected {}", rule.metric, rule.value, rule.bound))
            .collect();
        (!missed.is_empty()).then(|| missed.join("; "))
    }

    fn word(&self) -> &'static str {
        if self.missed().is_none() { "PASS" } else { "FAIL" }
    }

    /// The verdict as JSON.
    pub(crate) fn json(&self) -> Value {
        let rule = |rule: &Rule| {
            json!({
                "metric": rule.metric, "value": rule.value, "bound": rule.bound, "met": rule.met,
            })
        };
        let tally = &self.tally;
        json!({
            "scenario": self.scenario.name(),
            "verdict": self.word(),
            "users": self.users,
            "seconds": self.seconds,
            "requests": tally.total(),
            "statuses": tally.statuses,
            "latency_ms": {
                "mean": tally.latency_us.mean() / 1000.0,
                "min": tally.quantile_ms(0.0),
                "p50": tally.quantile_ms(0.5),
                "p95": tally.quantile_ms(0.95),
                "p99": tally.quantile_ms(0.99),
                "max": tally.quantile_ms(1.0),
            },
            "thresholds": self.rules.iter().map(rule).collect::<Vec<_>>(),
            "last_error": tally.last_error,
        })
    }

    /// The verdict as text.
    pub(crate) fn text(&self) -> String {
        let mut text = match self.scenario {
            Scenario::Oversell => self.banner(
                "OVERSELL TEST RESULTS",
                &[
                    ("Orders Created:  ", self.tally.with(201), 1),
                    ("Orders Rejected: ", self.tally.with(409), self.users - 1),
                ],
            ),
            Scenario::Idempotency => {
                let (created, existing) = (self.tally.with(201), self.tally.with(200));
                let other = self.tally.total() - created - existing;
                self.banner(
                    "IDEMPOTENCY TEST RESULTS",
                    &[
                        ("Created (201):    ", created, 1),
                        ("Existing (200):   ", existing, self.users - 1),
                        ("Unexpected:       ", other, 0),
                    ],
                )
            }
            Scenario::HighLoad | Scenario::OrderTest => self.checks(),
        };
        for rule in &self.rules {
            let Rule { metric, value, bound, .. } = rule;
            let mark = rule.mark();
            let _ = writeln!(text, "   {mark} {metric:.<31}: {value:<8} {mark} {bound}");
        }
        if !matches!(self.scenario, Scenario::Oversell | Scenario::Idempotency) {
            for (name, count) in [
                ("orders_created", self.tally.with(201)),
                ("orders_rejected", self.tally.with(409)),
                ("http_reqs", self.tally.total()),
            ] {
                let _ = writeln!(text, "     {name:.<31}: {count}");
            }
            let _ = writeln!(text, "\n  Verdict: {} {}", self.word(), self.mark());
        }
        if let Some(error) = self.tally.last_error.as_ref().filter(|_| self.missed().is_some()) {
            let _ = writeln!(text, "\nlast refusal: {error}");
        }
        text
    }

    fn mark(&self) -> char {
        if self.missed().is_none() { '✓' } else { '✗' }
    }

    fn banner(&self, title: &str, lines: &[(&str, u64, u64)]) -> String {
        let mut text = format!("{RULE}\n  {title}\n");
        for (name, value, expected) in lines {
            let _ = writeln!(text, "  {name}{value} (expected: {expected})");
        }
        let _ = writeln!(text, "  Verdict: {} {}\n{RULE}\n", self.word(), self.mark());
        text
    }

    fn checks(&self) -> String {
        let tally = &self.tally;
        let mark = |met| if met { '✓' } else { '✗' };
        let placed = tally.with(201) + tally.with(200);
        let mut text = format!(
            "scenarios: (100.00%) 1 scenario, {} max VUs, {:.0}s\n\n",
            self.users, self.seconds
        );
        let checks: &[(&str, bool)] = match self.scenario {
            Scenario::OrderTest => &[("status is 201", tally.with(201) == tally.total())],
            _ => &[
                ("status is 201 or 200", placed == tally.total()),
                ("response has data.id", tally.with_id == placed),
            ],
        };
        for (name, met) in checks {
            let _ = writeln!(text, "     {} {name}", mark(*met));
        }
        let _ = writeln!(
            text,
            "\n     http_req_duration..............: avg={:.2}ms  min={:.2}ms  p(95)={:.2}ms  \
             p(99)={:.2}ms  max={:.2}ms",
            tally.latency_us.mean() / 1000.0,
            tally.quantile_ms(0.0),
            tally.quantile_ms(0.95),
            tally.quantile_ms(0.99),
            tally.quantile_ms(1.0),
        );
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(created: u64, rejected: u64) -> Verdict {
        let mut tally = Tally::new();
        (0..created).for_each(|id| tally.count(201, Some(id), Duration::from_millis(5)));
        (0..rejected).for_each(|_| tally.count(409, None, Duration::from_millis(9)));
        let rules = vec![
            Rule::count("orders_created_total", created, 1),
            Rule::count("orders_rejected_total", rejected, 49),
        ];
        Verdict { scenario: Scenario::Oversell, users: 50, seconds: 1.0, rules, tally }
    }

    #[test]
    fn text_matches_the_older_scripts() {
        let text = verdict(1, 49).text();
        let golden = "\
══════════════════════════════════════
  OVERSELL TEST RESULTS
  Orders Created:  1 (expected: 1)
  Orders Rejected: 49 (expected: 49)
  Verdict: PASS ✓
══════════════════════════════════════

   ✓ orders_created_total...........: 1        ✓ count==1
   ✓ orders_rejected_total..........: 49       ✓ count==49
";
        assert_eq!(text, golden);
        assert_eq!(verdict(1, 49).missed(), None);
    }

    #[test]
    fn the_verdict_names_missed_thresholds() {
        let verdict = verdict(2, 48);
        let missed = verdict.missed().unwrap();
        assert!(missed.contains("orders_created_total is 2, expected count==1"), "{missed}");
        assert!(missed.contains("orders_rejected_total is 48, expected count==49"), "{missed}");
        assert!(verdict.text().contains("Verdict: FAIL ✗"));
        assert_eq!(verdict.json()["verdict"], "FAIL");
    }

    #[test]
    fn rules_compare_rates_and_times_with_bounds() {
        let mut tally = Tally::new();
        assert!(!Rule::rate_below("x", tally.failed_rate(), 0.1).met, "no request, no success");
        (0..90).for_each(|id| tally.count(201, Some(id), Duration::from_millis(10)));
        (0..10).for_each(|_| tally.count(0, None, Duration::from_millis(900)));
        assert!(!Rule::rate_below("x", tally.failed_rate(), 0.1).met, "the bound itself is missed");
        assert!(Rule::rate_above("x", 1.0 - tally.failed_rate(), 0.8).met);
        assert!(!Rule::below("x", tally.quantile_ms(0.95), 500.0).met);
        assert!(Rule::below("x", tally.quantile_ms(0.5), 500.0).met);
    }
}
