//! Schemas of the wire types, as the OpenAPI document has them.
//!
//! Names, types and texts of fields come from `client::wire`. The conventions that hold for every
//! wire type (ids, positions, money, times) are applied by the names of fields. Resources add what
//! a type cannot say: bounds, patterns, and rules between fields.

use client::wire;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use super::words::{PLAIN, schema};

/// Schemas of bodies that go in one direction.
pub(crate) struct Shapes {
    generator: SchemaGenerator,
    is_answer: bool,
    all: Map<String, Value>,
}

impl Shapes {
    /// Bodies that clients send. A field that may be missing may be null too.
    pub(crate) fn requests() -> Shapes {
        Shapes::new(false)
    }

    /// Bodies that the server sends. A field that may be missing is never null.
    pub(crate) fn answers() -> Shapes {
        Shapes::new(true)
    }

    fn new(is_answer: bool) -> Shapes {
        let mut settings = SchemaSettings::draft2020_12();
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
        let settings = if is_answer { settings.for_serialize() } else { settings };
        Shapes { generator: settings.into_generator(), is_answer, all: Map::new() }
    }

    /// Adds a type under its own name.
    pub(crate) fn of<T: JsonSchema>(self) -> Shapes {
        let name = T::schema_name();
        self.named::<T>(&name)
    }

    /// Adds a type under another name.
    pub(crate) fn named<T: JsonSchema>(mut self, name: &str) -> Shapes {
        let shape = conventional(T::json_schema(&mut self.generator), self.is_answer);
        let other = self.all.insert(name.to_owned(), shape);
        assert!(other.is_none(), "{name} is described twice");
        self
    }

    /// Adds a success with data of a type.
    pub(crate) fn envelope<T: JsonSchema>(self, name: &str) -> Shapes {
        self.named::<wire::Envelope<T>>(name)
    }

    /// Adds a rule to a type.
    pub(crate) fn rule(mut self, of: &str, keyword: &str, rule: Value) -> Shapes {
        self.all.get_mut(of).expect("a type that was added")[keyword] = rule;
        self
    }

    /// Adds keywords to a field, such as its bounds. The field is named as in `Order.items`.
    pub(crate) fn with(mut self, field: &str, keywords: Value) -> Shapes {
        if let (Value::Object(field), Value::Object(keywords)) = (self.field(field), keywords) {
            field.extend(keywords);
        }
        self
    }

    /// Gives a field another schema, but for its description.
    pub(crate) fn is(mut self, field: &str, schema: Value) -> Shapes {
        let field = self.field(field);
        let description = field.get("description").cloned();
        *field = schema;
        if let Some(description) = description {
            field["description"] = description;
        }
        self
    }

    /// Says that a field is text that callers choose: not blank, without control characters.
    pub(crate) fn plain(mut self, field: &str, bytes_max: usize) -> Shapes {
        let field = self.field(field);
        field["minLength"] = json!(1);
        field["maxLength"] = json!(bytes_max);
        field["pattern"] = json!(PLAIN);
        let text = field["description"].as_str().unwrap_or_default();
        let bounds =
            format!("At most {bytes_max} bytes of UTF-8, not blank, no control characters.");
        field["description"] = json!(format!("{text} {bounds}").trim_start());
        self
    }

    /// A schema that is one of several.
    pub(crate) fn either(mut self, name: &str, of: &[&str]) -> Shapes {
        let of: Vec<Value> = of.iter().map(|name| schema(name)).collect();
        self.all.insert(name.to_owned(), json!({ "anyOf": of }));
        self
    }

    /// Says that a field may be missing or null.
    pub(crate) fn optional(mut self, field: &str) -> Shapes {
        let nullable = or_null(self.field(field).take());
        *self.field(field) = nullable;
        let (of, name) = field.split_once('.').expect("a type and a field");
        if let Value::Array(required) = &mut self.all[of]["required"] {
            required.retain(|it| it != name);
            if required.is_empty() {
                self.all[of].as_object_mut().and_then(|of| of.remove("required"));
            }
        }
        self
    }

    /// Says that a field that may be missing is not null.
    pub(crate) fn not_null(mut self, field: &str) -> Shapes {
        let value = without_null(self.field(field).take());
        *self.field(field) = value;
        self
    }

    /// A field that was added, or room for one.
    fn field(&mut self, field: &str) -> &mut Value {
        let (of, name) = field.split_once('.').expect("a type and a field");
        let of = self.all.get_mut(of).expect("a type that was added");
        of["properties"]
            .as_object_mut()
            .expect("an object")
            .entry(name)
            .or_insert_with(|| json!({}))
    }

    /// All schemas by name, with those of `more`.
    pub(crate) fn and(mut self, more: Shapes) -> Value {
        self.all.extend(more.all);
        Value::Object(self.all)
    }
}

