//! The snapshot files of a process, as data.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use engine::state::State;
use engine::store::memory::MemoryStore;
use raft_node::core::{FileTask, Install};
use raft_node::snapshot::{Draft, Meta, Schedule, Snapshots};

/// The id of simulated clusters.
pub(super) const CLUSTER_ID: [u8; 16] = *b"simulatedcluster";

/// A snapshot that is being written.
pub(super) struct Taking {
    pub(super) draft: Draft,
    pub(super) store: Arc<MemoryStore>,
    pub(super) grown_at_begin: u64,
}

/// A state that waits for raft to install it.
pub(super) struct Prepared {
    pub(super) meta: Meta,
    pub(super) store: Arc<MemoryStore>,
    pub(super) state: State,
}

/// The snapshot files of a process.
pub(super) struct FileDuty {
    pub(super) snapshots: Snapshots,
    pub(super) schedule: Schedule,
    pub(super) wanted: bool,
    pub(super) taking: Option<Taking>,
    pub(super) tasks: VecDeque<FileTask>,
    pub(super) busy: bool,
    /// Files that are being sent and were there when that began.
    pub(super) held: BTreeSet<u64>,
    /// A part of the file that is being received could not be written.
    pub(super) unwritten: bool,
    pub(super) prepared: Option<Prepared>,
    /// A state that replaced the old one on disk, but not yet in memory.
    pub(super) installing: Option<(Install, Prepared)>,
    /// An installation began in the last step.
    pub(super) install_begun: bool,
}

impl FileDuty {
    pub(super) fn new(snapshots: Snapshots, schedule: Schedule) -> FileDuty {
        FileDuty {
            snapshots,
            schedule,
            wanted: false,
            taking: None,
            tasks: VecDeque::new(),
            busy: false,
            held: BTreeSet::new(),
            unwritten: false,
            prepared: None,
            installing: None,
            install_begun: false,
        }
    }
}
