//! Histories of a shop that is correct by construction, to test checkers.
//!
//! Concurrent processes use a sequential shop in simulated time. Each operation takes effect at one
//! moment between its beginning and its end. Some are never answered; of those some take effect
//! later and some never. A seed determines everything.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use crate::history::{Event, Kind, Process};

/// The kind of history to make.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipe {
    /// Determines everything random.
    pub seed: u64,
    /// Operations, without dumps and the creation of products.
    pub operations: usize,
    /// Concurrent processes, at least 1.
    pub processes: usize,
    /// Products, at least 1.
    pub products: usize,
    /// Initial units of each product.
    pub stock: u64,
    /// Share of operations that are never answered, from 0 to 1.
    pub unknown: f64,
    /// Share of orders that repeat a key that was used before, from 0 to 1.
    pub repeats: f64,
    /// Share of orders that name two products, from 0 to 1.
    pub pairs: f64,
    /// Share of orders that fail by themselves some time later, from 0 to 1, as holds do.
    pub failing: f64,
    /// Share of the time in which hardly anything is answered, from 0 to 1, in periods of many
    /// operations.
    pub outage: f64,
    /// Nodes that dump their state at the end; 0 for a history without an end.
    pub dumps: usize,
    /// Whether the first of them contains the order of movements.
    pub moves: bool,
}

/// How often an outage begins, in nanoseconds.
const OUTAGE_EVERY: u64 = 60_000_000;

/// Share of operations in an outage that are never answered.
const OUTAGE_UNKNOWN: f64 = 0.9;

impl Default for Recipe {
    fn default() -> Self {
        Self {
            seed: 0,
            operations: 200,
            processes: 5,
            products: 2,
            stock: 100,
            unknown: 0.1,
            repeats: 0.1,
            pairs: 0.0,
            failing: 0.0,
            outage: 0.0,
            dumps: 3,
            moves: false,
        }
    }
}

/// A request, to be sent again under its key.
#[derive(Debug, Clone)]
struct Request {
    key: String,
    lines: Vec<(usize, u64)>,
}

/// An operation of a process.
#[derive(Debug, Clone)]
enum Ask {
    Place(Request),
    Cancel(u64),
    ReadProduct(usize),
    ReadOrder(u64),
}

/// An event in simulated time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    /// A process is free for the next operation.
    Ask { seat: usize },
    /// An operation takes effect.
    Effect { operation: usize },
    /// An order fails unless it was cancelled.
    Fail { order: u64 },
    /// An operation is answered, or stops waiting.
    Answer { operation: usize },
}

#[derive(Debug)]
struct Open {
    seat: usize,
    process: u64,
    ask: Ask,
    answer: Option<(Kind, Value, Option<String>)>,
}

#[derive(Debug, Clone)]
struct Order {
    key: String,
    lines: Vec<(usize, u64)>,
    status: &'static str,
}

struct Simulation {
    recipe: Recipe,
    random: StdRng,
    due: BinaryHeap<Reverse<(u64, Due)>>,
    open: BTreeMap<usize, Open>,
    asked: usize,
    next_process: u64,
    seats: Vec<u64>,
    stock: Vec<u64>,
    orders: BTreeMap<u64, Order>,
    by_key: BTreeMap<String, u64>,
    requests: Vec<Request>,
    known_orders: BTreeSet<u64>,
    events: Vec<Event>,
    taken: BTreeSet<u64>,
    moves: Vec<Value>,
}

/// Makes a history.
#[must_use]
pub fn history(recipe: &Recipe) -> Vec<Event> {
    let mut simulation = Simulation {
        random: StdRng::seed_from_u64(recipe.seed),
        due: BinaryHeap::new(),
        open: BTreeMap::new(),
        asked: 0,
        next_process: recipe.processes as u64,
        seats: (0..recipe.processes as u64).collect(),
        stock: vec![recipe.stock; recipe.products],
        orders: BTreeMap::new(),
        by_key: BTreeMap::new(),
        requests: Vec::new(),
        known_orders: BTreeSet::new(),
        events: Vec::new(),
        taken: BTreeSet::new(),
        moves: Vec::new(),
        recipe: recipe.clone(),
    };
    simulation.create();
    for seat in 0..recipe.processes {
        let time = simulation.random.random_range(1_000_000..2_000_000);
        simulation.due.push(Reverse((time, Due::Ask { seat })));
    }
    let mut end = 0;
    while let Some(Reverse((time, due))) = simulation.due.pop() {
        end = time;
        // No two events have the same time, like on a real clock that every line reads.
        if !simulation.taken.insert(time) {
            simulation.due.push(Reverse((time + 1, due)));
            continue;
        }
        match due {
            Due::Ask { seat } => simulation.ask(seat, time),
            Due::Effect { operation } => simulation.effect(operation, time),
            Due::Fail { order } => simulation.give_back(order, "FAILED", time),
            Due::Answer { operation } => simulation.answer(operation, time),
        }
    }
    simulation.dump(end + 1_000_000);
    simulation.events.sort_by_key(|event| event.time);
    simulation.events
}

