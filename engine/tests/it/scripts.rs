//! Golden scripts: `testscripts/*.txt` read as a story, and fail when the story changes.
//!
//! A script is made of blocks. A block's first part holds one entry per line (commands in one entry
//! are joined with ` | `) or a question to the state; after `---` stands what is told. Lines that
//! start with `#` are for the reader. A mismatch prints the block as it would have to read.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use engine::adjustment::Change;
use engine::command::{
    AdjustStock, CancelOrder, ClaimPayments, Command, CreateHold, CreateProduct, CreateUser,
    Envelope, ExtendHold, FenceKey, PaymentResult, PaymentWebhook, PlaceBatch, PlaceOrder,
    ReleaseHold, SettlePayments, UpdateProduct, Verdict,
};
use engine::event::{Event, EventId, EventPage, HoldChange, Kind};
use engine::hold;
use engine::ids::{HoldId, NodeId, OrderId, Position, ProductId, Quantity, RequestId, UserId};
use engine::order::{Line, PaymentMethod};
use engine::outcome::Outcome;
use engine::state::{Lookup, OrderFilter, OrderLookup, Page, State};
use engine::store::memory::MemoryStore;
use engine::trace::TraceId;
use engine::webhook::Report;

use crate::common::{Machine, archive};

#[test]
fn scripts_read_as_written() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("testscripts");
    let mut scripts: Vec<_> = std::fs::read_dir(&directory)
        .expect("the scripts are there")
        .map(|file| file.expect("listed").path())
        .collect();
    scripts.sort();
    assert!(scripts.len() >= 13, "some scripts are missing");
    for path in scripts {
        let text = std::fs::read_to_string(&path).expect("readable");
        let told = Script::default().run(&text);
        assert!(told == text, "{} would read:\n\n{told}", path.display());
    }
}

#[derive(Default)]
struct Script {
    machine: Machine,
    store: MemoryStore,
    told: usize,
}

/// The words of one command: its name, then `name=value` or flags.
struct Words<'a> {
    name: &'a str,
    values: BTreeMap<&'a str, &'a str>,
}

impl<'a> Words<'a> {
    fn new(line: &'a str) -> Words<'a> {
        let mut words = line.split_whitespace();
        let name = words.next().expect("a command has a name");
        let values = words.map(|word| word.split_once('=').unwrap_or((word, ""))).collect();
        Words { name, values }
    }

    fn text(&self, name: &str) -> Option<&'a str> {
        self.values.get(name).copied()
    }

    fn number(&self, name: &str) -> Option<u64> {
        let text = self.text(name)?;
        Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
    }

    fn need(&self, name: &str) -> u64 {
        self.number(name).unwrap_or_else(|| panic!("{} needs {name}=", self.name))
    }
}

impl Script {
    fn run(mut self, text: &str) -> String {
        let mut out = String::new();
        let mut told = String::new();
        let mut expecting = false;
        for line in text.lines().chain([""]) {
            match line {
                _ if line.is_empty() && expecting => {
                    out.push_str(&told);
                    told.clear();
                    expecting = false;
                    out.push('\n');
                }
                "---" => {
                    expecting = true;
                    out.push_str("---\n");
                }
                _ if expecting => {}
                _ => {
                    writeln!(out, "{line}").expect("text");
                    if !line.is_empty() && !line.starts_with('#') {
                        self.line(line, &mut told);
                    }
                }
            }
        }
        format!("{}\n", out.trim_end())
    }

    fn line(&mut self, line: &str, told: &mut String) {
        let words = Words::new(line);
        match words.name {
            "clock" => self.machine.now = words.need("ms"),
            "show" => self.show(&words, told),
            "list" => self.list(&words, told),
            "events" => self.events(&words, told),
            "key" => {
                let key = words.text("text").expect("key needs text=");
                writeln!(told, "{:?}", self.machine.state.key_state(key)).expect("text");
            }
            "digest" => {
                writeln!(told, "digest {:016x}", self.machine.state.digest()).expect("text")
            }
            "checkpoint" => {
                let frozen = self.machine.state.freeze();
                let written = frozen.write(&self.store).expect("written");
                self.machine.state.release(&written);
                let (rows, index) = (written.rows(), written.applied_index());
                writeln!(told, "checkpoint of {rows} rows at {index}").expect("text");
            }
            "reopen" => {
                let before = self.machine.state.digest();
                self.machine.state = State::open(&self.store).expect("opened");
                assert_eq!(self.machine.state.digest(), before, "checkpoint before reopening");
                let index = self.machine.state.applied_index();
                writeln!(told, "reopened at {index}").expect("text");
            }
            _ => self.entry(line, told),
        }
    }

