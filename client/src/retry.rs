//! Decides whether and when to send a request again. Plain functions: no clock, no I/O; the random
//! number is an argument.

use std::time::Duration;

use crate::attempt::{Cause, FailedAttempt};
use crate::wire::{ErrorCode, Outcome};

/// The least time before the deadline at which another attempt starts.
pub(crate) const ANSWER_TIME_MIN: Duration = Duration::from_millis(10);

/// What a second request may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// A read: has no effect, however often it is sent.
    Read,
    /// A write under an idempotency key: takes effect at most once.
    Keyed,
    /// A cancel or a release: the second request finds the order cancelled or the hold released,
    /// and succeeds.
    Cancel,
    /// A replacement: the second request writes the same values again.
    Replace,
    /// Anything else: a second request may take effect twice, or be refused because of the first.
    Once,
}

/// Waits that double up to a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Backoff {
    /// Upper bound of the first wait.
    pub(crate) base: Duration,
    /// Upper bound of every wait.
    pub(crate) max: Duration,
}

impl Backoff {
    /// The wait before retry number `retry`, from 0.
    ///
    /// `unit`, in `[0, 1)`, places it in the upper half of its range: clients that failed together
    /// retry at different times, and none retries at once.
    pub(crate) fn delay(&self, retry: u32, unit: f64) -> Duration {
        let doubled = self.base.saturating_mul(1_u32 << retry.min(31));
        let half = doubled.min(self.max) / 2;
        half + half.mul_f64(unit.clamp(0.0, 1.0))
    }
}

/// What [`after`] needs to know besides the failed attempt.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Situation {
    /// What a second request may do.
    pub(crate) repeat: Repeat,
    /// Attempts made so far, at least 1.
    pub(crate) attempts: u32,
    /// Most attempts allowed.
    pub(crate) attempts_max: u32,
    /// Base URLs that the request may be sent to.
    pub(crate) endpoints: usize,
    /// Time left until the deadline.
    pub(crate) left: Duration,
    /// A random number in `[0, 1)`.
    pub(crate) unit: f64,
}

/// The wait before the next attempt, or `None` when there is to be none.
pub(crate) fn after(
    failure: &FailedAttempt,
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
    // An unreachable node says nothing about the others: ask those that were not asked yet, at
    // once.
    let untried = (situation.attempts as usize) < situation.endpoints;
    let wait = if matches!(failure.cause, Cause::Connect { .. }) && untried {
        Duration::ZERO
    } else {
        backoff.delay(situation.attempts - 1, situation.unit)
    };
    let wait = wait.max(failure.retry_after.unwrap_or(Duration::ZERO));
    // An attempt without enough time for an answer can only turn a certain outcome into an unknown
    // one.
    (wait.saturating_add(ANSWER_TIME_MIN) <= situation.left).then_some(wait)
}

/// The outcome of a whole call, from its last failed attempt and whether the outcome of an earlier
/// attempt is unknown.
///
/// An attempt with an unknown outcome may still take effect, so a later refusal says nothing about
/// it. Only a refusal that applies to every attempt of the call, past and future, resolves it.
pub(crate) fn outcome(repeat: Repeat, last: &FailedAttempt, doubt: bool) -> Outcome {
    match repeat {
        Repeat::Read if last.outcome == Outcome::Rejected => Outcome::Rejected,
        Repeat::Read => Outcome::NotApplied,
        _ if doubt && !settles(repeat, last) => Outcome::Unknown,
        _ => last.outcome,
    }
}

