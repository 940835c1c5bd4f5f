//! The simulated log: memory that forgets what was not synced.
//!
//! One append is one record, as in raft-engine. After a crash a record is there as a whole or not
//! at all, and never without the records before it. [`MemoryLog::reopen`] reads the log back as
//! [`super::engine::EngineLog::open`] does, including the watermark.

use std::collections::VecDeque;

use parking_lot::Mutex;
use raft::eraftpb::{Entry, HardState};

use super::{Error, LogStore, newest_members, record_members};
use crate::members::Membership;
use crate::memory::Memory;

/// A raft log in memory.
///
/// [`LogStore::append`] syncs as the trait demands. The simulator calls [`MemoryLog::write`] and
/// [`MemoryLog::sync`] separately, and [`MemoryLog::crash`] between them.
#[derive(Debug, Default)]
pub struct MemoryLog {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// The entries after `compacted`.
    entries: Vec<Entry>,
    /// Index and term of the last truncated entry.
    compacted: (u64, u64),
    hard_state: HardState,
    /// All kept memberships, oldest first.
    members: Vec<Membership>,
    /// What the node remembers of its peers.
    memory: Memory,
    /// How to undo each record that is not synced, oldest first.
    unsynced: VecDeque<Undo>,
    synced_hard_state: HardState,
    watermark: (u64, u64),
    damaged_at: Option<u64>,
}

/// The entries that a record replaced.
#[derive(Debug)]
struct Undo {
    /// The index before the record's first.
    kept: u64,
    replaced: Vec<Entry>,
    hard_state: HardState,
    /// All memberships before it, if it had one.
    members: Option<Vec<Membership>>,
    /// The truncated part before the record restarted the log.
    compacted: Option<(u64, u64)>,
    /// What was remembered before it, if it changed that.
    memory: Option<Memory>,
}

impl Inner {
    fn take_back(&mut self, undo: Undo) {
        if let Some(compacted) = undo.compacted {
            self.compacted = compacted;
        }
        self.truncate(undo.kept);
        self.entries.extend(undo.replaced);
        self.hard_state = undo.hard_state;
        if let Some(members) = undo.members {
            self.members = members;
        }
        if let Some(memory) = undo.memory {
            self.memory = memory;
        }
    }

    /// The place of an entry, present or not.
    fn place(&self, index: u64) -> Option<usize> {
        usize::try_from(index.checked_sub(self.compacted.0 + 1)?).ok()
    }

    fn last_index(&self) -> u64 {
        self.compacted.0 + self.entries.len() as u64
    }

    /// Drops the entries after this index.
    fn truncate(&mut self, index: u64) {
        let kept = index.saturating_sub(self.compacted.0);
        self.entries.truncate(usize::try_from(kept).expect("small in memory"));
    }

    /// The term of an entry in the log as it was before the first record that is not synced.
    fn synced_term(&self, index: u64) -> Option<u64> {
        match self.unsynced.front() {
            Some(first) if index > first.kept => {
                let at = usize::try_from(index - first.kept - 1).ok()?;
                first.replaced.get(at).map(|entry| entry.term)
            }
            _ => self.term(index),
        }
    }

    fn term(&self, index: u64) -> Option<u64> {
        if index == self.compacted.0 {
            return Some(self.compacted.1);
        }
        self.entries.get(self.place(index)?).map(|entry| entry.term)
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
        let kept = entries.first().map_or(inner.last_index(), |first| first.index - 1);
        assert!(
            (inner.compacted.0..=inner.last_index()).contains(&kept),
            "entries must follow each other"
        );
        let at = inner.place(kept + 1).expect("it is not truncated");
        let replaced = inner.entries.split_off(at);
        inner.entries.extend_from_slice(entries);
        let history = (!members.is_empty()).then(|| inner.members.clone());
        for membership in members {
            record_members(&mut inner.members, membership, inner.compacted.0 + 1);
        }
        let hard_state_before = inner.hard_state.clone();
        inner.unsynced.push_back(Undo {
            kept,
            replaced,
            hard_state: hard_state_before,
            members: history,
            compacted: None,
            memory: None,
        });
        if let Some(hard_state) = hard_state {
            inner.hard_state = hard_state.clone();
        }
    }

