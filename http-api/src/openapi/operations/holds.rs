//! Operations on holds, and the one that payment providers report to.

use client::wire::{ErrorCode, HoldStatus};
use serde_json::json;

use super::{HOLDS, Operation, PAYMENTS, json_content};
use crate::openapi::examples;
use crate::routes::Route;

/// What a hold that has ended is refused with.
pub(super) const ENDED: [ErrorCode; 3] =
    [ErrorCode::HoldExpired, ErrorCode::HoldConsumed, ErrorCode::HoldReleased];

pub(super) fn hold(route: Route) -> Operation {
    let of = |id, summary| Operation::new(route, id, HOLDS, summary);
    let active = || examples::hold(HoldStatus::Active);
    match route {
        Route::CreateHold => of("createHold", "Hold units")
            .text(
                "Sets the units of all lines aside until a deadline, all or nothing. Either `items`, \
                 or one product with `quantity` or `qty`. An order takes the hold over with \
                 `hold_id`; at the deadline the units can be sold again.",
            )
            .takes(&["IdempotencyKey"])
            .body("HoldRequest", examples::hold_request())
            .makes("The units are held.", "HoldAnswer", active())
            .answers(
                200,
                "The key had made this hold before; this is the hold as it is now.",
                &["ETag", "Idempotent-Replayed"],
                json_content("HoldAnswer", active()),
            )
            .writes()
            .refuses(&[
                ErrorCode::NotFound,
                ErrorCode::InsufficientStock,
                ErrorCode::PurchaseLimitExceeded,
                ErrorCode::IdempotencyKeyInvalid,
                ErrorCode::IdempotencyKeyMismatch,
                ErrorCode::IdempotencyKeyReused,
            ]),
        Route::ReleaseHold => of("releaseHold", "Give a hold back")
            .text(
                "The units can be sold again at once. Releasing a released hold again is a success \
                 that changes nothing.",
            )
            .takes(&["HoldId"])
            .answers(204, "The hold is released.", &[], None)
            .writes()
            .refuses(&[ErrorCode::NotFound, ErrorCode::HoldExpired, ErrorCode::HoldConsumed]),
        Route::ExtendHold => of("extendHold", "Let a hold live on")
            .text(
                "Until `ttl_seconds` from now, but no longer in all than any hold may live, and \
                 never shorter than it would anyhow.",
            )
            .takes(&["HoldId"])
            .body("ExtendRequest", json!({"ttl_seconds": 120}))
            .shows("The hold with its deadline.", "HoldAnswer", active())
            .writes()
            .refuses(&[ErrorCode::NotFound])
            .refuses(&ENDED),
        _ => of("getHold", "Read a hold")
            .text("The hold as it is now. One whose deadline has passed is `expired` at once.")
            .takes(&["HoldId"])
            .reads()
            .shows("The hold.", "HoldAnswer", active())
            .refuses(&[ErrorCode::NotFound]),
    }
}

pub(super) fn payment(route: Route) -> Operation {
    Operation::new(route, "reportPayment", PAYMENTS, "Report the result of a payment")
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
