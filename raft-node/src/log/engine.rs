//! The durable log, in tikv's raft-engine.
//!
//! The entries and hard state of one append are one synced write. raft-engine panics when a sync
//! fails, which is what we want: a failed sync is final. Its recovery silently truncates the log at
//! the first bad record of its newest file, whether that record was synced or not. The *watermark*,
//! a small file of our own, names an index and term known to be committed and synced, and so tells
//! a torn tail from lost data.

use std::cell::Cell;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use raft::eraftpb::{Entry, HardState};
use raft_engine::{Command, Engine, LogBatch, MessageExt, ReadableSize, RecoveryMode};

use super::view::entry_bytes;
use super::{Error, LogStore, newest_members, record_members, records};
use crate::directory::durable::{create_private_dir, write_durably};
use crate::members::Membership;

/// The raft group. There is only one; its number is in the directory layout and in every record.
const GROUP: u64 = 1;
const HARD_STATE_KEY: &[u8] = b"hard_state";
/// Key prefix before the big-endian index of each membership. The range ends at the next prefix.
const MEMBERS_PREFIX: &[u8] = b"members/";
const MEMBERS_END: &[u8] = b"members0";
/// Key of the index and term of the last truncated entry. raft-engine's own record of that does not
/// survive everything that its files go through, and it does not keep the term.
const COMPACTED_KEY: &[u8] = b"compacted";
/// Files are removed, and entries in them moved, when at most this share of their bytes is needed, in
/// percent: with more, raft-engine would write again what is needed.
const NEEDED_PERCENT_MAX: u64 = 70;
/// Bytes of log files above which files without a needed entry are removed. The library's own
/// default is 10 GB.
const PURGE_BYTES: u64 = 512 << 20;

#[derive(Clone)]
struct RaftEntries;

impl MessageExt for RaftEntries {
    type Entry = Entry;

    fn index(entry: &Entry) -> u64 {
        entry.index
    }
}

/// A raft log on disk.
pub struct EngineLog {
    engine: Arc<Engine>,
    path: PathBuf,
    watermark: Mutex<Watermark>,
    /// All kept memberships, oldest first.
    members: Mutex<Vec<Membership>>,
    compacted: Mutex<(u64, u64)>,
    /// Held while files are removed and entries moved. Who fetches meanwhile may find an entry moved
    /// away, and then fetches once more, alone.
    purging: Mutex<()>,
    needed: Mutex<Needed>,
    /// Distinguishes this log from the other logs of the process; from 1.
    number: u64,
}

/// Logs opened in this process.
static OPENED: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// The log that this thread read last; 0 before the first.
    static LAST_READ: Cell<u64> = const { Cell::new(0) };
}

/// A committed and synced index and term.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Watermark {
    index: u64,
    term: u64,
}

impl EngineLog {
    /// Opens the log below `dir`, or creates it if it did not exist before.
    ///
    /// # Errors
    /// [`Error::Missing`] when the log existed and is gone, [`Error::Lost`] when it ends before its
    /// watermark, [`Error::Store`] when raft-engine cannot open it.
    pub fn open(dir: &Path, existed: bool) -> Result<EngineLog, Error> {
        EngineLog::open_with(dir, existed, PURGE_BYTES)
    }

    /// Like [`EngineLog::open`], with another bound on the bytes of files without needed entries.
    ///
    /// # Errors
    /// As [`EngineLog::open`].
    pub fn open_with(dir: &Path, existed: bool, purge_bytes: u64) -> Result<EngineLog, Error> {
        let purge_bytes = purge_bytes.clamp(1 << 20, PURGE_BYTES);
        let path = dir.join(format!("log-{GROUP}"));
        let store_error =
            |reason: String| Error::Store { path: path.display().to_string(), reason };
        let broken = |reason: String| Error::Broken { path: path.display().to_string(), reason };
        let watermark = read_watermark(&path).map_err(|error| match error.raw_os_error() {
            Some(_) => store_error(error.to_string()),
            None => broken(error.to_string()),
        })?;
        if existed && watermark.is_none() {
            return Err(Error::Missing(path.display().to_string()));
        }
        if watermark.is_some() {
            cut_wrongly(&path)?;
        }
        create_private_dir(dir).map_err(|error| store_error(error.to_string()))?;
        let engine = Engine::open(raft_engine::Config {
            dir: path.display().to_string(),
            spill_dir: None,
            // The default tolerance is right for torn tails. The watermark catches the rest.
            recovery_mode: RecoveryMode::TolerateTailCorruption,
            recovery_threads: 2,
            // Compression costs more CPU than it saves on small, dense batches.
            batch_compression_threshold: ReadableSize(0),
            target_file_size: ReadableSize((purge_bytes / 4).clamp(1 << 20, 64 << 20)),
            purge_threshold: ReadableSize(purge_bytes),
            enable_log_recycle: false,
            ..raft_engine::Config::default()
        })
        .map_err(|error| of_engine(&path, &error))?;
        sync_below(&path, dir).map_err(|error| store_error(error.to_string()))?;
        // Write the first watermark before anything is voted or acknowledged: it shows that there
        // is a log.
        if watermark.is_none() {
            write_watermark(&path, Watermark::default())
                .map_err(|error| store_error(error.to_string()))?;
        }
        let watermark = watermark.unwrap_or_default();
        let compacted = match engine.get(GROUP, COMPACTED_KEY) {
            None => (0, 0),
            Some(bytes) => decode_compacted(&bytes)
                .ok_or_else(|| broken("the record of the truncated entries is damaged".into()))?,
        };
        let log = EngineLog {
            engine: Arc::new(engine),
            path,
            watermark: Mutex::new(watermark),
            members: Mutex::default(),
            compacted: Mutex::new(compacted),
            purging: Mutex::new(()),
            needed: Mutex::default(),
            number: OPENED.fetch_add(1, Ordering::Relaxed) + 1,
        };
        *log.members.lock() = log.read_members()?;
        log.check(watermark)?;
        let used = log.engine.get_used_size() as u64;
        *log.needed.lock() = Needed::found(log.compacted().0, log.last_index(), used);
        Ok(log)
    }

