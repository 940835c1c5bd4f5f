//! Schemas that several resources share: single values, and problems.
//!
//! Schemas of answers list every field. They allow unknown fields, because later versions may add
//! some; the tests do not. Bounds that JSON Schema cannot express (bytes of UTF-8, the size of a
//! whole object) are in the descriptions.

use client::wire;
use engine::ids::Quantity;
use engine::order::{METADATA_BYTES_MAX, REFERENCE_CHARS_MAX};
use serde_json::{Value, json};

use super::shapes::Shapes;
use crate::bounds::{ID_MAX, KEY_CHARS_MAX, METADATA_KEYS_MAX};

/// Not blank, without control characters and without line and paragraph separators.
const KEY: &str = concat!(
    r"^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]*",
    r"[^\s\u0000-\u001f\u007f-\u009f\u2028\u2029]",
    r"[^\u0000-\u001f\u007f-\u009f\u2028\u2029]*$"
);

const MOMENT: &str = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$";

/// Schemas that several resources refer to.
pub(crate) fn shared() -> Value {
    let mut values = json!({
        "Id": {"type": "integer", "minimum": 1, "maximum": ID_MAX, "examples": [1]},
        "Position": {
            "type": "integer",
            "minimum": 0,
            "maximum": ID_MAX,
            "description": "A position in the log. Positions ascend with the log, and stay below 2^53.",
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
        "ClientReference": {
            "type": "string",
            "minLength": 1,
            "maxLength": REFERENCE_CHARS_MAX,
            "pattern": "^(?=.*[!-~])[ -~]+$",
            "description": "Your name of an order: 1 to 64 printable ASCII characters, not all of \
                            them spaces. No two orders of the cluster have the same.",
            "examples": ["cart-1234"],
        },
        "Metadata": {
            "type": "object",
            "maxProperties": METADATA_KEYS_MAX,
            "description": format!(
                "Free data, stored with the order: at most {METADATA_BYTES_MAX} bytes of JSON. Numbers keep their text."
            ),
            "examples": [{"cart": "c-9"}],
        },
    });
    let rest = Shapes::answers()
        .of::<wire::Outcome>()
        .of::<wire::Problem>()
        .of::<wire::Shortage>()
        .of::<wire::PricedLine>()
        .with("Problem.type", json!({"pattern": "^/problems/[a-z-]+$"}))
        .with("Problem.status", json!({"minimum": 400, "maximum": 599}))
        .with("Problem.success", json!({"const": false}))
        .with("Problem.error_code", json!({"pattern": "^[A-Z_]+$"}))
        .with("Problem.results", json!({"minItems": 1}))
        .with("Problem.retry_after", json!({"minimum": 1}))
        .with("Problem.retry_after_ms", json!({"minimum": 1}))
        .with("Problem.items", json!({"minItems": 1}))
        .and(Shapes::requests());
    if let (Value::Object(values), Value::Object(rest)) = (&mut values, rest) {
        values.extend(rest);
    }
    values
}