    /// Applies one entry and tells its outcomes, each after its events.
    fn entry(&mut self, line: &str, told: &mut String) {
        let envelopes = line.split(" | ").map(|text| self.envelope(text)).collect();
        let first_event = self.machine.recorder.events.len();
        self.machine.run_envelopes(envelopes);
        let recorder = &self.machine.recorder;
        let mut events = recorder.events[first_event..].iter().peekable();
        for (position, _, outcome) in &recorder.outcomes[self.told..] {
            while let Some(event) = events.next_if(|event| event.position <= *position) {
                writeln!(told, "{}", tell_event(event)).expect("text");
            }
            let at = place(*position);
            writeln!(told, "{at} {}", tell_outcome(outcome)).expect("text");
        }
        self.told = recorder.outcomes.len();
    }

    fn envelope(&mut self, text: &str) -> Envelope {
        // A batch is followed by its orders.
        let mut parts = text.split(" ; ").map(Words::new);
        let words = parts.next().expect("a command has words");
        let command = match words.name {
            "batch" => {
                let orders = parts.map(|words| place_order(&words)).collect();
                let atomic = words.text("atomic").is_some();
                Command::PlaceBatch(PlaceBatch { atomic, orders })
            }
            _ => command(&words),
        };
        self.machine.seq += 1;
        let request = RequestId {
            node: NodeId(1),
            boot: words.number("boot").unwrap_or(1),
            seq: words.number("request").unwrap_or(1000 + self.machine.seq),
        };
        Envelope { request, trace: TraceId::NONE, command }
    }

    fn show(&self, words: &Words<'_>, told: &mut String) {
        let state = &self.machine.state;
        if let Some(id) = words.number("order") {
            match state.order(OrderId(id)) {
                OrderLookup::Resident(order) => {
                    let (status, total) = (order.status, order.total);
                    write!(told, "order {id} {status} total={total}").expect("text");
                    if let Some(task) = order.task {
                        let due = task.due.0;
                        write!(told, " attempt={} due={due}", task.attempt).expect("text");
                    }
                    if let Some(reason) = &order.failure_reason {
                        write!(told, " reason={reason:?}").expect("text");
                    }
                    told.push('\n');
                    for row in &order.history {
                        let (at, to, cause) = (place(row.position), row.to, row.cause.as_str());
                        writeln!(told, "  {at} {to} {cause}").expect("text");
                    }
                }
                other => writeln!(told, "order {id} {other:?}").expect("text"),
            }
        }
        if let Some(id) = words.number("hold") {
            match state.hold(HoldId(id)) {
                Lookup::Resident(hold) => {
                    let (status, end) = (hold.status_at(state.clock()), hold.expires_at.0);
                    write!(told, "hold {id} {status} until {end}").expect("text");
                    if let hold::Status::Consumed(order) = status {
                        write!(told, " order={order}").expect("text");
                    }
                    told.push('\n');
                }
                other => writeln!(told, "hold {id} {other:?}").expect("text"),
            }
        }
        if let Some(id) = words.number("product") {
            let Some(product) = state.product(ProductId(id)) else {
                return writeln!(told, "product {id} is not there").expect("text");
            };
            let stock = product.stock;
            writeln!(
                told,
                "product {id} price={} available={} held={} reserved={} sold={}",
                product.price,
                stock.available(),
                stock.held,
                stock.reserved,
                stock.sold
            )
            .expect("text");
            for (number, row) in state.ledger(ProductId(id)) {
                let cause = row.cause.as_str();
                let of = row.cause.order().map(|id| id.0);
                let of = of.or(row.cause.hold().map(|id| id.0));
                let of = of.or(row.cause.adjustment().map(|id| id.0));
                let of = of.map(|id| format!(" {id}")).unwrap_or_default();
                let deltas = [row.on_hand, row.held, row.reserved, row.sold];
                let at = place(row.position);
                writeln!(told, "  {number}: {at} {cause}{of} {deltas:?}").expect("text");
            }
        }
    }

