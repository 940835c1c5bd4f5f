//! Streams of events: their blocks, filters, resuming, bounds, and how they end.

use std::time::{Duration, Instant};

use client::wire;
use http_api::Settings;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::contract::contract;
use crate::harness::{Call, Fixture, order, settings};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(15);

/// A block of a stream.
#[derive(Clone, Debug, Default, PartialEq)]
struct Block {
    id: Option<String>,
    event: Option<String>,
    data: Option<Value>,
    comment: Option<String>,
}

/// A stream that is being read.
struct Stream {
    socket: TcpStream,
    head: String,
    text: String,
}

impl Stream {
    async fn open(fixture: &Fixture, query: &str) -> Stream {
        Stream::open_with(fixture, query, "").await
    }

    /// Opens one with more headers.
    async fn open_with(fixture: &Fixture, query: &str, headers: &str) -> Stream {
        let mut socket = TcpStream::connect(fixture.address).await.unwrap();
        let head =
            format!("GET /api/v1/events{query} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
        socket.write_all(head.as_bytes()).await.unwrap();
        let mut stream = Stream { socket, head: String::new(), text: String::new() };
        while !stream.text.contains("\r\n\r\n") {
            assert!(stream.more().await, "no head in {:?}", stream.text);
        }
        let (head, rest) = stream.text.split_once("\r\n\r\n").unwrap();
        (stream.head, stream.text) = (head.to_owned(), rest.to_owned());
        stream
    }

    fn status(&self) -> &str {
        &self.head["HTTP/1.1 ".len()..][..3]
    }

    /// Reads more; false at the end.
    async fn more(&mut self) -> bool {
        let mut piece = [0; 4096];
        let read = tokio::time::timeout(PATIENCE, self.socket.read(&mut piece)).await;
        let length = read.expect("something in time").unwrap_or(0);
        self.text.push_str(std::str::from_utf8(&piece[..length]).expect("ASCII in these tests"));
        length > 0
    }

    /// The next block; `None` at the end of the stream.
    async fn next(&mut self) -> Option<Block> {
        loop {
            // Skips the lengths of chunks; no line of an event looks like one.
            let lines: Vec<&str> = self.text.split('\n').collect();
            let end = lines.iter().position(|line| line.is_empty());
            if let Some(end) = end.filter(|end| *end + 1 < lines.len()) {
                let block = block(&lines[..end]);
                self.text = lines[end + 1..].join("\n");
                if block != Block::default() {
                    return Some(block);
                }
                continue;
            }
            if self.text.contains("\r\n0\r\n\r\n") || !self.more().await {
                return None;
            }
        }
    }

    /// The next event.
    async fn event(&mut self) -> Block {
        loop {
            let block = self.next().await.expect("an event and no end");
            if block.data.is_some() {
                check(&block);
                return block;
            }
        }
    }

    async fn events(&mut self, count: usize) -> Vec<Block> {
        let mut events = Vec::new();
        for _ in 0..count {
            events.push(self.event().await);
        }
        events
    }
}

fn block(lines: &[&str]) -> Block {
    let mut block = Block::default();
    for line in lines {
        if let Some(id) = line.strip_prefix("id: ") {
            block.id = Some(id.to_owned());
        } else if let Some(event) = line.strip_prefix("event: ") {
            block.event = Some(event.to_owned());
        } else if let Some(data) = line.strip_prefix("data: ") {
            block.data = Some(serde_json::from_str(data).expect("one line of JSON"));
        } else if let Some(comment) = line.strip_prefix(": ") {
            block.comment = Some(comment.to_owned());
        }
    }
    block
}

/// An event is the same on every node, and as documented.
fn check(block: &Block) {
    let data = block.data.as_ref().unwrap();
    assert_eq!(block.id.as_deref(), data["id"].as_str());
    assert_eq!(block.event.as_deref(), data["type"].as_str());
    let schema = json!({"$ref": "#/components/schemas/Event"});
    contract().fits(&schema, data).unwrap_or_else(|fault| panic!("{fault}: {data}"));
    let read: wire::Event = serde_json::from_value(data.clone()).unwrap();
    assert!(read.kind().is_some());
    assert_eq!(serde_json::to_value(&read).unwrap(), *data, "the client keeps every field");
}

fn names(events: &[Block]) -> Vec<&str> {
    events.iter().map(|event| event.event.as_deref().unwrap()).collect()
}

fn ids(events: &[Block]) -> Vec<String> {
    events.iter().map(|event| event.id.clone().unwrap()).collect()
}

/// Causes ten events of all kinds that clients can cause here.
async fn story(fixture: &Fixture) {
    let product = fixture.product("2.50", 3).await;
    let user = json!({"name": "Alice", "email": "alice@example.com"});
    fixture.post("/api/v1/users", &user).await.expect(201);
    let mut first = order(product, 2);
    first["user_id"] = json!(1);
    fixture.post("/api/v1/orders", &first).await.expect(201);
    let reason = json!({"reason": "too late"});
    fixture.post("/api/v1/orders/1/cancel", &reason).await.expect(200);
    fixture.post("/api/v1/orders", &order(product, 3)).await.expect(201);
    let rename = Call::json("PATCH", "/api/v1/products/1", &json!({"price": "3"}));
    fixture.send(rename).await.expect(200);
    let other = fixture.product("1.00", 9).await;
    let buy = json!({"product_id": other, "quantity": 1, "user_id": 1});
    fixture.post("/api/v1/orders/purchase", &buy).await.expect(201);
    let paid = async || fixture.get("/api/v1/orders/3").await.json()["status"] == "PAID";
    fixture.until("paid", paid).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_arrive_in_order_with_their_data() {
    let fixture = Fixture::start().await;
    let mut live = Stream::open(&fixture, "").await;
    assert_eq!(live.status(), "200");
    assert!(live.head.contains("content-type: text/event-stream\r\n"), "{}", live.head);
    for line in ["cache-control: no-store, no-transform", "x-accel-buffering: no"] {
        let lines =
            live.head.split("\r\n").filter(|it| it.split(':').next() == line.split(':').next());
        assert_eq!(lines.collect::<Vec<_>>(), [line], "proxies pass on what comes");
    }
    let first = live.next().await.unwrap();
    assert_eq!((first.id.as_deref(), first.data.as_ref()), (Some("0.0"), None));
    story(&fixture).await;
    let events = live.events(10).await;
    assert_eq!(
        names(&events),
        [
            "product.created",
            "order.placed",
            "order.cancelled",
            "order.placed",
            "stock.sold_out",
            "product.updated",
            "product.created",
            "order.placed",
            "order.processing",
            "order.paid",
        ]
    );
    let data = |at: usize| events[at].data.as_ref().unwrap();
    assert_eq!((&data(1)["order_id"], &data(1)["user_id"]), (&json!(1), &json!(1)));
    assert_eq!((&data(1)["total_amount"], &data(1)["status"]), (&json!("5.00"), &json!("PENDING")));
    assert_eq!(data(1)["product_ids"], json!([1]));
    assert_eq!(
        (&data(2)["reason"], &data(2)["name"]),
        (&json!("too late"), &json!("OrderCancelled"))
    );
    assert_eq!(data(2)["cancelled_at"], data(2)["timestamp"]);
    assert_eq!((&data(4)["product_id"], &data(4)["available_stock"]), (&json!(1), &json!(0)));
    assert_eq!(
        (&data(9)["name"], &data(9)["saga_status"]),
        (&json!("OrderPaid"), &json!("CONFIRMED"))
    );
    // Two events of one command come one after the other.
    assert_eq!(ids(&events)[4], ids(&events)[3].replace(".0", ".1"));

    // A later subscriber that asks for all events gets the same.
    let mut later = Stream::open(&fixture, "?after=0.0").await;
    assert_eq!(later.events(10).await, events);
    for (at, id) in ids(&events)[..9].iter().enumerate() {
        let mut resumed = Stream::open(&fixture, &format!("?after={id}")).await;
        assert_eq!(resumed.events(9 - at).await, events[at + 1..]);
        let header = format!("Last-Event-ID: {id}\r\n");
        let mut resumed = Stream::open_with(&fixture, "?after=0.0", &header).await;
        assert_eq!(resumed.event().await, events[at + 1], "the header is stronger");
    }
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filters_skip_other_events() {
    let fixture = Fixture::start().await;
    story(&fixture).await;
    let all = Stream::open(&fixture, "?after=0.0").await.events(10).await;
    for (filter, expected) in [
        ("types=order.paid,stock.sold_out", &[4, 9][..]),
        ("types=product.*", &[0, 5, 6]),
        ("user_id=1", &[1, 2, 7, 8, 9]),
        ("user_id=1&types=order.placed", &[1, 7]),
        ("product_id=2", &[6, 7, 8, 9]),
        ("product_id=1&types=order.*&user_id=", &[1, 2, 3]),
    ] {
        let mut stream = Stream::open(&fixture, &format!("?after=0.0&{filter}")).await;
        let wanted: Vec<_> = expected.iter().map(|at| all[*at].clone()).collect();
        assert_eq!(stream.events(expected.len()).await, wanted, "{filter}");
    }
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_ids_and_filters_are_refused() {
    let fixture = Fixture::start().await;
    fixture.product("1.00", 1).await;
    for (query, field) in [
        ("after=1", "after"),
        ("after=x.0", "after"),
        ("after=-1.0", "after"),
        ("after=1.0&after=2.0", "after"),
        ("after=9007199254740992.0", "after"),
        // No event has this id.
        ("after=9007199254740991.0", "after"),
        ("types=order", "types"),
        ("types=order.shipped", "types"),
        ("user_id=0", "user_id"),
        ("user=1", "user"),
        ("product_id=abc", "product_id"),
    ] {
        fixture.get(&format!("/api/v1/events?{query}")).await.invalid(field);
    }
    let with = |value: &str| Call::new("GET", "/api/v1/events").header("last-event-id", value);
    fixture.send(with("nonsense")).await.invalid("Last-Event-ID");
    fixture.send(with("1.0").header("last-event-id", "1.0")).await.invalid("Last-Event-ID");
    fixture.send(with("")).await.expect_stream();
    // What a browser accepts.
    let browser = Call::new("GET", "/api/v1/events").header("accept", "text/event-stream");
    fixture.send(browser).await.expect_stream();
    fixture.get("/api/v1/events?after=%zz").await.problem(400, "malformed_request");
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_are_gone_are_410_and_the_floor_is_named() {
    let fixture = Fixture::with_config(settings(), |config| config.events_max = 300).await;
    let product = fixture.product("1.00", 10_000).await;
    let first = Stream::open(&fixture, "?after=0.0").await.event().await.id.unwrap();
    // Two chunks of 256 events go when a third is full.
    let gone = async || {
        let orders =
            (0..64).map(|_| async { fixture.post("/api/v1/orders", &order(product, 1)).await });
        for answer in futures_util::future::join_all(orders).await {
            answer.expect(201);
        }
        fixture.get(&format!("/api/v1/events?after={first}")).await.status == 410
    };
    fixture.until("gone", gone).await;
    let answer = fixture.get(&format!("/api/v1/events?after={first}")).await;
    let problem = answer.problem(410, "events_gone");
    let detail = problem["detail"].as_str().unwrap();
    let floor = detail.strip_prefix("Events up to ").unwrap().split(' ').next().unwrap();
    let mut stream = Stream::open(&fixture, &format!("?after={floor}")).await;
    assert_eq!(stream.event().await.event.as_deref(), Some("order.placed"));
    fixture.get("/api/v1/events?after=0.0").await.problem(410, "events_gone");
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscribers_are_bounded_and_hear_that_they_are_connected() {
    let settings = Settings {
        event_subscribers_max: 3,
        event_heartbeat: Duration::from_millis(50),
        idle_timeout: Duration::from_millis(200),
        ..settings()
    };
    let fixture = Fixture::with(settings).await;
    let mut streams = Vec::new();
    for _ in 0..3 {
        streams.push(Stream::open(&fixture, "").await);
    }
    fixture.get("/api/v1/events").await.problem(503, "overloaded");
    assert!(metric(&fixture, "event_subscribers ").await == 3);
    // Much longer than the idle timeout.
    let started = Instant::now();
    let mut beats = 0;
    while started.elapsed() < Duration::from_millis(800) {
        let block = streams[0].next().await.expect("the stream goes on");
        let beat = block.comment.as_deref() == Some("heartbeat");
        assert_eq!(block.id.is_some(), !beat, "{block:?}");
        beats += u32::from(beat);
    }
    // Some may have waited in the connection before.
    assert!((4..=32).contains(&beats), "{beats} in 800 ms");
    streams.pop();
    fixture
        .until("room for one", async || Stream::open(&fixture, "").await.status() == "200")
        .await;
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_chooses_how_often_it_hears_that_it_is_connected() {
    let fixture = Fixture::with(settings()).await;
    let mut stream = Stream::open(&fixture, "?heartbeat_seconds=1").await;
    let started = Instant::now();
    let first = stream.next().await.expect("the place of the stream");
    assert!(first.id.is_some(), "{first:?}");
    let beat = stream.next().await.expect("the stream goes on");
    assert_eq!(beat.comment.as_deref(), Some("heartbeat"));
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    for wrong in ["0", "61", "often"] {
        let path = format!("/api/v1/events?heartbeat_seconds={wrong}");
        fixture.get(&path).await.problem(422, "validation_error");
    }
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_is_usable_after_a_head_request_for_a_stream() {
    let settings = Settings { event_subscribers_max: 1, ..settings() };
    let fixture = Fixture::with(settings).await;
    for _ in 0..3 {
        let call = Call::new("HEAD", "/api/v1/events");
        assert_eq!(fixture.send(call).await.status, 200);
    }
    let both =
        b"HEAD /api/events HTTP/1.1\r\nHost: localhost\r\n\r\nGET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let raw = fixture.raw(both).await;
    assert_eq!(raw.text.matches("HTTP/1.1 200").count(), 2, "{raw:?}");
    let none = async || metric(&fixture, "event_subscribers ").await == 0;
    fixture.until("nobody subscribed", none).await;
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_end_when_the_server_stops() {
    let fixture = Fixture::start().await;
    let mut stream = Stream::open(&fixture, "").await;
    stream.next().await.unwrap();
    let started = Instant::now();
    let (node, rest) = tokio::join!(fixture.stop_server(Duration::from_secs(10)), stream.next());
    assert_eq!(rest, None);
    assert!(stream.text.ends_with("0\r\n\r\n"), "it ends as it should: {:?}", stream.text);
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_that_does_not_read_is_disconnected_alone() {
    let write_timeout = Duration::from_millis(400);
    let fixture = Fixture::with(Settings { write_timeout, ..settings() }).await;
    let product = fixture.product("1.00", 1_000_000).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut lazy = socket.connect(fixture.address).await.unwrap();
    lazy.write_all(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut eager = Stream::open(&fixture, "?types=order.placed").await;
    let cut_off = async || {
        let orders = (0..64).map(|_| async {
            let buy = json!({"product_id": product, "quantity": 1});
            fixture.post("/api/v1/orders/purchase", &buy).await
        });
        for answer in futures_util::future::join_all(orders).await {
            answer.expect(201);
        }
        for event in eager_events(&fixture).await {
            assert_eq!(event, "order.placed");
        }
        metric(&fixture, "event_subscribers_cut_off_total{transport=\"sse\"} ").await == 1
    };
    let started = Instant::now();
    while !cut_off().await {
        assert!(started.elapsed() < Duration::from_secs(60), "never cut off");
    }
    let orders = fixture.get("/api/v1/orders").await.json()["meta"]["total"].as_u64().unwrap();
    let events = eager.events(usize::try_from(orders).unwrap()).await;
    let told: Vec<_> =
        events.iter().map(|it| it.data.as_ref().unwrap()["order_id"].clone()).collect();
    assert_eq!(told, (1..=orders).map(Value::from).collect::<Vec<_>>(), "no gap and no double");
    fixture.stop().await;
}

/// The types of the next few events of a new subscriber.
async fn eager_events(fixture: &Fixture) -> Vec<String> {
    let mut stream = Stream::open(fixture, "?after=0.0&types=order.placed").await;
    let events = stream.events(3).await;
    events.into_iter().map(|event| event.event.unwrap()).collect()
}

/// The value of a metric.
pub(crate) async fn metric(fixture: &Fixture, name: &str) -> u64 {
    let answer = fixture.get("/metrics").await;
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.map_or(0, |number| number.parse().unwrap())
}