    /// Reads all entries from `first` on, which verifies their checksums.
    ///
    /// # Errors
    /// When an entry is missing or damaged. The message names the file and the last sound place.
    pub fn verify(&self, first: u64) -> Result<(), Error> {
        self.verify_between(first, self.last_index())
    }

    /// Like [`EngineLog::verify`], up to the entry at `last`.
    ///
    /// # Errors
    /// Like [`EngineLog::verify`].
    pub fn verify_between(&self, first: u64, last: u64) -> Result<(), Error> {
        const BYTES_AT_ONCE: u64 = 8 << 20;
        let mut next = first.max(self.first_index());
        while next <= last {
            let read = self.entries(next, last + 1, BYTES_AT_ONCE);
            let entries = read.map_err(|error| match error {
                Error::Broken { path, reason } => Error::Damaged { path, index: next, reason },
                other => other,
            })?;
            next += entries.len() as u64;
        }
        Ok(())
    }

    fn read_members(&self) -> Result<Vec<Membership>, Error> {
        let mut found = Vec::new();
        let all = (Some(MEMBERS_PREFIX), Some(MEMBERS_END));
        self.engine
            .scan_raw_messages(GROUP, all.0, all.1, false, |_, value| {
                found.push(Membership::decode(value));
                true
            })
            .map_err(|error| of_engine(&self.path, &error))?;
        let found: Result<Vec<_>, _> = found.into_iter().collect();
        found.map_err(|error| self.broken(format!("a membership is damaged: {error}")))
    }

    fn check(&self, mut watermark: Watermark) -> Result<(), Error> {
        let (last_index, term) = (self.last_index(), self.hard_state()?.term);
        // A membership is recorded when its entry is committed and synced here.
        let changed_at = self.members.lock().last().map_or(0, |members| members.index);
        watermark.index = watermark.index.max(changed_at);
        if last_index < watermark.index || term < watermark.term {
            return Err(Error::Lost {
                path: self.path.display().to_string(),
                last_index,
                term,
                synced_index: watermark.index,
                synced_term: watermark.term,
            });
        }
        Ok(())
    }

    /// Writes the watermark: `index` with this term is committed and synced here. Called about once
    /// a second, after the sync of that index.
    ///
    /// # Errors
    /// When the file cannot be written or synced.
    pub fn mark(&self, index: u64, term: u64) -> Result<(), Error> {
        let mut watermark = self.watermark.lock();
        let next = Watermark { index, term };
        if *watermark == next || next.index < watermark.index {
            return Ok(());
        }
        write_watermark(&self.path, next).map_err(|error| self.error(error))?;
        *watermark = next;
        Ok(())
    }

    /// The last watermark.
    pub fn marked(&self) -> (u64, u64) {
        let watermark = *self.watermark.lock();
        (watermark.index, watermark.term)
    }

    /// Removes files without a needed entry, once so much of them is not needed that it is worth it.
    /// Appends and reads go on meanwhile.
    ///
    /// # Errors
    /// When raft-engine cannot read, write or remove a file.
    pub fn purge(&self) -> Result<(), Error> {
        let _alone = self.purging.lock();
        let needed = self.needed.lock().bytes();
        let used = self.engine.get_used_size() as u64;
        if needed * 100 > used * NEEDED_PERCENT_MAX {
            return Ok(());
        }
        self.engine.purge_expired_files().map_err(|error| self.error(error))?;
        Ok(())
    }