    /// Reads on after the event of a command, or from the beginning.
    fn events(&self, words: &Words<'_>, told: &mut String) {
        let after = words.text("after").map(|text| {
            let numbers: Vec<u64> =
                text.split('.').map(|number| number.parse().expect("a number")).collect();
            let position = Position::new(numbers[0], numbers[1]);
            EventId { position, n: numbers[2] as u32 }
        });
        let limit = words.number("limit").unwrap_or(100) as usize;
        match self.machine.state.events_after(after.unwrap_or_default(), limit) {
            EventPage::Events(events) => events.iter().for_each(|event| {
                let (at, n) = (place(event.position), event.n);
                writeln!(told, "{at}.{n} {}", event.kind.as_str()).expect("text");
            }),
            other => writeln!(told, "{other:?}").expect("text"),
        }
    }

    fn list(&self, words: &Words<'_>, told: &mut String) {
        let status = words.text("status").map(|text| {
            let all = engine::order::Status::ALL;
            all.into_iter().find(|status| status.as_str() == text).expect("a status")
        });
        let filter = OrderFilter {
            user: words.number("user").map(UserId),
            status,
            product: words.number("product").map(ProductId),
        };
        let page = Page::Number {
            page: words.number("page").unwrap_or(1),
            per_page: words.number("per").unwrap_or(15),
        };
        let page = self.machine.state.list_orders(&filter, page);
        let ids: Vec<_> = page.ids.iter().map(|id| id.0).collect();
        let more = if page.has_more { ", more" } else { "" };
        writeln!(told, "{ids:?} of {}{more}", page.total).expect("text");
    }
}

fn place(position: Position) -> String {
    format!("{}.{}", position.index(), position.command())
}

fn tell_outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Rejected(rejection) => format!("refused: {rejection}"),
        Outcome::Claimed(claims) => {
            let claims = claims.iter().map(|claim| {
                let (order, attempt, amount) = (claim.order, claim.attempt, claim.amount);
                format!(" {order}#{attempt} {amount} unanswered={}", claim.unanswered)
            });
            format!("claimed{}", claims.collect::<String>())
        }
        Outcome::Placed(id) => format!("placed order {id}"),
        Outcome::Replayed(id) => format!("replayed order {id}"),
        Outcome::Cancelled { order, already: false } => format!("cancelled order {order}"),
        Outcome::Cancelled { order, already: true } => format!("order {order} was cancelled"),
        Outcome::Settled(results) => format!("settled {results}"),
        Outcome::Batch(outcomes) => {
            let told: Vec<_> = outcomes.iter().map(tell_outcome).collect();
            format!("batch: {}", told.join("; "))
        }
        Outcome::KeyFenced { already: false } => "fenced the key".into(),
        Outcome::KeyFenced { already: true } => "the key was fenced".into(),
        Outcome::KeyApplied(id) => format!("the key made order {id}"),
        Outcome::WebhookApplied { order, duplicate } => {
            format!("order {order} settled by report{}", if *duplicate { " before" } else { "" })
        }
        Outcome::WebhookParked { order, duplicate } => {
            format!("report waits for order {order}{}", if *duplicate { " since" } else { "" })
        }
        Outcome::HoldCreated(id) => format!("made hold {id}"),
        Outcome::HoldReplayed(id) => format!("replayed hold {id}"),
        Outcome::HoldReleased { hold, already: false } => format!("released hold {hold}"),
        Outcome::HoldReleased { hold, already: true } => format!("hold {hold} was released"),
        Outcome::HoldExtended(id) => format!("extended hold {id}"),
        Outcome::ProductCreated(id) => format!("created product {id}"),
        Outcome::ProductUpdated(id) => format!("updated product {id}"),
        Outcome::StockAdjusted { adjustment, product } => {
            format!("made adjustment {adjustment} of product {product}")
        }
        Outcome::AdjustmentReplayed { adjustment, product } => {
            format!("replayed adjustment {adjustment} of product {product}")
        }
        Outcome::ProductArchived(id) => format!("archived product {id}"),
        Outcome::UserCreated(id) => format!("created user {id}"),
        Outcome::Ticked => "ticked".into(),
        Outcome::ClusterBegun => "began a cluster".into(),
        Outcome::PaymentsSet => "set payments".into(),
        Outcome::Ignored => "ignored".into(),
    }
}

