//! The breaker: stops calls to a gateway that does not work, and begins again carefully.
//!
//! It opens when half of at least [`CALLS_MIN`] calls within [`WINDOW_MS`] ended without an answer,
//! or at once when the gateway refuses the node itself. While it is open the worker claims nothing,
//! so orders stay PENDING and can be cancelled. Then it lets a few real payments through, twice as
//! many each time.

/// Calls are judged over this time, in milliseconds.
const WINDOW_MS: u64 = 30_000;
/// The window moves by this much, in milliseconds.
const BUCKET_MS: u64 = 5_000;
const BUCKETS: usize = (WINDOW_MS / BUCKET_MS) as usize;
/// Fewer calls open no breaker.
const CALLS_MIN: u32 = 20;
/// How long it stays open the first time, and at most, in milliseconds.
const OPEN_MS: u64 = 5_000;
const OPEN_MS_MAX: u64 = 60_000;
/// When this many payments had an answer, and fewer than as many had none, the breaker closes.
const TRUSTED_FROM: u32 = 64;

/// The state, as health and metrics show it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GatewayState {
    /// Calls go through.
    #[default]
    Closed,
    /// A few calls go through.
    HalfOpen,
    /// No calls go through.
    Open,
}

impl GatewayState {
    /// The word in health and status.
    pub fn as_str(self) -> &'static str {
        match self {
            GatewayState::Closed => "closed",
            GatewayState::HalfOpen => "half_open",
            GatewayState::Open => "open",
        }
    }
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// With an answer.
    Answered,
    /// Without one.
    Unknown,
    /// The gateway wants no calls for this many milliseconds.
    Busy(u64),
    /// The gateway refuses the node.
    Refused,
}

#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    /// Its number since the worker's clock began.
    number: u64,
    calls: u32,
    unknown: u32,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Closed,
    Open {
        until_ms: u64,
    },
    HalfOpen {
        /// Payments that may be open now.
        budget: u32,
        /// Calls since it was open that had an answer, and that had none.
        answered: u32,
        unknown: u32,
    },
}

/// See the module's documentation. Its clock is monotonic, in milliseconds.
#[derive(Debug)]
pub(crate) struct Breaker {
    buckets: [Bucket; BUCKETS],
    phase: Phase,
    /// How long it stays open the next time.
    next_open_ms: u64,
}

impl Breaker {
    pub(crate) fn new() -> Breaker {
        let buckets = [Bucket::default(); BUCKETS];
        Breaker { buckets, phase: Phase::Closed, next_open_ms: OPEN_MS }
    }

    /// How many calls may be open at `now_ms`; `None` means any number.
    pub(crate) fn calls_max(&mut self, now_ms: u64) -> Option<usize> {
        if let Phase::Open { until_ms } = self.phase
            && until_ms <= now_ms
        {
            self.phase = Phase::HalfOpen { budget: 1, answered: 0, unknown: 0 };
        }
        match self.phase {
            Phase::Closed => None,
            Phase::Open { .. } => Some(0),
            Phase::HalfOpen { budget, .. } => Some(budget as usize),
        }
    }

    /// The state, as others see it.
    pub(crate) fn state(&self) -> GatewayState {
        match self.phase {
            Phase::Closed => GatewayState::Closed,
            Phase::Open { .. } => GatewayState::Open,
            Phase::HalfOpen { .. } => GatewayState::HalfOpen,
        }
    }

    /// A call ended.
    pub(crate) fn ended(&mut self, now_ms: u64, how: Ended) {
        match how {
            Ended::Busy(wait_ms) => self.pause(now_ms.saturating_add(wait_ms.min(OPEN_MS_MAX))),
            Ended::Refused => self.open(now_ms),
            Ended::Answered | Ended::Unknown => self.count(now_ms, how == Ended::Unknown),
        }
    }

    fn count(&mut self, now_ms: u64, is_unknown: bool) {
        match &mut self.phase {
            // A call from before; it says nothing about the gateway's state since.
            Phase::Open { .. } => {}
            Phase::HalfOpen { answered, unknown, .. } if is_unknown => {
                *unknown += 1;
                if *unknown >= *answered {
                    self.open(now_ms);
                }
            }
            Phase::HalfOpen { budget, answered, .. } => {
                *answered += 1;
                *budget = (*budget).max(*answered * 2);
                if *answered >= TRUSTED_FROM {
                    *self = Breaker::new();
                }
            }
            Phase::Closed => {
                let number = now_ms / BUCKET_MS;
                let bucket = &mut self.buckets[(number % BUCKETS as u64) as usize];
                if bucket.number != number {
                    *bucket = Bucket { number, ..Bucket::default() };
                }
                bucket.calls = bucket.calls.saturating_add(1);
                bucket.unknown = bucket.unknown.saturating_add(u32::from(is_unknown));
                if is_unknown && self.is_broken(number) {
                    self.open(now_ms);
                }
            }
        }
    }