    /// Writes, without syncing it, the record that restarts the log after a snapshot.
    pub fn write_install(
        &self,
        index: u64,
        term: u64,
        hard_state: Option<&HardState>,
        members: &Membership,
    ) {
        let inner = &mut *self.inner.lock();
        let undo = Undo {
            kept: inner.compacted.0,
            replaced: std::mem::take(&mut inner.entries),
            hard_state: inner.hard_state.clone(),
            members: Some(std::mem::replace(&mut inner.members, vec![members.clone()])),
            compacted: Some(inner.compacted),
            memory: None,
        };
        inner.unsynced.push_back(undo);
        inner.compacted = (index, term);
        // Damaged records before it are no longer read.
        inner.damaged_at = None;
        if let Some(hard_state) = hard_state {
            inner.hard_state = hard_state.clone();
        }
    }

    /// Writes what the node remembers of its peers, without syncing it.
    pub fn write_memory(&self, memory: &Memory) {
        let inner = &mut *self.inner.lock();
        let undo = Undo {
            kept: inner.last_index(),
            replaced: Vec::new(),
            hard_state: inner.hard_state.clone(),
            members: None,
            compacted: None,
            memory: Some(std::mem::replace(&mut inner.memory, memory.clone())),
        };
        inner.unsynced.push_back(undo);
    }

    /// What is remembered of the peers after the worst crash.
    pub fn synced_memory(&self) -> Memory {
        let inner = self.inner.lock();
        let replaced = inner.unsynced.iter().find_map(|undo| undo.memory.clone());
        replaced.unwrap_or_else(|| inner.memory.clone())
    }

    /// A copy of the directory, as it is after a power cut that loses nothing.
    #[must_use]
    pub fn copy(&self) -> MemoryLog {
        let inner = self.inner.lock();
        let copy = Inner {
            entries: inner.entries.clone(),
            compacted: inner.compacted,
            hard_state: inner.hard_state.clone(),
            members: inner.members.clone(),
            memory: inner.memory.clone(),
            unsynced: VecDeque::new(),
            synced_hard_state: inner.hard_state.clone(),
            watermark: inner.watermark,
            damaged_at: inner.damaged_at,
        };
        MemoryLog { inner: Mutex::new(copy) }
    }

    /// Makes all written records durable.
    pub fn sync(&self) {
        let inner = &mut *self.inner.lock();
        inner.unsynced.clear();
        inner.synced_hard_state = inner.hard_state.clone();
    }

    /// Loses power: forgets what was not synced.
    pub fn crash(&self) {
        self.crash_keeping(0);
    }

    /// Loses power, although the disk has kept the first `kept` records of those that were not
    /// synced.
    pub fn crash_keeping(&self, records: usize) {
        let inner = &mut *self.inner.lock();
        while inner.unsynced.len() > records {
            let undo = inner.unsynced.pop_back().expect("there are more than that");
            inner.take_back(undo);
        }
    }

    /// The number of records that a crash could lose now.
    pub fn unsynced(&self) -> usize {
        self.inner.lock().unsynced.len()
    }

    /// Returns whether this entry survives the worst crash, or a snapshot covers it.
    pub fn is_synced(&self, index: u64, term: u64) -> bool {
        let inner = self.inner.lock();
        index < inner.compacted.0 || inner.synced_term(index) == Some(term)
    }

    /// The last index that survives the worst crash.
    pub fn synced_index(&self) -> u64 {
        let inner = self.inner.lock();
        let first = inner.unsynced.front();
        first.map_or(inner.last_index(), |undo| undo.kept + undo.replaced.len() as u64)
    }

    /// The hard state that survives the worst crash.
    pub fn synced_hard_state(&self) -> HardState {
        self.inner.lock().synced_hard_state.clone()
    }

    /// The term of an entry, synced or not. Knows only the last term of truncated entries.
    pub fn term(&self, index: u64) -> Option<u64> {
        self.inner.lock().term(index)
    }

    /// Writes the watermark: `index` with this term is committed and synced here.
    pub fn mark(&self, index: u64, term: u64) {
        self.inner.lock().watermark = (index, term);
    }

    /// The index of the watermark.
    pub fn marked(&self) -> u64 {
        self.inner.lock().watermark.0
    }

