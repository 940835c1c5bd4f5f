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
    /// Whether no payment is asked for until payments are resumed.
    #[serde(default)]
    pub payments_paused: bool,
    /// The member that lived in the node's data directory before: its data was damaged, and the
    /// node was rebuilt from the others as a new member. Null when that never happened.
    #[serde(default)]
    pub rebuilt_from: Option<u64>,
    /// The lowest id above all that members have or had, as far as the node knows; 0 from a node
    /// that does not tell.
    #[serde(default)]
    pub next_member_id: u64,
    /// All members, by ascending id.
    pub members: Vec<Member>,
}

/// The data of `POST /cluster/snapshot`: a snapshot of the answering node's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Last log index that it holds.
    pub index: u64,
    /// The term of the entry at that index.
    pub term: u64,
    /// The size of its file in bytes.
    pub bytes: u64,
    /// Digest of the state at `index`, in hexadecimal.
    pub digest: String,
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
    /// Of a learner, the member whose place it takes when it gets its vote, if it takes one.
    #[serde(default)]
    pub replaces: Option<u64>,
    /// Last log index known to be on the member; null unless the leader answers.
    pub match_index: Option<u64>,
    /// Entries that the member is behind the leader; null unless the leader answers.
    pub lag: Option<u64>,
    /// Whether the answering node has heard from the member lately; true for itself.
    pub healthy: bool,
}

/// The body of `POST /cluster/members`: a node that is to join.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberRequest {
    /// Its id: one that no member has or ever had.
    pub id: u64,
    /// Where its peers reach it.
    pub raft_addr: String,
    /// Where clients reach it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_addr: Option<String>,
    /// The random number of its data directory, 16 hexadecimal digits. A node that joins by itself
    /// tells it; without one, the first directory that is met under the id counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incarnation: Option<String>,
    /// The member whose place it takes: that one leaves in the step in which this one gets its
    /// vote.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaces: Option<u64>,
}

/// The data of the answer to `POST /cluster/members`: what a joining node has to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberAdded {
    /// The cluster's hash, in hexadecimal.
    pub cluster_id: String,
    /// The cluster's name.
    pub cluster_name: String,
    /// Those who founded it, where the log begins.
    pub founders: Vec<Founder>,
    /// The data directories that the answering node knows.
    pub incarnations: Vec<KnownIncarnation>,
    /// All members now, by ascending id.
    pub members: Vec<Member>,
}

/// A node that founded the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Founder {
    /// Its id.
    pub id: u64,
    /// Where its peers reached it.
    pub raft_addr: String,
    /// Where clients reached it; null when it never said so.
    pub http_addr: Option<String>,
}

/// The data directory that is known under an id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownIncarnation {
    /// The id.
    pub id: u64,
    /// The random number of the directory, 16 hexadecimal digits.
    pub incarnation: String,
}

/// The body of `POST /cluster/payments`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentsRequest {
    /// Whether they are to wait.
    pub paused: bool,
}

/// The body of `POST /cluster/transfer-leader`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferRequest {
    /// Who shall lead; any other voter when nobody is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<u64>,
}