/// Whether `last` is a refusal that must apply to every earlier attempt of the same call.
fn settles(repeat: Repeat, last: &FailedAttempt) -> bool {
    let Some(code) = last.cause.code() else { return false };
    match repeat {
        // The key is bound for good: fenced, or used by another request.
        Repeat::Keyed => matches!(code, ErrorCode::KeyFenced | ErrorCode::IdempotencyKeyReused),
        // An order that left PENDING never returns there, and a cancelled one is answered with 200.
        // A hold that ended otherwise was not released, and a released one is answered with 204.
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

    fn failure(code: ErrorCode) -> FailedAttempt {
        FailedAttempt {
            outcome: code.outcome(),
            retryable: code.is_retryable(),
            retry_after: None,
            cause: Cause::Problem(Box::new(Problem::new(code, "", ""))),
        }
    }

    fn refused_connection() -> FailedAttempt {
        let source = std::io::Error::from(std::io::ErrorKind::ConnectionRefused).into();
        FailedAttempt {
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
    fn waits_double_up_to_the_bound_within_the_upper_half() {
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
    fn a_request_that_was_not_applied_is_always_retried() {
        for repeat in REPEATS {
            let wait = after(&failure(ErrorCode::NoLeader), &situation(repeat), &BACKOFF);
            assert_eq!(wait, Some(Duration::from_millis(50)), "{repeat:?}");
        }
    }

    #[test]
    fn an_unknown_outcome_is_retried_only_where_that_is_safe() {
        for repeat in REPEATS {
            let wait = after(&failure(ErrorCode::CommitTimeout), &situation(repeat), &BACKOFF);
            assert_eq!(wait.is_some(), repeat != Repeat::Once, "{repeat:?}");
        }
    }

    #[test]
    fn a_refused_request_is_never_retried() {
        for repeat in REPEATS {
            let failure = failure(ErrorCode::InsufficientStock);
            assert_eq!(after(&failure, &situation(repeat), &BACKOFF), None, "{repeat:?}");
        }
    }

    #[test]
    fn the_server_may_say_that_a_retry_is_useless() {
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
    fn retry_after_lengthens_the_wait_up_to_the_deadline() {
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
    fn an_unreachable_node_costs_no_wait_while_others_are_untried() {
        let mut situation = situation(Repeat::Once);
        for (attempts, expected_ms) in [(1, 0), (2, 0), (3, 200)] {
            situation.attempts = attempts;
            let wait = after(&refused_connection(), &situation, &BACKOFF);
            assert_eq!(wait, Some(Duration::from_millis(expected_ms)), "attempt {attempts}");
        }
    }

    #[test]
    fn a_refusal_after_an_unknown_outcome_is_unknown() {
        let refused = failure(ErrorCode::InsufficientStock);
        for repeat in [Repeat::Keyed, Repeat::Cancel, Repeat::Replace, Repeat::Once] {
            assert_eq!(outcome(repeat, &refused, false), Outcome::Rejected, "{repeat:?}");
            assert_eq!(outcome(repeat, &refused, true), Outcome::Unknown, "{repeat:?}");
        }
        assert_eq!(outcome(Repeat::Keyed, &refused_connection(), true), Outcome::Unknown);
    }

    #[test]
    fn a_refusal_of_every_attempt_resolves_an_unknown_outcome() {
        for code in [ErrorCode::KeyFenced, ErrorCode::IdempotencyKeyReused] {
            assert_eq!(outcome(Repeat::Keyed, &failure(code), true), Outcome::Rejected);
            assert_eq!(outcome(Repeat::Replace, &failure(code), true), Outcome::Unknown);
        }
        let final_order = failure(ErrorCode::OrderNotCancellable);
        assert_eq!(outcome(Repeat::Cancel, &final_order, true), Outcome::Rejected);
        assert_eq!(outcome(Repeat::Keyed, &final_order, true), Outcome::Unknown);
    }

    #[test]
    fn the_outcome_of_a_read_is_never_unknown() {
        let timeout = failure(ErrorCode::CommitTimeout);
        assert_eq!(outcome(Repeat::Read, &timeout, true), Outcome::NotApplied);
        let missing = failure(ErrorCode::NotFound);
        assert_eq!(outcome(Repeat::Read, &missing, true), Outcome::Rejected);
    }
}
