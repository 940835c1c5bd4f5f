//! The settings of a node, each with its default and its bounds.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use engine::ids::{NodeId, Position};

use crate::invalid::Invalid;
use crate::payment;
use crate::process_memory::available_bytes;
use crate::tls::PeerTls;

/// The smallest useful disk reserve, in bytes. The log grows by files that are allocated in steps,
/// and the checkpoint grows by segments.
pub const RESERVE_BYTES_MIN: u64 = 8 << 20;

/// The smallest bound on the memory of a node, in bytes.
pub const MEMORY_BYTES_MIN: u64 = 16 << 20;

/// The shortest time after which a node whose disk hangs ends, in milliseconds: it must step down
/// first.
pub const DISK_STALL_EXIT_MS_MIN: u64 = 5_000;

/// Four fifths of the memory that the machine has, or that the control groups of this process allow
/// if that is less. 0 if nobody knows.
pub fn memory_bytes_max() -> u64 {
    available_bytes().map_or(0, |bytes| bytes / 5 * 4)
}

/// One voter of a new cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its id.
    pub id: NodeId,
    /// Raft address, as other nodes reach it.
    pub raft_addr: String,
    /// HTTP address, as clients reach it, if known.
    pub http_addr: Option<String>,
}

/// What a joining node has to know about the cluster. A member tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Join {
    /// The cluster's hash, 32 hexadecimal digits.
    pub cluster: String,
    /// Its name.
    pub cluster_name: String,
    /// The founding voters.
    pub founders: Vec<Peer>,
    /// The known incarnations of the members. A wiped member must not be believed.
    pub met: BTreeMap<NodeId, u64>,
}

/// Whom a node believes to be another node.
#[derive(Clone, Debug)]
pub enum PeerSecurity {
    /// Everybody on this machine, and nobody else: all addresses must be loopback addresses.
    Loopback,
    /// Everybody who can reach the raft port. Only for networks where all others are trusted.
    Insecure,
    /// Nodes with a certificate.
    Tls(Arc<PeerTls>),
}

/// Settings of a node. [`Config::new`] gives the defaults.
#[derive(Clone, Debug)]
pub struct Config {
    /// This node's id, from 1.
    pub node_id: NodeId,
    /// The directory for everything durable.
    pub data_dir: PathBuf,
    /// The cluster's name. Nodes with another name are refused.
    pub cluster_name: String,
    /// Where the raft port listens. Port 0 takes any free port.
    pub raft_addr: SocketAddr,
    /// Whom this node believes to be another node.
    pub peer_security: PeerSecurity,
    /// The raft address that `status` shows.
    pub advertise_raft: String,
    /// The HTTP address that `status` shows.
    pub advertise_http: String,
    /// All voters, including this node. Read at the first startup only; later startups read the
    /// data directory.
    pub peers: Vec<Peer>,
    /// The running cluster to join, instead of founding one with `peers`. Read at the first startup
    /// only; see [`crate::directory::identity::begin_join`].
    pub join: Option<Join>,
    /// Settings of the payment worker.
    pub payments: payment::Config,
    /// Timing and bounds of the core.
    pub core: CoreConfig,
    /// Interval between checkpoints, in milliseconds.
    pub checkpoint_interval_ms: u64,
    /// Most bytes of encoded frames that wait for one peer. More are dropped.
    pub peer_queue_messages: usize,
    /// Most reads that wait for their barrier on this node.
    pub reads_max: usize,
    /// With this many bytes of memory in use, the node refuses writes that add rows. 0 never
    /// refuses; else at least [`MEMORY_BYTES_MIN`]. [`memory_bytes_max`] is a good value.
    pub memory_bytes_max: u64,
    /// Bytes of the disk to keep free. With less free, the node refuses writes. 0 never refuses;
    /// else at least [`RESERVE_BYTES_MIN`].
    pub disk_reserve_bytes: u64,
    /// The node ends when its disk has not answered for this many milliseconds. 0 never ends it;
    /// else at least [`DISK_STALL_EXIT_MS_MIN`].
    pub disk_stall_exit_ms: u64,
    /// Roughly how many events are kept for subscribers. At least the newest few hundred are kept.
    pub events_max: u64,
    /// How long events are kept, in milliseconds of the replicated clock.
    pub event_age_ms_max: u64,
    /// The node takes a snapshot when the log since the last one is as large as that snapshot, and
    /// has at least this many bytes.
    pub snapshot_log_bytes: u64,
    /// The node takes a snapshot after this many entries, whatever their size; 0 sets no such
    /// bound.
    pub snapshot_entries_max: u64,
    /// Bytes of a snapshot file per message.
    pub snapshot_part_bytes: usize,
}

