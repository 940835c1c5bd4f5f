//! The log's simulated twin: memory that forgets what was not synced.
//!
//! One append is one record, as in raft-engine: after a crash it is there as a whole or not at all,
//! and a record is never there without those before it. [`MemoryLog::reopen`] reads the log back as
//! [`super::engine::EngineLog::open`] does, watermark included.

use std::collections::VecDeque;

use parking_lot::Mutex;
use raft::eraftpb::{Entry, HardState};

use super::{Error, LogStore, newest_members, record_members};
use crate::members::Membership;

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
    /// All memberships that are kept, oldest first.
    members: Vec<Membership>,
    /// How to take back each record that was not synced, oldest first.
    unsynced: VecDeque<Undo>,
    synced_hard_state: HardState,
    watermark: (u64, u64),
    damaged_at: Option<u64>,
}

/// What a record replaced.
#[derive(Debug)]
struct Undo {
    /// Entries before the record's first.
    kept: usize,
    replaced: Vec<Entry>,
    hard_state: HardState,
    /// All memberships before it, if it had one.
    members: Option<Vec<Membership>>,
}

impl Inner {
    fn take_back(&mut self, undo: Undo) {
        self.entries.truncate(undo.kept);
        self.entries.extend(undo.replaced);
        self.hard_state = undo.hard_state;
        if let Some(members) = undo.members {
            self.members = members;
        }
    }

    /// An entry of the log as it was before the first record that is not synced.
    fn synced_entry(&self, at: usize) -> Option<&Entry> {
        match self.unsynced.front() {
            Some(first) if at >= first.kept => first.replaced.get(at - first.kept),
            _ => self.entries.get(at),
        }
    }
}

impl MemoryLog {
    /// Writes one record without syncing it.
    ///
    /// # Panics
    /// When entries do not follow those before them.
    pub fn write(&self, entries: &[Entry], hard_state: Option<&HardState>) {
        self.write_all(entries, hard_state, &[]);
    }

    /// Writes one record, with memberships in it, without syncing it.
    ///
    /// # Panics
    /// When entries do not follow those before them.
    pub fn write_all(
        &self,
        entries: &[Entry],
        hard_state: Option<&HardState>,
        members: &[Membership],
    ) {
        let inner = &mut *self.inner.lock();
        let kept = match entries.first() {
            Some(first) => usize::try_from(first.index - 1).expect("small in memory"),
            None => inner.entries.len(),
        };
        assert!(kept <= inner.entries.len(), "entries must follow each other");
        let replaced = inner.entries.split_off(kept);
        inner.entries.extend_from_slice(entries);
        let before = inner.hard_state.clone();
        let history = (!members.is_empty()).then(|| inner.members.clone());
        for membership in members {
            record_members(&mut inner.members, membership, 1);
        }
        let undo = Undo { kept, replaced, hard_state: before, members: history };
        inner.unsynced.push_back(undo);
        if let Some(hard_state) = hard_state {
            inner.hard_state = hard_state.clone();
        }
    }

    /// Makes all that was written durable.
    pub fn sync(&self) {
        let inner = &mut *self.inner.lock();
        inner.unsynced.clear();
        inner.synced_hard_state = inner.hard_state.clone();
    }

    /// Loses power: forgets what was not synced.
    pub fn crash(&self) {
        self.crash_keeping(0);
    }

    /// Loses power after the disk had, on its own account, kept the first so many records of those
    /// that were not synced.
    pub fn crash_keeping(&self, records: usize) {
        let inner = &mut *self.inner.lock();
        while inner.unsynced.len() > records {
            let undo = inner.unsynced.pop_back().expect("there are more than that");
            inner.take_back(undo);
        }
    }

    /// Records that a crash could lose now.
    pub fn unsynced(&self) -> usize {
        self.inner.lock().unsynced.len()
    }

    /// Whether a crash that takes all it can would leave this entry.
    pub fn is_synced(&self, index: u64, term: u64) -> bool {
        let Some(at) = index.checked_sub(1).and_then(|at| usize::try_from(at).ok()) else {
            return true;
        };
        self.inner.lock().synced_entry(at).is_some_and(|entry| entry.term == term)
    }

    /// The last index that a crash that takes all it can would leave.
    pub fn synced_index(&self) -> u64 {
        let inner = self.inner.lock();
        let first = inner.unsynced.front();
        first.map_or(inner.entries.len(), |undo| undo.kept + undo.replaced.len()) as u64
    }

    /// The hard state that such a crash would leave.
    pub fn synced_hard_state(&self) -> HardState {
        self.inner.lock().synced_hard_state.clone()
    }

