//! Decimal text that may arrive as a JSON string or a JSON number.
//!
//! Both become exactly the text that was sent. A number never passes through binary floating point,
//! which would change 0.1.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// Reads a required amount.
pub(crate) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let raw = Box::<RawValue>::deserialize(deserializer)?;
    from_json(raw.get()).map_err(D::Error::custom)
}

/// Reads an amount that may be missing or null.
pub(crate) fn optional_text<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    let raw = Option::<Box<RawValue>>::deserialize(deserializer)?;
    raw.map(|raw| from_json(raw.get()).map_err(D::Error::custom)).transpose()
}

/// The decimal text in one JSON value; `json` must be well formed.
fn from_json(json: &str) -> Result<String, String> {
    match json.as_bytes().first() {
        Some(b'"') => serde_json::from_str(json).map_err(|error| error.to_string()),
        Some(b'-' | b'0'..=b'9') => Ok(json.to_owned()),
        _ => Err("expected an amount as a string or a number".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Amounts {
        #[serde(deserialize_with = "text")]
        price: String,
        #[serde(default, deserialize_with = "optional_text")]
        other: Option<String>,
    }

    #[test]
    fn strings_and_numbers_keep_their_text() {
        let amounts: Amounts =
            serde_json::from_str(r#"{"price": 0.10, "other": "29.99"}"#).unwrap();
        assert_eq!(amounts.price, "0.10");
        assert_eq!(amounts.other.as_deref(), Some("29.99"));

        let amounts: Amounts = serde_json::from_str(r#"{"price": 1e400, "other": null}"#).unwrap();
        assert_eq!(amounts.price, "1e400");
        assert_eq!(amounts.other, None);
    }

    #[test]
    fn anything_else_is_refused() {
        for json in [r#"{"price": true}"#, r#"{"price": null}"#, r#"{"price": [1]}"#, "{}"] {
            assert!(serde_json::from_str::<Amounts>(json).is_err(), "{json}");
        }
    }
}
