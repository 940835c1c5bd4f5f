//! The error codes of the API and everything that follows from one.
//!
//! Each property is one exhaustive match, so a new code cannot be added without deciding its
//! status, its title, what it says about the outcome and whether to try again.

use super::word::words;

words! {
    /// Whether a request that failed may have taken effect. `not_applied`: it never entered the
    /// log. `rejected`: it was decided and has no effect. `unknown`: it may have taken effect, or
    /// may yet.
    Outcome {
        /// The request never entered the log: it certainly has no effect.
        NotApplied = "not_applied",
        /// The request was decided: this attempt certainly has no effect.
        Rejected = "rejected",
        /// The request may have taken effect, or may yet: ask again under the same key.
        Unknown = "unknown",
    }
}

words! {
    /// Why a request did not succeed: the field `error` of a problem.
    ErrorCode {
        /// The body, the query or the path is not what HTTP or JSON allow.
        MalformedRequest = "malformed_request",
        /// Header and body name different idempotency keys.
        IdempotencyKeyMismatch = "idempotency_key_mismatch",
        /// The idempotency key is empty, too long or not printable.
        IdempotencyKeyInvalid = "idempotency_key_invalid",
        /// Credentials are missing or wrong.
        Unauthorized = "unauthorized",
        /// A webhook's signature is missing or wrong.
        InvalidSignature = "invalid_signature",
        /// The credentials do not allow this.
        Forbidden = "forbidden",
        /// No such route, order or product.
        NotFound = "not_found",
        /// The route exists for other methods.
        MethodNotAllowed = "method_not_allowed",
        /// The caller accepts no content type that the route can answer with.
        NotAcceptable = "not_acceptable",
        /// The request did not arrive in time.
        RequestTimeout = "request_timeout",
        /// The body is over its limit.
        PayloadTooLarge = "payload_too_large",
        /// The request target is over its limit.
        UriTooLong = "uri_too_long",
        /// The body is of a type that the route does not read.
        UnsupportedMediaType = "unsupported_media_type",
        /// Fewer units can be sold than were asked for.
        InsufficientStock = "insufficient_stock",
        /// More units than one order or one user may have.
        PurchaseLimitExceeded = "purchase_limit_exceeded",
        /// The hold ran out.
        HoldExpired = "hold_expired",
        /// The hold was already turned into an order.
        HoldConsumed = "hold_consumed",
        /// The hold was given back.
        HoldReleased = "hold_released",
        /// The idempotency key was fenced and can make nothing.
        KeyFenced = "key_fenced",
        /// The payment result contradicts how the order ended.
        PaymentConflict = "payment_conflict",
        /// The stock is not what the adjustment expected.
        StockMismatch = "stock_mismatch",
        /// Orders of an atomic batch are refused for other reasons than those above.
        BatchRejected = "batch_rejected",
        /// The events after the one that was named are no longer all kept.
        EventsGone = "events_gone",
        /// The row is not at the version that `If-Match` names.
        VersionMismatch = "version_mismatch",
        /// A field is missing, of the wrong type or out of range.
        ValidationError = "validation_error",
        /// The idempotency key belongs to another request.
        IdempotencyKeyReused = "idempotency_key_reused",
        /// The order is past the point where it can be cancelled.
        OrderNotCancellable = "order_not_cancellable",
        /// The path speaks another protocol, which the request has to ask for.
        UpgradeRequired = "upgrade_required",
        /// Another change of the membership is under way.
        ChangeInProgress = "change_in_progress",
        /// The cluster would lose the majority of its voters.
        QuorumAtRisk = "quorum_at_risk",
        /// An id or address belongs to another member, or did.
        MemberConflict = "member_conflict",
        /// No such member.
        UnknownMember = "unknown_member",
        /// Nobody who could lead was named or found.
        CannotLead = "cannot_lead",
        /// The caller sends more than it may.
        TooManyRequests = "too_many_requests",
        /// No leader is known.
        NoLeader = "no_leader",
        /// A bounded queue is full.
        Overloaded = "overloaded",
        /// A disk is short of space, so writes are refused.
        StorageFull = "storage_full",
        /// The node cannot answer freshly enough in time.
        StaleRead = "stale_read",
        /// The write was proposed and its fate is not known.
        CommitTimeout = "commit_timeout",
        /// Trouble inside the server; the details are in its log only.
        InternalError = "internal_error",
    }
}

