//! What the OpenAPI document says about holds.

use client::wire::{ErrorCode, HoldStatus};
use serde_json::{Value, json};

use super::examples;
use crate::describe::operation::Operation;

/// The refusals for a hold that has ended.
pub(crate) const ENDED: [ErrorCode; 3] =
    [ErrorCode::HoldExpired, ErrorCode::HoldConsumed, ErrorCode::HoldReleased];

fn active() -> Value {
    examples::hold(HoldStatus::Active)
}

pub(crate) fn create() -> Operation {
    Operation::new("createHold", "Hold units")
        .text(
            "Sets the units of all lines aside until a deadline, all or nothing. Send either \
             `items`, or one product with `quantity` or `qty`. An order takes the hold over with \
             `hold_id`; at the deadline the units can be sold again.",
        )
        .takes(&["IdempotencyKey"])
        .body("HoldRequest", examples::hold_request())
        .makes("The units are held.", "HoldAnswer", active())
        .dry_runs(
            "The key made this hold before; this is the hold as it is now. Or, to a dry run, what \
             the request would come to.",
            "HoldOrDryRunAnswer",
            active(),
        )
        .writes()
        .refuses(&[
            ErrorCode::NotFound,
            ErrorCode::InsufficientStock,
            ErrorCode::PurchaseLimitExceeded,
            ErrorCode::SaleNotOpen,
            ErrorCode::SaleClosed,
            ErrorCode::MinimumNotMet,
            ErrorCode::HeldLimitExceeded,
            ErrorCode::IdempotencyKeyInvalid,
            ErrorCode::IdempotencyKeyMismatch,
            ErrorCode::IdempotencyKeyReused,
        ])
}

pub(crate) fn list() -> Operation {
    Operation::new("listHolds", "List active holds")
        .text(
            "Active holds by ascending id. Those past their deadline are left out. A long list is \
             read in steps, so a hold that begins or ends meanwhile may be in it or not.",
        )
        .takes(&["HoldUser", "HoldProduct", "HoldCursor", "HoldLimit"])
        .reads()
        .lists("A page of holds.", "HoldList", examples::hold_list())
}

pub(crate) fn get() -> Operation {
    Operation::new("getHold", "Read a hold")
        .text("The hold as it is now. Past its deadline it is `expired` at once.")
        .takes(&["HoldId"])
        .reads()
        .shows("The hold.", "HoldAnswer", active())
        .refuses(&[ErrorCode::NotFound])
}

pub(crate) fn release() -> Operation {
    Operation::new("releaseHold", "Release a hold")
        .text(
            "The units can be sold again at once. Releasing a released hold again succeeds and \
             changes nothing.",
        )
        .takes(&["HoldId"])
        .answers(204, "The hold is released.", &[], None)
        .writes()
        .refuses(&[ErrorCode::NotFound, ErrorCode::HoldExpired, ErrorCode::HoldConsumed])
}

pub(crate) fn extend() -> Operation {
    Operation::new("extendHold", "Extend a hold")
        .text(
            "Moves the deadline to `ttl_seconds` from now. The hold lives at most as long as the \
             server allows, and an extension never shortens it.",
        )
        .takes(&["HoldId"])
        .body("ExtendRequest", json!({"ttl_seconds": 120}))
        .shows("The hold with its deadline.", "HoldAnswer", active())
        .writes()
        .refuses(&[ErrorCode::NotFound, ErrorCode::SaleClosed])
        .refuses(&ENDED)
}
