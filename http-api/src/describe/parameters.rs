//! Parameters of requests, and headers of answers.

use client::wire;
use serde_json::{Value, json};

use super::words::schema;
use crate::bounds::{
    AUDIT_DEFAULT, AUDIT_MAX, HOLDS_DEFAULT, ID_MAX, LEDGER_DEFAULT, LEDGER_MAX, LIMIT_MAX,
    LIST_MAX, PER_PAGE, PER_PAGE_MAX,
};

/// Parameters that every operation reads.
pub(crate) const EVERYWHERE: [&str; 3] = ["TraceId", "Traceparent", "MinPosition"];

/// Parameters that every read from the state reads.
pub(crate) const READS: [&str; 2] = ["Consistency", "ConsistencyHeader"];

/// Headers of every answer.
pub(crate) const ALWAYS: [&str; 5] =
    ["X-Trace-Id", "X-Position", "X-Content-Type-Options", "X-Frame-Options", "Cache-Control"];

/// Headers of every answer to a request that is counted, when a rate limit is set.
pub(crate) const COUNTED: [&str; 3] = ["RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"];

/// A list of event types and families. The schema `EventType` has the types.
const TYPES: &str = r"^[a-z]+\.([a-z_]+|\*)(,[a-z]+\.([a-z_]+|\*))*$";

/// All parameters.
pub(crate) fn all() -> Value {
    let (mut all, lists) = (paths_and_headers(), of_lists());
    if let (Value::Object(all), Value::Object(lists)) = (&mut all, lists) {
        all.extend(lists);
    }
    all
}

fn paths_and_headers() -> Value {
    json!({
        "OrderId": path("id", "Id", "Id of the order. Anything else is 404."),
        "HoldId": path("id", "Id", "Id of the hold. Anything else is 404."),
        "RefundId": path("id", "Id", "Id of the refund. Anything else is 404."),
        "ProductId": path("id", "Id", "Id of the product. Anything else is 404."),
        "UserId": path("id", "Id", "Id of the user. Anything else is 404."),
        "MemberId": path("id", "Id", "Id of the member. Anything else is 404."),
        "TokenId": path("id", "Id", "Id of the token. Anything else is 404."),
        "Key": path("key", "IdempotencyKey", "The key, percent-encoded."),
        "Reference": path(
            "reference",
            "ClientReference",
            "The `client_reference` of an order, percent-encoded. Anything else is 404.",
        ),
        "ConsoleFile": json!({
            "name": "file",
            "in": "path",
            "required": true,
            "schema": {"type": "string", "pattern": r"^[a-z]+\.js$", "examples": ["app.js"]},
            "description": "The name of the script. Anything else is 404.",
        }),
        "ProblemName": json!({
            "name": "problem",
            "in": "path",
            "required": true,
            "schema": {"type": "string", "pattern": "^[a-z-]+$", "examples": ["not-found"]},
            "description": "The code of the error with hyphens. Anything else is 404.",
        }),
        "IfNoneMatch": header(
            "If-None-Match",
            json!({"type": "string", "examples": ["\"0123456789abcdef0123456789abcdef\""]}),
            "Answer 304 if the file still has one of these tags.",
        ),
        "IdempotencyKey": header(
            "Idempotency-Key",
            schema("IdempotencyKey"),
            "Makes retries safe, see *Idempotency*. It may be in the body instead, or in both when they agree. A string in quotes is the same key as its text without them. More than one header is 400.",
        ),
        "IdempotencyKeyApart": header(
            "Idempotency-Key",
            schema("IdempotencyKey"),
            "Makes retries safe, see *Idempotency*: the cluster remembers the newest 131,072 keys of this kind. A string in quotes is the same key as its text without them. More than one header is 400.",
        ),
        "Signature": header(
            "Holdfast-Signature",
            json!({
                "type": "string",
                "examples": [concat!(
                    "t=1700000000,",
                    "v1=98a51b330afc58453095af8ed727e6cc4bd565edb4230482620146eda751b416"
                )],
            }),
            "Proves that the sender knows a secret, see *Signed webhooks*. Required when the cluster has a secret, ignored otherwise.",
        ),
        "IfMatch": header(
            "If-Match",
            json!({
                "type": "string",
                "pattern": r#"^(\*|(W/)?"[!#-~]*"( *, *(W/)?"[!#-~]*"){0,15})$"#,
                "examples": ["\"4711\""],
            }),
            "Change the product only if it still has one of these versions (its `ETag`), else 412. The weak form of a tag, which compressing proxies make, counts as the tag.",
        ),
        "Prefer": header(
            "Prefer",
            json!({"type": "string", "examples": [wire::HANDLING_STRICT]}),
            "`handling=strict` refuses every field of the body whose name is unknown with 422. By default only a name that is nearly a known one is refused (RFC 7240).",
        ),
        "TraceId": header(
            "X-Trace-Id",
            json!({"type": "string", "examples": ["550e8400-e29b-41d4-a716-446655440000"]}),
            "Trace id of the request: 1 to 128 printable ASCII characters. Anything else is ignored.",
        ),
        "Traceparent": header(
            "traceparent",
            json!({
                "type": "string",
                "examples": ["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"],
            }),
            "W3C trace context. Its trace id is used when there is no `X-Trace-Id`.",
        ),
        "MinPosition": header(
            "X-Min-Position",
            schema("Position"),
            "The `X-Position` of an earlier answer, from any node. A read waits until it reflects that position; if that takes too long, it is 503 `stale_read`. Writes ignore it.",
        ),
        "Consistency": query(
            "consistency",
            consistency(),
            "`stale` reads what this node has applied, at once and without a quorum. By default, a read sees every write that was acknowledged before it, on any node.",
        ),
        "ConsistencyHeader":
            header("X-Consistency", consistency(), "The same as the parameter `consistency`."),
    })
}

