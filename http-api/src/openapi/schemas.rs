//! The shapes of bodies.
//!
//! Schemas of answers list every field that is there. They are left open, because later versions
//! may add fields; the tests close them. Bounds that JSON Schema cannot say (bytes of UTF-8, the
//! size of a whole object) stand in the descriptions.

mod holds;
mod requests;
mod stock;

use std::fmt::Display;

use client::wire;
use engine::ids::Quantity;
use engine::order::{LINES_MAX, METADATA_BYTES_MAX};
use engine::product::STOCK_MAX;
use serde_json::{Map, Value, json};

use super::reference;
use crate::handlers::orders::METADATA_KEYS_MAX;
pub(super) use crate::validate::ID_MAX;
use crate::validate::KEY_CHARS_MAX;

/// Not blank, and no control characters.
const PLAIN: &str = concat!(
    r"^[^\u0000-\u001f\u007f-\u009f]*",
    r"[^\s\u0000-\u001f\u007f-\u009f]",
    r"[^\u0000-\u001f\u007f-\u009f]*$"
);

/// The same without line and paragraph separators.
const KEY: &str = concat!(
    r"^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]*",
    r"[^\s\u0000-\u001f\u007f-\u009f\u2028\u2029]",
    r"[^\u0000-\u001f\u007f-\u009f\u2028\u2029]*$"
);

const MOMENT: &str = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$";

/// Fields of problems that only some have.
const PROBLEM_ABSENT: [&str; 4] = ["retry_after", "results", "order_id", "order_status"];

/// A reference to a schema.
pub(super) fn schema(name: &str) -> Value {
    reference("schemas", name)
}

/// All schemas.
pub(super) fn all() -> Value {
    let mut all = Map::new();
    let holds = [holds::requests(), holds::rows()];
    let parts = [values(), requests::all(), rows(), answers(), stock::all(), monitors()];
    let more = holds.into_iter().chain([super::events::schemas()]);
    for part in parts.into_iter().chain(more) {
        if let Value::Object(part) = part {
            all.extend(part);
        }
    }
    all.into()
}

/// An object whose fields are all there but for those of `absent`.
pub(super) fn object(text: &str, absent: &[&str], properties: Value) -> Value {
    let names = properties.as_object().into_iter().flat_map(Map::keys);
    let required: Vec<_> = names.filter(|name| !absent.contains(&name.as_str())).collect();
    json!({"type": "object", "description": text, "required": required, "properties": properties})
}

/// A schema that allows null too.
fn nullable(of: Value) -> Value {
    json!({"anyOf": [of, {"type": "null"}]})
}

/// The words of a closed set.
pub(super) fn words<T: Display>(text: &str, all: &[T]) -> Value {
    let words: Vec<_> = all.iter().map(T::to_string).collect();
    json!({"type": "string", "description": text, "enum": words})
}

pub(super) fn text(text: &str) -> Value {
    json!({"type": "string", "description": text})
}

fn flag(text: &str) -> Value {
    json!({"type": "boolean", "description": text})
}

fn count(text: &str) -> Value {
    json!({"type": "integer", "minimum": 0, "description": text})
}

/// A reference with a description of its own.
pub(super) fn described(name: &str, text: &str) -> Value {
    let mut schema = schema(name);
    schema["description"] = json!(text);
    schema
}

/// Text that callers give: not blank, without control characters.
fn plain(bytes_max: usize, text: &str) -> Value {
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

fn success() -> Value {
    json!({"type": "boolean", "const": true})
}

fn values() -> Value {
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
    })
}

/// What is wrong, by field.
fn faults() -> Value {
    json!({
        "type": ["object", "null"],
        "additionalProperties": {"type": "array", "minItems": 1, "items": {"type": "string"}},
        "description": "For `validation_error`: what is wrong, by field.",
    })
}

fn units() -> Value {
    json!({
        "type": "integer",
        "minimum": 0,
        "maximum": STOCK_MAX,
        "description": "Units that can be sold. Reserved units come on top and are never erased.",
    })
}