fn tell_event(event: &Event) -> String {
    let what = match &event.kind {
        Kind::Order { order, total, .. } => format!("order {order} total {total}"),
        Kind::OrderRejected { product, .. } => format!("product {product}"),
        Kind::PaymentConflict { order, report, conflict, .. } => {
            format!("order {order} {} {}", report.as_str(), conflict.as_str())
        }
        Kind::PaymentUnmatched { order, report, .. } => {
            format!("order {order} {}", report.as_str())
        }
        Kind::Hold { hold, change: HoldChange::Consumed(order), .. } => {
            format!("hold {hold} order {order}")
        }
        Kind::Hold { hold, expires_at, .. } => format!("hold {hold} until {}", expires_at.0),
        Kind::StockAdjusted { product, delta, available, .. } => {
            format!("product {product} by {delta} to {available}")
        }
        Kind::LowStock { product, available, threshold } => {
            format!("product {product} available {available} of {threshold}")
        }
        Kind::ProductCreated(id)
        | Kind::ProductUpdated(id)
        | Kind::ProductArchived(id)
        | Kind::SoldOut(id) => format!("product {id}"),
    };
    format!("  event {} {what}", event.kind.as_str())
}

/// `1x2,3x1`: two of product 1 and one of product 3.
fn lines(text: &str) -> Vec<Line> {
    let line = |text: &str| {
        let (product, quantity) = text.split_once('x').expect("product x quantity");
        Line {
            product: ProductId(product.parse().expect("a product")),
            quantity: Quantity(quantity.parse().expect("a quantity")),
        }
    };
    text.split(',').filter(|text| !text.is_empty()).map(line).collect()
}

/// `1#2,4#1`: attempt 2 of order 1 and attempt 1 of order 4.
fn tasks(text: &str) -> Vec<(OrderId, u32)> {
    let task = |text: &str| {
        let (order, attempt) = text.split_once('#').expect("order#attempt");
        (OrderId(order.parse().expect("an order")), attempt.parse().expect("an attempt"))
    };
    text.split(',').map(task).collect()
}

