//! Chooses a client's next request: every kind, mostly valid, some about rows that do not exist.

use engine::adjustment::Change;
use engine::audit::Action;
use engine::auth::{Mode, Scopes};
use engine::command::{
    AdjustStock, ArchiveProduct, CancelOrder, Command, CreateHold, CreateProduct, CreateToken,
    CreateUser, ExtendHold, FenceKey, Keyed, Note, OrderTerms, PaymentWebhook, PlaceBatch,
    PlaceOrder, RecheckPayment, ReleaseHold, RequestRefund, RevokeToken, SetAuth, SetPayments,
    SettleOrder, Settlement, UpdateProduct,
};
use engine::ids::{HoldId, OrderId, Position, ProductId, Quantity, Timestamp, TokenId, UserId};
use engine::money::Money;
use engine::order::{Line, PaymentMethod, Status};
use engine::query::{OrderFilter, Page};
use engine::refund;
use engine::sale::{PerWindow, Sale, SaleChange};
use engine::webhook::Report;
use engine_model::Model;

use super::{Client, REMEMBERED_MAX};
use crate::ask::{Ask, Freshness, Look};
use crate::plan::Operation;
use crate::sim::Sim;

impl Client {
    /// The next request.
    pub(super) fn choose(&mut self, sim: &mut Sim) -> Ask {
        if self.last && sim.oracle.model.payments_paused {
            // The client that paused payments is gone.
            return Ask::Command(Command::SetPayments(SetPayments { paused: false }));
        }
        if self.last {
            // A request that may be repeated until it is answered: its key makes it one order.
            return match sim.random.percent(50) {
                true => {
                    let mut place = self.place(sim, true);
                    // A cluster at level 0 would refuse them each time.
                    place.terms = OrderTerms::default().into();
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
            Operation::Batch => Ask::Command(self.batch(sim)),
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
                let mut place = self.consume(sim);
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
            Operation::SetPayments => {
                // Payments pause for a part of the time only, or there would be none.
                let paused = !sim.oracle.model.payments_paused && sim.random.percent(80);
                Ask::Command(Command::SetPayments(SetPayments { paused }))
            }
            Operation::Tokens => Ask::Command(tokens(sim)),
            Operation::Operate => Ask::Command(operate(sim)),
            Operation::Refund => Ask::Command(self.refund(sim)),
            Operation::Keyed => Ask::Command(Command::Keyed(self.keyed(sim))),
            Operation::ReadHold => {
                let what = Look::Hold(any_hold(sim));
                self.read(sim, what)
            }
            Operation::ReadLedger => {
                let product = any_product(sim);
                let rows = sim.oracle.model.ledgers.get(product.0 as usize - 1).map_or(0, Vec::len);
                let from = sim.random.index(rows + 1);
                let limit = sim.random.between(1, 100) as usize;
                self.read(sim, Look::Ledger { product, from, limit })
            }
            Operation::ReadReport => {
                let told = &sim.oracle.model.reports;
                let key = match told.is_empty() {
                    true => "unknown".into(),
                    false => sim.random.pick(told).key.clone(),
                };
                self.read(sim, Look::Report(key))
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
            max_per_user: sim.random.percent(10).then_some(10),
            low_stock: sim.random.percent(40).then_some(5),
            sale: first_sale(sim).into(),
        })
    }

    fn place(&mut self, sim: &mut Sim, keyed: bool) -> PlaceOrder {
        let lines: Vec<Line> = (0..sim.random.between(1, 3)).map(|_| self.line(sim)).collect();
        let [mock, webhook, none] = sim.plan.mix.methods;
        let drawn = sim.random.below(mock + webhook + none);
        let payment_method = match drawn {
            drawn if drawn < mock => sim.plan.provider.method,
            drawn if drawn < mock + webhook => PaymentMethod::Webhook,
            _ => PaymentMethod::None,
        };
        let expected_total = match sim.random.below(20) {
            0 | 1 => total(sim, &lines),
            2 => Some(Money(1)),
            _ => None,
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
            terms: OrderTerms { expected_total, reference: reference(sim) }.into(),
        };
        if keyed {
            if self.placed.len() == REMEMBERED_MAX {
                self.placed.remove(0);
            }
            self.placed.push(place.clone());
        }
        place
    }

    /// An order that consumes a hold.
    fn consume(&mut self, sim: &mut Sim) -> PlaceOrder {
        let mut place = self.place(sim, false);
        let hold = any_hold(sim);
        (place.hold, place.lines) = (Some(hold), Vec::new());
        let lines = sim.oracle.model.hold(hold).map(|hold| hold.lines.clone());
        let expected_total = lines.filter(|_| sim.random.percent(10));
        let expected_total = expected_total.and_then(|lines| total(sim, &lines));
        place.terms.expected_total = expected_total;
        if sim.random.percent(80) {
            place.user = None;
        }
        place
    }

    /// A batch of a few orders: new ones, some from holds, and earlier ones again.
    fn batch(&mut self, sim: &mut Sim) -> Command {
        let keyed = sim.random.percent(70);
        let count = match sim.random.percent(3) {
            true => 0,
            false => sim.random.between(1, 6),
        };
        let mut orders: Vec<PlaceOrder> = Vec::new();
        for n in 0..count {
            let mut order = match sim.random.below(10) {
                0 if !self.placed.is_empty() => sim.random.pick(&self.placed).clone(),
                1 if !orders.is_empty() => sim.random.pick(&orders).clone(),
                2 => self.consume(sim),
                _ => self.place(sim, false),
            };
            if order.key.is_none() && keyed {
                order.key = Some(format!("b{}-{}-{n}", self.id, self.requests).into());
            }
            orders.push(order);
        }
        Command::PlaceBatch(PlaceBatch { atomic: sim.random.percent(50), orders })
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
            ttl_is_default: sim.random.percent(50).into(),
        })
    }

