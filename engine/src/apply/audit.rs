//! Recording who administered what.

use crate::actor::Actor;
use crate::apply::context::Context;
use crate::audit::{Action, Row};
use crate::auth::Mode;
use crate::command::{Command, Note};
use crate::outcome::{Outcome, Rejection};
#[cfg(feature = "planted-bugs")]
use crate::planted::{Bug, is_planted};
use crate::state::State;

impl State {
    /// Records a command that administers, whatever came of it. At level 0 there is no audit.
    pub(crate) fn record(
        &mut self,
        cx: &Context<'_>,
        actor: Actor,
        administers: Option<(Action, Option<u64>)>,
        outcome: &Outcome,
    ) {
        let Some((action, target)) = administers else { return };
        // A retry administers nothing.
        if self.level() == 0 || matches!(outcome, Outcome::Repeated(_)) {
            return;
        }
        let is_refused = matches!(outcome, Outcome::Rejected(_));
        #[cfg(feature = "planted-bugs")]
        if is_refused && is_planted(Bug::RefusalsNotRecorded) {
            return;
        }
        let row = Row {
            id: self.audit.newest(action.kind()) + 1,
            position: cx.position,
            at: cx.at,
            actor,
            action,
            target: target.or_else(|| made(outcome)),
            is_refused,
            trace: cx.trace.clone(),
        };
        self.audit.push(row, &mut self.hasher);
    }

    /// Accepts what a node tells of an operator. The audit gets its row as for every command.
    pub(crate) fn note(&mut self, command: &Note) -> Result<Outcome, Rejection> {
        match command.action.is_told() {
            true => Ok(Outcome::Noted),
            false => Err(Rejection::Invalid("action")),
        }
    }
}

/// What a command administers, and the id of the row that it names. `None` for commands of
/// customers and of nodes.
pub(crate) fn administers(command: &Command) -> Option<(Action, Option<u64>)> {
    Some(match command {
        Command::SetAuth(command) => match command.mode {
            Mode::Off => (Action::AuthOff, None),
            Mode::Optional => (Action::AuthOptional, None),
            Mode::Required => (Action::AuthRequired, None),
        },
        Command::CreateToken(_) => (Action::CreateToken, None),
        Command::RevokeToken(command) => (Action::RevokeToken, Some(command.token.0)),
        Command::SetPayments(command) if command.paused => (Action::PausePayments, None),
        Command::SetPayments(_) => (Action::ResumePayments, None),
        Command::SettleOrder(command) => (Action::SettleOrder, Some(command.order.0)),
        Command::RecheckPayment(command) => (Action::RecheckPayment, Some(command.order.0)),
        Command::RequestRefund(command) => (Action::RequestRefund, Some(command.order.0)),
        Command::RaiseLevel(command) => (Action::RaiseLevel, Some(u64::from(command.to))),
        Command::BeginCluster(_) => (Action::BeginCluster, None),
        Command::Note(command) => (command.action, command.target),
        Command::Keyed(keyed) => return administers(&keyed.command.clone().into()),
        Command::CreateProduct(_) => (Action::CreateProduct, None),
        Command::UpdateProduct(command) => (Action::UpdateProduct, Some(command.product.0)),
        Command::ArchiveProduct(command) => (Action::ArchiveProduct, Some(command.product.0)),
        Command::AdjustStock(command) => (Action::AdjustStock, Some(command.product.0)),
        Command::PlaceOrder(_)
        | Command::PlaceBatch(_)
        | Command::CancelOrder(_)
        | Command::ClaimPayments(_)
        | Command::SettlePayments(_)
        | Command::FenceKey(_)
        | Command::PaymentWebhook(_)
        | Command::CreateHold(_)
        | Command::ReleaseHold(_)
        | Command::ExtendHold(_)
        | Command::CreateUser(_)
        | Command::Tick
        | Command::ClaimRefunds(_)
        | Command::SettleRefunds(_) => return None,
    })
}

/// The id of the row that a command made.
fn made(outcome: &Outcome) -> Option<u64> {
    match outcome {
        Outcome::TokenCreated(id) => Some(id.0),
        Outcome::ProductCreated(id) => Some(id.0),
        _ => None,
    }
}
