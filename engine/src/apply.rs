//! Applying entries: here the loop over the commands of an entry, and one module per family of
//! commands.
//!
//! [`State::apply`] is the only writer. It is a function of the state and the entry: it reads no
//! clock, no random source and no configuration, never touches the disk, and starts no threads.
//!
//! Each command is planned completely before it changes anything, so a refusal leaves no trace and
//! no command is ever applied in part. A refusal is an [`Outcome`] that all nodes share. An
//! [`Error`] is a fault of one node, which then stops.
//!
//! Bytes that encode no command have no effect on any node (decision 22): nodes of every build that
//! knows the cluster's level read the same commands.

mod audit;
mod auth;
mod batch;
mod clusters;
pub(crate) mod context;
mod fences;
mod holds;
mod keyed;
mod moves;
mod orders;
mod payments;
pub(crate) mod plan;
mod products;
mod refunds;
mod rehearse;
mod settlement;
mod stock;
mod users;
mod webhooks;

use smallvec::SmallVec;

use crate::actor::Actor;
use crate::codec;
use crate::command::{Command, Envelope, Rules};
use crate::entry::Entry;
use crate::ids::{Position, RequestId};
use crate::keys::KeyHash;
use crate::level::NEWEST;
use crate::outcome::{Outcome, Rejection};
use crate::state::{Observer, State};

use self::context::{Context, FETCHED_AT_ONCE};
use self::orders::key_name;
pub use self::rehearse::Would;

/// Why this node cannot apply an entry. The node must stop: continuing would fork it from the
/// others.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The entry is not the one after the last, or is beyond all positions.
    #[error("entry {index} cannot follow entry {applied}")]
    OutOfOrder {
        /// The entry's index.
        index: u64,
        /// The index applied last.
        applied: u64,
    },
    /// The cluster uses rules that this build does not know.
    #[error(
        "entry {index} raises the cluster to level {level}, and this build knows levels up to \
         {NEWEST}: use the build of the other nodes"
    )]
    NeedsLevel {
        /// The entry's index.
        index: u64,
        /// The level.
        level: u32,
    },
}

/// Reads a payload, unless its commands have no positions.
fn parse(index: u64, payload: &[u8]) -> Result<Entry<'_>, codec::Error> {
    let entry = Entry::parse(payload)?;
    match entry.envelopes.len() as u64 <= Position::commands_max(index) {
        true => Ok(entry),
        false => Err(codec::Error::Malformed("more commands than positions".into())),
    }
}

/// Changed rows of a kind that may wait to be hashed; the rest is hashed at the end of an entry.
/// Only open orders wait: orders are hashed when they become final, and most do before the next
/// freeze.
const TOUCHED_ROWS_MAX: usize = 262_144;

/// A decoded command, about to be executed.
struct Ready {
    position: Position,
    rules: Rules,
    envelope: Envelope,
    /// The hashed key of an order to place.
    key: Option<KeyHash>,
}

impl State {
    /// Applies the entry at `index` of `term`, and tells the observer what each command did.
    ///
    /// An empty payload is raft's own entry and only moves the index. So does a payload that is no
    /// entry, and a command that cannot be decoded is left out: the observer hears of both.
    ///
    /// # Errors
    /// When the entry is not the one after the last, or raises the cluster to a level that this
    /// build does not know. Refusals by the rules are outcomes, not errors: an error is a fault of
    /// this node alone. The state may then have changed in part; the caller discards it and stops.
    pub fn apply(
        &mut self,
        index: u64,
        term: u64,
        payload: &[u8],
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        if index != self.applied_index + 1 || index > Position::INDEX_MAX {
            return Err(Error::OutOfOrder { index, applied: self.applied_index });
        }
        if payload.is_empty() {
            (self.applied_index, self.applied_term) = (index, term);
            self.position = Position::new(index, 0);
            return Ok(());
        }
        (self.applied_index, self.applied_term) = (index, term);
        self.position = Position::new(index, 0);
        let entry = match parse(index, payload) {
            Ok(entry) => entry,
            Err(error) => {
                observer.undecodable(self.position, &error);
                return Ok(());
            }
        };
        self.clock = self.clock.max(entry.clock);
        // Expiry and the first command share a position, so their events are numbered together.
        let mut events = self.expire_due(observer);
        let mut ready: SmallVec<[Ready; FETCHED_AT_ONCE]> = SmallVec::new();
        for (envelopes, first) in entry.envelopes.chunks(FETCHED_AT_ONCE).zip(0..) {
            for (bytes, n) in envelopes.iter().zip(first * FETCHED_AT_ONCE as u64..) {
                let position = Position::new(index, n);
                let (rules, envelope) = match Envelope::decode(bytes) {
                    Ok(decoded) => decoded,
                    Err(error) => {
                        observer.undecodable(position, &error);
                        continue;
                    }
                };
                let key = match &envelope.command {
                    Command::PlaceOrder(order) => key_name(order),
                    Command::RaiseLevel(raise) if raise.to > NEWEST => {
                        return Err(Error::NeedsLevel { index, level: raise.to });
                    }
                    _ => None,
                };
                ready.push(Ready { position, rules, envelope, key });
            }
            // Only loads, one after the other, so that the processor waits for all of them at once.
            for Ready { envelope, key, .. } in &ready {
                if let Command::PlaceOrder(order) = &envelope.command {
                    self.fetch_placing(order, *key);
                }
            }
            for Ready { position, rules, envelope, key } in ready.drain(..) {
                self.position = position;
                let Envelope { request, ref trace, actor, command } = envelope;
                let at = self.clock;
                let rules = self.level.rules(rules);
                let cx = Context { position, at, trace, rules, events, observer };
                let outcome = self.execute(command, actor, key, request, cx);
                observer.applied(self, position, request, outcome);
                events = 0;
            }
        }
        self.events.trim(self.clock);
        let beyond = |touched: usize| touched.saturating_sub(TOUCHED_ROWS_MAX);
        self.orders.hash_touched(beyond(self.orders.touched()), &mut self.hasher);
        self.holds.hash_touched(beyond(self.holds.touched()), &mut self.hasher);
        self.webhooks.hash_touched(beyond(self.webhooks.touched()), &mut self.hasher);
        self.refunds.hash_touched(beyond(self.refunds.touched()), &mut self.hasher);
        #[cfg(debug_assertions)]
        self.assert_sound();
        Ok(())
    }

