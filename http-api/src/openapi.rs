//! The OpenAPI document: what every endpoint takes and what it can answer.
//!
//! It is made from the rows of the endpoints, and from the constants and wire types that the
//! handlers use, so a bound or a code cannot differ between the two. Tests compare every answer
//! with it.
//!
//! Two documents are served: the strict one with all rules, and the plain one, which generators of
//! clients understand. The plain one is made from the strict one.

mod plain;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::describe::{examples, operation, parameters, problems, schemas};
use crate::routes;

/// The introduction: what is true of all operations.
const GUIDE: &str = include_str!("describe/guide.md");

static DOCUMENT: LazyLock<Value> = LazyLock::new(build);
static STRICT: LazyLock<Bytes> = LazyLock::new(|| DOCUMENT.to_string().into());
static PLAIN: LazyLock<Bytes> = LazyLock::new(|| plain::of(&DOCUMENT).to_string().into());

/// The strict document, made once.
pub(crate) fn document() -> &'static Value {
    &DOCUMENT
}

/// The JSON text of the strict document, made once.
pub(crate) fn strict() -> Bytes {
    STRICT.clone()
}

/// The JSON text of the plain document, made once.
pub(crate) fn plain() -> Bytes {
    PLAIN.clone()
}

fn build() -> Value {
    let (mut paths, mut tags, mut schemas) = (Map::new(), Vec::new(), schemas::shared());
    let (mut codes, mut alone) = (BTreeSet::new(), BTreeSet::new());
    for (resource, endpoints) in routes::resources() {
        tags.push(json!({"name": resource.name, "description": resource.about}));
        merge(&mut schemas, (resource.schemas)());
        for (_, endpoint) in endpoints {
            let operation = endpoint.operation();
            codes.extend(operation.codes());
            alone.extend(problems::alone(operation.codes()));
            let method = endpoint.method.as_str().to_lowercase();
            paths.entry(endpoint.path).or_insert_with(|| json!({}))[method] =
                operation.describe(resource.name);
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Holdfast",
            "summary": "A replicated order engine: products, stock, orders and payments.",
            "description": GUIDE,
            "version": env!("CARGO_PKG_VERSION"),
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/", "description": "The node that served this document"}],
        "tags": tags,
        "paths": paths,
        "components": {
            "securitySchemes": operation::security_schemes(),
            "schemas": schemas,
            "parameters": parameters::all(),
            "headers": parameters::headers(),
            "responses": problems::responses(&alone),
            "examples": examples::problems(&codes),
        },
    })
}

