//! The sequential model: what API.md says that commands do, one after the other.
//!
//! It is written apart from the engine and shares only its vocabulary (commands, outcomes, ids):
//! plain lists and maps, no indexes, no checkpoints. It keeps every version of every row, so that
//! what a node showed at any position can be compared. It also keeps the books of API.md section 4
//! by itself.

mod batches;
mod books;
mod holds;
mod orders;
mod payments;
mod products;

use std::collections::{BTreeMap, BTreeSet};

use engine::adjustment::Change;
use engine::command::{Command, Envelope};
use engine::entry::Entry;
use engine::event::{Event, OrderChange};
use engine::hold;
use engine::ids::{HoldId, NodeId, OrderId, Position, ProductId, RequestId, Timestamp, UserId};
use engine::money::Money;
use engine::order::{Line, PaymentMethod, Status};
use engine::outcome::{Outcome, Rejection};
use engine::trace::TraceId;
use engine::webhook::{Fate, Report};

pub(super) use self::books::{Movement, counters};

/// All values that something ever had, with the position at which it got each.
#[derive(Clone, Debug)]
pub(super) struct Versions<T>(Vec<(Position, T)>);

impl<T: Clone> Versions<T> {
    fn new(at: Position, value: T) -> Versions<T> {
        Versions(vec![(at, value)])
    }

    /// The value after the command at `at`, or `None` before it existed.
    pub(super) fn at(&self, at: Position) -> Option<&T> {
        let after = self.0.partition_point(|(position, _)| *position <= at);
        after.checked_sub(1).map(|before| &self.0[before].1)
    }

    /// The position at which it got the value that it had after the command at `at`.
    pub(super) fn since(&self, at: Position) -> Option<Position> {
        let after = self.0.partition_point(|(position, _)| *position <= at);
        after.checked_sub(1).map(|before| self.0[before].0)
    }

    /// The newest value.
    pub(super) fn now(&self) -> &T {
        &self.0.last().expect("there is always a first version").1
    }

    /// Changes the newest value at a position.
    fn change(&mut self, at: Position, change: impl FnOnce(&mut T)) {
        let (last, value) = self.0.last_mut().expect("there is always a first version");
        if *last == at {
            return change(value);
        }
        let mut next = value.clone();
        change(&mut next);
        self.0.push((at, next));
    }

    /// How many versions there are, and the newest value, to come back to.
    fn mark(&self) -> (usize, T) {
        (self.0.len(), self.now().clone())
    }

    /// Forgets all that was changed since.
    fn reset(&mut self, length: usize, newest: T) {
        self.0.truncate(length);
        self.0[length - 1].1 = newest;
    }
}

#[derive(Clone, Debug)]
pub(super) struct Product {
    pub(super) name: Box<str>,
    pub(super) sku: Option<Box<str>>,
    pub(super) price: Money,
    pub(super) max_per_order: Option<u32>,
    pub(super) max_per_user: Option<u32>,
    pub(super) low_stock: Option<u32>,
    /// Units count towards the limit per user from here on.
    pub(super) counted_since: Option<Position>,
    /// What can be sold, what holds and open orders keep back, what was sold.
    pub(super) available: i64,
    pub(super) held: i64,
    pub(super) reserved: i64,
    pub(super) sold: i64,
    /// Units that its creation and adjustments brought in.
    pub(super) brought_in: i64,
    pub(super) archived: bool,
    pub(super) version: Position,
}

#[derive(Clone, Debug)]
pub(super) struct Progress {
    pub(super) status: Status,
    /// The payment attempt, tries of it without an answer, when it is due, and whose it is till
    /// then.
    pub(super) attempt: u32,
    pub(super) unanswered: u32,
    pub(super) due: Timestamp,
    pub(super) claimed_by: Option<NodeId>,
    pub(super) failure_reason: Option<Box<str>>,
    pub(super) updated_at: Timestamp,
}

