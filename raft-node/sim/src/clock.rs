//! The clocks of a node: a monotonic clock that drifts, and a wall clock that may be wrong and may
//! jump. Both are functions of simulated time, which is the truth.

use raft_node::core::Now;

use crate::time::{MS, Time};

/// The true time at simulated time 0, in milliseconds since the Unix epoch.
pub(super) const EPOCH_MS: u64 = 1_800_000_000_000;

#[derive(Clone, Debug)]
pub(super) struct NodeClock {
    /// The node's own microseconds at `anchor`.
    local: u64,
    anchor: Time,
    /// Drift, in parts per million. Positive when the clock runs too fast.
    drift_ppm: i64,
    /// Milliseconds from the node's own count to its wall clock.
    offset_ms: i64,
    booted_local: u64,
}

impl NodeClock {
    pub(super) fn new(drift_ppm: i64, offset_ms: i64) -> NodeClock {
        NodeClock { local: 0, anchor: 0, drift_ppm, offset_ms, booted_local: 0 }
    }

    fn local(&self, at: Time) -> u64 {
        let passed = at - self.anchor;
        let drift = i128::from(passed) * i128::from(self.drift_ppm) / 1_000_000;
        self.local + (i128::from(passed) + drift) as u64
    }

    /// Restarts the monotonic clock with the process.
    pub(super) fn boot(&mut self, at: Time) {
        self.booted_local = self.local(at);
    }

    pub(super) fn now(&self, at: Time) -> Now {
        let local = self.local(at);
        Now {
            mono_ms: (local - self.booted_local) / MS,
            wall_ms: (EPOCH_MS + local / MS).saturating_add_signed(self.offset_ms),
        }
    }

    /// True duration of `local_us` on this clock.
    pub(super) fn true_us(&self, local_us: u64) -> u64 {
        let rate = 1_000_000 + self.drift_ppm;
        (u128::from(local_us) * 1_000_000 / rate.unsigned_abs() as u128) as u64
    }

    pub(super) fn drift(&mut self, at: Time, drift_ppm: i64) {
        self.local = self.local(at);
        self.anchor = at;
        self.drift_ppm = drift_ppm;
    }

    pub(super) fn jump(&mut self, by_ms: i64) {
        self.offset_ms += by_ms;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_drifts_and_jumps_and_its_monotonic_side_never_goes_back() {
        let mut clock = NodeClock::new(100_000, -500);
        assert_eq!(clock.now(10 * MS), Now { mono_ms: 11, wall_ms: EPOCH_MS + 11 - 500 });
        assert_eq!(clock.true_us(11 * MS), 10 * MS);
        clock.drift(10 * MS, -100_000);
        assert_eq!(clock.now(20 * MS).mono_ms, 20);
        clock.jump(-10_000);
        let after = clock.now(20 * MS);
        assert_eq!((after.mono_ms, after.wall_ms), (20, EPOCH_MS + 20 - 10_500));
        clock.boot(20 * MS);
        assert_eq!(clock.now(20 * MS).mono_ms, 0);
    }
}
