//! Applies entries, command by command.

use std::collections::BTreeSet;

use engine::command::{Command, CreateUser, Envelope, Keyed, Rules};
use engine::entry::Entry;
use engine::event::OrderChange;
use engine::ids::{OrderId, Position, RequestId, Timestamp, UserId};
use engine::order::Status;
use engine::outcome::{Outcome, Rejection};
use engine::trace::TraceId;

use crate::model::{At, Model, Predicted};
use crate::rows::Order;

impl Model {
    /// Applies an entry. Bytes that cannot be decoded have no effect.
    ///
    /// # Errors
    /// When the books do not balance after it.
    pub fn apply(&mut self, index: u64, payload: &[u8]) -> Result<Predicted, String> {
        let mut predicted = Predicted::default();
        if payload.is_empty() {
            return Ok(predicted);
        }
        let Ok(entry) = Entry::parse(payload) else { return Ok(predicted) };
        self.begin(index, entry.clock, &mut predicted);
        for (n, bytes) in (0..).zip(entry.envelopes) {
            let position = Position::new(index, n);
            let Ok((rules, envelope)) = Envelope::decode(bytes) else { continue };
            self.execute(position, rules, envelope, &mut predicted);
        }
        self.balance()?;
        Ok(predicted)
    }

    /// Begins an entry: moves the clock and expires what is due.
    pub fn begin(&mut self, index: u64, clock: Timestamp, predicted: &mut Predicted) {
        self.clock = self.clock.max(clock);
        let position = Position::new(index, 0);
        let mut at = At { position, trace: &TraceId::NONE, parks: true, predicted };
        self.expire(&mut at);
        self.expire_holds(&mut at);
        self.forget_parked(&mut at, self.clock);
    }

    /// Executes the command at a position, and adds its outcome and events to the prediction.
    pub fn execute(
        &mut self,
        position: Position,
        rules: Rules,
        envelope: Envelope,
        predicted: &mut Predicted,
    ) {
        let parks = rules == Rules::Parking && self.level == 0;
        let mut at = At { position, trace: &envelope.trace, parks, predicted };
        self.bound = self.user_of(envelope.actor);
        let administers = Model::administers(&envelope.command);
        let outcome = match self.admit(envelope.request) {
            true if self.shuts_out(envelope.actor, &envelope.command) => {
                Outcome::Rejected(Rejection::Unauthorized)
            }
            true => self.dispatch(&mut at, envelope.command),
            false => Outcome::Ignored,
        };
        self.bound = None;
        self.record(&at, envelope.actor, administers, &outcome);
        predicted.outcomes.push((envelope.request, outcome));
    }

    fn admit(&mut self, request: RequestId) -> bool {
        let (boot, seen) = self.sessions.entry(request.node).or_default();
        if request.boot > *boot {
            (*boot, *seen) = (request.boot, BTreeSet::new());
        }
        request.boot == *boot && seen.insert(request.seq)
    }

    fn dispatch(&mut self, at: &mut At<'_>, command: Command) -> Outcome {
        self.run(at, command).unwrap_or_else(Outcome::Rejected)
    }

    fn run(&mut self, at: &mut At<'_>, command: Command) -> Result<Outcome, Rejection> {
        match command {
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
            Command::CreateUser(command) => self.create_user(command),
            Command::Tick => Ok(Outcome::Ticked),
            Command::SetPayments(command) => {
                self.payments_paused = command.paused;
                Ok(Outcome::PaymentsSet)
            }
            Command::RaiseLevel(command) => {
                self.level = self.level.max(command.to);
                Ok(Outcome::LevelRaised(self.level))
            }
            Command::SetAuth(command) => Ok(self.set_auth(command.mode)),
            Command::CreateToken(command) => self.create_token(at, command),
            Command::RevokeToken(command) => self.revoke_token(command.token),
            Command::SettleOrder(command) => self.settle_order(at, command),
            Command::RecheckPayment(command) => self.recheck(at, &command),
            Command::RequestRefund(command) => self.request_refund(at, command),
            Command::ClaimRefunds(command) => Ok(self.claim_refunds(&command)),
            Command::SettleRefunds(command) => Ok(self.settle_refunds(at, command.results)),
            Command::Note(command) => Model::note(command.action),
            Command::BeginCluster(command) => {
                self.tokens.fill(None);
                self.payments_paused |= command.pause_payments;
                self.sessions.clear();
                if !at.parks {
                    self.forget_parked(at, Timestamp(u64::MAX));
                }
                Ok(Outcome::ClusterBegun)
            }
            Command::Keyed(keyed) => self.keyed(at, keyed),
        }
    }

    fn keyed(&mut self, at: &mut At<'_>, keyed: Keyed) -> Result<Outcome, Rejection> {
        if let Some((meaning, did)) = self.keyed.get(&keyed.name) {
            return match *meaning == keyed.meaning {
                true => Ok(Outcome::Repeated(Box::new(did.clone()))),
                false => Err(Rejection::KeyReused),
            };
        }
        let outcome = self.run(at, keyed.command.into())?;
        self.keyed.insert(keyed.name, (keyed.meaning, as_before(outcome.clone())));
        Ok(outcome)
    }

    fn create_user(&mut self, command: CreateUser) -> Result<Outcome, Rejection> {
        match self.emails.insert(command.email.clone()) {
            true => {
                self.users.push((command.name, command.email));
                Ok(Outcome::UserCreated(UserId(self.users.len() as u64)))
            }
            false => Err(Rejection::EmailTaken),
        }
    }

    fn expire(&mut self, at: &mut At<'_>) {
        let mut late: Vec<_> = (1..)
            .map(OrderId)
            .zip(&self.orders)
            .filter(|(_, order)| self.is_late(order))
            .map(|(id, order)| (order.deadline, id))
            .collect();
        late.sort_unstable();
        for (_, id) in late {
            self.expire_if_due(at, id);
        }
    }

    fn is_late(&self, order: &Order) -> bool {
        order.progress.now().status == Status::Pending
            && order.deadline.is_some_and(|deadline| deadline <= self.clock)
    }

    /// Cancels an order whose payment deadline passed. Returns whether it did.
    pub(crate) fn expire_if_due(&mut self, at: &mut At<'_>, id: OrderId) -> bool {
        let is_late = self.order(id).is_some_and(|order| self.is_late(order));
        if is_late {
            at.predicted.timed_out += 1;
            let reason = Some("payment deadline passed".into());
            self.advance(at, id, OrderChange::Cancelled { reason });
        }
        is_late
    }
}

/// The outcome of a command that finds everything as it wants it.
fn as_before(mut outcome: Outcome) -> Outcome {
    if let Outcome::Cancelled { already, .. }
    | Outcome::HoldReleased { already, .. }
    | Outcome::AuthSet { already, .. }
    | Outcome::TokenRevoked { already, .. }
    | Outcome::OrderSettled { already, .. } = &mut outcome
    {
        *already = true;
    }
    outcome
}
