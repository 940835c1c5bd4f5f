//! What the OpenAPI document says about the results of payments.

use client::wire::ErrorCode;

use super::examples;
use crate::describe::operation::Operation;
use crate::describe::words::json_content;

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
