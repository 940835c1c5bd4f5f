//! Free data of an order, which keeps its text.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// Free data that the caller attached to an order: a JSON object of at most 20 keys and 4 KiB.
///
/// It is kept as text, so that numbers keep their digits: `1.10` does not become `1.1`, and an
/// integer of twenty digits is not rounded. Two are equal when their texts are.
#[derive(Clone, Serialize)]
#[serde(transparent)]
pub struct Metadata(Box<RawValue>);

impl Metadata {
    /// Reads the text of a JSON object.
    ///
    /// # Errors
    /// When the text is no JSON object.
    pub fn from_text(text: impl Into<String>) -> Result<Self, serde_json::Error> {
        RawValue::from_string(text.into()).and_then(Self::of_raw)
    }

    /// The text of the object.
    #[must_use]
    pub fn text(&self) -> &str {
        self.0.get()
    }

    /// The members. Numbers beyond 64 bits become the nearest of double precision.
    ///
    /// # Errors
    /// When a number is beyond double precision.
    pub fn members(&self) -> Result<Map<String, Value>, serde_json::Error> {
        serde_json::from_str(self.text())
    }

    fn of_raw(raw: Box<RawValue>) -> Result<Self, serde_json::Error> {
        match raw.get().starts_with('{') {
            true => Ok(Self(raw)),
            false => Err(serde::de::Error::custom("metadata must be a JSON object")),
        }
    }
}

impl From<Map<String, Value>> for Metadata {
    fn from(members: Map<String, Value>) -> Self {
        let text = Value::Object(members).to_string();
        Self(RawValue::from_string(text).expect("a value is written as JSON"))
    }
}

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Self::of_raw(raw).map_err(serde::de::Error::custom)
    }
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl PartialEq for Metadata {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl Eq for Metadata {}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Metadata {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Metadata".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "object"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_text() {
        let text = r#"{"a":1.10,"b":1e400,"c":12345678901234567890,"d":-0,"e":1E+2}"#;
        let metadata: Metadata = serde_json::from_str(text).unwrap();
        assert_eq!(metadata.text(), text);
        assert_eq!(serde_json::to_string(&metadata).unwrap(), text);
        assert_eq!(Metadata::from_text(text).unwrap(), metadata);
        assert!(metadata.members().is_err(), "1e400 is beyond double precision");
        let plain = Metadata::from_text(r#"{"a": 1.10}"#).unwrap();
        assert_eq!(plain.members().unwrap()["a"], 1.1);
        assert_eq!(Metadata::from(plain.members().unwrap()).text(), r#"{"a":1.1}"#);
    }

    #[test]
    fn other_values_than_objects_are_refused() {
        for text in ["[1]", "1", "\"a\"", "null", "{", ""] {
            assert!(Metadata::from_text(text).is_err(), "{text}");
            assert!(serde_json::from_str::<Metadata>(text).is_err(), "{text}");
        }
    }
}
