//! The cluster as one node sees it.

use serde::{Deserialize, Serialize};

use super::word::words;

words! {
    /// The role of a member, as far as the answering node knows.
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

/// The cluster as the answering node sees it, without a quorum.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Cluster {
    /// The cluster's id.
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
    /// Digest of the state at `applied_index`; equal on every node.
    pub digest: String,
    /// The level whose rules the cluster uses, as of `applied_index`.
    #[serde(default)]
    pub level: u32,
    /// The newest level that the node speaks.
    #[serde(default)]
    pub level_newest: u32,
    /// Whether payments wait until they are resumed.
    #[serde(default)]
    pub payments_paused: bool,
    /// The member whose data this node had before the data was damaged and the node was rebuilt as
    /// a new member; null when that never happened.
    #[serde(default)]
    pub rebuilt_from: Option<u64>,
    /// The lowest id above all ids that members have or had.
    #[serde(default)]
    pub next_member_id: u64,
    /// What an operator should look at, as sentences; the node still works.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// The process that answers; null from a node that does not say.
    #[serde(default)]
    pub node: Option<NodeState>,
    /// What of the answering node is open to everybody who reaches it: `http`, `peers`, or
    /// `peers_migrate` while links without TLS are taken too.
    #[serde(default)]
    pub insecure: Vec<String>,
    /// Settings of the answering node that are only for trials, as flags of `serve`.
    #[serde(default)]
    pub unsafe_settings: Vec<String>,
    /// How many more entries the log can take in the cluster's life; null from a node that does not
    /// say.
    #[serde(default)]
    pub log_entries_left: Option<u64>,
    /// All members, by ascending id.
    pub members: Vec<Member>,
}

/// The process of the answering node, and how much room it has left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NodeState {
    /// The version of its program.
    pub version: String,
    /// Seconds since it started.
    pub uptime_seconds: u64,
    /// Free bytes on the disk of its data directory.
    pub disk_free_bytes: u64,
    /// It refuses writes while less than this is free; null from a node that does not say.
    #[serde(default)]
    pub disk_reserve_bytes: Option<u64>,
    /// Memory that it uses, in bytes; null if the system does not say.
    pub memory_bytes: Option<u64>,
    /// How much it may use: the limit of its control group, else the memory of the machine; null if
    /// the system does not say.
    #[serde(default)]
    pub memory_limit_bytes: Option<u64>,
    /// Open files and connections; null if the system does not say.
    pub files_open: Option<u64>,
    /// How many it may have; null without a limit, or if the system does not say.
    pub files_max: Option<u64>,
}

/// A snapshot of the answering node's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Snapshot {
    /// Last log index that it holds.
    pub index: u64,
    /// The term of the entry at that index.
    pub term: u64,
    /// The size of its file in bytes.
    pub bytes: u64,
    /// Digest of the state at `index`; equal on every node.
    pub digest: String,
}

/// One member of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Member {
    /// The member's id, from 1.
    pub id: u64,
    /// Its role.
    pub role: MemberRole,
    /// Where its peers reach it.
    pub raft_addr: String,
    /// Where clients reach it; null when it never said so.
    pub http_addr: Option<String>,
    /// The member whose place a learner takes when it gets its vote, if any.
    #[serde(default)]
    pub replaces: Option<u64>,
    /// Last log index known to be on the member; null unless the leader answers.
    pub match_index: Option<u64>,
    /// Entries that the member is behind the leader; null unless the leader answers.
    pub lag: Option<u64>,
    /// Whether the answering node has heard from it lately; true for itself.
    pub healthy: bool,
    /// Milliseconds since the answering node heard from it; null for itself, and if it never did.
    #[serde(default)]
    pub last_contact_ms: Option<u64>,
    /// The newest level that it speaks; null while the answering node does not know.
    #[serde(default)]
    pub level_newest: Option<u32>,
    /// The version of its program; null unless it answers itself.
    #[serde(default)]
    pub version: Option<String>,
    /// Seconds since it started; null unless it answers itself.
    #[serde(default)]
    pub uptime_seconds: Option<u64>,
}

/// The body of `POST /cluster/members`: a node that is to join.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MemberRequest {
    /// Its id: one that no member has or ever had.
    pub id: u64,
    /// Where its peers reach it: HOST:PORT, at most 255 bytes.
    pub raft_addr: String,
    /// Where clients reach it: HOST:PORT, at most 255 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_addr: Option<String>,
    /// The random number of its data directory, 16 hexadecimal digits, which `--join` sends.
    /// Without it, the first directory that is met under the id counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incarnation: Option<String>,
    /// The member whose place it takes: that one leaves in the step in which this one gets its
    /// vote.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaces: Option<u64>,
    /// The highest level that its build speaks, which `--join` sends; 0 by default. A cluster at a
    /// higher level refuses the node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speaks: Option<u32>,
}

/// What a joining node has to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MemberAdded {
    /// The cluster's id.
    pub cluster_id: String,
    /// The cluster's name.
    pub cluster_name: String,
    /// The nodes that founded it.
    pub founders: Vec<Founder>,
    /// The data directories that the answering node knows.
    pub incarnations: Vec<KnownIncarnation>,
    /// All members now, by ascending id.
    pub members: Vec<Member>,
}

/// A node that founded the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct KnownIncarnation {
    /// The id.
    pub id: u64,
    /// The random number of the directory, 16 hexadecimal digits.
    pub incarnation: String,
}

/// The body of `POST /cluster/payments`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PaymentsRequest {
    /// Whether payments wait.
    pub paused: bool,
}

/// The body of `POST /cluster/level`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LevelRequest {
    /// The level, from 1; the newest that the answering node speaks by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<u32>,
}

/// The body of `POST /cluster/transfer-leader`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TransferRequest {
    /// The member that shall lead; the best other voter by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<u64>,
}