    /// Executes a command. `key` is the hashed key of an order to place.
    fn execute(
        &mut self,
        command: Command,
        actor: Actor,
        key: Option<KeyHash>,
        request: RequestId,
        mut cx: Context<'_>,
    ) -> Outcome {
        if !self.sessions.admit(request) {
            self.totals.commands_ignored += 1;
            return Outcome::Ignored;
        }
        let administers = audit::administers(&command);
        if !self.may_act(actor, &command) {
            let rejection = Rejection::Unauthorized;
            self.totals.reject(&rejection);
            let outcome = Outcome::Rejected(rejection);
            self.record(&cx, actor, administers, &outcome);
            return outcome;
        }
        self.bound = self.bound_user(actor);
        let result = self.run(&mut cx, command, key);
        self.bound = None;
        let outcome = result.unwrap_or_else(|rejection: Rejection| {
            self.totals.reject(&rejection);
            Outcome::Rejected(rejection)
        });
        self.record(&cx, actor, administers, &outcome);
        outcome
    }

    /// Executes a command of a sender who may act. `key` is the hashed key of an order to place.
    fn run(
        &mut self,
        cx: &mut Context<'_>,
        command: Command,
        key: Option<KeyHash>,
    ) -> Result<Outcome, Rejection> {
        match command {
            Command::PlaceOrder(command) => self.place_order(cx, command, key),
            Command::PlaceBatch(command) => self.place_batch(cx, command),
            Command::CancelOrder(command) => self.cancel_order(cx, command),
            Command::ClaimPayments(command) => Ok(self.claim_payments(cx, &command)),
            Command::SettlePayments(command) => Ok(self.settle_payments(cx, command)),
            Command::FenceKey(command) => self.fence_key(cx, command),
            Command::PaymentWebhook(command) => self.payment_webhook(cx, command),
            Command::CreateHold(command) => Ok(self.create_hold(cx, command)),
            Command::ReleaseHold(command) => self.release_hold(cx, &command),
            Command::ExtendHold(command) => self.extend_hold(cx, &command),
            Command::CreateProduct(command) => self.create_product(cx, command),
            Command::UpdateProduct(command) => self.update_product(cx, command),
            Command::AdjustStock(command) => self.adjust_stock(cx, command),
            Command::ArchiveProduct(command) => self.archive_product(cx, &command),
            Command::CreateUser(command) => self.create_user(cx, command),
            Command::Tick => Ok(Outcome::Ticked),
            Command::BeginCluster(command) => Ok(self.begin_cluster(cx, &command)),
            Command::SetPayments(command) => Ok(self.set_payments(&command)),
            Command::RaiseLevel(command) => Ok(self.raise_level(&command)),
            Command::SetAuth(command) => Ok(self.set_auth(&command)),
            Command::CreateToken(command) => self.create_token(cx, command),
            Command::RevokeToken(command) => self.revoke_token(&command),
            Command::SettleOrder(command) => self.settle_order(cx, command),
            Command::RecheckPayment(command) => self.recheck_payment(cx, &command),
            Command::RequestRefund(command) => self.request_refund(cx, command),
            Command::ClaimRefunds(command) => Ok(self.claim_refunds(cx, &command)),
            Command::SettleRefunds(command) => Ok(self.settle_refunds(cx, command)),
            Command::Keyed(command) => self.keyed(cx, command),
            Command::Note(command) => self.note(&command),
        }
    }
}
