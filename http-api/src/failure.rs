//! Every way a request can fail, and the one place that turns it into a code.
//!
//! What follows from a code (status, title, outcome, whether to retry) is decided beside the code,
//! in `client::wire`. What is decided here is which code the engine's refusals and the node's
//! errors are. No cause of an internal error leaves the process: it is logged with the trace id.

use std::borrow::Cow;
use std::collections::BTreeMap;

use client::wire::{self, ErrorCode, RefusedOrder};
use engine::ids::{OrderId, Position};
use engine::outcome::Rejection;
use engine::trace::TraceId;
use hyper::header::HeaderValue;
use raft_node::{ProposeError, ReadError};

use crate::answer::views;
use crate::freshness::Freshness;

/// How long a client is asked to wait before it tries again, in seconds.
const RETRY_AFTER_S: u64 = 1;

/// A request that did not succeed. Boxed, because success is the path to keep small.
#[derive(Debug)]
pub(crate) struct Failure(Box<Details>);

/// Everything that an answer may say about a failure.
#[derive(Debug)]
pub(crate) struct Details {
    pub(crate) code: ErrorCode,
    pub(crate) detail: Cow<'static, str>,
    /// What stands in `error` instead of the code.
    pub(crate) word: Option<&'static str>,
    pub(crate) errors: Option<BTreeMap<String, Vec<String>>>,
    /// The orders for which an atomic batch was refused.
    pub(crate) results: Option<Vec<RefusedOrder>>,
    pub(crate) allow: Option<HeaderValue>,
    pub(crate) seen: Option<(Position, Freshness)>,
    pub(crate) retry_after_s: Option<u64>,
    /// The order that stands in the way, and where it stands.
    pub(crate) order: Option<(OrderId, Option<wire::OrderStatus>)>,
    pub(crate) close: bool,
}

impl Failure {
    /// A failure in words of its own.
    pub(crate) fn new(code: ErrorCode, detail: impl Into<Cow<'static, str>>) -> Failure {
        Failure(Box::new(Details {
            code,
            detail: detail.into(),
            word: None,
            errors: None,
            results: None,
            allow: None,
            seen: None,
            retry_after_s: says_when_to_retry(code).then_some(RETRY_AFTER_S),
            order: None,
            close: false,
        }))
    }

    /// Fields at fault, each with what is wrong about it.
    pub(crate) fn validation(errors: BTreeMap<String, Vec<String>>) -> Failure {
        let count: usize = errors.values().map(Vec::len).sum();
        let first = errors.values().flatten().next().cloned().unwrap_or_default();
        let detail = match count {
            0 | 1 => first,
            2 => format!("{first} (and 1 more error)"),
            _ => format!("{first} (and {} more errors)", count - 1),
        };
        let mut failure = Failure::new(ErrorCode::ValidationError, detail);
        failure.0.errors = Some(errors);
        failure
    }

    /// One field at fault.
    pub(crate) fn field(name: &str, text: impl Into<String>) -> Failure {
        Failure::validation(BTreeMap::from([(name.to_owned(), vec![text.into()])]))
    }

    /// The bytes of the request are not what HTTP or JSON allow.
    pub(crate) fn malformed(detail: impl Into<Cow<'static, str>>) -> Failure {
        Failure::new(ErrorCode::MalformedRequest, detail)
    }

    /// The same, with the very word that clients of an older system read in `error`. The code still
    /// stands in `error_code` and `type`.
    pub(crate) fn malformed_as(word: &'static str) -> Failure {
        let mut failure = Failure::malformed(word);
        failure.0.word = Some(word);
        failure
    }

    /// No such thing.
    pub(crate) fn not_found(detail: impl Into<Cow<'static, str>>) -> Failure {
        Failure::new(ErrorCode::NotFound, detail)
    }

    /// The path exists, for the methods of `allow`.
    pub(crate) fn method_not_allowed(allow: HeaderValue) -> Failure {
        let methods = allow.to_str().unwrap_or_default();
        let text = format!("The method is not allowed for this path; allowed: {methods}.");
        let mut failure = Failure::new(ErrorCode::MethodNotAllowed, text);
        failure.0.allow = Some(allow);
        failure
    }

    /// Nothing is left for the address until then, in seconds.
    pub(crate) fn too_many_requests(retry_after_s: u64) -> Failure {
        let text = "Too many requests. Please slow down.";
        let mut failure = Failure::new(ErrorCode::TooManyRequests, text);
        failure.0.retry_after_s = Some(retry_after_s);
        failure
    }

