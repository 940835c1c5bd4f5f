//! The small files, and the log: its records, its watermark, its entries and its hard state.

use std::fs;
use std::path::{Path, PathBuf};

use engine::command::Envelope;
use raft::eraftpb::{Entry, EntryType};

use super::notebook::{Error, Notebook, at, copy};
use crate::directory;
use crate::directory::history::{self, Rebuilt};
use crate::directory::identity::{self, Kept};
use crate::directory::put_back;
use crate::log::engine::{self as engine_log, EngineLog};
use crate::log::{LogStore, records};

/// Bytes of entries read at once.
const BYTES_AT_ONCE: u64 = 8 << 20;

/// Verifies the owner of the directory.
pub(super) fn identity(data: &Path, notebook: &Notebook) -> Result<Option<Kept>, Error> {
    let mut sound = 0;
    for name in ["boot", "peers"] {
        let path = data.join(name);
        notebook.look_at(&path);
        match identity::check_file(data, name) {
            Ok(true) => sound += 1,
            // Peers are recorded when they are met, so a single node has none.
            Ok(false) if name == "peers" => {}
            Ok(false) => notebook.damage(&path, "missing: the node would reuse request ids"),
            Err(error) => notebook.damage(&path, reason(&error)),
        }
    }
    if let Err(error) = identity::Current::read(data) {
        notebook.damage(&data.join("current"), reason(&error));
    }
    if let Err(error) = put_back::check(data) {
        notebook.damage(&data.join("put-back"), reason(&error));
    }
    match history::read(data) {
        Ok(history) => {
            if let Some(Rebuilt { from, to, damage, aside }) = history.last() {
                let what = format!("node {from} was damaged and is node {to} now: {damage}");
                notebook.note(&data.join(aside), what);
            }
        }
        Err(error) => notebook.damage(&data.join("rebuilt"), reason(&error)),
    }
    let path = data.join("identity");
    notebook.look_at(&path);
    let kept = match identity::read(data) {
        Ok(Some(kept)) => {
            notebook.name(format!("node {} of cluster {:?}", kept.node, kept.cluster_name));
            sound += 1;
            Some(kept)
        }
        Ok(None) => {
            notebook.damage(&path, "missing: it is not known whose data this is");
            None
        }
        Err(error) => {
            notebook.damage(&path, reason(&error));
            None
        }
    };
    notebook.checked("identity files", sound);
    Ok(kept)
}

/// The cause of an error without its path, which the finding names anyway.
fn reason(error: &directory::Error) -> String {
    match error {
        directory::Error::Damaged { source, .. } => source.to_string(),
        other => other.to_string(),
    }
}

/// Verifies the log. Returns an opened copy, if it can be opened.
pub(super) fn log(
    data: &Path,
    scratch: &Path,
    notebook: &Notebook,
) -> Result<Option<EngineLog>, Error> {
    let dir = data.join("raft");
    let files = engine_log::directory(&dir);
    notebook.look_at(&files);
    if !files.is_dir() {
        notebook.damage(&files, "missing: the node has forgotten what it voted and acknowledged");
        return Ok(None);
    }
    let watermark = match engine_log::read_mark(&files) {
        Ok(Some(mark)) => {
            notebook.checked("watermarks", 1);
            Some(mark)
        }
        Ok(None) => {
            notebook.damage(&files.join("watermark"), "missing, though there is a log");
            None
        }
        Err(error) => {
            notebook.damage(&files.join("watermark"), error.to_string());
            None
        }
    };
    let torn = scan_records(&files, notebook)?;
    let target = scratch.join("raft");
    copy(&dir, &target)?;
    if watermark.is_none() {
        // Without its watermark the log cannot be judged as a whole, but its entries can be read.
        let _ = fs::remove_file(engine_log::directory(&target).join("watermark"));
    }
    let opened = EngineLog::open(&target, watermark.is_some());
    let log = match opened {
        Ok(log) => log,
        Err(error) => {
            notebook.damage(&files, in_place(&error.to_string(), &target, &dir));
            return Ok(None);
        }
    };
    if let Some((path, what)) = torn {
        let last = log.last_index();
        notebook.note(
            &path,
            format!(
                "{what}; nothing that is known to have been synced is lost: startup truncates \
                 the log behind index {last}"
            ),
        );
    }
    read_entries(&log, &files, &target, &dir, notebook);
    check_hard_state(&log, &files, notebook);
    Ok(Some(log))
}