    /// The term of an entry, synced or not.
    pub fn term(&self, index: u64) -> Option<u64> {
        let at = usize::try_from(index.checked_sub(1)?).ok()?;
        self.inner.lock().entries.get(at).map(|entry| entry.term)
    }

    /// Records that `index`, committed and synced here, and `term` were reached.
    pub fn mark(&self, index: u64, term: u64) {
        self.inner.lock().watermark = (index, term);
    }

    /// The index that was marked last.
    pub fn marked(&self) -> u64 {
        self.inner.lock().watermark.0
    }

    /// Flips a bit in the record that holds this entry, so that its checksum is wrong.
    pub fn damage(&self, index: u64) {
        let inner = &mut *self.inner.lock();
        inner.damaged_at = Some(inner.damaged_at.map_or(index, |at| at.min(index)));
    }

    /// Reads the log back after a crash: cuts it at the first damaged record and compares what is
    /// left with the watermark. All of it will be relied on, so the caller syncs it.
    ///
    /// # Errors
    /// [`Error::Lost`] when the log ends before its watermark.
    pub fn reopen(&self) -> Result<(), Error> {
        let inner = &mut *self.inner.lock();
        if let Some(at) = inner.damaged_at {
            let kept = usize::try_from(at - 1).expect("small in memory");
            inner.entries.truncate(kept);
        }
        let (marked, synced_term) = inner.watermark;
        // A membership was recorded when its entry was committed and synced here.
        let synced_index = marked.max(inner.members.last().map_or(0, |members| members.index));
        let (last_index, term) = (inner.entries.len() as u64, inner.hard_state.term);
        if last_index < synced_index || term < synced_term {
            let path = "memory".into();
            return Err(Error::Lost { path, last_index, term, synced_index, synced_term });
        }
        Ok(())
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
        let mut bytes = 0_u64;
        let within = slice.iter().take_while(|entry| {
            bytes = bytes.saturating_add(super::view::entry_bytes(entry) as u64);
            bytes <= bytes_max
        });
        // Counted before it is cloned: a follower far behind asks for everything again and again.
        let count = within.count().max(1).min(slice.len());
        Ok(slice[..count].to_vec())
    }

    fn append_all(
        &self,
        entries: &[Entry],
        hard_state: Option<&HardState>,
        members: &[Membership],
    ) -> Result<(), Error> {
        self.write_all(entries, hard_state, members);
        self.sync();
        Ok(())
    }

    fn members_at(&self, index: u64) -> Option<Membership> {
        newest_members(&self.inner.lock().members, index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(range: std::ops::RangeInclusive<u64>, term: u64) -> Vec<Entry> {
        range.map(|index| Entry { index, term, ..Default::default() }).collect()
    }

    fn terms(log: &MemoryLog) -> Vec<u64> {
        (1..=log.last_index()).filter_map(|index| log.term(index)).collect()
    }

    fn hard_state(term: u64) -> HardState {
        HardState { term, ..Default::default() }
    }

    #[test]
    fn a_crash_leaves_whole_records_and_never_one_without_those_before_it() {
        let log = MemoryLog::default();
        log.append(&entries(1..=3, 1), Some(&hard_state(1))).expect("appended");
        log.write(&entries(3..=4, 2), Some(&hard_state(2)));
        log.write(&entries(5..=5, 2), None);
        log.write(&entries(4..=4, 3), Some(&hard_state(3)));
        assert_eq!(log.unsynced(), 3);
        assert_eq!(terms(&log), [1, 1, 2, 3]);
        assert_eq!((log.synced_index(), log.synced_hard_state().term), (3, 1));
        assert!(log.is_synced(3, 1) && !log.is_synced(3, 2) && !log.is_synced(4, 2));
        log.crash_keeping(2);
        assert_eq!(terms(&log), [1, 1, 2, 2, 2]);
        assert_eq!(log.hard_state().expect("readable").term, 2);
        log.crash();
        assert_eq!(terms(&log), [1, 1, 1]);
        assert_eq!(log.hard_state().expect("readable").term, 1);
    }

    #[test]
    fn what_was_read_back_and_synced_stays_and_a_damaged_log_is_refused() {
        let log = MemoryLog::default();
        log.append(&entries(1..=3, 1), Some(&hard_state(1))).expect("appended");
        log.write(&entries(4..=4, 1), None);
        log.mark(2, 1);
        log.reopen().expect("nothing is lost");
        log.sync();
        log.crash();
        assert_eq!(log.last_index(), 4, "it was relied on");
        log.damage(3);
        log.reopen().expect("the watermark is there still");
        assert_eq!(log.last_index(), 2);
        log.damage(2);
        assert!(matches!(log.reopen(), Err(Error::Lost { last_index: 1, synced_index: 2, .. })));
    }
}
