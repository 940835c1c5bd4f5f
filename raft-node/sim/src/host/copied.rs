//! A copy of a node's directory, and who recognises a node that starts on it.

use engine::ids::NodeId;
use engine::store::memory::MemoryStore;
use raft_node::log::LogStore as _;
use raft_node::log::memory::MemoryLog;
use raft_node::snapshot::files::MemoryFiles;

/// A copy of a node's directory.
#[derive(Debug)]
pub(super) struct Copied {
    pub(super) log: MemoryLog,
    pub(super) store: MemoryStore,
    pub(super) files: MemoryFiles,
    pub(super) installed: (u64, u64),
    pub(super) checkpoint_damaged: bool,
    pub(super) boot: u64,
}

impl Copied {
    /// Returns whether a peer with this memory recognises a node that starts on the copy.
    pub(super) fn is_recognised(&self, node: NodeId, by: &MemoryLog) -> bool {
        let remembered = by.synced_memory().of(node);
        // The next process counts the boot after the copy's, with another random number.
        remembered.boot > self.boot
            || (remembered.index > self.log.compacted().0
                && self.log.term(remembered.index) != Some(remembered.term))
    }
}
