//! The space on disks, as data; `room` decides what follows from it.

use std::collections::BTreeMap;

use engine::ids::NodeId;

/// The free space on a node's disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Space {
    /// Enough.
    #[default]
    Ample,
    /// Less than the reserve. The node refuses new writes; open ones still fit.
    Low,
    /// Almost none. The log takes no entries, not even those of the leader.
    Exhausted,
}

/// A node's news about its disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct News {
    /// It has less space than its reserve.
    pub(super) low: bool,
    /// It leads and refuses writes.
    pub(super) refuses: bool,
}

/// What a node knows about the space on disks.
#[derive(Debug, Default)]
pub(super) struct Room {
    pub(super) own: Space,
    /// The news of each peer, and until when they count.
    pub(super) heard: BTreeMap<NodeId, (News, u64)>,
    pub(super) told: News,
    pub(super) told_at_ms: u64,
    pub(super) handed_over_at_ms: Option<u64>,
}

impl Room {
    pub(super) fn of(&self, peer: NodeId, now_ms: u64) -> News {
        match self.heard.get(&peer) {
            Some((news, until_ms)) if now_ms < *until_ms => *news,
            _ => News::default(),
        }
    }
}