/// Filters, pages and places of lists and streams.
fn of_lists() -> Value {
    json!({
        "UserFilter": query("user_id", schema("Id"), "Only orders of this user."),
        "StatusFilter": query("status", schema("OrderStatus"), "Only orders in this status."),
        "ProductFilter": query("product_id", schema("Id"), "Only orders with this product."),
        "SkuFilter": query(
            "sku",
            json!({"type": "string", "minLength": 1, "examples": ["LP-1"]}),
            "Only orders with the product that has this SKU now. Cannot be combined with `product_id`.",
        ),
        "CreatedAfter": query(
            "created_after",
            moment("2026-02-23T00:00:00Z"),
            "Only orders created at this time or later: RFC 3339, or a day such as `2026-02-23`, which begins in UTC.",
        ),
        "CreatedBefore": query(
            "created_before",
            moment("2026-02-24T00:00:00Z"),
            "Only orders created before this time. With `created_after`, adjacent ranges share no order and miss none.",
        ),
        "ReferenceFilter": query(
            "client_reference",
            schema("ClientReference"),
            "Only the order with this reference.",
        ),
        "HoldUser": query("user_id", schema("Id"), "Only holds of this user."),
        "HoldProduct": query("product_id", schema("Id"), "Only holds with this product."),
        "HoldCursor": query(
            "cursor",
            schema("Id"),
            "The `next_cursor` of an earlier page. Treat it as opaque.",
        ),
        "HoldLimit": query(
            "limit",
            json!({
                "type": "integer",
                "minimum": 1,
                "maximum": LIMIT_MAX,
                "default": HOLDS_DEFAULT,
            }),
            "Holds per page.",
        ),
        "Page": query(
            "page",
            json!({"type": "integer", "minimum": 1, "maximum": ID_MAX, "default": 1}),
            "Page number. Cannot be combined with `cursor` or `limit`.",
        ),
        "PerPage": query(
            "per_page",
            json!({"type": "integer", "minimum": 1, "maximum": PER_PAGE_MAX, "default": PER_PAGE}),
            "Orders per page. Cannot be combined with `cursor` or `limit`.",
        ),
        "OrderCursor": query(
            "cursor",
            json!({"type": "string", "pattern": "^o[1-9][0-9]{0,14}$", "examples": ["o42"]}),
            "The `next_cursor` of an earlier page. Treat it as opaque.",
        ),
        "OrderLimit": query(
            "limit",
            json!({"type": "integer", "minimum": 1, "maximum": LIMIT_MAX}),
            "Orders per page of a list by cursor. Such lists have no totals and no page numbers.",
        ),
        "DryRun": query(
            "dry_run",
            json!({"type": "string", "enum": ["true", "false"], "default": "false"}),
            "Say what the request would come to, without doing it: nothing is written, no key is used, nothing is promised. A refusal is the same problem.",
        ),
        "Atomic": query(
            "atomic",
            json!({"type": "string", "enum": ["true", "false"], "default": "false"}),
            "Place all orders or none. The field `atomic` of the body, if present, must agree.",
        ),
        "LedgerAfter": query(
            "after",
            json!({
                "type": "string",
                "pattern": r"^(0|[1-9][0-9]{0,14})(\.[0-9]{1,9})?$",
                "examples": ["4940890112.0"],
            }),
            "Only rows after this place: a position, which means after all of its rows, or the `next_cursor` of an earlier page.",
        ),
        "LedgerLimit": query(
            "limit",
            json!({
                "type": "integer",
                "minimum": 1,
                "maximum": LEDGER_MAX,
                "default": LEDGER_DEFAULT,
            }),
            "Rows per page.",
        ),
        "AuditKind": query(
            "kind",
            json!({
                "type": "string",
                "enum": ["administration", "catalogue"],
                "default": "administration",
            }),
            "Access, payments, members and the cluster; or products and their stock.",
        ),
        "AuditAfter": query(
            "after",
            json!({"type": "integer", "minimum": 0, "maximum": ID_MAX}),
            "Only rows with higher ids, oldest first. By default, the newest rows.",
        ),
        "AuditLimit": query(
            "limit",
            json!({
                "type": "integer",
                "minimum": 1,
                "maximum": AUDIT_MAX,
                "default": AUDIT_DEFAULT,
            }),
            "How many rows.",
        ),
        "Ids": query(
            "ids",
            json!({
                "type": "string",
                "pattern": "^[1-9][0-9]{0,14}(,[1-9][0-9]{0,14})*$",
                "examples": ["1,2,5"],
            }),
            "Only these products, separated by commas. Products that do not exist are skipped.",
        ),
        "ProductSku": query(
            "sku",
            json!({"type": "string", "minLength": 1, "examples": ["LP-1"]}),
            "Only the product with this SKU.",
        ),
        "ProductCursor": query(
            "cursor",
            schema("Id"),
            "The `next_cursor` of an earlier page. Treat it as opaque.",
        ),
        "EventUser": query("user_id", schema("Id"), "Only events about this user."),
        "EventProduct": query("product_id", schema("Id"), "Only events about this product."),
        "EventTypes": query(
            "types",
            json!({
                "type": "string",
                "pattern": TYPES,
                "examples": ["order.paid,order.failed", "order.*,stock.*"],
            }),
            "Only events of these types, or of these families, separated by commas; at most 32.",
        ),
        "After": query(
            "after",
            schema("EventId"),
            "Start after this event; its id may come from any node. By default, start with the next event.",
        ),
        "Heartbeat": query(
            "heartbeat_seconds",
            json!({"type": "integer", "minimum": 1, "maximum": 60, "default": 15}),
            "How often to send a comment when there are no events, so that a client soon knows a dead connection.",
        ),
        "LastEventId": header(
            "Last-Event-ID",
            schema("EventId"),
            "The same as `after`, and it wins: browsers send it when they reconnect.",
        ),
        "ProductLimit": query(
            "limit",
            json!({"type": "integer", "minimum": 1, "maximum": LIST_MAX, "default": LIST_MAX}),
            "Products per page.",
        ),
    })
}

