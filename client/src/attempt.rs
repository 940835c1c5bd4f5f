//! What went wrong in one attempt, and what that says about its effect.

use std::time::Duration;

use hyper::HeaderMap;
use hyper::header::RETRY_AFTER;

use crate::wire::{ErrorCode, Outcome, Problem};

/// An error of an underlying library, kept as the source of a [`Cause`].
pub(crate) type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why an attempt failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// The server answered with a problem.
    #[error("{} {}: {}", .0.status, .0.error, .0.detail)]
    Problem(Box<Problem>),

    /// The answer is an error without a readable problem, so perhaps it is not Holdfast's.
    #[error("status {status} from {url} without a readable problem")]
    Status {
        /// The HTTP status.
        status: u16,
        /// The base URL that was asked.
        url: String,
    },

    /// The status says success, but the body is not what the endpoint returns.
    #[error("status {status} from {url} with an unreadable body")]
    Body {
        /// The HTTP status.
        status: u16,
        /// The base URL that was asked.
        url: String,
        /// What is wrong with the body.
        #[source]
        source: Source,
    },

    /// The body of the answer is longer than the client accepts.
    #[error("an answer from {url} is longer than {bytes_max} bytes")]
    TooLarge {
        /// The base URL that was asked.
        url: String,
        /// The bound, from [`crate::Builder::response_bytes_max`].
        bytes_max: usize,
    },

    /// No connection was made, so nothing was sent.
    #[error("cannot connect to {url}")]
    Connect {
        /// The base URL that was asked.
        url: String,
        /// The connector's error.
        #[source]
        source: Source,
    },

    /// The connection broke before the answer was complete.
    #[error("the connection to {url} broke")]
    Broken {
        /// The base URL that was asked.
        url: String,
        /// The HTTP library's error.
        #[source]
        source: Source,
    },

    /// The attempt took too long.
    #[error("no answer from {url} within {} ms", .after.as_millis())]
    Timeout {
        /// The base URL that was asked.
        url: String,
        /// The time limit of the attempt.
        after: Duration,
    },

    /// All connections were busy until the deadline, so nothing was sent.
    #[error("all {connections_max} connections were busy until the deadline")]
    Busy {
        /// The bound, from [`crate::Builder::connections_max`].
        connections_max: usize,
    },
}

impl Cause {
    /// Whether nothing came back at all.
    pub(crate) const fn is_unreachable(&self) -> bool {
        matches!(self, Self::Connect { .. } | Self::Broken { .. } | Self::Timeout { .. })
    }

    /// The problem in the server's answer, if there was one.
    #[must_use]
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Problem(problem) => Some(problem),
            _ => None,
        }
    }

    /// The code of that problem, if this version knows it.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        self.problem().and_then(Problem::code)
    }
}

/// One failed attempt.
#[derive(Debug)]
pub(crate) struct FailedAttempt {
    /// What is known about the effect of the attempt.
    pub(crate) outcome: Outcome,
    /// Whether a retry may help.
    pub(crate) retryable: bool,
    /// How long the server asks clients to wait.
    pub(crate) retry_after: Option<Duration>,
    /// What went wrong.
    pub(crate) cause: Cause,
}

impl FailedAttempt {
    /// An attempt that failed without an answer from the server.
    pub(crate) fn on_the_way(outcome: Outcome, cause: Cause) -> Self {
        Self { outcome, retryable: true, retry_after: None, cause }
    }

    /// Judges an answer that is not a success.
    ///
    /// A problem knows its outcome. Without one, the answer may come from something between client
    /// and server, which cannot know the effect. Then only a status that refuses the request as
    /// such means that there was no effect.
    pub(crate) fn from_answer(status: u16, headers: &HeaderMap, body: &[u8], url: &str) -> Self {
        let problem = serde_json::from_slice::<Problem>(body)
            .ok()
            .filter(|problem| problem.status == status && !problem.success);
        let after_s = retry_after_s(headers)
            .or_else(|| problem.as_ref().and_then(|problem| problem.retry_after));
        let retry_after = after_s.map(Duration::from_secs);
        match problem {
            Some(problem) => Self {
                // 504 means unknown, whatever else the body says.
                outcome: if status == 504 { Outcome::Unknown } else { problem.outcome },
                retryable: problem.retryable,
                retry_after,
                cause: Cause::Problem(Box::new(problem)),
            },
            None => {
                let outcome = match status {
                    408 | 429 => Outcome::NotApplied,
                    400..=499 => Outcome::Rejected,
                    _ => Outcome::Unknown,
                };
                let cause = Cause::Status { status, url: url.to_owned() };
                Self { outcome, retryable: true, retry_after, cause }
            }
        }
    }
}

