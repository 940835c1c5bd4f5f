//! The room on disks, as data; `room` decides what follows from it.

use std::collections::BTreeMap;

use engine::ids::NodeId;

/// The room on a node's disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Space {
    /// Enough.
    #[default]
    Ample,
    /// Less than the reserve: no new writes, while those under way still fit.
    Low,
    /// Nearly none: the log takes no entries, not even those of the leader.
    Exhausted,
}

/// What a node says about room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct News {
    /// It has less than its reserve.
    pub(super) low: bool,
    /// It leads, and takes no writes.
    pub(super) refuses: bool,
}

/// What a node knows about room.
#[derive(Debug, Default)]
pub(super) struct Room {
    pub(super) own: Space,
    /// What each peer said, and until when it holds.
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
