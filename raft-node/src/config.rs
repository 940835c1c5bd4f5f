//! Every setting of a node, spelled out, with its default and its bounds.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use engine::ids::NodeId;

use crate::invalid::Invalid;
use crate::payment;

/// The least disk reserve that is useful, in bytes: the log grows by files that are allocated in
/// steps, and the checkpoint by segments.
pub const RESERVE_BYTES_MIN: u64 = 8 << 20;

/// One voter of a new cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its id.
    pub id: NodeId,
    /// Where the others reach its raft port.
    pub raft_addr: String,
    /// Where clients reach its HTTP port, if known.
    pub http_addr: Option<String>,
}

/// What a node has to know of the cluster that it joins, as a member tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Join {
    /// The cluster's hash, 32 hexadecimal digits.
    pub cluster: String,
    /// Its name.
    pub cluster_name: String,
    /// Who founded it.
    pub founders: Vec<Peer>,
    /// The incarnations of the members as far as they are known: a wiped one must not be believed.
    pub met: BTreeMap<NodeId, u64>,
}

/// Settings of a node. [`Config::new`] gives the defaults.
#[derive(Clone, Debug)]
pub struct Config {
    /// This node's id, from 1.
    pub node_id: NodeId,
    /// Where everything durable lives.
    pub data_dir: PathBuf,
    /// Name of the cluster; nodes of another name are refused.
    pub cluster_name: String,
    /// Where the raft port listens. Port 0 takes any free one.
    pub raft_addr: SocketAddr,
    /// The raft address that others see, for `status`.
    pub advertise_raft: String,
    /// The HTTP address that clients see, for `status`.
    pub advertise_http: String,
    /// All voters, this node too. Read at the first start only; later starts read the data
    /// directory.
    pub peers: Vec<Peer>,
    /// The running cluster to join instead of founding one with `peers`. Read at the first start
    /// only; see [`crate::directory::identity::begin_join`].
    pub join: Option<Join>,
    /// The payment step.
    pub payments: payment::Config,
    /// Timing and bounds of the core.
    pub core: CoreConfig,
    /// How often the state is checkpointed, in milliseconds.
    pub checkpoint_interval_ms: u64,
    /// Bytes of encoded peer frames that may wait for one peer before more are dropped.
    pub peer_queue_messages: usize,
    /// Reads that may wait for their barrier on this node.
    pub reads_max: usize,
    /// Bytes of the disk that are left free: with less, writes are refused until there is more
    /// again. 0 never refuses; else at least [`RESERVE_BYTES_MIN`].
    pub disk_reserve_bytes: u64,
    /// Events that are kept for subscribers, about; at least the newest few hundred are.
    pub events_max: u64,
    /// How long events are kept by the replicated clock, in milliseconds.
    pub event_age_ms_max: u64,
    /// A snapshot is taken when the log since the last one is as large as that one, and at least so
    /// many bytes.
    pub snapshot_log_bytes: u64,
    /// A snapshot is taken after so many entries, whatever their size; 0 sets no such bound.
    pub snapshot_entries_max: u64,
    /// The bytes of a snapshot file that travel in one message.
    pub snapshot_part_bytes: usize,
}

/// Timing and bounds of the core, in ticks where raft counts in ticks.
#[derive(Clone, Debug)]
pub struct CoreConfig {
    /// One raft tick, in milliseconds.
    pub tick_ms: u64,
    /// A leader sends heartbeats every so many ticks.
    pub heartbeat_ticks: usize,
    /// A follower that hears nothing for this to twice as many ticks starts an election.
    pub election_ticks: usize,
    /// Entries sent in one append message, in bytes. raft's default of 0 would send one by one.
    pub append_message_bytes_max: u64,
    /// Append messages to one follower that may be unanswered.
    pub append_messages_in_flight_max: usize,
    /// Bytes of uncommitted entries before proposals wait.
    pub uncommitted_bytes_max: u64,
    /// Bytes of committed entries handed to the applier at once.
    pub committed_bytes_per_ready_max: u64,
    /// Commands in one entry.
    pub batch_commands_max: usize,
    /// Bytes in one entry, unless one command alone is larger.
    pub batch_bytes_max: usize,
    /// Appends of this node's own log that may wait for their sync before new entries are held back
    /// to grow.
    pub appends_in_flight_max: usize,
    /// Requests of this node whose outcome is open. More are refused as overloaded.
    pub outstanding_max: usize,
    /// Their bytes.
    pub outstanding_bytes_max: usize,
    /// How long the oldest of them may wait for a leader that has it, in milliseconds, before new
    /// ones are refused: a queue that is longer than clients wait serves nobody.
    pub outstanding_age_max_ms: u64,
    /// Commands forwarded by other nodes that may wait here for their entry; the rest is dropped
    /// and comes again.
    pub forwarded_max: usize,
    /// Committed entries that may wait for the applier before new requests are refused.
    pub apply_lag_entries_max: u64,
    /// A request that got no outcome for so long is sent again, under the same request id.
    pub resend_after_ms: u64,
    /// A read barrier that got no answer for so long is asked for again.
    pub read_retry_after_ms: u64,
    /// Recent entries kept in memory for slow followers, in bytes.
    pub entry_cache_bytes: usize,
    /// A learner that is behind by at most so many entries has caught up and is promoted.
    pub promote_lag_entries_max: u64,
    /// Entries before the newest snapshot that stay in the log for followers that were away for a
    /// moment.
    pub log_margin_entries: u64,
}

