//! The OpenAPI document for generators of clients, made from the strict one.
//!
//! Generators turn schemas into types, and stumble over rules that are no types: alternatives of
//! some fields, conditions, keywords beside a reference. This document leaves such rules out. The
//! descriptions still say them in words, and the strict document has them all.
//!
//! Dry runs are left out, too: a method that returns an order or something else is no method that
//! one wants to call.

use serde_json::{Map, Value, json};

/// How the names of schemas end that are an answer or what a dry run says.
const OR_DRY_RUN: &str = "OrDryRunAnswer";

/// The schemas of what a dry run says.
const DRY_RUN: [&str; 3] = ["DryRun", "Would", "WouldOrder"];

/// A copy of the document without rules that are no types.
pub(super) fn of(strict: &Value) -> Value {
    let mut plain = strict.clone();
    // Generators copy it into each of their files.
    plain["info"]["description"] = json!("See `/docs` of a node for how the API works.");
    if let Some(schemas) = plain["components"]["schemas"].as_object_mut() {
        schemas.retain(|name, _| !name.ends_with(OR_DRY_RUN) && !DRY_RUN.contains(&name.as_str()));
    }
    if let Some(parameters) = plain["components"]["parameters"].as_object_mut() {
        parameters.remove("DryRun");
    }
    without_dry_runs(&mut plain["paths"]);
    for schema in plain["components"]["schemas"].as_object_mut().into_iter().flat_map(values) {
        simplify(schema);
    }
    for (part, value) in plain.as_object_mut().into_iter().flatten() {
        if part != "components" {
            visit(value);
        }
    }
    for (kind, components) in plain["components"].as_object_mut().into_iter().flatten() {
        if !["schemas", "examples"].contains(&kind.as_str()) {
            visit(components);
        }
    }
    plain
}

/// Lets operations answer as they do without `dry_run`, which they do not take.
fn without_dry_runs(value: &mut Value) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(name)) = members.get_mut("$ref")
                && let Some(answer) = name.strip_suffix(OR_DRY_RUN)
            {
                *name = format!("{answer}Answer");
            }
            values(members).for_each(without_dry_runs);
        }
        Value::Array(elements) => {
            let dry_run = json!({"$ref": "#/components/parameters/DryRun"});
            elements.retain(|element| *element != dry_run);
            elements.iter_mut().for_each(without_dry_runs);
        }
        _ => {}
    }
}

fn values(members: &mut Map<String, Value>) -> impl Iterator<Item = &mut Value> {
    members.iter_mut().map(|(_, value)| value)
}

/// Simplifies every schema and every content outside of schemas.
fn visit(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match name.as_str() {
                    "schema" => simplify(member),
                    "example" | "examples" => {}
                    "content" => {
                        one_kind(member);
                        visit(member);
                    }
                    _ => visit(member),
                }
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(visit),
        _ => {}
    }
}

/// Keeps one content type, without parameters: JSON where there is a choice.
fn one_kind(content: &mut Value) {
    let Value::Object(kinds) = content else { return };
    let json = |kind: &String| kind.as_str() == "application/json";
    let chosen = kinds.keys().find(|kind| json(kind)).or_else(|| kinds.keys().next()).cloned();
    if let Some(kind) = chosen {
        let body = kinds[&kind].take();
        let bare = kind.split(';').next().unwrap_or_default().trim();
        *content = json!({ bare: body });
    }
}

/// Leaves a type with its bounds.
fn simplify(schema: &mut Value) {
    let Value::Object(words) = schema else { return };
    if words.contains_key("$ref") {
        words.retain(|word, _| ["$ref", "description"].contains(&word.as_str()));
        return;
    }
    if words.contains_key("properties") {
        words.retain(|word, _| !["oneOf", "anyOf", "allOf"].contains(&word.as_str()));
    }
    words.remove("not");
    // Generated clients match patterns. PHP knows no `\u`, and makes a time an object.
    let is_time = words.get("format").is_some_and(|format| format == "date-time");
    let pattern = words.get("pattern").and_then(Value::as_str);
    if is_time || pattern.is_some_and(|pattern| pattern.contains(r"\u")) {
        words.remove("pattern");
    }
    if let Some(only) = words.remove("const").filter(|only| !only.is_boolean()) {
        words.insert("enum".to_owned(), json!([only]));
    }
    if words.get("type").is_some_and(|kind| is(kind, "integer")) {
        words.entry("format").or_insert(json!("int64"));
    }
    join_null(words);
    for (word, value) in words {
        match (word.as_str(), value) {
            ("properties", Value::Object(fields)) => values(fields).for_each(simplify),
            ("items" | "additionalProperties", value) => simplify(value),
            ("anyOf" | "oneOf" | "allOf", Value::Array(parts)) => {
                parts.iter_mut().for_each(simplify);
            }
            _ => {}
        }
    }
}