#[derive(Clone, Debug)]
pub(super) struct Order {
    pub(super) request: Request,
    /// Whose it is, and what it sells: the hold's, if it took one over.
    pub(super) user: Option<UserId>,
    pub(super) lines: Vec<Line>,
    pub(super) total: Money,
    pub(super) prices: Vec<Money>,
    pub(super) key: Option<Box<str>>,
    pub(super) attempts_max: u32,
    pub(super) placed: Position,
    pub(super) created_at: Timestamp,
    /// A provider's report settled it, not the worker.
    pub(super) reported: bool,
    pub(super) deadline: Option<Timestamp>,
    pub(super) trace: TraceId,
    pub(super) progress: Versions<Progress>,
}

/// What makes two requests the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) user: Option<UserId>,
    pub(super) hold: Option<HoldId>,
    pub(super) lines: Vec<Line>,
    pub(super) method: PaymentMethod,
    pub(super) metadata: Option<Box<str>>,
}

#[derive(Clone, Debug)]
pub(super) struct Hold {
    pub(super) user: Option<UserId>,
    pub(super) lines: Vec<Line>,
    pub(super) ttl_ms: u64,
    pub(super) key: Option<Box<str>>,
    pub(super) created: Position,
    pub(super) created_at: Timestamp,
    pub(super) trace: TraceId,
    pub(super) term: Versions<Term>,
}

/// How long a hold lives, and how it ended.
#[derive(Clone, Debug)]
pub(super) struct Term {
    pub(super) status: hold::Status,
    pub(super) expires_at: Timestamp,
    pub(super) updated_at: Timestamp,
}

/// What an idempotency key of orders has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Made(OrderId),
    Fenced,
}

/// A provider's report.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) key: Box<str>,
    pub(super) order: OrderId,
    pub(super) report: Report,
    pub(super) amount: Option<Money>,
    pub(super) payload: Option<Box<str>>,
    pub(super) parked_until: Timestamp,
    trace: TraceId,
    pub(super) fate: Versions<Fate>,
}

/// An adjustment of stock, as it was asked for.
pub(super) type Adjustment = (ProductId, Change, Option<i64>, Box<str>);

/// What an entry does by the model.
#[derive(Clone, Debug, Default)]
pub(super) struct Predicted {
    pub(super) outcomes: Vec<(RequestId, Outcome)>,
    /// What is told, in order.
    pub(super) events: Vec<Event>,
    /// Claims of a task that another node had claimed before.
    pub(super) takeovers: u64,
    /// Claims of payments that came while payments were paused.
    pub(super) claims_put_off: u64,
    /// Results for attempts that were over.
    pub(super) stale_results: u64,
    pub(super) timed_out: u64,
    /// Reports that waited and found their order.
    pub(super) matched: u64,
    /// Reports whose order did not come in time.
    pub(super) unmatched: u64,
}

#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) clock: Timestamp,
    pub(super) products: Vec<Versions<Product>>,
    /// The movements of each product's units.
    pub(super) ledgers: Vec<Vec<Movement>>,
    pub(super) orders: Vec<Order>,
    pub(super) holds: Vec<Hold>,
    pub(super) keys: BTreeMap<Box<str>, (Position, Key)>,
    pub(super) told: Vec<Told>,
    told_keys: BTreeMap<Box<str>, usize>,
    pub(super) adjustments: Vec<Adjustment>,
    adjustment_keys: BTreeMap<Box<str>, usize>,
    pub(super) hold_keys: BTreeMap<Box<str>, (Position, HoldId)>,
    emails: BTreeSet<Box<str>>,
    /// No payment is claimed.
    pub(super) payments_paused: bool,
    /// Name and e-mail address of each user.
    pub(super) users: Vec<(Box<str>, Box<str>)>,
    /// Per node its newest boot and the numbers of it that were applied.
    sessions: BTreeMap<NodeId, (u64, BTreeSet<u64>)>,
    /// Rows that the last command touched, for the books.
    touched: Vec<ProductId>,
}

/// A command on its way through the model.
struct At<'a> {
    position: Position,
    trace: &'a TraceId,
    predicted: &'a mut Predicted,
}

