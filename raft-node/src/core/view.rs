//! The view of a core for operators, metrics, and those that wait for a leader.
//!
//! It only shows. Nothing here decides or changes anything.

use engine::ids::{NodeId, Timestamp};
use raft::eraftpb::MessageType;

use super::actions::Why;
use super::clock::Behind;

/// The view of a core.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// Current term.
    pub term: u64,
    /// Who leads, if known.
    pub leader: Option<NodeId>,
    /// Whether this node leads.
    pub is_leader: bool,
    /// Whether this node leads and has committed an entry of its own term.
    pub leads_in_term: bool,
    /// Commit index as known here.
    pub commit_index: u64,
    /// Last index of this node's log.
    pub last_index: u64,
    /// The last index that was truncated at the front of the log.
    pub compacted_index: u64,
    /// Index of the newest snapshot.
    pub snapshot_index: u64,
    /// Its size in bytes.
    pub snapshot_bytes: u64,
    /// Peers that a snapshot is being sent to.
    pub snapshots_sending: usize,
    /// Whether one is being received.
    pub snapshot_receiving: bool,
    /// Snapshots installed since the node started.
    pub snapshots_installed: u64,
    /// The leader's clock now; 0 on other nodes.
    pub clock: Timestamp,
    /// On the leader, milliseconds by which its clock is behind the clocks of the nodes, and why;
    /// none if it follows them.
    pub clock_behind: Option<(u64, Behind)>,
    /// The known match index of each voter, on the leader, and whether the voter is active.
    pub matched: Vec<(NodeId, u64, bool)>,
    /// Open requests of this node.
    pub outstanding: usize,
    /// Commands that wait for their entry, on the leader.
    pub pending: usize,
    /// Reads that wait for their barrier.
    pub reads_waiting: usize,
    /// Elections this node has seen since it started.
    pub elections: u64,
    /// Entries that this node proposed since it started.
    pub entries_proposed: u64,
    /// Commands in those entries.
    pub commands_proposed: u64,
    /// Commands this node forwarded to a leader.
    pub forwarded: u64,
    /// Milliseconds since each peer was heard.
    pub heard: Vec<(NodeId, u64)>,
    /// The newest level that each peer said it speaks.
    pub speaks: Vec<(NodeId, u32)>,
    /// Whether this node was removed from the cluster.
    pub removed: bool,
    /// Milliseconds since a message from the leader; on the leader itself, from a majority.
    pub quorum_heard_ms_ago: u64,
    /// Whether this node refuses writes for lack of disk space, or because its disk hangs.
    pub refuses_writes: bool,
    /// Whether this node refuses writes that add rows, for lack of memory here or at too many
    /// others.
    pub is_memory_full: bool,
    /// Messages of peers that did not reach raft since the node started, by kind and reason.
    pub refused: Vec<(MessageType, Why, u64)>,
    /// How long the disk has not answered, in milliseconds; 0 while nothing waits for it.
    pub stalled_ms: u64,
    /// Whether that is so long that the node is not ready.
    pub is_stalled: bool,
}
