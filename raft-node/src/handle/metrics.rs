//! The metrics of a node.

use std::sync::atomic::Ordering;

use engine::ids::{NodeId, Position};

use crate::config::PeerSecurity;
use crate::core::View;
use crate::counters::Counter;
use crate::histogram::Histogram;
use crate::payment::GatewayState;
use crate::shared::Shared;

/// Numbers for a metrics page. Totals count since the node started.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// Seconds since the node started.
    pub uptime_seconds: u64,
    /// Current term.
    pub term: u64,
    /// 1 on the leader, else 0.
    pub is_leader: u64,
    /// Elections seen.
    pub elections_total: u64,
    /// Commit index as known here.
    pub commit_index: u64,
    /// Applied index.
    pub applied_index: u64,
    /// Last index of the log.
    pub last_index: u64,
    /// Open requests of this node.
    pub proposals_pending: u64,
    /// Commands that wait for their entry, on the leader.
    pub batch_pending: u64,
    /// Reads that wait for their barrier.
    pub reads_pending: u64,
    /// Commands from clients of this node.
    pub proposals_total: u64,
    /// Of those, refused before they were sent.
    pub proposals_refused_total: u64,
    /// Commands forwarded to a leader.
    pub forwarded_total: u64,
    /// Entries proposed by this node as leader.
    pub entries_proposed_total: u64,
    /// Entries appended to the log.
    pub entries_appended_total: u64,
    /// Entries applied.
    pub entries_applied_total: u64,
    /// Commands applied.
    pub commands_applied_total: u64,
    /// Committed commands left out because their bytes encode none.
    pub commands_undecodable_total: u64,
    /// Seconds spent applying.
    pub apply_seconds_total: f64,
    /// Time from commit to apply, per entry.
    pub apply_waits: Histogram,
    /// Log syncs.
    pub syncs_total: u64,
    /// Seconds spent in log writes and syncs.
    pub sync_seconds_total: f64,
    /// Reads that got their barrier.
    pub reads_total: u64,
    /// Orders refused without an entry in the log.
    pub refused_without_entry_total: u64,
    /// Of those, orders that lacked stock.
    pub lacked_without_entry_total: u64,
    /// Holds refused without an entry in the log.
    pub holds_refused_without_entry_total: u64,
    /// Checkpoints written.
    pub checkpoints_total: u64,
    /// Seconds spent writing them.
    pub checkpoint_seconds_total: f64,
    /// Applied index of the last durable checkpoint.
    pub checkpoint_index: u64,
    /// Snapshots taken.
    pub snapshots_total: u64,
    /// Seconds spent taking them.
    pub snapshot_seconds_total: f64,
    /// Applied index of the newest snapshot.
    pub snapshot_index: u64,
    /// Bytes of the newest snapshot.
    pub snapshot_bytes: u64,
    /// Snapshots of other nodes that replaced state and log.
    pub snapshots_installed_total: u64,
    /// Peers that a snapshot is being sent to.
    pub snapshots_sending: u64,
    /// Warnings; see [`Handle::warnings`](crate::Handle::warnings).
    pub warnings: u64,
    /// How often the data of this directory was damaged and rebuilt as a new member's.
    pub rebuilds: u64,
    /// The last index that was truncated at the front of the log.
    pub compacted_index: u64,
    /// Bytes of the log's files.
    pub log_bytes: u64,
    /// Messages of peers that were refused, by kind and reason.
    pub peer_messages_refused: Vec<(String, &'static str, u64)>,
    /// Messages to peers dropped because their queue was full.
    pub peer_messages_dropped_total: u64,
    /// Frames from peers dropped because the core was behind.
    pub peer_frames_dropped_total: u64,
    /// Open links to and from peers with TLS.
    pub peer_links_tls: u64,
    /// Open links without TLS.
    pub peer_links_plain: u64,
    /// The end of the validity of this node's certificate for peers, in seconds since 1970.
    pub peer_tls_not_after_s: Option<u64>,
    /// Open calls to the payment gateway.
    pub payment_calls_in_flight: u64,
    /// Calls to the payment gateway made.
    pub payment_calls_total: u64,
    /// Answers of the gateway, by kind.
    pub payment_answers: Vec<(&'static str, u64)>,
    /// What the breaker in front of the gateway lets through.
    pub gateway_state: GatewayState,
    /// Orders that are PENDING or PROCESSING.
    pub open_orders: u64,
    /// Bytes that the node may still write on the disk of the data directory.
    pub disk_free_bytes: u64,
    /// The node refuses writes while less than this is free.
    pub disk_reserve_bytes: u64,
    /// The level whose rules the cluster uses.
    pub level: u32,
    /// How many more entries the log can take.
    pub log_entries_left: u64,
    /// The other members.
    pub peers: Vec<Peer>,
    /// On the leader, milliseconds by which its clock is behind the clocks of the nodes; 0 while it
    /// follows them.
    pub clock_behind_ms: u64,
    /// 1 while this node refuses writes because of the disks, else 0.
    pub writes_refused: u64,
    /// 1 while writes that add rows are refused for lack of memory, else 0.
    pub memory_full: u64,
    /// Bytes of memory from which on it counts as full; 0 without a bound.
    pub memory_max_bytes: u64,
    /// Milliseconds for which this node's disk has not answered; 0 while nothing waits for it.
    pub disk_stalled_ms: u64,
}

/// Another member, as this node sees it.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// Its id.
    pub id: NodeId,
    /// Milliseconds since it was heard; none if it never was.
    pub last_contact_ms: Option<u64>,
    /// Entries that it is behind; only the leader knows.
    pub lag: Option<u64>,
}