impl ErrorCode {
    /// The HTTP status.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::MalformedRequest | Self::IdempotencyKeyMismatch | Self::IdempotencyKeyInvalid => {
                400
            }
            Self::Unauthorized | Self::InvalidSignature => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::NotAcceptable => 406,
            Self::RequestTimeout => 408,
            Self::InsufficientStock
            | Self::PurchaseLimitExceeded
            | Self::HoldExpired
            | Self::HoldConsumed
            | Self::HoldReleased
            | Self::KeyFenced
            | Self::PaymentConflict
            | Self::StockMismatch
            | Self::BatchRejected
            | Self::ChangeInProgress
            | Self::QuorumAtRisk
            | Self::MemberConflict
            | Self::UnknownMember
            | Self::CannotLead => 409,
            Self::EventsGone => 410,
            Self::VersionMismatch => 412,
            Self::PayloadTooLarge => 413,
            Self::UriTooLong => 414,
            Self::UnsupportedMediaType => 415,
            Self::ValidationError | Self::IdempotencyKeyReused | Self::OrderNotCancellable => 422,
            Self::UpgradeRequired => 426,
            Self::TooManyRequests => 429,
            Self::InternalError => 500,
            Self::NoLeader | Self::Overloaded | Self::StorageFull | Self::StaleRead => 503,
            Self::CommitTimeout => 504,
        }
    }

    /// The spelling in capitals, which is the field `error_code` of a problem.
    ///
    /// It is the code in upper case but for one: an order that cannot be cancelled has always
    /// been `INVALID_TRANSITION` in this field.
    #[must_use]
    pub const fn upper(self) -> &'static str {
        match self {
            Self::MalformedRequest => "MALFORMED_REQUEST",
            Self::IdempotencyKeyMismatch => "IDEMPOTENCY_KEY_MISMATCH",
            Self::IdempotencyKeyInvalid => "IDEMPOTENCY_KEY_INVALID",
            Self::Unauthorized => "UNAUTHORIZED",
            Self::InvalidSignature => "INVALID_SIGNATURE",
            Self::Forbidden => "FORBIDDEN",
            Self::NotFound => "NOT_FOUND",
            Self::MethodNotAllowed => "METHOD_NOT_ALLOWED",
            Self::NotAcceptable => "NOT_ACCEPTABLE",
            Self::RequestTimeout => "REQUEST_TIMEOUT",
            Self::PayloadTooLarge => "PAYLOAD_TOO_LARGE",
            Self::UriTooLong => "URI_TOO_LONG",
            Self::UnsupportedMediaType => "UNSUPPORTED_MEDIA_TYPE",
            Self::InsufficientStock => "INSUFFICIENT_STOCK",
            Self::PurchaseLimitExceeded => "PURCHASE_LIMIT_EXCEEDED",
            Self::HoldExpired => "HOLD_EXPIRED",
            Self::HoldConsumed => "HOLD_CONSUMED",
            Self::HoldReleased => "HOLD_RELEASED",
            Self::KeyFenced => "KEY_FENCED",
            Self::PaymentConflict => "PAYMENT_CONFLICT",
            Self::StockMismatch => "STOCK_MISMATCH",
            Self::BatchRejected => "BATCH_REJECTED",
            Self::EventsGone => "EVENTS_GONE",
            Self::VersionMismatch => "VERSION_MISMATCH",
            Self::ValidationError => "VALIDATION_ERROR",
            Self::IdempotencyKeyReused => "IDEMPOTENCY_KEY_REUSED",
            Self::OrderNotCancellable => "INVALID_TRANSITION",
            Self::UpgradeRequired => "UPGRADE_REQUIRED",
            Self::ChangeInProgress => "CHANGE_IN_PROGRESS",
            Self::QuorumAtRisk => "QUORUM_AT_RISK",
            Self::MemberConflict => "MEMBER_CONFLICT",
            Self::UnknownMember => "UNKNOWN_MEMBER",
            Self::CannotLead => "CANNOT_LEAD",
            Self::TooManyRequests => "TOO_MANY_REQUESTS",
            Self::NoLeader => "NO_LEADER",
            Self::Overloaded => "OVERLOADED",
            Self::StorageFull => "STORAGE_FULL",
            Self::StaleRead => "STALE_READ",
            Self::CommitTimeout => "COMMIT_TIMEOUT",
            Self::InternalError => "INTERNAL_ERROR",
        }
    }

    /// The field `type` of a problem: `/problems/` and the code with hyphens.
    #[must_use]
    pub const fn type_path(self) -> &'static str {
        match self {
            Self::MalformedRequest => "/problems/malformed-request",
            Self::IdempotencyKeyMismatch => "/problems/idempotency-key-mismatch",
            Self::IdempotencyKeyInvalid => "/problems/idempotency-key-invalid",
            Self::Unauthorized => "/problems/unauthorized",
            Self::InvalidSignature => "/problems/invalid-signature",
            Self::Forbidden => "/problems/forbidden",
            Self::NotFound => "/problems/not-found",
            Self::MethodNotAllowed => "/problems/method-not-allowed",
            Self::NotAcceptable => "/problems/not-acceptable",
            Self::RequestTimeout => "/problems/request-timeout",
            Self::PayloadTooLarge => "/problems/payload-too-large",
            Self::UriTooLong => "/problems/uri-too-long",
            Self::UnsupportedMediaType => "/problems/unsupported-media-type",
            Self::InsufficientStock => "/problems/insufficient-stock",
            Self::PurchaseLimitExceeded => "/problems/purchase-limit-exceeded",
            Self::HoldExpired => "/problems/hold-expired",
            Self::HoldConsumed => "/problems/hold-consumed",
            Self::HoldReleased => "/problems/hold-released",
            Self::KeyFenced => "/problems/key-fenced",
            Self::PaymentConflict => "/problems/payment-conflict",
            Self::StockMismatch => "/problems/stock-mismatch",
            Self::BatchRejected => "/problems/batch-rejected",
            Self::EventsGone => "/problems/events-gone",
            Self::VersionMismatch => "/problems/version-mismatch",
            Self::ValidationError => "/problems/validation-error",
            Self::IdempotencyKeyReused => "/problems/idempotency-key-reused",
            Self::OrderNotCancellable => "/problems/order-not-cancellable",
            Self::UpgradeRequired => "/problems/upgrade-required",
            Self::ChangeInProgress => "/problems/change-in-progress",
            Self::QuorumAtRisk => "/problems/quorum-at-risk",
            Self::MemberConflict => "/problems/member-conflict",
            Self::UnknownMember => "/problems/unknown-member",
            Self::CannotLead => "/problems/cannot-lead",
            Self::TooManyRequests => "/problems/too-many-requests",
            Self::NoLeader => "/problems/no-leader",
            Self::Overloaded => "/problems/overloaded",
            Self::StorageFull => "/problems/storage-full",
            Self::StaleRead => "/problems/stale-read",
            Self::CommitTimeout => "/problems/commit-timeout",
            Self::InternalError => "/problems/internal-error",
        }
    }

    /// The short human title, the same for every occurrence.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::MalformedRequest => "Malformed request",
            Self::IdempotencyKeyMismatch => "Idempotency keys differ",
            Self::IdempotencyKeyInvalid => "Invalid idempotency key",
            Self::Unauthorized => "Unauthorized",
            Self::InvalidSignature => "Invalid signature",
            Self::Forbidden => "Forbidden",
            Self::NotFound => "Not found",
            Self::MethodNotAllowed => "Method not allowed",
            Self::NotAcceptable => "Not acceptable",
            Self::RequestTimeout => "Request timeout",
            Self::PayloadTooLarge => "Payload too large",
            Self::UriTooLong => "Request target too long",
            Self::UnsupportedMediaType => "Unsupported media type",
            Self::InsufficientStock => "Insufficient stock",
            Self::PurchaseLimitExceeded => "Purchase limit exceeded",
            Self::HoldExpired => "Hold expired",
            Self::HoldConsumed => "Hold already used",
            Self::HoldReleased => "Hold released",
            Self::KeyFenced => "Idempotency key fenced",
            Self::PaymentConflict => "Payment conflict",
            Self::StockMismatch => "Stock mismatch",
            Self::BatchRejected => "Batch rejected",
            Self::EventsGone => "Events gone",
            Self::VersionMismatch => "Version mismatch",
            Self::ValidationError => "Validation error",
            Self::IdempotencyKeyReused => "Idempotency key reused",
            Self::OrderNotCancellable => "Order not cancellable",
            Self::UpgradeRequired => "Upgrade required",
            Self::ChangeInProgress => "Change in progress",
            Self::QuorumAtRisk => "Quorum at risk",
            Self::MemberConflict => "Member conflict",
            Self::UnknownMember => "Unknown member",
            Self::CannotLead => "Cannot lead",
            Self::TooManyRequests => "Too many requests",
            Self::NoLeader => "No leader",
            Self::Overloaded => "Overloaded",
            Self::StorageFull => "Out of disk space",
            Self::StaleRead => "Read not fresh enough",
            Self::CommitTimeout => "Outcome unknown",
            Self::InternalError => "Internal error",
        }
    }

    /// What the code says about the effect, unless its place of origin knows better.
    ///
    /// Only [`ErrorCode::CommitTimeout`] means unknown: a server that is in doubt after having
    /// proposed must answer with it, also where the trouble was internal.
    #[must_use]
    pub const fn outcome(self) -> Outcome {
        match self {
            Self::MalformedRequest
            | Self::IdempotencyKeyMismatch
            | Self::IdempotencyKeyInvalid
            | Self::Unauthorized
            | Self::InvalidSignature
            | Self::Forbidden
            | Self::NotFound
            | Self::MethodNotAllowed
            | Self::NotAcceptable
            | Self::PayloadTooLarge
            | Self::UriTooLong
            | Self::UnsupportedMediaType
            | Self::InsufficientStock
            | Self::PurchaseLimitExceeded
            | Self::HoldExpired
            | Self::HoldConsumed
            | Self::HoldReleased
            | Self::KeyFenced
            | Self::PaymentConflict
            | Self::StockMismatch
            | Self::BatchRejected
            | Self::EventsGone
            | Self::VersionMismatch
            | Self::ValidationError
            | Self::IdempotencyKeyReused
            | Self::OrderNotCancellable
            | Self::UpgradeRequired
            | Self::ChangeInProgress
            | Self::QuorumAtRisk
            | Self::MemberConflict
            | Self::UnknownMember
            | Self::CannotLead => Outcome::Rejected,
            Self::RequestTimeout
            | Self::TooManyRequests
            | Self::NoLeader
            | Self::Overloaded
            | Self::StorageFull
            | Self::StaleRead
            | Self::InternalError => Outcome::NotApplied,
            Self::CommitTimeout => Outcome::Unknown,
        }
    }

    /// Whether the same request, sent again a little later, may well succeed.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        match self.outcome() {
            Outcome::NotApplied | Outcome::Unknown => true,
            Outcome::Rejected => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_follow_from_the_code() {
        for &code in ErrorCode::ALL {
            let word = code.as_str();
            assert_eq!(code.type_path(), format!("/problems/{}", word.replace('_', "-")));
            if code == ErrorCode::OrderNotCancellable {
                assert_eq!(code.upper(), "INVALID_TRANSITION");
            } else {
                assert_eq!(code.upper(), word.to_uppercase());
            }
            assert_eq!(word.parse(), Ok(code));
            assert!(!code.title().is_empty());
        }
    }

    #[test]
    fn status_and_outcome_agree() {
        for &code in ErrorCode::ALL {
            let expected = match code.status() {
                408 | 429 | 500 | 503 => Outcome::NotApplied,
                504 => Outcome::Unknown,
                400..=499 => Outcome::Rejected,
                other => panic!("{code} has the status {other}"),
            };
            assert_eq!(code.outcome(), expected, "{code}");
            assert_eq!(code.is_retryable(), expected != Outcome::Rejected, "{code}");
        }
    }

    #[test]
    fn an_unknown_word_is_named_with_the_allowed_ones() {
        let error = "perhaps".parse::<Outcome>().unwrap_err();
        assert_eq!(error.to_string(), "`perhaps` is not one of: not_applied, rejected, unknown");
    }
}