fn rows() -> Value {
    json!({
        "Order": object("An order as it is at one position.", &["product_id", "quantity", "product"], json!({
            "id": schema("Id"),
            "order_id": described("Id", "The same as `id`."),
            "user_id": nullable(schema("Id")),
            "status": schema("OrderStatus"),
            "saga_status": schema("SagaStatus"),
            "payment_method": schema("PaymentMethod"),
            "payment_status": nullable(schema("PaymentStatus")),
            "hold_id": nullable(schema("Id")),
            "idempotency_key": nullable(schema("IdempotencyKey")),
            "items": {
                "type": "array", "minItems": 1, "maxItems": LINES_MAX, "items": schema("OrderLine"),
            },
            "total_amount": schema("Money"),
            "total_price": described("Money", "The same as `total_amount`."),
            "total_amount_minor": schema("MinorUnits"),
            "failure_reason": {"type": ["string", "null"], "description": "Why it is FAILED."},
            "cancelled_at": nullable(schema("Moment")),
            "created_at": schema("Moment"),
            "updated_at": schema("Moment"),
            "version": described("Position", "Its last change; also its `ETag`."),
            "metadata": nullable(schema("Metadata")),
            "trace_id": {"type": ["string", "null"], "description": "Of the request that placed it."},
            "product_id": described("Id", "Of an order of one line."),
            "quantity": described("Quantity", "Of an order of one line."),
            "product": described("Product", "After the sale; in answers to purchases."),
        })),
        "OrderLine": object("A line, priced when the order was placed.", &[], json!({
            "id": {"type": "integer", "minimum": 1, "maximum": LINES_MAX, "description": "Its number."},
            "order_id": schema("Id"),
            "product_id": schema("Id"),
            "quantity": schema("Quantity"),
            "unit_price": schema("Money"),
            "unit_price_minor": schema("MinorUnits"),
            "line_total": schema("Money"),
        })),
        "OrderEvent": object("A step of an order.", &[], json!({
            "index": described("Position", "Where in the log."),
            "from": nullable(schema("OrderStatus")),
            "to": schema("OrderStatus"),
            "time": schema("Moment"),
            "cause": text("What brought it about, such as `placed` or `payment_declined`."),
            "reason": {"type": ["string", "null"], "description": "The words that came with it."},
            "trace_id": {"type": ["string", "null"], "description": "Of the request behind it."},
        })),
        "ByKey": object("What is known about a key.", &["order"], json!({
            "state": words("`applied` when the key made an order.", wire::KeyState::ALL),
            "order": schema("Order"),
        })),
        "Product": object(
            "A product and its counters at one position: `stock + held + reserved = on_hand`, \
             `on_hand + sold = total_stock`.",
            &[],
            json!({
                "id": schema("Id"),
                "name": text("Its name."),
                "sku": {"type": ["string", "null"], "description": "The caller's own identifier."},
                "price": schema("Money"),
                "price_minor": schema("MinorUnits"),
                "stock": count("Units that can be sold."),
                "available_stock": count("The same as `stock`."),
                "total_stock": count("Units on hand and units sold."),
                "on_hand": count("Units in the house."),
                "held": count("Units in active holds."),
                "reserved": count("Units in open orders."),
                "sold": count("Units in paid orders."),
                "max_per_order": {"type": ["integer", "null"], "minimum": 1},
                "max_per_user": {"type": ["integer", "null"], "minimum": 1},
                "low_stock_threshold": {"type": ["integer", "null"], "minimum": 1},
                "created_at": schema("Moment"),
                "updated_at": schema("Moment"),
                "version": described("Position", "Its last change; also its `ETag`."),
            }),
        ),
        "User": object("A user.", &[], json!({
            "id": schema("Id"),
            "name": text("Their name."),
            "email": text("Their e-mail address."),
            "created_at": schema("Moment"),
            "version": described("Position", "The creation; also the `ETag`."),
        })),
        "Cluster": object("The cluster as the answering node sees it.", &[], json!({
            "cluster_id": text("Which cluster."),
            "node_id": described("Id", "The node that answers."),
            "leader_id": nullable(schema("Id")),
            "term": count("The node's term."),
            "commit_index": count("Last log index known to be committed."),
            "applied_index": count("Last log index applied."),
            "digest": {
                "type": "string",
                "pattern": "^[0-9a-f]{16}$",
                "description": "Of the state at `applied_index`; equal on every node.",
            },
            "payments_paused": flag("Whether payments wait until they are resumed."),
            "rebuilt_from": nullable(described(
                "Id",
                "The member that lived in this node's data directory before its data was damaged.",
            )),
            "next_member_id": described("Id", "The lowest id above all that members have or had."),
            "members": {"type": "array", "minItems": 1, "items": schema("Member")},
        })),
        "MemberAdded": object("What a joining node has to know.", &[], json!({
            "cluster_id": text("Which cluster."),
            "cluster_name": text("Its name."),
            "founders": {"type": "array", "minItems": 1, "items": schema("Founder")},
            "incarnations": {"type": "array", "items": schema("KnownIncarnation")},
            "members": {"type": "array", "minItems": 1, "items": schema("Member")},
        })),
        "Founder": object("A node that founded the cluster.", &[], json!({
            "id": schema("Id"),
            "raft_addr": text("Where its peers reached it."),
            "http_addr": {"type": ["string", "null"], "description": "Where clients reached it."},
        })),
        "KnownIncarnation": object("The data directory known under an id.", &[], json!({
            "id": schema("Id"),
            "incarnation": {"type": "string", "pattern": "^[0-9a-f]{16}$"},
        })),
        "Snapshot": object("A snapshot of a node's state.", &[], json!({
            "index": count("Last log index that it holds."),
            "term": count("The term of the entry at that index."),
            "bytes": count("The size of its file."),
            "digest": {
                "type": "string",
                "pattern": "^[0-9a-f]{16}$",
                "description": "Of the state at `index`; equal on every node.",
            },
        })),
        "Member": object("A member of the cluster.", &[], json!({
            "id": schema("Id"),
            "role": words("What it does.", wire::MemberRole::ALL),
            "raft_addr": text("Where its peers reach it."),
            "http_addr": {"type": ["string", "null"], "description": "Where clients reach it."},
            "replaces": nullable(described("Id", "Whose place a learner takes with its vote.")),
            "match_index": {"type": ["integer", "null"], "minimum": 0},
            "lag": {"type": ["integer", "null"], "minimum": 0},
            "healthy": flag("Whether it was heard from lately."),
        })),
    })
}

