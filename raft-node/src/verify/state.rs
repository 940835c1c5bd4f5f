//! Verifies the checkpoint and the snapshot files, each by itself and against the log.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::checkpoint::CheckpointStore;
use engine::state::State;
use engine::store::memory::MemoryStore;
use engine::store::sled::SledStore;

use super::notebook::{Error, Notebook, at, copy};
use crate::causes::chain;
use crate::directory::identity::{Current, Kept};
use crate::log::LogStore;
use crate::log::engine::EngineLog;
use crate::replica::{NotApplied, replay};
use crate::snapshot;
use crate::snapshot::files::DirectoryFiles;
use crate::snapshot::{Snapshots, name_of};

/// Opens a copy of the checkpoint, and verifies every row's checksum, the digest, the invariants.
pub(super) fn checkpoint(
    data: &Path,
    scratch: &Path,
    notebook: &Notebook,
) -> Result<Option<State>, Error> {
    let dir = state_dir(data);
    notebook.look_at(&dir);
    let target = scratch.join("state");
    if !copy(&dir, &target)? {
        notebook.note(&dir, "no checkpoint: startup rebuilds it from snapshot and log");
        return Ok(None);
    }
    // sled may panic over damaged files instead of returning an error.
    let opened = catch_unwind(AssertUnwindSafe(|| -> Result<(State, u64), String> {
        let store = SledStore::open(&target).map_err(|error| chain(&error))?;
        let mut rows = 0;
        let count = store.scan(&[], &mut |_, _| {
            rows += 1;
            Ok(())
        });
        count.map_err(|error| chain(&error))?;
        Ok((State::open(&store).map_err(|error| chain(&error))?, rows))
    }));
    match opened {
        Ok(Ok((state, rows))) => {
            notebook.checked("checkpoint rows", rows);
            count_state(&state, notebook);
            Ok(Some(state))
        }
        Ok(Err(what)) => {
            let what = what.replace(&target.display().to_string(), &dir.display().to_string());
            notebook.damage(&dir, format!("{what}; startup rebuilds it from snapshot and log"));
            Ok(None)
        }
        Err(_) => {
            notebook.damage(&dir, "sled cannot open it; startup rebuilds it");
            Ok(None)
        }
    }
}

/// The directory of the state. If it is unknown, the check of the small files reports that.
fn state_dir(data: &Path) -> PathBuf {
    data.join(Current::read(data).map_or("state".into(), |current| current.dir))
}

fn count_state(state: &State, notebook: &Notebook) {
    notebook.checked("checkpoint digests", 1);
    let totals = state.totals();
    notebook.checked("orders", totals.orders_created);
    notebook.checked("products", totals.products_created);
}

/// The end of the committed log, and the digest of the checkpoint plus the log up to there.
pub(super) struct End {
    index: u64,
    digest: Option<u64>,
}

/// Verifies that the checkpoint is what the log before it makes, and that the log after it applies.
/// `None` when there is nothing to compare a snapshot with.
pub(super) fn against_log(
    data: &Path,
    state: Option<State>,
    log: Option<&EngineLog>,
    notebook: &Notebook,
) -> Option<End> {
    let log = log?;
    let (dir, files) = (state_dir(data), data.join("raft"));
    let applied = state.as_ref().map_or(0, State::applied_index);
    notebook.look_at(&dir);
    let installed = Current::read(data).map_or(0, |current| current.index);
    if installed > log.compacted().0 && applied == installed {
        let what = "a snapshot replaced the state and not yet the log: startup finishes that";
        notebook.note(&dir, what);
        return None;
    }
    if applied > log.last_index() {
        let last = log.last_index();
        let what = format!("ends at {last}, but the checkpoint is at {applied}: entries were lost");
        notebook.damage(&files, what);
        return None;
    }
    // An index is marked in the log only after a checkpoint at that index was synced.
    let (marked, _) = log.marked();
    if state.is_some() && applied < marked {
        let what = format!("is at {applied}, though one at {marked} was synced: it lost a part");
        notebook.damage(&dir, what);
    }
    let commit = log.hard_state().map_or(0, |hard| hard.commit).max(applied);
    let mut now = match state {
        // The log still has all entries, so make the checkpoint's state again from it.
        state if log.first_index() == 1 => {
            let mut made = State::new();
            if let Err(NotApplied { reason: what, .. }) = replay(&mut made, log, applied) {
                notebook.damage(&files, what);
                return None;
            }
            if let Some(mut state) = state {
                let (stored, replayed) = (state.digest(), made.digest());
                if stored != replayed {
                    let what = format!(
                        "at index {applied} the checkpoint has the digest {stored:016x}, but its \
                         log gives {replayed:016x}"
                    );
                    notebook.damage(&dir, what);
                    return None;
                }
                notebook.checked("checkpoints that their log gives again", 1);
            }
            made
        }
        Some(state) if applied + 1 >= log.first_index() => state,
        Some(_) => {
            let first = log.first_index();
            let what = format!("begins at {first}, after the checkpoint at {applied}");
            notebook.damage(&files, what);
            return None;
        }
        // A snapshot has to fill the gap. The next check looks for one.
        None => return Some(End { index: commit, digest: None }),
    };
    if let Err(NotApplied { reason: what, .. }) = replay(&mut now, log, commit) {
        notebook.damage(&files, what);
        return None;
    }
    notebook.checked("committed entries that apply", commit);
    notebook.made("checkpoint and log".into(), &mut now);
    match now.check_invariants() {
        Ok(()) => notebook.checked("states with all invariants", 1),
        Err(violation) => {
            notebook.damage(&dir, format!("at index {commit} the state is wrong: {violation}"));
        }
    }
    Some(End { index: commit, digest: Some(now.digest()) })
}

