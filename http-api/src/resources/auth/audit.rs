//! Shows the audit, and tells it what operators did that is no command.

use client::wire::{self, AuditOutcome, Envelope};
use engine::actor::Actor;
use engine::audit::{Action, Kind, Row};
use engine::command::{Command, Note};

use crate::answer::reply::{self, Reply, ReplyExt};
use crate::answer::views;
use crate::bounds::{AUDIT_DEFAULT, AUDIT_MAX, ID_MAX};
use crate::call::Call;
use crate::failure::Failure;
use crate::request::fields::Errors;
use crate::request::query;

/// `GET /audit`
pub(crate) async fn list(call: &Call<'_>) -> Result<Reply, Failure> {
    let query = call.query()?;
    let mut errors = Errors::default();
    let freshness = call.freshness(&query, &mut errors);
    let word = query.text("kind", &mut errors);
    let kind = Kind::ALL.into_iter().find(|kind| word.is_none_or(|word| word == kind.as_str()));
    if kind.is_none() {
        query::fault("kind", "must be administration or catalogue.", &mut errors);
    }
    let after = query.integer("after", 0..=ID_MAX, &mut errors);
    let limit = query.integer("limit", 1..=AUDIT_MAX, &mut errors).unwrap_or(AUDIT_DEFAULT);
    let kind = errors.finish(kind)?;
    call.wait_until_fresh(freshness).await?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let (position, rows) = call.app.handle.read(|state| {
        let rows: Vec<Row> = match after {
            Some(after) => state.audit(kind, after).take(limit).cloned().collect(),
            None => {
                let mut newest: Vec<_> = state.audit(kind, 0).rev().take(limit).cloned().collect();
                newest.reverse();
                newest
            }
        };
        (state.position(), rows)
    });
    let rows: Vec<_> = rows.iter().map(view).collect();
    Ok(reply::of(200, &Envelope::new(rows)).at(position).fresh(freshness))
}

fn view(row: &Row) -> wire::AuditRow {
    wire::AuditRow {
        id: row.id,
        position: row.position.0,
        at: views::moment(row.at),
        actor: match row.actor {
            Actor::Nobody => "nobody".to_owned(),
            Actor::System => "node".to_owned(),
            Actor::Root(node) => format!("root:{node}"),
            Actor::Token(token) => format!("token:{token}"),
            Actor::Customer { user } => format!("customer:{user}"),
        },
        action: row.action.as_str().to_owned(),
        target: row.target,
        outcome: if row.is_refused { AuditOutcome::Refused } else { AuditOutcome::Done },
        trace_id: row.trace.to_string(),
    }
}

/// Tells the audit what an operator did. It is done already, so a failure is only logged.
pub(crate) async fn note(call: &Call<'_>, action: Action, target: Option<u64>) {
    if call.app.handle.read(engine::state::State::level) == 0 {
        return;
    }
    if let Err(failure) = call.propose(Command::Note(Note { action, target })).await {
        let (action, code) = (action.as_str(), failure.code().as_str());
        tracing::warn!(action, target, code, trace_id = %call.trace, "the audit lacks an act");
    }
}
