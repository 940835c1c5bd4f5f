//! The leader's clock. It is monotonic, follows the clocks of a majority, and takes no large step
//! at once.
//!
//! Deadlines fire by this clock. If all machines of a cluster sleep for an hour, everything would
//! expire at the moment they wake, before a payment or a cancellation that waited could arrive.

use std::collections::BTreeMap;

use engine::ids::{NodeId, Timestamp};

use super::input::Now;

/// How long a measurement of a peer's clock is used.
const FRESH_MS: u64 = 10_000;
/// A clock that is further behind than this did not drift: the machines slept, were down, or their
/// clocks were set.
pub const GAP_MS: u64 = 60_000;
/// How long the clock then goes on from where it was.
const WAIT_MS: u64 = 60_000;
/// Clocks that are this close agree.
const AGREE_MS: u64 = 5_000;
/// A correction moves the clock by one millisecond in this many.
const CORRECTION_EVERY_MS: u64 = 100;
/// Interval between two comparisons with the agreed clock.
const COMPARE_EVERY_MS: u64 = 1_000;

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
    pub fn agreed(&self, now: Now) -> Agreed {
        let mut walls: Vec<u64> = self
            .origins
            .values()
            .filter(|(_, at)| now.mono_ms.saturating_sub(*at) <= FRESH_MS)
            .map(|(origin, _)| now.mono_ms.saturating_add_signed(*origin))
            .collect();
        walls.push(now.wall_ms);
        walls.sort_unstable();
        let wall_ms = walls[(walls.len() - 1) / 2];
        let close = walls.iter().filter(|wall| wall.abs_diff(wall_ms) <= AGREE_MS).count();
        Agreed { wall_ms, by_majority: 2 * close > walls.len() }
    }
}

/// What the recently measured clocks say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// Their lower median, in milliseconds since the Unix epoch.
    pub wall_ms: u64,
    /// Whether most of them are within five seconds of it.
    pub by_majority: bool,
}

/// Why the leader's clock stays behind the agreed one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behind {
    /// It catches up soon. Requests that waited come first.
    Waits,
    /// The clocks of the nodes differ: there is no majority to follow.
    Disagreed,
    /// The gap is too large to be taken without an operator.
    NeedsOperator,
}

/// The clock that a leader stamps its entries with. Every node keeps one, so that a new leader
/// continues where the time of the former one is.
#[derive(Clone, Copy, Debug, Default)]
pub struct LeaderClock {
    base: Timestamp,
    base_mono_ms: u64,
    /// Milliseconds by which it must still be moved, spread over time.
    correction_ms: i64,
    /// The last moment that it was looked at.
    seen_mono_ms: u64,
    gap: Option<Gap>,
}

/// A gap that is not taken at once.
#[derive(Clone, Copy, Debug)]
struct Gap {
    since_mono_ms: u64,
    /// Its size when the wait began. A later jump of the clocks begins another wait.
    begun_ms: u64,
    ms: u64,
    why: Behind,
    accepted: bool,
}

impl LeaderClock {
    /// Begins a term as its leader. The replicated clock is at `state`, 0 if nothing was applied
    /// yet: then any time is taken.
    pub fn lead(&mut self, agreed: Agreed, state: Timestamp, now: Now) {
        let own = self.now(now);
        let is_near = agreed.wall_ms <= own.0.saturating_add(GAP_MS);
        let base = match is_near || state.0 == 0 || steps_at_once() {
            true => Timestamp(agreed.wall_ms),
            false => own,
        };
        self.set(base.max(state), now);
    }

    /// Catches up with the replicated clock. Entries of former terms that are applied only now may
    /// be ahead; entries stamped behind them would stop time.
    pub fn catch_up(&mut self, state: Timestamp, now: Now) {
        if self.now(now) < state {
            self.set(state, now);
        }
    }

