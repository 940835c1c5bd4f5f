//! What the core knows of levels: that of the state, and those that its peers speak.

use std::collections::BTreeMap;

use ::engine::ids::NodeId;
use ::engine::secret::Secret;

/// The core's part in the level.
#[derive(Debug, Default)]
pub(super) struct Levels {
    /// The level of the applied state.
    pub(super) current: u32,
    /// The highest level that this build speaks.
    pub(super) speaks: u32,
    /// Proposed with a raise.
    pub(super) secret: Secret,
    /// The level that this leader proposed and has not applied.
    pub(super) raising: Option<u32>,
    /// The last index of the log when this node began to lead: once it is applied, the state knows
    /// every raise of earlier leaders.
    pub(super) led_from: u64,
    /// The level that each peer said it speaks.
    pub(super) peers: BTreeMap<NodeId, u32>,
}

impl Levels {
    pub(super) fn new(current: u32, speaks: u32, secret: Secret) -> Levels {
        Levels { current, speaks, secret, ..Levels::default() }
    }

    pub(super) fn heard(&mut self, from: NodeId, speaks: u32) {
        self.peers.insert(from, speaks);
    }

    pub(super) fn applied(&mut self, level: u32) {
        self.current = self.current.max(level);
        self.raising = self.raising.filter(|to| *to > self.current);
    }

    /// The level that a peer speaks, as far as it has said.
    pub(super) fn of(&self, peer: NodeId) -> u32 {
        self.peers.get(&peer).copied().unwrap_or(0)
    }
}
