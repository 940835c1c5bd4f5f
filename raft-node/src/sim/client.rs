//! A client: one request after the other, retried as the typed client crate does it.
//!
//! A request that certainly was not applied may be sent again. One whose outcome is unknown only
//! when that can do no harm: reads, cancels, and orders under an idempotency key.

use engine::adjustment::Change;
use engine::command::{
    AdjustStock, ArchiveProduct, CancelOrder, Command, CreateHold, CreateProduct, CreateUser,
    ExtendHold, FenceKey, PaymentWebhook, PlaceOrder, ReleaseHold, UpdateProduct,
};
use engine::ids::{HoldId, NodeId, OrderId, Position, ProductId, Quantity, UserId};
use engine::money::Money;
use engine::order::{Line, PaymentMethod, Status};
use engine::outcome::Outcome;
use engine::state::OrderFilter;
use engine::webhook::Report;

use super::ask::{Ask, Freshness, Look, Reply};
use super::oracle::end_of;
use super::plan::Operation;
use super::{Event, MS, SECOND, Sim};

/// Orders of its own that a client remembers for replays and cancels.
const REMEMBERED_MAX: usize = 50;

pub(super) struct Client {
    id: usize,
    /// Numbers the attempts of all its requests.
    attempts: u64,
    requests: u64,
    current: Option<Current>,
    node: NodeId,
    /// Orders it asked for under a key, and what came of them.
    placed: Vec<PlaceOrder>,
    /// Reports of payments that it told.
    reported: Vec<PaymentWebhook>,
    /// The furthest position that it was told.
    position: Position,
    /// After the faults: its last request, which has to be answered however long it takes.
    last: bool,
    pub(super) idle: bool,
}

/// A request on its way.
struct Current {
    ask: Ask,
    /// Sending it again can do no harm.
    repeatable: bool,
    attempt: u64,
    tries: u32,
    in_doubt: bool,
    /// What was acknowledged before this attempt began.
    floor: Position,
}

impl Client {
    pub(super) fn new(id: usize) -> Client {
        Client {
            id,
            attempts: 0,
            requests: 0,
            current: None,
            node: NodeId(1),
            placed: Vec::new(),
            reported: Vec::new(),
            position: Position(0),
            last: false,
            idle: false,
        }
    }

    /// Begins a request, or goes on with the one that was put off.
    pub(super) fn act(&mut self, sim: &mut Sim) {
        if self.current.is_none() {
            if self.idle {
                return;
            }
            self.requests += 1;
            self.last = sim.resting;
            let ask = self.choose(sim);
            let repeatable = may_repeat(&ask);
            let floor = Position(0);
            let current = Current { ask, repeatable, attempt: 0, tries: 0, in_doubt: false, floor };
            self.current = Some(current);
            if sim.random.percent(30) {
                self.move_on(sim);
            }
        }
        self.send(sim);
    }

    fn move_on(&mut self, sim: &mut Sim) {
        self.node = NodeId(1 + sim.random.below(sim.plan.nodes as u64));
    }

    fn send(&mut self, sim: &mut Sim) {
        self.attempts += 1;
        let (client, attempt, node) = (self.id, self.attempts, self.node);
        let Some(current) = &mut self.current else { return };
        current.attempt = attempt;
        current.tries += 1;
        current.floor = sim.oracle.floor();
        sim.cover.retries += u64::from(current.tries > 1);
        let ask = current.ask.clone();
        sim.say(|| format!("c{client} asks n{node} {attempt}: {ask:?}"));
        let patience = sim.plan.request_timeout_ms * MS + SECOND;
        sim.after(patience, Event::GivenUp { client, attempt });
        if sim.random.ppm(sim.plan.client_loss_ppm) {
            return;
        }
        let delay = 50 + sim.random.waiting(500);
        sim.after(delay, Event::Asked { node, client, attempt, ask });
    }

