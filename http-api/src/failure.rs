//! Every way a request can fail, and its error code.
//!
//! This file maps refusals of the engine and errors of the node to codes. `client::wire` says what
//! follows from a code: status, title, outcome, whether to retry. [`crate::answer::problem`]
//! renders the answer. The cause of an internal error is logged with the trace id and never sent.

use std::borrow::Cow;
use std::collections::BTreeMap;

use client::wire::{ErrorCode, RefusedOrder, Shortage};
use engine::ids::{OrderId, Position, Timestamp};
use engine::money::Money;
use engine::order::Item;
use engine::outcome::Rejection;
use engine::trace::TraceId;
use hyper::header::HeaderValue;
use raft_node::{ProposeError, ReadError};

use crate::answer::views::moment;
use crate::freshness::Freshness;

/// `Retry-After` of a 503, in seconds.
const RETRY_AFTER_S: u64 = 1;

/// A request that failed. Boxed, so that the success path stays small.
#[derive(Debug)]
pub(crate) struct Failure(Box<Details>);

/// The parts of the answer to a failure.
#[derive(Debug)]
pub(crate) struct Details {
    pub(crate) code: ErrorCode,
    pub(crate) detail: Cow<'static, str>,
    /// The value of `error`, if it is not the code.
    pub(crate) word: Option<&'static str>,
    pub(crate) errors: Option<BTreeMap<String, Vec<String>>>,
    /// The orders because of which an atomic batch was refused.
    pub(crate) results: Option<Vec<RefusedOrder>>,
    /// The products that are short.
    pub(crate) shortages: Option<Vec<Shortage>>,
    pub(crate) allow: Option<HeaderValue>,
    pub(crate) seen: Option<(Position, Freshness)>,
    pub(crate) retry_after_s: Option<u64>,
    /// For a sale that opens later: when, and the replicated clock.
    pub(crate) opens: Option<(Timestamp, Timestamp)>,
    /// For a limit within a window: when the user may take the units.
    pub(crate) allowed_at: Option<Timestamp>,
    /// For another total than expected: that, the total, and the lines with their prices.
    pub(crate) totals: Option<(Money, Money, Box<[Item]>)>,
    /// The conflicting order.
    pub(crate) order: Option<OrderId>,
    pub(crate) close: bool,
}

impl Failure {
    /// A failure with a code and a message.
    pub(crate) fn new(code: ErrorCode, detail: impl Into<Cow<'static, str>>) -> Failure {
        Failure(Box::new(Details {
            code,
            detail: detail.into(),
            word: None,
            errors: None,
            results: None,
            shortages: None,
            allow: None,
            seen: None,
            retry_after_s: says_when_to_retry(code).then_some(RETRY_AFTER_S),
            opens: None,
            allowed_at: None,
            totals: None,
            order: None,
            close: false,
        }))
    }

    /// Invalid fields, each with its errors.
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

    /// One invalid field.
    pub(crate) fn field(name: &str, text: impl Into<String>) -> Failure {
        Failure::validation(BTreeMap::from([(name.to_owned(), vec![text.into()])]))
    }

    /// The request is not valid HTTP or JSON.
    pub(crate) fn malformed(detail: impl Into<Cow<'static, str>>) -> Failure {
        Failure::new(ErrorCode::MalformedRequest, detail)
    }

    /// The same, with a text that clients of an older system expect in `error`. The code is still
    /// in `error_code` and `type`.
    pub(crate) fn malformed_as(word: &'static str) -> Failure {
        let mut failure = Failure::malformed(word);
        failure.0.word = Some(word);
        failure
    }

    /// It does not exist.
    pub(crate) fn not_found(detail: impl Into<Cow<'static, str>>) -> Failure {
        Failure::new(ErrorCode::NotFound, detail)
    }

