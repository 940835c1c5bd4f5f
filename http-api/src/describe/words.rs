//! Small parts of descriptions: references, nullable values, contents.

use client::wire;
use serde_json::{Map, Value, json};

/// Not blank, and no control characters.
pub(crate) const PLAIN: &str = concat!(
    r"^[^\u0000-\u001f\u007f-\u009f]*",
    r"[^\s\u0000-\u001f\u007f-\u009f]",
    r"[^\u0000-\u001f\u007f-\u009f]*$"
);

/// A reference to a component.
pub(crate) fn reference(kind: &str, name: &str) -> Value {
    json!({ "$ref": format!("#/components/{kind}/{name}") })
}

/// A reference to a schema.
pub(crate) fn schema(name: &str) -> Value {
    reference("schemas", name)
}

/// A schema that allows null too.
pub(crate) fn nullable(of: Value) -> Value {
    json!({"anyOf": [of, {"type": "null"}]})
}

/// A reference with a description of its own.
pub(crate) fn described(name: &str, text: &str) -> Value {
    let mut schema = schema(name);
    schema["description"] = json!(text);
    schema
}

pub(crate) fn json_content(of: &str, example: Value) -> Option<(&'static str, Value)> {
    Some((wire::JSON, json!({"schema": schema(of), "example": example})))
}

/// The content of a plain-text answer.
pub(crate) fn text_content(kind: &'static str) -> Option<(&'static str, Value)> {
    Some((kind, json!({"schema": {"type": "string"}})))
}

/// References to headers. A suffix after a dot separates two descriptions of one header.
pub(crate) fn headers(names: &[&str]) -> Value {
    let header = |name: &str| name.split('.').next().unwrap_or(name).to_owned();
    names
        .iter()
        .map(|name| (header(name), reference("headers", name)))
        .collect::<Map<_, _>>()
        .into()
}
