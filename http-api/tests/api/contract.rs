//! Compares every answer of a test with the OpenAPI document: its status, headers, content type and
//! body. No field may be missing or undocumented.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};

use hyper::Method;
use jsonschema::Validator;
use serde_json::{Value, json};

use crate::harness::Answer;

static CONTRACT: OnceLock<Contract> = OnceLock::new();

/// Headers that HTTP itself puts on an answer, and those that only browsers read.
const HTTP_HEADERS: [&str; 12] = [
    "content-encoding",
    "content-type",
    "content-length",
    "transfer-encoding",
    "date",
    "connection",
    "vary",
    "access-control-allow-origin",
    "access-control-expose-headers",
    "access-control-allow-methods",
    "access-control-allow-headers",
    "access-control-max-age",
];

pub(crate) struct Contract {
    /// The document with closed objects: an undocumented field is an error.
    pub(crate) document: Value,
    validators: Mutex<HashMap<String, Arc<Validator>>>,
}

/// Whether the document was read.
pub(crate) fn is_known() -> bool {
    CONTRACT.get().is_some()
}

/// Reads the document from a server.
pub(crate) fn learn(mut document: Value) {
    close(&mut document["components"]["schemas"]);
    let _ = CONTRACT.set(Contract { document, validators: Mutex::default() });
}

/// The document that answers are compared with.
pub(crate) fn contract() -> &'static Contract {
    CONTRACT.get().expect("a fixture was started")
}

/// Forbids undocumented fields in every object.
fn close(schema: &mut Value) {
    if let Value::Object(members) = schema {
        if members.contains_key("properties") && members.contains_key("type") {
            members.entry("additionalProperties").or_insert(json!(false));
        }
        members.values_mut().for_each(close);
    } else if let Value::Array(elements) = schema {
        elements.iter_mut().for_each(close);
    }
}

/// Panics when an answer is not as documented.
#[track_caller]
pub(crate) fn check(method: &Method, target: &str, answer: &Answer) {
    if let Err(fault) = contract().compare(method, target, answer) {
        let body = String::from_utf8_lossy(&answer.body);
        panic!("{method} {target}: {}: {fault}\n{:?}\n{body}", answer.status, answer.headers);
    }
}

impl Contract {
    /// Whether an answer is as documented.
    pub(crate) fn compare(
        &self,
        method: &Method,
        target: &str,
        answer: &Answer,
    ) -> Result<(), String> {
        let responses = self.find(method, target);
        let documented = &responses[answer.status.to_string()];
        if documented.is_null() {
            return Err("the status is not documented".to_owned());
        }
        self.judge(self.resolve(documented), answer, *method == Method::HEAD)
    }

    /// Follows a reference.
    pub(crate) fn resolve<'v>(&'v self, value: &'v Value) -> &'v Value {
        match value["$ref"].as_str() {
            Some(target) => self.document.pointer(&target[1..]).expect("a reference that leads on"),
            None => value,
        }
    }

    /// The documented path of a target.
    pub(crate) fn pattern(&self, target: &str) -> Option<&str> {
        let path = target.split('?').next().unwrap_or_default();
        let path = match path.strip_prefix("/api/") {
            Some(rest) if !rest.starts_with("v1/") => format!("/api/v1/{rest}"),
            _ => path.to_owned(),
        };
        let paths = self.document["paths"].as_object().unwrap();
        let fits = |pattern: &str| {
            let (segments, wanted) = (path.split('/'), pattern.split('/'));
            segments.clone().count() == wanted.clone().count()
                && segments
                    .zip(wanted)
                    .all(|(segment, wanted)| segment == wanted || wanted.starts_with('{'))
        };
        // A fixed path comes before one with a variable part.
        let exact = paths.get_key_value(&path).map(|(pattern, _)| pattern.as_str());
        exact.or_else(|| paths.keys().map(String::as_str).find(|pattern| fits(pattern)))
    }

