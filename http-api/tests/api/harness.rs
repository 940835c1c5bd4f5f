//! A node, a server, and a plain HTTP client that hides nothing.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use engine::ids::NodeId;
use http_api::{Gateway, LogFilter, Server, Settings};
use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Method, Request};
use hyper_util::rt::TokioIo;
use raft_node::payment::{SimulatedGateway, SimulatedSettings};
use raft_node::{Config, Handle, Node, Peer};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::contract;

/// Longer than any timeout of the server: reaching it means that the server forgot a request.
const PATIENCE: Duration = Duration::from_secs(20);

/// The content type of streams.
const EVENT_STREAM: &str = "text/event-stream";

/// Default settings, but for payments: the gateway is simulated, webhooks need no signature.
pub(crate) fn settings() -> Settings {
    Settings {
        gateway: Gateway::Simulated,
        webhook_unsigned: true,
        log_filter: Some(LogFilter::new("info", |filter| match filter {
            "nonsense=" => Err("no such level".to_owned()),
            _ => Ok(()),
        })),
        ..Settings::default()
    }
}

pub(crate) struct Fixture {
    pub(crate) address: SocketAddr,
    pub(crate) handle: Handle,
    server: Server,
    node: Node,
    _directory: TempDir,
}

impl Fixture {
    /// One node that accepts every payment.
    pub(crate) async fn start() -> Fixture {
        Fixture::with(settings()).await
    }

    pub(crate) async fn with(settings: Settings) -> Fixture {
        Fixture::with_config(settings, |_| ()).await
    }

    /// One node with a changed configuration.
    pub(crate) async fn with_config(settings: Settings, change: fn(&mut Config)) -> Fixture {
        let fixture = Fixture::launch(settings, 1, change).await;
        fixture.until("ready", async || fixture.get("/readyz").await.status == 200).await;
        // A new cluster raises its level in one of its first entries.
        let level = || fixture.handle.read(|state| state.level());
        fixture.until("at the newest level", async || level() == engine::level::NEWEST).await;
        fixture
    }

    /// The first of three nodes; the other two never start.
    pub(crate) async fn alone_of_three(settings: Settings) -> Fixture {
        Fixture::launch(settings, 3, |_| ()).await
    }

    async fn launch(settings: Settings, voters: u64, change: fn(&mut Config)) -> Fixture {
        let directory = tempfile::tempdir().unwrap();
        let mut config = Config::new(NodeId(1), directory.path());
        // Ports that nobody listens on: the first is this node's own, any free one.
        let peer = |id| Peer {
            id: NodeId(id),
            raft_addr: format!("127.0.0.1:{}", id - 1),
            http_addr: None,
        };
        config.peers = (1..=voters).map(peer).collect();
        config.core.tick_ms = 10;
        change(&mut config);
        let gateway = SimulatedGateway::new(SimulatedSettings {
            success_ppm: 1_000_000,
            error_ppm: 0,
            delay_ms: 1..=5,
        });
        let node = Node::start(config, Arc::new(gateway)).await.unwrap();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let handle = node.handle();
        let server = Server::bind(any, handle.clone(), settings).await.unwrap();
        let fixture =
            Fixture { address: server.local_addr(), handle, server, node, _directory: directory };
        if !contract::is_known() {
            let document = fixture.exchange(Call::new("GET", "/openapi-strict.json")).await;
            contract::learn(document.expect(200));
        }
        fixture
    }

    pub(crate) async fn stop(self) {
        self.server.shutdown(Duration::from_secs(5)).await;
        self.node.stop().await;
    }

    /// Stops the server only, and returns the node to be stopped.
    pub(crate) async fn stop_server(self, grace: Duration) -> Node {
        self.server.shutdown(grace).await;
        self.node
    }

    /// Waits for a condition.
    pub(crate) async fn until(&self, what: &str, condition: impl AsyncFn() -> bool) {
        let wait = async {
            while !condition().await {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        assert!(tokio::time::timeout(PATIENCE, wait).await.is_ok(), "never {what}");
    }

    /// Sends a request. The answer must be as the OpenAPI document says.
    pub(crate) async fn send(&self, call: Call) -> Answer {
        let (method, target) = (call.method.clone(), call.target.clone());
        let answer = self.exchange(call).await;
        contract::check(&method, &target, &answer);
        answer
    }

    async fn exchange(&self, call: Call) -> Answer {
        let exchange = async {
            let stream = TcpStream::connect(self.address).await.unwrap();
            let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream));
            let (mut sender, connection) = handshake.await.unwrap();
            tokio::spawn(connection);
            let mut request = Request::new(Full::new(call.body));
            *request.method_mut() = call.method;
            *request.uri_mut() = call.target.parse().unwrap();
            *request.headers_mut() = call.headers;
            let host = "localhost".parse().unwrap();
            request.headers_mut().entry("host").or_insert(host);
            let (head, mut body) = sender.send_request(request).await.unwrap().into_parts();
            let endless = head.headers.get("content-type").is_some_and(|it| it == EVENT_STREAM);
            let body = if endless {
                // A stream has no end, so only its start is read; HEAD has no body.
                let first = body.frame().await.map(|frame| frame.unwrap().into_data().unwrap());
                first.unwrap_or_default()
            } else {
                body.collect().await.unwrap().to_bytes()
            };
            Answer { status: head.status.as_u16(), headers: head.headers, body }
        };
        tokio::time::timeout(PATIENCE, exchange).await.expect("an answer in time")
    }

    pub(crate) async fn get(&self, target: &str) -> Answer {
        self.send(Call::new("GET", target)).await
    }