    /// Flips a bit in the record that holds this entry, so its checksum is wrong.
    pub fn damage(&self, index: u64) {
        let inner = &mut *self.inner.lock();
        inner.damaged_at = Some(inner.damaged_at.map_or(index, |at| at.min(index)));
    }

    /// Reads the log back after a crash: truncates it at the first damaged record and compares the
    /// rest with the watermark. The node will rely on all of it, so the caller syncs it.
    ///
    /// # Errors
    /// [`Error::Lost`] when the log ends before its watermark.
    pub fn reopen(&self) -> Result<(), Error> {
        let inner = &mut *self.inner.lock();
        // A damaged record that was truncated before it was read again harms nobody.
        if let Some(at) = inner.damaged_at.filter(|at| *at > inner.compacted.0) {
            inner.truncate(at - 1);
        }
        let (marked, synced_term) = inner.watermark;
        // A membership is recorded when its entry is committed and synced here.
        let synced_index = marked.max(inner.members.last().map_or(0, |members| members.index));
        let (last_index, term) = (inner.last_index(), inner.hard_state.term);
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

    fn compacted(&self) -> (u64, u64) {
        self.inner.lock().compacted
    }

    fn last_index(&self) -> u64 {
        self.inner.lock().last_index()
    }

    fn entries(&self, low: u64, high: u64, bytes_max: u64) -> Result<Vec<Entry>, Error> {
        let inner = self.inner.lock();
        let places = inner.place(low).zip(inner.place(high));
        let slice =
            places.and_then(|(low, high)| inner.entries.get(low..high)).ok_or_else(|| {
                Error::Store {
                    path: "memory".into(),
                    reason: format!("entries {low} to {high} are not there"),
                }
            })?;
        let mut bytes = 0_u64;
        let within = slice.iter().take_while(|entry| {
            bytes = bytes.saturating_add(super::view::entry_bytes(entry) as u64);
            bytes <= bytes_max
        });
        // Count before cloning: a follower far behind asks for everything again and again.
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

    fn remember(&self, memory: &Memory) -> Result<(), Error> {
        self.write_memory(memory);
        self.sync();
        Ok(())
    }

    fn remembered(&self) -> Memory {
        self.inner.lock().memory.clone()
    }

    fn members_at(&self, index: u64) -> Option<Membership> {
        newest_members(&self.inner.lock().members, index)
    }

    fn compact(&self, index: u64, term: u64) -> Result<(), Error> {
        let inner = &mut *self.inner.lock();
        let Some(at) = inner.place(index) else { return Ok(()) };
        assert!(at < inner.entries.len(), "only present entries are truncated");
        assert!(
            inner.unsynced.iter().all(|undo| undo.kept >= index),
            "only applied, and so synced, entries are truncated"
        );
        inner.entries.drain(..=at);
        inner.compacted = (index, term);
        Ok(())
    }

    fn install(
        &self,
        index: u64,
        term: u64,
        hard_state: Option<&HardState>,
        members: &Membership,
    ) -> Result<(), Error> {
        self.write_install(index, term, hard_state, members);
        self.sync();
        Ok(())
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
    fn a_restarted_log_that_was_not_synced_is_the_old_one_after_a_power_cut() {
        let log = MemoryLog::default();
        log.append(&entries(1..=5, 1), Some(&hard_state(1))).expect("appended");
        log.compact(2, 1).expect("cut");
        log.write(&entries(6..=7, 1), None);
        log.write_install(10, 2, Some(&hard_state(2)), &Membership::default());
        log.write(&entries(11..=11, 2), None);
        assert_eq!((log.compacted(), log.last_index()), ((10, 2), 11));
        assert_eq!((log.synced_index(), log.is_synced(10, 2)), (5, false));
        log.crash_keeping(2);
        assert_eq!((log.compacted(), log.last_index()), ((10, 2), 10));
        log.crash();
        assert_eq!((log.compacted(), log.last_index(), log.synced_index()), ((2, 1), 5, 5));
        assert_eq!((log.term(2), log.term(3), log.term(1)), (Some(1), Some(1), None));
        assert_eq!(log.hard_state().expect("readable").term, 1);
    }

    #[test]
    fn synced_entries_survive_a_power_cut_and_a_damaged_log_is_refused() {
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