/// Timing and bounds of the core. Raft counts some of them in ticks.
#[derive(Clone, Debug)]
pub struct CoreConfig {
    /// One raft tick, in milliseconds.
    pub tick_ms: u64,
    /// A leader sends heartbeats every this many ticks.
    pub heartbeat_ticks: usize,
    /// A follower that hears nothing for one to two times this many ticks starts an election.
    pub election_ticks: usize,
    /// Most bytes of entries in one append message. raft's default of 0 would send entries one by
    /// one.
    pub append_message_bytes_max: u64,
    /// Most unanswered append messages per follower.
    pub append_messages_in_flight_max: usize,
    /// Bytes of uncommitted entries above which proposals wait.
    pub uncommitted_bytes_max: u64,
    /// Most bytes of committed entries handed to the applier at once.
    pub committed_bytes_per_ready_max: u64,
    /// Bytes of committed entries that may wait for the applier in memory; it reads those beyond
    /// from the log.
    pub handed_out_bytes_max: usize,
    /// Most commands in one entry.
    pub batch_commands_max: usize,
    /// Most bytes in one entry, unless a single command is larger.
    pub batch_bytes_max: usize,
    /// Appends of this node's log that wait for their sync. While there are this many, the next
    /// entry waits and grows.
    pub appends_in_flight_max: usize,
    /// Most open requests of this node. More are refused as overloaded.
    pub outstanding_max: usize,
    /// Most bytes of these requests.
    pub outstanding_bytes_max: usize,
    /// How long the oldest request may wait for a leader that has it, in milliseconds, before new
    /// ones are refused. A queue longer than clients wait serves nobody.
    pub outstanding_age_max_ms: u64,
    /// Most forwarded commands that wait here for their entry. The rest is dropped, and its node
    /// sends it again.
    pub forwarded_max: usize,
    /// Most committed entries that wait for the applier. With more, new requests are refused.
    pub apply_lag_entries_max: u64,
    /// A request without an outcome is sent again after this time, under the same request id.
    pub resend_after_ms: u64,
    /// A read barrier without an answer is asked for again after this time.
    pub read_retry_after_ms: u64,
    /// Bytes of recent entries kept in memory for slow followers.
    pub entry_cache_bytes: usize,
    /// A learner that is behind by at most this many entries has caught up and is promoted.
    pub promote_lag_entries_max: u64,
    /// The largest gap between the leader's clock and the clocks of the nodes that is taken without
    /// an operator, in milliseconds.
    pub clock_step_ms_max: u64,
    /// Entries before the newest snapshot that stay in the log, for followers that were away
    /// briefly.
    pub log_margin_entries: u64,
}

/// What depends on the round trip between the nodes. All nodes should have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timings {
    /// Interval between a leader's heartbeats, in milliseconds, 20 to 5,000: about the longest
    /// round trip, or more.
    pub heartbeat_ms: u64,
    /// A follower that hears nothing for one to two times this many milliseconds starts an
    /// election. At most 60,000, and at least four heartbeats, since some get lost.
    pub election_ms: u64,
}

impl Default for Timings {
    fn default() -> Timings {
        Timings { heartbeat_ms: 100, election_ms: 500 }
    }
}

impl Timings {
    /// Checks the bounds, and the one against the other.
    ///
    /// # Errors
    /// Names the first invalid setting.
    pub fn validate(&self) -> Result<(), Invalid> {
        let Timings { heartbeat_ms, election_ms } = *self;
        let refuse = |setting, reason: String| Err(Invalid { setting, reason });
        if !(20..=5_000).contains(&heartbeat_ms) {
            return refuse("heartbeat-ms", format!("is {heartbeat_ms}: must be 20 to 5,000"));
        }
        let least = 4 * heartbeat_ms;
        if !(least..=60_000).contains(&election_ms) {
            let reason = format!("is {election_ms}: must be {least} (four heartbeats) to 60,000");
            return refuse("election-ms", reason);
        }
        Ok(())
    }
}

impl CoreConfig {
    /// Sets everything that follows from the timings.
    #[must_use]
    pub fn with_timings(mut self, timings: Timings) -> CoreConfig {
        let Timings { heartbeat_ms, election_ms } = timings;
        self.tick_ms = heartbeat_ms / 2;
        self.heartbeat_ticks = 2;
        self.election_ticks = (election_ms / self.tick_ms) as usize;
        // Before an answer can be here, asking again only adds load.
        self.read_retry_after_ms = (5 * heartbeat_ms / 2).max(250);
        self.resend_after_ms = (10 * heartbeat_ms).max(1_000);
        self
    }
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
            handed_out_bytes_max: 64 << 20,
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
            clock_step_ms_max: 24 * 3_600_000,
            log_margin_entries: 1_000,
        }
    }
}

impl Config {
    /// The defaults for a node that listens on a free loopback port and is alone until `peers` is
    /// set.
    pub fn new(node_id: NodeId, data_dir: impl Into<PathBuf>) -> Config {
        Config {
            node_id,
            data_dir: data_dir.into(),
            cluster_name: "holdfast".into(),
            raft_addr: SocketAddr::from(([127, 0, 0, 1], 0)),
            peer_security: PeerSecurity::Loopback,
            advertise_raft: String::new(),
            advertise_http: String::new(),
            peers: Vec::new(),
            join: None,
            payments: payment::Config::default(),
            core: CoreConfig::default(),
            checkpoint_interval_ms: 1_000,
            peer_queue_messages: 4_096,
            reads_max: 65_536,
            memory_bytes_max: 0,
            disk_reserve_bytes: 256 << 20,
            disk_stall_exit_ms: 30_000,
            events_max: 1 << 22,
            event_age_ms_max: 7 * 24 * 3600 * 1000,
            snapshot_log_bytes: 64 << 20,
            snapshot_entries_max: 0,
            snapshot_part_bytes: 256 << 10,
        }
    }

