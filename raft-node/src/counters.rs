//! Counters of a node's work since it started.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::histogram::Recorder;

/// A counter that any thread may raise.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub(crate) fn subtract(&self, n: u64) {
        self.0.fetch_sub(n, Ordering::Relaxed);
    }

    pub(crate) fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counters of a node since it started.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) proposals: Counter,
    pub(crate) proposals_refused: Counter,
    pub(crate) reads: Counter,
    pub(crate) refused_without_entry: Counter,
    pub(crate) lacked_without_entry: Counter,
    pub(crate) holds_refused_without_entry: Counter,
    pub(crate) syncs: Counter,
    pub(crate) sync_micros: Counter,
    pub(crate) entries_appended: Counter,
    pub(crate) entries_applied: Counter,
    pub(crate) commands_applied: Counter,
    pub(crate) commands_undecodable: Counter,
    pub(crate) apply_micros: Counter,
    pub(crate) apply_waits: Recorder,
    pub(crate) checkpoints: Counter,
    pub(crate) checkpoint_micros: Counter,
    pub(crate) checkpoint_index: Counter,
    pub(crate) applied_bytes: Counter,
    pub(crate) snapshots: Counter,
    pub(crate) snapshot_micros: Counter,
    pub(crate) log_bytes: Counter,
    pub(crate) peer_messages_dropped: Counter,
    pub(crate) peer_frames_dropped: Counter,
    /// Open links with TLS, in both directions.
    pub(crate) peer_links_tls: Counter,
    /// Open links without TLS.
    pub(crate) peer_links_plain: Counter,
    pub(crate) payment_calls: Counter,
    pub(crate) disk_free_bytes: Counter,
    pub(crate) memory_max_bytes: Counter,
    pub(crate) disk_reserve_bytes: Counter,
}

/// Microseconds since this moment.
pub(crate) fn micros_since(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX)
}