    /// The path has other methods: those of `allow`.
    pub(crate) fn method_not_allowed(allow: HeaderValue) -> Failure {
        let methods = allow.to_str().unwrap_or_default();
        let text = format!("This path does not have the method; it has: {methods}.");
        let mut failure = Failure::new(ErrorCode::MethodNotAllowed, text);
        failure.0.allow = Some(allow);
        failure
    }

    /// The address has no requests left for this many seconds.
    pub(crate) fn too_many_requests(retry_after_s: u64) -> Failure {
        let text = "Too many requests. Please slow down.";
        let mut failure = Failure::new(ErrorCode::TooManyRequests, text);
        failure.0.retry_after_s = Some(retry_after_s);
        failure
    }

    /// The write was proposed, and its outcome is unknown.
    pub(crate) fn unknown() -> Failure {
        Failure::new(
            ErrorCode::CommitTimeout,
            "The write was not confirmed in time and may still take effect; retry with the same \
             idempotency key.",
        )
    }

    /// The server failed, without an effect. Only the log has the cause.
    pub(crate) fn internal(trace: &TraceId, cause: &dyn std::fmt::Display) -> Failure {
        tracing::error!(trace_id = %trace, cause = %cause, "internal error");
        Failure::new(ErrorCode::InternalError, "An internal error occurred.")
    }

    /// The state machine refused the command.
    pub(crate) fn rejected(rejection: &Rejection) -> Failure {
        let text = rejection.to_string();
        let mut failure = match place_of(rejection) {
            Place::Code(code) => Failure::new(code, text),
            Place::Field(name) => Failure::field(name, text),
            Place::Batch(items) => Failure::batch(items, text),
        };
        failure.0.shortages = shortages(rejection);
        match rejection {
            Rejection::HoldConsumed { order, .. } => failure.0.order = Some(*order),
            Rejection::ReferenceTaken { order } => failure.0.order = *order,
            Rejection::WindowLimitExceeded { allowed_at, .. } => {
                failure.0.allowed_at = *allowed_at;
            }
            &Rejection::SaleNotOpen { opens_at, clock, .. } => {
                failure.0.opens = Some((opens_at, clock));
                failure.0.retry_after_s = Some(wait_ms(opens_at, clock).div_ceil(1000));
            }
            &Rejection::TotalMismatch { expected, actual, ref items } => {
                failure.0.totals = Some((expected, actual, items.clone()));
            }
            _ => {}
        }
        failure
    }

    /// An atomic batch was refused. The code is that of its first refused order if that is a 409.
    fn batch(items: &[(usize, Rejection)], text: String) -> Failure {
        let refused = |(index, rejection): &(usize, Rejection)| {
            let Details { code, detail, shortages, opens, .. } = *Failure::rejected(rejection).0;
            let (opens_at, retry_after_ms) = opening(opens);
            RefusedOrder {
                index: *index as u64,
                status: code.status(),
                error: Cow::Borrowed(code.as_str()),
                message: detail.into_owned(),
                shortages,
                opens_at,
                retry_after_ms,
            }
        };
        let results: Vec<RefusedOrder> = items.iter().map(refused).collect();
        let first: Option<ErrorCode> = results.first().and_then(|first| first.error.parse().ok());
        let code = match first {
            Some(code) if code.status() == 409 => code,
            // The batch itself is fine and may succeed later.
            Some(ErrorCode::Overloaded) => ErrorCode::Overloaded,
            _ => ErrorCode::BatchRejected,
        };
        let mut failure = Failure::new(code, text);
        failure.0.results = Some(results);
        failure
    }

    /// The node is stopping.
    pub(crate) fn stopping() -> Failure {
        stopping()
    }

    /// A read failed.
    pub(crate) fn read(error: &ReadError, trace: &TraceId) -> Failure {
        match error {
            ReadError::NotInTime => Failure::new(
                ErrorCode::StaleRead,
                "This node could not catch up in time; retry, or ask another node.",
            ),
            ReadError::Overloaded => {
                Failure::new(ErrorCode::Overloaded, "Too many reads are waiting; retry later.")
            }
            ReadError::Stopping => stopping(),
            ReadError::Storage(cause) => Failure::internal(trace, cause),
        }
    }

