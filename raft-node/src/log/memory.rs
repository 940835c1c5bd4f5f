//! The log's simulated twin: memory that forgets what was not synced.

use parking_lot::Mutex;
use raft::eraftpb::{Entry, HardState};

use super::{Error, LogStore};

/// A raft log in memory.
///
/// [`LogStore::append`] syncs as the trait demands. The simulator uses [`MemoryLog::write`] and
/// [`MemoryLog::sync`] apart, and [`MemoryLog::crash`] between them.
#[derive(Debug, Default)]
pub struct MemoryLog {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    entries: Vec<Entry>,
    hard_state: HardState,
    synced_entries: Vec<Entry>,
    synced_hard_state: HardState,
}

impl MemoryLog {
    /// Writes without syncing.
    pub fn write(&self, entries: &[Entry], hard_state: Option<&HardState>) {
        let mut inner = self.inner.lock();
        if let Some(first) = entries.first() {
            let keep = usize::try_from(first.index - 1).expect("small in memory");
            inner.entries.truncate(keep);
            assert_eq!(inner.entries.len(), keep, "entries must follow each other");
            inner.entries.extend_from_slice(entries);
        }
        if let Some(hard_state) = hard_state {
            inner.hard_state = hard_state.clone();
        }
    }

    /// Makes all that was written durable.
    pub fn sync(&self) {
        let mut inner = self.inner.lock();
        inner.synced_entries = inner.entries.clone();
        inner.synced_hard_state = inner.hard_state.clone();
    }

    /// Forgets what was not synced.
    pub fn crash(&self) {
        let mut inner = self.inner.lock();
        inner.entries = inner.synced_entries.clone();
        inner.hard_state = inner.synced_hard_state.clone();
    }
}

impl LogStore for MemoryLog {
    fn hard_state(&self) -> Result<HardState, Error> {
        Ok(self.inner.lock().hard_state.clone())
    }

    fn first_index(&self) -> u64 {
        1
    }

    fn last_index(&self) -> u64 {
        self.inner.lock().entries.len() as u64
    }

    fn entries(&self, low: u64, high: u64, bytes_max: u64) -> Result<Vec<Entry>, Error> {
        let inner = self.inner.lock();
        let slice = usize::try_from(low - 1)
            .ok()
            .zip(usize::try_from(high - 1).ok())
            .and_then(|(low, high)| inner.entries.get(low..high))
            .ok_or_else(|| Error::Store {
                path: "memory".into(),
                reason: format!("entries {low} to {high} are not there"),
            })?;
        let mut entries = slice.to_vec();
        super::view::limit(&mut entries, bytes_max);
        Ok(entries)
    }

    fn append(&self, entries: &[Entry], hard_state: Option<&HardState>) -> Result<(), Error> {
        self.write(entries, hard_state);
        self.sync();
        Ok(())
    }
}