/// How many more entries the log can take.
pub(super) fn entries_left(commit_index: u64) -> u64 {
    Position::INDEX_MAX.saturating_sub(commit_index)
}

fn peers(shared: &Shared, view: &View) -> Vec<Peer> {
    let members = shared.members.borrow();
    let others = members.members.iter().filter(|member| member.id != shared.node());
    let peer = |id: NodeId| {
        let matched = view.matched.iter().find(|(of, ..)| *of == id).map(|found| found.1);
        Peer {
            id,
            last_contact_ms: view.heard.iter().find(|(of, _)| *of == id).map(|(_, ms)| *ms),
            lag: matched.map(|matched| view.last_index.saturating_sub(matched)),
        }
    };
    others.map(|member| peer(member.id)).collect()
}

/// Reads the metrics of a node.
pub(super) fn metrics(shared: &Shared) -> Metrics {
    let view = shared.view.read().clone();
    let (applied_index, open_orders, level) = {
        let state = shared.state.read();
        (state.applied_index(), state.open_orders(), state.level())
    };
    let counters = &shared.counters;
    let seconds = |micros: &Counter| micros.get() as f64 / 1e6;
    Metrics {
        uptime_seconds: shared.now().mono_ms / 1_000,
        term: view.term,
        is_leader: u64::from(view.is_leader),
        elections_total: view.elections,
        commit_index: view.commit_index.max(applied_index),
        applied_index,
        last_index: view.last_index,
        proposals_pending: view.outstanding as u64,
        batch_pending: view.pending as u64,
        reads_pending: view.reads_waiting as u64,
        proposals_total: counters.proposals.get(),
        proposals_refused_total: counters.proposals_refused.get(),
        forwarded_total: view.forwarded,
        entries_proposed_total: view.entries_proposed,
        entries_appended_total: counters.entries_appended.get(),
        entries_applied_total: counters.entries_applied.get(),
        commands_applied_total: counters.commands_applied.get(),
        commands_undecodable_total: counters.commands_undecodable.get(),
        apply_seconds_total: seconds(&counters.apply_micros),
        apply_waits: counters.apply_waits.histogram(),
        syncs_total: counters.syncs.get(),
        sync_seconds_total: seconds(&counters.sync_micros),
        reads_total: counters.reads.get(),
        refused_without_entry_total: counters.refused_without_entry.get(),
        lacked_without_entry_total: counters.lacked_without_entry.get(),
        holds_refused_without_entry_total: counters.holds_refused_without_entry.get(),
        checkpoints_total: counters.checkpoints.get(),
        checkpoint_seconds_total: seconds(&counters.checkpoint_micros),
        checkpoint_index: counters.checkpoint_index.get(),
        snapshots_total: counters.snapshots.get(),
        snapshot_seconds_total: seconds(&counters.snapshot_micros),
        snapshot_index: view.snapshot_index,
        snapshot_bytes: view.snapshot_bytes,
        snapshots_installed_total: view.snapshots_installed,
        snapshots_sending: view.snapshots_sending as u64,
        // `Handle::metrics` counts them.
        warnings: 0,
        rebuilds: shared.identity.rebuilt().len() as u64,
        compacted_index: view.compacted_index,
        log_bytes: counters.log_bytes.get(),
        peer_messages_refused: (view.refused.iter())
            .map(|(kind, why, count)| (format!("{kind:?}"), why.as_str(), *count))
            .collect(),
        peer_messages_dropped_total: counters.peer_messages_dropped.get(),
        peer_frames_dropped_total: counters.peer_frames_dropped.get(),
        peer_links_tls: counters.peer_links_tls.get(),
        peer_links_plain: counters.peer_links_plain.get(),
        peer_tls_not_after_s: match &shared.peer_security {
            PeerSecurity::Tls(tls) => Some(tls.not_after_s()),
            PeerSecurity::Loopback | PeerSecurity::Insecure => None,
        },
        payment_calls_in_flight: shared.calls_in_flight.load(Ordering::Relaxed) as u64,
        payment_calls_total: counters.payment_calls.get(),
        payment_answers: shared.gateway.answers(),
        gateway_state: shared.gateway.state(),
        open_orders,
        disk_free_bytes: counters.disk_free_bytes.get(),
        disk_reserve_bytes: counters.disk_reserve_bytes.get(),
        level,
        log_entries_left: entries_left(view.commit_index.max(applied_index)),
        peers: peers(shared, &view),
        clock_behind_ms: view.clock_behind.map_or(0, |(ms, _)| ms),
        writes_refused: u64::from(view.refuses_writes),
        memory_full: u64::from(view.is_memory_full),
        memory_max_bytes: counters.memory_max_bytes.get(),
        disk_stalled_ms: view.stalled_ms,
    }
}
