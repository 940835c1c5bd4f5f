//! Takes a snapshot of this node, whether it leads or not.

use client::wire::{Envelope, ErrorCode, Snapshot};
use raft_node::SnapshotError;

use crate::answer::reply::{self, Reply};
use crate::call::Call;
use crate::failure::Failure;

/// `POST /cluster/snapshot`
pub(crate) async fn take(call: &Call<'_>) -> Result<Reply, Failure> {
    call.confirm().await?;
    let taken = call.app.handle.take_snapshot(call.deadline).await;
    let meta = taken.map_err(|error| match error {
        SnapshotError::NotInTime => Failure::new(
            ErrorCode::CommitTimeout,
            "The snapshot was not finished in time and may still be finished; retry.",
        ),
        SnapshotError::Stopping => Failure::stopping(),
        SnapshotError::Failed(_) => Failure::internal(call.trace, &error),
    })?;
    let snapshot = Snapshot {
        index: meta.index,
        term: meta.term,
        bytes: meta.bytes,
        digest: format!("{:016x}", meta.digest),
    };
    Ok(reply::of(200, &Envelope::new(snapshot)))
}