    /// Fetches entries, of which it checks that they follow each other from `low` on.
    fn fetch(&self, low: u64, high: u64, bytes_max: Option<usize>) -> Result<Vec<Entry>, Error> {
        let mut entries = Vec::new();
        let fetched =
            self.engine.fetch_entries_to::<RaftEntries>(GROUP, low, high, bytes_max, &mut entries);
        fetched.map_err(|error| of_engine(&self.path, &error))?;
        let follows = (low..).zip(&entries).all(|(index, entry)| entry.index == index);
        let terms_rise = entries.is_sorted_by_key(|entry| entry.term);
        match !entries.is_empty() && follows && terms_rise {
            true => Ok(entries),
            false => Err(self.broken(format!("entry {low} is missing"))),
        }
    }

    /// The bytes of the log's files.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub fn bytes_on_disk(&self) -> Result<u64, Error> {
        let sum = || -> std::io::Result<u64> {
            let mut bytes = 0;
            for found in std::fs::read_dir(&self.path)? {
                bytes += found?.metadata().map_or(0, |found| found.len());
            }
            Ok(bytes)
        };
        sum().map_err(|error| self.error(error))
    }

    fn error(&self, reason: impl ToString) -> Error {
        Error::Store { path: self.path.display().to_string(), reason: reason.to_string() }
    }

    fn broken(&self, reason: String) -> Error {
        Error::Broken { path: self.path.display().to_string(), reason }
    }
}

/// Reads the newest file of each kind before raft-engine does, which would silently truncate it at
/// the first bad record.
fn cut_wrongly(files: &Path) -> Result<(), Error> {
    let store_error = |error: std::io::Error| Error::Store {
        path: files.display().to_string(),
        reason: error.to_string(),
    };
    for extension in ["raftlog", "rewrite"] {
        let found = records::files(files, extension).map_err(store_error)?;
        let Some((number, path)) = found.into_iter().next_back() else { continue };
        let cut = records::cut_wrongly(&path, number).map_err(store_error)?;
        if let Some((_, reason)) = cut {
            return Err(Error::Broken { path: path.display().to_string(), reason });
        }
    }
    Ok(())
}

/// Turns raft-engine's error about what it read into ours. An error of the system is no damage.
fn of_engine(path: &Path, error: &raft_engine::Error) -> Error {
    let (path, reason) = (path.display().to_string(), error.to_string());
    match error {
        raft_engine::Error::Io(error) if error.raw_os_error().is_some() => {
            Error::Store { path, reason }
        }
        _ => Error::Broken { path, reason },
    }
}

impl LogStore for EngineLog {
    fn hard_state(&self) -> Result<HardState, Error> {
        let found = self.engine.get_message(GROUP, HARD_STATE_KEY);
        Ok(found.map_err(|error| of_engine(&self.path, &error))?.unwrap_or_default())
    }

    fn compacted(&self) -> (u64, u64) {
        *self.compacted.lock()
    }

    fn last_index(&self) -> u64 {
        self.engine.last_index(GROUP).unwrap_or(0).max(self.compacted().0)
    }

    fn entries(&self, low: u64, high: u64, bytes_max: u64) -> Result<Vec<Entry>, Error> {
        let bytes_max = usize::try_from(bytes_max).ok();
        if low <= self.compacted().0 {
            return Err(self.error(format!("entry {low} was truncated")));
        }
        let fetch = || {
            self.fetch(low, high, bytes_max).or_else(|_| {
                let _alone = self.purging.lock();
                self.fetch(low, high, bytes_max)
            })
        };
        let read_before = LAST_READ.with(|last| match last.get() {
            0 => last.replace(self.number),
            other => other,
        });
        // raft-engine caches the block that a thread read last, under a name that blocks of two
        // logs may share. A thread that has read another log would get that log's block.
        match read_before == 0 || read_before == self.number {
            true => fetch(),
            false => std::thread::scope(|scope| match scope.spawn(fetch).join() {
                Ok(fetched) => fetched,
                Err(panic) => std::panic::resume_unwind(panic),
            }),
        }
    }

    fn append_all(
        &self,
        entries: &[Entry],
        hard_state: Option<&HardState>,
        members: &[Membership],
    ) -> Result<(), Error> {
        let mut batch = LogBatch::with_capacity(2);
        batch.add_entries::<RaftEntries>(GROUP, entries).map_err(|error| self.error(error))?;
        if let Some(hard_state) = hard_state {
            batch
                .put_message(GROUP, HARD_STATE_KEY.to_vec(), hard_state)
                .map_err(|error| self.error(error))?;
        }
        let mut history = self.members.lock();
        let mut next = (!members.is_empty()).then(|| history.clone());
        for membership in members {
            let next = next.as_mut().expect("there is one when there are records");
            let (key, value) = (members_key(membership.index), membership.encode());
            batch.put(GROUP, key, value).map_err(|error| self.error(error))?;
            for forgotten in record_members(next, membership, self.first_index()) {
                batch.delete(GROUP, members_key(forgotten));
            }
        }
        self.engine.write(&mut batch, syncs()).map_err(|error| self.error(error))?;
        self.needed.lock().appended(entries);
        // Show a membership only after it is durable.
        if let Some(next) = next {
            *history = next;
        }
        Ok(())
    }

