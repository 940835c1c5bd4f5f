//! The error codes of the API, and everything that follows from a code.
//!
//! Each property is one exhaustive match, so nobody can add a code without deciding its status, its
//! title, its outcome and whether a retry makes sense.

use super::word::words;

words! {
    /// Whether a request that failed may have taken effect. `not_applied`: it never entered the
    /// log. `rejected`: it was decided and has no effect. `unknown`: it may have taken effect, or
    /// may yet.
    Outcome {
        /// The request never entered the log: it certainly has no effect.
        NotApplied = "not_applied",
        /// The rules refused the request: this attempt certainly has no effect.
        Rejected = "rejected",
        /// The request may have taken effect, or still may: retry it under the same key.
        Unknown = "unknown",
    }
}

words! {
    /// Why a request did not succeed: the field `error` of a problem.
    ErrorCode {
        /// The body, the query or the path violates HTTP or JSON.
        MalformedRequest = "malformed_request",
        /// Header and body name different idempotency keys.
        IdempotencyKeyMismatch = "idempotency_key_mismatch",
        /// The idempotency key is empty, too long or not printable.
        IdempotencyKeyInvalid = "idempotency_key_invalid",
        /// Credentials are missing or wrong.
        Unauthorized = "unauthorized",
        /// A webhook's signature is missing or wrong.
        InvalidSignature = "invalid_signature",
        /// A web page of another origin sent this, or the credentials do not allow it.
        Forbidden = "forbidden",
        /// No such route, order or product.
        NotFound = "not_found",
        /// The route exists for other methods.
        MethodNotAllowed = "method_not_allowed",
        /// The caller accepts no content type that the route can return.
        NotAcceptable = "not_acceptable",
        /// The request did not arrive in time.
        RequestTimeout = "request_timeout",
        /// The body is over its limit.
        PayloadTooLarge = "payload_too_large",
        /// The request target is over its limit.
        UriTooLong = "uri_too_long",
        /// The route does not read bodies of this content type.
        UnsupportedMediaType = "unsupported_media_type",
        /// The node does not answer to the name in `Host`.
        MisdirectedRequest = "misdirected_request",
        /// Fewer units are available than requested.
        InsufficientStock = "insufficient_stock",
        /// More units than one order or one user may have.
        PurchaseLimitExceeded = "purchase_limit_exceeded",
        /// The sale of a product has not opened.
        SaleNotOpen = "sale_not_open",
        /// The sale of a product is over.
        SaleClosed = "sale_closed",
        /// Fewer units than one order must request.
        MinimumNotMet = "minimum_not_met",
        /// The user would hold more units than allowed.
        HeldLimitExceeded = "held_limit_exceeded",
        /// The total differs from the expected one.
        TotalMismatch = "total_mismatch",
        /// Another order has the `client_reference`.
        ReferenceTaken = "reference_taken",
        /// The hold has expired.
        HoldExpired = "hold_expired",
        /// An order has already consumed the hold.
        HoldConsumed = "hold_consumed",
        /// The hold was released.
        HoldReleased = "hold_released",
        /// The idempotency key is fenced and can make nothing.
        KeyFenced = "key_fenced",
        /// The stock differs from what the adjustment expected.
        StockMismatch = "stock_mismatch",
        /// An atomic batch is refused for other reasons than those above.
        BatchRejected = "batch_rejected",
        /// The events after the named one are no longer all retained.
        EventsGone = "events_gone",
        /// The row has another version than `If-Match` names.
        VersionMismatch = "version_mismatch",
        /// A field is missing, of the wrong type or out of range.
        ValidationError = "validation_error",
        /// The idempotency key was used for another request.
        IdempotencyKeyReused = "idempotency_key_reused",
        /// The order can no longer be cancelled.
        OrderNotCancellable = "order_not_cancellable",
        /// The node has no gateway that could charge for the order.
        PaymentMethodUnavailable = "payment_method_unavailable",
        /// The path uses another protocol, which the request must ask for.
        UpgradeRequired = "upgrade_required",
        /// Another change of the membership is in progress.
        ChangeInProgress = "change_in_progress",
        /// The cluster would lose the majority of its voters.
        QuorumAtRisk = "quorum_at_risk",
        /// An id or address belongs to another member, or did.
        MemberConflict = "member_conflict",
        /// A node does not speak the level, or was not heard, so nobody knows.
        LevelConflict = "level_conflict",
        /// The cluster's level is too low for the request.
        LevelTooLow = "level_too_low",
        /// The order is not PAID.
        NotRefundable = "not_refundable",
        /// The amount exceeds the paid amount less all refunds.
        RefundExceedsPaid = "refund_exceeds_paid",
        /// A line has fewer units left to give back.
        ReturnExceedsSold = "return_exceeds_sold",
        /// The order is not PROCESSING, so there is nothing to decide about its payment.
        OrderNotProcessing = "order_not_processing",
        /// A call to the gateway about the payment is under way.
        PaymentInFlight = "payment_in_flight",
        /// Another payment attempt of the order is current.
        AttemptChanged = "attempt_changed",
        /// The gateway does not confirm that the payment takes no money.
        PaymentNotCancelled = "payment_not_cancelled",
        /// No such member.
        UnknownMember = "unknown_member",
        /// The named voter cannot lead, or no voter can.
        CannotLead = "cannot_lead",
        /// The caller exceeds its rate limit.
        TooManyRequests = "too_many_requests",
        /// No leader is known.
        NoLeader = "no_leader",
        /// A bounded queue is full.
        Overloaded = "overloaded",
        /// A disk is short of space, so writes are refused.
        StorageFull = "storage_full",
        /// The nodes are short of memory, so writes that add rows are refused.
        MemoryFull = "memory_full",
        /// The node cannot provide a fresh enough answer in time.
        StaleRead = "stale_read",
        /// The write was proposed, and its outcome is unknown.
        CommitTimeout = "commit_timeout",
        /// A fault inside the server; only its log has the details.
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
            | Self::SaleClosed
            | Self::MinimumNotMet
            | Self::HeldLimitExceeded
            | Self::TotalMismatch
            | Self::ReferenceTaken
            | Self::HoldExpired
            | Self::HoldConsumed
            | Self::HoldReleased
            | Self::KeyFenced
            | Self::StockMismatch
            | Self::BatchRejected
            | Self::ChangeInProgress
            | Self::QuorumAtRisk
            | Self::MemberConflict
            | Self::LevelConflict
            | Self::LevelTooLow
            | Self::NotRefundable
            | Self::RefundExceedsPaid
            | Self::ReturnExceedsSold
            | Self::OrderNotProcessing
            | Self::PaymentInFlight
            | Self::AttemptChanged
            | Self::PaymentNotCancelled
            | Self::UnknownMember
            | Self::CannotLead => 409,
            Self::EventsGone => 410,
            Self::VersionMismatch => 412,
            Self::PayloadTooLarge => 413,
            Self::UriTooLong => 414,
            Self::UnsupportedMediaType => 415,
            Self::MisdirectedRequest => 421,
            Self::ValidationError
            | Self::IdempotencyKeyReused
            | Self::OrderNotCancellable
            | Self::PaymentMethodUnavailable => 422,
            Self::SaleNotOpen => 425,
            Self::UpgradeRequired => 426,
            Self::TooManyRequests => 429,
            Self::InternalError => 500,
            Self::NoLeader
            | Self::Overloaded
            | Self::StorageFull
            | Self::MemoryFull
            | Self::StaleRead => 503,
            Self::CommitTimeout => 504,
        }
    }

    /// The code in upper case: the field `error_code` of a problem.
    ///
    /// There is one exception: the code of an order that cannot be cancelled has always been
    /// `INVALID_TRANSITION` in this field.
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
            Self::MisdirectedRequest => "MISDIRECTED_REQUEST",
            Self::InsufficientStock => "INSUFFICIENT_STOCK",
            Self::PurchaseLimitExceeded => "PURCHASE_LIMIT_EXCEEDED",
            Self::SaleNotOpen => "SALE_NOT_OPEN",
            Self::SaleClosed => "SALE_CLOSED",
            Self::MinimumNotMet => "MINIMUM_NOT_MET",
            Self::HeldLimitExceeded => "HELD_LIMIT_EXCEEDED",
            Self::TotalMismatch => "TOTAL_MISMATCH",
            Self::ReferenceTaken => "REFERENCE_TAKEN",
            Self::HoldExpired => "HOLD_EXPIRED",
            Self::HoldConsumed => "HOLD_CONSUMED",
            Self::HoldReleased => "HOLD_RELEASED",
            Self::KeyFenced => "KEY_FENCED",
            Self::StockMismatch => "STOCK_MISMATCH",
            Self::BatchRejected => "BATCH_REJECTED",
            Self::EventsGone => "EVENTS_GONE",
            Self::VersionMismatch => "VERSION_MISMATCH",
            Self::ValidationError => "VALIDATION_ERROR",
            Self::IdempotencyKeyReused => "IDEMPOTENCY_KEY_REUSED",
            Self::OrderNotCancellable => "INVALID_TRANSITION",
            Self::PaymentMethodUnavailable => "PAYMENT_METHOD_UNAVAILABLE",
            Self::UpgradeRequired => "UPGRADE_REQUIRED",
            Self::ChangeInProgress => "CHANGE_IN_PROGRESS",
            Self::QuorumAtRisk => "QUORUM_AT_RISK",
            Self::MemberConflict => "MEMBER_CONFLICT",
            Self::LevelConflict => "LEVEL_CONFLICT",
            Self::LevelTooLow => "LEVEL_TOO_LOW",
            Self::NotRefundable => "NOT_REFUNDABLE",
            Self::RefundExceedsPaid => "REFUND_EXCEEDS_PAID",
            Self::ReturnExceedsSold => "RETURN_EXCEEDS_SOLD",
            Self::OrderNotProcessing => "ORDER_NOT_PROCESSING",
            Self::PaymentInFlight => "PAYMENT_IN_FLIGHT",
            Self::AttemptChanged => "ATTEMPT_CHANGED",
            Self::PaymentNotCancelled => "PAYMENT_NOT_CANCELLED",
            Self::UnknownMember => "UNKNOWN_MEMBER",
            Self::CannotLead => "CANNOT_LEAD",
            Self::TooManyRequests => "TOO_MANY_REQUESTS",
            Self::NoLeader => "NO_LEADER",
            Self::Overloaded => "OVERLOADED",
            Self::StorageFull => "STORAGE_FULL",
            Self::MemoryFull => "MEMORY_FULL",
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
            Self::MisdirectedRequest => "/problems/misdirected-request",
            Self::InsufficientStock => "/problems/insufficient-stock",
            Self::PurchaseLimitExceeded => "/problems/purchase-limit-exceeded",
            Self::SaleNotOpen => "/problems/sale-not-open",
            Self::SaleClosed => "/problems/sale-closed",
            Self::MinimumNotMet => "/problems/minimum-not-met",
            Self::HeldLimitExceeded => "/problems/held-limit-exceeded",
            Self::TotalMismatch => "/problems/total-mismatch",
            Self::ReferenceTaken => "/problems/reference-taken",
            Self::HoldExpired => "/problems/hold-expired",
            Self::HoldConsumed => "/problems/hold-consumed",
            Self::HoldReleased => "/problems/hold-released",
            Self::KeyFenced => "/problems/key-fenced",
            Self::StockMismatch => "/problems/stock-mismatch",
            Self::BatchRejected => "/problems/batch-rejected",
            Self::EventsGone => "/problems/events-gone",
            Self::VersionMismatch => "/problems/version-mismatch",
            Self::ValidationError => "/problems/validation-error",
            Self::IdempotencyKeyReused => "/problems/idempotency-key-reused",
            Self::OrderNotCancellable => "/problems/order-not-cancellable",
            Self::PaymentMethodUnavailable => "/problems/payment-method-unavailable",
            Self::UpgradeRequired => "/problems/upgrade-required",
            Self::ChangeInProgress => "/problems/change-in-progress",
            Self::QuorumAtRisk => "/problems/quorum-at-risk",
            Self::MemberConflict => "/problems/member-conflict",
            Self::LevelConflict => "/problems/level-conflict",
            Self::LevelTooLow => "/problems/level-too-low",
            Self::NotRefundable => "/problems/not-refundable",
            Self::RefundExceedsPaid => "/problems/refund-exceeds-paid",
            Self::ReturnExceedsSold => "/problems/return-exceeds-sold",
            Self::OrderNotProcessing => "/problems/order-not-processing",
            Self::PaymentInFlight => "/problems/payment-in-flight",
            Self::AttemptChanged => "/problems/attempt-changed",
            Self::PaymentNotCancelled => "/problems/payment-not-cancelled",
            Self::UnknownMember => "/problems/unknown-member",
            Self::CannotLead => "/problems/cannot-lead",
            Self::TooManyRequests => "/problems/too-many-requests",
            Self::NoLeader => "/problems/no-leader",
            Self::Overloaded => "/problems/overloaded",
            Self::StorageFull => "/problems/storage-full",
            Self::MemoryFull => "/problems/memory-full",
            Self::StaleRead => "/problems/stale-read",
            Self::CommitTimeout => "/problems/commit-timeout",
            Self::InternalError => "/problems/internal-error",
        }
    }

    /// The short title, the same for every occurrence.
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
            Self::MisdirectedRequest => "Misdirected request",
            Self::InsufficientStock => "Insufficient stock",
            Self::PurchaseLimitExceeded => "Purchase limit exceeded",
            Self::SaleNotOpen => "Sale not open",
            Self::SaleClosed => "Sale closed",
            Self::MinimumNotMet => "Minimum not met",
            Self::HeldLimitExceeded => "Held limit exceeded",
            Self::TotalMismatch => "Total mismatch",
            Self::ReferenceTaken => "Reference taken",
            Self::HoldExpired => "Hold expired",
            Self::HoldConsumed => "Hold already used",
            Self::HoldReleased => "Hold released",
            Self::KeyFenced => "Idempotency key fenced",
            Self::StockMismatch => "Stock mismatch",
            Self::BatchRejected => "Batch rejected",
            Self::EventsGone => "Events gone",
            Self::VersionMismatch => "Version mismatch",
            Self::ValidationError => "Validation error",
            Self::IdempotencyKeyReused => "Idempotency key reused",
            Self::OrderNotCancellable => "Order not cancellable",
            Self::PaymentMethodUnavailable => "Payment method unavailable",
            Self::UpgradeRequired => "Upgrade required",
            Self::ChangeInProgress => "Change in progress",
            Self::QuorumAtRisk => "Quorum at risk",
            Self::MemberConflict => "Member conflict",
            Self::LevelConflict => "Level conflict",
            Self::LevelTooLow => "Level too low",
            Self::NotRefundable => "Not refundable",
            Self::RefundExceedsPaid => "Refund exceeds paid",
            Self::ReturnExceedsSold => "Return exceeds sold",
            Self::OrderNotProcessing => "Order not processing",
            Self::PaymentInFlight => "Payment in flight",
            Self::AttemptChanged => "Attempt changed",
            Self::PaymentNotCancelled => "Payment not cancelled",
            Self::UnknownMember => "Unknown member",
            Self::CannotLead => "Cannot lead",
            Self::TooManyRequests => "Too many requests",
            Self::NoLeader => "No leader",
            Self::Overloaded => "Overloaded",
            Self::StorageFull => "Out of disk space",
            Self::MemoryFull => "Out of memory",
            Self::StaleRead => "Read not fresh enough",
            Self::CommitTimeout => "Outcome unknown",
            Self::InternalError => "Internal error",
        }
    }

    /// What the code says about the effect, unless the place that raised it knows better.
    ///
    /// Only [`ErrorCode::CommitTimeout`] means unknown: a server that does not know the outcome of
    /// a proposal must answer with it, even when the cause was internal.
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
            | Self::MisdirectedRequest
            | Self::InsufficientStock
            | Self::PurchaseLimitExceeded
            | Self::SaleNotOpen
            | Self::SaleClosed
            | Self::MinimumNotMet
            | Self::HeldLimitExceeded
            | Self::TotalMismatch
            | Self::ReferenceTaken
            | Self::HoldExpired
            | Self::HoldConsumed
            | Self::HoldReleased
            | Self::KeyFenced
            | Self::StockMismatch
            | Self::BatchRejected
            | Self::EventsGone
            | Self::VersionMismatch
            | Self::ValidationError
            | Self::IdempotencyKeyReused
            | Self::OrderNotCancellable
            | Self::PaymentMethodUnavailable
            | Self::UpgradeRequired
            | Self::ChangeInProgress
            | Self::QuorumAtRisk
            | Self::MemberConflict
            | Self::LevelConflict
            | Self::LevelTooLow
            | Self::NotRefundable
            | Self::RefundExceedsPaid
            | Self::ReturnExceedsSold
            | Self::OrderNotProcessing
            | Self::PaymentInFlight
            | Self::AttemptChanged
            | Self::PaymentNotCancelled
            | Self::UnknownMember
            | Self::CannotLead => Outcome::Rejected,
            Self::RequestTimeout
            | Self::TooManyRequests
            | Self::NoLeader
            | Self::Overloaded
            | Self::StorageFull
            | Self::MemoryFull
            | Self::StaleRead
            | Self::InternalError => Outcome::NotApplied,
            Self::CommitTimeout => Outcome::Unknown,
        }
    }

    /// Whether a retry of the same request may succeed.
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
    fn spellings_are_derived_from_the_code() {
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
    fn the_error_for_an_unknown_word_lists_the_allowed_ones() {
        let error = "perhaps".parse::<Outcome>().unwrap_err();
        assert_eq!(error.to_string(), "`perhaps` is not one of: not_applied, rejected, unknown");
    }
}