/// The names of those of these parameters that belong in the query.
pub(crate) fn in_query(components: &[&'static str]) -> Vec<String> {
    let all = all();
    let declared = components.iter().map(|component| &all[component]);
    declared
        .filter(|parameter| parameter["in"] == "query")
        .filter_map(|parameter| parameter["name"].as_str().map(str::to_owned))
        .collect()
}

/// A time of RFC 3339 or a day. Which months are short has no words in a schema.
fn moment(example: &str) -> Value {
    let day = r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])";
    let clock = r"([01][0-9]|2[0-3]):[0-5][0-9]";
    let time = format!(r"{clock}:[0-5][0-9](\.[0-9]{{1,9}})?([Zz]|[+-]{clock})");
    json!({"type": "string", "pattern": format!("^{day}([Tt]{time})?$"), "examples": [example]})
}

fn consistency() -> Value {
    json!({"type": "string", "enum": [wire::CONSISTENCY_STALE]})
}

fn path(name: &str, of: &str, text: &str) -> Value {
    let schema = schema(of);
    json!({"name": name, "in": "path", "required": true, "schema": schema, "description": text})
}

/// A query parameter. An empty value counts as missing.
fn query(name: &str, schema: Value, text: &str) -> Value {
    json!({
        "name": name,
        "in": "query",
        "schema": schema,
        "description": text,
        "allowEmptyValue": true,
    })
}