    fn members_at(&self, index: u64) -> Option<Membership> {
        newest_members(&self.members.lock(), index)
    }

    fn compact(&self, index: u64, term: u64) -> Result<(), Error> {
        if index <= self.compacted().0 {
            return Ok(());
        }
        // What is kept beside the entries is written again, so that nothing old pins a file. An
        // append must not put a newer hard state in between.
        let history = self.members.lock();
        let hard_state = self.hard_state()?;
        let mut batch = LogBatch::with_capacity(4);
        batch
            .put_message(GROUP, HARD_STATE_KEY.to_vec(), &hard_state)
            .and_then(|()| batch.put(GROUP, COMPACTED_KEY.to_vec(), encode_compacted(index, term)))
            .map_err(|error| self.error(error))?;
        for membership in &*history {
            let (key, value) = (members_key(membership.index), membership.encode());
            batch.put(GROUP, key, value).map_err(|error| self.error(error))?;
        }
        batch.add_command(GROUP, Command::Compact { index: index + 1 });
        self.engine.write(&mut batch, true).map_err(|error| self.error(error))?;
        *self.compacted.lock() = (index, term);
        self.needed.lock().cut(index);
        Ok(())
    }

    fn install(
        &self,
        index: u64,
        term: u64,
        hard_state: Option<&HardState>,
        members: &Membership,
    ) -> Result<(), Error> {
        // The record removes everything of the group, so it also writes again what has to stay.
        let hard_state = match hard_state {
            Some(hard_state) => hard_state.clone(),
            None => self.hard_state()?,
        };
        let mut batch = LogBatch::with_capacity(3);
        batch.add_command(GROUP, Command::Clean);
        batch
            .put_message(GROUP, HARD_STATE_KEY.to_vec(), &hard_state)
            .and_then(|()| batch.put(GROUP, COMPACTED_KEY.to_vec(), encode_compacted(index, term)))
            .and_then(|()| batch.put(GROUP, members_key(members.index), members.encode()))
            .map_err(|error| self.error(error))?;
        let mut history = self.members.lock();
        let _alone = self.purging.lock();
        self.engine.write(&mut batch, true).map_err(|error| self.error(error))?;
        *history = vec![members.clone()];
        *self.compacted.lock() = (index, term);
        *self.needed.lock() = Needed::default();
        Ok(())
    }
}

/// The bytes of entries that are not cut off, about.
#[derive(Debug, Default)]
struct Needed {
    /// Last index and bytes of runs of entries, oldest first.
    runs: VecDeque<(u64, u64)>,
}

impl Needed {
    /// Entries of a run take about this many bytes.
    const RUN_BYTES: u64 = 1 << 20;
    /// Runs that the entries of a log that was opened count as.
    const RUNS_FOUND: u64 = 16;

    /// What a log that was opened needs: all bytes of its files, at most.
    fn found(compacted: u64, last_index: u64, used: u64) -> Needed {
        let entries = last_index - compacted;
        let ends = (1..=Self::RUNS_FOUND).map(|n| compacted + entries * n / Self::RUNS_FOUND);
        let runs = ends.map(|end| (end, used / Self::RUNS_FOUND));
        Needed { runs: if entries == 0 { VecDeque::new() } else { runs.collect() } }
    }

    fn bytes(&self) -> u64 {
        self.runs.iter().map(|(_, bytes)| bytes).sum()
    }

    fn appended(&mut self, entries: &[Entry]) {
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else { return };
        // What replaces a suffix is counted with it.
        for run in self.runs.iter_mut().rev().take_while(|run| run.0 >= first.index) {
            run.0 = first.index - 1;
        }
        let bytes = entries.iter().map(|entry| entry_bytes(entry) as u64).sum();
        match self.runs.back_mut() {
            Some(run) if run.1 < Self::RUN_BYTES => *run = (last.index, run.1 + bytes),
            _ => self.runs.push_back((last.index, bytes)),
        }
    }

    /// Entries up to `index` are needed no more.
    fn cut(&mut self, index: u64) {
        while self.runs.front().is_some_and(|run| run.0 <= index) {
            self.runs.pop_front();
        }
    }
}

/// Whether an append is synced before it is reported.
#[cfg(not(feature = "planted-bugs"))]
const fn syncs() -> bool {
    true
}

/// A planted bug for the jepsen crate: an append counts as synced while it is in memory only.
#[cfg(feature = "planted-bugs")]
fn syncs() -> bool {
    std::env::var_os("HOLDFAST_PLANTED_BUG").is_none_or(|bug| bug != "ack-before-sync")
}

