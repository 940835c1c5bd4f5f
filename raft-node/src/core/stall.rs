//! Watches for a disk that hangs, and decides what a node with such a disk still does.
//!
//! The oldest append that was handed out and is not durable shows it, or the oldest write to the
//! checkpoint that has not ended; no probe is needed. Time
//! counts only as ticks see it, so a process that was suspended has not waited for its disk. The
//! installation of a snapshot may take long and does not count.
//!
//! If the disk does not answer for this long:
//!
//! - [`STALLED_MS`], or two election timeouts; [`STORE_STALLED_MS`] for the checkpoint: the node is
//!   not ready and refuses new writes, its peers are told, and a leader transfers leadership;
//! - [`STANDS_STILL_MS`] more for an append: a leader steps down, and the raft clock stops until an
//!   append is durable;
//! - `Config::disk_stall_exit_ms`: the driver ends the process.
//!
//! Without this a leader would go on leading: its heartbeats do not wait for its disk.

use raft::{INVALID_ID, StateRole};

use super::Core;

/// How long an append may take before its disk counts as stalled, in milliseconds.
const STALLED_MS: u64 = 1_000;
/// How long a write to the checkpoint may take, in milliseconds. Longer than an append: it syncs
/// megabytes that were written before, for which a sound but slow disk needs seconds.
const STORE_STALLED_MS: u64 = 5_000;
/// How much longer until the node takes no part in elections, in milliseconds.
const STANDS_STILL_MS: u64 = 3_000;

impl Core {
    /// How long the disk has not answered, in milliseconds; 0 while nothing waits for it.
    pub fn stalled_ms(&self) -> u64 {
        self.stall.waited_ms.max(self.store_stall.waited_ms)
    }

    /// Whether the disk has not answered for so long that this node takes no writes and should not
    /// lead.
    pub(super) fn is_stalled(&self) -> bool {
        #[cfg(feature = "simulation")]
        if crate::planted::is_planted(crate::planted::Bug::StalledLeads) {
            return false;
        }
        self.is_log_stalled() || self.store_stall.waited_ms >= STORE_STALLED_MS
    }

    fn is_log_stalled(&self) -> bool {
        self.stall.waited_ms >= self.stalled_after_ms()
    }

    /// Whether the raft clock stops: a node whose log cannot write can neither vote nor lead.
    pub(super) fn stands_still(&self) -> bool {
        self.is_stalled() && self.stall.waited_ms >= self.stalled_after_ms() + STANDS_STILL_MS
    }

    fn stalled_after_ms(&self) -> u64 {
        STALLED_MS.max(2 * self.config.election_ticks as u64 * self.config.tick_ms)
    }

    /// At every tick, before raft's.
    pub(super) fn tick_stall(&mut self) {
        let oldest = match self.transfers.is_installing() {
            true => None,
            false => self.outbox.oldest_in_flight(),
        };
        let was_stalled = self.is_stalled();
        self.stall.tick(oldest, self.now.mono_ms);
        self.store_stall.tick(self.store_waits, self.now.mono_ms);
        if self.is_stalled() && !was_stalled {
            tracing::error!(
                node = self.node.0,
                waited_ms = self.stalled_ms(),
                checkpoint = !self.is_log_stalled(),
                "the disk does not answer: writes are refused, and this node should not lead"
            );
        }
        if self.stands_still() && self.raw.raft.state != StateRole::Follower {
            let term = self.raw.raft.term;
            self.raw.raft.become_follower(term, INVALID_ID);
        }
    }
}