    /// An answer, or none in time.
    pub(super) fn answered(&mut self, sim: &mut Sim, attempt: u64, reply: Option<Reply>) {
        let Some(current) = &mut self.current else { return };
        if current.attempt != attempt {
            return;
        }
        sim.say(|| format!("c{} hears {attempt}: {reply:?}", self.id));
        match reply {
            Some(Reply::Applied(applied)) => {
                self.position = self.position.max(applied.position);
                if applied.position <= current.floor {
                    let floor = current.floor;
                    let at = applied.position;
                    sim.fail(format!("an answer lies at {at}, but {floor} had been answered"));
                }
                sim.oracle.acknowledged(applied.position);
                let made = match (&current.ask, &applied.outcome) {
                    (
                        Ask::Command(Command::PlaceOrder(PlaceOrder { key: Some(key), .. })),
                        Outcome::Placed(OrderId(made)) | Outcome::Replayed(OrderId(made)),
                    )
                    | (
                        Ask::Command(Command::CreateHold(CreateHold { key: Some(key), .. })),
                        Outcome::HoldCreated(HoldId(made)) | Outcome::HoldReplayed(HoldId(made)),
                    ) => Some((key, *made)),
                    _ => None,
                };
                if let Some((key, made)) = made {
                    let judged = sim.oracle.key_made(key, made);
                    sim.check(judged);
                }
                self.finish(sim);
            }
            Some(Reply::SoldOut { index }) => {
                let floor = current.floor;
                if index < floor.index() {
                    sim.fail(format!("a refusal by index {index}, but {floor} had been answered"));
                }
                sim.oracle.acknowledged(end_of(index));
                self.finish(sim);
            }
            Some(Reply::Read { index }) => self.has_read(sim, index),
            Some(Reply::NotApplied | Reply::ReadRefused | Reply::ConnectionRefused) => {
                self.retry(sim, true);
            }
            Some(Reply::Unknown | Reply::ConnectionReset) | None => {
                current.in_doubt = true;
                let repeatable = current.repeatable;
                self.retry(sim, repeatable);
            }
        }
    }

    fn has_read(&mut self, sim: &mut Sim, index: u64) {
        let Some(current) = &self.current else { return };
        let floor = current.floor.index();
        match &current.ask {
            Ask::Read(what, Freshness::Linearizable) => {
                if index < floor {
                    sim.fail(format!(
                        "{what:?} showed index {index}, but {floor} had been answered before"
                    ));
                }
                sim.oracle.acknowledged(end_of(index));
                self.position = self.position.max(Position::new(index, 0));
            }
            Ask::Read(_, Freshness::Stale) => {
                sim.cover.stale_reads += 1;
                sim.cover.stale_reads_behind += u64::from(index < floor);
            }
            Ask::Read(what, Freshness::AtLeast(position)) => {
                sim.cover.reads_at_position += 1;
                if index < position.index() {
                    sim.fail(format!("{what:?} showed index {index} instead of {position}"));
                }
            }
            Ask::Command(_) => unreachable!("a command is not answered as a read"),
        }
        self.finish(sim);
    }

    /// Sends it again after a while, if that is allowed.
    fn retry(&mut self, sim: &mut Sim, allowed: bool) {
        let Some(current) = &mut self.current else { return };
        // No answer counts for this attempt any more.
        current.attempt = 0;
        // In the end every request is answered, so the last one is not given up.
        let enough = current.tries >= sim.plan.attempts_max && !self.last;
        if !allowed || enough {
            sim.cover.left_in_doubt += u64::from(current.in_doubt && !self.last);
            return self.finish(sim);
        }
        self.move_on(sim);
        let delay = 10 * MS + sim.random.waiting(100 * MS);
        sim.after(delay, Event::Act { client: self.id });
    }

    fn finish(&mut self, sim: &mut Sim) {
        self.current = None;
        if self.last {
            self.idle = true;
            return;
        }
        // Nobody thinks for so long that the run ends first.
        let delay = sim.random.waiting(sim.plan.think_us).min(sim.plan.rest / 3);
        sim.after(delay, Event::Act { client: self.id });
    }

