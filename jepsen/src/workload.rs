//! Workloads: what clients request. Each request has one outcome, and everything is recorded.
//!
//! A client asks a random node, and never retries. After an unknown outcome it continues under a
//! new number, as the format of histories requires.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hyper::Method;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use crate::history::{Event, Kind, Process, Recorder};
use crate::http::{self, Answered};
use crate::net;

/// How long a client waits for an answer.
const DEADLINE: Duration = Duration::from_secs(5);

/// The prefix of names of holds in the history.
const HOLD: &str = "hold-";

/// What clients do. The shares need not add up to anything.
#[derive(Debug, Clone, Copy)]
pub struct Workload {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is for.
    pub about: &'static str,
    /// The number of products.
    pub products: u64,
    /// Initial units of each product.
    pub stock: u64,
    /// How orders are paid, by turns: `none`, `mock` or `webhook`.
    pub payments: &'static [&'static str],
    place: u32,
    /// Share of orders, in percent, that are holds. The history has a hold as an order that nobody
    /// pays: a released one is cancelled, an expired one has failed.
    hold: u32,
    /// Shares of orders, in percent, that repeat a recent key or name two products.
    repeat: u32,
    pair: u32,
    cancel: u32,
    read_product: u32,
    read_order: u32,
    /// Share of results that a payment provider reports.
    pay: u32,
    /// Share of reads, in percent, that allow an old state.
    stale: u32,
    /// Flags of the nodes.
    pub flags: &'static [&'static str],
}

/// A payment gateway that is slow, often gives no answer, and is soon asked again.
const BAD_GATEWAY: &[&str] = &[
    "--payment-error-rate",
    "0.4",
    "--payment-delay-ms",
    "10-1500",
    "--payment-backoff-ms",
    "100,500,1000",
];

/// All workloads.
pub const ALL: [Workload; 6] = [
    Workload {
        name: "hot",
        about: "one product that everybody wants and that is sold out most of the time",
        products: 1,
        stock: 60,
        payments: &["none"],
        place: 45,
        hold: 0,
        repeat: 10,
        pair: 0,
        cancel: 25,
        read_product: 20,
        read_order: 10,
        pay: 0,
        stale: 0,
        flags: &[],
    },
    Workload {
        name: "many",
        about: "many products, some orders of two of them",
        products: 10,
        stock: 40,
        payments: &["none"],
        place: 45,
        hold: 0,
        repeat: 10,
        pair: 10,
        cancel: 20,
        read_product: 25,
        read_order: 10,
        pay: 0,
        stale: 0,
        flags: &[],
    },
    Workload {
        name: "keys",
        about: "one idempotency key from many clients at once, again and again",
        products: 2,
        stock: 150,
        payments: &["none"],
        place: 60,
        hold: 0,
        repeat: 85,
        pair: 0,
        cancel: 15,
        read_product: 15,
        read_order: 10,
        pay: 0,
        stale: 0,
        flags: &[],
    },
    Workload {
        name: "payments",
        about: "cancels against payments by webhook and by a bad gateway, half of them declined",
        products: 4,
        stock: 150,
        payments: &["webhook", "mock", "webhook"],
        place: 40,
        hold: 0,
        repeat: 5,
        pair: 0,
        cancel: 25,
        read_product: 15,
        read_order: 15,
        pay: 20,
        stale: 0,
        flags: BAD_GATEWAY,
    },
    Workload {
        name: "holds",
        about: "holds that are released or expire within seconds, beside orders",
        products: 2,
        stock: 60,
        payments: &["none"],
        place: 45,
        hold: 70,
        repeat: 10,
        pair: 0,
        cancel: 30,
        read_product: 25,
        read_order: 0,
        pay: 0,
        stale: 0,
        flags: &[],
    },
    Workload {
        name: "reads",
        about: "reads at every level against a few orders",
        products: 2,
        stock: 60,
        payments: &["none"],
        place: 25,
        hold: 0,
        repeat: 5,
        pair: 0,
        cancel: 15,
        read_product: 40,
        read_order: 20,
        pay: 0,
        stale: 30,
        flags: &[],
    },
];

impl Workload {
    /// The workload of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        ALL.into_iter().find(|workload| workload.name == name)
    }
}