    /// Must be called at least once a second. A longer gap means that the process was suspended. It
    /// is treated as any other gap.
    pub fn look(&mut self, now: Now) {
        if now.mono_ms.saturating_sub(self.seen_mono_ms) > GAP_MS {
            let stood = self.now(Now { mono_ms: self.seen_mono_ms, ..now });
            self.set(stood, now);
            self.gap = None;
        }
        self.seen_mono_ms = now.mono_ms;
    }

    /// Follows the agreed clock: slowly, or after a wait if the gap is large and at most
    /// `step_ms_max`.
    pub fn follow(&mut self, agreed: Agreed, step_ms_max: u64, now: Now) {
        let own = self.now(now);
        let gap_ms = agreed.wall_ms.saturating_sub(own.0);
        if gap_ms <= GAP_MS {
            self.gap = None;
            if now.mono_ms.saturating_sub(self.base_mono_ms) >= COMPARE_EVERY_MS {
                self.set(own, now);
                self.correction_ms = agreed.wall_ms.cast_signed() - own.0.cast_signed();
            }
            return;
        }
        let fresh = Gap {
            since_mono_ms: now.mono_ms,
            begun_ms: gap_ms,
            ms: gap_ms,
            why: Behind::Waits,
            accepted: false,
        };
        let mut gap = self.gap.filter(|gap| gap_ms <= gap.begun_ms + GAP_MS).unwrap_or(fresh);
        gap.ms = gap_ms;
        gap.why = if !agreed.by_majority {
            Behind::Disagreed
        } else if gap_ms > step_ms_max && !gap.accepted {
            Behind::NeedsOperator
        } else {
            Behind::Waits
        };
        let waited = now.mono_ms.saturating_sub(gap.since_mono_ms) >= WAIT_MS;
        self.gap = Some(gap);
        if waited && gap.why == Behind::Waits || steps_at_once() {
            self.set(Timestamp(agreed.wall_ms), now);
            self.gap = None;
        }
    }

    /// An operator says that the agreed clock is right, however large the gap is.
    pub fn accept(&mut self) {
        if let Some(gap) = &mut self.gap {
            gap.accepted = true;
        }
    }

    /// Milliseconds by which it is behind the agreed clock, and why, if that is a large gap.
    pub fn behind(&self) -> Option<(u64, Behind)> {
        self.gap.map(|gap| (gap.ms, gap.why))
    }

    /// The clock now. Jumps of the wall clock do not reach it.
    pub fn now(&self, now: Now) -> Timestamp {
        let passed = now.mono_ms.saturating_sub(self.base_mono_ms);
        let corrected = self.correction_ms.unsigned_abs().min(passed / CORRECTION_EVERY_MS);
        self.base.plus_ms(match self.correction_ms >= 0 {
            true => passed + corrected,
            false => passed - corrected,
        })
    }

    fn set(&mut self, base: Timestamp, now: Now) {
        (self.base, self.base_mono_ms, self.correction_ms) = (base, now.mono_ms, 0);
    }
}