    fn choose(&mut self, sim: &mut Sim) -> Ask {
        if self.last {
            // A request that may be repeated until it is answered: the key makes it one order.
            return match sim.random.percent(50) {
                true => {
                    let place = self.place(sim, true);
                    Ask::Command(Command::PlaceOrder(place))
                }
                false => Ask::Read(Look::Catalogue, Freshness::Linearizable),
            };
        }
        let known = sim.oracle.model.products.len() as u64;
        if known < sim.plan.products && (self.id == 0 || sim.random.percent(20)) {
            return Ask::Command(self.create_product(sim));
        }
        let operations = sim.plan.mix.operations;
        let mut at = sim.random.below(operations.iter().map(|(_, weight)| weight).sum());
        for (operation, weight) in operations {
            if at < weight {
                return self.make(sim, operation);
            }
            at -= weight;
        }
        unreachable!("a number below the sum falls on an operation")
    }

    fn make(&mut self, sim: &mut Sim, operation: Operation) -> Ask {
        match operation {
            Operation::Place => {
                let keyed = sim.random.percent(sim.plan.mix.keyed_percent);
                Ask::Command(Command::PlaceOrder(self.place(sim, keyed)))
            }
            Operation::Replay => self.again(sim, false),
            Operation::Conflict => self.again(sim, true),
            Operation::Cancel => {
                let reason = sim.random.percent(50).then(|| "changed my mind".into());
                Ask::Command(Command::CancelOrder(CancelOrder { order: any_order(sim), reason }))
            }
            Operation::SetStock => Ask::Command(set_stock(sim)),
            Operation::ChangeProduct => Ask::Command(change_product(sim)),
            Operation::Archive => {
                let product = any_product(sim);
                let expected_version = guess_version(sim, product);
                Ask::Command(Command::ArchiveProduct(ArchiveProduct { product, expected_version }))
            }
            Operation::CreateProduct => Ask::Command(self.create_product(sim)),
            Operation::CreateUser => {
                let name = format!("u{}", sim.random.below(20));
                let email = format!("{name}@example.org").into();
                Ask::Command(Command::CreateUser(CreateUser { name: name.into(), email }))
            }
            Operation::ReadOrder => {
                let what = Look::Order(any_order(sim));
                self.read(sim, what)
            }
            Operation::ReadProduct => {
                let what = Look::Product(any_product(sim));
                self.read(sim, what)
            }
            Operation::ReadKey => {
                let key = match self.placed.is_empty() {
                    true => "unused".into(),
                    false => sim.random.pick(&self.placed).key.clone().expect("keyed"),
                };
                self.read(sim, Look::Key(key))
            }
            Operation::List => {
                let what = any_list(sim);
                self.read(sim, what)
            }
            Operation::Hold => Ask::Command(self.hold(sim)),
            Operation::Consume => {
                let mut place = self.place(sim, false);
                (place.hold, place.lines) = (Some(any_hold(sim)), Vec::new());
                if sim.random.percent(80) {
                    place.user = None;
                }
                place.key = sim.random.percent(70).then(|| self.key('c'));
                Ask::Command(Command::PlaceOrder(place))
            }
            Operation::Release => {
                Ask::Command(Command::ReleaseHold(ReleaseHold { hold: any_hold(sim) }))
            }
            Operation::Extend => Ask::Command(Command::ExtendHold(ExtendHold {
                hold: any_hold(sim),
                ttl_ms: sim.random.between(1, 2 * sim.plan.hold_ttl_max_ms),
                ttl_max_ms: sim.plan.hold_ttl_max_ms,
            })),
            Operation::Report => Ask::Command(self.report(sim)),
            Operation::Fence => {
                let key = match sim.random.percent(50) || self.placed.is_empty() {
                    true => self.key('k'),
                    false => sim.random.pick(&self.placed).key.clone().expect("keyed"),
                };
                Ask::Command(Command::FenceKey(FenceKey { key }))
            }
            Operation::Adjust => Ask::Command(self.adjust(sim)),
            Operation::ReadHold => {
                let what = Look::Hold(any_hold(sim));
                self.read(sim, what)
            }
        }
    }

    fn create_product(&mut self, sim: &mut Sim) -> Command {
        let stock = sim.random.between(1, sim.plan.mix.stock_max) as i64;
        Command::CreateProduct(CreateProduct {
            name: format!("product of c{}", self.id).into(),
            sku: sim.random.percent(50).then(|| sku(sim)),
            price: Money(sim.random.below(100_000) as i64),
            stock,
            max_per_order: sim.random.percent(10).then_some(4),
            ..CreateProduct::default()
        })
    }