fn header(name: &str, schema: Value, text: &str) -> Value {
    json!({"name": name, "in": "header", "schema": schema, "description": text})
}

/// All headers of answers.
pub(crate) fn headers() -> Value {
    let always = |schema: Value, text: &str| json!({"required": true, "schema": schema, "description": text});
    let sometimes = |schema: Value, text: &str| json!({"schema": schema, "description": text});
    let word = |word: &str| json!({"type": "string", "const": word});
    let count = |minimum: u32| json!({"type": "integer", "minimum": minimum});
    json!({
        "X-Trace-Id": always(
            json!({"type": "string", "minLength": 1, "maxLength": 128}),
            "The caller's trace id, else a new UUID. Log lines and events of the request carry it.",
        ),
        "X-Position": always(
            schema("Position"),
            "The answer reflects at least this position in the log.",
        ),
        "X-Content-Type-Options": always(word("nosniff"), "Browsers must not guess the type."),
        "X-Frame-Options": always(word("DENY"), "Browsers must not show the answer in a frame."),
        "Cache-Control": always(word("no-store"), "The answer must not be cached."),
        "Cache-Control.stream": always(
            word("no-store, no-transform"),
            "The answer must not be cached, and proxies must pass on its bytes as they are.",
        ),
        "X-Accel-Buffering": always(word("no"), "nginx must pass on the stream as it comes."),
        "Cache-Control.file": always(
            word("no-cache"),
            "Ask with `If-None-Match` before each use of a kept copy.",
        ),
        "ETag.file": always(
            json!({"type": "string", "pattern": "^(W/)?\"[0-9a-f]{32}\"$"}),
            "Names the content of the file. Weak when the answer is compressed.",
        ),
        "ETag": always(
            json!({"type": "string", "pattern": "^(W/)?\"[0-9]+\"$"}),
            "The `version` of the row in quotes, for `If-Match`. Weak when the answer is compressed.",
        ),
        "Location": always(
            json!({"type": "string", "pattern": "^/api/v1/[a-z]+/[0-9]+$"}),
            "Where the new row can be read.",
        ),
        "Idempotent-Replayed": always(
            word("true"),
            "The key made this before; nothing changed now.",
        ),
        "ETag.replay": sometimes(
            json!({"type": "string", "pattern": "^(W/)?\"[0-9]+\"$"}),
            "The `version` of the row in quotes. A dry run has none.",
        ),
        "Idempotent-Replayed.replay": sometimes(
            word("true"),
            "The key made this before; nothing changed now. A dry run has none.",
        ),
        "Idempotent-Replayed.apart": sometimes(
            word("true"),
            "Present when the key did this before; nothing changed now.",
        ),
        "Idempotent-Replayed.sometimes": sometimes(
            word("true"),
            "Present with `duplicate`: the result was recorded before.",
        ),
        "WWW-Authenticate": always(
            json!({"type": "string"}),
            "How to authenticate the request.",
        ),
        "Upgrade": always(word("websocket"), "The protocol of this path."),
        "Sec-WebSocket-Accept": always(
            json!({"type": "string", "pattern": "^[A-Za-z0-9+/]{27}=$"}),
            "Confirms the key of the handshake.",
        ),
        "X-Consistency": sometimes(
            word(wire::CONSISTENCY_STALE),
            "Present when the read was stale.",
        ),
        "Retry-After": always(count(1), "Seconds to wait before trying again."),
        "RateLimit-Limit": sometimes(
            count(1),
            "Requests per minute that one address may send to this node. Present when a limit is set.",
        ),
        "RateLimit-Remaining": sometimes(
            count(0),
            "Requests left in this minute. Present when a limit is set.",
        ),
        "RateLimit-Reset": sometimes(
            json!({"type": "integer", "minimum": 1, "maximum": 60}),
            "Seconds until the next minute begins. Present when a limit is set.",
        ),
    })
}
