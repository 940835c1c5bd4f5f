//! The snapshot transfers from and to this node, as data; `snapshots` decides.

use std::collections::BTreeMap;

use engine::ids::NodeId;
use raft::eraftpb::Message;

use super::actions::{Actions, FileTask};

/// A transfer to a peer.
pub(super) struct Sending {
    pub(super) index: u64,
    pub(super) since_ms: u64,
    pub(super) heard_ms: u64,
}

/// A transfer to this node.
pub(super) struct Receiving {
    pub(super) from: NodeId,
    /// The message for raft once the file is there.
    pub(super) message: Box<Message>,
    pub(super) index: u64,
    pub(super) term: u64,
    pub(super) offset: u64,
    pub(super) stage: Stage,
    pub(super) asked_ms: u64,
    pub(super) heard_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// A part was requested.
    Asking,
    /// A part is being written.
    Writing,
    /// The file is complete and is being made into a state.
    Preparing,
}

/// All transfers.
#[derive(Default)]
pub(super) struct Transfers {
    pub(super) sending: BTreeMap<NodeId, Sending>,
    pub(super) receiving: Option<Receiving>,
    /// Number of files that are being made into a state for a transfer that is over. The next
    /// reports are about those, even if the same snapshot comes from another node by then.
    pub(super) prepares_stale: u32,
    /// Index of the older of the two stored snapshots; 0 while there is only one.
    pub(super) older: u64,
    /// The append that installs a snapshot, and the snapshot's index, until it is on disk.
    pub(super) installing: Option<(u64, u64)>,
    /// Snapshots installed since the node started.
    pub(super) installed: u64,
}

impl Transfers {
    pub(super) fn new(older: u64) -> Transfers {
        Transfers { older, ..Transfers::default() }
    }

    /// Number of peers that a snapshot is being sent to.
    pub(super) fn sending(&self) -> usize {
        self.sending.len()
    }

    /// Returns whether a snapshot is being received.
    pub(super) fn is_receiving(&self) -> bool {
        self.receiving.is_some()
    }

    /// Returns whether a snapshot is being installed and is not on disk yet.
    pub(super) fn is_installing(&self) -> bool {
        self.installing.is_some()
    }

    /// Ends the open transfer to this node, and starts another.
    pub(super) fn replace(&mut self, next: Option<Receiving>, actions: &mut Actions) {
        if let Some(before) = std::mem::replace(&mut self.receiving, next) {
            self.prepares_stale += u32::from(before.stage == Stage::Preparing);
            actions.files.push(FileTask::Forget);
        }
    }
}
