//! WebSockets: channels, names, invalid messages, bounds, and how they end.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use http_api::Settings;
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::contract::contract;
use crate::events::metric;
use crate::harness::{Call, Fixture, order, settings};

type Socket = WebSocketStream<TcpStream>;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(15);

async fn open(fixture: &Fixture) -> Socket {
    let stream = TcpStream::connect(fixture.address).await.unwrap();
    let (socket, answer) = tokio_tungstenite::client_async("ws://localhost/api/v1/ws", stream)
        .await
        .expect("a WebSocket");
    assert_eq!(answer.status(), 101);
    assert!(answer.headers().contains_key("x-trace-id"));
    socket
}

async fn say(socket: &mut Socket, value: &Value) {
    socket.send(Message::text(value.to_string())).await.unwrap();
}

/// The next message, or the close code.
async fn hear(socket: &mut Socket) -> Result<Value, Option<CloseCode>> {
    loop {
        let message = tokio::time::timeout(PATIENCE, socket.next()).await.expect("in time");
        match message {
            Some(Ok(Message::Text(text))) => {
                let frame = serde_json::from_str(&text).unwrap();
                let schema = json!({"$ref": "#/components/schemas/SocketFrame"});
                contract().fits(&schema, &frame).unwrap_or_else(|it| panic!("{it}: {frame}"));
                return Ok(frame);
            }
            Some(Ok(Message::Close(frame))) => return Err(frame.map(|frame| frame.code)),
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return Err(None),
        }
    }
}

async fn subscribe(socket: &mut Socket, user: u64) {
    let channel = format!("private-orders.{user}");
    say(socket, &json!({ "subscribe": channel })).await;
    let answer = hear(socket).await.unwrap();
    assert_eq!(answer, json!({"event": "subscribed", "channel": channel}));
}