impl Default for CoreConfig {
    fn default() -> CoreConfig {
        CoreConfig {
            tick_ms: 50,
            heartbeat_ticks: 2,
            election_ticks: 10,
            append_message_bytes_max: 1 << 20,
            append_messages_in_flight_max: 256,
            uncommitted_bytes_max: 64 << 20,
            committed_bytes_per_ready_max: 16 << 20,
            batch_commands_max: 4096,
            batch_bytes_max: 1 << 20,
            appends_in_flight_max: 2,
            outstanding_max: 16_384,
            outstanding_bytes_max: 64 << 20,
            outstanding_age_max_ms: 1_000,
            forwarded_max: 65_536,
            apply_lag_entries_max: 5_000,
            resend_after_ms: 1_000,
            read_retry_after_ms: 250,
            entry_cache_bytes: 32 << 20,
            promote_lag_entries_max: 128,
            log_margin_entries: 1_000,
        }
    }
}

impl Config {
    /// The defaults for a node, listening on a free loopback port, alone until `peers` is set.
    pub fn new(node_id: NodeId, data_dir: impl Into<PathBuf>) -> Config {
        Config {
            node_id,
            data_dir: data_dir.into(),
            cluster_name: "holdfast".into(),
            raft_addr: SocketAddr::from(([127, 0, 0, 1], 0)),
            advertise_raft: String::new(),
            advertise_http: String::new(),
            peers: Vec::new(),
            join: None,
            payments: payment::Config::default(),
            core: CoreConfig::default(),
            checkpoint_interval_ms: 1_000,
            peer_queue_messages: 4_096,
            reads_max: 65_536,
            disk_reserve_bytes: 256 << 20,
            events_max: 1 << 22,
            event_age_ms_max: 7 * 24 * 3600 * 1000,
            snapshot_log_bytes: 64 << 20,
            snapshot_entries_max: 0,
            snapshot_part_bytes: 256 << 10,
        }
    }

    /// Checks what can be checked without looking at the data directory.
    ///
    /// # Errors
    /// Names the first setting that is wrong.
    pub fn validate(&self) -> Result<(), Invalid> {
        let refuse = |setting, reason: &str| Err(Invalid { setting, reason: reason.into() });
        if self.node_id.0 == 0 {
            return refuse("id", "must be at least 1");
        }
        if self.cluster_name.is_empty() || self.cluster_name.len() > 64 {
            return refuse("cluster", "must have 1 to 64 bytes");
        }
        for (i, peer) in self.peers.iter().enumerate() {
            if peer.id.0 == 0 {
                return refuse("peer", "ids must be at least 1");
            }
            if self.peers[..i].iter().any(|other| other.id == peer.id) {
                return refuse("peer", "every id may be listed once");
            }
        }
        if !self.peers.is_empty() && !self.peers.iter().any(|peer| peer.id == self.node_id) {
            return refuse("peer", "the list must name this node too");
        }
        if self.peers.len() > 9 {
            return refuse("peer", "at most 9 voters");
        }
        if self.core.heartbeat_ticks == 0 || self.core.election_ticks <= self.core.heartbeat_ticks {
            return refuse("election_ticks", "must be more than heartbeat_ticks");
        }
        if self.core.uncommitted_bytes_max < self.core.append_message_bytes_max {
            return refuse("uncommitted_bytes_max", "must be at least append_message_bytes_max");
        }
        if self.core.tick_ms == 0 || self.checkpoint_interval_ms == 0 {
            return refuse("tick_ms", "intervals must be at least 1 ms");
        }
        if (1..RESERVE_BYTES_MIN).contains(&self.disk_reserve_bytes) {
            return refuse("disk_reserve", "must be 0 or at least 8 MiB");
        }
        if self.snapshot_log_bytes == 0 {
            return refuse("snapshot_log_bytes", "must be at least 1");
        }
        if !(1..=4 << 20).contains(&self.snapshot_part_bytes) {
            return refuse("snapshot_part_bytes", "must be 1 byte to 4 MiB");
        }
        self.payments.validate()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(id: u64) -> Peer {
        Peer { id: NodeId(id), raft_addr: format!("127.0.0.1:{}", 7000 + id), http_addr: None }
    }

    #[test]
    fn the_defaults_are_valid_and_mistakes_are_named() {
        let good = Config::new(NodeId(1), "x");
        assert_eq!(good.validate(), Ok(()));
        type Spoil = fn(&mut Config);
        let cases: [(&str, Spoil); 7] = [
            ("id", |c| c.node_id = NodeId(0)),
            ("cluster", |c| c.cluster_name.clear()),
            ("peer", |c| c.peers = vec![peer(2), peer(3)]),
            ("peer", |c| c.peers = vec![peer(1), peer(1)]),
            ("election_ticks", |c| c.core.election_ticks = 2),
            ("uncommitted_bytes_max", |c| c.core.uncommitted_bytes_max = 1),
            ("disk_reserve", |c| c.disk_reserve_bytes = 1),
        ];
        for (setting, spoil) in cases {
            let mut config = good.clone();
            spoil(&mut config);
            assert_eq!(config.validate().expect_err("refused").setting, setting);
        }
    }
}