    fn is_broken(&self, number: u64) -> bool {
        let first = (number + 1).saturating_sub(BUCKETS as u64);
        let recent = self.buckets.iter().filter(|bucket| bucket.number >= first);
        let (calls, unknown) = recent.fold((0_u64, 0_u64), |(calls, unknown), bucket| {
            (calls + u64::from(bucket.calls), unknown + u64::from(bucket.unknown))
        });
        calls >= u64::from(CALLS_MIN) && 2 * unknown >= calls
    }

    fn open(&mut self, now_ms: u64) {
        if matches!(self.phase, Phase::Open { .. }) {
            return;
        }
        self.phase = Phase::Open { until_ms: now_ms.saturating_add(self.next_open_ms) };
        self.next_open_ms = (2 * self.next_open_ms).min(OPEN_MS_MAX);
        self.buckets = [Bucket::default(); BUCKETS];
    }

    /// Stops calls for a while, since the gateway asks for it.
    fn pause(&mut self, until_ms: u64) {
        let until_ms = match self.phase {
            Phase::Open { until_ms: later } => later.max(until_ms),
            _ => until_ms,
        };
        self.phase = Phase::Open { until_ms };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_twenty_calls_without_an_answer_open_it() {
        let mut breaker = Breaker::new();
        for n in 0..19 {
            breaker.ended(n, Ended::Unknown);
        }
        assert_eq!(breaker.calls_max(19), None, "too few calls to judge");
        for _ in 0..30 {
            breaker.ended(20, Ended::Answered);
        }
        breaker.ended(21, Ended::Unknown);
        assert_eq!(breaker.calls_max(21), None, "20 of 50");
        for _ in 0..10 {
            breaker.ended(22, Ended::Unknown);
        }
        assert_eq!(breaker.calls_max(22), Some(0), "30 of 60");
        assert_eq!(breaker.state(), GatewayState::Open);
        assert_eq!(breaker.calls_max(5_022), Some(1));
    }

    #[test]
    fn calls_of_long_ago_do_not_count() {
        let mut breaker = Breaker::new();
        (0..19).for_each(|_| breaker.ended(0, Ended::Unknown));
        breaker.ended(WINDOW_MS, Ended::Unknown);
        assert_eq!(breaker.calls_max(WINDOW_MS), None);
    }

    #[test]
    fn it_closes_step_by_step_and_waits_longer_each_time() {
        let mut breaker = Breaker::new();
        breaker.ended(0, Ended::Refused);
        assert_eq!(breaker.calls_max(4_999), Some(0));
        assert_eq!(breaker.calls_max(5_000), Some(1));
        breaker.ended(5_000, Ended::Answered);
        breaker.ended(5_000, Ended::Answered);
        assert_eq!(breaker.calls_max(5_000), Some(4));
        breaker.ended(5_000, Ended::Unknown);
        assert_eq!(breaker.calls_max(5_000), Some(4), "most had an answer");
        breaker.ended(5_000, Ended::Unknown);
        assert_eq!(breaker.calls_max(14_999), Some(0));
        let mut now = 15_000;
        for wait in [20_000, 40_000, 60_000, 60_000] {
            assert_eq!(breaker.calls_max(now), Some(1));
            breaker.ended(now, Ended::Unknown);
            assert_eq!(breaker.calls_max(now + wait - 1), Some(0), "{wait}");
            now += wait;
        }
        assert_eq!(breaker.calls_max(now), Some(1));
        for _ in 0..TRUSTED_FROM {
            assert!(breaker.calls_max(now).is_some());
            breaker.ended(now, Ended::Answered);
        }
        assert_eq!((breaker.calls_max(now), breaker.state()), (None, GatewayState::Closed));
    }

    #[test]
    fn a_busy_gateway_gets_the_time_that_it_asks_for_but_no_more_than_a_minute() {
        let mut breaker = Breaker::new();
        breaker.ended(0, Ended::Busy(7_000));
        breaker.ended(0, Ended::Busy(1));
        assert_eq!(breaker.calls_max(6_999), Some(0));
        assert_eq!(breaker.calls_max(7_000), Some(1));
        breaker.ended(7_000, Ended::Busy(u64::MAX));
        assert_eq!(breaker.calls_max(66_999), Some(0));
        assert_eq!(breaker.calls_max(67_000), Some(1));
    }
}