/// Whether a bug is planted that takes every gap at once.
fn steps_at_once() -> bool {
    #[cfg(feature = "simulation")]
    if crate::planted::is_planted(crate::planted::Bug::ClockStepAtOnce) {
        return true;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;

    fn now(mono_ms: u64, wall_ms: u64) -> Now {
        Now { mono_ms, wall_ms }
    }

    const STEP_MS_MAX: u64 = 24 * HOUR;

    fn agreed(wall_ms: u64) -> Agreed {
        Agreed { wall_ms, by_majority: true }
    }

    #[test]
    fn one_clock_that_is_an_hour_wrong_moves_nothing() {
        let mut clocks = PeerClocks::default();
        // Ours runs an hour ahead of two peers.
        let ours = now(1_000, 10 * HOUR);
        clocks.heard(NodeId(2), 9 * HOUR, ours);
        clocks.heard(NodeId(3), 9 * HOUR + 5, ours);
        assert_eq!(clocks.agreed(ours), agreed(9 * HOUR + 5));
        // One peer is an hour ahead.
        clocks.heard(NodeId(2), 11 * HOUR, ours);
        clocks.heard(NodeId(3), 10 * HOUR + 3, ours);
        assert_eq!(clocks.agreed(ours), agreed(10 * HOUR + 3));
        // All three differ.
        clocks.heard(NodeId(3), 9 * HOUR, ours);
        assert!(!clocks.agreed(ours).by_majority);
        // Old measurements no longer count.
        assert_eq!(clocks.agreed(now(1_000 + FRESH_MS + 1, 20 * HOUR)), agreed(20 * HOUR));
    }

    /// Found by the simulation; see docs/bugs-found.md, number 5. Offsets measured against our own
    /// wall clock moved with it when it jumped.
    #[test]
    fn a_jump_of_our_own_clock_does_not_move_what_we_know_of_the_others() {
        let mut clocks = PeerClocks::default();
        clocks.heard(NodeId(2), 9 * HOUR, now(1_000, 9 * HOUR));
        clocks.heard(NodeId(3), 9 * HOUR, now(1_000, 9 * HOUR));
        assert_eq!(clocks.agreed(now(1_100, 10 * HOUR)), agreed(9 * HOUR + 100));
        assert_eq!(clocks.agreed(now(1_100, 8 * HOUR)), agreed(9 * HOUR + 100));
    }

    #[test]
    fn only_the_monotonic_clock_moves_it_and_the_replicated_clock_is_its_floor() {
        let mut clock = LeaderClock::default();
        clock.lead(agreed(HOUR), Timestamp(HOUR + 50), now(100, HOUR));
        assert_eq!(clock.now(now(100, HOUR)), Timestamp(HOUR + 50));
        assert_eq!(clock.now(now(150, 9 * HOUR)), Timestamp(HOUR + 100));
        assert_eq!(clock.now(now(160, 0)), Timestamp(HOUR + 110));
        let mut late = clock;
        late.catch_up(Timestamp(HOUR), now(170, 0));
        assert_eq!(late.now(now(180, 0)), clock.now(now(180, 0)), "it is ahead already");
        late.catch_up(Timestamp(2 * HOUR), now(190, 0));
        assert_eq!(late.now(now(200, 0)), Timestamp(2 * HOUR + 10));
    }

    /// Follows a clock that is `ahead_ms` of the monotonic one, each second.
    fn follow(clock: &mut LeaderClock, ahead_ms: u64, (from_s, to_s): (u64, u64)) -> Timestamp {
        let mut last = clock.now(now(from_s * 1_000, 0));
        for second in from_s..=to_s {
            let at = now(second * 1_000, second * 1_000 + ahead_ms);
            clock.look(at);
            clock.follow(agreed(at.wall_ms), STEP_MS_MAX, at);
            assert!(clock.now(at) >= last, "it never runs backwards");
            last = clock.now(at);
        }
        last
    }

    #[test]
    fn a_small_error_is_corrected_by_one_percent_in_both_directions() {
        let mut clock = LeaderClock::default();
        clock.lead(agreed(HOUR), Timestamp(0), now(0, HOUR));
        // Half a second ahead: it takes fifty seconds.
        let after_10_s = follow(&mut clock, HOUR + 500, (0, 11));
        assert_eq!(after_10_s, Timestamp(HOUR + 11_000 + 100));
        assert_eq!(follow(&mut clock, HOUR + 500, (12, 70)), Timestamp(HOUR + 70_500));
        // Half a second behind.
        assert_eq!(follow(&mut clock, HOUR, (71, 82)), Timestamp(HOUR + 82_500 - 110));
        assert_eq!(follow(&mut clock, HOUR, (83, 200)), Timestamp(HOUR + 200_000));
        // A correction ends where the clocks agree, even if nobody looks for long.
        let mut clock = LeaderClock { correction_ms: 20, ..LeaderClock::default() };
        assert_eq!(clock.now(now(50_000, 0)), Timestamp(50_020));
        clock.correction_ms = -20;
        assert_eq!(clock.now(now(50_000, 0)), Timestamp(49_980));
    }

    #[test]
    fn a_large_gap_is_taken_after_a_minute_and_a_later_jump_begins_another_wait() {
        let mut clock = LeaderClock::default();
        clock.lead(agreed(HOUR), Timestamp(0), now(0, HOUR));
        // All machines slept for an hour.
        assert_eq!(follow(&mut clock, 2 * HOUR, (1, 60)), Timestamp(HOUR + 60_000));
        assert_eq!(clock.behind(), Some((HOUR, Behind::Waits)));
        assert_eq!(follow(&mut clock, 2 * HOUR, (61, 61)), Timestamp(2 * HOUR + 61_000));
        assert_eq!(clock.behind(), None);
        // Twice, with half a minute in between.
        follow(&mut clock, 3 * HOUR, (62, 92));
        assert_eq!(follow(&mut clock, 4 * HOUR, (93, 152)), Timestamp(2 * HOUR + 152_000));
        assert_eq!(follow(&mut clock, 4 * HOUR, (153, 153)), Timestamp(4 * HOUR + 153_000));
    }

    #[test]
    fn a_new_term_takes_a_small_gap_at_once_and_waits_for_a_large_one() {
        let at = now(5_000, 0);
        let mut clock = LeaderClock::default();
        clock.catch_up(Timestamp(HOUR), at);
        let mut near = clock;
        near.lead(agreed(HOUR + GAP_MS), Timestamp(HOUR), at);
        assert_eq!(near.now(at), Timestamp(HOUR + GAP_MS));
        clock.lead(agreed(HOUR + GAP_MS + 1), Timestamp(HOUR), at);
        assert_eq!(clock.now(at), Timestamp(HOUR));
        // A cluster without any entry takes any time.
        let mut first = LeaderClock::default();
        first.lead(agreed(9 * HOUR), Timestamp(0), at);
        assert_eq!(first.now(at), Timestamp(9 * HOUR));
    }

    #[test]
    fn a_process_that_was_suspended_does_not_take_that_time_at_once() {
        let mut clock = LeaderClock::default();
        clock.lead(agreed(HOUR), Timestamp(0), now(0, HOUR));
        assert_eq!(follow(&mut clock, HOUR, (0, 10)), Timestamp(HOUR + 10_000));
        let awake = now(10_000 + HOUR, 10_000 + 2 * HOUR);
        clock.look(awake);
        assert_eq!(clock.now(awake), Timestamp(HOUR + 10_000));
        clock.follow(agreed(awake.wall_ms), STEP_MS_MAX, awake);
        assert_eq!(clock.behind(), Some((HOUR, Behind::Waits)));
        // A short pause is time like any other.
        clock.look(now(awake.mono_ms + 30_000, 0));
        assert_eq!(clock.now(now(awake.mono_ms + 30_000, 0)), Timestamp(HOUR + 40_000));
    }

    #[test]
    fn a_gap_above_the_bound_waits_for_an_operator_and_clocks_that_differ_are_not_followed() {
        let mut clock = LeaderClock::default();
        clock.lead(agreed(HOUR), Timestamp(0), now(0, HOUR));
        assert_eq!(follow(&mut clock, 26 * HOUR, (1, 600)), Timestamp(HOUR + 600_000));
        assert_eq!(clock.behind(), Some((25 * HOUR, Behind::NeedsOperator)));
        clock.accept();
        let at = now(601_000, 0);
        let disagreed = Agreed { wall_ms: 26 * HOUR + 601_000, by_majority: false };
        clock.follow(disagreed, STEP_MS_MAX, at);
        assert_eq!(clock.behind(), Some((25 * HOUR, Behind::Disagreed)));
        assert_eq!(follow(&mut clock, 26 * HOUR, (602, 602)), Timestamp(26 * HOUR + 602_000));
    }
}
