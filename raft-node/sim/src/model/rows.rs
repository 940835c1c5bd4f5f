//! The rows of the model, with all their versions.

use engine::adjustment::Change;
use engine::event::Event;
use engine::hold;
use engine::ids::{HoldId, NodeId, OrderId, Position, ProductId, RequestId, Timestamp, UserId};
use engine::ledger::Cause;
use engine::money::Money;
use engine::order::{Line, PaymentMethod, Status};
use engine::outcome::Outcome;
use engine::trace::TraceId;
use engine::webhook::{Fate, Report};

/// All versions of a value, with the position of each.
#[derive(Clone, Debug)]
pub(crate) struct Versions<T>(Vec<(Position, T)>);

impl<T: Clone> Versions<T> {
    pub(super) fn new(at: Position, value: T) -> Versions<T> {
        Versions(vec![(at, value)])
    }

    /// The value after the command at `at`, or `None` before it existed.
    pub(crate) fn at(&self, at: Position) -> Option<&T> {
        let after = self.0.partition_point(|(position, _)| *position <= at);
        after.checked_sub(1).map(|before| &self.0[before].1)
    }

    /// The position at which it got the value that it has after the command at `at`.
    pub(crate) fn since(&self, at: Position) -> Option<Position> {
        let after = self.0.partition_point(|(position, _)| *position <= at);
        after.checked_sub(1).map(|before| self.0[before].0)
    }

    /// The newest value.
    pub(crate) fn now(&self) -> &T {
        &self.0.last().expect("there is always a first version").1
    }

    /// Changes the newest value at a position.
    pub(super) fn change(&mut self, at: Position, change: impl FnOnce(&mut T)) {
        let (last, value) = self.0.last_mut().expect("there is always a first version");
        if *last == at {
            return change(value);
        }
        let mut next = value.clone();
        change(&mut next);
        self.0.push((at, next));
    }

    /// The number of versions, and the newest value, to come back to.
    pub(super) fn mark(&self) -> (usize, T) {
        (self.0.len(), self.now().clone())
    }

    /// Undoes all changes since.
    pub(super) fn reset(&mut self, length: usize, newest: T) {
        self.0.truncate(length);
        self.0[length - 1].1 = newest;
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Product {
    pub(crate) name: Box<str>,
    pub(crate) sku: Option<Box<str>>,
    pub(crate) price: Money,
    pub(crate) max_per_order: Option<u32>,
    pub(crate) max_per_user: Option<u32>,
    pub(crate) low_stock: Option<u32>,
    /// Units count towards the limit per user from here on.
    pub(crate) counted_since: Option<Position>,
    /// Units for sale, units in holds and open orders, and sold units.
    pub(crate) available: i64,
    pub(crate) held: i64,
    pub(crate) reserved: i64,
    pub(crate) sold: i64,
    /// Units from its creation and adjustments.
    pub(crate) brought_in: i64,
    pub(crate) archived: bool,
    pub(crate) version: Position,
}

#[derive(Clone, Debug)]
pub(crate) struct Progress {
    pub(crate) status: Status,
    /// The payment attempt, its unanswered tries, its due time, and the owner until then.
    pub(crate) attempt: u32,
    pub(crate) unanswered: u32,
    pub(crate) due: Timestamp,
    pub(crate) claimed_by: Option<NodeId>,
    pub(crate) failure_reason: Option<Box<str>>,
    pub(crate) updated_at: Timestamp,
}

#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) request: Request,
    /// Its user, and its lines: those of the hold, if it consumed one.
    pub(crate) user: Option<UserId>,
    pub(crate) lines: Vec<Line>,
    pub(crate) total: Money,
    pub(crate) prices: Vec<Money>,
    pub(crate) key: Option<Box<str>>,
    pub(crate) attempts_max: u32,
    pub(crate) placed: Position,
    pub(crate) created_at: Timestamp,
    /// A provider's report settled it, not the worker.
    pub(crate) reported: bool,
    pub(crate) deadline: Option<Timestamp>,
    pub(crate) trace: TraceId,
    pub(crate) progress: Versions<Progress>,
}

/// The fields that make two requests the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) user: Option<UserId>,
    pub(crate) hold: Option<HoldId>,
    pub(crate) lines: Vec<Line>,
    pub(crate) method: PaymentMethod,
    pub(crate) metadata: Option<Box<str>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Hold {
    pub(crate) user: Option<UserId>,
    pub(crate) lines: Vec<Line>,
    pub(crate) ttl_ms: u64,
    pub(crate) key: Option<Box<str>>,
    pub(crate) created: Position,
    pub(crate) created_at: Timestamp,
    pub(crate) trace: TraceId,
    pub(crate) term: Versions<Term>,
}

/// The deadline and the end of a hold.
#[derive(Clone, Debug)]
pub(crate) struct Term {
    pub(crate) status: hold::Status,
    pub(crate) expires_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

/// The state of an order's idempotency key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Made(OrderId),
    Fenced,
}

/// A provider's report.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) key: Box<str>,
    pub(crate) order: OrderId,
    pub(crate) report: Report,
    pub(crate) amount: Option<Money>,
    pub(crate) payload: Option<Box<str>>,
    pub(crate) parked_until: Timestamp,
    pub(crate) trace: TraceId,
    pub(crate) fate: Versions<Fate>,
}

/// An adjustment of stock, as requested.
pub(crate) type Adjustment = (ProductId, Change, Option<i64>, Box<str>);

/// The effects of an entry in the model.
#[derive(Clone, Debug, Default)]
pub(crate) struct Predicted {
    pub(crate) outcomes: Vec<(RequestId, Outcome)>,
    /// Events, in order.
    pub(crate) events: Vec<Event>,
    /// Claims of a task that another node had claimed before.
    pub(crate) takeovers: u64,
    /// Claims of payments that came while payments were paused.
    pub(crate) claims_put_off: u64,
    /// Results for attempts that were over.
    pub(crate) stale_results: u64,
    pub(crate) timed_out: u64,
    /// Reports that waited and found their order.
    pub(crate) matched: u64,
    /// Reports whose order did not come in time.
    pub(crate) unmatched: u64,
}

/// A movement of units of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Movement {
    pub(crate) position: Position,
    pub(crate) at: Timestamp,
    pub(crate) cause: Cause,
    /// Units on hand, held, reserved and sold after it.
    pub(crate) after: [i64; 4],
}

/// Units on hand, held, reserved and sold.
pub(crate) fn counters(product: &Product) -> [i64; 4] {
    let on_hand = product.available + product.held + product.reserved;
    [on_hand, product.held, product.reserved, product.sold]
}

/// Units of each product that lines ask for, by first mention.
pub(super) fn wanted(lines: &[Line]) -> Vec<(ProductId, u64)> {
    let mut wanted: Vec<(ProductId, u64)> = Vec::new();
    for line in lines {
        let units = u64::from(line.quantity.0);
        match wanted.iter_mut().find(|(id, _)| *id == line.product) {
            Some((_, sum)) => *sum += units,
            None => wanted.push((line.product, units)),
        }
    }
    wanted
}
