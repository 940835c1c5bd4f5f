//! Decides whether and when a request is sent again. Plain functions: no clock, no I/O, and the
//! random number is an argument.

use std::time::Duration;

use crate::failure::{Cause, Failure};
use crate::wire::{ErrorCode, Outcome};

/// Least time before the deadline at which another attempt is begun.
pub(crate) const ANSWER_TIME_MIN: Duration = Duration::from_millis(10);

/// What sending a request a second time may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// A read: has no effect, however often it is sent.
    Read,
    /// A write under an idempotency key: takes effect at most once.
    Keyed,
    /// A cancel or a release: the second one finds the order cancelled or the hold released, which
    /// is its success.
    Cancel,
    /// A replacement: the second one writes the same values again.
    Replace,
    /// Anything else: a second one may take effect twice, or be refused because of the first.
    Once,
}

/// Waiting times that double up to a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Backoff {
    /// Upper end of the first wait.
    pub(crate) base: Duration,
    /// Upper end of every wait.
    pub(crate) max: Duration,
}

impl Backoff {
    /// The wait before retry number `retry`, counted from 0.
    ///
    /// `unit`, in `[0, 1)`, places it in the upper half of its range: clients that failed
    /// together come back spread out, and none comes back at once.
    pub(crate) fn delay(&self, retry: u32, unit: f64) -> Duration {
        let doubled = self.base.saturating_mul(1_u32 << retry.min(31));
        let half = doubled.min(self.max) / 2;
        half + half.mul_f64(unit.clamp(0.0, 1.0))
    }
}

/// What the caller of [`after`] knows besides the failure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Situation {
    /// What a repetition may do.
    pub(crate) repeat: Repeat,
    /// Attempts made so far, at least 1.
    pub(crate) attempts: u32,
    /// Most attempts allowed.
    pub(crate) attempts_max: u32,
    /// Base URLs that the request may go to.
    pub(crate) endpoints: usize,
    /// Time left until the deadline.
    pub(crate) left: Duration,
    /// A random number in `[0, 1)`.
    pub(crate) unit: f64,
}

/// The wait before the next attempt, or nothing when `failure` is the last word.
pub(crate) fn after(
    failure: &Failure,
    situation: &Situation,
    backoff: &Backoff,
) -> Option<Duration> {
    let may_repeat = failure.retryable
        && match failure.outcome {
            Outcome::Rejected => false,
            Outcome::NotApplied => true,
            Outcome::Unknown => situation.repeat != Repeat::Once,
        };
    if !may_repeat || situation.attempts >= situation.attempts_max {
        return None;
    }
    // A node that is gone says nothing about the others: ask those that were not asked yet.
    let untried = (situation.attempts as usize) < situation.endpoints;
    let wait = if matches!(failure.cause, Cause::Connect { .. }) && untried {
        Duration::ZERO
    } else {
        backoff.delay(situation.attempts - 1, situation.unit)
    };
    let wait = wait.max(failure.retry_after.unwrap_or(Duration::ZERO));
    // An attempt that has no time for an answer can only turn a certain outcome into doubt.
    (wait.saturating_add(ANSWER_TIME_MIN) <= situation.left).then_some(wait)
}

/// The outcome of a whole call, from its last failure and whether an earlier attempt ended in
/// doubt.
///
/// An attempt in doubt may still be on its way, so a later refusal decides nothing about it.
/// Only a refusal that holds for every attempt of the call, past and future, settles the doubt.
pub(crate) fn outcome(repeat: Repeat, last: &Failure, doubt: bool) -> Outcome {
    match repeat {
        Repeat::Read if last.outcome == Outcome::Rejected => Outcome::Rejected,
        Repeat::Read => Outcome::NotApplied,
        _ if doubt && !settles(repeat, last) => Outcome::Unknown,
        _ => last.outcome,
    }
}

