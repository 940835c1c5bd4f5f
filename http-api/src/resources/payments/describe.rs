//! What the OpenAPI document says about the results of payments.

use client::wire::{ErrorCode, OrderStatus};

use super::examples;
use crate::describe::operation::Operation;
use crate::describe::words::json_content;
use crate::resources::orders::examples::order;

pub(crate) fn webhook() -> Operation {
    Operation::new("reportPayment", "Report the result of a payment")
        .text(
            "For payment providers. Each key records one result, for ever. A result ends a PENDING \
             order whose payment method is `webhook`. Every result that is recorded is answered \
             200, and `result` says what was done with it. A result that is too late, contradicts \
             how the order ended, names an amount other than the total, or is about an order of \
             another payment method is a `conflict`; it never reopens an order. A result for an \
             order that does not exist is `unmatched`: it decides nothing, also when an order gets \
             that id later. Requests must be signed, see *Signed webhooks*. Only `holdfast dev` \
             takes unsigned ones while it has no secret.",
        )
        .takes(&["IdempotencyKey", "Signature"])
        .body("WebhookRequest", examples::webhook_request())
        .answers(
            200,
            "The result is recorded, now or, when `duplicate` is true, before.",
            &["Idempotent-Replayed.sometimes"],
            json_content("WebhookAnswer", examples::webhook()),
        )
        .writes()
        .refuses(&[
            ErrorCode::InvalidSignature,
            ErrorCode::IdempotencyKeyInvalid,
            ErrorCode::IdempotencyKeyMismatch,
            ErrorCode::IdempotencyKeyReused,
        ])
}

pub(crate) fn unsettled() -> Operation {
    Operation::new("listUnsettledPayments", "List payments without a result")
        .text(
            "PROCESSING orders whose gateway was called and gave no definite answer, newest first: \
             it did not answer, or decides later. The worker goes on asking. Their units stay \
             reserved until there is a result, or an operator settles the order. A page may have \
             fewer payments than `limit`, and still more may follow.",
        )
        .takes(&["OrderLimit", "OrderCursor"])
        .reads()
        .lists("A page of payments.", "UnsettledList", examples::unsettled())
}

pub(crate) fn settle() -> Operation {
    Operation::new("settleOrder", "Settle an order by hand")
        .text(
            "For operators who know from the provider what became of a payment without a result. \
             Ends a PROCESSING order; its history says `settled_by_operator`, and the event \
             `payment.settled` has the reason and who decided. For `failed`, the gateway must \
             confirm that the payment takes no money any more, unless `force` is set. An order \
             that has ended that way already is a success.",
        )
        .takes(&["OrderId"])
        .body("SettleRequest", examples::settle_request())
        .shows("The order has ended that way.", "OrderAnswer", order(OrderStatus::Paid))
        .writes()
        .refuses(&SETTLING)
        .refuses(&[ErrorCode::PaymentNotCancelled])
}

pub(crate) fn recheck() -> Operation {
    Operation::new("recheckPayment", "Ask the gateway again at once")
        .text(
            "Makes the payment of a PROCESSING order due, so that the worker asks the gateway now \
             instead of at `next_at`. The body is optional.",
        )
        .takes(&["OrderId"])
        .optional_body("RecheckRequest", examples::recheck_request())
        .shows("The payment is due.", "OrderAnswer", order(OrderStatus::Processing))
        .writes()
        .refuses(&SETTLING)
}

const SETTLING: [ErrorCode; 5] = [
    ErrorCode::NotFound,
    ErrorCode::OrderNotProcessing,
    ErrorCode::PaymentInFlight,
    ErrorCode::AttemptChanged,
    ErrorCode::LevelTooLow,
];
