//! Measurements: latencies, answers by status, errors.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::connection;

/// Highest latency, two minutes: longer ones count as this.
const LATENCY_US_MAX: u64 = 120_000_000;
/// Most statuses with a quote in the report.
const QUOTES_MAX: usize = 16;
/// Longest quote, in bytes.
const QUOTE_BYTES_MAX: usize = 400;

/// The measurements of one thread, or of all of them together.
#[derive(Debug)]
pub(crate) struct Stats {
    /// From the moment a request was due until its answer was read, in microseconds.
    pub(crate) latency_us: Histogram<u64>,
    /// The same for reads.
    pub(crate) read_latency_us: Histogram<u64>,
    /// Answers by status.
    pub(crate) statuses: BTreeMap<u16, u64>,
    /// The first answer of each unexpected status.
    pub(crate) quotes: BTreeMap<u16, String>,
    /// Requests whose connection broke before the answer.
    pub(crate) broken: u64,
    /// Answers that the generator could not parse.
    pub(crate) malformed: u64,
    /// Requests without an answer at the end of the run.
    pub(crate) unanswered: u64,
    /// Connections opened again after one broke or closed.
    pub(crate) reconnects: u64,
    /// The last connection error.
    pub(crate) last_error: Option<String>,
    /// Orders with the expected answer.
    pub(crate) orders: u64,
    /// Those answered before the end of the run, which the rate counts.
    pub(crate) in_time: u64,
    /// Reads that were answered.
    pub(crate) reads: u64,
    /// Those answered before the end of the run.
    pub(crate) reads_in_time: u64,
    /// When the last answer came.
    pub(crate) last_answer: Option<Instant>,
}

impl Stats {
    /// Creates empty measurements.
    pub(crate) fn new() -> Stats {
        let histogram = Histogram::new_with_bounds(1, LATENCY_US_MAX, 3)
            .expect("the bounds are constants that the histogram allows");
        Stats {
            read_latency_us: histogram.clone(),
            latency_us: histogram,
            statuses: BTreeMap::new(),
            quotes: BTreeMap::new(),
            broken: 0,
            malformed: 0,
            unanswered: 0,
            reconnects: 0,
            last_error: None,
            orders: 0,
            in_time: 0,
            reads: 0,
            reads_in_time: 0,
            last_answer: None,
        }
    }

    /// Counts an answer to a read or an order.
    pub(crate) fn answer(&mut self, read: bool, status: u16, latency: Duration, at: Instant) {
        let us = u64::try_from(latency.as_micros()).unwrap_or(LATENCY_US_MAX);
        let of_kind = if read { &mut self.read_latency_us } else { &mut self.latency_us };
        of_kind.saturating_record(us.max(1));
        *self.statuses.entry(status).or_insert(0) += 1;
        self.last_answer = Some(at);
    }

    /// Keeps the body of the first answer of a status.
    pub(crate) fn quote(&mut self, status: u16, body: &[u8]) {
        if self.quotes.len() < QUOTES_MAX && !self.quotes.contains_key(&status) {
            let cut = &body[..body.len().min(QUOTE_BYTES_MAX)];
            self.quotes.insert(status, String::from_utf8_lossy(cut).into_owned());
        }
    }

    /// Counts a request that got no answer.
    pub(crate) fn error(&mut self, error: &connection::Error) {
        match error {
            connection::Error::Io(_) | connection::Error::Closed => self.broken += 1,
            connection::Error::Malformed(_) => self.malformed += 1,
        }
        self.last_error = Some(error.to_string());
    }

    /// Adds the measurements of another thread.
    pub(crate) fn add(&mut self, other: Stats) {
        let same = "all histograms have the same bounds";
        self.latency_us.add(&other.latency_us).expect(same);
        self.read_latency_us.add(&other.read_latency_us).expect(same);
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_insert(0) += count;
        }
        for (status, words) in other.quotes {
            self.quote(status, words.as_bytes());
        }
        self.broken += other.broken;
        self.malformed += other.malformed;
        self.unanswered += other.unanswered;
        self.reconnects += other.reconnects;
        self.orders += other.orders;
        self.in_time += other.in_time;
        self.reads += other.reads;
        self.reads_in_time += other.reads_in_time;
        self.last_error = self.last_error.take().or(other.last_error);
        self.last_answer = self.last_answer.max(other.last_answer);
    }

    /// Requests that were answered.
    pub(crate) fn answered(&self) -> u64 {
        self.statuses.values().sum()
    }

    /// Answers with this status.
    #[cfg(test)]
    pub(crate) fn with_status(&self, status: u16) -> u64 {
        self.statuses.get(&status).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn add_sums_the_measurements_of_threads() {
        let start = Instant::now();
        let (mut left, mut right) = (Stats::new(), Stats::new());
        for n in 1..=100 {
            left.answer(false, 201, Duration::from_micros(n), start);
        }
        for n in 101..=200_u64 {
            right.answer(
                false,
                if n % 2 == 0 { 201 } else { 409 },
                Duration::from_micros(n),
                start,
            );
        }
        right.quote(409, b"sold out");
        right.quote(409, b"another");
        right.error(&connection::Error::Closed);
        right.error(&connection::Error::Malformed("x"));
        let later = start + Duration::from_secs(1);
        right.answer(false, 503, Duration::from_secs(9_999), later);
        left.add(right);

        assert_eq!(left.answered(), 201);
        assert_eq!(left.with_status(201), 150);
        assert_eq!(left.with_status(409), 50);
        assert_eq!((left.broken, left.malformed, left.unanswered), (1, 1, 0));
        assert_eq!(left.quotes[&409], "sold out");
        assert_eq!(left.last_answer, Some(later));
        assert_eq!(left.latency_us.value_at_quantile(0.5), 101);
        // A latency beyond the histogram counts as its highest, within three digits.
        assert!(left.latency_us.max() >= LATENCY_US_MAX / 1000 * 999);
    }

    #[test]
    fn quotes_are_bounded() {
        let mut stats = Stats::new();
        for status in 400..500 {
            stats.quote(status, &[b'x'; 10_000]);
        }
        assert_eq!(stats.quotes.len(), QUOTES_MAX);
        assert!(stats.quotes.values().all(|words| words.len() <= QUOTE_BYTES_MAX));
    }
}