/// Reads every snapshot file whole, and makes a state of it. The log after it must lead to the same
/// state as from the checkpoint.
pub(super) fn snapshots(
    data: &Path,
    scratch: &Path,
    identity: Option<&Kept>,
    log: Option<&EngineLog>,
    end: Option<&End>,
    notebook: &Notebook,
) -> Result<(), Error> {
    let dir = data.join("snapshots");
    let target = scratch.join("snapshots");
    let Some(identity) = identity else { return Ok(()) };
    let mut newest = 0;
    if copy(&dir, &target)? {
        let files = DirectoryFiles::open(&target).map_err(at(&dir))?;
        let snapshots = match Snapshots::open(Arc::new(files), identity.cluster) {
            Ok(snapshots) => snapshots,
            Err(error) => {
                notebook.damage(&dir, chain(&error));
                return Ok(());
            }
        };
        let indexes = snapshots.indexes().unwrap_or_default();
        let mut sound = 0;
        for index in indexes {
            let path = dir.join(name_of(index));
            notebook.look_at(&path);
            let store = MemoryStore::default();
            let filled = snapshots.fill(index, &store).map_err(|error| chain(&error));
            let opened = filled.and_then(|_| State::open(&store).map_err(|error| chain(&error)));
            match opened {
                Ok(mut state) if state.applied_index() == index => {
                    (sound, newest) = (sound + 1, index);
                    notebook.made(name_of(index), &mut state);
                    if let (Some(log), Some(end)) = (log, end) {
                        lead_on(&path, state, log, end, notebook);
                    }
                }
                Ok(state) => {
                    notebook.damage(&path, format!("holds the state at {}", state.applied_index()));
                }
                Err(what) => notebook.damage(&path, what),
            }
        }
        notebook.checked("snapshots", sound);
    }
    if let Some(log) = log
        && log.first_index() > newest + 1
    {
        let first = log.first_index();
        let what = format!("the log begins at {first}, and no sound snapshot reaches to it");
        notebook.damage(&dir, what);
    }
    Ok(())
}

/// Applies the log after a snapshot to its state.
fn lead_on(path: &Path, mut state: State, log: &EngineLog, end: &End, notebook: &Notebook) {
    let from = state.applied_index();
    if from + 1 < log.first_index() || from >= end.index {
        return;
    }
    if let Err(NotApplied { reason: what, .. }) = replay(&mut state, log, end.index) {
        return notebook.damage(path, format!("the log after it does not apply: {what}"));
    }
    notebook.made(format!("{} and log", name_of(from)), &mut state);
    let digest = state.digest();
    match end.digest.filter(|expected| *expected != digest) {
        None => notebook.checked("snapshots that the log leads on from", 1),
        Some(expected) => notebook.damage(
            path,
            format!(
                "with the log after it the state at index {} has the digest {digest:016x}, with \
                 the checkpoint {expected:016x}",
                end.index
            ),
        ),
    }
}

/// Reads a backup whole, and makes a state of it.
pub(super) fn backup(file: &Path, notebook: &Notebook) {
    let store = MemoryStore::default();
    let about = match snapshot::backup::fill(file, &store) {
        Ok(about) => about,
        Err(error) => return notebook.damage(file, chain(&error)),
    };
    notebook.name(format!("backup of cluster {:?} at index {}", about.cluster_name, about.index));
    let opened = State::open(&store).map(|mut state| (state.digest(), state));
    match opened {
        Ok((digest, mut state))
            if (state.applied_index(), digest) == (about.index, about.digest) =>
        {
            notebook.checked("snapshots", 1);
            notebook.made("backup".into(), &mut state);
            count_state(&state, notebook);
        }
        Ok((_, state)) => {
            let what = format!("holds the state at {}", state.applied_index());
            notebook.damage(file, what);
        }
        Err(error) => notebook.damage(file, chain(&error)),
    }
}
