//! What the OpenAPI document says about the results of payments.

use client::wire::ErrorCode;

use super::examples;
use crate::describe::operation::Operation;
use crate::describe::words::json_content;

pub(crate) fn webhook() -> Operation {
    Operation::new("reportPayment", "Report the result of a payment")
        .text(
            "For payment providers. Each key records one result, for ever, and the result ends a \
             PENDING order. A result for an order that does not exist yet waits for it, a day at \
             most, and is applied with it. A result that is too late, contradicts how the order \
             ended, or names an amount other than the total is recorded and answered 409; it \
             never reopens an order. If the cluster has a secret, the request must be signed: see \
             *Signed webhooks*.",
        )
        .takes(&["IdempotencyKey", "Signature"])
        .body("WebhookRequest", examples::webhook_request())
        .answers(
            200,
            "The result ended its order: now, or before when `duplicate` is true.",
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
