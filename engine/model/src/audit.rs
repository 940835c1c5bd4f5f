//! Who administered what.

use engine::actor::Actor;
use engine::audit::{Action, Kind, Row};
use engine::auth::Mode;
use engine::command::Command;
use engine::outcome::{Outcome, Rejection};

use crate::model::{At, Model};

impl Model {
    /// What is to be recorded of a command, once its outcome is known.
    pub(crate) fn administers(command: &Command) -> Option<(Action, Option<u64>)> {
        let (action, target) = match command {
            Command::SetAuth(it) if it.mode == Mode::Off => (Action::AuthOff, None),
            Command::SetAuth(it) if it.mode == Mode::Optional => (Action::AuthOptional, None),
            Command::SetAuth(_) => (Action::AuthRequired, None),
            Command::CreateToken(_) => (Action::CreateToken, None),
            Command::RevokeToken(it) => (Action::RevokeToken, Some(it.token.0)),
            Command::SetPayments(it) if it.paused => (Action::PausePayments, None),
            Command::SetPayments(_) => (Action::ResumePayments, None),
            Command::SettleOrder(it) => (Action::SettleOrder, Some(it.order.0)),
            Command::RecheckPayment(it) => (Action::RecheckPayment, Some(it.order.0)),
            Command::RequestRefund(it) => (Action::RequestRefund, Some(it.order.0)),
            Command::RaiseLevel(it) => (Action::RaiseLevel, Some(it.to.into())),
            Command::BeginCluster(_) => (Action::BeginCluster, None),
            Command::CreateProduct(_) => (Action::CreateProduct, None),
            Command::UpdateProduct(it) => (Action::UpdateProduct, Some(it.product.0)),
            Command::ArchiveProduct(it) => (Action::ArchiveProduct, Some(it.product.0)),
            Command::AdjustStock(it) => (Action::AdjustStock, Some(it.product.0)),
            Command::Note(it) => (it.action, it.target),
            Command::Keyed(it) => return Model::administers(&it.command.clone().into()),
            _ => return None,
        };
        Some((action, target))
    }

    /// Records it.
    pub(crate) fn record(
        &mut self,
        at: &At<'_>,
        actor: Actor,
        administers: Option<(Action, Option<u64>)>,
        outcome: &Outcome,
    ) {
        let Some((action, target)) = administers.filter(|_| self.level > 0) else { return };
        let target = match outcome {
            Outcome::Ignored | Outcome::Repeated(_) => return,
            Outcome::TokenCreated(id) => Some(id.0),
            Outcome::ProductCreated(id) => Some(id.0),
            _ => target,
        };
        let list = &mut self.audit[action.kind() as usize];
        list.push(Row {
            id: list.len() as u64 + 1,
            position: at.position,
            at: self.clock,
            actor,
            action,
            target,
            is_refused: matches!(outcome, Outcome::Rejected(_)),
            trace: at.trace.clone(),
        });
    }

    /// Takes what a node tells of an operator.
    pub(crate) fn note(action: Action) -> Result<Outcome, Rejection> {
        match action {
            Action::AddMember
            | Action::RemoveMember
            | Action::TransferLeader
            | Action::ReadBackup => Ok(Outcome::Noted),
            _ => Err(Rejection::Invalid("action")),
        }
    }

    /// The rows of a kind that a state still has.
    pub fn audit(&self, kind: Kind) -> &[Row] {
        let all = &self.audit[kind as usize];
        &all[all.len().saturating_sub(16_384)..]
    }
}