fn command(words: &Words<'_>) -> Command {
    match words.name {
        "order" => Command::PlaceOrder(place_order(words)),
        "cancel" => Command::CancelOrder(CancelOrder {
            order: OrderId(words.need("order")),
            reason: words.text("reason").map(Into::into),
        }),
        "claim" => Command::ClaimPayments(ClaimPayments {
            node: NodeId(words.number("node").unwrap_or(1)),
            lease_ms: words.number("lease").unwrap_or(10_000),
            tasks: tasks(words.text("tasks").expect("claim needs tasks=")),
        }),
        "settle" => {
            let (order, attempt) = tasks(words.text("task").expect("settle needs task="))[0];
            let verdict = verdict(words);
            let results = vec![PaymentResult { order, attempt, verdict }];
            Command::SettlePayments(SettlePayments { results })
        }
        "fence" => {
            let key = words.text("key").expect("fence needs key=").into();
            Command::FenceKey(FenceKey { key })
        }
        "webhook" => Command::PaymentWebhook(PaymentWebhook {
            key: words.text("key").expect("webhook needs key=").into(),
            order: OrderId(words.need("order")),
            report: match words.text("failure") {
                None => Report::Succeeded,
                Some(_) => Report::Failed,
            },
            amount: words.text("amount").map(|amount| amount.parse().expect("an amount")),
            payload: words.text("payload").map(Into::into),
            park_ms: words.number("park").unwrap_or(1_000),
            parked_max: words.number("max").unwrap_or(10),
        }),
        "hold" => Command::CreateHold(CreateHold {
            user: words.number("user").map(UserId),
            lines: lines(words.text("lines").expect("hold needs lines=")),
            ttl_ms: words.number("ttl").unwrap_or(100),
            key: words.text("key").map(Into::into),
            ttl_max_ms: words.number("max").unwrap_or(1_000),
            active_holds_max: words.number("active").unwrap_or(1_000),
            require_user: words.text("strict").is_some(),
        }),
        "release" => Command::ReleaseHold(ReleaseHold { hold: HoldId(words.need("hold")) }),
        "extend" => Command::ExtendHold(ExtendHold {
            hold: HoldId(words.need("hold")),
            ttl_ms: words.need("ttl"),
            ttl_max_ms: words.number("max").unwrap_or(1_000),
        }),
        "product" => Command::CreateProduct(CreateProduct {
            name: words.text("name").unwrap_or("thing").into(),
            sku: words.text("sku").map(Into::into),
            price: words.text("price").unwrap_or("1").parse().expect("a price"),
            stock: words.need("stock") as i64,
            max_per_order: words.number("limit").map(|limit| limit as u32),
            max_per_user: words.number("per-user").map(|limit| limit as u32),
            low_stock: words.number("low").map(|threshold| threshold as u32),
        }),
        "set" => Command::UpdateProduct(UpdateProduct {
            product: ProductId(words.need("product")),
            expected_version: words.text("version").map(|text| {
                let (index, n) = text.split_once('.').expect("index.n");
                Position::new(index.parse().expect("an index"), n.parse().expect("a place"))
            }),
            price: words.text("price").map(|price| price.parse().expect("a price")),
            stock: words.number("stock").map(|stock| stock as i64),
            max_per_user: words.number("per-user").map(|limit| Some(limit as u32)),
            low_stock: words.number("low").map(|threshold| Some(threshold as u32)),
            ..UpdateProduct::default()
        }),
        "adjust" => Command::AdjustStock(AdjustStock {
            product: ProductId(words.need("product")),
            change: match words.text("by") {
                Some(delta) => Change::By(delta.parse().expect("a number")),
                None => Change::To(words.need("to") as i64),
            },
            expected: words.number("expected").map(|expected| expected as i64),
            reason: words.text("reason").unwrap_or("counted").into(),
            key: words.text("key").map(Into::into),
        }),
        "archive" => archive(ProductId(words.need("product"))),
        "user" => Command::CreateUser(CreateUser {
            name: "someone".into(),
            email: words.text("email").expect("user needs email=").into(),
        }),
        "tick" => Command::Tick,
        other => panic!("no command is called {other}"),
    }
}

fn place_order(words: &Words<'_>) -> PlaceOrder {
    PlaceOrder {
        user: words.number("user").map(UserId),
        hold: words.number("hold").map(HoldId),
        lines: lines(words.text("lines").unwrap_or_default()),
        payment_method: match words.text("payment").unwrap_or("none") {
            "mock" => PaymentMethod::Mock,
            "webhook" => PaymentMethod::Webhook,
            _ => PaymentMethod::None,
        },
        key: words.text("key").map(Into::into),
        metadata: words.text("metadata").map(Into::into),
        payment_attempts_max: words.number("attempts").unwrap_or(1) as u32,
        payment_deadline_ms: words.number("deadline").unwrap_or(60_000),
        open_orders_max: words.number("open").unwrap_or(1_000_000),
        require_user: words.text("strict").is_some(),
    }
}

fn verdict(words: &Words<'_>) -> Verdict {
    let retry_in_ms = words.number("retry").unwrap_or(0);
    match words.text("verdict").expect("settle needs verdict=") {
        "paid" => Verdict::Succeeded,
        "silent" => Verdict::NoAnswer { retry_in_ms },
        "declined" => Verdict::Declined { reason: "card refused".into(), retry_in_ms },
        other => panic!("no verdict is called {other}"),
    }
}