/// Adds the members of `more`.
fn merge(all: &mut Value, more: Value) {
    if let (Value::Object(all), Value::Object(more)) = (all, more) {
        all.extend(more);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use engine::auth::{Scope, Scopes};

    use super::*;
    use crate::auth::Access;

    /// Calls `visit` with every object of a document.
    fn walk<'v>(value: &'v Value, visit: &mut dyn FnMut(&'v Map<String, Value>)) {
        match value {
            Value::Object(members) => {
                visit(members);
                members.values().for_each(|member| walk(member, visit));
            }
            Value::Array(elements) => elements.iter().for_each(|element| walk(element, visit)),
            _ => {}
        }
    }

    #[test]
    fn every_endpoint_is_described_and_nothing_else() {
        let described: BTreeMap<&str, BTreeSet<&str>> = document()["paths"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(path, item)| {
                (path.as_str(), item.as_object().unwrap().keys().map(String::as_str).collect())
            })
            .collect();
        let lower: Vec<(&str, String)> = routes::endpoints()
            .map(|(_, endpoint)| (endpoint.path, endpoint.method.as_str().to_lowercase()))
            .collect();
        let mut routed: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (path, method) in &lower {
            routed.entry(path).or_default().insert(method);
        }
        assert_eq!(described, routed);
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_component_is_used() {
        check_references(document());
        check_references(&plain::of(document()));
    }

    fn check_references(document: &Value) {
        let mut used = BTreeSet::new();
        walk(document, &mut |object| {
            if let Some(Value::String(target)) = object.get("$ref") {
                let pointer = target.strip_prefix('#').expect("within the document");
                assert!(document.pointer(pointer).is_some(), "{target} is missing");
                used.insert(target.clone());
            }
        });
        for (kind, components) in document["components"].as_object().unwrap() {
            // These are referred to by name.
            if kind == "securitySchemes" {
                continue;
            }
            for name in components.as_object().unwrap().keys() {
                let target = format!("#/components/{kind}/{name}");
                assert!(used.contains(&target), "{target} is not used");
            }
        }
    }

    /// Go's generator makes `NewToken` the constructor of `Token`.
    #[test]
    fn no_schema_is_called_new_and_the_name_of_another() {
        let schemas = document()["components"]["schemas"].as_object().unwrap();
        for name in schemas.keys() {
            let other = name.strip_prefix("New").unwrap_or("-");
            assert!(!schemas.contains_key(other), "{name}");
        }
    }

    #[test]
    fn operations_have_names_of_their_own_and_say_what_they_do() {
        let mut ids = BTreeSet::new();
        for item in document()["paths"].as_object().unwrap().values() {
            for operation in item.as_object().unwrap().values() {
                let id = operation["operationId"].as_str().unwrap();
                assert!(ids.insert(id), "{id} twice");
                for text in ["summary", "description"] {
                    assert!(!operation[text].as_str().unwrap().is_empty(), "{id} has no {text}");
                }
                assert!(operation["responses"].as_object().unwrap().len() > 1, "{id}");
            }
        }
    }

    #[test]
    fn every_endpoint_says_what_it_demands() {
        let (mut open, mut scopes) = (Vec::new(), BTreeSet::new());
        for (_, endpoint) in routes::endpoints() {
            let (method, path) = (&endpoint.method, endpoint.path);
            assert_ne!(endpoint.access, Access::Unset, "{method} {path} needs a scope");
            scopes.extend(endpoint.access.scope());
            if endpoint.access == Access::Open {
                open.push(path);
            }
            let lower = method.as_str().to_lowercase();
            let security = &document()["paths"][path][lower]["security"];
            for way in security.as_array().unwrap() {
                let name = way.as_object().unwrap().keys().next().unwrap();
                assert!(document()["components"]["securitySchemes"][name].is_object(), "{name}");
            }
        }
        open.retain(|path| !path.starts_with("/console/"));
        let health = ["/api/v1/health", "/api/v1/test", "/health", "/livez", "/readyz"];
        assert_eq!(
            open,
            [
                &health[..],
                &["/openapi.json", "/openapi-strict.json", "/", "/docs", "/problems/{problem}"]
            ]
            .concat()
        );
        assert!(Scope::ALL.iter().all(|scope| scopes.contains(scope)));
    }

    /// Each of these must answer a customer about a row of somebody else as about one that does not
    /// exist: `tests/api/auth.rs` asks them all. Products belong to everybody.
    #[test]
    fn every_row_that_a_customer_can_name_has_an_owner_who_is_asked_for() {
        let of_customers = routes::endpoints().filter(|(_, endpoint)| {
            let scope = endpoint.access.scope();
            endpoint.path.contains('{') && scope.is_some_and(|scope| Scopes::OF_USERS.has(scope))
        });
        let mut found: Vec<_> = of_customers
            .map(|(_, endpoint)| format!("{} {}", endpoint.method, endpoint.path))
            .collect();
        found.sort();
        assert_eq!(
            found,
            [
                "DELETE /api/v1/holds/{id}",
                "GET /api/v1/holds/{id}",
                "GET /api/v1/orders/by-key/{key}",
                "GET /api/v1/orders/by-reference/{reference}",
                "GET /api/v1/orders/{id}",
                "GET /api/v1/orders/{id}/events",
                "GET /api/v1/orders/{id}/refunds",
                "GET /api/v1/products/{id}",
                "GET /api/v1/refunds/{id}",
                "GET /api/v1/users/{id}",
                "POST /api/v1/holds/{id}/extend",
                "POST /api/v1/orders/by-key/{key}/fence",
                "POST /api/v1/orders/{id}/cancel",
            ]
        );
    }

    #[test]
    fn variable_parts_of_paths_are_parameters() {
        for (path, item) in document()["paths"].as_object().unwrap() {
            for operation in item.as_object().unwrap().values() {
                let declared: Vec<&Value> = operation["parameters"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|parameter| {
                        let target = parameter["$ref"].as_str().unwrap();
                        document().pointer(target.strip_prefix('#').unwrap()).unwrap()
                    })
                    .filter(|parameter| parameter["in"] == "path")
                    .collect();
                let named = path.split('/').filter_map(|segment| segment.strip_prefix('{'));
                let named: Vec<_> = named.map(|name| name.trim_end_matches('}')).collect();
                let names: Vec<_> =
                    declared.iter().map(|parameter| parameter["name"].as_str().unwrap()).collect();
                assert_eq!(names, named, "{path}");
            }
        }
    }
}