/// Writes "this or null" as one type, unless "this" is a reference.
fn join_null(words: &mut Map<String, Value>) {
    let Some(Value::Array(parts)) = words.get("anyOf") else { return };
    let null = json!({"type": "null"});
    let mut rest = parts.iter().filter(|part| **part != null);
    let (Some(Value::Object(this)), None) = (rest.next(), rest.next()) else { return };
    if let (Some(Value::String(kind)), 2) = (this.get("type"), parts.len()) {
        let mut joined = this.clone();
        joined.insert("type".to_owned(), json!([kind, "null"]));
        words.remove("anyOf");
        words.extend(joined);
    }
}

fn is(kind: &Value, name: &str) -> bool {
    kind == name || kind.as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_that_are_no_types_are_left_out() {
        let either = json!([{"required": ["items"]}, {"required": ["hold_id"]}]);
        let reference = json!({"$ref": "#/components/schemas/Id", "description": "An id."});
        let mut narrowed = reference.clone();
        narrowed["properties"] = json!({"status": {"const": 404}});
        let text = json!({"schema": {"type": "string"}});
        let strict = json!({
            "info": {"description": "A long guide."},
            "paths": {"/x": {"get": {"responses": {
                "200": {"content": {"text/plain; version=1": text}},
                "404": {"content": {"application/problem+json": {"schema": narrowed}}},
            }, "requestBody": {"content": {
                "application/json": {"schema": reference, "example": {"const": 1}},
                "application/x-ndjson": text,
            }}}}},
            "components": {"schemas": {
                "Order": {"type": "object", "oneOf": either, "properties": {
                    "const": {"type": "boolean", "const": true},
                    "word": {"type": "string", "const": "no"},
                    "time": {"type": "string", "format": "date-time", "pattern": "Z$"},
                    "text": {"type": "string", "pattern": r"^[^\u0000-\u001f]*$", "maxLength": 9},
                    "delta": {"type": ["integer", "null"], "not": {"const": 0}},
                    "id": {"anyOf": [reference, {"type": "null"}]},
                    "name": {"anyOf": [{"type": "string", "maxLength": 9}, {"type": "null"}]},
                    "price": {"anyOf": [{"type": "string"}, {"type": "number"}]},
                }},
                "Id": {"type": "integer", "minimum": 1},
            }},
        });
        let plain = of(&strict);
        let operation = &plain["paths"]["/x"]["get"];
        assert_eq!(operation["responses"]["200"]["content"], json!({"text/plain": text}));
        let problem = &operation["responses"]["404"]["content"]["application/problem+json"];
        assert_eq!(problem["schema"], reference);
        let body = json!({"schema": reference, "example": {"const": 1}});
        assert_eq!(operation["requestBody"]["content"], json!({ "application/json": body }));
        let schemas = json!({
            "Order": {"type": "object", "properties": {
                "const": {"type": "boolean"},
                "word": {"type": "string", "enum": ["no"]},
                "time": {"type": "string", "format": "date-time"},
                "text": {"type": "string", "maxLength": 9},
                "delta": {"type": ["integer", "null"], "format": "int64"},
                "id": {"anyOf": [reference, {"type": "null"}]},
                "name": {"type": ["string", "null"], "maxLength": 9},
                "price": {"anyOf": [{"type": "string"}, {"type": "number"}]},
            }},
            "Id": {"type": "integer", "minimum": 1, "format": "int64"},
        });
        assert_eq!(plain["components"]["schemas"], schemas);
    }

    #[test]
    fn dry_runs_are_left_out() {
        let answer = |name: &str| json!({"$ref": format!("#/components/schemas/{name}")});
        let parameters = json!([{"$ref": "#/components/parameters/DryRun"}, {"$ref": "#/components/parameters/Id"}]);
        let schema = json!({"schema": answer("OrderOrDryRunAnswer")});
        let strict = json!({
            "info": {},
            "paths": {"/x": {"post": {
                "parameters": parameters,
                "responses": {"200": {"content": {"application/json": schema}}},
            }}},
            "components": {
                "parameters": {"DryRun": {}, "Id": {}},
                "schemas": {"OrderAnswer": {}, "OrderOrDryRunAnswer": {}},
            },
        });
        let plain = of(&strict);
        let post = &plain["paths"]["/x"]["post"];
        assert_eq!(post["parameters"], json!([{"$ref": "#/components/parameters/Id"}]));
        let content = &post["responses"]["200"]["content"]["application/json"];
        assert_eq!(content["schema"], answer("OrderAnswer"));
        let components = json!({"parameters": {"Id": {}}, "schemas": {"OrderAnswer": {}}});
        assert_eq!(plain["components"], components);
    }
}