impl Simulation {
    fn note(&mut self, process: u64, kind: Kind, f: &str, value: Value, time: u64) {
        self.events.push(Event {
            process: Process::Client(process),
            kind,
            f: f.to_owned(),
            value,
            error: None,
            time,
            node: None,
        });
    }

    fn create(&mut self) {
        for product in 0..self.recipe.products {
            let value = json!({"product": name(product), "stock": self.recipe.stock});
            let time = 10 * product as u64;
            self.note(0, Kind::Invoke, "create_product", value, time + 1);
            self.note(0, Kind::Ok, "create_product", Value::Null, time + 2);
        }
    }

    fn ask(&mut self, seat: usize, time: u64) {
        if self.asked == self.recipe.operations {
            return;
        }
        let operation = self.asked;
        self.asked += 1;
        let process = self.seats[seat];
        let ask = self.choose();
        let (f, value) = invocation(&ask);
        self.note(process, Kind::Invoke, f, value, time);
        let effect = time + self.random.random_range(1..1_000_000);
        let answer = effect + self.random.random_range(1..1_000_000);
        let spell = (time % OUTAGE_EVERY) as f64 / OUTAGE_EVERY as f64;
        let is_out = spell < self.recipe.outage;
        let unknown = if is_out { OUTAGE_UNKNOWN } else { self.recipe.unknown };
        if self.random.random_bool(unknown) {
            // Never answered: it takes effect in time, much later, or never.
            match self.random.random_range(0..3) {
                0 => self.due.push(Reverse((effect, Due::Effect { operation }))),
                1 => {
                    let late = effect + self.random.random_range(1..20_000_000);
                    self.due.push(Reverse((late, Due::Effect { operation })));
                }
                _ => {}
            }
            self.note_unknown(process, f, answer);
            self.seats[seat] = self.next_process;
            self.next_process += 1;
            self.due.push(Reverse((answer + 1, Due::Ask { seat })));
        } else {
            self.due.push(Reverse((effect, Due::Effect { operation })));
            self.due.push(Reverse((answer, Due::Answer { operation })));
        }
        self.open.insert(operation, Open { seat, process, ask, answer: None });
    }

    fn note_unknown(&mut self, process: u64, f: &str, time: u64) {
        self.note(process, Kind::Info, f, Value::Null, time);
        let last = self.events.last_mut().expect("an event was just noted");
        last.error = Some("timeout".to_owned());
    }

    fn choose(&mut self) -> Ask {
        let product = self.random.random_range(0..self.recipe.products);
        let known = self.known_orders.len();
        match self.random.random_range(0..10) {
            0..5 => Ask::Place(self.request(product)),
            5..7 if known > 0 => Ask::Cancel(self.known_order()),
            7 if known > 0 => Ask::ReadOrder(self.known_order()),
            _ => Ask::ReadProduct(product),
        }
    }

    fn known_order(&mut self) -> u64 {
        // Mostly young orders, so that others still use some of them.
        let back = self.random.random_range(0..self.known_orders.len().min(8));
        *self.known_orders.iter().nth_back(back).expect("it is within the number of orders")
    }

    fn request(&mut self, product: usize) -> Request {
        if !self.requests.is_empty() && self.random.random_bool(self.recipe.repeats) {
            let back = self.random.random_range(1..=self.requests.len().min(6));
            let mut again = self.requests[self.requests.len() - back].clone();
            if self.random.random_bool(0.1) {
                again.lines[0].1 += 1;
            }
            return again;
        }
        let mut lines = vec![(product, self.random.random_range(1..=3))];
        if self.recipe.products > 1 && self.random.random_bool(self.recipe.pairs) {
            let other = (product + 1) % self.recipe.products;
            lines.push((other, self.random.random_range(1..=3)));
        }
        let request = Request { key: format!("k{}", self.requests.len()), lines };
        self.requests.push(request.clone());
        request
    }

    /// Executes an operation and keeps its answer.
    fn effect(&mut self, operation: usize, time: u64) {
        let ask = self.open[&operation].ask.clone();
        let refused = |error: &str| (Kind::Fail, Value::Null, Some(error.to_owned()));
        let answer = match ask {
            Ask::Place(request) => match self.place(&request, time) {
                Ok(order) => (Kind::Ok, json!({"order": format!("o{order}")}), None),
                Err(error) => refused(error),
            },
            Ask::Cancel(order) if self.orders[&order].status == "FAILED" => {
                refused("not_cancellable")
            }
            Ask::Cancel(order) => {
                self.give_back(order, "CANCELLED", time);
                (Kind::Ok, Value::Null, None)
            }
            Ask::ReadProduct(product) => {
                let value = json!({"product": name(product), "stock": self.stock[product]});
                (Kind::Ok, value, None)
            }
            Ask::ReadOrder(order) => (Kind::Ok, self.order_value(order), None),
        };
        self.open.get_mut(&operation).expect("it is open until it is answered").answer =
            Some(answer);
    }

