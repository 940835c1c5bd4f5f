//! The rows of the model, with all their versions.

use engine::adjustment::Change;
use engine::hold;
use engine::ids::{AdjustmentId, HoldId, NodeId, OrderId, Position, ProductId, Timestamp, UserId};
use engine::ledger::Cause;
use engine::money::Money;
use engine::order::{Line, PaymentMethod, Status};
use engine::refund::{self, Facts};
use engine::sale::Sale;
use engine::trace::TraceId;
use engine::webhook::{self, Fate};

/// All values that a row ever had, with the position at which it got each.
#[derive(Clone, Debug)]
pub struct Versions<T>(Vec<(Position, T)>);

impl<T: Clone> Versions<T> {
    pub(crate) fn new(at: Position, value: T) -> Versions<T> {
        Versions(vec![(at, value)])
    }

    /// The value after the command at `at`, or `None` before it existed.
    pub fn at(&self, at: Position) -> Option<&T> {
        let after = self.0.partition_point(|(position, _)| *position <= at);
        after.checked_sub(1).map(|before| &self.0[before].1)
    }

    /// The position at which it got the value that it had after the command at `at`.
    pub fn since(&self, at: Position) -> Option<Position> {
        let after = self.0.partition_point(|(position, _)| *position <= at);
        after.checked_sub(1).map(|before| self.0[before].0)
    }

    /// The newest value.
    pub fn now(&self) -> &T {
        &self.newest().1
    }

    /// The position at which it got its newest value.
    pub fn changed(&self) -> Position {
        self.newest().0
    }

    fn newest(&self) -> &(Position, T) {
        self.0.last().expect("there is always a first version")
    }

    /// Changes the newest value at a position.
    pub(crate) fn change(&mut self, at: Position, change: impl FnOnce(&mut T)) {
        let (last, value) = self.0.last_mut().expect("there is always a first version");
        if *last == at {
            return change(value);
        }
        let mut next = value.clone();
        change(&mut next);
        self.0.push((at, next));
    }

    /// How many versions there are, and the newest value, to come back to.
    pub(crate) fn mark(&self) -> (usize, T) {
        (self.0.len(), self.now().clone())
    }

    /// Forgets all changes since the mark.
    pub(crate) fn reset(&mut self, length: usize, newest: T) {
        self.0.truncate(length);
        self.0[length - 1].1 = newest;
    }
}

/// A product.
#[derive(Clone, Debug)]
pub struct Product {
    /// Its name.
    pub name: Box<str>,
    /// Its stock keeping unit.
    pub sku: Option<Box<str>>,
    /// The price of one unit.
    pub price: Money,
    /// The most units in one order.
    pub max_per_order: Option<u32>,
    /// The most units that one user may have.
    pub max_per_user: Option<u32>,
    /// The threshold of the event for low stock.
    pub low_stock: Option<u32>,
    /// Units count towards the limit per user from here on.
    pub counted_since: Option<Position>,
    /// Units that can be sold.
    pub available: i64,
    /// Units in active holds.
    pub held: i64,
    /// Units in open orders.
    pub reserved: i64,
    /// Units in paid orders.
    pub sold: i64,
    /// Units that its creation and adjustments brought in.
    pub brought_in: i64,
    /// Hidden from readers and new orders.
    pub archived: bool,
    /// The command that last changed it.
    pub version: Position,
    /// The rules of its sale.
    pub sale: Sale,
    /// Units count towards the limit per window from this command and this moment on.
    pub window: Option<(Position, Timestamp)>,
}

/// The units on hand, held, reserved and sold.
pub fn counters(product: &Product) -> [i64; 4] {
    let on_hand = product.available + product.held + product.reserved;
    [on_hand, product.held, product.reserved, product.sold]
}

/// A row of a product's ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Movement {
    /// The command that moved the units.
    pub position: Position,
    /// The replicated clock at that moment.
    pub at: Timestamp,
    /// The reason.
    pub cause: Cause,
    /// The units on hand, held, reserved and sold afterwards.
    pub after: [i64; 4],
}