    /// Proposed, and its fate is not known.
    pub(crate) fn unknown() -> Failure {
        Failure::new(
            ErrorCode::CommitTimeout,
            "The write was not confirmed in time and may still take effect; retry with the same \
             idempotency key.",
        )
    }

    /// Trouble inside, which certainly had no effect. The cause goes to the log only.
    pub(crate) fn internal(trace: &TraceId, cause: &dyn std::fmt::Display) -> Failure {
        tracing::error!(trace_id = %trace, cause = %cause, "internal error");
        Failure::new(ErrorCode::InternalError, "An internal error occurred.")
    }

    /// What the state machine refused.
    pub(crate) fn rejected(rejection: &Rejection) -> Failure {
        let text = rejection.to_string();
        let mut failure = match place_of(rejection) {
            Place::Code(code) => Failure::new(code, text),
            Place::Field(name) => Failure::field(name, text),
            Place::Batch(items) => Failure::batch(items, text),
        };
        failure.0.order = match rejection {
            Rejection::HoldConsumed { order, .. } => Some((*order, None)),
            Rejection::PaymentConflict { order, status, .. } => {
                Some((*order, Some(views::status(*status))))
            }
            _ => None,
        };
        failure
    }

    /// An atomic batch that was refused as a whole: all or 409. The code is that of the first order
    /// at fault where it is one of that status.
    fn batch(items: &[(usize, Rejection)], text: String) -> Failure {
        let refused = |(index, rejection): &(usize, Rejection)| {
            let Details { code, detail, .. } = *Failure::rejected(rejection).0;
            RefusedOrder {
                index: *index as u64,
                status: code.status(),
                error: Cow::Borrowed(code.as_str()),
                message: detail.into_owned(),
            }
        };
        let results: Vec<RefusedOrder> = items.iter().map(refused).collect();
        let first: Option<ErrorCode> = results.first().and_then(|first| first.error.parse().ok());
        let code = match first {
            Some(code) if code.status() == 409 => code,
            // Nothing is wrong with the batch but the moment.
            Some(ErrorCode::Overloaded) => ErrorCode::Overloaded,
            _ => ErrorCode::BatchRejected,
        };
        let mut failure = Failure::new(code, text);
        failure.0.results = Some(results);
        failure
    }

    /// The node goes away.
    pub(crate) fn stopping() -> Failure {
        stopping()
    }

    /// What a read ran into.
    pub(crate) fn read(error: &ReadError, trace: &TraceId) -> Failure {
        match error {
            ReadError::NotInTime => Failure::new(
                ErrorCode::StaleRead,
                "This node cannot answer freshly enough at the moment.",
            ),
            ReadError::Overloaded => {
                Failure::new(ErrorCode::Overloaded, "Too many reads wait already.")
            }
            ReadError::Stopping => stopping(),
            ReadError::Storage(cause) => Failure::internal(trace, cause),
        }
    }

    /// What was found in the state, or decided by it, holds at this position. Without one, the
    /// answer would name a later position, at which it may not be true any more.
    pub(crate) fn at(self, position: Position) -> Failure {
        self.seen(position, Freshness::Linearizable)
    }

    /// The same for a read, which may have been a stale one.
    pub(crate) fn seen(mut self, position: Position, freshness: Freshness) -> Failure {
        self.0.seen = Some((position, freshness));
        self
    }

    /// The connection is of no use after this answer.
    pub(crate) fn closing(mut self) -> Failure {
        self.0.close = true;
        self
    }

    /// The fields at fault, if it is their fault.
    pub(crate) fn fields(&self) -> Option<&BTreeMap<String, Vec<String>>> {
        self.0.errors.as_ref()
    }

    /// This occurrence in words.
    pub(crate) fn detail(&self) -> &str {
        &self.0.detail
    }

    /// The code.
    pub(crate) fn code(&self) -> ErrorCode {
        self.0.code
    }

    /// What the answer is made of.
    pub(crate) fn into_details(self) -> Details {
        *self.0
    }
}

/// Whether an answer says when to try again.
pub(crate) fn says_when_to_retry(code: ErrorCode) -> bool {
    matches!(code.status(), 429 | 503)
}

/// Another node will do, so the code is the one that makes clients move on.
fn stopping() -> Failure {
    Failure::new(ErrorCode::NoLeader, "This node is stopping; ask another one.")
}

