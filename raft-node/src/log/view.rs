//! Raft's read side of the log: recent entries in memory, older ones from the store.
//!
//! Entries are added before they are written, because raft must be able to read what it handed
//! over. They stay until they are both synced and displaced by newer ones.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::Arc;

use engine::ids::NodeId;
use raft::eraftpb::{ConfState, Entry, HardState, Snapshot};
use raft::storage::{GetEntriesContext, RaftState, Storage};
use raft::{Error as RaftError, StorageError};

use super::LogStore;
use crate::snapshot::Meta;

/// Raft's view of the log.
pub struct LogView {
    store: Arc<dyn LogStore>,
    hard_state: HardState,
    voters: ConfState,
    /// The snapshot for followers that need entries which the log no longer has.
    snapshot: Option<Meta>,
    /// Whether raft asked for a snapshot that there is not.
    snapshot_missed: Cell<bool>,
    cache: VecDeque<Entry>,
    cache_bytes: usize,
    cache_bytes_max: usize,
    /// Entries up to this index are durable, and may leave the cache.
    synced_index: u64,
    /// Index and term of the last truncated entry.
    compacted: (u64, u64),
    last_index: u64,
    /// The term of the last entry. Raft asks for it at every append.
    last_term: u64,
}

impl LogView {
    /// A view over a store whose content is all durable.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn new(
        store: Arc<dyn LogStore>,
        voters: ConfState,
        cache_bytes_max: usize,
    ) -> Result<LogView, super::Error> {
        let (compacted, last_index) = (store.compacted(), store.last_index());
        let last_term = match last_index {
            last if last == compacted.0 => compacted.1,
            last => store.entries(last, last + 1, u64::MAX)?[0].term,
        };
        Ok(LogView {
            hard_state: store.hard_state()?,
            store,
            voters,
            snapshot: None,
            snapshot_missed: Cell::new(false),
            cache: VecDeque::new(),
            cache_bytes: 0,
            cache_bytes_max,
            synced_index: last_index,
            compacted,
            last_index,
            last_term,
        })
    }

    /// Raises the commit index: after a restart the stored one may be behind the applied index,
    /// which raft does not allow.
    pub fn raise_commit(&mut self, applied_index: u64) {
        self.hard_state.commit = self.hard_state.commit.max(applied_index);
    }

    /// Adds entries that are about to be written, replacing a conflicting suffix.
    pub fn push(&mut self, entries: &[Entry]) {
        let Some(first) = entries.first() else { return };
        while self.cache.back().is_some_and(|entry| entry.index >= first.index) {
            let dropped = self.cache.pop_back().expect("the loop saw it");
            self.cache_bytes -= entry_bytes(&dropped);
        }
        self.synced_index = self.synced_index.min(first.index - 1);
        for entry in entries {
            self.cache_bytes += entry_bytes(entry);
            self.last_index = entry.index;
            self.last_term = entry.term;
            self.cache.push_back(entry.clone());
        }
    }

    /// Marks everything up to this entry as durable. Older entries may now leave the cache.
    ///
    /// A report about an entry that was replaced meanwhile says nothing about its successor.
    pub fn synced(&mut self, index: u64, term: u64) {
        if index > self.last_index || self.term(index).ok() != Some(term) {
            return;
        }
        self.synced_index = self.synced_index.max(index);
        while self.cache_bytes > self.cache_bytes_max {
            match self.cache.front() {
                Some(entry) if entry.index <= self.synced_index => {
                    let dropped = self.cache.pop_front().expect("front was there");
                    self.cache_bytes -= entry_bytes(&dropped);
                }
                _ => break,
            }
        }
    }

    /// Sets the snapshot to offer from now on.
    pub fn offer(&mut self, snapshot: Meta) {
        self.snapshot = Some(snapshot);
    }

    /// Stops offering the snapshot of this index.
    pub fn withdraw(&mut self, index: u64) {
        self.snapshot.take_if(|meta| meta.index == index);
    }

    /// The offered snapshot.
    pub fn offered(&self) -> Option<&Meta> {
        self.snapshot.as_ref()
    }

    /// Returns whether raft has asked for a snapshot since the last call that there is not.
    pub fn take_missed(&self) -> bool {
        self.snapshot_missed.take()
    }

    /// Index and term of the last truncated entry.
    pub fn compacted(&self) -> (u64, u64) {
        self.compacted
    }

    /// Truncates the view at the front. Entries up to this one are read no more; the store may
    /// truncate too.
    pub fn compact(&mut self, index: u64, term: u64) {
        assert!(index <= self.synced_index, "only durable entries are truncated");
        self.compacted = (index, term);
        while self.cache.front().is_some_and(|entry| entry.index <= index) {
            let dropped = self.cache.pop_front().expect("front was there");
            self.cache_bytes -= entry_bytes(&dropped);
        }
    }

    /// Replaces the whole log with a snapshot.
    pub fn install(&mut self, index: u64, term: u64) {
        self.compacted = (index, term);
        (self.last_index, self.last_term) = (index, term);
        self.synced_index = index;
        self.cache.clear();
        self.cache_bytes = 0;
    }

    fn cached(&self, index: u64) -> Option<usize> {
        let first = self.cache.front()?.index;
        index.checked_sub(first).map(|at| at as usize).filter(|at| *at < self.cache.len())
    }
}

