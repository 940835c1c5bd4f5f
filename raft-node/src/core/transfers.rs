//! The snapshot transfers from and to this node, as data; `snapshots` and `sending` decide.

use std::collections::{BTreeMap, BTreeSet};

use engine::ids::NodeId;
use raft::eraftpb::Message;

use super::actions::{Actions, FileTask};
use super::window::Window;

/// A transfer to a peer.
pub(super) struct Sending {
    /// The file that the peer fetches, or is about to.
    pub(super) index: u64,
    /// The furthest part that was requested, and when the first such request came.
    pub(super) furthest: u64,
    pub(super) moved_ms: u64,
    pub(super) heard_ms: u64,
    /// Where the parts begin that were requested and are not read yet.
    pub(super) reading: BTreeSet<u64>,
    /// When a part was last sent, or the peer was told that this node is busy.
    pub(super) sent_ms: u64,
}

impl Sending {
    pub(super) fn new(index: u64, now_ms: u64) -> Sending {
        Sending {
            index,
            furthest: 0,
            moved_ms: now_ms,
            heard_ms: now_ms,
            reading: BTreeSet::new(),
            sent_ms: now_ms,
        }
    }
}

/// A transfer to this node.
pub(super) struct Receiving {
    pub(super) from: NodeId,
    /// The message for raft once the file is there.
    pub(super) message: Box<Message>,
    pub(super) index: u64,
    pub(super) term: u64,
    pub(super) window: Window,
    pub(super) stage: Stage,
    /// When the sender was last told that this node is busy.
    pub(super) told_ms: u64,
    pub(super) heard_ms: u64,
    /// What a leader offered meanwhile. It is fetched if the sender of this one falls silent.
    pub(super) next: Option<(NodeId, Box<Message>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It is looked up how much of the file is here already.
    Beginning,
    /// Parts are under way.
    Fetching,
    /// The file is complete and is being made into a state.
    Preparing,
    /// The state is ready and waits for a leader.
    Ready,
}

/// All transfers.
#[derive(Default)]
pub(super) struct Transfers {
    pub(super) sending: BTreeMap<NodeId, Sending>,
    /// The files that were last named as those that must not be removed.
    pub(super) held: BTreeSet<u64>,
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