    /// Checks everything that needs no look at the data directory.
    ///
    /// # Errors
    /// Names the first invalid setting.
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
        if matches!(self.peer_security, PeerSecurity::Loopback) {
            if !self.raft_addr.ip().to_canonical().is_loopback() {
                return refuse("raft", NEEDS_CERTIFICATES);
            }
            if self.peers.iter().any(|peer| is_far(&peer.raft_addr)) {
                return refuse("peer", NEEDS_CERTIFICATES);
            }
        }
        if self.core.batch_commands_max as u64 > Position::COMMANDS_PER_ENTRY_MAX {
            return refuse("batch_commands_max", "must be at most 4096");
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
        if (1..MEMORY_BYTES_MIN).contains(&self.memory_bytes_max) {
            return refuse("memory_bytes_max", "must be 0 or at least 16 MiB");
        }
        if (1..RESERVE_BYTES_MIN).contains(&self.disk_reserve_bytes) {
            return refuse("disk_reserve", "must be 0 or at least 8 MiB");
        }
        if (1..DISK_STALL_EXIT_MS_MIN).contains(&self.disk_stall_exit_ms) {
            return refuse("disk_stall_exit_ms", "must be 0 or at least 5,000 ms");
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

/// Why a node without certificates does not listen for other machines.
const NEEDS_CERTIFICATES: &str = "an address that other machines can reach needs certificates of \
    all nodes (--peer-cert, --peer-key, --peer-ca; `holdfast certs` makes them), because everybody \
    who reaches the raft port owns the cluster; on a network where every machine is trusted, say \
    --insecure-peers";

/// Whether this is the address of another machine. Names are looked up when they are dialled.
fn is_far(raft_addr: &str) -> bool {
    raft_addr.parse::<SocketAddr>().is_ok_and(|address| !address.ip().to_canonical().is_loopback())
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
        let cases: [(&str, Spoil); 12] = [
            ("raft", |c| c.raft_addr = "0.0.0.0:7001".parse().unwrap()),
            ("raft", |c| c.raft_addr = "[2001:db8::1]:7001".parse().unwrap()),
            ("peer", |c| {
                let far = Peer { raft_addr: "192.0.2.2:7002".into(), ..peer(2) };
                c.peers = vec![peer(1), far];
            }),
            ("id", |c| c.node_id = NodeId(0)),
            ("cluster", |c| c.cluster_name.clear()),
            ("peer", |c| c.peers = vec![peer(2), peer(3)]),
            ("peer", |c| c.peers = vec![peer(1), peer(1)]),
            ("election_ticks", |c| c.core.election_ticks = 2),
            ("uncommitted_bytes_max", |c| c.core.uncommitted_bytes_max = 1),
            ("disk_reserve", |c| c.disk_reserve_bytes = 1),
            ("memory_bytes_max", |c| c.memory_bytes_max = 1),
            ("disk_stall_exit_ms", |c| c.disk_stall_exit_ms = 4_999),
        ];
        for (setting, spoil) in cases {
            let mut config = good.clone();
            spoil(&mut config);
            assert_eq!(config.validate().expect_err("refused").setting, setting);
        }
        let mut open = good.clone();
        open.raft_addr = "0.0.0.0:7001".parse().unwrap();
        open.peer_security = PeerSecurity::Insecure;
        assert_eq!(open.validate(), Ok(()));
    }

    #[test]
    fn timings_are_checked_against_each_other_and_the_defaults_change_nothing() {
        let timings = |heartbeat_ms, election_ms| Timings { heartbeat_ms, election_ms };
        for (heartbeat_ms, election_ms, wrong) in [
            (100, 500, None),
            (500, 5_000, None),
            (20, 80, None),
            (5_000, 60_000, None),
            (19, 500, Some("heartbeat-ms")),
            (5_001, 60_000, Some("heartbeat-ms")),
            (200, 799, Some("election-ms")),
            (200, 60_001, Some("election-ms")),
        ] {
            let refused = timings(heartbeat_ms, election_ms).validate().err();
            assert_eq!(
                refused.map(|invalid| invalid.setting),
                wrong,
                "{heartbeat_ms} {election_ms}"
            );
        }
        let defaults = format!("{:?}", CoreConfig::default());
        let same = CoreConfig::default().with_timings(Timings::default());
        assert_eq!(format!("{same:?}"), defaults);
        let wide = CoreConfig::default().with_timings(timings(500, 5_000));
        assert_eq!((wide.tick_ms, wide.heartbeat_ticks, wide.election_ticks), (250, 2, 20));
    }
}