/// Whether `last` is a refusal that no earlier attempt of the same call can have escaped.
fn settles(repeat: Repeat, last: &Failure) -> bool {
    let Some(code) = last.cause.code() else { return false };
    match repeat {
        // The key is bound for good: to nothing, to another request, or to a result that changed
        // nothing.
        Repeat::Keyed => matches!(
            code,
            ErrorCode::KeyFenced | ErrorCode::IdempotencyKeyReused | ErrorCode::PaymentConflict
        ),
        // An order that left PENDING never returns there, and a cancelled one answers 200; a hold
        // that has ended otherwise was not released, and a released one answers 204.
        Repeat::Cancel => matches!(
            code,
            ErrorCode::OrderNotCancellable | ErrorCode::HoldExpired | ErrorCode::HoldConsumed
        ),
        Repeat::Read | Repeat::Replace | Repeat::Once => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Problem;

    const BACKOFF: Backoff =
        Backoff { base: Duration::from_millis(100), max: Duration::from_secs(1) };

    const REPEATS: [Repeat; 5] =
        [Repeat::Read, Repeat::Keyed, Repeat::Cancel, Repeat::Replace, Repeat::Once];

    fn failure(code: ErrorCode) -> Failure {
        Failure {
            outcome: code.outcome(),
            retryable: code.is_retryable(),
            retry_after: None,
            cause: Cause::Problem(Box::new(Problem::new(code, "", ""))),
        }
    }

    fn refused_connection() -> Failure {
        let source = std::io::Error::from(std::io::ErrorKind::ConnectionRefused).into();
        Failure {
            outcome: Outcome::NotApplied,
            retryable: true,
            retry_after: None,
            cause: Cause::Connect { url: "http://127.0.0.1:1".to_owned(), source },
        }
    }

    fn situation(repeat: Repeat) -> Situation {
        Situation {
            repeat,
            attempts: 1,
            attempts_max: 5,
            endpoints: 3,
            left: Duration::from_secs(10),
            unit: 0.0,
        }
    }

    #[test]
    fn waits_double_up_to_the_bound_and_stay_in_the_upper_half() {
        for (retry, top_ms) in [(0, 100), (1, 200), (2, 400), (3, 800), (4, 1000), (40, 1000)] {
            let top = Duration::from_millis(top_ms);
            assert_eq!(BACKOFF.delay(retry, 0.0), top / 2, "retry {retry}");
            let late = BACKOFF.delay(retry, 0.999);
            assert!(late > top * 9 / 10 && late <= top, "retry {retry}: {late:?}");
        }
    }

    #[test]
    fn huge_settings_do_not_overflow() {
        let backoff = Backoff { base: Duration::MAX, max: Duration::MAX };
        assert!(backoff.delay(u32::MAX, 0.5) >= Duration::MAX / 2);
    }

    #[test]
    fn what_was_not_applied_is_always_sent_again() {
        for repeat in REPEATS {
            let wait = after(&failure(ErrorCode::NoLeader), &situation(repeat), &BACKOFF);
            assert_eq!(wait, Some(Duration::from_millis(50)), "{repeat:?}");
        }
    }

    #[test]
    fn what_is_unknown_is_sent_again_only_where_that_is_safe() {
        for repeat in REPEATS {
            let wait = after(&failure(ErrorCode::CommitTimeout), &situation(repeat), &BACKOFF);
            assert_eq!(wait.is_some(), repeat != Repeat::Once, "{repeat:?}");
        }
    }

    #[test]
    fn a_refusal_is_never_sent_again() {
        for repeat in REPEATS {
            let failure = failure(ErrorCode::InsufficientStock);
            assert_eq!(after(&failure, &situation(repeat), &BACKOFF), None, "{repeat:?}");
        }
    }

    #[test]
    fn the_server_may_say_that_repeating_is_useless() {
        let mut failure = failure(ErrorCode::InternalError);
        failure.retryable = false;
        assert_eq!(after(&failure, &situation(Repeat::Read), &BACKOFF), None);
    }

    #[test]
    fn attempts_are_bounded() {
        let mut situation = situation(Repeat::Read);
        situation.attempts = 4;
        assert!(after(&failure(ErrorCode::NoLeader), &situation, &BACKOFF).is_some());
        situation.attempts = 5;
        assert_eq!(after(&failure(ErrorCode::NoLeader), &situation, &BACKOFF), None);
    }

    #[test]
    fn retry_after_lengthens_the_wait_but_not_past_the_deadline() {
        let mut failure = failure(ErrorCode::Overloaded);
        failure.retry_after = Some(Duration::from_secs(3));
        let mut situation = situation(Repeat::Keyed);
        assert_eq!(after(&failure, &situation, &BACKOFF), Some(Duration::from_secs(3)));
        situation.left = Duration::from_secs(3) + ANSWER_TIME_MIN;
        assert_eq!(after(&failure, &situation, &BACKOFF), Some(Duration::from_secs(3)));
        situation.left -= Duration::from_nanos(1);
        assert_eq!(after(&failure, &situation, &BACKOFF), None);
    }

    #[test]
    fn a_dead_node_costs_no_wait_while_others_are_untried() {
        let mut situation = situation(Repeat::Once);
        for (attempts, expected_ms) in [(1, 0), (2, 0), (3, 200)] {
            situation.attempts = attempts;
            let wait = after(&refused_connection(), &situation, &BACKOFF);
            assert_eq!(wait, Some(Duration::from_millis(expected_ms)), "attempt {attempts}");
        }
    }

    #[test]
    fn a_refusal_after_doubt_is_reported_as_doubt() {
        let refused = failure(ErrorCode::InsufficientStock);
        for repeat in [Repeat::Keyed, Repeat::Cancel, Repeat::Replace, Repeat::Once] {
            assert_eq!(outcome(repeat, &refused, false), Outcome::Rejected, "{repeat:?}");
            assert_eq!(outcome(repeat, &refused, true), Outcome::Unknown, "{repeat:?}");
        }
        assert_eq!(outcome(Repeat::Keyed, &refused_connection(), true), Outcome::Unknown);
    }

    #[test]
    fn a_refusal_that_binds_every_attempt_settles_the_doubt() {
        for code in [ErrorCode::KeyFenced, ErrorCode::IdempotencyKeyReused] {
            assert_eq!(outcome(Repeat::Keyed, &failure(code), true), Outcome::Rejected);
            assert_eq!(outcome(Repeat::Replace, &failure(code), true), Outcome::Unknown);
        }
        let final_order = failure(ErrorCode::OrderNotCancellable);
        assert_eq!(outcome(Repeat::Cancel, &final_order, true), Outcome::Rejected);
        assert_eq!(outcome(Repeat::Keyed, &final_order, true), Outcome::Unknown);
    }

    #[test]
    fn a_read_is_never_in_doubt() {
        let timeout = failure(ErrorCode::CommitTimeout);
        assert_eq!(outcome(Repeat::Read, &timeout, true), Outcome::NotApplied);
        let missing = failure(ErrorCode::NotFound);
        assert_eq!(outcome(Repeat::Read, &missing, true), Outcome::Rejected);
    }
}