    /// A provider's report: new or duplicate, right or wrong, in time, early or late.
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

    /// A refund, mostly of a paid order: of all, of an amount, or of lines.
    fn refund(&mut self, sim: &mut Sim) -> Command {
        let model = &sim.oracle.model;
        let paid = (1..).map(OrderId).zip(&model.orders);
        let paid = paid.filter(|(_, row)| row.progress.now().status == Status::Paid);
        let paid: Vec<OrderId> = paid.map(|(id, _)| id).collect();
        if model.level == 0 || paid.is_empty() {
            return Command::CancelOrder(CancelOrder { order: any_order(sim), reason: None });
        }
        let order = *sim.random.pick(&paid);
        let facts = Model::facts(sim.oracle.model.order(order).expect("it is paid"));
        let mut lines = Vec::new();
        if sim.random.percent(50) {
            let line = sim.random.between(1, facts.items.len() as u64) as u32;
            let bought = u64::from(facts.items[line as usize - 1].quantity.0);
            let quantity = Quantity(sim.random.between(1, bought) as u32);
            lines.push(refund::Line { line, quantity, restock: sim.random.percent(70) });
        }
        let total = facts.total.0.unsigned_abs();
        let amount = sim.random.percent(40).then(|| Money(1 + sim.random.below(total + 1) as i64));
        Command::RequestRefund(RequestRefund {
            order,
            facts,
            amount,
            lines,
            reason: "returned".into(),
            actor: "ann".into(),
            key: sim.random.percent(70).then(|| self.key('r')),
            refunds_open_max: *sim.random.pick(&[3, 1_000_000]),
        })
    }

    /// An adjustment of stock. There are few keys, so some repeat, with the same request or
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

    /// A command under a key: a new one, an earlier one again, or another one under its key.
    fn keyed(&mut self, sim: &mut Sim) -> Keyed {
        if !self.keyed.is_empty() && sim.random.percent(50) {
            let mut keyed = sim.random.pick(&self.keyed).clone();
            keyed.meaning += u128::from(sim.random.percent(20));
            return keyed;
        }
        let drawn = *sim.random.pick(&[
            Operation::Cancel,
            Operation::SetStock,
            Operation::ChangeProduct,
            Operation::CreateProduct,
            Operation::CreateUser,
            Operation::Release,
            Operation::Extend,
        ]);
        let Ask::Command(command) = self.make(sim, drawn) else {
            unreachable!("a write is a command")
        };
        let command = command.try_into().expect("it may have a key");
        let name = (self.id as u128) << 64 | u128::from(self.requests);
        let keyed = Keyed { name, meaning: 0, command };
        if self.keyed.len() < REMEMBERED_MAX {
            self.keyed.push(keyed.clone());
        }
        keyed
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

/// Creates or revokes a token, sets the mode, or tells what an operator did.
fn tokens(sim: &mut Sim) -> Command {
    let known = sim.oracle.model.tokens.len() as u64;
    match sim.random.below(6) {
        0 if sim.oracle.model.level > 0 => {
            let action = *sim.random.pick(Action::ALL);
            Command::Note(Note { action, target: Some(sim.random.below(9)) })
        }
        0 | 1 => Command::SetAuth(SetAuth { mode: *sim.random.pick(&Mode::ALL) }),
        2 | 3 => {
            Command::RevokeToken(RevokeToken { token: TokenId(sim.random.between(1, known + 1)) })
        }
        _ => {
            let user = sim.random.percent(30).then(|| UserId(1 + sim.random.below(5)));
            Command::CreateToken(CreateToken {
                hash: [sim.random.below(256) as u8; 32],
                owner: "shop".into(),
                user,
                scopes: if user.is_some() { Scopes::OF_USERS } else { Scopes::ALL },
                label: "".into(),
                ttl_ms: sim.random.percent(50).then(|| sim.random.between(1, 10_000)),
            })
        }
    }
}

/// An operator ends an order, mostly one that is PROCESSING, or makes its payment due.
fn operate(sim: &mut Sim) -> Command {
    let model = &sim.oracle.model;
    if model.level == 0 {
        return Command::CancelOrder(CancelOrder { order: any_order(sim), reason: None });
    }
    let processing = (1..).map(OrderId).zip(&model.orders);
    let processing = processing.filter(|(_, row)| row.progress.now().status == Status::Processing);
    let processing: Vec<OrderId> = processing.map(|(id, _)| id).collect();
    let order = match processing.is_empty() || sim.random.percent(10) {
        true => any_order(sim),
        false => *sim.random.pick(&processing),
    };
    let current = sim.oracle.model.order(order).map_or(1, |row| row.progress.now().attempt);
    let attempt = if sim.random.percent(10) { current + 1 } else { current };
    if sim.random.percent(60) {
        let attempt = sim.random.percent(50).then_some(attempt);
        return Command::RecheckPayment(RecheckPayment { order, attempt });
    }
    let outcome = match sim.random.percent(50) {
        true => Settlement::Paid { reference: format!("p-{order}").into() },
        false => Settlement::Failed,
    };
    let (reason, actor) = ("looked at the provider".into(), "ann".into());
    Command::SettleOrder(SettleOrder { order, attempt, outcome, reason, actor })
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
        name: sim.random.percent(20).then(|| format!("renamed {}", sim.random.below(9)).into()),
        sku: sim.random.percent(20).then(|| Some(sku(sim))),
        low_stock: sim.random.percent(20).then(|| Some(sim.random.below(20) as u32)),
        sale: sale_change(sim).into(),
        ..UpdateProduct::default()
    })
}