/// The schema of a type with the conventions of the wire applied.
fn conventional(shape: Schema, is_answer: bool) -> Value {
    let mut shape = Value::from(shape);
    tidy(&mut shape);
    let required = shape["required"].as_array().cloned().unwrap_or_default();
    let fields = shape.get_mut("properties").and_then(Value::as_object_mut);
    for (name, field) in fields.into_iter().flatten() {
        if *field == json!(true) {
            *field = json!({});
        }
        let description = field.as_object_mut().and_then(|field| field.remove("description"));
        let is_required = required.iter().any(|it| it == name);
        let (value, is_null) = (without_null(field.clone()), is_nullable(field));
        let value = component(name, &value, is_answer).unwrap_or(value);
        let may_be_null = is_null && (is_required || !is_answer);
        *field = if may_be_null { or_null(value) } else { value };
        if let Some(description) = description {
            field["description"] = description;
        }
    }
    shape
}

/// The description of a field by its name and type, where a convention gives one.
fn component(name: &str, value: &Value, is_answer: bool) -> Option<Value> {
    let named = match (value["type"].as_str()?, name) {
        ("integer", "version") => "Position",
        ("integer", "quantity" | "qty") => "Quantity",
        ("integer", "id" | "replaces" | "rebuilt_from" | "to") => "Id",
        ("integer", name) if name.ends_with("_id") => "Id",
        ("integer", name) if name.ends_with("_minor") => "MinorUnits",
        ("string", "idempotency_key") => "IdempotencyKey",
        ("string", "client_reference") => "ClientReference",
        ("string", "time" | "timestamp" | "clock") => "Moment",
        // Requests may have any offset.
        ("string", name) if name.ends_with("_at") && is_answer => "Moment",
        ("string", "price") if !is_answer => "Price",
        ("string", "amount" | "expected_total") if !is_answer => "Amount",
        ("string", "price" | "unit_price" | "total_amount" | "total_price" | "line_total") => {
            "Money"
        }
        ("string", "amount" | "expected" | "actual") => "Money",
        ("object", "metadata") => "Metadata",
        ("boolean", "success") => return Some(json!({"type": "boolean", "const": true})),
        ("object", "errors") => return Some(faults()),
        _ => return None,
    };
    Some(schema(named))
}

/// What is wrong, by field.
fn faults() -> Value {
    json!({
        "type": "object",
        "additionalProperties": {"type": "array", "minItems": 1, "items": {"type": "string"}},
    })
}

/// Removes what only Rust has (widths of integers, defaults), and the marks of its documentation.
fn tidy(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for word in ["format", "default", "title"] {
                if !members.get(word).is_some_and(Value::is_object) {
                    members.remove(word);
                }
            }
            if members.get("maximum").is_some() {
                members.remove("maximum");
            }
            if let Some(Value::String(text)) = members.get_mut("description") {
                let lines = |it: &str| it.lines().map(str::trim).collect::<Vec<_>>().join(" ");
                let paragraphs: Vec<_> = text.split("\n\n").map(lines).collect();
                *text = paragraphs.join("\n\n").replace("[`", "`").replace("`]", "`");
            }
            members.values_mut().for_each(tidy);
        }
        Value::Array(elements) => elements.iter_mut().for_each(tidy),
        _ => {}
    }
}

fn is_nullable(field: &Value) -> bool {
    let null = json!("null");
    match (&field["type"], &field["anyOf"]) {
        (Value::Array(types), _) => types.contains(&null),
        (_, Value::Array(of)) => of.iter().any(|it| it["type"] == null),
        _ => false,
    }
}

fn without_null(mut field: Value) -> Value {
    if !is_nullable(&field) {
        return field;
    }
    if let Value::Array(types) = &mut field["type"] {
        types.retain(|it| it != "null");
        if let [only] = &types[..] {
            field["type"] = only.clone();
        }
        return field;
    }
    field.as_object_mut().and_then(|it| it.remove("type"));
    let of = field["anyOf"].as_array().into_iter().flatten();
    of.clone().find(|it| it["type"] != "null").cloned().unwrap_or_default()
}

fn or_null(mut value: Value) -> Value {
    if is_nullable(&value) || value == json!({}) {
        return value;
    }
    if let Some(kind) = value["type"].as_str().map(str::to_owned) {
        value["type"] = json!([kind, "null"]);
        return value;
    }
    value.as_object_mut().and_then(|it| it.remove("type"));
    let description = value.as_object_mut().and_then(|it| it.remove("description"));
    let mut nullable = json!({"anyOf": [value, {"type": "null"}]});
    if let Some(description) = description {
        nullable["description"] = description;
    }
    nullable
}