    pub(crate) async fn post(&self, target: &str, body: &Value) -> Answer {
        self.send(Call::json("POST", target, body)).await
    }

    /// Creates a product and returns its id.
    pub(crate) async fn product(&self, price: &str, stock: u64) -> u64 {
        let body = json!({"name": "Widget", "price": price, "stock": stock});
        self.post("/api/v1/products", &body).await.expect(201)["data"]["id"].as_u64().unwrap()
    }

    /// What clients can see of products and orders.
    pub(crate) async fn look(&self) -> (Value, Value) {
        let products = self.get("/api/v1/products").await.expect(200);
        let orders = self.get("/api/v1/orders?limit=1000").await.expect(200);
        (products, orders)
    }

    /// Sends raw bytes and returns the answer, until the server closes or is silent for a while.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> Raw {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // A server that refuses early may close before everything is written.
        let _ = stream.write_all(bytes).await;
        read_all(&mut stream, Duration::from_millis(1500)).await
    }
}

/// The answer, and whether the server closed the connection.
#[derive(Debug)]
pub(crate) struct Raw {
    pub(crate) text: String,
    pub(crate) closed: bool,
}

impl Raw {
    /// The status of the first answer, if there is one.
    pub(crate) fn status(&self) -> Option<u16> {
        self.text.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
    }
}

pub(crate) async fn read_all(stream: &mut TcpStream, quiet: Duration) -> Raw {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    let closed = loop {
        match tokio::time::timeout(quiet, stream.read(&mut piece)).await {
            Ok(Ok(0) | Err(_)) => break true,
            Ok(Ok(length)) => bytes.extend_from_slice(&piece[..length]),
            Err(_) => break false,
        }
    };
    Raw { text: String::from_utf8_lossy(&bytes).into_owned(), closed }
}

#[derive(Clone, Debug)]
pub(crate) struct Call {
    method: Method,
    target: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Call {
    pub(crate) fn new(method: &str, target: &str) -> Call {
        Call {
            method: Method::from_bytes(method.as_bytes()).unwrap(),
            target: target.to_owned(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }

    pub(crate) fn json(method: &str, target: &str, body: &Value) -> Call {
        Call::text(method, target, body.to_string())
    }

    pub(crate) fn text(method: &str, target: &str, body: impl Into<Bytes>) -> Call {
        let call = Call::new(method, target).with_body(body);
        call.header("content-type", "application/json")
    }

    pub(crate) fn method(&self) -> &str {
        self.method.as_str()
    }

    pub(crate) fn target(&self) -> &str {
        &self.target
    }

    pub(crate) fn with_body(self, body: impl Into<Bytes>) -> Call {
        Call { body: body.into(), ..self }
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Call {
        self.headers.append(name, value.parse().unwrap());
        self
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    /// The body of an answer with this status and the headers that every answer has.
    #[track_caller]
    pub(crate) fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        self.check_headers();
        if self.body.is_empty() { Value::Null } else { self.json() }
    }

    /// The body of a problem with this status and code.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, code: &str) -> Value {
        let problem = self.expect(status);
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        assert_eq!(problem["error"], code, "{problem}");
        assert_eq!(problem["status"], status);
        assert_eq!(problem["success"], false);
        assert_eq!(problem["message"], problem["detail"]);
        assert_eq!(problem["type"], format!("/problems/{}", code.replace('_', "-")));
        assert_eq!(problem["trace_id"].as_str(), self.header("x-trace-id"));
        assert!(problem["title"].is_string() && problem["retryable"].is_boolean());
        assert_eq!(problem["errors"].is_object(), code == "validation_error", "{problem}");
        assert_eq!(self.headers.contains_key("retry-after"), matches!(status, 425 | 429 | 503));
        problem
    }

    /// The code of a problem.
    #[track_caller]
    pub(crate) fn problem_code(&self) -> String {
        self.json()["error"].as_str().expect("a problem").to_owned()
    }

    /// Checks that it is a stream of events.
    #[track_caller]
    pub(crate) fn expect_stream(&self) {
        assert_eq!(self.status, 200, "{}", String::from_utf8_lossy(&self.body));
        assert_eq!(self.header("content-type"), Some(EVENT_STREAM));
        self.check_headers();
    }

    /// Checks that a validation error names a field.
    #[track_caller]
    pub(crate) fn invalid(&self, field: &str) {
        let problem = self.problem(422, "validation_error");
        assert!(problem["errors"][field].is_array(), "no {field} in {problem}");
    }

    #[track_caller]
    pub(crate) fn check_headers(&self) {
        assert!(self.header("x-trace-id").is_some_and(|trace| !trace.is_empty()));
        assert!(self.header("x-position").is_some_and(|text| text.parse::<u64>().is_ok()));
        assert_eq!(self.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(self.header("x-frame-options"), Some("DENY"));
        let is_stream = self.header("content-type") == Some(EVENT_STREAM);
        // A file of the console may be kept. Its tag is 32 digits in quotes.
        let is_file = self.header("etag").is_some_and(|tag| tag.len() == 34);
        let cache = match (is_stream, is_file) {
            (true, _) => "no-store, no-transform",
            (_, true) => "no-cache",
            _ => "no-store",
        };
        assert_eq!(self.header("cache-control"), Some(cache));
    }
}

/// An order of one line that nothing settles.
pub(crate) fn order(product: u64, quantity: u64) -> Value {
    json!({
        "items": [{"product_id": product, "quantity": quantity}],
        "payment_method": "none",
    })
}