/// What changes while an order is open.
#[derive(Clone, Debug)]
pub struct Progress {
    /// Its status.
    pub status: Status,
    /// The current or next payment attempt, from 1.
    pub attempt: u32,
    /// How often that attempt got no answer.
    pub unanswered: u32,
    /// When the payment task may be claimed.
    pub due: Timestamp,
    /// The node that has claimed the attempt, until it is due.
    pub claimed_by: Option<NodeId>,
    /// When its first attempt was claimed first.
    pub first_claimed_at: Option<Timestamp>,
    /// Why it failed or was cancelled.
    pub failure_reason: Option<Box<str>>,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// An order.
#[derive(Clone, Debug)]
pub struct Order {
    /// The request that placed it.
    pub request: Request,
    /// Its user: the request's or the hold's.
    pub user: Option<UserId>,
    /// Its lines: the request's or the hold's.
    pub lines: Vec<Line>,
    /// The sum of its lines.
    pub total: Money,
    /// The price of each line.
    pub prices: Vec<Money>,
    /// Its idempotency key.
    pub key: Option<Box<str>>,
    /// Attempts that may be declined before it fails.
    pub attempts_max: u32,
    /// The command that placed it.
    pub placed: Position,
    /// When it was placed.
    pub created_at: Timestamp,
    /// An operator settled it.
    pub settled_by_operator: bool,
    /// A provider's report settled it, not the worker.
    pub reported: bool,
    /// When it is cancelled unless a payment arrives.
    pub deadline: Option<Timestamp>,
    /// The trace id of its request.
    pub trace: TraceId,
    /// Every status that it had, in order.
    pub path: Vec<Status>,
    /// What changes while it is open.
    pub progress: Versions<Progress>,
}

impl Order {
    /// Whether the worker still has to settle its payment.
    pub fn has_task(&self) -> bool {
        self.request.method.has_worker() && !self.progress.now().status.is_final()
    }
}

/// What makes two requests for an order the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The named user.
    pub user: Option<UserId>,
    /// The named hold.
    pub hold: Option<HoldId>,
    /// The named lines.
    pub lines: Vec<Line>,
    /// Who obtains the payment.
    pub method: PaymentMethod,
    /// The customer's metadata.
    pub metadata: Option<Box<str>>,
    /// The caller's name of the order.
    pub reference: Option<Box<str>>,
}

/// A hold.
#[derive(Clone, Debug)]
pub struct Hold {
    /// Its user.
    pub user: Option<UserId>,
    /// Its lines.
    pub lines: Vec<Line>,
    /// The requested time to live, in milliseconds.
    pub ttl_ms: u64,
    /// Whether the client left it to the server.
    pub ttl_is_default: bool,
    /// Its idempotency key.
    pub key: Option<Box<str>>,
    /// The command that created it.
    pub created: Position,
    /// When it was created.
    pub created_at: Timestamp,
    /// The trace id of its request.
    pub trace: TraceId,
    /// How long it lasts, and how it ended.
    pub term: Versions<Term>,
    /// The price of each line when it was created, from level 1 on.
    pub prices: Option<Vec<Money>>,
}

impl Hold {
    /// The time to live that the client named.
    pub(crate) fn named_ttl_ms(&self) -> Option<u64> {
        (!self.ttl_is_default).then_some(self.ttl_ms)
    }
}

/// How long a hold lasts, and how it ended.
#[derive(Clone, Debug)]
pub struct Term {
    /// Its status.
    pub status: hold::Status,
    /// Its deadline.
    pub expires_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// The state of a used idempotency key of orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// It made this order.
    Made(OrderId),
    /// It can never make an order.
    Fenced,
}

/// A refund.
#[derive(Clone, Debug)]
pub struct Refund {
    /// The order.
    pub order: OrderId,
    /// What it depends on of its order.
    pub facts: Facts,
    /// What makes two requests for a refund the same.
    pub meaning: (OrderId, Option<Money>, Vec<refund::Line>),
    /// What the customer gets.
    pub amount: Money,
    /// The units that it is for.
    pub lines: Vec<refund::Line>,
    /// Its idempotency key.
    pub key: Option<Box<str>>,
    /// Its status.
    pub status: refund::Status,
    /// How often the gateway gave no answer.
    pub unanswered: u32,
    /// When it may be claimed.
    pub due: Timestamp,
    /// The node that has claimed it, until it is due.
    pub claimed_by: Option<NodeId>,
    /// When it was requested.
    pub created_at: Timestamp,
    /// The trace id of its request.
    pub trace: TraceId,
}

/// A provider's report.
#[derive(Clone, Debug)]
pub struct Report {
    /// The provider's key.
    pub key: Box<str>,
    /// The order that it names.
    pub order: OrderId,
    /// The reported result.
    pub report: webhook::Report,
    /// The reported amount.
    pub amount: Option<Money>,
    /// Other data from the provider.
    pub payload: Option<Box<str>>,
    /// When it becomes unmatched.
    pub parked_until: Timestamp,
    /// The trace id of its request.
    pub trace: TraceId,
    /// What became of it.
    pub fate: Versions<Fate>,
}

/// An adjustment of stock.
#[derive(Clone, Debug)]
pub struct Adjustment {
    /// Its id.
    pub id: AdjustmentId,
    /// The product.
    pub product: ProductId,
    /// The requested change.
    pub change: Change,
    /// How many units had to be available.
    pub expected: Option<i64>,
    /// The reason.
    pub reason: Box<str>,
    /// How many units were added, or removed when negative.
    pub delta: i64,
    /// The command that made it.
    pub position: Position,
}