    /// Sets the position at which the failure was decided. Without it the answer would show a later
    /// position, at which it may no longer be true.
    pub(crate) fn at(self, position: Position) -> Failure {
        self.seen(position, Freshness::Linearizable)
    }

    /// The same for a read, which may be stale.
    pub(crate) fn seen(mut self, position: Position, freshness: Freshness) -> Failure {
        self.0.seen = Some((position, freshness));
        self
    }

    /// Closes the connection after the answer.
    pub(crate) fn closing(mut self) -> Failure {
        self.0.close = true;
        self
    }

    /// The invalid fields, if any.
    pub(crate) fn fields(&self) -> Option<&BTreeMap<String, Vec<String>>> {
        self.0.errors.as_ref()
    }

    /// The products that are short, if that is why.
    pub(crate) fn shortages(&self) -> Option<&[Shortage]> {
        self.0.shortages.as_deref()
    }

    /// When the sale opens, and in how many milliseconds, if it is not open yet.
    pub(crate) fn opening(&self) -> (Option<String>, Option<u64>) {
        opening(self.0.opens)
    }

    /// The message.
    pub(crate) fn detail(&self) -> &str {
        &self.0.detail
    }

    /// The code.
    pub(crate) fn code(&self) -> ErrorCode {
        self.0.code
    }

    /// The parts of the answer.
    pub(crate) fn into_details(self) -> Details {
        *self.0
    }
}

/// How long a sale that opens then is still closed, in milliseconds.
fn wait_ms(opens_at: Timestamp, clock: Timestamp) -> u64 {
    opens_at.0.saturating_sub(clock.0)
}

/// The instant as text and the wait in milliseconds, of a sale that opens later.
pub(crate) fn opening(opens: Option<(Timestamp, Timestamp)>) -> (Option<String>, Option<u64>) {
    opens.map(|(opens_at, clock)| (moment(opens_at), wait_ms(opens_at, clock))).unzip()
}

/// The products that are short, if that is why.
fn shortages(rejection: &Rejection) -> Option<Vec<Shortage>> {
    let short = rejection.shortages();
    let shown = short.iter().map(|shortage| Shortage {
        product_id: shortage.product.0,
        requested: shortage.requested,
        available: u64::try_from(shortage.available).unwrap_or(0),
    });
    (!short.is_empty()).then(|| shown.collect())
}

/// Whether answers with this code have a `Retry-After`.
pub(crate) fn says_when_to_retry(code: ErrorCode) -> bool {
    matches!(code.status(), 425 | 429 | 503)
}

/// The code makes clients try another node.
fn stopping() -> Failure {
    Failure::new(ErrorCode::NoLeader, "This node is stopping; ask another node.")
}

