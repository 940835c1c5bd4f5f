//! The leader's clock. It is monotonic within a term, and at the start of a term it is no further
//! from the truth than the clocks of a majority.

use std::collections::BTreeMap;

use engine::ids::{NodeId, Timestamp};

use super::input::Now;

/// How long a measurement of a peer's clock is used.
const FRESH_MS: u64 = 10_000;

/// The last measurements of the peers' wall clocks.
///
/// They are relative to our monotonic clock, because our wall clock may jump between a measurement
/// and its use.
#[derive(Debug, Default)]
pub struct PeerClocks {
    /// The peer's clock at moment 0 of our monotonic clock, and the moment of the measurement.
    origins: BTreeMap<NodeId, (i64, u64)>,
}

impl PeerClocks {
    /// Takes a measurement: a peer's frame was sent at `wall_ms` by its clock.
    pub fn heard(&mut self, from: NodeId, wall_ms: u64, now: Now) {
        let origin = wall_ms.cast_signed().wrapping_sub(now.mono_ms.cast_signed());
        self.origins.insert(from, (origin, now.mono_ms));
    }

    /// Our wall clock, corrected to the lower median of all recently measured clocks, our own
    /// included.
    ///
    /// If a majority of the clocks is right, the median is right. So one clock that is an hour off
    /// has no effect.
    pub fn agreed_wall_ms(&self, now: Now) -> u64 {
        let mut walls: Vec<u64> = self
            .origins
            .values()
            .filter(|(_, at)| now.mono_ms.saturating_sub(*at) <= FRESH_MS)
            .map(|(origin, _)| now.mono_ms.saturating_add_signed(*origin))
            .collect();
        walls.push(now.wall_ms);
        walls.sort_unstable();
        walls[(walls.len() - 1) / 2]
    }
}

/// The clock that a leader stamps its entries with.
#[derive(Clone, Copy, Debug, Default)]
pub struct LeaderClock {
    base: Timestamp,
    base_mono_ms: u64,
}

impl LeaderClock {
    /// Starts a term's clock, never behind the replicated clock.
    pub fn start(wall_ms: u64, state_clock: Timestamp, now: Now) -> LeaderClock {
        LeaderClock { base: Timestamp(wall_ms).max(state_clock), base_mono_ms: now.mono_ms }
    }

    /// Catches up with the replicated clock. Entries of former terms that are applied only now may
    /// be ahead; entries stamped behind them would stop time.
    pub fn catch_up(&mut self, state_clock: Timestamp, now: Now) {
        if self.now(now) < state_clock {
            *self = LeaderClock { base: state_clock, base_mono_ms: now.mono_ms };
        }
    }

    /// The clock now. Jumps of the wall clock within the term do not reach it.
    pub fn now(&self, now: Now) -> Timestamp {
        self.base.plus_ms(now.mono_ms.saturating_sub(self.base_mono_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;

    fn now(mono_ms: u64, wall_ms: u64) -> Now {
        Now { mono_ms, wall_ms }
    }

    #[test]
    fn one_clock_that_is_an_hour_wrong_moves_nothing() {
        let mut clocks = PeerClocks::default();
        // Ours runs an hour ahead of two peers.
        let ours = now(1_000, 10 * HOUR);
        clocks.heard(NodeId(2), 9 * HOUR, ours);
        clocks.heard(NodeId(3), 9 * HOUR + 5, ours);
        assert_eq!(clocks.agreed_wall_ms(ours), 9 * HOUR + 5);
        // One peer is an hour ahead.
        clocks.heard(NodeId(2), 11 * HOUR, ours);
        clocks.heard(NodeId(3), 10 * HOUR + 3, ours);
        assert_eq!(clocks.agreed_wall_ms(ours), 10 * HOUR + 3);
        // Old measurements no longer count.
        assert_eq!(clocks.agreed_wall_ms(now(1_000 + FRESH_MS + 1, 20 * HOUR)), 20 * HOUR);
    }

    /// Found by the simulation; see docs/bugs-found.md, number 5. Offsets measured against our own
    /// wall clock moved with it when it jumped.
    #[test]
    fn a_jump_of_our_own_clock_does_not_move_what_we_know_of_the_others() {
        let mut clocks = PeerClocks::default();
        clocks.heard(NodeId(2), 9 * HOUR, now(1_000, 9 * HOUR));
        clocks.heard(NodeId(3), 9 * HOUR, now(1_000, 9 * HOUR));
        assert_eq!(clocks.agreed_wall_ms(now(1_100, 10 * HOUR)), 9 * HOUR + 100);
        assert_eq!(clocks.agreed_wall_ms(now(1_100, 8 * HOUR)), 9 * HOUR + 100);
    }

    #[test]
    fn within_a_term_only_the_monotonic_clock_counts() {
        let clock = LeaderClock::start(HOUR, Timestamp(HOUR + 50), now(100, HOUR));
        assert_eq!(clock.now(now(100, HOUR)), Timestamp(HOUR + 50));
        assert_eq!(clock.now(now(150, 9 * HOUR)), Timestamp(HOUR + 100));
        assert_eq!(clock.now(now(160, 0)), Timestamp(HOUR + 110));
        let mut late = clock;
        late.catch_up(Timestamp(HOUR), now(170, 0));
        assert_eq!(late.now(now(180, 0)), clock.now(now(180, 0)), "it is ahead already");
        late.catch_up(Timestamp(2 * HOUR), now(190, 0));
        assert_eq!(late.now(now(200, 0)), Timestamp(2 * HOUR + 10));
    }
}
