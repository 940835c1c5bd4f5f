//! The raft log: where entries and hard state live, and how raft reads them.
//!
//! [`LogStore`] is what must be durable; [`engine::EngineLog`] keeps it in raft-engine,
//! [`memory::MemoryLog`] in memory for tests and simulation, forgetting what was not synced.
//! [`view`] is raft's read side: a cache of recent entries, those not yet written included, over a
//! store.

pub mod engine;
pub mod memory;
mod needed;
pub(crate) mod records;
pub mod view;

use raft::eraftpb::{Entry, HardState};

use crate::members::Membership;
use crate::memory::Memory;

/// Why the log cannot go on. Each error is final: the node stops, and after a restart it trusts
/// only what it reads back.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store failed. The data in it may be sound.
    #[error("raft log at {path}: {reason}")]
    Store {
        /// Where it lives.
        path: String,
        /// What it said.
        reason: String,
    },
    /// The data differs from what was written.
    #[error("raft log at {path} is damaged: {reason}")]
    Broken {
        /// Where it lives.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The log is gone, although the node has voted and acknowledged before.
    #[error(
        "raft log at {0} is missing, although this data directory has had one: the node has \
         forgotten what it acknowledged"
    )]
    Missing(String),
    /// An entry cannot be read, or differs from what was written.
    #[error("raft log at {path} is damaged at or after index {index}: {reason}")]
    Damaged {
        /// Where it lives.
        path: String,
        /// The first index that may be damaged. All entries before it were read.
        index: u64,
        /// What it said.
        reason: String,
    },
    /// The log ends before an index that was synced: a part of it was lost or damaged.
    #[error(
        "raft log at {path} ends at index {last_index} in term {term}, but index {synced_index} in \
         term {synced_term} was synced: the log lost acknowledged entries"
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

impl Error {
    /// Returns whether the log differs from what was written. Then the node no longer knows what it
    /// voted and acknowledged. A mere failure, such as a full disk, is not damage.
    pub fn is_damage(&self) -> bool {
        match self {
            Error::Store { .. } => false,
            Error::Broken { .. }
            | Error::Missing(_)
            | Error::Damaged { .. }
            | Error::Lost { .. } => true,
        }
    }
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

    /// Index and term of the last entry that was truncated at the front; 0 for a whole log.
    fn compacted(&self) -> (u64, u64);

    /// The first index that can be read, 1 for a new log.
    fn first_index(&self) -> u64 {
        self.compacted().0 + 1
    }

    /// The last index; 0 for a new log. If no entry follows the truncated ones, their last index.
    fn last_index(&self) -> u64;

    /// Reads entries from `low` up to but not including `high`. Stops after `bytes_max` bytes, but
    /// returns at least one entry.
    ///
    /// # Errors
    /// When an entry is missing or damaged.
    fn entries(&self, low: u64, high: u64, bytes_max: u64) -> Result<Vec<Entry>, Error>;

    /// Writes entries, hard state and memberships together and syncs them. Entries replace a
    /// conflicting suffix; a membership replaces the one with its index.
    ///
    /// Memberships belong to committed entries, so they are never taken back. The log forgets
    /// memberships that no entry and no checkpoint needs: of all those before the first index it
    /// keeps the newest.
    ///
    /// # Errors
    /// When writing or syncing failed. Nothing of it counts as durable, and the node must stop.
    fn append_all(
        &self,
        entries: &[Entry],
        hard_state: Option<&HardState>,
        members: &[Membership],
    ) -> Result<(), Error>;

    /// [`LogStore::append_all`] without a membership.
    ///
    /// # Errors
    /// As there.
    fn append(&self, entries: &[Entry], hard_state: Option<&HardState>) -> Result<(), Error> {
        self.append_all(entries, hard_state, &[])
    }

    /// Truncates the log at the front: this entry and all before it are no longer needed. Does
    /// nothing for what is truncated already.
    ///
    /// # Errors
    /// When the truncation cannot be written.
    fn compact(&self, index: u64, term: u64) -> Result<(), Error>;

    /// Forgets all entries and memberships, and goes on after `index`, which a snapshot covers,
    /// with the membership at that index. Syncs this together with the hard state.
    ///
    /// # Errors
    /// When writing or syncing failed, as for [`LogStore::append`].
    fn install(
        &self,
        index: u64,
        term: u64,
        hard_state: Option<&HardState>,
        members: &Membership,
    ) -> Result<(), Error>;

    /// Writes what this node remembers of its peers, in the place of what it wrote before, and
    /// syncs it.
    ///
    /// # Errors
    /// When writing or syncing failed, as for [`LogStore::append`].
    fn remember(&self, memory: &Memory) -> Result<(), Error>;

    /// What was remembered last.
    fn remembered(&self) -> Memory;

    /// The recorded membership after the entry at `index`. `None` only before the founders were
    /// recorded.
    fn members_at(&self, index: u64) -> Option<Membership>;
}

/// Adds a record to a history ordered by index, and forgets the records that no entry from
/// `first_index` on needs. Returns the forgotten indexes.
fn record_members(
    history: &mut Vec<Membership>,
    members: &Membership,
    first_index: u64,
) -> Vec<u64> {
    history.retain(|known| known.index != members.index);
    let at = history.partition_point(|known| known.index < members.index);
    history.insert(at, members.clone());
    let before = history.partition_point(|known| known.index < first_index);
    history.drain(..before.saturating_sub(1)).map(|known| known.index).collect()
}

/// The newest record of a history at or below an index.
fn newest_members(history: &[Membership], index: u64) -> Option<Membership> {
    history[..history.partition_point(|known| known.index <= index)].last().cloned()
}

/// The membership to start from at `applied_index`. A log that has none yet gets the founders.
///
/// # Errors
/// When they cannot be written.
pub fn members_or_founders(
    store: &dyn LogStore,
    applied_index: u64,
    founders: impl FnOnce() -> Membership,
) -> Result<Membership, Error> {
    if let Some(members) = store.members_at(applied_index) {
        return Ok(members);
    }
    let founders = founders();
    store.append_all(&[], None, std::slice::from_ref(&founders))?;
    Ok(founders)
}