fn answers() -> Value {
    let envelope = |of: &str| object("", &[], json!({"success": success(), "data": schema(of)}));
    json!({
        "OrderAnswer": object("", &[], json!({
            "success": success(),
            "order_id": described("Id", "The same as `data.id`."),
            "status": described("OrderStatus", "The same as `data.status`."),
            "data": schema("Order"),
        })),
        "TaskQueued": object("", &[], json!({
            "message": {"type": "string", "const": "Task queued"},
            "success": success(),
            "order_id": described("Id", "The same as `data.id`."),
            "status": described("OrderStatus", "The same as `data.status`."),
            "data": schema("Order"),
        })),
        "OrderList": object("", &[], json!({
            "success": success(),
            "data": {"type": "array", "maxItems": 1000, "items": schema("Order")},
            "meta": schema("PageMeta"),
        })),
        "PageMeta": object("Where a page stands in the whole list.", &[], json!({
            "current_page": {"type": ["integer", "null"], "minimum": 1, "description": "Null by cursor."},
            "per_page": {"type": "integer", "minimum": 1, "maximum": 1000},
            "total": {"type": ["integer", "null"], "minimum": 0, "description": "Null by cursor."},
            "last_page": {"type": ["integer", "null"], "minimum": 1, "description": "Null by cursor."},
            "next_cursor": {"type": ["string", "null"], "description": "Null at the end."},
            "has_more": flag("Whether more follow."),
        })),
        "OrderHistory": object("", &[], json!({
            "success": success(),
            "data": {"type": "array", "minItems": 1, "items": schema("OrderEvent")},
        })),
        "ByKeyAnswer": envelope("ByKey"),
        "HoldAnswer": envelope("Hold"),
        "WebhookAnswer": envelope("WebhookReceipt"),
        "ProductAnswer": envelope("Product"),
        "ProductList": object("", &[], json!({
            "success": success(),
            "data": {"type": "array", "maxItems": 10_000, "items": schema("Product")},
            "meta": object("How to go on.", &[], json!({
                "next_cursor": {"type": ["string", "null"], "description": "Null at the end."},
                "has_more": flag("Whether more follow."),
            })),
        })),
        "UserAnswer": envelope("User"),
        "ClusterAnswer": envelope("Cluster"),
        "SnapshotAnswer": envelope("Snapshot"),
        "MemberAddedAnswer": envelope("MemberAdded"),
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

fn monitors() -> Value {
    let part = || words("`standby`: fit, but at work elsewhere.", wire::ServiceState::ALL);
    json!({
        "Health": object("Whether a node is fit for work.", &[], json!({
            "status": words("`degraded` comes with 503.", wire::HealthStatus::ALL),
            "services": object("The parts behind that judgement.", &[], json!({
                "storage": part(), "raft": part(), "quorum": part(), "worker": part(),
            })),
            "node_id": schema("Id"),
            "leader_id": nullable(schema("Id")),
            "timestamp": schema("Moment"),
        })),
        "Probe": object("", &["reason"], json!({
            "status": words("`degraded` comes with 503.", wire::HealthStatus::ALL),
            "reason": text("Why not."),
        })),
        "Test": object("", &[], json!({
            "message": text("A friendly line."),
            "timestamp": schema("Moment"),
        })),
    })
}
