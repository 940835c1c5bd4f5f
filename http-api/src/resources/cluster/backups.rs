//! Sends a backup of this node; pauses and resumes payments.

use std::sync::Arc;
use std::time::Duration;

use client::wire::ErrorCode;
use engine::audit::Action;
use engine::command::{Command, SetPayments};
use engine::outcome::Outcome;
use raft_node::SnapshotError;
use tokio::time::Instant;

use super::members::shown;
use crate::answer::download::Download;
use crate::answer::reply::{self, Reply, ReplyExt};
use crate::call::Call;
use crate::failure::Failure;
use crate::request::fields::Errors;
use crate::request::json::{self, Value};
use crate::resources::auth::audit::note;

/// The timeout of the snapshot behind a backup: the state may be large.
const SNAPSHOT_MAX: Duration = Duration::from_secs(600);

/// `GET /cluster/backup`
pub(crate) async fn get(call: &Call<'_>) -> Result<Reply, Failure> {
    let permit = Arc::clone(&call.app.backups).try_acquire_owned().map_err(|_| {
        Failure::new(
            ErrorCode::Overloaded,
            "Too many clients are reading backups from this node; retry later.",
        )
    })?;
    // The backup must have everything that was acknowledged before the request.
    let freshness = call.ready_to_read().await?;
    // Before the file: the request has a deadline, and a large snapshot takes longer.
    note(call, Action::ReadBackup, None).await;
    let backup = call.app.handle.backup(Instant::now() + SNAPSHOT_MAX).await;
    let backup = backup.map_err(|error| match error {
        SnapshotError::Stopping => Failure::stopping(),
        SnapshotError::NotInTime | SnapshotError::Failed(_) => {
            Failure::internal(call.trace, &error)
        }
    })?;
    tracing::info!(
        index = backup.meta.index,
        bytes = backup.meta.bytes,
        trace_id = %call.trace,
        "a backup is sent"
    );
    let reply = reply::file(Download::new(backup.reader, backup.meta.bytes, permit));
    Ok(reply.fresh(freshness))
}

/// `POST /cluster/payments`
pub(crate) async fn set_payments(call: &Call<'_>) -> Result<Reply, Failure> {
    let object = json::parse(&call.body)?;
    let fields = call.fields(&object);
    let mut errors = Errors::default();
    fields.check_names(&["paused"], &mut errors);
    let paused = match fields.required("paused", &mut errors) {
        Some(Value::Bool(paused)) => Some(*paused),
        Some(_) => {
            fields.fault("paused", "must be true or false.", &mut errors);
            None
        }
        None => None,
    };
    let paused = errors.finish(paused)?;
    let applied = call.propose(Command::SetPayments(SetPayments { paused })).await?;
    if let Outcome::Rejected(rejection) = &applied.outcome {
        return Err(Failure::rejected(rejection).at(applied.position));
    }
    tracing::info!(paused, trace_id = %call.trace, "payments were paused or resumed");
    Ok(shown(call))
}
