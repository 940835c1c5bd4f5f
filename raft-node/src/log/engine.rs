//! The durable log, in tikv's raft-engine.
//!
//! The entries and hard state of one append are one synced write. raft-engine panics when a sync
//! fails, which is what we want: a failed sync is final. Its recovery silently truncates the log at
//! the first bad record of its newest file, whether that record was synced or not. The *watermark*,
//! a small file of our own, names an index and term known to be committed and synced, and so tells
//! a torn tail from lost data.

use std::cell::Cell;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use raft::eraftpb::{Entry, HardState};
use raft_engine::{Command, Engine, LogBatch, MessageExt, ReadableSize, RecoveryMode};

use super::needed::Needed;
use super::{Error, LogStore, newest_members, record_members, records};
use crate::directory::durable::{create_private_dir, write_durably};
use crate::members::Membership;
use crate::memory::Memory;

/// The raft group. There is only one; its number is in the directory layout and in every record.
const GROUP: u64 = 1;
const HARD_STATE_KEY: &[u8] = b"hard_state";
/// Key prefix before the big-endian index of each membership. The range ends at the next prefix.
const MEMBERS_PREFIX: &[u8] = b"members/";
const MEMBERS_END: &[u8] = b"members0";
/// Key of the index and term of the last truncated entry. raft-engine's own record of that does not
/// survive everything that its files go through, and it does not keep the term.
const COMPACTED_KEY: &[u8] = b"compacted";
/// Key of what the node remembers of its peers.
const MEMORY_KEY: &[u8] = b"peers";
/// Files are removed, and entries in them moved, when at most this share of their bytes is needed,
/// in percent: with more, raft-engine would write again what is needed.
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
    memory: Mutex<Memory>,
    /// Held while files are removed and entries moved. A fetch may meanwhile find an entry moved
    /// away, and then runs once more, alone.
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
        let memory = match engine.get(GROUP, MEMORY_KEY) {
            None => Memory::default(),
            Some(bytes) => Memory::decode(&bytes).map_err(|error| {
                broken(format!("what the node remembers of its peers is damaged: {error}"))
            })?,
        };
        let log = EngineLog {
            engine: Arc::new(engine),
            path,
            watermark: Mutex::new(watermark),
            members: Mutex::default(),
            compacted: Mutex::new(compacted),
            memory: Mutex::new(memory),
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

    /// Removes files without a needed entry, once enough of their bytes are not needed. Appends and
    /// reads go on meanwhile.
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

/// Turns raft-engine's error about what it read into ours. An error of the system is not damage.
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

    fn remember(&self, memory: &Memory) -> Result<(), Error> {
        // Truncating the log writes it again.
        let mut known = self.memory.lock();
        let mut batch = LogBatch::with_capacity(1);
        batch
            .put(GROUP, MEMORY_KEY.to_vec(), memory.encode())
            .map_err(|error| self.error(error))?;
        self.engine.write(&mut batch, syncs()).map_err(|error| self.error(error))?;
        known.clone_from(memory);
        Ok(())
    }

    fn remembered(&self) -> Memory {
        self.memory.lock().clone()
    }

    fn members_at(&self, index: u64) -> Option<Membership> {
        newest_members(&self.members.lock(), index)
    }

    fn compact(&self, index: u64, term: u64) -> Result<(), Error> {
        if index <= self.compacted().0 {
            return Ok(());
        }
        // Hard state and memberships are written again, so that nothing old pins a file. An
        // append must not put a newer hard state in between.
        let history = self.members.lock();
        let hard_state = self.hard_state()?;
        let mut batch = LogBatch::with_capacity(5);
        batch
            .put_message(GROUP, HARD_STATE_KEY.to_vec(), &hard_state)
            .and_then(|()| batch.put(GROUP, COMPACTED_KEY.to_vec(), encode_compacted(index, term)))
            .map_err(|error| self.error(error))?;
        for membership in &*history {
            let (key, value) = (members_key(membership.index), membership.encode());
            batch.put(GROUP, key, value).map_err(|error| self.error(error))?;
        }
        let memory = self.memory.lock();
        batch
            .put(GROUP, MEMORY_KEY.to_vec(), memory.encode())
            .map_err(|error| self.error(error))?;
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
        let memory = self.memory.lock();
        let mut batch = LogBatch::with_capacity(4);
        batch.add_command(GROUP, Command::Clean);
        batch
            .put_message(GROUP, HARD_STATE_KEY.to_vec(), &hard_state)
            .and_then(|()| batch.put(GROUP, COMPACTED_KEY.to_vec(), encode_compacted(index, term)))
            .and_then(|()| batch.put(GROUP, members_key(members.index), members.encode()))
            .and_then(|()| batch.put(GROUP, MEMORY_KEY.to_vec(), memory.encode()))
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
mod tests;