/// What all clients share.
#[derive(Debug)]
pub struct Shop {
    workload: Workload,
    nodes: usize,
    recorder: Arc<Recorder>,
    next_process: AtomicU64,
    next_key: AtomicU64,
    known: Mutex<Known>,
    stopped: AtomicBool,
}

#[derive(Debug, Default)]
struct Known {
    /// Orders, the youngest last; several clients read a few of them again and again.
    orders: Vec<String>,
    /// Requests that were made, by key.
    requests: Vec<(String, Vec<(u64, u64)>)>,
    /// Payment results that were reported.
    reports: Vec<(String, Value)>,
}

/// A request of a client.
#[derive(Debug, Clone)]
struct Ask {
    f: &'static str,
    value: Value,
    method: Method,
    path: String,
    key: Option<String>,
    body: Option<Value>,
}

impl Shop {
    /// A shop whose history goes to `recorder`.
    #[must_use]
    pub fn new(workload: Workload, nodes: usize, recorder: Arc<Recorder>) -> Self {
        Self {
            workload,
            nodes,
            recorder,
            next_process: AtomicU64::new(1),
            next_key: AtomicU64::new(1),
            known: Mutex::new(Known::default()),
            stopped: AtomicBool::new(false),
        }
    }

    /// Makes all clients end after their current request.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Creates the products.
    ///
    /// # Errors
    /// When a node refuses one or numbers them unexpectedly.
    pub async fn create_products(&self) -> Result<(), String> {
        let process = self.next_process.fetch_add(1, Ordering::Relaxed);
        for product in 1..=self.workload.products {
            let stock = self.workload.stock;
            let value = json!({"product": product.to_string(), "stock": stock});
            let name = format!("Product {product}");
            let ask = Ask {
                f: "create_product",
                value,
                method: Method::POST,
                path: "/api/v1/products".to_owned(),
                key: None,
                body: Some(json!({"name": name, "price": "9.99", "stock": stock})),
            };
            let (_, answer) = self.perform(process, &ask, 1).await;
            match answer {
                Answered::Yes { status: 201, body } if body["data"]["id"] == product => {}
                other => return Err(format!("product {product} was not created: {other:?}")),
            }
        }
        Ok(())
    }

