//! One HTTP request, one outcome: no retry, no redirect, a deadline, a fresh connection.
//!
//! What matters is what is known afterwards: the request was certainly never sent, was answered, or
//! may have had an effect without an answer.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// The secret of the signed payment webhooks.
pub(crate) const WEBHOOK_SECRET: &str = "whsec-of-jepsen-0123456789";

/// The time limit for connecting.
const CONNECT_MAX: Duration = Duration::from_secs(1);

/// The longest answer, many times the size of a page of a thousand orders.
const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The outcome of a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Answered {
    /// The node answered with this status and this body.
    Yes {
        /// The HTTP status.
        status: u16,
        /// The body; null when there is none or it is not JSON.
        body: Value,
    },
    /// It was certainly never sent.
    NotSent(String),
    /// It was sent, or may have been, and no answer arrived.
    Lost(String),
}

/// Sends one request and waits for its answer.
pub async fn ask(
    to: SocketAddr,
    method: Method,
    path: &str,
    key: Option<&str>,
    body: Option<&Value>,
    deadline: Duration,
) -> Answered {
    let stream = match connect(to).await {
        Ok(stream) => stream,
        Err(error) => return Answered::NotSent(error),
    };
    let request = request(to, method, path, key, body);
    match tokio::time::timeout(deadline, exchange(stream, request)).await {
        Ok(Ok((status, body))) => {
            let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
            Answered::Yes { status, body }
        }
        Ok(Err(error)) => Answered::Lost(error),
        Err(_) => Answered::Lost("timeout".to_owned()),
    }
}

/// Fetches a page that is not JSON; `None` unless the answer is a success.
pub async fn page(to: SocketAddr, path: &str, deadline: Duration) -> Option<String> {
    let asked = async {
        let stream = connect(to).await.ok()?;
        let (status, body) =
            exchange(stream, request(to, Method::GET, path, None, None)).await.ok()?;
        String::from_utf8(body.to_vec()).ok().filter(|_| status == 200)
    };
    tokio::time::timeout(deadline, asked).await.ok()?
}

async fn connect(to: SocketAddr) -> Result<TcpStream, String> {
    match tokio::time::timeout(CONNECT_MAX, TcpStream::connect(to)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(format!("connect: {}", error.kind())),
        Err(_) => Err("connect: timed out".to_owned()),
    }
}

fn request(
    to: SocketAddr,
    method: Method,
    path: &str,
    key: Option<&str>,
    body: Option<&Value>,
) -> Request<Full<Bytes>> {
    let mut builder = Request::builder()
        .method(method)
        .uri(path)
        .header("host", to.to_string())
        .header("connection", "close");
    if let Some(key) = key {
        builder = builder.header("idempotency-key", key);
    }
    let bytes = body.map(|body| Bytes::from(body.to_string()));
    if path.ends_with("/payments/webhook") {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let signed = bytes.as_deref().unwrap_or_default();
        if let Some(value) = client::signature(&[WEBHOOK_SECRET], now.as_secs(), signed) {
            builder = builder.header(client::wire::SIGNATURE, value);
        }
    }
    if bytes.is_some() {
        builder = builder.header("content-type", "application/json");
    }
    builder.body(Full::new(bytes.unwrap_or_default())).expect("paths and keys are plain text")
}

async fn exchange(
    stream: TcpStream,
    request: Request<Full<Bytes>>,
) -> Result<(u16, Bytes), String> {
    let io = TokioIo::new(stream);
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(io).await.map_err(|error| error.to_string())?;
    let connection = tokio::spawn(connection);
    let answer = async {
        let response =
            sender.send_request(request).await.map_err(|error| format!("send: {error}"))?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), BODY_BYTES_MAX);
        let bytes = body.collect().await.map_err(|error| format!("read: {error}"))?.to_bytes();
        Ok((status, bytes))
    }
    .await;
    connection.abort();
    answer
}
