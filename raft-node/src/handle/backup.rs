//! Backups: a snapshot of the current state, for readers outside the node.

use std::io::Read;

use engine::actor::Actor;
use engine::command::{Command, SetPayments};
use engine::trace::TraceId;
use tokio::time::Instant;

use super::Handle;
use crate::error::{ProposeError, SnapshotError};
use crate::replica::Applied;
use crate::snapshot::Meta;

/// Most attempts to open a snapshot that was removed right after it was taken.
const LOOKS_MAX: usize = 8;

/// An open backup.
pub struct Backup {
    /// Its metadata.
    pub meta: Meta,
    /// Its bytes from first to last, independent of the node's own files.
    pub reader: Box<dyn Read + Send>,
}

impl std::fmt::Debug for Backup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Backup").field("meta", &self.meta).finish_non_exhaustive()
    }
}

impl Handle {
    /// Takes a backup of everything applied here: consistent at one index, verified when it was
    /// written. To include everything that was acknowledged anywhere, wait for [`Handle::barrier`]
    /// first.
    ///
    /// # Errors
    /// See [`SnapshotError`].
    pub async fn backup(&self, deadline: Instant) -> Result<Backup, SnapshotError> {
        for _ in 0..LOOKS_MAX {
            let meta = self.take_snapshot(deadline).await?;
            let found = self.shared.snapshots.reader(meta.index);
            let found = found.map_err(|error| SnapshotError::Failed(error.to_string()))?;
            // Two more snapshots may be taken before this one is opened.
            if let Some(reader) = found {
                return Ok(Backup { meta, reader });
            }
        }
        Err(SnapshotError::Failed("snapshots are removed as soon as they are taken".into()))
    }

    /// Pauses payments, or resumes them, on all nodes.
    ///
    /// # Errors
    /// See [`ProposeError`].
    pub async fn set_payments(
        &self,
        actor: Actor,
        paused: bool,
        trace: TraceId,
        deadline: Instant,
    ) -> Result<Applied, ProposeError> {
        let command = Command::SetPayments(SetPayments { paused });
        self.propose_as(actor, command, trace, deadline).await
    }
}