/// The `Retry-After` header in seconds. The form with a date is ignored: Holdfast never sends it,
/// and obeying it would need the server's clock.
fn retry_after_s(headers: &HeaderMap) -> Option<u64> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "http://127.0.0.1:8080";

    fn judge(status: u16, body: &str) -> FailedAttempt {
        FailedAttempt::from_answer(status, &HeaderMap::new(), body.as_bytes(), URL)
    }

    fn problem(code: ErrorCode) -> String {
        serde_json::to_string(&Problem::new(code, "words", "t")).unwrap()
    }

    #[test]
    fn a_problem_knows_its_outcome() {
        for &code in ErrorCode::ALL {
            let failure = judge(code.status(), &problem(code));
            assert_eq!(failure.outcome, code.outcome(), "{code}");
            assert_eq!(failure.retryable, code.is_retryable(), "{code}");
            assert_eq!(failure.cause.code(), Some(code));
        }
    }

    #[test]
    fn a_problem_with_an_unknown_code_is_understood() {
        let body = problem(ErrorCode::Overloaded).replace("overloaded", "on_fire");
        let failure = judge(503, &body);
        assert_eq!(failure.outcome, Outcome::NotApplied);
        assert_eq!(failure.cause.code(), None);
        assert_eq!(failure.cause.problem().map(|problem| &*problem.error), Some("on_fire"));
    }

    #[test]
    fn without_a_problem_only_refusals_are_certain() {
        for (status, expected) in [
            (302, Outcome::Unknown),
            (400, Outcome::Rejected),
            (404, Outcome::Rejected),
            (408, Outcome::NotApplied),
            (429, Outcome::NotApplied),
            (500, Outcome::Unknown),
            (502, Outcome::Unknown),
            (503, Outcome::Unknown),
            (504, Outcome::Unknown),
        ] {
            for body in ["", "<html>", "{}", "[1]", "\u{0}", r#"{"status": 200}"#] {
                let failure = judge(status, body);
                assert_eq!(failure.outcome, expected, "{status} {body}");
                assert!(matches!(failure.cause, Cause::Status { .. }));
            }
        }
    }

    #[test]
    fn a_problem_that_contradicts_the_status_is_not_trusted() {
        let failure = judge(500, &problem(ErrorCode::InsufficientStock));
        assert_eq!(failure.outcome, Outcome::Unknown);
    }

    #[test]
    fn a_gateway_timeout_is_unknown_even_if_the_body_denies_it() {
        let body = problem(ErrorCode::CommitTimeout).replace("unknown", "rejected");
        assert_eq!(judge(504, &body).outcome, Outcome::Unknown);
    }

    #[test]
    fn retry_after_comes_from_the_header_or_else_from_the_problem() {
        let mut words = Problem::new(ErrorCode::TooManyRequests, "", "");
        words.retry_after = Some(60);
        let body = serde_json::to_vec(&words).unwrap();
        let mut headers = HeaderMap::new();
        let failure = FailedAttempt::from_answer(429, &headers, &body, URL);
        assert_eq!(failure.retry_after, Some(Duration::from_secs(60)));

        headers.insert(RETRY_AFTER, "2".parse().unwrap());
        let failure = FailedAttempt::from_answer(429, &headers, &body, URL);
        assert_eq!(failure.retry_after, Some(Duration::from_secs(2)));

        headers.insert(RETRY_AFTER, "Wed, 21 Oct 2026 07:28:00 GMT".parse().unwrap());
        let failure = FailedAttempt::from_answer(429, &headers, b"", URL);
        assert_eq!(failure.retry_after, None);
    }
}
