//! What the OpenAPI document says of the results of payments.

use client::wire::ErrorCode;

use super::examples;
use crate::describe::operation::Operation;
use crate::describe::words::json_content;

pub(crate) fn webhook() -> Operation {
    Operation::new("reportPayment", "Report the result of a payment")
        .text(
            "For payment providers. A result is taken down once per key, for ever, and takes a \
             PENDING order to its end. A result for an order that does not exist yet waits for it, \
             a day at most, and is applied with it. One that comes too late, contradicts how the \
             order ended, or names another amount than the total is recorded and answered 409; it \
             never reopens an order. Where a secret is set, the request must be signed: see \
             *Signed webhooks*.",
        )
        .takes(&["IdempotencyKey", "Signature"])
        .body("WebhookRequest", examples::webhook_request())
        .answers(
            200,
            "The result settled its order, now or, with `duplicate`, before.",
            &["Idempotent-Replayed.sometimes"],
            json_content("WebhookAnswer", examples::webhook(false)),
        )
        .answers(
            202,
            "The order does not exist yet; the result waits for it.",
            &["Idempotent-Replayed.sometimes"],
            json_content("WebhookAnswer", examples::webhook(true)),
        )
        .writes()
        .refuses(&[
            ErrorCode::InvalidSignature,
            ErrorCode::PaymentConflict,
            ErrorCode::IdempotencyKeyInvalid,
            ErrorCode::IdempotencyKeyMismatch,
            ErrorCode::IdempotencyKeyReused,
        ])
}
