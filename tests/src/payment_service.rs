//! A payment service that keeps docs/GATEWAY.md, loses some requests and some answers, and knows
//! what it charged.
//!
//! It does not check signatures: `holdfast gateway check` and its example services do.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// How long some payments pend.
const PENDS: Duration = Duration::from_millis(700);

/// A running service. Dropping it ends it.
#[derive(Debug)]
pub struct PaymentService {
    address: SocketAddr,
    ledger: Arc<Mutex<Ledger>>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Ledger {
    requests: u64,
    /// Whether some requests and answers are lost.
    loses: bool,
    /// Whether all requests are answered with 401.
    refuses: bool,
    payments: BTreeMap<String, Payment>,
    /// What was given back, by key: the order and the amount.
    refunds: BTreeMap<String, (u64, i64)>,
    /// The keys of refunds that a request was about while it `loses`.
    asked_about: BTreeSet<String>,
}

#[derive(Debug)]
struct Payment {
    body: Bytes,
    order: u64,
    amount: i64,
    is_charged: bool,
    since: Instant,
}

impl PaymentService {
    /// Starts a service. Every fifth order is declined, every fifth pends at first. If it `loses`,
    /// two of nine requests get 500, one of them after it had its effect.
    ///
    /// # Panics
    /// When it cannot listen.
    pub async fn start(loses: bool) -> PaymentService {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it listens");
        let ledger = Arc::new(Mutex::new(Ledger { loses, ..Ledger::default() }));
        let shared = Arc::clone(&ledger);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&shared);
                let service = service_fn(move |request| answer(Arc::clone(&shared), request));
                tokio::spawn(async move {
                    let io = TokioIo::new(stream);
                    // A client that goes away is no failure of the test.
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(io, service)
                        .await;
                });
            }
        });
        PaymentService { address, ledger, task }
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on some requests and answers are lost.
    pub fn lose(&self) {
        lock(&self.ledger).loses = true;
    }

    /// From now on every request gets 401, or none does.
    pub fn refuse(&self, refuses: bool) {
        lock(&self.ledger).refuses = refuses;
    }

    /// The amounts that it gave back for an order, one for each refund.
    #[must_use]
    pub fn refunds(&self, order: u64) -> Vec<i64> {
        let ledger = lock(&self.ledger);
        let of_order = ledger.refunds.values().filter(|(of, _)| *of == order);
        of_order.map(|(_, amount)| *amount).collect()
    }

    /// How many requests it got.
    #[must_use]
    pub fn requests(&self) -> u64 {
        lock(&self.ledger).requests
    }

    /// The amounts that it charged for an order, one for each charge.
    #[must_use]
    pub fn charges(&self, order: u64) -> Vec<i64> {
        let ledger = lock(&self.ledger);
        let of_order = ledger.payments.values().filter(|payment| payment.order == order);
        of_order.filter(|payment| payment.is_charged).map(|payment| payment.amount).collect()
    }
}

impl Drop for PaymentService {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(ledger: &Mutex<Ledger>) -> std::sync::MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn answer(
    ledger: Arc<Mutex<Ledger>>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let key = head.uri.path().rsplit('/').next().unwrap_or_default().to_owned();
    let is_refund = head.uri.path().contains("/refunds/");
    let decide = if is_refund { give_back } else { decide };
    let (status, body) = decide(&mut lock(&ledger), &head.method, &key, body);
    let mut response = Response::new(Full::new(body.to_string().into()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
    Ok(response)
}

fn decide(ledger: &mut Ledger, method: &Method, key: &str, body: Bytes) -> (u16, Value) {
    ledger.requests += 1;
    if ledger.refuses {
        return (401, json!({"error": "signature"}));
    }
    let loses = if ledger.loses { ledger.requests % 9 } else { 0 };
    if loses == 4 {
        return (500, json!({"error": "lost before it had an effect"}));
    }
    if *method == Method::PUT && !ledger.payments.contains_key(key) {
        let read: Value = serde_json::from_slice(&body).unwrap_or_default();
        let order = read["order_id"].as_u64().unwrap_or_default();
        let amount = read["amount_minor"].as_i64().unwrap_or_default();
        let (is_charged, since) = (!order.is_multiple_of(5), Instant::now());
        let payment = Payment { body: body.clone(), order, amount, is_charged, since };
        ledger.payments.insert(key.to_owned(), payment);
    }
    let Some(payment) = ledger.payments.get(key) else {
        return (404, json!({"status": "unseen"}));
    };
    if loses == 7 {
        return (500, json!({"error": "lost after it had its effect"}));
    }
    if *method == Method::PUT && payment.body != body {
        return (422, json!({"error": "the key was used for another request"}));
    }
    if payment.order % 5 == 1 && payment.since.elapsed() < PENDS {
        return (202, json!({"status": "pending", "retry_in_ms": 1_000}));
    }
    match payment.is_charged {
        true => (200, json!({"status": "succeeded", "amount_minor": payment.amount})),
        false => (200, json!({"status": "declined", "reason": "no funds"})),
    }
}

/// Takes a request about a refund. The first one of each key is lost, in turns before and after it
/// had its effect.
fn give_back(ledger: &mut Ledger, method: &Method, key: &str, body: Bytes) -> (u16, Value) {
    ledger.requests += 1;
    let read: Value = serde_json::from_slice(&body).unwrap_or_default();
    let is_lost = ledger.loses && ledger.asked_about.insert(key.to_owned());
    if is_lost && ledger.asked_about.len().is_multiple_of(2) {
        return (500, json!({"error": "lost before it had an effect"}));
    }
    if *method == Method::PUT && !ledger.refunds.contains_key(key) {
        let order = read["order_id"].as_u64().unwrap_or_default();
        let amount = read["amount_minor"].as_i64().unwrap_or_default();
        ledger.refunds.insert(key.to_owned(), (order, amount));
    }
    match ledger.refunds.get(key) {
        None => (404, json!({"status": "unseen"})),
        Some(_) if is_lost => (500, json!({"error": "lost after it had its effect"})),
        Some((_, amount)) => (200, json!({"status": "succeeded", "amount_minor": amount})),
    }
}