/// Rules of a new product's sale: mostly none.
fn first_sale(sim: &mut Sim) -> Sale {
    Sale {
        opens_at: sim.random.percent(5).then(|| soon(sim)),
        min_per_order: sim.random.percent(5).then_some(2),
        max_held_per_user: sim.random.percent(10).then_some(2),
        per_window: sim.random.percent(10).then(|| per_window(sim)),
        ..Sale::default()
    }
}

/// A sale that opens or closes soon, or one without a window.
fn sale_change(sim: &mut Sim) -> SaleChange {
    let (opens_at, closes_at) = match sim.random.below(6) {
        0 => (Some(Some(soon(sim))), Some(None)),
        1 => (None, Some(Some(soon(sim)))),
        2 | 3 => (Some(None), Some(None)),
        _ => (None, None),
    };
    SaleChange {
        opens_at,
        closes_at,
        min_per_order: sim.random.percent(20).then_some(None),
        max_held_per_user: sim.random.percent(10).then_some(Some(2)),
        per_window: match sim.random.below(10) {
            0 => Some(None),
            1 => Some(Some(per_window(sim))),
            _ => None,
        },
    }
}

/// A limit that rolls, within a window of at most two seconds.
fn per_window(sim: &mut Sim) -> PerWindow {
    PerWindow { units: sim.random.between(2, 6) as u32, ms: sim.random.between(100, 2_000) }
}

/// An instant of the next second.
fn soon(sim: &mut Sim) -> Timestamp {
    sim.oracle.model.clock.plus_ms(sim.random.below(1_000))
}

/// Sometimes a reference. There are few, so most are taken after a while.
fn reference(sim: &mut Sim) -> Option<Box<str>> {
    sim.random.percent(8).then(|| format!("cart {}", sim.random.below(60)).into())
}

/// The total of lines by the newest prices, which may be others by the time of the order.
fn total(sim: &Sim, lines: &[Line]) -> Option<Money> {
    lines.iter().try_fold(Money(0), |sum, line| {
        let price = sim.oracle.model.product(line.product)?.now().price;
        sum.plus(price.times(line.quantity)?)
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
    let back = match sim.random.percent(60) {
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
    let filter = OrderFilter {
        user: sim.random.percent(30).then(|| UserId(1 + sim.random.below(5))),
        status: sim.random.percent(50).then(|| *sim.random.pick(&Status::ALL)),
        product: sim.random.percent(50).then(|| any_product(sim)),
        first: sim.random.percent(15).then(|| any_order(sim)),
        below: sim.random.percent(15).then(|| any_order(sim)),
    };
    let page = match sim.random.percent(50) {
        true => {
            let per_page = sim.random.between(1, 50);
            Page::Number { page: sim.random.between(0, 4), per_page }
        }
        false => {
            let id = sim.random.percent(70).then(|| any_order(sim));
            Page::Before { id, limit: sim.random.between(1, 50) }
        }
    };
    Look::List(filter, page)
}

fn sku(sim: &mut Sim) -> Box<str> {
    format!("S{}", sim.random.below(12)).into()
}

/// Sometimes the current version of a product, or an earlier one.
fn guess_version(sim: &mut Sim, id: ProductId) -> Option<Position> {
    let known = sim.oracle.model.product(id).map(|versions| versions.now().version);
    known.filter(|_| sim.random.percent(30))
}
