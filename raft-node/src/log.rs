//! The raft log: where entries and hard state live, and how raft reads them.
//!
//! [`LogStore`] is what must be durable; [`engine::EngineLog`] keeps it in raft-engine,
//! [`memory::MemoryLog`] in memory for tests and simulation, forgetting what was not synced.
//! [`view`] is raft's read side: a cache of recent entries, those not yet written included, over a
//! store.

pub mod engine;
pub mod memory;
pub mod view;

use raft::eraftpb::{Entry, HardState};

/// Why the log cannot go on. All of these are final for the node: it stops and trusts only what it
/// reads back after a restart.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store failed.
    #[error("raft log at {path}: {reason}")]
    Store {
        /// Where it lives.
        path: String,
        /// What it said.
        reason: String,
    },
    /// There is no log, but there was one: the node voted and acknowledged before.
    #[error(
        "raft log at {0} is missing, though this data directory has had one: the node has forgotten \
         what it acknowledged. Replace it by a new member"
    )]
    Missing(String),
    /// The log ends before a place that was synced: a part of it was lost or damaged.
    #[error(
        "raft log at {path} ends at index {last_index} in term {term}, but index {synced_index} in \
         term {synced_term} was synced: the log lost acknowledged entries. Replace this node by a \
         new member"
    )]
    Lost {
        /// Where it lives.
        path: String,
        /// The last index found.
        last_index: u64,
        /// The term found.
        term: u64,
        /// The index that the watermark names.
        synced_index: u64,
        /// The term that the watermark names.
        synced_term: u64,
    },
}

/// Durable raft state of one group.
///
/// Reads may run while an append does. `append` returns when its data survives a power cut.
pub trait LogStore: Send + Sync {
    /// The hard state last appended, all zero for a new log.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn hard_state(&self) -> Result<HardState, Error>;

    /// The first index that can be read, 1 for a new log.
    fn first_index(&self) -> u64;

    /// The last index, 0 for a new log.
    fn last_index(&self) -> u64;

    /// Entries from `low` up to but not including `high`, cut after `bytes_max` bytes but at least
    /// one.
    ///
    /// # Errors
    /// When one of them is missing or damaged.
    fn entries(&self, low: u64, high: u64, bytes_max: u64) -> Result<Vec<Entry>, Error>;

    /// Writes entries and hard state together and syncs them. Entries replace a conflicting suffix.
    ///
    /// # Errors
    /// When writing or syncing failed: nothing of it counts as durable and the node must stop.
    fn append(&self, entries: &[Entry], hard_state: Option<&HardState>) -> Result<(), Error>;
}