    /// One client, until the shop is stopped. It sends a request every `pause` on average.
    pub async fn client(self: Arc<Self>, seed: u64, pause: Duration) {
        let mut random = StdRng::seed_from_u64(seed);
        let mut process = self.next_process.fetch_add(1, Ordering::Relaxed);
        while !self.stopped.load(Ordering::Relaxed) {
            let node = random.random_range(1..=self.nodes);
            let ask = self.choose(&mut random);
            let (kind, answer) = self.perform(process, &ask, node).await;
            if kind == Kind::Info {
                process = self.next_process.fetch_add(1, Ordering::Relaxed);
            }
            if let (Kind::Ok, "place_order", Answered::Yes { body, .. }) = (kind, ask.f, &answer) {
                let order = placed(&body["data"]);
                let mut known = self.known();
                known.orders.push(order);
            }
            tokio::time::sleep(pause.mul_f64(random.random_range(0.2..1.8))).await;
        }
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn perform(&self, process: u64, ask: &Ask, node: usize) -> (Kind, Answered) {
        let event = |kind, value, error| Event {
            process: Process::Client(process),
            kind,
            f: ask.f.to_owned(),
            value,
            error,
            time: 0,
            node: Some(format!("n{node}")),
        };
        self.recorder.note(event(Kind::Invoke, ask.value.clone(), None));
        let to = net::http(node);
        let key = ask.key.as_deref();
        let answer =
            http::ask(to, ask.method.clone(), &ask.path, key, ask.body.as_ref(), DEADLINE).await;
        let (kind, value, error) = outcome(ask.f, &answer);
        self.recorder.note(event(kind, value, error));
        (kind, answer)
    }

    fn choose(&self, random: &mut StdRng) -> Ask {
        let workload = &self.workload;
        let none_yet = self.known().orders.is_empty();
        let cancel = if none_yet { 0 } else { workload.cancel };
        let read_order = if none_yet { 0 } else { workload.read_order };
        let pay = if none_yet { 0 } else { workload.pay };
        let all = workload.place + cancel + read_order + workload.read_product + pay;
        let choice = random.random_range(0..all);
        if choice < workload.place {
            return self.place(random);
        }
        let stale = random.random_range(0..100) < workload.stale;
        let level = if stale { "?consistency=stale" } else { "" };
        let get = |f, mut value: Value, path: String| {
            if stale {
                value["stale"] = json!(true);
            }
            let path = format!("{path}{level}");
            Ask { f, value, method: Method::GET, path, key: None, body: None }
        };
        if choice < workload.place + cancel {
            let order = self.known_order(random);
            let value = json!({"order": order});
            if let Some(hold) = order.strip_prefix(HOLD) {
                let path = format!("/api/v1/holds/{hold}");
                let method = Method::DELETE;
                return Ask { f: "cancel", value, method, path, key: None, body: None };
            }
            let path = format!("/api/v1/orders/{order}/cancel");
            let body = Some(json!({}));
            return Ask { f: "cancel", value, method: Method::POST, path, key: None, body };
        }
        if choice < workload.place + cancel + read_order {
            let order = self.known_order(random);
            return get("read_order", json!({"order": order}), format!("/api/v1/orders/{order}"));
        }
        if choice < workload.place + cancel + read_order + pay {
            return self.report_payment(random);
        }
        let product = random.random_range(1..=workload.products);
        let value = json!({"product": product.to_string()});
        get("read_product", value, format!("/api/v1/products/{product}"))
    }

    /// A provider's report, sometimes repeated. Its answer has the order's status, so the history
    /// has it as a read of the order; the payment itself is not in the history.
    fn report_payment(&self, random: &mut StdRng) -> Ask {
        let order = self.known_order(random);
        let mut known = self.known();
        let (order, body) = if !known.reports.is_empty() && random.random_bool(0.2) {
            let back = random.random_range(1..=known.reports.len().min(30));
            known.reports[known.reports.len() - back].clone()
        } else {
            let number = self.next_key.fetch_add(1, Ordering::Relaxed);
            let status = if random.random_bool(0.5) { "success" } else { "failure" };
            let body = json!({
                "idempotency_key": format!("w{number}"),
                "order_id": order.parse::<u64>().unwrap_or(0),
                "status": status,
            });
            known.reports.push((order.clone(), body.clone()));
            (order, body)
        };
        Ask {
            f: "read_order",
            value: json!({"order": order}),
            method: Method::POST,
            path: "/api/v1/payments/webhook".to_owned(),
            key: None,
            body: Some(body),
        }
    }

    /// Mostly a young order, so that several clients use the same one at the same time.
    fn known_order(&self, random: &mut StdRng) -> String {
        let known = self.known();
        let back = random.random_range(1..=known.orders.len().min(30));
        known.orders[known.orders.len() - back].clone()
    }

    fn place(&self, random: &mut StdRng) -> Ask {
        let again = random.random_range(0..100) < self.workload.repeat;
        let mut known = self.known();
        let (key, lines) = if again && !known.requests.is_empty() {
            let back = random.random_range(1..=known.requests.len().min(3));
            let (key, mut lines) = known.requests[known.requests.len() - back].clone();
            if random.random_range(0..100) < 5 {
                lines[0].1 += 1;
            }
            (key, lines)
        } else {
            let number = self.next_key.fetch_add(1, Ordering::Relaxed);
            let product = random.random_range(1..=self.workload.products);
            let mut lines = vec![(product, random.random_range(1..=3))];
            if random.random_range(0..100) < self.workload.pair {
                let other = product % self.workload.products + 1;
                lines.push((other, random.random_range(1..=3)));
            }
            let is_hold = random.random_range(0..100) < self.workload.hold;
            let request = (format!("{}{number}", if is_hold { 'h' } else { 'k' }), lines);
            known.requests.push(request.clone());
            request
        };
        let lines = |name: (&str, &str)| -> Vec<Value> {
            let line = |(product, qty): &(u64, u64)| json!({name.0: product, name.1: qty});
            lines.iter().map(line).collect()
        };
        let items: Vec<Value> = lines(("p", "q"))
            .iter()
            .map(|line| json!([line["p"].to_string(), line["q"]]))
            .collect();
        // Determined by the key, since a repeated request must be the same.
        let number: usize = key[1..].parse().unwrap_or(0);
        let payment = self.workload.payments[number % self.workload.payments.len()];
        let is_hold = key.starts_with('h');
        let body = if is_hold {
            json!({
                "items": lines(("product_id", "quantity")),
                "ttl_seconds": 1 + number % 5,
            })
        } else {
            json!({
                "user_id": 1,
                "items": lines(("product_id", "quantity")),
                "payment_method": payment,
            })
        };
        let path = if is_hold { "/api/v1/holds" } else { "/api/v1/orders" };
        Ask {
            f: "place_order",
            value: json!({"key": key, "items": items}),
            method: Method::POST,
            path: path.to_owned(),
            key: Some(key),
            body: Some(body),
        }
    }
}

/// The outcome that an answer means, in the words of the history.
fn outcome(f: &str, answer: &Answered) -> (Kind, Value, Option<String>) {
    match answer {
        Answered::NotSent(error) => (Kind::Fail, Value::Null, Some(error.clone())),
        Answered::Lost(error) => (Kind::Info, Value::Null, Some(error.clone())),
        Answered::Yes { status: 200..=299, body } => (Kind::Ok, result(f, &body["data"]), None),
        Answered::Yes { status, body } => {
            let error = body["error"].as_str().unwrap_or("no reason").to_owned();
            let known = matches!(body["outcome"].as_str(), Some("rejected" | "not_applied"));
            let refused = (400..500).contains(status) || *status == 503;
            let kind = if known && refused { Kind::Fail } else { Kind::Info };
            (kind, Value::Null, Some(error))
        }
    }
}

fn result(f: &str, data: &Value) -> Value {
    match f {
        "place_order" => json!({"order": placed(data)}),
        "read_product" => json!({"product": data["id"].to_string(), "stock": data["stock"]}),
        // The answer to a webhook has only the order's status.
        "read_order" if data["order_status"].is_string() => {
            json!({"status": data["order_status"]})
        }
        "read_order" => order(data),
        _ => Value::Null,
    }
}

/// The name of what was placed: an order, or a hold.
fn placed(data: &Value) -> String {
    if data["expires_at"].is_string() {
        hold_name(&data["hold_id"])
    } else {
        data["id"].to_string()
    }
}

/// The name of a hold, by its number.
#[must_use]
pub fn hold_name(number: &Value) -> String {
    format!("{HOLD}{number}")
}

/// A hold in the words of the history: an order that nobody pays.
#[must_use]
pub fn hold(data: &Value) -> Value {
    let mut value = order(data);
    value["order"] = json!(placed(data));
    value["status"] = json!(match data["status"].as_str() {
        Some("active") => "PENDING",
        Some("released") => "CANCELLED",
        Some("expired") => "FAILED",
        _ => "PAID",
    });
    value
}

/// Whether an order of the history is a hold.
#[must_use]
pub fn is_hold(order: &str) -> bool {
    order.starts_with(HOLD)
}

/// An order in the words of the history.
#[must_use]
pub fn order(data: &Value) -> Value {
    let items: Vec<Value> = data["items"]
        .as_array()
        .map(|items| items.iter())
        .into_iter()
        .flatten()
        .map(|item| json!([item["product_id"].to_string(), item["quantity"]]))
        .collect();
    json!({
        "order": data["id"].to_string(),
        "key": data["idempotency_key"],
        "items": items,
        "status": data["status"],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_request_without_effect_is_a_failure() {
        let said = |status, outcome: &str| Answered::Yes {
            status,
            body: json!({"error": "e", "outcome": outcome}),
        };
        for (answer, kind) in [
            (Answered::NotSent(String::new()), Kind::Fail),
            (Answered::Lost(String::new()), Kind::Info),
            (said(409, "rejected"), Kind::Fail),
            (said(503, "not_applied"), Kind::Fail),
            (said(504, "unknown"), Kind::Info),
            (said(503, "unknown"), Kind::Info),
            (said(500, "not_applied"), Kind::Info),
            (Answered::Yes { status: 502, body: Value::Null }, Kind::Info),
            (Answered::Yes { status: 201, body: json!({"data": {"id": 1}}) }, Kind::Ok),
        ] {
            assert_eq!(outcome("place_order", &answer).0, kind, "{answer:?}");
        }
    }
}
