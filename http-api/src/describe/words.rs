//! The words that descriptions are made of: references, schemas of single values, contents.

use std::fmt::Display;

use client::wire;
use engine::product::STOCK_MAX;
use serde_json::{Map, Value, json};

/// Not blank, and no control characters.
const PLAIN: &str = concat!(
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

/// An object whose fields are all there but for those of `absent`.
pub(crate) fn object(text: &str, absent: &[&str], properties: Value) -> Value {
    let names = properties.as_object().into_iter().flat_map(Map::keys);
    let required: Vec<_> = names.filter(|name| !absent.contains(&name.as_str())).collect();
    json!({"type": "object", "description": text, "required": required, "properties": properties})
}

/// A schema that allows null too.
pub(crate) fn nullable(of: Value) -> Value {
    json!({"anyOf": [of, {"type": "null"}]})
}

/// The words of a closed set.
pub(crate) fn words<T: Display>(text: &str, all: &[T]) -> Value {
    let words: Vec<_> = all.iter().map(T::to_string).collect();
    json!({"type": "string", "description": text, "enum": words})
}

pub(crate) fn text(text: &str) -> Value {
    json!({"type": "string", "description": text})
}

pub(crate) fn flag(text: &str) -> Value {
    json!({"type": "boolean", "description": text})
}

pub(crate) fn count(text: &str) -> Value {
    json!({"type": "integer", "minimum": 0, "description": text})
}

/// A reference with a description of its own.
pub(crate) fn described(name: &str, text: &str) -> Value {
    let mut schema = schema(name);
    schema["description"] = json!(text);
    schema
}

/// Text that callers give: not blank, without control characters.
pub(crate) fn plain(bytes_max: usize, text: &str) -> Value {
    json!({
        "type": "string",
        "minLength": 1,
        "maxLength": bytes_max,
        "pattern": PLAIN,
        "description": format!(
            "{text} At most {bytes_max} bytes of UTF-8, not blank, no control characters."
        ),
    })
}

pub(crate) fn success() -> Value {
    json!({"type": "boolean", "const": true})
}

/// What is wrong, by field.
pub(crate) fn faults() -> Value {
    json!({
        "type": ["object", "null"],
        "additionalProperties": {"type": "array", "minItems": 1, "items": {"type": "string"}},
        "description": "For `validation_error`: what is wrong, by field.",
    })
}

pub(crate) fn units() -> Value {
    json!({
        "type": "integer",
        "minimum": 0,
        "maximum": STOCK_MAX,
        "description": "Units that can be sold. Reserved units come on top and are never erased.",
    })
}

pub(crate) fn json_content(of: &str, example: Value) -> Option<(&'static str, Value)> {
    Some((wire::JSON, json!({"schema": schema(of), "example": example})))
}

/// The content of an answer that is text of its own format.
pub(crate) fn text_content(kind: &'static str) -> Option<(&'static str, Value)> {
    Some((kind, json!({"schema": {"type": "string"}})))
}

/// References to headers. What follows a dot in a name tells two descriptions of one header apart.
pub(crate) fn headers(names: &[&str]) -> Value {
    let header = |name: &str| name.split('.').next().unwrap_or(name).to_owned();
    names
        .iter()
        .map(|name| (header(name), reference("headers", name)))
        .collect::<Map<_, _>>()
        .into()
}
