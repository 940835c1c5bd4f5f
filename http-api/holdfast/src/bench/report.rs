//! The report of a run, as one JSON object or as text.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Add as _;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::cpu::Used;
use super::stats::Stats;
use crate::table::{Align, Table};

/// The report of a run. Scripts read its JSON, so fields are only ever added.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// `closed` or `open`.
    pub(crate) mode: &'static str,
    /// Open connections.
    pub(crate) connections: usize,
    /// Generator threads.
    pub(crate) threads: usize,
    /// Requests due per second, in an open loop.
    pub(crate) rate: Option<u64>,
    /// Products that were ordered.
    pub(crate) products: usize,
    /// The payment method of the orders.
    pub(crate) payment: &'static str,
    /// The distribution of orders over products: `uniform` or `zipf`.
    pub(crate) spread: &'static str,
    /// Orders per request.
    pub(crate) batch: usize,
    /// Whether orders had idempotency keys.
    pub(crate) keys: bool,
    /// Why every order is refused, if the run measures refusals.
    pub(crate) refuses: Option<&'static str>,
    /// Holds that were active at the start.
    pub(crate) holds: u64,
    /// Seconds from the end of the warm-up to the last answer, or to the end of the run if earlier.
    pub(crate) seconds: f64,
    /// Requests that were answered.
    pub(crate) answered: u64,
    /// Orders with the expected answer: 201, or the refusal that the run measures.
    pub(crate) succeeded: u64,
    /// Those answered before the end of the run, per second.
    pub(crate) per_second: f64,
    /// From due to answered, for all answers to orders.
    pub(crate) latency_ms: Latency,
    /// The reads among the requests, if `--reads` asks for any.
    pub(crate) reads: Option<Reads>,
    /// Answers by status.
    pub(crate) statuses: BTreeMap<u16, u64>,
    /// The first body of each unexpected status.
    pub(crate) unexpected: BTreeMap<u16, String>,
    /// Requests without an answer.
    pub(crate) errors: Errors,
    /// Connections opened again after one broke or closed.
    pub(crate) reconnects: u64,
    /// Requests that were due but never sent, because the cluster did not keep up with the rate.
    pub(crate) unsent: u64,
    /// Processor time of this process.
    pub(crate) generator: Cpu,
    /// Processor time of the processes given with `--pid`.
    pub(crate) server: Option<Cpu>,
}

/// Latencies in milliseconds.
#[derive(Debug, Serialize)]
pub(crate) struct Latency {
    p50: f64,
    p90: f64,
    p99: f64,
    p99_9: f64,
    max: f64,
    mean: f64,
}

/// The reads of a run.
#[derive(Debug, Serialize)]
pub(crate) struct Reads {
    /// Share of the requests, in percent.
    pub(crate) percent: u64,
    /// Reads that were answered.
    pub(crate) succeeded: u64,
    /// Those answered before the end of the run, per second.
    pub(crate) per_second: f64,
    /// From due to answered.
    pub(crate) latency_ms: Latency,
}

/// Requests without an answer, by reason.
#[derive(Debug, Serialize)]
pub(crate) struct Errors {
    connection: u64,
    malformed: u64,
    unanswered: u64,
    last: Option<String>,
}

/// Processor time.
#[derive(Debug, Serialize)]
pub(crate) struct Cpu {
    /// Microseconds per answered request.
    us_per_request: f64,
    /// By thread, busiest first.
    threads: Vec<Thread>,
}

/// Processor time of all threads with one name.
#[derive(Debug, Serialize)]
struct Thread {
    name: String,
    user_us_per_request: f64,
    system_us_per_request: f64,
    us_per_request: f64,
}

impl From<&Histogram<u64>> for Latency {
    fn from(latency_us: &Histogram<u64>) -> Latency {
        let ms = |us: u64| us as f64 / 1000.0;
        let quantile = |q| ms(latency_us.value_at_quantile(q));
        Latency {
            p50: quantile(0.5),
            p90: quantile(0.9),
            p99: quantile(0.99),
            p99_9: quantile(0.999),
            max: ms(latency_us.max()),
            mean: latency_us.mean() / 1000.0,
        }
    }
}

impl Latency {
    fn text(&self) -> String {
        let Latency { p50, p90, p99, p99_9, max, mean } = self;
        format!(
            "p50 {p50:.2} ms, p90 {p90:.2}, p99 {p99:.2}, p99.9 {p99_9:.2}, max {max:.2}, \
             mean {mean:.2}"
        )
    }
}