/// Where a refusal belongs: it is a code of its own, or one field of the request is at fault.
enum Place<'r> {
    Code(ErrorCode),
    Field(&'static str),
    Batch(&'r [(usize, Rejection)]),
}

fn place_of(rejection: &Rejection) -> Place<'_> {
    match rejection {
        Rejection::ProductNotFound(_) | Rejection::OrderNotFound | Rejection::HoldNotFound(_) => {
            Place::Code(ErrorCode::NotFound)
        }
        Rejection::HoldExpired(_) => Place::Code(ErrorCode::HoldExpired),
        Rejection::HoldConsumed { .. } => Place::Code(ErrorCode::HoldConsumed),
        Rejection::HoldReleased(_) => Place::Code(ErrorCode::HoldReleased),
        Rejection::PaymentConflict { .. } => Place::Code(ErrorCode::PaymentConflict),
        // An order that names a user is validated against the users, as a foreign key would be.
        Rejection::UserNotFound(_) | Rejection::UserRequired | Rejection::HoldOfAnotherUser(_) => {
            Place::Field("user_id")
        }
        Rejection::HoldNamedTwice(_) => Place::Field("hold_id"),
        Rejection::InsufficientStock { .. } | Rejection::StockBelowZero { .. } => {
            Place::Code(ErrorCode::InsufficientStock)
        }
        Rejection::StockMismatch { .. } => Place::Code(ErrorCode::StockMismatch),
        Rejection::PurchaseLimitExceeded { .. } | Rejection::UserLimitExceeded { .. } => {
            Place::Code(ErrorCode::PurchaseLimitExceeded)
        }
        Rejection::KeyReused => Place::Code(ErrorCode::IdempotencyKeyReused),
        Rejection::KeyFenced => Place::Code(ErrorCode::KeyFenced),
        Rejection::BatchRefused { items } => Place::Batch(items),
        Rejection::AmountOverflow => Place::Field("items"),
        Rejection::StockOverflow => Place::Field("stock"),
        Rejection::TooManyOpenOrders | Rejection::TooManyHolds | Rejection::TooManyParked => {
            Place::Code(ErrorCode::Overloaded)
        }
        Rejection::NotCancellable { .. } => Place::Code(ErrorCode::OrderNotCancellable),
        Rejection::VersionMismatch { .. } => Place::Code(ErrorCode::VersionMismatch),
        Rejection::SkuTaken => Place::Field("sku"),
        Rejection::EmailTaken => Place::Field("email"),
        Rejection::Invalid(field) => Place::Field(field),
    }
}

impl From<ProposeError> for Failure {
    fn from(error: ProposeError) -> Failure {
        match error {
            ProposeError::NoLeader => Failure::new(
                ErrorCode::NoLeader,
                "No leader is known at the moment; nothing was applied.",
            ),
            ProposeError::Overloaded => Failure::new(
                ErrorCode::Overloaded,
                "The queue before the log is full; nothing was applied.",
            ),
            ProposeError::StorageFull => Failure::new(
                ErrorCode::StorageFull,
                "The disk of this node, or of too many others, is short of space; nothing was \
                 applied. Reads go on.",
            ),
            ProposeError::Stopping => stopping(),
            ProposeError::TimedOut => Failure::unknown(),
        }
    }
}

#[cfg(test)]
mod tests {
    use engine::ids::{HoldId, OrderId, Position, ProductId, UserId};
    use engine::order::Status;

    use super::*;

    #[test]
    fn every_refusal_has_its_code() {
        let order = OrderId(1);
        for (rejection, code) in [
            (Rejection::ProductNotFound(ProductId(1)), ErrorCode::NotFound),
            (Rejection::OrderNotFound, ErrorCode::NotFound),
            (Rejection::UserNotFound(UserId(1)), ErrorCode::ValidationError),
            (Rejection::UserRequired, ErrorCode::ValidationError),
            (Rejection::HoldOfAnotherUser(HoldId(1)), ErrorCode::ValidationError),
            (Rejection::HoldNamedTwice(HoldId(1)), ErrorCode::ValidationError),
            (Rejection::KeyReused, ErrorCode::IdempotencyKeyReused),
            (Rejection::AmountOverflow, ErrorCode::ValidationError),
            (Rejection::StockOverflow, ErrorCode::ValidationError),
            (Rejection::TooManyOpenOrders, ErrorCode::Overloaded),
            (
                Rejection::NotCancellable { order, status: Status::Paid },
                ErrorCode::OrderNotCancellable,
            ),
            (Rejection::VersionMismatch { current: Position(1) }, ErrorCode::VersionMismatch),
            (Rejection::SkuTaken, ErrorCode::ValidationError),
            (Rejection::EmailTaken, ErrorCode::ValidationError),
            (Rejection::Invalid("name"), ErrorCode::ValidationError),
        ] {
            assert_eq!(Failure::rejected(&rejection).code(), code, "{rejection:?}");
        }
    }
}
