//! What the core knows about the memory of the nodes; `memory_full.rs` decides what follows.

use std::collections::BTreeMap;

use engine::ids::NodeId;

/// What a node knows about the memory of the nodes.
#[derive(Debug, Default)]
pub(super) struct MemoryFull {
    /// Whether its own memory is nearly used up.
    pub(super) own: bool,
    /// The peers whose memory is nearly used up, and until when their news count.
    pub(super) heard: BTreeMap<NodeId, u64>,
    /// What it told the peers last, and when.
    pub(super) told: bool,
    pub(super) told_at_ms: u64,
}
