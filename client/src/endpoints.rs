//! The base URLs of the cluster, and which of them to ask.
//!
//! Any node takes any request, so one URL that works is as good as another. The client stays with
//! it, which keeps connections few and warm, and moves on when it fails.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// How long an unreachable node is skipped while others can be asked.
const PASSED_OVER: Duration = Duration::from_secs(1);

/// All base URLs, in the given order.
#[derive(Debug)]
pub(crate) struct Endpoints {
    urls: Vec<String>,
    /// For each URL, until when it is skipped, in milliseconds since `started`.
    down_until_ms: Vec<AtomicU64>,
    preferred: AtomicUsize,
    started: Instant,
}

impl Endpoints {
    /// `urls` contains at least one URL, without a slash at its end.
    pub(crate) fn new(urls: Vec<String>) -> Self {
        assert!(!urls.is_empty(), "a client has at least one base URL");
        let down_until_ms = urls.iter().map(|_| AtomicU64::new(0)).collect();
        Self { urls, down_until_ms, preferred: AtomicUsize::new(0), started: Instant::now() }
    }

    /// All URLs.
    pub(crate) fn urls(&self) -> &[String] {
        &self.urls
    }

    /// The URL that a new call asks first.
    pub(crate) fn first(&self, now: Instant) -> usize {
        let preferred = self.preferred.load(Ordering::Relaxed);
        if self.is_up(preferred, now) { preferred } else { self.next_after(preferred, now) }
    }

    /// The URL that a call asks after a failure at `index`: the next one that is not skipped, or
    /// simply the next one when all are.
    pub(crate) fn next_after(&self, index: usize, now: Instant) -> usize {
        let count = self.urls.len();
        (1..=count)
            .map(|step| (index + step) % count)
            .find(|&next| self.is_up(next, now))
            .unwrap_or((index + 1) % count)
    }

    /// Records that `index` answered.
    pub(crate) fn works(&self, index: usize) {
        self.down_until_ms[index].store(0, Ordering::Relaxed);
    }

    /// Records that `index` failed, and with `unreachable` that it did not answer at all.
    pub(crate) fn failed(&self, index: usize, unreachable: bool, now: Instant) {
        if unreachable {
            let until = now.saturating_duration_since(self.started) + PASSED_OVER;
            let until_ms = u64::try_from(until.as_millis()).unwrap_or(u64::MAX);
            self.down_until_ms[index].store(until_ms, Ordering::Relaxed);
        }
        let next = self.next_after(index, now);
        // Another call may have moved on already; then its choice stands.
        let _ = self.preferred.compare_exchange(index, next, Ordering::Relaxed, Ordering::Relaxed);
    }

    fn is_up(&self, index: usize, now: Instant) -> bool {
        let now_ms = now.saturating_duration_since(self.started).as_millis();
        now_ms >= u128::from(self.down_until_ms[index].load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> (Endpoints, Instant) {
        let urls = ["http://a", "http://b", "http://c"].map(str::to_owned).to_vec();
        (Endpoints::new(urls), Instant::now())
    }

    #[test]
    fn it_stays_with_a_url_that_works() {
        let (endpoints, now) = three();
        for _ in 0..5 {
            assert_eq!(endpoints.first(now), 0);
            endpoints.works(0);
        }
    }

    #[test]
    fn it_leaves_a_url_that_fails_and_does_not_return_by_itself() {
        let (endpoints, now) = three();
        endpoints.failed(0, false, now);
        assert_eq!(endpoints.first(now), 1);
        // Two calls that failed at 0 agree on the next URL.
        endpoints.failed(0, false, now);
        assert_eq!(endpoints.first(now), 1);
    }

    #[test]
    fn it_skips_an_unreachable_url_for_a_while() {
        let (endpoints, now) = three();
        endpoints.failed(1, true, now);
        assert_eq!(endpoints.next_after(0, now), 2);
        assert_eq!(endpoints.next_after(0, now + PASSED_OVER * 2), 1);
        endpoints.works(1);
        assert_eq!(endpoints.next_after(0, now), 1);
    }

    #[test]
    fn it_asks_all_in_turn_when_none_is_reachable() {
        let (endpoints, now) = three();
        for index in 0..3 {
            endpoints.failed(index, true, now);
        }
        assert_eq!(endpoints.next_after(0, now), 1);
        assert_eq!(endpoints.next_after(1, now), 2);
        assert_eq!(endpoints.next_after(2, now), 0);
    }

    #[test]
    fn a_single_url_is_its_own_successor() {
        let endpoints = Endpoints::new(vec!["http://a".to_owned()]);
        let now = Instant::now();
        endpoints.failed(0, true, now);
        assert_eq!(endpoints.first(now), 0);
        assert_eq!(endpoints.next_after(0, now), 0);
    }
}