/// How a refusal is answered: with a code of its own, or as an invalid field.
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
        // The user of an order must exist, like a foreign key.
        Rejection::UserNotFound(_) | Rejection::UserRequired | Rejection::HoldOfAnotherUser(_) => {
            Place::Field("user_id")
        }
        Rejection::HoldNamedTwice(_) => Place::Field("hold_id"),
        Rejection::InsufficientStock { .. } | Rejection::StockBelowZero { .. } => {
            Place::Code(ErrorCode::InsufficientStock)
        }
        Rejection::StockMismatch { .. } => Place::Code(ErrorCode::StockMismatch),
        Rejection::PurchaseLimitExceeded { .. }
        | Rejection::UserLimitExceeded { .. }
        | Rejection::WindowLimitExceeded { .. } => Place::Code(ErrorCode::PurchaseLimitExceeded),
        Rejection::SaleNotOpen { .. } => Place::Code(ErrorCode::SaleNotOpen),
        Rejection::SaleClosed { .. } => Place::Code(ErrorCode::SaleClosed),
        Rejection::MinimumNotMet { .. } => Place::Code(ErrorCode::MinimumNotMet),
        Rejection::HeldLimitExceeded { .. } => Place::Code(ErrorCode::HeldLimitExceeded),
        Rejection::TotalMismatch { .. } => Place::Code(ErrorCode::TotalMismatch),
        Rejection::ReferenceTaken { .. } => Place::Code(ErrorCode::ReferenceTaken),
        Rejection::KeyReused => Place::Code(ErrorCode::IdempotencyKeyReused),
        Rejection::KeyFenced => Place::Code(ErrorCode::KeyFenced),
        Rejection::BatchRefused { items } => Place::Batch(items),
        Rejection::AmountOverflow => Place::Field("items"),
        Rejection::StockOverflow => Place::Field("stock"),
        Rejection::TooManyOpenOrders
        | Rejection::TooManyHolds
        | Rejection::TooManyParked
        | Rejection::TooManyRefunds => Place::Code(ErrorCode::Overloaded),
        Rejection::NotCancellable { .. } => Place::Code(ErrorCode::OrderNotCancellable),
        Rejection::NotRefundable { .. } => Place::Code(ErrorCode::NotRefundable),
        Rejection::RefundExceedsPaid { .. } => Place::Code(ErrorCode::RefundExceedsPaid),
        Rejection::ReturnExceedsSold { .. } => Place::Code(ErrorCode::ReturnExceedsSold),
        Rejection::NotProcessing { .. } => Place::Code(ErrorCode::OrderNotProcessing),
        Rejection::PaymentInFlight(_) => Place::Code(ErrorCode::PaymentInFlight),
        Rejection::AttemptChanged { .. } => Place::Code(ErrorCode::AttemptChanged),
        Rejection::VersionMismatch { .. } => Place::Code(ErrorCode::VersionMismatch),
        Rejection::OtherUser => Place::Code(ErrorCode::Forbidden),
        Rejection::Unauthorized => Place::Code(ErrorCode::Unauthorized),
        Rejection::TokenNotFound(_) => Place::Code(ErrorCode::NotFound),
        Rejection::TooManyTokens => Place::Code(ErrorCode::Overloaded),
        Rejection::ClosesBeforeOpening => Place::Field("closes_at"),
        Rejection::MinimumAboveMaximum { .. } => Place::Field("min_per_order"),
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
                "No leader is known; nothing was applied. Retry later.",
            ),
            ProposeError::Overloaded => Failure::new(
                ErrorCode::Overloaded,
                "The queue of writes is full; nothing was applied. Retry later.",
            ),
            ProposeError::StorageFull => Failure::new(
                ErrorCode::StorageFull,
                "The disk of this node, or of too many others, is short of space; nothing was \
                 applied. Reads go on.",
            ),
            ProposeError::MemoryFull => Failure::new(
                ErrorCode::MemoryFull,
                "The memory of this node, or of too many others, is nearly used up; nothing was \
                 applied. Cancels, payments and reads go on.",
            ),
            ProposeError::ShareFull(kind) => Failure::new(
                ErrorCode::MemoryFull,
                format!(
                    "There are so many {kind} that they use up their share of this node's memory; \
                     nothing was applied. Orders go on. Give the nodes more memory, or find out \
                     who makes them.",
                ),
            ),
            ProposeError::Stalled => Failure::new(
                ErrorCode::Overloaded,
                "The disk of this node does not answer; nothing was applied. Other nodes go on.",
            ),
            ProposeError::LevelTooLow { needed, level } => Failure::new(
                ErrorCode::LevelTooLow,
                format!(
                    "The cluster is at level {level}, and this needs level {needed}: raise it with \
                     `holdfast level raise` once all members run this build."
                ),
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
            (Rejection::ClosesBeforeOpening, ErrorCode::ValidationError),
            (Rejection::EmailTaken, ErrorCode::ValidationError),
            (Rejection::Invalid("name"), ErrorCode::ValidationError),
        ] {
            assert_eq!(Failure::rejected(&rejection).code(), code, "{rejection:?}");
        }
    }
}