fn members_key(index: u64) -> Vec<u8> {
    [MEMBERS_PREFIX, &index.to_be_bytes()].concat()
}

/// index u64 | term u64. The record that holds it has its own checksum.
fn encode_compacted(index: u64, term: u64) -> Vec<u8> {
    [index.to_le_bytes(), term.to_le_bytes()].concat()
}

fn decode_compacted(bytes: &[u8]) -> Option<(u64, u64)> {
    let (index, term) = bytes.split_first_chunk::<8>()?;
    let term = <[u8; 8]>::try_from(term).ok()?;
    Some((u64::from_le_bytes(*index), u64::from_le_bytes(term)))
}

/// Makes everything that was read back durable. After a kill the newest records may be in the page
/// cache only, and raft-engine syncs nothing when it opens. A new directory too must survive a
/// power cut before anything in it is promised.
fn sync_below(path: &Path, parent: &Path) -> std::io::Result<()> {
    for found in std::fs::read_dir(path)? {
        let found = found?;
        if found.file_type()?.is_file() {
            File::open(found.path())?.sync_all()?;
        }
    }
    File::open(path)?.sync_all()?;
    File::open(parent)?.sync_all()
}

/// The directory of the log's files below `dir`.
pub(crate) fn directory(dir: &Path) -> PathBuf {
    dir.join(format!("log-{GROUP}"))
}

/// Reads the watermark among these files; `None` if there never was a log.
pub(crate) fn read_mark(files: &Path) -> std::io::Result<Option<(u64, u64)>> {
    Ok(read_watermark(files)?.map(|mark| (mark.index, mark.term)))
}

