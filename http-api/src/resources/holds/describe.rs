//! What the OpenAPI document says of holds.

use client::wire::{ErrorCode, HoldStatus};
use serde_json::{Value, json};

use super::examples;
use crate::describe::operation::Operation;
use crate::describe::words::json_content;

/// What a hold that has ended is refused with.
pub(crate) const ENDED: [ErrorCode; 3] =
    [ErrorCode::HoldExpired, ErrorCode::HoldConsumed, ErrorCode::HoldReleased];

fn active() -> Value {
    examples::hold(HoldStatus::Active)
}

pub(crate) fn create() -> Operation {
    Operation::new("createHold", "Hold units")
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
        ])
}

pub(crate) fn get() -> Operation {
    Operation::new("getHold", "Read a hold")
        .text("The hold as it is now. One whose deadline has passed is `expired` at once.")
        .takes(&["HoldId"])
        .reads()
        .shows("The hold.", "HoldAnswer", active())
        .refuses(&[ErrorCode::NotFound])
}

pub(crate) fn release() -> Operation {
    Operation::new("releaseHold", "Give a hold back")
        .text(
            "The units can be sold again at once. Releasing a released hold again is a success \
             that changes nothing.",
        )
        .takes(&["HoldId"])
        .answers(204, "The hold is released.", &[], None)
        .writes()
        .refuses(&[ErrorCode::NotFound, ErrorCode::HoldExpired, ErrorCode::HoldConsumed])
}

pub(crate) fn extend() -> Operation {
    Operation::new("extendHold", "Let a hold live on")
        .text(
            "Until `ttl_seconds` from now, but no longer in all than any hold may live, and \
             never shorter than it would anyhow.",
        )
        .takes(&["HoldId"])
        .body("ExtendRequest", json!({"ttl_seconds": 120}))
        .shows("The hold with its deadline.", "HoldAnswer", active())
        .writes()
        .refuses(&[ErrorCode::NotFound])
        .refuses(&ENDED)
}
