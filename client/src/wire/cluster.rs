//! The cluster as one node sees it.

use serde::{Deserialize, Serialize};

use super::word::words;

words! {
    /// What a member does, as far as the answering node knows.
    MemberRole {
        /// Orders all writes.
        Leader = "leader",
        /// Votes and follows.
        Follower = "follower",
        /// Asks for votes.
        Candidate = "candidate",
        /// Follows without a vote.
        Learner = "learner",
        /// The answering node cannot tell.
        Unknown = "unknown",
    }
}

/// The data of `GET /cluster`. It needs no quorum: it is the view of the node that answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// Name of the cluster.
    pub cluster_id: String,
    /// The node that answers.
    pub node_id: u64,
    /// The leader; null when the node knows none.
    pub leader_id: Option<u64>,
    /// The node's term.
    pub term: u64,
    /// Last log index that the node knows to be committed.
    pub commit_index: u64,
    /// Last log index that the node has applied.
    pub applied_index: u64,
    /// Digest of the state at `applied_index`, in hexadecimal; equal on every node at one index.
    pub digest: String,
    /// All members, by ascending id.
    pub members: Vec<Member>,
}

/// One member of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The member's id, from 1.
    pub id: u64,
    /// What it does.
    pub role: MemberRole,
    /// Where its peers reach it.
    pub raft_addr: String,
    /// Where clients reach it; null when it never said so.
    pub http_addr: Option<String>,
    /// Last log index known to be on the member; null unless the leader answers.
    pub match_index: Option<u64>,
    /// Entries that the member is behind the leader; null unless the leader answers.
    pub lag: Option<u64>,
    /// Whether the answering node has heard from the member lately; true for itself.
    pub healthy: bool,
}
