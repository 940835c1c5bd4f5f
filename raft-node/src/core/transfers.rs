//! The snapshots that are on their way from and to this node, as data; `snapshots` decides.

use std::collections::BTreeMap;

use engine::ids::NodeId;
use raft::eraftpb::Message;

use super::actions::{Actions, FileTask};

/// A snapshot on its way to a peer.
pub(super) struct Sending {
    pub(super) index: u64,
    pub(super) since_ms: u64,
    pub(super) heard_ms: u64,
}

/// A snapshot on its way here.
pub(super) struct Receiving {
    pub(super) from: NodeId,
    /// What raft gets when the file is there.
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
    /// A part was asked for.
    Asking,
    /// A part is being written.
    Writing,
    /// All of it is there and being made into a state.
    Preparing,
}

/// What is known of snapshots.
#[derive(Default)]
pub(super) struct Transfers {
    pub(super) sending: BTreeMap<NodeId, Sending>,
    pub(super) receiving: Option<Receiving>,
    /// Files that are being made into a state for a transfer that is over. What is reported next is
    /// about those, even if the same snapshot is on its way from another node by then.
    pub(super) prepares_stale: u32,
    /// The older of the two files that are kept; 0 while there is only one.
    pub(super) older: u64,
    /// The append that puts a snapshot in the place of the log, and the snapshot's index, until it
    /// is on disk.
    pub(super) installing: Option<(u64, u64)>,
    /// Snapshots that took the place of the log since the node started.
    pub(super) installed: u64,
}

impl Transfers {
    pub(super) fn new(older: u64) -> Transfers {
        Transfers { older, ..Transfers::default() }
    }

    /// To how many peers one is on its way.
    pub(super) fn sending(&self) -> usize {
        self.sending.len()
    }

    /// Whether one is on its way here.
    pub(super) fn is_receiving(&self) -> bool {
        self.receiving.is_some()
    }

    /// Whether one is being put in the place of the log, and is not on disk yet.
    pub(super) fn is_installing(&self) -> bool {
        self.installing.is_some()
    }

    /// Ends the transfer that is under way here, and puts another in its place.
    pub(super) fn replace(&mut self, next: Option<Receiving>, actions: &mut Actions) {
        if let Some(before) = std::mem::replace(&mut self.receiving, next) {
            self.prepares_stale += u32::from(before.stage == Stage::Preparing);
            actions.files.push(FileTask::Forget);
        }
    }
}