/// About how many bytes an entry takes in memory and in the log.
pub(crate) fn entry_bytes(entry: &Entry) -> usize {
    entry.data.len() + 48
}

/// Truncates `entries` after `bytes_max` bytes, but keeps at least one.
pub fn limit(entries: &mut Vec<Entry>, bytes_max: u64) {
    let mut bytes = 0_u64;
    let fits = entries.iter().take_while(|entry| {
        bytes = bytes.saturating_add(entry_bytes(entry) as u64);
        bytes <= bytes_max
    });
    let keep = fits.count().max(1);
    entries.truncate(keep);
}

impl Storage for LogView {
    fn initial_state(&self) -> raft::Result<RaftState> {
        Ok(RaftState::new(self.hard_state.clone(), self.voters.clone()))
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _context: GetEntriesContext,
    ) -> raft::Result<Vec<Entry>> {
        if low <= self.compacted.0 {
            return Err(RaftError::Store(StorageError::Compacted));
        }
        assert!(high <= self.last_index + 1, "raft asks for entries beyond the last");
        let bytes_max = max_size.into().unwrap_or(u64::MAX);
        let mut entries = match self.cached(low) {
            Some(at) => {
                let until = at + (high - low) as usize;
                let mut taken = Vec::new();
                let mut bytes = 0_u64;
                for entry in self.cache.range(at..until) {
                    bytes = bytes.saturating_add(entry_bytes(entry) as u64);
                    if bytes > bytes_max && !taken.is_empty() {
                        break;
                    }
                    taken.push(entry.clone());
                }
                taken
            }
            None => {
                // Entries that are not cached are synced. Stop where the cache begins: the rest
                // comes next time.
                let until = self.cache.front().map_or(high, |first| high.min(first.index));
                self.store
                    .entries(low, until, bytes_max)
                    .map_err(|error| RaftError::Store(StorageError::Other(Box::new(error))))?
            }
        };
        limit(&mut entries, bytes_max);
        Ok(entries)
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        if index == self.last_index {
            return Ok(self.last_term);
        }
        if let Some(at) = self.cached(index) {
            return Ok(self.cache[at].term);
        }
        if index == self.compacted.0 {
            return Ok(self.compacted.1);
        }
        if index < self.compacted.0 {
            return Err(RaftError::Store(StorageError::Compacted));
        }
        if index > self.last_index {
            return Err(RaftError::Store(StorageError::Unavailable));
        }
        let entries = self
            .store
            .entries(index, index + 1, u64::MAX)
            .map_err(|error| RaftError::Store(StorageError::Other(Box::new(error))))?;
        Ok(entries[0].term)
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.compacted.0 + 1)
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.last_index)
    }

    fn snapshot(&self, request_index: u64, to: u64) -> raft::Result<Snapshot> {
        // A snapshot that ends before the log begins would not help.
        let needed = request_index.max(self.compacted.0);
        // Nor would one from before its addressee was a member, which would have to refuse it.
        let fits = |meta: &&Meta| meta.index >= needed && meta.members.role(NodeId(to)).is_some();
        let Some(meta) = self.snapshot.as_ref().filter(fits) else {
            self.snapshot_missed.set(true);
            return Err(RaftError::Store(StorageError::SnapshotTemporarilyUnavailable));
        };
        // The file is sent separately. Raft carries its metadata and the members.
        let mut snapshot = Snapshot::default();
        let about = snapshot.mut_metadata();
        about.index = meta.index;
        about.term = meta.term;
        about.set_conf_state(meta.members.conf_state());
        snapshot.data = meta.members.encode().into();
        Ok(snapshot)
    }
}

