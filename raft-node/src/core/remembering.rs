//! What a core remembers of its peers, and what they have told it, as data; `remembered` decides.

use std::collections::{BTreeMap, BTreeSet};

use ::engine::ids::NodeId;

use crate::memory::Memory;
use crate::message::PeerMessage;

/// Interval between two introductions to a peer that does not answer, in milliseconds.
const ASK_EVERY_MS: u64 = 100;

/// The part of a core that remembers its peers, and what they remember of this node.
#[derive(Debug, Default)]
pub(super) struct Remembering {
    pub(super) boot: u64,
    pub(super) run: u64,
    pub(super) memory: Memory,
    /// The memory differs from the one that was handed out last.
    pub(super) is_changed: bool,
    /// The number of the memory that was handed out last to be written, and when.
    pub(super) handed_out: u64,
    pub(super) handed_out_at_ms: u64,
    /// The number of the last memory that is on disk.
    pub(super) kept: u64,
    /// The number of the memory that has the newest boot of all.
    pub(super) boots_in: u64,
    /// Peers that introduced themselves and wait until their boot is on disk, with their run.
    pub(super) waiting: BTreeMap<NodeId, u64>,
    /// Peers that have told what they remember of this node.
    pub(super) introduced: BTreeSet<NodeId>,
    asked_at_ms: BTreeMap<NodeId, u64>,
    pub(super) told_at_ms: u64,
}

impl Remembering {
    pub(super) fn new(boot: u64, run: u64, mut memory: Memory) -> Remembering {
        memory.began(boot, run);
        // Handed out at once, as the first memory.
        let (is_changed, boots_in) = (true, 1);
        Remembering { boot, run, memory, is_changed, boots_in, ..Remembering::default() }
    }

    /// Whether a peer may be asked, or asked again, what it remembers.
    pub(super) fn may_ask(&mut self, peer: NodeId, now_ms: u64) -> bool {
        if self.kept == 0 {
            return false;
        }
        let asked = self.asked_at_ms.get(&peer);
        let may = asked.is_none_or(|at| at + ASK_EVERY_MS <= now_ms);
        if may {
            self.asked_at_ms.insert(peer, now_ms);
        }
        may
    }

    pub(super) fn about(&self) -> PeerMessage {
        PeerMessage::About { boot: self.boot, run: self.run }
    }

    /// The answers to peers whose boot is on disk.
    pub(super) fn answers(&mut self) -> Vec<(NodeId, PeerMessage)> {
        if self.kept < self.boots_in {
            return Vec::new();
        }
        let answer =
            |(peer, run)| (peer, PeerMessage::Remembered { run, remembered: self.memory.of(peer) });
        std::mem::take(&mut self.waiting).into_iter().map(answer).collect()
    }
}