impl Model {
    /// Carries out an entry.
    ///
    /// # Errors
    /// When its bytes make no sense, or the books do not balance after it.
    pub(super) fn apply(&mut self, index: u64, payload: &[u8]) -> Result<Predicted, String> {
        let mut predicted = Predicted::default();
        if payload.is_empty() {
            return Ok(predicted);
        }
        let entry = Entry::parse(payload).map_err(|error| format!("entry {index}: {error}"))?;
        self.clock = self.clock.max(entry.clock);
        let none = TraceId::NONE;
        let start = Position::new(index, 0);
        let mut at = At { position: start, trace: &none, predicted: &mut predicted };
        self.expire(&mut at);
        self.expire_holds(&mut at);
        self.forget_parked(&mut at);
        for (n, bytes) in (0..).zip(entry.envelopes) {
            let position = Position::new(index, n);
            let envelope = Envelope::decode(bytes).map_err(|e| format!("{position}: {e}"))?;
            let mut at = At { position, trace: &envelope.trace, predicted: &mut predicted };
            let outcome = match self.admit(envelope.request) {
                true => self.carry_out(&mut at, envelope.command),
                false => Outcome::Ignored,
            };
            predicted.outcomes.push((envelope.request, outcome));
        }
        self.balance()?;
        Ok(predicted)
    }

    fn admit(&mut self, request: RequestId) -> bool {
        let (boot, seen) = self.sessions.entry(request.node).or_default();
        if request.boot > *boot {
            (*boot, *seen) = (request.boot, BTreeSet::new());
        }
        request.boot == *boot && seen.insert(request.seq)
    }

    fn carry_out(&mut self, at: &mut At<'_>, command: Command) -> Outcome {
        let result = match command {
            Command::PlaceOrder(command) => self.place(at, command),
            Command::PlaceBatch(command) => self.place_batch(at, command),
            Command::CancelOrder(command) => self.cancel(at, &command),
            Command::ClaimPayments(command) => Ok(self.claim(at, &command)),
            Command::SettlePayments(command) => Ok(self.settle(at, command.results)),
            Command::FenceKey(command) => Ok(self.fence(at, command.key)),
            Command::PaymentWebhook(command) => self.webhook(at, command),
            Command::AdjustStock(command) => self.adjust(at, command),
            Command::CreateHold(command) => self.create_hold(at, command),
            Command::ReleaseHold(command) => self.release_hold(at, command.hold),
            Command::ExtendHold(command) => self.extend_hold(at, &command),
            Command::CreateProduct(command) => self.create_product(at, command),
            Command::UpdateProduct(command) => self.update_product(at, &command),
            Command::ArchiveProduct(command) => {
                self.archive(at, command.product, command.expected_version)
            }
            Command::CreateUser(command) => match self.emails.insert(command.email.clone()) {
                true => {
                    self.users.push((command.name, command.email));
                    Ok(Outcome::UserCreated(UserId(self.users.len() as u64)))
                }
                false => Err(Rejection::EmailTaken),
            },
            Command::Tick => Ok(Outcome::Ticked),
            Command::SetPayments(command) => {
                self.payments_paused = command.paused;
                Ok(Outcome::PaymentsSet)
            }
            Command::BeginCluster(_) => unreachable!("no simulated client asks for it"),
        };
        result.unwrap_or_else(Outcome::Rejected)
    }

    fn expire(&mut self, at: &mut At<'_>) {
        let due = |order: &Order| {
            order.progress.now().status == Status::Pending
                && order.deadline.is_some_and(|deadline| deadline <= self.clock)
        };
        let mut late: Vec<_> = (1..)
            .map(OrderId)
            .zip(&self.orders)
            .filter(|(_, order)| due(order))
            .map(|(id, order)| (order.deadline, id))
            .collect();
        late.sort_unstable();
        for (_, id) in late {
            at.predicted.timed_out += 1;
            let reason = Some("payment deadline passed".into());
            self.advance(at, id, OrderChange::Cancelled { reason });
        }
    }

    pub(super) fn order(&self, id: OrderId) -> Option<&Order> {
        self.orders.get(usize::try_from(id.0.checked_sub(1)?).ok()?)
    }

    pub(super) fn hold(&self, id: HoldId) -> Option<&Hold> {
        self.holds.get(usize::try_from(id.0.checked_sub(1)?).ok()?)
    }

    pub(super) fn product(&self, id: ProductId) -> Option<&Versions<Product>> {
        self.products.get(usize::try_from(id.0.checked_sub(1)?).ok()?)
    }

    fn active(&self, id: ProductId) -> Option<&Product> {
        self.product(id).map(Versions::now).filter(|product| !product.archived)
    }
}