    fn place(&mut self, sim: &mut Sim, keyed: bool) -> PlaceOrder {
        let lines = (0..sim.random.between(1, 3)).map(|_| self.line(sim)).collect();
        let [mock, webhook, none] = sim.plan.mix.methods;
        let drawn = sim.random.below(mock + webhook + none);
        let payment_method = match drawn {
            drawn if drawn < mock => PaymentMethod::Mock,
            drawn if drawn < mock + webhook => PaymentMethod::Webhook,
            _ => PaymentMethod::None,
        };
        let place = PlaceOrder {
            user: sim.random.percent(50).then(|| UserId(1 + sim.random.below(5))),
            hold: None,
            lines,
            payment_method,
            key: keyed.then(|| self.key('k')),
            metadata: sim.random.percent(10).then(|| r#"{"gift":true}"#.into()),
            payment_attempts_max: sim.plan.payment_attempts_max,
            payment_deadline_ms: sim.plan.payment_deadline_ms,
            open_orders_max: sim.plan.open_orders_max,
            require_user: false,
        };
        if keyed {
            if self.placed.len() == REMEMBERED_MAX {
                self.placed.remove(0);
            }
            self.placed.push(place.clone());
        }
        place
    }

    fn hold(&mut self, sim: &mut Sim) -> Command {
        let lines = (0..sim.random.between(1, 2)).map(|_| self.line(sim)).collect();
        Command::CreateHold(CreateHold {
            user: sim.random.percent(50).then(|| UserId(1 + sim.random.below(5))),
            lines,
            ttl_ms: sim.random.between(1, sim.plan.hold_ttl_max_ms * 5 / 4),
            key: sim.random.percent(70).then(|| self.key('h')),
            ttl_max_ms: sim.plan.hold_ttl_max_ms,
            active_holds_max: sim.plan.active_holds_max,
            require_user: false,
        })
    }

    /// A provider's report: new or told again, right or wrong, in time, early or late.
    fn report(&mut self, sim: &mut Sim) -> Command {
        if !self.reported.is_empty() && sim.random.percent(30) {
            let mut again = sim.random.pick(&self.reported).clone();
            if sim.random.percent(10) {
                again.report = Report::Failed;
            }
            return Command::PaymentWebhook(again);
        }
        let known = sim.oracle.model.orders.len() as u64;
        let order = match sim.random.percent(25) {
            true => OrderId(known + sim.random.between(1, 4)),
            false => any_order(sim),
        };
        let total = sim.oracle.model.order(order).map(|order| order.total);
        let report = PaymentWebhook {
            key: self.key('w'),
            order,
            report: if sim.random.percent(70) { Report::Succeeded } else { Report::Failed },
            amount: match sim.random.below(10) {
                0 => Some(Money(sim.random.below(1_000_000) as i64)),
                1..=5 => total,
                _ => None,
            },
            payload: sim.random.percent(10).then(|| r#"{"from":"provider"}"#.into()),
            park_ms: sim.plan.park_ms,
            parked_max: sim.plan.parked_max,
        };
        if self.reported.len() == REMEMBERED_MAX {
            self.reported.remove(0);
        }
        self.reported.push(report.clone());
        Command::PaymentWebhook(report)
    }

    /// An adjustment of stock. There are few keys, so that some come again, with the same request or
    /// another.
    fn adjust(&mut self, sim: &mut Sim) -> Command {
        let product = any_product(sim);
        let available = sim.oracle.model.product(product).map(|row| row.now().available);
        let units = sim.random.below(20) as i64;
        let key = format!("a{}-{}", self.id, sim.random.below(8));
        Command::AdjustStock(AdjustStock {
            product,
            change: match sim.random.below(3) {
                0 => Change::By(units + 1),
                1 => Change::By(-units - 1),
                _ => Change::To(units),
            },
            expected: available.filter(|_| sim.random.percent(30)),
            reason: "counted".into(),
            key: sim.random.percent(50).then(|| key.into()),
        })
    }

    /// The key of this request.
    fn key(&self, kind: char) -> Box<str> {
        format!("{kind}{}-{}", self.id, self.requests).into()
    }

    fn line(&self, sim: &mut Sim) -> Line {
        let quantity = Quantity(sim.random.between(1, sim.plan.mix.quantity_max) as u32);
        Line { product: any_product(sim), quantity }
    }

    /// An earlier order's request again, or another request under its key.
    fn again(&mut self, sim: &mut Sim, other: bool) -> Ask {
        if self.placed.is_empty() {
            let place = self.place(sim, true);
            return Ask::Command(Command::PlaceOrder(place));
        }
        let mut place = sim.random.pick(&self.placed).clone();
        if other {
            place.lines.push(self.line(sim));
        }
        Ask::Command(Command::PlaceOrder(place))
    }

    fn read(&self, sim: &mut Sim, what: Look) -> Ask {
        let freshness = match sim.random.percent(sim.plan.mix.stale_percent) {
            false => Freshness::Linearizable,
            true if sim.random.percent(40) => Freshness::AtLeast(self.position),
            true => Freshness::Stale,
        };
        Ask::Read(what, freshness)
    }
}

/// Whether sending it again does no harm when its outcome is unknown.
fn may_repeat(ask: &Ask) -> bool {
    let Ask::Command(command) = ask else { return true };
    match command {
        Command::CancelOrder(_)
        | Command::ReleaseHold(_)
        | Command::PaymentWebhook(_)
        | Command::FenceKey(_) => true,
        Command::PlaceOrder(place) => place.key.is_some(),
        Command::CreateHold(hold) => hold.key.is_some(),
        Command::AdjustStock(adjust) => adjust.key.is_some(),
        _ => false,
    }
}

fn set_stock(sim: &mut Sim) -> Command {
    let product = any_product(sim);
    Command::UpdateProduct(UpdateProduct {
        product,
        stock: Some(sim.random.below(sim.plan.mix.stock_max + 1) as i64),
        expected_version: guess_version(sim, product),
        ..UpdateProduct::default()
    })
}

fn change_product(sim: &mut Sim) -> Command {
    Command::UpdateProduct(UpdateProduct {
        product: any_product(sim),
        price: Some(Money(sim.random.below(100_000) as i64)),
        max_per_order: sim.random.percent(30).then_some(Some(3)),
        max_per_user: match sim.random.below(10) {
            0 => Some(None),
            1 => Some(Some(6)),
            _ => None,
        },
        sku: sim.random.percent(20).then(|| Some(sku(sim))),
        ..UpdateProduct::default()
    })
}

/// A product that exists, or now and then the one after.
fn any_product(sim: &mut Sim) -> ProductId {
    let known = sim.oracle.model.products.len() as u64;
    let beyond = u64::from(known == 0 || sim.random.percent(5));
    ProductId(1 + sim.random.below(known + beyond))
}

/// An order that exists, mostly one of the newest.
fn any_order(sim: &mut Sim) -> OrderId {
    let known = sim.oracle.model.orders.len() as u64;
    let back = match sim.random.percent(70) {
        true => sim.random.below(8.min(known + 1)),
        false => sim.random.below(known + 1),
    };
    OrderId(known + 1 - back)
}

/// A hold that exists, mostly one of the newest.
fn any_hold(sim: &mut Sim) -> HoldId {
    let known = sim.oracle.model.holds.len() as u64;
    HoldId(known + 1 - sim.random.below(5.min(known + 1)))
}

fn any_list(sim: &mut Sim) -> Look {
    if sim.random.percent(30) {
        return Look::Catalogue;
    }
    Look::List(OrderFilter {
        user: sim.random.percent(30).then(|| UserId(1 + sim.random.below(5))),
        status: sim.random.percent(50).then(|| *sim.random.pick(&Status::ALL)),
        product: sim.random.percent(50).then(|| any_product(sim)),
    })
}

fn sku(sim: &mut Sim) -> Box<str> {
    format!("S{}", sim.random.below(12)).into()
}

/// Sometimes the version that a product has, or had.
fn guess_version(sim: &mut Sim, id: ProductId) -> Option<Position> {
    let known = sim.oracle.model.product(id).map(|versions| versions.now().version);
    known.filter(|_| sim.random.percent(30))
}
