//! What the OpenAPI document says about events: their shape, the stream, the WebSocket.

use client::wire::{self, ErrorCode, EventType, OrderStatus, SagaStatus};
use engine::order::LINES_MAX;
use serde_json::{Value, json};

use crate::describe::operation::Operation;
use crate::describe::shapes::Shapes;
use crate::describe::words::schema;
use crate::events::stream::CONTENT_TYPE;

const STREAM: &str = "\
    A stream of events (`text/event-stream`) that runs until either side ends it. Each event is \
    a block of `id`, `event` (its type) and one line of `data` (an `Event` in JSON). Every node \
    sends the same events with the same ids, in ascending order. After a disconnect, a client \
    resumes at any node with the last id that it saw, without gaps or duplicates. The first \
    block has only an id: the place where the stream starts. Comments are heartbeats.\n\nA node \
    that has not yet applied the event of the id waits for it. The operator sets how long and \
    how many events are stored; if events after the id are gone, the answer is 410 \
    `events_gone`. Nothing is queued for a subscriber: one that does not read in time is \
    disconnected.\n\nA refusal for lack of stock that needs no log entry makes no event.";

const SOCKET: &str = "\
    A WebSocket (RFC 6455). A client sends `{\"subscribe\": \"private-orders.7\"}` and learns \
    how the orders of user 7 end, as frames of `event` (`OrderPaid`, `OrderFailed` or \
    `OrderCancelled`), `channel` and `data`. It may also send `{\"unsubscribe\": channel}` and \
    `{\"ping\": number}`. Each message is answered: `subscribed`, `unsubscribed`, `pong`, or \
    `error` with a `message`.\n\nA connection has at most 100 channels, and a message at most \
    4,096 bytes. After 10 invalid messages, a binary message or one that is too long, the server \
    closes the connection with a code that says why. A client gets no earlier events: one that \
    must not miss any reads the stream of events.";

pub(crate) fn stream() -> Operation {
    Operation::new("streamEvents", "Subscribe to events")
        .text(STREAM)
        .takes(&["EventUser", "EventProduct", "EventTypes", "After", "LastEventId", "Heartbeat"])
        .answers(
            200,
            "The stream.",
            &["Cache-Control.stream", "X-Accel-Buffering"],
            Some((CONTENT_TYPE, stream_content())),
        )
        .looks()
        .refuses(&[ErrorCode::ValidationError, ErrorCode::EventsGone])
}

pub(crate) fn socket() -> Operation {
    Operation::new("openSocket", "Subscribe to orders of users over a WebSocket")
        .text(SOCKET)
        .answers(101, "The WebSocket.", &["Upgrade", "Sec-WebSocket-Accept"], None)
        .refuses(&[ErrorCode::UpgradeRequired, ErrorCode::Overloaded])
        .messages(messages())
}

/// The answer of the stream.
fn stream_content() -> Value {
    let example = concat!(
        ": events\nretry: 1000\nid: 4939841539.0\n\n",
        "id: 4939841540.0\nevent: order.paid\n",
        r#"data: {"id":"4939841540.0","type":"order.paid","name":"OrderPaid","order_id":7, …}"#,
        "\n\n: heartbeat\n\n",
    );
    json!({"schema": {"type": "string"}, "example": example, "x-event-data": schema("Event")})
}

/// The messages of the WebSocket.
fn messages() -> Value {
    json!({"client": schema("SocketRequest"), "server": schema("SocketFrame")})
}

/// The fields of the types of a family.
const FIELDS: [(&str, &[&str]); 8] = [
    (
        "order.",
        &["order_id", "status", "saga_status", "total_amount", "total_amount_minor", "product_ids"],
    ),
    ("order.failed", &["reason"]),
    ("order.cancelled", &["cancelled_at"]),
    ("hold.", &["hold_id", "items", "expires_at"]),
    ("hold.consumed", &["order_id"]),
    ("product.", &["product_id"]),
    ("stock.", &["product_id", "available_stock"]),
    ("payment.", &["webhook_id", "order_id", "result"]),
];

/// The rules between the type of an event and its fields.
fn rules() -> Value {
    let rule = |(family, fields): &(&str, &[&str])| {
        // A refused order has no row.
        let of = |kind: &&EventType| {
            kind.as_str().starts_with(family) && **kind != EventType::OrderRejected
        };
        let types: Vec<_> = EventType::ALL.iter().filter(of).map(|it| it.as_str()).collect();
        json!({"if": {"properties": {"type": {"enum": types}}}, "then": {"required": fields}})
    };
    FIELDS.iter().map(rule).collect()
}

/// Examples of events.
fn examples() -> Value {
    json!([{
        "id": "4939841540.0",
        "type": EventType::OrderPaid,
        "name": EventType::OrderPaid.name(),
        "timestamp": "2026-02-23T10:30:00.000Z",
        "trace_id": "550e8400-e29b-41d4-a716-446655440000",
        "order_id": 7,
        "user_id": 1,
        "status": OrderStatus::Paid,
        "saga_status": SagaStatus::Confirmed,
        "total_amount": "1999.98",
        "total_amount_minor": 199_998,
        "product_ids": [1],
    }])
}

/// The schemas.
pub(crate) fn schemas() -> Value {
    let channel = || {
        json!({
            "type": "string",
            "pattern": r"^private-orders\.[1-9][0-9]{0,15}$",
            "examples": ["private-orders.7"],
        })
    };
    let some = || json!({"minItems": 1, "maxItems": LINES_MAX});
    let not_negative = || json!({"minimum": 0});
    let requests = Shapes::requests()
        .of::<wire::SocketRequest>()
        .is("SocketRequest.subscribe", channel())
        .is("SocketRequest.unsubscribe", channel())
        .not_null("SocketRequest.ping");
    let answers = Shapes::answers()
        .of::<wire::EventType>()
        .of::<wire::Event>()
        .is("Event.id", schema("EventId"))
        .is("Event.type", schema("EventType"))
        .with("Event.product_ids", some())
        .with("Event.product_ids", json!({"items": schema("Id")}))
        .with("Event.items", some())
        .with("Event.available_stock", not_negative())
        .with("Event.low_stock_threshold", not_negative())
        .with("Event.result", json!({"enum": ["success", "failure"]}))
        .rule("Event", "allOf", rules())
        .rule("Event", "examples", examples())
        .of::<wire::SocketFrame>()
        .is("SocketFrame.channel", channel());
    let mut all = requests.and(answers);
    all["EventId"] = json!({
        "type": "string",
        "pattern": r"^[0-9]{1,15}\.[0-9]{1,9}$",
        "description": "The place of an event: a position, a point, and a number.",
        "examples": ["4939841540.0"],
    });
    all
}
