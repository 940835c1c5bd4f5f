//! Shared values of examples, and examples of problems. Examples are wire types, so new fields
//! appear in them too.

use std::collections::BTreeSet;

use client::wire::{self, ErrorCode, Problem};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::failure::says_when_to_retry;

pub(crate) const TRACE: &str = "550e8400-e29b-41d4-a716-446655440000";
pub(crate) const MOMENT: &str = "2026-02-23T10:30:00.000Z";
pub(crate) const VERSION: u64 = 4711 << 20;

pub(crate) fn value(of: &impl Serialize) -> Value {
    serde_json::to_value(of).expect("wire types have string keys and finite values")
}

/// A malformed request with another `error` than the code.
pub(crate) fn malformed_as(word: &str) -> Value {
    let mut problem = Problem::new(ErrorCode::MalformedRequest, word, TRACE);
    problem.error = word.to_owned().into();
    value(&problem)
}

/// One problem for each code.
pub(crate) fn problems(codes: &BTreeSet<ErrorCode>) -> Value {
    let example = |code: &ErrorCode| {
        let example = json!({"summary": code.title(), "value": problem(*code)});
        (code.as_str().to_owned(), example)
    };
    codes.iter().map(example).collect::<Map<_, _>>().into()
}

/// A problem with a code.
pub(crate) fn problem(code: ErrorCode) -> Value {
    let mut problem = Problem::new(code, detail(code), TRACE);
    problem.retry_after = says_when_to_retry(code).then_some(1);
    match code {
        ErrorCode::ValidationError => {
            let field = ("items".to_owned(), vec![problem.detail.clone()]);
            problem.errors = Some([field].into());
        }
        ErrorCode::BatchRejected => {
            let missing = ErrorCode::NotFound;
            problem.results = Some(vec![wire::RefusedOrder {
                index: 1,
                status: missing.status(),
                error: missing.as_str().into(),
                message: "Product 9 not found.".to_owned(),
                shortages: None,
                opens_at: None,
                retry_after_ms: None,
            }]);
        }
        ErrorCode::InsufficientStock => problem.shortages = Some(vec![shortage()]),
        ErrorCode::HoldConsumed => problem.order_id = Some(7),
        _ => {}
    }
    value(&problem)
}

/// The shortage that [`detail`] describes.
pub(crate) fn shortage() -> wire::Shortage {
    wire::Shortage { product_id: 5, requested: 10, available: 3 }
}

pub(crate) fn detail(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::InsufficientStock => {
            "Insufficient stock for product ID 5. Requested: 10, available: 3."
        }
        ErrorCode::ValidationError => "The items field is required.",
        ErrorCode::NotFound => "Order not found.",
        ErrorCode::EventsGone => {
            "Events up to 4939841539.0 are no longer kept. Read the state anew, and go on from now \
             or after 4939841539.0."
        }
        ErrorCode::HoldConsumed => "Hold 3 was consumed by order 7.",
        ErrorCode::OrderNotCancellable => "Order with status PAID cannot be cancelled.",
        ErrorCode::IdempotencyKeyReused => "The idempotency key was used for another request.",
        ErrorCode::CommitTimeout => {
            "The write was not confirmed in time and may still take effect; retry with the same \
             idempotency key."
        }
        other => other.title(),
    }
}
