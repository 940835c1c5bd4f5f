//! Backups: a snapshot of now, to be read by somebody else.

use std::io::Read;

use engine::command::{Command, SetPayments};
use engine::trace::TraceId;
use tokio::time::Instant;

use super::Handle;
use crate::error::{ProposeError, SnapshotError};
use crate::replica::Applied;
use crate::snapshot::Meta;

/// How often a snapshot is looked for that was removed right after it was taken.
const LOOKS_MAX: usize = 8;

/// A backup that can be read.
pub struct Backup {
    /// What it is about.
    pub meta: Meta,
    /// Its bytes from the first to the last, whatever becomes of the node's own files meanwhile.
    pub reader: Box<dyn Read + Send>,
}

impl std::fmt::Debug for Backup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Backup").field("meta", &self.meta).finish_non_exhaustive()
    }
}

impl Handle {
    /// A backup of what was applied here up to now: consistent at one index, checked when it was
    /// written. Whoever wants everything that was acknowledged anywhere in it waits for
    /// [`Handle::barrier`] first.
    ///
    /// # Errors
    /// See [`SnapshotError`].
    pub async fn backup(&self, deadline: Instant) -> Result<Backup, SnapshotError> {
        for _ in 0..LOOKS_MAX {
            let meta = self.take_snapshot(deadline).await?;
            let found = self.shared.snapshots.reader(meta.index);
            let found = found.map_err(|error| SnapshotError::Failed(error.to_string()))?;
            // Two more may have been taken before this one was opened.
            if let Some(reader) = found {
                return Ok(Backup { meta, reader });
            }
        }
        Err(SnapshotError::Failed("snapshots are removed as soon as they are taken".into()))
    }

    /// Lets payments wait, or go on, on all nodes.
    ///
    /// # Errors
    /// See [`ProposeError`].
    pub async fn set_payments(
        &self,
        paused: bool,
        trace: TraceId,
        deadline: Instant,
    ) -> Result<Applied, ProposeError> {
        self.propose(Command::SetPayments(SetPayments { paused }), trace, deadline).await
    }
}