    fn place(&mut self, request: &Request, time: u64) -> Result<u64, &'static str> {
        if let Some(order) = self.by_key.get(&request.key) {
            let same = self.orders[order].lines == request.lines;
            return if same { Ok(*order) } else { Err("key_conflict") };
        }
        if request.lines.iter().any(|(product, qty)| self.stock[*product] < *qty) {
            return Err("insufficient_stock");
        }
        let id = self.orders.len() as u64 + 1;
        for (product, qty) in &request.lines {
            self.stock[*product] -= qty;
            self.moved(id, *product, -i64::try_from(*qty).unwrap_or(0), time);
        }
        if self.random.random_bool(self.recipe.failing) {
            let later = time + self.random.random_range(1..30_000_000);
            self.due.push(Reverse((later, Due::Fail { order: id })));
        }
        let Request { key, lines } = request.clone();
        self.by_key.insert(key.clone(), id);
        self.orders.insert(id, Order { key, lines, status: "PENDING" });
        Ok(id)
    }

    /// Ends an order that is still open.
    fn give_back(&mut self, id: u64, status: &'static str, time: u64) {
        let order = self.orders.get_mut(&id).expect("only known orders end");
        if order.status != "PENDING" {
            return;
        }
        order.status = status;
        for (product, qty) in order.lines.clone() {
            self.stock[product] += qty;
            self.moved(id, product, i64::try_from(qty).unwrap_or(0), time);
        }
    }

    fn moved(&mut self, order: u64, product: usize, units: i64, time: u64) {
        let (order, product) = (format!("o{order}"), name(product));
        self.moves.push(json!({"index": time, "order": order, "product": product, "units": units}));
    }

    fn answer(&mut self, operation: usize, time: u64) {
        let open = self.open.remove(&operation).expect("it is answered once");
        let (f, _) = invocation(&open.ask);
        let (kind, value, error) = open.answer.expect("it took effect before its answer");
        if let (Ask::Place(_), Kind::Ok) = (&open.ask, kind) {
            let order: Option<u64> =
                value["order"].as_str().and_then(|name| name[1..].parse().ok());
            self.known_orders.extend(order);
        }
        self.note(open.process, kind, f, value, time);
        self.events.last_mut().expect("an event was just noted").error = error;
        let pause = self.random.random_range(1..500_000);
        self.due.push(Reverse((time + pause, Due::Ask { seat: open.seat })));
    }

    fn dump(&mut self, time: u64) {
        let products: Vec<Value> = (0..self.recipe.products)
            .map(|product| json!({"product": name(product), "stock": self.stock[product]}))
            .collect();
        let ids: Vec<u64> = self.orders.keys().copied().collect();
        let orders: Vec<Value> = ids
            .into_iter()
            .map(|id| {
                let mut value = self.order_value(id);
                value["key"] = json!(self.orders[&id].key);
                value
            })
            .collect();
        for node in 1..=self.recipe.dumps as u64 {
            let moves = if self.recipe.moves && node == 1 { &self.moves[..] } else { &[] };
            let value = json!({
                "node": format!("n{node}"), "products": products, "orders": orders, "holds": [],
                "moves": moves,
            });
            let process = self.next_process + node;
            self.note(process, Kind::Invoke, "dump", Value::Null, time + 10 * node);
            self.note(process, Kind::Ok, "dump", value, time + 10 * node + 5);
        }
    }

    fn order_value(&self, id: u64) -> Value {
        let order = &self.orders[&id];
        let mut value = lines_value(&order.lines);
        value["order"] = json!(format!("o{id}"));
        value["status"] = json!(order.status);
        value
    }
}

fn name(product: usize) -> String {
    format!("p{product}")
}

fn lines_value(lines: &[(usize, u64)]) -> Value {
    match lines {
        [(product, qty)] => json!({"product": name(*product), "qty": qty}),
        lines => {
            let pairs: Vec<Value> = lines.iter().map(|(p, qty)| json!([name(*p), qty])).collect();
            json!({"items": pairs})
        }
    }
}

fn invocation(ask: &Ask) -> (&'static str, Value) {
    match ask {
        Ask::Place(request) => {
            let mut value = lines_value(&request.lines);
            value["key"] = json!(request.key);
            ("place_order", value)
        }
        Ask::Cancel(order) => ("cancel", json!({"order": format!("o{order}")})),
        Ask::ReadProduct(product) => ("read_product", json!({"product": name(*product)})),
        Ask::ReadOrder(order) => ("read_order", json!({"order": format!("o{order}")})),
    }
}