/// index u64 | term u64 | crc u32. Absent only if there never was a log.
fn read_watermark(dir: &Path) -> std::io::Result<Option<Watermark>> {
    let path = dir.join("watermark");
    let mut bytes = Vec::new();
    match File::open(&path) {
        Ok(mut file) => file.read_to_end(&mut bytes)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let damaged = || std::io::Error::other(format!("{} is damaged", path.display()));
    let (numbers, crc) = bytes.split_last_chunk::<4>().ok_or_else(damaged)?;
    if numbers.len() != 16 || u32::from_le_bytes(*crc) != crc32fast::hash(numbers) {
        return Err(damaged());
    }
    let number = |at: usize| {
        u64::from_le_bytes(numbers[at..at + 8].try_into().expect("eight bytes are eight bytes"))
    };
    Ok(Some(Watermark { index: number(0), term: number(8) }))
}

/// Written beside and renamed, so a crash leaves the old one or the new one.
fn write_watermark(dir: &Path, watermark: Watermark) -> std::io::Result<()> {
    let mut bytes = Vec::with_capacity(20);
    bytes.extend_from_slice(&watermark.index.to_le_bytes());
    bytes.extend_from_slice(&watermark.term.to_le_bytes());
    let crc = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    write_durably(&dir.join("watermark"), |file| file.write_all(&bytes))
}

#[cfg(test)]
mod tests {
    use super::super::memory::MemoryLog;
    use super::*;

    fn entry(index: u64, term: u64, data: &[u8]) -> Entry {
        Entry { index, term, data: data.to_vec().into(), ..Default::default() }
    }

    fn hard_state(term: u64) -> HardState {
        HardState { term, vote: 1, ..Default::default() }
    }

    /// What every log store must do, run over both.
    fn contract(open: &dyn Fn() -> Box<dyn LogStore>) {
        let log = open();
        assert_eq!((log.first_index(), log.last_index()), (1, 0));
        assert_eq!(log.hard_state().expect("readable"), HardState::default());
        let first: Vec<_> = (1..=5).map(|i| entry(i, 1, &[i as u8; 100])).collect();
        log.append(&first, Some(&hard_state(1))).expect("appended");
        assert_eq!((log.first_index(), log.last_index()), (1, 5));
        assert_eq!(log.entries(2, 4, u64::MAX).expect("there"), first[1..3]);
        assert_eq!(log.entries(1, 6, 1).expect("at least one").len(), 1);
        assert!(log.entries(5, 8, u64::MAX).is_err() || log.entries(6, 8, u64::MAX).is_err());
        // A conflicting suffix is replaced, also by a shorter one.
        let second = [entry(3, 2, b"new")];
        log.append(&second, None).expect("appended");
        assert_eq!(log.last_index(), 3);
        assert_eq!(log.entries(3, 4, u64::MAX).expect("there"), second);
        assert_eq!(log.hard_state().expect("readable"), hard_state(1));
        log.append(&[], Some(&hard_state(2))).expect("hard state alone");
        assert_eq!(log.hard_state().expect("readable"), hard_state(2));
        // Memberships are found by the index from which they hold, and replaced by their own.
        assert_eq!(log.members_at(u64::MAX), None);
        log.append_all(&[], None, &[members(0, 3)]).expect("appended");
        let third = [entry(3, 2, b"changed"), entry(4, 2, b"again")];
        log.append_all(&third, None, &[members(3, 4), members(4, 5)]).expect("appended");
        log.append_all(&[], None, &[members(3, 6)]).expect("replaced");
        for (at, voters) in [(0, 3), (2, 3), (3, 6), (4, 5), (99, 5)] {
            assert_eq!(log.members_at(at).expect("known").voters.len(), voters, "at {at}");
        }

        // Cut at the beginning.
        assert_eq!(log.compacted(), (0, 0));
        log.compact(2, 1).expect("cut");
        assert_eq!((log.compacted(), log.first_index(), log.last_index()), ((2, 1), 3, 4));
        assert!(log.entries(2, 4, u64::MAX).is_err());
        assert_eq!(log.entries(3, 5, u64::MAX).expect("there").len(), 2);
        log.compact(1, 1).expect("nothing to do");
        log.compact(4, 2).expect("to its end");
        assert_eq!((log.compacted(), log.first_index(), log.last_index()), ((4, 2), 5, 4));
        log.append(&[entry(5, 2, b"five"), entry(6, 2, b"six")], None).expect("appended");
        assert_eq!((log.last_index(), log.hard_state().expect("readable")), (6, hard_state(2)));

        // Begun anew after a snapshot, which may lie in the middle of what was there.
        log.install(5, 3, None, &members(4, 5)).expect("begun anew");
        assert_eq!((log.compacted(), log.last_index()), ((5, 3), 5));
        assert_eq!(log.hard_state().expect("readable"), hard_state(2));
        assert!(log.entries(5, 6, u64::MAX).is_err() && log.entries(6, 7, u64::MAX).is_err());
        log.append(&[entry(6, 3, b"other")], None).expect("appended");
        log.install(100, 4, Some(&hard_state(4)), &members(60, 2)).expect("begun anew");
        assert_eq!(log.members_at(100), Some(members(60, 2)));
        assert_eq!(log.members_at(59), None);
        assert_eq!((log.first_index(), log.last_index()), (101, 100));
        assert_eq!(log.hard_state().expect("readable"), hard_state(4));
        log.append(&[entry(101, 4, b"next")], None).expect("appended");
        assert_eq!(log.entries(101, 102, u64::MAX).expect("there")[0].term, 4);
    }

    fn members(index: u64, voters: u64) -> Membership {
        let voters = (1..=voters).map(engine::ids::NodeId).collect();
        Membership { index, voters, ..Membership::default() }
    }

    #[test]
    fn memberships_are_read_back_and_a_log_that_ends_before_one_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let log = EngineLog::open(dir.path(), false).expect("opens");
        let entries: Vec<_> = (1..=2).map(|i| entry(i, 1, b"x")).collect();
        log.append_all(&entries, Some(&hard_state(1)), &[members(0, 3), members(2, 4)])
            .expect("appended");
        drop(log);
        let log = EngineLog::open(dir.path(), true).expect("opens again");
        assert_eq!(log.members_at(1), Some(members(0, 3)));
        assert_eq!(log.members_at(7), Some(members(2, 4)));
        log.append_all(&[], None, &[members(5, 3)]).expect("appended");
        drop(log);
        let opened = EngineLog::open(dir.path(), true);
        assert!(matches!(opened, Err(Error::Lost { last_index: 2, synced_index: 5, .. })));
    }

    #[test]
    fn a_history_keeps_what_some_entry_needs() {
        let mut history = Vec::new();
        for index in [0, 3, 7, 9] {
            assert!(record_members(&mut history, &members(index, 3), 1).is_empty());
        }
        assert_eq!(record_members(&mut history, &members(12, 3), 8), [0, 3]);
        assert_eq!(newest_members(&history, 8), Some(members(7, 3)));
        assert_eq!(newest_members(&history, 6), None, "no checkpoint is so old");
    }

    #[test]
    fn both_twins_keep_the_contract() {
        contract(&|| Box::new(MemoryLog::default()));
        let dir = tempfile::tempdir().expect("a directory");
        contract(&|| Box::new(EngineLog::open(dir.path(), false).expect("opens")));
    }

    #[test]
    fn a_log_is_read_back_and_a_lost_tail_is_noticed() {
        let dir = tempfile::tempdir().expect("a directory");
        let log = EngineLog::open(dir.path(), false).expect("opens");
        let entries: Vec<_> = (1..=5).map(|i| entry(i, 1, b"x")).collect();
        log.append(&entries, Some(&hard_state(1))).expect("appended");
        log.mark(4, 1).expect("marked");
        drop(log);
        let log = EngineLog::open(dir.path(), false).expect("opens again");
        assert_eq!(log.entries(1, 6, u64::MAX).expect("there"), entries);
        drop(log);
        // Damage in the middle of the only record: raft-engine cuts there, the watermark objects.
        let file = only_log_file(dir.path());
        let mut bytes = std::fs::read(&file).expect("read");
        let middle = bytes.iter().rposition(|byte| *byte == b'x').expect("data is there");
        bytes[middle] ^= 0x40;
        std::fs::write(&file, bytes).expect("written");
        match EngineLog::open(dir.path(), false) {
            Err(Error::Lost { synced_index: 4, .. } | Error::Broken { .. }) => {}
            Err(other) => panic!("another error: {other}"),
            Ok(log) => panic!("opened with last index {}", log.last_index()),
        }
    }

    #[test]
    fn a_log_that_existed_is_never_made_again_and_damage_is_found_by_looking() {
        let dir = tempfile::tempdir().expect("a directory");
        assert!(matches!(EngineLog::open(dir.path(), true), Err(Error::Missing(_))));
        let log = EngineLog::open(dir.path(), false).expect("created");
        let entries: Vec<_> = (1..=5).map(|i| entry(i, 1, &[b'x'; 50])).collect();
        log.append(&entries[..2], Some(&hard_state(1))).expect("appended");
        log.append(&entries[2..], None).expect("appended");
        log.verify(1).expect("sound");
        drop(log);
        // A later record follows, so raft-engine does not take the damage for a torn tail.
        let file = only_log_file(dir.path());
        let mut bytes = std::fs::read(&file).expect("read");
        let first = bytes.iter().position(|byte| *byte == b'x').expect("data is there");
        bytes[first] ^= 0x40;
        std::fs::write(&file, bytes).expect("written");
        if let Ok(log) = EngineLog::open(dir.path(), true) {
            let error = log.verify(1).expect_err("damaged").to_string();
            assert!(error.contains("log-1") && error.contains("index 1"), "{error}");
            log.verify(3).expect("the rest is sound");
        }
    }

    #[test]
    fn what_was_synced_is_never_taken_for_a_torn_end() {
        let dir = tempfile::tempdir().expect("a directory");
        let log = EngineLog::open(dir.path(), false).expect("created");
        for index in 1..=20 {
            log.append(&[entry(index, 1, &[b'x'; 300])], Some(&hard_state(1))).expect("appended");
        }
        drop(log);
        let file = only_log_file(dir.path());
        let sound = std::fs::read(&file).expect("read");
        let end = sound.iter().rposition(|byte| *byte != 0).expect("data") + 1;
        let (mut refused, mut cut, mut found) = (0, 0, 0);
        for at in (0..end).step_by(37) {
            let mut bytes = sound.clone();
            bytes[at] ^= 0x10;
            std::fs::write(&file, &bytes).expect("written");
            // The watermark names nothing yet, so it cannot tell.
            match EngineLog::open(dir.path(), true) {
                Err(error) => {
                    assert!(error.is_damage() && error.to_string().contains("byte"), "{error}");
                    assert_eq!(std::fs::read(&file).expect("read"), bytes, "nothing was changed");
                    refused += 1;
                }
                Ok(log) if log.verify(1).is_err() => found += 1,
                // The last record may as well be the torn end of a write that was never synced.
                Ok(log) => {
                    assert!(log.last_index() >= 19, "at {at}: {}", log.last_index());
                    cut += 1;
                }
            }
        }
        println!("{refused} refused, {found} found by reading, {cut} cut off");
        assert!(refused > 20 && found > 100 && (1..30).contains(&cut), "{refused} {found} {cut}");
        // A real torn end is cut off.
        for length in [end - 1, end - 100, end - 320] {
            std::fs::write(&file, &sound[..length]).expect("written");
            let log = EngineLog::open(dir.path(), true).expect("opens");
            assert_eq!(log.last_index(), 19);
        }
    }

    fn only_log_file(dir: &Path) -> PathBuf {
        std::fs::read_dir(dir.join("log-1"))
            .expect("listed")
            .map(|found| found.expect("listed").path())
            .find(|path| path.extension().is_some_and(|ext| ext == "raftlog"))
            .expect("a log file")
    }

    #[test]
    fn a_thread_that_reads_two_logs_is_given_the_entries_of_each() {
        let dirs = [(); 2].map(|()| tempfile::tempdir().expect("a directory"));
        let logs: Vec<_> = (dirs.iter().zip([b'a', b'b']))
            .map(|(dir, byte)| {
                let log = EngineLog::open(dir.path(), false).expect("created");
                // The same lengths at the same places of files of the same number.
                log.append(&[entry(1, 1, &[byte; 50])], Some(&hard_state(1))).expect("appended");
                (log, byte)
            })
            .collect();
        for (log, byte) in logs.iter().chain(&logs) {
            let read = log.entries(1, 2, u64::MAX).expect("readable");
            assert_eq!(read[0].data[..], [*byte; 50]);
        }
    }

    #[test]
    fn what_was_cut_off_or_begun_anew_stays_so_and_its_files_go() {
        let dir = tempfile::tempdir().expect("a directory");
        let open = |existed| EngineLog::open_with(dir.path(), existed, 0).expect("opens");
        let log = open(false);
        let data = vec![7; 64 << 10];
        let (mut next, mut largest) = (1, 0);
        for round in 1..=20 {
            for _ in 0..16 {
                let entries: Vec<_> = (next..next + 2).map(|i| entry(i, round, &data)).collect();
                log.append(&entries, Some(&hard_state(round))).expect("appended");
                next += 2;
            }
            log.compact(next - 5, round).expect("cut");
            log.purge().expect("purged");
            largest = largest.max(log.bytes_on_disk().expect("measured"));
        }
        // 40 MB went through.
        assert!(largest < 8 << 20, "{largest} bytes");
        drop(log);
        let log = open(true);
        assert_eq!((log.compacted(), log.last_index()), ((next - 5, 20), next - 1));
        log.verify(1).expect("sound");
        log.install(1_000, 21, Some(&hard_state(21)), &members(900, 4)).expect("begun anew");
        drop(log);
        let log = open(true);
        assert_eq!((log.compacted(), log.last_index()), ((1_000, 21), 1_000));
        assert_eq!(log.hard_state().expect("readable"), hard_state(21));
        assert_eq!(log.members_at(1_000), Some(members(900, 4)));
        let mut next = 1_001;
        for round in 21..=40 {
            for _ in 0..32 {
                log.append(&[entry(next, round, &data)], None).expect("appended");
                next += 1;
            }
            log.compact(next - 3, round).expect("cut");
            log.purge().expect("purged");
        }
        drop(log);
        let log = open(true);
        assert_eq!((log.compacted(), log.last_index()), ((next - 3, 40), next - 1));
        assert_eq!(log.hard_state().expect("readable"), hard_state(21));
        log.verify(1).expect("sound");
        assert!(log.bytes_on_disk().expect("measured") < 8 << 20);
    }

    #[test]
    fn nine_compactions_remove_the_files_that_are_not_needed() {
        let dir = tempfile::tempdir().expect("a directory");
        let log = EngineLog::open_with(dir.path(), false, 0).expect("opens");
        // Hard state and membership are written once, to the first file.
        log.append_all(&[], Some(&hard_state(1)), &[members(0, 3)]).expect("appended");
        let data = vec![7; 16 << 10];
        let (mut next, kept) = (1, 100);
        for round in 1..=9 {
            for _ in 0..200 {
                log.append(&[entry(next, 1, &data)], None).expect("appended");
                next += 1;
            }
            // More entries stay than raft-engine writes again without being asked often.
            log.compact(next - 1 - kept, 1).expect("cut");
            log.purge().expect("purged");
            let (bytes, needed) = (log.bytes_on_disk().expect("measured"), kept * (16 << 10));
            println!("{bytes} bytes for {needed} after {round}");
            assert!(bytes < needed + (4 << 20), "{bytes} bytes after {round} compactions");
        }
        drop(log);
        let log = EngineLog::open_with(dir.path(), true, 0).expect("opens again");
        assert_eq!(log.hard_state().expect("readable"), hard_state(1));
        assert_eq!(log.members_at(u64::MAX), Some(members(0, 3)));
        assert_eq!((log.compacted().0, log.last_index()), (next - 1 - kept, next - 1));
        log.verify(1).expect("sound");
    }

    #[test]
    fn a_log_that_is_needed_is_not_written_again() {
        let dir = tempfile::tempdir().expect("a directory");
        let log = EngineLog::open_with(dir.path(), false, 0).expect("opens");
        let data = vec![7; 16 << 10];
        for index in 1..=400 {
            log.append(&[entry(index, 1, &data)], Some(&hard_state(1))).expect("appended");
        }
        let before = log.bytes_on_disk().expect("measured");
        for cut in 1..=20 {
            log.compact(cut, 1).expect("cut");
            log.purge().expect("purged");
        }
        let after = log.bytes_on_disk().expect("measured");
        assert!(after < before + (2 << 20), "{before} bytes became {after}");
        let needed = log.needed.lock().bytes();
        assert!((380 * (16 << 10)..=400 * (17 << 10)).contains(&needed), "{needed}");
    }

    #[test]
    fn memory_forgets_what_was_not_synced() {
        let log = MemoryLog::default();
        log.append(&[entry(1, 1, b"a")], Some(&hard_state(1))).expect("appended");
        log.write(&[entry(2, 1, b"b")], Some(&hard_state(2)));
        assert_eq!(log.last_index(), 2);
        log.crash();
        assert_eq!((log.last_index(), log.hard_state().expect("readable").term), (1, 1));
    }
}
