//! Plain HTTP to any node: no retry, no redirect, no type of the server's; and the one place
//! where tests get the client that does retry.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::{HeaderName, HeaderValue};
use hyper::{HeaderMap, Method, Request};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use serde_json::Value;

use crate::answer::Answer;
use crate::moment::now_ms;
use crate::seed::any_node;

const SIGNATURE: HeaderName = HeaderName::from_static(client::wire::SIGNATURE);

/// How long one call may take. It is longer than any deadline of the server, so a call that
/// takes longer means that the server forgot a request.
const CALL: Duration = Duration::from_secs(30);

/// One request to a node.
#[derive(Debug, Clone)]
pub struct Call {
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Call {
    /// A request without a body.
    ///
    /// # Panics
    /// When the method is no HTTP method.
    #[must_use]
    pub fn new(method: &str, path: impl Into<String>) -> Self {
        let method = Method::from_bytes(method.as_bytes()).expect("a test names a method");
        Self { method, path: path.into(), headers: HeaderMap::new(), body: Bytes::new() }
    }

    /// `GET path`.
    #[must_use]
    pub fn get(path: impl Into<String>) -> Self {
        Self::new("GET", path)
    }

    /// `POST path` with a JSON body.
    #[must_use]
    pub fn post(path: impl Into<String>, body: &Value) -> Self {
        Self::new("POST", path).json(body)
    }

    /// `PUT path` with a JSON body.
    #[must_use]
    pub fn put(path: impl Into<String>, body: &Value) -> Self {
        Self::new("PUT", path).json(body)
    }

    /// `PATCH path` with a JSON body.
    #[must_use]
    pub fn patch(path: impl Into<String>, body: &Value) -> Self {
        Self::new("PATCH", path).json(body)
    }

    /// `DELETE path`.
    #[must_use]
    pub fn delete(path: impl Into<String>) -> Self {
        Self::new("DELETE", path)
    }

    /// The same with a JSON body and its content type.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json").body(body.to_string())
    }

    /// The same with these bytes as its body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// The same with one more header.
    ///
    /// # Panics
    /// When HTTP forbids the name or the value; [`crate::raw`] sends such requests.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a test names a header");
        let value = HeaderValue::from_str(value).expect("a test gives a header's value");
        self.headers.append(name, value);
        self
    }

    /// The same with an idempotency key.
    #[must_use]
    pub fn key(self, key: &str) -> Self {
        self.header("idempotency-key", key)
    }

    /// The same as a read of the node's local state.
    #[must_use]
    pub fn stale(self) -> Self {
        self.header("x-consistency", "stale")
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoAnswer {
    /// No connection was made, so the request certainly has no effect.
    NotSent(String),
    /// The connection ended and the request may have arrived: its outcome is unknown.
    Lost(String),
    /// The connection stands, but nothing came back for longer than any deadline of the server.
    Silence,
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSent(why) => write!(formatter, "not sent: {why}"),
            Self::Lost(why) => write!(formatter, "sent, no answer: {why}"),
            Self::Silence => write!(formatter, "sent, no answer within {CALL:?}"),
        }
    }
}

/// Sends calls to the nodes of one cluster. Cheap to clone into tasks; it outlives restarts,
/// since a node keeps its address.
#[derive(Debug, Clone)]
pub struct Caller {
    client: Client<HttpConnector, Full<Bytes>>,
    nodes: Arc<[SocketAddr]>,
    webhook_secret: Option<&'static str>,
}

