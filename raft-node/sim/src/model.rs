//! The sequential model: what API.md says about each command, one command after the other.
//!
//! It is written independently of the engine and shares only its vocabulary (commands, outcomes,
//! ids). It has plain lists and maps, no indexes, no checkpoints. It keeps every version of every
//! row, so that what a node showed at any position can be compared. It also keeps the books of
//! API.md section 4 by itself.

mod batches;
mod books;
mod holds;
mod orders;
mod payments;
mod products;
pub(crate) mod rows;

use std::collections::{BTreeMap, BTreeSet};

use engine::command::{Command, Envelope};
use engine::entry::Entry;
use engine::event::OrderChange;
use engine::ids::{HoldId, NodeId, OrderId, Position, ProductId, RequestId, Timestamp, UserId};
use engine::order::Status;
use engine::outcome::{Outcome, Rejection};
use engine::trace::TraceId;

use self::rows::{Adjustment, Hold, Key, Movement, Order, Predicted, Product, Told, Versions};

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
    /// Payments are paused.
    pub(super) payments_paused: bool,
    /// Name and e-mail address of each user.
    pub(super) users: Vec<(Box<str>, Box<str>)>,
    /// Per node, its newest boot and the applied sequence numbers of that boot.
    sessions: BTreeMap<NodeId, (u64, BTreeSet<u64>)>,
    /// Rows that the last command changed, for the books.
    touched: Vec<ProductId>,
}

/// A command and its place.
struct At<'a> {
    position: Position,
    trace: &'a TraceId,
    predicted: &'a mut Predicted,
}

impl Model {
    /// Applies an entry.
    ///
    /// # Errors
    /// When its bytes are invalid, or the books do not balance after it.
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