#[cfg(test)]
mod tests {
    use super::super::memory::MemoryLog;
    use super::*;
    use crate::members::Membership;

    fn entries(range: std::ops::RangeInclusive<u64>, term: u64) -> Vec<Entry> {
        range
            .map(|index| Entry { index, term, data: vec![0; 100].into(), ..Default::default() })
            .collect()
    }

    fn read(view: &LogView, low: u64, high: u64) -> Vec<(u64, u64)> {
        view.entries(low, high, None, GetEntriesContext::empty(false))
            .expect("readable")
            .iter()
            .map(|entry| (entry.index, entry.term))
            .collect()
    }

    #[test]
    fn unsynced_entries_are_readable_and_stay_until_synced() {
        let store = Arc::new(MemoryLog::default());
        store.append(&entries(1..=3, 1), None).expect("appended");
        let mut view = LogView::new(store.clone(), ConfState::default(), 300).expect("opens");
        assert_eq!(view.term(3).expect("known"), 1);
        view.push(&entries(4..=9, 2));
        assert_eq!(read(&view, 4, 10).len(), 6);
        // Older ones come from the store, up to where the cache begins.
        assert_eq!(read(&view, 2, 10), vec![(2, 1), (3, 1)]);
        store.append(&entries(4..=9, 2), None).expect("appended");
        view.synced(9, 1);
        assert_eq!(view.cache.len(), 6, "another term's entry was synced, not ours");
        view.synced(9, 2);
        assert_eq!(view.cache.front().map(|entry| entry.index), Some(8), "300 bytes hold two");
        assert_eq!(read(&view, 4, 10), vec![(4, 2), (5, 2), (6, 2), (7, 2)]);
        assert_eq!(view.term(5).expect("known"), 2);
    }

    #[test]
    fn a_log_that_was_cut_offers_a_snapshot_and_goes_on_after_one() {
        let store = Arc::new(MemoryLog::default());
        store.append(&entries(1..=9, 1), None).expect("appended");
        let mut view = LogView::new(store, ConfState::default(), 1 << 20).expect("opens");
        assert!(view.snapshot(0, 2).is_err() && view.take_missed() && !view.take_missed());
        let members = Membership { voters: vec![NodeId(2)], ..Membership::default() };
        view.offer(Meta { index: 7, term: 1, members, ..Meta::default() });
        view.compact(5, 1);
        assert_eq!(view.first_index().expect("known"), 6);
        assert_eq!(view.term(5).expect("the last truncated entry"), 1);
        assert!(view.term(4).is_err() && view.entries(5, 7, None, context()).is_err());
        assert_eq!(view.snapshot(0, 2).expect("offered").get_metadata().index, 7);
        assert!(view.snapshot(8, 2).is_err() && view.take_missed());
        assert!(view.snapshot(0, 3).is_err() && view.take_missed(), "no member at that index");
        view.push(&entries(10..=12, 2));
        view.install(30, 3);
        let (first, last) = (view.first_index().expect("known"), view.last_index().expect("known"));
        assert_eq!((first, last, view.term(30).expect("known")), (31, 30, 3));
        assert!(view.snapshot(0, 2).is_err(), "it ends before the log begins");
        view.push(&entries(31..=32, 3));
        view.synced(32, 3);
        assert_eq!(read(&view, 31, 33), [(31, 3), (32, 3)]);
    }

    fn context() -> GetEntriesContext {
        GetEntriesContext::empty(false)
    }

    #[test]
    fn a_conflicting_suffix_is_replaced() {
        let store = Arc::new(MemoryLog::default());
        let mut view = LogView::new(store, ConfState::default(), 1 << 20).expect("opens");
        view.push(&entries(1..=5, 1));
        view.push(&entries(3..=3, 2));
        assert_eq!(view.last_index().expect("known"), 3);
        assert_eq!(read(&view, 1, 4), vec![(1, 1), (2, 1), (3, 2)]);
        assert_eq!(view.term(3).expect("known"), 2);
        assert!(view.term(4).is_err());
    }
}