async fn place(fixture: &Fixture, user: u64, method: &str) -> u64 {
    let mut body = order(1, 1);
    (body["user_id"], body["payment_method"]) = (json!(user), json!(method));
    fixture.post("/api/v1/orders", &body).await.expect(201)["order_id"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_get_events_of_their_ended_orders() {
    let fixture = Fixture::start().await;
    fixture.product("9.99", 100).await;
    let mut seven = open(&fixture).await;
    let mut both = open(&fixture).await;
    subscribe(&mut seven, 7).await;
    subscribe(&mut both, 7).await;
    subscribe(&mut both, 8).await;
    let cancelled = place(&fixture, 8, "none").await;
    let body = json!({"reason": "enough"});
    fixture.post(&format!("/api/v1/orders/{cancelled}/cancel"), &body).await.expect(200);
    let paid = place(&fixture, 7, "mock").await;

    let frame = hear(&mut both).await.unwrap();
    assert_eq!(frame["event"], "OrderCancelled");
    assert_eq!(frame["channel"], "private-orders.8");
    assert_eq!(
        (&frame["data"]["order_id"], &frame["data"]["status"]),
        (&json!(cancelled), &json!("CANCELLED"))
    );
    assert_eq!(frame["data"]["cancelled_at"], frame["data"]["timestamp"]);
    let frame = hear(&mut both).await.unwrap();
    assert_eq!(frame["event"], "OrderPaid");
    assert_eq!(frame["data"]["total_amount"], "9.99");
    let alone = hear(&mut seven).await.unwrap();
    assert_eq!(alone, frame, "nothing of user 8, and the same for both");
    assert_eq!(alone["data"]["order_id"], paid);

    say(&mut both, &json!({"unsubscribe": "private-orders.7"})).await;
    assert_eq!(hear(&mut both).await.unwrap()["event"], "unsubscribed");
    place(&fixture, 7, "mock").await;
    assert_eq!(hear(&mut seven).await.unwrap()["event"], "OrderPaid");
    say(&mut both, &json!({"ping": 5})).await;
    assert_eq!(hear(&mut both).await.unwrap(), json!({"event": "pong", "ping": 5}));
    assert_eq!(metric(&fixture, "events_sent_total{transport=\"websocket\"} ").await, 4);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_messages_are_answered_and_too_many_close_the_socket() {
    let fixture = Fixture::start().await;
    let mut socket = open(&fixture).await;
    let mistakes = [
        "{",
        "7",
        "{}",
        r#"{"subscribe": 7}"#,
        r#"{"subscribe": "orders.7"}"#,
        r#"{"subscribe": "private-orders.07"}"#,
        r#"{"unsubscribe": "private-orders."}"#,
        r#"{"subscribe": "private-orders.1", "ping": 1}"#,
        r#"{"ping": -1}"#,
    ];
    for mistake in mistakes {
        socket.send(Message::text(mistake)).await.unwrap();
        let frame = hear(&mut socket).await.unwrap();
        assert_eq!(frame["event"], "error", "{mistake}");
        assert!(frame["message"].is_string());
    }
    // After nine invalid messages it still works; the tenth closes it.
    subscribe(&mut socket, 1).await;
    socket.send(Message::text("again")).await.unwrap();
    assert_eq!(hear(&mut socket).await, Err(Some(CloseCode::Policy)));

    let mut socket = open(&fixture).await;
    socket.send(Message::binary(vec![0, 1])).await.unwrap();
    assert_eq!(hear(&mut socket).await, Err(Some(CloseCode::Unsupported)));
    let mut socket = open(&fixture).await;
    socket.send(Message::text("x".repeat(5_000))).await.unwrap();
    assert_eq!(hear(&mut socket).await, Err(Some(CloseCode::Size)));
    let mut socket = open(&fixture).await;
    for user in 1..=100 {
        subscribe(&mut socket, user).await;
    }
    subscribe(&mut socket, 100).await;
    say(&mut socket, &json!({"subscribe": "private-orders.101"})).await;
    assert_eq!(hear(&mut socket).await.unwrap()["event"], "error");
    socket.close(None).await.unwrap();
    let nobody = async || metric(&fixture, "event_subscribers ").await == 0;
    fixture.until("nobody is left", nobody).await;
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_handshake_opens_one() {
    let fixture = Fixture::with(Settings { event_subscribers_max: 1, ..settings() }).await;
    let path = "/api/v1/ws";
    let call = |method: &str| Call::new(method, path).header("connection", "keep-alive, Upgrade");
    let whole = |method: &str| call(method).header("upgrade", "websocket");
    let key = "dGhlIHNhbXBsZSBub25jZQ==";
    for call in [
        Call::new("GET", path),
        whole("GET"),
        whole("GET").header("sec-websocket-version", "13"),
        whole("GET").header("sec-websocket-version", "12").header("sec-websocket-key", key),
        whole("GET").header("sec-websocket-version", "13").header("sec-websocket-key", "short"),
        call("GET").header("sec-websocket-version", "13").header("sec-websocket-key", key),
    ] {
        let answer = fixture.send(call).await;
        answer.problem(426, "upgrade_required");
        assert_eq!(answer.header("upgrade"), Some("websocket"));
    }
    let head = whole("HEAD").header("sec-websocket-version", "13");
    assert_eq!(fixture.send(head.header("sec-websocket-key", key)).await.status, 426);
    let _only = open(&fixture).await;
    let another = whole("GET").header("sec-websocket-version", "13");
    let another = another.header("sec-websocket-key", key);
    fixture.send(another).await.problem(503, "overloaded");
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_clients_are_closed_and_a_shutdown_is_announced() {
    let settings = Settings {
        event_heartbeat: Duration::from_millis(60),
        idle_timeout: Duration::from_millis(100),
        ..settings()
    };
    let fixture = Fixture::with(settings).await;
    let mut alive = open(&fixture).await;
    // This one is never read, so it answers no ping.
    let silent = open(&fixture).await;
    let reading = tokio::spawn(async move { (hear(&mut alive).await, alive) });
    let one = async || metric(&fixture, "event_subscribers ").await == 1;
    fixture.until("only one is left", one).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!reading.is_finished(), "a client that answers stays");
    drop(silent);
    let node = fixture.stop_server(Duration::from_secs(10)).await;
    assert_eq!(reading.await.unwrap().0, Err(Some(CloseCode::Away)));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_read_its_socket_is_disconnected() {
    let write_timeout = Duration::from_millis(300);
    let fixture = Fixture::with(Settings { write_timeout, ..settings() }).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let stream = socket.connect(fixture.address).await.unwrap();
    let (mut lazy, _) =
        tokio_tungstenite::client_async("ws://localhost/api/ws", stream).await.unwrap();
    // It sends requests and reads no answer.
    let asking = async {
        loop {
            let ping = json!({"ping": u64::MAX}).to_string();
            if lazy.send(Message::text(ping)).await.is_err() {
                return;
            }
        }
    };
    let cut_off = async || {
        metric(&fixture, "event_subscribers_cut_off_total{transport=\"websocket\"} ").await == 1
    };
    let waiting = fixture.until("cut off", cut_off);
    tokio::select! {
        () = async { asking.await; std::future::pending().await } => unreachable!(),
        () = waiting => {}
    }
    fixture.stop().await;
}

/// What the shop's application answers to a browser that asks for a channel.
fn signed(secret: &str, socket_id: &str, channel: &str) -> String {
    use hmac::{Hmac, KeyInit, Mac};

    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("{socket_id}:{channel}").as_bytes());
    let bytes = mac.finalize().into_bytes();
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("shop:{digits}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_of_the_shop_signs_the_channels_of_browsers() {
    const SECRET: &str = "0123456789abcdef";
    let app = http_api::SocketApp::read(&format!("shop:{SECRET}")).unwrap();
    let fixture = Fixture::with(Settings { socket_apps: vec![app], ..settings() }).await;
    fixture.product("9.99", 100).await;
    let mut socket = open(&fixture).await;
    let connected = hear(&mut socket).await.unwrap();
    assert_eq!(connected["event"], "connected");
    let id = connected["socket_id"].as_str().unwrap().to_owned();
    let (own, other) = ("private-orders.7", "private-orders.8");
    for auth in [
        Value::Null,
        json!(signed(SECRET, &id, other)),
        json!(signed(SECRET, "1.2", own)),
        json!(signed("another-secret!!", &id, own)),
        json!(signed(SECRET, &id, own).replace("shop:", "other:")),
    ] {
        say(&mut socket, &json!({"subscribe": own, "auth": auth})).await;
        assert_eq!(hear(&mut socket).await.unwrap()["event"], "error", "{auth}");
    }
    say(&mut socket, &json!({"subscribe": own, "auth": signed(SECRET, &id, own)})).await;
    assert_eq!(hear(&mut socket).await.unwrap()["event"], "subscribed");
    place(&fixture, 8, "mock").await;
    let paid = place(&fixture, 7, "mock").await;
    let frame = hear(&mut socket).await.unwrap();
    assert_eq!((&frame["event"], &frame["data"]["order_id"]), (&json!("OrderPaid"), &json!(paid)));
    // Credentials that become required end nobody who proves each channel.
    let admin = json!({"owner": "ops", "scopes": ["auth:admin"]});
    fixture.post("/api/v1/auth/tokens", &admin).await.expect(201);
    let mode = json!({"mode": "required"});
    fixture.send(Call::json("PUT", "/api/v1/auth/mode", &mode)).await.expect(200);
    say(&mut socket, &json!({"ping": 3})).await;
    assert_eq!(hear(&mut socket).await.unwrap()["ping"], 3);
    let mut late = open(&fixture).await;
    assert_eq!(hear(&mut late).await.unwrap()["event"], "connected");
    fixture.send(Call::new("GET", "/api/v1/events")).await.problem(401, "unauthorized");
    fixture.stop().await;
}
