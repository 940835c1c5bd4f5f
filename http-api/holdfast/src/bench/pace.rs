//! The schedule of requests in an open loop, which does not wait for answers.
//!
//! Request `k` is due at `start + k / rate`. Latency counts from then, so a server that stalls is
//! charged for every request that was due meanwhile, not only for the open one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

/// Shortest pause of the pacing thread, and about the latest that a request is sent after it is
/// due. Shorter pauses would take processor time from what is measured.
const PAUSE_MIN: Duration = Duration::from_micros(250);

/// A schedule with a constant rate.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schedule {
    start: Instant,
    per_second: u64,
}

impl Schedule {
    /// Schedules `per_second` requests per second from `start` on.
    ///
    /// # Panics
    /// When `per_second` is 0.
    pub(crate) fn new(start: Instant, per_second: u64) -> Schedule {
        assert!(per_second > 0, "the command line requires a rate of at least 1");
        Schedule { start, per_second }
    }

    /// When request `number`, counted from 0, is due.
    pub(crate) fn due(&self, number: u64) -> Instant {
        let nanos = u128::from(number) * 1_000_000_000 / u128::from(self.per_second);
        self.start + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX / 2))
    }

    /// How many requests are due at `now`.
    pub(crate) fn due_by(&self, now: Instant) -> u64 {
        let Some(passed) = now.checked_duration_since(self.start) else { return 0 };
        let whole = passed.as_nanos() * u128::from(self.per_second) / 1_000_000_000;
        u64::try_from(whole).unwrap_or(u64::MAX - 1) + 1
    }
}

/// Adds a permit per request when it is due, `total` in all. Returns at `end` at the latest,
/// or when the permits are closed. Blocks
/// its thread, since the timers of an event loop are too coarse.
pub(crate) fn release(schedule: Schedule, total: u64, end: Instant, permits: &Arc<Semaphore>) {
    let mut released = 0;
    while released < total {
        let now = Instant::now();
        let due = schedule.due_by(now).min(total);
        if due > released {
            // The command line bounds the count far below the limit of the semaphore.
            permits.add_permits(usize::try_from(due - released).unwrap_or(usize::MAX >> 4));
            released = due;
        }
        if now > end || permits.is_closed() {
            return;
        }
        if released < total {
            let wait = schedule.due(released).saturating_duration_since(now);
            std::thread::sleep(wait.max(PAUSE_MIN));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_times_and_counts_agree() {
        let start = Instant::now();
        for per_second in [1, 3, 1_000, 77_777, 1_000_000] {
            let schedule = Schedule::new(start, per_second);
            assert_eq!(schedule.due(0), start);
            assert_eq!(schedule.due(per_second), start + Duration::from_secs(1));
            for number in [0, 1, 2, 10, 12_345] {
                // Rounding may delay the count by one nanosecond.
                let due = schedule.due(number);
                assert!(schedule.due_by(due + Duration::from_nanos(1)) > number);
                if number > 0 {
                    assert!(schedule.due_by(due - Duration::from_nanos(1)) <= number);
                }
            }
        }
        let schedule = Schedule::new(start + Duration::from_secs(1), 5);
        assert_eq!(schedule.due_by(start), 0);
    }

    #[test]
    fn permits_are_released_when_due() {
        let permits = Arc::new(Semaphore::new(0));
        let start = Instant::now();
        release(Schedule::new(start, 1_000), 51, start + Duration::from_secs(60), &permits);
        assert_eq!(permits.available_permits(), 51);
        assert!(start.elapsed() >= Duration::from_millis(50), "released before they were due");
        release(Schedule::new(start, 1_000), u64::MAX, start, &permits);
        assert!(permits.available_permits() < 1_000, "released long after the end");
    }
}