    /// The responses of an operation; for an unknown path or method, the general ones.
    fn find(&self, method: &Method, target: &str) -> Value {
        let asked = if *method == Method::HEAD { Method::GET } else { method.clone() };
        let Some(pattern) = self.pattern(target) else { return self.elsewhere() };
        let operation = &self.document["paths"][pattern][asked.as_str().to_lowercase()];
        if operation.is_null() {
            return self.elsewhere();
        }
        operation["responses"].clone()
    }

    /// The responses of unknown paths and methods.
    fn elsewhere(&self) -> Value {
        let problem = |allow: bool| {
            let responses = &self.document["components"]["responses"];
            let mut response = responses["NotFound"].clone();
            response["content"]["application/problem+json"]["schema"] =
                json!({"$ref": "#/components/schemas/Problem"});
            if allow {
                let schema = json!({"type": "string", "pattern": "^[A-Z]+(, [A-Z]+)*$"});
                response["headers"]["Allow"] = json!({"required": true, "schema": schema});
            }
            response
        };
        // The answer to a preflight.
        let empty = json!({"headers": problem(false)["headers"]});
        json!({"204": empty, "400": problem(false), "403": problem(false),
               "404": problem(false), "405": problem(true),
               "414": problem(false), "421": problem(false),
               "429": self.document["components"]["responses"]["TooManyRequests"]})
    }

    fn judge(&self, response: &Value, answer: &Answer, is_head: bool) -> Result<(), String> {
        self.judge_headers(response, answer)?;
        let Some(content) = response["content"].as_object() else {
            let empty = answer.body.is_empty();
            return if empty { Ok(()) } else { Err("there is a body".to_owned()) };
        };
        let kind = answer.header("content-type").ok_or("there is no content type")?;
        let content = content.get(kind).ok_or(format!("{kind} is not documented"))?;
        if is_head {
            let empty = answer.body.is_empty();
            return if empty { Ok(()) } else { Err("HEAD has a body".to_owned()) };
        }
        let body = if kind.ends_with("json") {
            serde_json::from_slice(&answer.body).map_err(|error| error.to_string())?
        } else if content["schema"]["format"] == "binary" {
            Value::from(String::from_utf8_lossy(&answer.body))
        } else {
            Value::from(String::from_utf8(answer.body.to_vec()).map_err(|it| it.to_string())?)
        };
        self.fits(&content["schema"], &body)
    }

    fn judge_headers(&self, response: &Value, answer: &Answer) -> Result<(), String> {
        let documented = response["headers"].as_object().ok_or("no headers are documented")?;
        for name in answer.headers.keys().map(|name| name.as_str()) {
            let known = documented.keys().any(|it| it.eq_ignore_ascii_case(name))
                || HTTP_HEADERS.contains(&name)
                || name == "content-security-policy";
            if !known {
                return Err(format!("the header {name} is not documented"));
            }
        }
        for (name, header) in documented {
            let header = self.resolve(header);
            match answer.header(&name.to_lowercase()) {
                None if header["required"] == true => return Err(format!("{name} is missing")),
                None => {}
                Some(text) => {
                    let integer = self.resolve(&header["schema"])["type"] == "integer";
                    let number = text.parse::<u64>().map(Value::from);
                    let value =
                        if integer { number.map_err(|it| it.to_string())? } else { text.into() };
                    self.fits(&header["schema"], &value).map_err(|it| format!("{name}: {it}"))?;
                }
            }
        }
        Ok(())
    }

    /// Whether a value matches a schema of the document.
    pub(crate) fn fits(&self, schema: &Value, value: &Value) -> Result<(), String> {
        let validator = {
            let mut validators = self.validators.lock().unwrap();
            let make = || {
                let components = &self.document["components"]["schemas"];
                let whole = json!({"allOf": [schema], "components": {"schemas": components}});
                Arc::new(jsonschema::validator_for(&whole).expect("a schema"))
            };
            validators.entry(schema.to_string()).or_insert_with(make).clone()
        };
        let faults: Vec<String> = validator
            .iter_errors(value)
            .map(|error| format!("{} at `{}`", error, error.instance_path()))
            .collect();
        if faults.is_empty() { Ok(()) } else { Err(faults.join("; ")) }
    }
}