/// Verifies every record of every file. A broken end of the newest file may be the torn end of a
/// crash; it is returned for the caller to judge.
fn scan_records(files: &Path, notebook: &Notebook) -> Result<Option<(PathBuf, String)>, Error> {
    let appended = records::files(files, "raftlog").map_err(at(files))?;
    let rewritten = records::files(files, "rewrite").map_err(at(files))?;
    let newest = appended.last().cloned();
    let found: Vec<_> = appended.into_iter().chain(rewritten).collect();
    let (mut records, mut torn) = (0, None);
    for (number, path) in &found {
        notebook.look_at(path);
        let scan = records::scan(path, *number).map_err(at(path))?;
        records += scan.records;
        let Some(broken) = scan.broken else { continue };
        let what = format!("{broken}, at byte {}", scan.bytes);
        let followed = records::cut_wrongly(path, *number).map_err(at(path))?.is_some();
        match newest.as_ref().is_some_and(|(_, newest)| newest == path) && !followed {
            true => torn = Some((path.clone(), what)),
            false => notebook.damage(path, what),
        }
    }
    notebook.checked("log files", found.len() as u64);
    notebook.checked("log records", records);
    Ok(torn)
}

/// Reads every entry: none may be missing, terms never fall. Names bytes that encode no command,
/// which all nodes leave out.
fn read_entries(log: &EngineLog, files: &Path, copy: &Path, dir: &Path, notebook: &Notebook) {
    notebook.look_at(files);
    let (mut next, end) = (log.first_index(), log.last_index() + 1);
    let (mut entries, mut commands, mut term) = (0_u64, 0_u64, log.compacted().1);
    let mut undecodable = Undecodable::default();
    while next < end {
        let read = match log.entries(next, end, BYTES_AT_ONCE) {
            Ok(read) => read,
            Err(error) => {
                let what = in_place(&error.to_string(), copy, dir);
                return notebook.damage(files, format!("damaged at or after entry {next}: {what}"));
            }
        };
        for entry in read {
            if entry.index != next || entry.term < term {
                let (index, found) = (entry.index, entry.term);
                let what = format!("entry {index} of term {found} follows {} of {term}", next - 1);
                return notebook.damage(files, what);
            }
            commands += commands_in(&entry, &mut undecodable);
            (next, term, entries) = (next + 1, entry.term, entries + 1);
        }
    }
    if let Undecodable { count, first: Some(first) } = undecodable {
        let what = format!(
            "{count} commands do not decode, the first in {first}; every node leaves them out"
        );
        notebook.note(files, &what);
    }
    notebook.checked("log entries", entries);
    notebook.checked("commands", commands);
}

/// Commands whose bytes encode none; an entry that is none counts as one.
#[derive(Default)]
struct Undecodable {
    count: u64,
    /// Where the first one is, and what is wrong with it.
    first: Option<String>,
}

impl Undecodable {
    fn found(&mut self, what: impl FnOnce() -> String) {
        self.count += 1;
        self.first.get_or_insert_with(what);
    }
}

/// How many commands the entry has that can be decoded.
fn commands_in(entry: &Entry, undecodable: &mut Undecodable) -> u64 {
    let index = entry.index;
    if entry.get_entry_type() != EntryType::EntryNormal || entry.data.is_empty() {
        return 0;
    }
    let parsed = match engine::entry::Entry::parse(&entry.data) {
        Ok(parsed) => parsed,
        Err(error) => {
            undecodable.found(|| format!("entry {index}: {error}"));
            return 0;
        }
    };
    let mut commands = 0;
    for (bytes, n) in parsed.envelopes.iter().zip(0..) {
        match Envelope::decode(bytes) {
            Ok(_) => commands += 1,
            Err(error) => undecodable.found(|| format!("entry {index}, command {n}: {error}")),
        }
    }
    commands
}

fn check_hard_state(log: &EngineLog, files: &Path, notebook: &Notebook) {
    let hard = match log.hard_state() {
        Ok(hard) => hard,
        Err(error) => return notebook.damage(files, format!("hard state: {error}")),
    };
    let last = log.last_index();
    let term = match last > log.compacted().0 {
        true => log.entries(last, last + 1, u64::MAX).map_or(0, |entries| entries[0].term),
        false => log.compacted().1,
    };
    if hard.term < term {
        let what = format!("the hard state is of term {}, the last entry of {term}", hard.term);
        return notebook.damage(files, what);
    }
    if hard.commit > last {
        let what = format!("{} is committed, but the log ends at {last}", hard.commit);
        return notebook.damage(files, what);
    }
    notebook.checked("hard states", 1);
}

/// Turns a message about the copy into one about the original.
fn in_place(text: &str, copy: &Path, original: &Path) -> String {
    text.replace(&copy.display().to_string(), &original.display().to_string())
}