impl Caller {
    /// A caller of nodes 1, 2, … at these addresses.
    #[must_use]
    pub fn new(nodes: Vec<SocketAddr>) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(Duration::from_secs(5)));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            // Shorter than the server's, which otherwise closes a connection that is being used.
            .pool_idle_timeout(Duration::from_secs(5))
            .retry_canceled_requests(false)
            .build(connector);
        Self { client, nodes: nodes.into(), webhook_secret: None }
    }

    /// The same, which signs payment webhooks that carry no signature with this secret.
    #[must_use]
    pub fn signing(mut self, secret: &'static str) -> Self {
        self.webhook_secret = Some(secret);
        self
    }

    /// The same, which sends payment webhooks as they are.
    #[must_use]
    pub fn unsigned(mut self) -> Self {
        self.webhook_secret = None;
        self
    }

    /// The secrets that payment webhooks are to be signed with.
    #[must_use]
    pub fn webhook_secrets(&self) -> Vec<&'static str> {
        self.webhook_secret.into_iter().collect()
    }

    /// The signature that a call should carry and does not.
    fn signature(&self, call: &Call) -> Option<HeaderValue> {
        let is_webhook = call.path.ends_with("/payments/webhook");
        if !is_webhook || call.headers.contains_key(SIGNATURE) {
            return None;
        }
        let value = client::signature(&self.webhook_secrets(), now_ms() / 1_000, &call.body)?;
        Some(HeaderValue::from_str(&value).expect("digits and letters"))
    }

    /// How many nodes there are.
    #[must_use]
    pub fn nodes(&self) -> u64 {
        self.nodes.len() as u64
    }

    /// The ids of all nodes.
    pub fn all(&self) -> std::ops::RangeInclusive<u64> {
        1..=self.nodes()
    }

    /// The HTTP address of a node.
    ///
    /// # Panics
    /// When there is no such node.
    #[must_use]
    pub fn address(&self, node: u64) -> SocketAddr {
        let index = node.checked_sub(1).and_then(|index| usize::try_from(index).ok());
        let address = index.and_then(|index| self.nodes.get(index));
        *address.unwrap_or_else(|| panic!("the cluster has no node {node}"))
    }

    /// The base URL of every node.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(|address| format!("http://{address}")).collect()
    }

    /// A typed client that retries by outcome class, asking the nodes in an order that `random`
    /// picks.
    ///
    /// # Panics
    /// When it cannot be built.
    #[must_use]
    pub fn retrying(&self, random: &mut StdRng) -> client::Client {
        let mut urls = self.urls();
        urls.shuffle(random);
        let client = client::Client::builder().base_urls(urls).deadline(CALL).attempts_max(100);
        client.build().expect("addresses make URLs")
    }

    /// Sends a call to a node.
    ///
    /// # Errors
    /// When no whole answer came back in time.
    pub async fn send(&self, node: u64, call: &Call) -> Result<Answer, NoAnswer> {
        let asked = format!("{} {} on node {node}", call.method, call.path);
        let uri = format!("http://{}{}", self.address(node), call.path);
        let mut request = Request::builder().method(call.method.clone()).uri(uri);
        if let Some(headers) = request.headers_mut() {
            headers.clone_from(&call.headers);
            headers.extend(self.signature(call).map(|value| (SIGNATURE, value)));
        }
        let request = request.body(Full::new(call.body.clone()));
        let request = request.unwrap_or_else(|error| panic!("{asked}: {error}"));
        let exchange = async {
            let response = self.client.request(request).await.map_err(|error| {
                let text = chain(&error);
                if error.is_connect() { NoAnswer::NotSent(text) } else { NoAnswer::Lost(text) }
            })?;
            let (head, body) = response.into_parts();
            let body = body.collect().await.map_err(|error| NoAnswer::Lost(chain(&error)))?;
            Ok((head, body.to_bytes()))
        };
        let exchange = tokio::time::timeout(CALL, exchange).await;
        let (head, body) = exchange.unwrap_or(Err(NoAnswer::Silence))?;
        Ok(Answer { asked, status: head.status.as_u16(), headers: head.headers, body })
    }

    /// Sends a call to a node that must answer.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn ask(&self, node: u64, call: &Call) -> Answer {
        let answer = self.send(node, call).await;
        answer
            .unwrap_or_else(|error| panic!("{} {} on node {node}: {error}", call.method, call.path))
    }

    /// Sends a call to a node that `random` picks and that must answer.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn ask_any(&self, random: &mut StdRng, call: &Call) -> Answer {
        self.ask(any_node(random, self.nodes()), call).await
    }

    /// `GET path` on a node that must answer.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn get(&self, node: u64, path: &str) -> Answer {
        self.ask(node, &Call::get(path)).await
    }
}

/// An error with its causes. The client's own text says only that something failed.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
