//! The shapes that several resources share: values, and problems.
//!
//! Schemas of answers list every field that is there. They are left open, because later versions
//! may add fields; the tests close them. Bounds that JSON Schema cannot say (bytes of UTF-8, the
//! size of a whole object) stand in the descriptions.

use client::wire;
use engine::ids::Quantity;
use engine::order::METADATA_BYTES_MAX;
use serde_json::{Value, json};

use super::words::{described, faults, flag, object, schema, text, words};
use crate::bounds::{ID_MAX, KEY_CHARS_MAX, METADATA_KEYS_MAX};

/// Not blank, without control characters and without line and paragraph separators.
const KEY: &str = concat!(
    r"^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]*",
    r"[^\s\u0000-\u001f\u007f-\u009f\u2028\u2029]",
    r"[^\u0000-\u001f\u007f-\u009f\u2028\u2029]*$"
);

const MOMENT: &str = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$";

/// Fields of problems that only some have.
const PROBLEM_ABSENT: [&str; 4] = ["retry_after", "results", "order_id", "order_status"];

/// Schemas that several resources refer to.
pub(crate) fn shared() -> Value {
    json!({
        "Id": {"type": "integer", "minimum": 1, "maximum": ID_MAX, "examples": [1]},
        "Position": {
            "type": "integer",
            "minimum": 0,
            "maximum": ID_MAX,
            "description": "A place in the log: index × 2^20 + the command's number in its entry.",
            "examples": [4_940_890_112_u64],
        },
        "Quantity": {
            "type": "integer",
            "minimum": 1,
            "maximum": Quantity::MAX.0,
            "description": "Written as digits: `1.0` and `1e3` are refused.",
        },
        "Money": {
            "type": "string",
            "pattern": r"^[0-9]+\.[0-9]{2}$",
            "description": "Decimal text with two places.",
            "examples": ["999.99"],
        },
        "MinorUnits": {
            "type": "integer",
            "minimum": 0,
            "description": "The amount in hundredths.",
            "examples": [99_999],
        },
        "Price": {
            "description": "Decimal text in a string or a number, at most 99999999.99, with at most \
                            two places. It is never read as binary floating point.",
            "anyOf": [
                {"type": "string", "pattern": r"^[0-9]{1,8}(\.[0-9]{1,2})?$"},
                {"type": "number", "minimum": 0, "maximum": 99_999_999.99, "multipleOf": 0.01},
            ],
            "examples": ["999.99", 30],
        },
        "Moment": {
            "type": "string",
            "format": "date-time",
            "pattern": MOMENT,
            "description": "RFC 3339 in UTC, with milliseconds.",
            "examples": ["2026-02-23T10:30:00.000Z"],
        },
        "IdempotencyKey": {
            "type": "string",
            "minLength": 1,
            "maxLength": KEY_CHARS_MAX,
            "pattern": KEY,
            "description": "1 to 255 printable characters: no control characters, no line or \
                            paragraph separators, not all of them white space.",
            "examples": ["order-abc-123"],
        },
        "Metadata": {
            "type": "object",
            "maxProperties": METADATA_KEYS_MAX,
            "description": format!(
                "Free data, kept with the order: at most {METADATA_BYTES_MAX} bytes of JSON, numbers \
                 of at most 64 bits."
            ),
            "examples": [{"cart": "c-9"}],
        },
        "OrderStatus": words(
            "PENDING → PROCESSING → PAID or FAILED; PENDING → CANCELLED. Nothing else.",
            wire::OrderStatus::ALL,
        ),
        "SagaStatus": words("The same in the words of older clients.", wire::SagaStatus::ALL),
        "PaymentMethod": words(
            "`mock`: the payment worker asks its gateway. `webhook`: a webhook brings the result, \
             else the order is cancelled at its deadline. `none`: the order stays PENDING until it \
             is cancelled.",
            wire::PaymentMethod::ALL,
        ),
        "PaymentStatus": words(
            "`unsettled`: the result of an attempt is not known and is asked for again.",
            wire::PaymentStatus::ALL,
        ),
        "Problem": object("Every error, in the shape of RFC 9457.", &PROBLEM_ABSENT, json!({
            "type": {"type": "string", "pattern": "^/problems/[a-z-]+$"},
            "title": text("The kind of problem in words."),
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "detail": text("This occurrence in words."),
            "success": {"type": "boolean", "const": false},
            "message": text("The same as `detail`."),
            "error": text("The code."),
            "error_code": {"type": "string", "pattern": "^[A-Z_]+$", "description": "In capitals."},
            "outcome": words(
                "`not_applied`: it never entered the log. `rejected`: decided, final for this \
                 attempt. `unknown`: it may yet apply.",
                wire::Outcome::ALL,
            ),
            "retryable": flag("Whether the same request may succeed a little later."),
            "errors": faults(),
            "results": {
                "type": "array",
                "minItems": 1,
                "items": schema("RefusedOrder"),
                "description": "For an atomic batch: every order for which it was refused.",
            },
            "retry_after": {"type": "integer", "minimum": 1, "description": "Seconds to wait."},
            "order_id": described(
                "Id",
                "For `hold_consumed` and `payment_conflict`: the order that stands in the way.",
            ),
            "order_status": described("OrderStatus", "For `payment_conflict`: of that order."),
            "trace_id": text("The same as `X-Trace-Id`."),
        })),
    })
}