impl From<&Stats> for Errors {
    fn from(stats: &Stats) -> Errors {
        Errors {
            connection: stats.broken,
            malformed: stats.malformed,
            unanswered: stats.unanswered,
            last: stats.last_error.clone(),
        }
    }
}

impl Cpu {
    /// Divides the processor time by the number of requests.
    pub(crate) fn new(used: &[Used], requests: u64) -> Cpu {
        let share = |seconds: f64| seconds * 1e6 / requests.max(1) as f64;
        let threads = used.iter().filter(|used| used.total_s() > 0.0).map(|used| Thread {
            name: used.name.clone(),
            user_us_per_request: share(used.user_s),
            system_us_per_request: share(used.system_s),
            us_per_request: share(used.total_s()),
        });
        // The sum of an empty iterator is -0.0.
        let total = used.iter().map(Used::total_s).fold(0.0, f64::add);
        Cpu { us_per_request: share(total), threads: threads.collect() }
    }
}

impl Report {
    /// Renders the report as text.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        self.head(&mut text);
        let statuses: Vec<String> =
            self.statuses.iter().map(|(status, count)| format!("{status}: {count}")).collect();
        let _ = writeln!(text, "answers     {}", statuses.join(", "));
        let Errors { connection, malformed, unanswered, last } = &self.errors;
        if connection + malformed + unanswered > 0 {
            let _ = writeln!(
                text,
                "errors      connection: {connection}, malformed: {malformed}, \
                 unanswered: {unanswered}"
            );
        }
        if let Some(last) = last {
            let _ = writeln!(text, "last error  {last}");
        }
        if self.reconnects > 0 {
            let _ = writeln!(text, "reconnects  {}", self.reconnects);
        }
        if self.unsent > 0 {
            let _ = writeln!(
                text,
                "unsent      {} requests were due but never sent: the cluster did not keep up \
                 with the rate, and the latencies above exclude them",
                self.unsent
            );
        }
        for (status, body) in &self.unexpected {
            let body: String = body.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            let _ = writeln!(text, "first {status}   {body}");
        }
        self.processor_time(&mut text);
        text
    }

    fn head(&self, text: &mut String) {
        let load = match self.rate {
            Some(rate) => format!("open loop, {rate}/s over {} connections", self.connections),
            None => format!("closed loop, {} connections", self.connections),
        };
        let _ = writeln!(
            text,
            "load        {load}, {} product{}{}{}, payment {}{}{}",
            self.products,
            if self.products == 1 { "" } else { "s" },
            if self.spread == "uniform" { "" } else { ", zipf" },
            self.refuses.map_or(String::new(), |why| format!(", {why}")),
            self.payment,
            if self.keys { ", with keys" } else { "" },
            if self.batch > 1 {
                format!(", {} orders a request", self.batch)
            } else {
                String::new()
            },
        );
        let what = if self.refuses.is_some() { "refusals" } else { "orders" };
        let _ = writeln!(
            text,
            "{what:<12}{} in {:.2} s: {:.0} a second",
            self.succeeded, self.seconds, self.per_second
        );
        let _ = writeln!(text, "latency     {}", self.latency_ms.text());
        if let Some(Reads { percent, succeeded, per_second, latency_ms }) = &self.reads {
            let _ = writeln!(
                text,
                "reads       {succeeded}, {percent}% of the requests: {per_second:.0} a second\n\
                 latency     {}",
                latency_ms.text()
            );
        }
    }

    fn processor_time(&self, text: &mut String) {
        let _ = writeln!(text, "\nprocessor time per answer, in µs\n");
        let mut table = Table::new(&[
            ("PROCESS", Align::Left),
            ("THREADS", Align::Left),
            ("USER", Align::Right),
            ("SYSTEM", Align::Right),
            ("TOTAL", Align::Right),
        ]);
        let server = self.server.as_ref().map(|cpu| ("server", cpu));
        for (process, cpu) in std::iter::once(("generator", &self.generator)).chain(server) {
            let us = |value: f64| format!("{value:.2}");
            let sum =
                |part: fn(&Thread) -> f64| us(cpu.threads.iter().map(part).fold(0.0, f64::add));
            for thread in &cpu.threads {
                table.row(vec![
                    process.to_owned(),
                    thread.name.clone(),
                    us(thread.user_us_per_request),
                    us(thread.system_us_per_request),
                    us(thread.us_per_request),
                ]);
            }
            table.row(vec![
                process.to_owned(),
                "(all)".to_owned(),
                sum(|thread| thread.user_us_per_request),
                sum(|thread| thread.system_us_per_request),
                us(cpu.us_per_request),
            ]);
        }
        let _ = write!(text, "{table}");
    }
}
