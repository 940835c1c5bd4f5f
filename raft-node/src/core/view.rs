//! What a core shows of itself: to operators, to metrics, and to whoever waits for a leader.
//!
//! It only looks. Nothing here decides or changes anything.

use engine::ids::{NodeId, Timestamp};

/// What a core shows of itself.
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
    /// Up to here entries were cut off at its beginning.
    pub compacted_index: u64,
    /// The newest snapshot.
    pub snapshot_index: u64,
    /// Its size in bytes.
    pub snapshot_bytes: u64,
    /// Peers that a snapshot is being sent to.
    pub snapshots_sending: usize,
    /// Whether one is being received.
    pub snapshot_receiving: bool,
    /// Snapshots that took the place of the log since the node started.
    pub snapshots_installed: u64,
    /// The leader's clock now; 0 on other nodes.
    pub clock: Timestamp,
    /// How far each voter's log is known to match, on the leader.
    pub matched: Vec<(NodeId, u64, bool)>,
    /// Requests of this node whose outcome is open.
    pub outstanding: usize,
    /// Commands that wait for their entry, on the leader.
    pub pending: usize,
    /// Reads that wait for their barrier.
    pub reads_waiting: usize,
    /// Elections this node has seen since it started.
    pub elections: u64,
    /// Entries this node proposed since it started, and commands in them.
    pub entries_proposed: u64,
    /// Commands in those entries.
    pub commands_proposed: u64,
    /// Commands this node forwarded to a leader.
    pub forwarded: u64,
    /// Milliseconds since each peer was heard.
    pub heard: Vec<(NodeId, u64)>,
    /// Whether this node was removed from the cluster. It takes no part any more.
    pub removed: bool,
    /// Milliseconds since a message from the leader, or from a majority on the leader itself.
    pub quorum_heard_ms_ago: u64,
    /// Whether writes are refused here for lack of room on the disks.
    pub refuses_writes: bool,
}
