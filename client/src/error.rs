//! The errors of a call. Each says first whether the request took effect.

use std::fmt;
use std::time::Duration;

use crate::attempt::Cause;
use crate::wire::{ErrorCode, Outcome, Problem};

/// Why a call did not succeed.
///
/// `Display` prints the kind and the number of attempts; the cause is the
/// [`source`](std::error::Error::source).
#[derive(Debug)]
pub enum Error {
    /// The arguments cannot be sent, so nothing was.
    Invalid(Invalid),
    /// The server refused the request: no attempt of this call has or will have an effect.
    Rejected(Box<Report>),
    /// The request certainly has no effect, but the server did not refuse it: it may be sent again.
    NotApplied(Box<Report>),
    /// The request may have taken effect, or still may. Look its key up with
    /// [`crate::Client::order_by_key`], or send the request again under the same key.
    Unknown(Box<Report>),
}

/// The details of a failed call.
#[derive(Debug)]
pub struct Report {
    /// What went wrong in the last attempt.
    pub cause: Cause,
    /// Attempts made, at least 1; an attempt without a free connection counts.
    pub attempts: u32,
    /// Time from the start of the call to its end.
    pub elapsed: Duration,
    /// The idempotency key of the call: the caller's, or one that the client made.
    pub idempotency_key: Option<String>,
    /// The trace id, to find the request in the servers' logs.
    pub trace_id: String,
}

/// Arguments that cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Invalid {
    /// The trace id is empty, longer than 128 bytes or not visible ASCII.
    #[error("the trace id must be 1 to 128 visible ASCII characters")]
    TraceId,
    /// The idempotency key is empty or longer than 255 characters.
    #[error("the idempotency key must be 1 to 255 characters")]
    IdempotencyKey,
    /// The event id to continue after is not one.
    #[error("the id of an event must be a position, a point and a number, such as 80740355.4")]
    EventId,
    /// A value does not fit into a URL that every server accepts.
    #[error("the request's URL cannot be formed: {0}")]
    Url(String),
    /// A batch is empty or larger than one request allows.
    #[error("a batch must have 1 to 1000 orders")]
    Batch,
    /// The body cannot be encoded as JSON.
    #[error("the request's body cannot be written as JSON: {0}")]
    Body(String),
}

impl Report {
    /// Makes an error of the report.
    pub(crate) fn into_error(self, outcome: Outcome) -> Error {
        let report = Box::new(self);
        match outcome {
            Outcome::Rejected => Error::Rejected(report),
            Outcome::NotApplied => Error::NotApplied(report),
            Outcome::Unknown => Error::Unknown(report),
        }
    }
}

impl Error {
    /// What is known about the effect of the whole call.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        match self {
            Self::Invalid(_) | Self::NotApplied(_) => Outcome::NotApplied,
            Self::Rejected(_) => Outcome::Rejected,
            Self::Unknown(_) => Outcome::Unknown,
        }
    }

    /// The details of the call; `None` when nothing was sent.
    #[must_use]
    pub const fn report(&self) -> Option<&Report> {
        match self {
            Self::Invalid(_) => None,
            Self::Rejected(report) | Self::NotApplied(report) | Self::Unknown(report) => {
                Some(report)
            }
        }
    }

    /// The problem in the server's last answer, if there was one.
    ///
    /// An unknown outcome may have a refusal here: the last attempt was refused, the outcome of an
    /// earlier one is unknown.
    #[must_use]
    pub fn problem(&self) -> Option<&Problem> {
        self.report().and_then(|report| report.cause.problem())
    }

    /// The code of that problem, if this version knows it.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        self.problem().and_then(Problem::code)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (class, report) = match self {
            Self::Invalid(_) => return formatter.write_str("the request was not sent"),
            Self::Rejected(report) => ("the request was rejected", report),
            Self::NotApplied(report) => ("the request was not applied", report),
            Self::Unknown(report) => ("the outcome of the request is unknown", report),
        };
        let plural = if report.attempts == 1 { "" } else { "s" };
        write!(formatter, "{class} after {} attempt{plural}", report.attempts)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Invalid(invalid) => Some(invalid),
            Self::Rejected(report) | Self::NotApplied(report) | Self::Unknown(report) => {
                Some(&report.cause)
            }
        }
    }
}

impl From<Invalid> for Error {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(invalid)
    }
}
