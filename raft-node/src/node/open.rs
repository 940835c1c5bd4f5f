//! Opens a data directory: uses what is sound, moves aside what is damaged, and makes that again.
//!
//! The state comes from its checkpoint. Without a sound checkpoint, it comes from the newest sound
//! snapshot and the log after it; without a snapshot, from the log alone, if that is whole. Without
//! any of these the node does not start. A snapshot installation that was interrupted is completed.
//!
//! Entries that the state already holds are read too. If one of them is damaged, the log is
//! truncated behind them, at a new snapshot, which serves followers as well. Damage after them is
//! final: the node no longer knows what it acknowledged there, so it must not vote.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::state::State;
use engine::store::sled::SledStore;

use super::error::StartError;
use crate::causes::{chain, text_of};
use crate::config::Config;
use crate::directory::durable::{self, write_durably};
use crate::directory::history;
use crate::directory::identity::{Current, Identity};
use crate::driver::ahead::SecondThread;
use crate::log::engine::EngineLog;
use crate::log::{self, LogStore};
use crate::members::{Member, Membership};
use crate::snapshot::files::DirectoryFiles;
use crate::snapshot::{Meta, Schedule, Snapshots};

/// Names the state while sled opens it. sled may kill the process over damaged files, at every
/// startup. A startup that finds this file does not let sled open them again.
const OPENING: &str = "opening";
/// Damaged states to keep for inspection.
const ASIDE_MAX: usize = 3;

/// An open data directory.
pub(crate) struct Opened {
    pub(crate) identity: Identity,
    pub(crate) log: Arc<EngineLog>,
    pub(crate) store: Arc<SledStore>,
    pub(crate) state: State,
    pub(super) members: Membership,
    pub(super) snapshots: Snapshots,
    /// The snapshots, newest first.
    pub(super) found: Vec<Meta>,
    pub(super) schedule: Schedule,
}

/// Opens a directory for a node that starts, and counts the boot.
pub(super) fn open(config: &Config, raft_addr: SocketAddr) -> Result<Opened, StartError> {
    let mut opened = look(config, raft_addr)?;
    history::give_up(&config.data_dir)?;
    opened.identity.begin_boot()?;
    Ok(opened)
}

/// Opens a directory, and repairs what can be repaired.
pub(crate) fn look(config: &Config, raft_addr: SocketAddr) -> Result<Opened, StartError> {
    let mut config = config.clone();
    for peer in &mut config.peers {
        // A single node may listen on any free port. Other nodes must know the address beforehand.
        if peer.id == config.node_id && peer.raft_addr.ends_with(":0") {
            peer.raft_addr = raft_addr.to_string();
        }
    }
    let data_dir = &config.data_dir;
    let identity = Identity::open(&config)?;
    let raft_dir = data_dir.join("raft");
    let purge_bytes = 2 * config.snapshot_log_bytes;
    let log = Arc::new(EngineLog::open_with(&raft_dir, identity.boot() > 0, purge_bytes)?);
    if identity.boot() == 0 && log.last_index() > 0 {
        return Err(StartError::Directory(durable::Error::BootMissing(data_dir.join("boot"))));
    }
    let snapshots_dir = data_dir.join("snapshots");
    let files = DirectoryFiles::open(&snapshots_dir).map_err(|error| StartError::Checkpoint {
        path: snapshots_dir.display().to_string(),
        reason: error.to_string(),
    })?;
    let snapshots =
        Snapshots::open(Arc::new(files), identity.cluster())?.named(&config.cluster_name);
    let current = Current::read(data_dir)?;
    sweep(data_dir, &current);
    let opening = Opening { data_dir, current, log: &log, snapshots: &snapshots };
    let (store, state) = opening.state(identity.boot())?;
    opening.end_installation(&state)?;
    if state.applied_index() > log.last_index() {
        return Err(StartError::Log(log::Error::Lost {
            path: raft_dir.display().to_string(),
            last_index: log.last_index(),
            term: log.hard_state()?.term,
            synced_index: state.applied_index(),
            synced_term: state.applied_term(),
        }));
    }
    // An index is marked only after a checkpoint at that index was synced.
    let (marked, _) = log.marked();
    if state.applied_index() < marked {
        tracing::warn!(
            path = %opening.path().display(),
            index = state.applied_index(),
            synced = marked,
            "the checkpoint has lost its newest part, which is rebuilt from the log"
        );
    }
    // Check now what will be replayed: a damaged node must not vote first and notice later.
    log.verify(state.applied_index() + 1)?;
    let founders = || Membership::founded(identity.founders().iter().map(Member::from).collect());
    let members = log::members_or_founders(&*log, state.applied_index(), founders)?;
    if let Err(error) = log.verify_between(log.first_index(), state.applied_index()) {
        opening.cut_off(&error, &store, &members)?;
    }
    let found = snapshots.found()?;
    let schedule = schedule(&config, &log, found.first())?;
    let store = Arc::new(store);
    Ok(Opened { identity, log, store, state, members, snapshots, found, schedule })
}

/// Estimates when the next snapshot is due, from the size of the log's files.
fn schedule(
    config: &Config,
    log: &EngineLog,
    newest: Option<&Meta>,
) -> Result<Schedule, StartError> {
    let mut schedule = Schedule::new(config.snapshot_log_bytes, config.snapshot_entries_max);
    let (first, last) = (log.compacted().0, log.last_index());
    let mut grown = log.bytes_on_disk()?;
    if let Some(newest) = newest {
        schedule.taken(newest.index, newest.bytes, 0);
        let since = last.saturating_sub(newest.index);
        let share = u128::from(grown) * u128::from(since) / u128::from((last - first).max(1));
        grown = u64::try_from(share).unwrap_or(u64::MAX);
    }
    schedule.estimate(grown);
    Ok(schedule)
}

/// Removes states that no longer count, or never did. Damaged states stay for inspection.
fn sweep(data_dir: &Path, current: &Current) {
    let Ok(entries) = fs::read_dir(data_dir) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| *name != current.dir) else { continue };
        let digits = name.strip_prefix("state-");
        let made_here = digits.is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()));
        if (made_here || name == "state")
            && let Err(error) = fs::remove_dir_all(entry.path())
        {
            tracing::warn!(path = %entry.path().display(), %error, "an old state cannot be removed");
        }
    }
}

/// Why a checkpoint or snapshot gives no state.
enum Unusable {
    /// It differs from what was written.
    Damaged(String),
    /// Something else failed.
    Failed(String),
}

struct Opening<'a> {
    data_dir: &'a Path,
    current: Current,
    log: &'a EngineLog,
    snapshots: &'a Snapshots,
}

impl Opening<'_> {
    fn path(&self) -> PathBuf {
        self.data_dir.join(&self.current.dir)
    }

    fn failed(&self, reason: String) -> StartError {
        StartError::Checkpoint { path: self.path().display().to_string(), reason }
    }

    fn lost(&self, reason: String) -> StartError {
        StartError::State { path: self.path().display().to_string(), reason }
    }

    /// Returns whether a snapshot became the state and the log does not know of it yet.
    fn is_installing(&self) -> bool {
        self.current.index > self.log.compacted().0
    }

    /// Opens the state from its checkpoint, or rebuilds it.
    fn state(&self, boot: u64) -> Result<(SledStore, State), StartError> {
        let existed = self.path().exists();
        let opened = match existed && self.died_opening() {
            true => Err(Unusable::Damaged("the process ended while it was opened".to_owned())),
            false => self.try_open(),
        };
        let (store, reason) = match opened {
            Ok((store, state)) => {
                let (applied, compacted) = (state.applied_index(), self.log.compacted().0);
                if applied >= compacted && applied > 0 {
                    return Ok((store, state));
                }
                let lost = compacted > 0 || boot > 0;
                (lost.then_some(store), format!("ends at index {applied}"))
            }
            // A newer build wrote it, so it is of use to that build.
            Err(Unusable::Failed(reason)) => return Err(self.failed(reason)),
            Err(Unusable::Damaged(reason)) => (None, reason),
        };
        // A new directory, or one with an empty checkpoint, has nothing to move aside.
        match store {
            Some(store) => drop(store),
            None if existed && boot > 0 => self.set_aside(boot, &reason)?,
            None => {}
        }
        self.make_again()
    }

    /// Returns whether a process ended while sled opened this state.
    fn died_opening(&self) -> bool {
        let named = fs::read(self.data_dir.join(OPENING));
        named.is_ok_and(|named| named == self.current.dir.as_bytes())
    }

    /// Everything counts as damage, except what a newer build wrote.
    fn try_open(&self) -> Result<(SledStore, State), Unusable> {
        let marker = self.data_dir.join(OPENING);
        let text =
            |error: std::io::Error| Unusable::Damaged(format!("{}: {error}", marker.display()));
        let name = self.current.dir.as_bytes();
        write_durably(&marker, |file| file.write_all(name)).map_err(text)?;
        // Builds that unwind notice a panic without dying of it.
        let opened = catch_unwind(AssertUnwindSafe(|| {
            let damaged = |error: &dyn std::error::Error| Unusable::Damaged(chain(error));
            let store = SledStore::open(&self.path()).map_err(|error| damaged(&error))?;
            let state = State::open_ahead(&store, &SecondThread);
            let state = state.map_err(|error| match error.is_of_newer_build() {
                true => Unusable::Failed(chain(&error)),
                false => damaged(&error),
            })?;
            Ok((store, state))
        }));
        fs::remove_file(&marker).map_err(text)?;
        opened.unwrap_or_else(|panic| {
            Err(Unusable::Damaged(format!("sled gave up: {}", text_of(&*panic))))
        })
    }

    /// Truncates the log behind everything that the state holds, since a part of that is damaged.
    fn cut_off(
        &self,
        damage: &log::Error,
        store: &SledStore,
        members: &Membership,
    ) -> Result<(), StartError> {
        tracing::error!(
            %damage,
            "entries that the checkpoint holds are damaged: the log is truncated behind them, at \
             a new snapshot"
        );
        let draft = self.snapshots.begin(store, |_| members.clone())?;
        let draft = draft.ok_or_else(|| self.failed("it is empty".into()))?;
        let meta = self.snapshots.finish(draft, store)?;
        Ok(self.log.compact(meta.index, meta.term)?)
    }

    /// Removes all but the newest of the damaged states, so that a disk that keeps damaging them
    /// does not fill up.
    fn forget_old(&self) {
        let Ok(entries) = fs::read_dir(self.data_dir) else { return };
        let mut aside: Vec<_> = entries
            .flatten()
            .filter(|entry| entry.file_name().to_string_lossy().contains(".damaged-"))
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
            .filter(|(_, path)| path.is_dir())
            .collect();
        aside.sort();
        for (_, path) in aside.iter().rev().skip(ASIDE_MAX) {
            if let Err(error) = fs::remove_dir_all(path) {
                tracing::warn!(path = %path.display(), %error, "an old state cannot be removed");
            }
        }
    }

    fn set_aside(&self, boot: u64, reason: &str) -> Result<(), StartError> {
        let path = self.path();
        // A startup that is refused after this does not count as a boot, and comes here again.
        let name = |again: u32| match again {
            0 => format!("{}.damaged-{boot}", self.current.dir),
            again => format!("{}.damaged-{boot}.{again}", self.current.dir),
        };
        let mut names = (0..).map(|again| self.data_dir.join(name(again)));
        let aside = names.find(|path| !path.exists()).expect("there are names enough");
        tracing::error!(
            path = %path.display(),
            aside = %aside.display(),
            reason,
            "the checkpoint is damaged: it is moved aside and rebuilt"
        );
        fs::rename(&path, &aside).map_err(|error| self.failed(error.to_string()))?;
        match fs::remove_file(self.data_dir.join(OPENING)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(self.failed(error.to_string()));
            }
            _ => {}
        }
        self.forget_old();
        Ok(())
    }

    /// Makes the state from the newest sound snapshot that the log follows, or else from a log that
    /// is whole.
    fn make_again(&self) -> Result<(SledStore, State), StartError> {
        let (first, last) = (self.log.compacted().0, self.log.last_index());
        for index in self.snapshots.indexes()?.into_iter().rev() {
            let installing = self.is_installing() && index == self.current.index;
            if !installing && !(first..=last).contains(&index) {
                continue;
            }
            match self.restored(index) {
                Ok(made) => {
                    tracing::info!(index, "the state was made from a snapshot");
                    return Ok(made);
                }
                Err(Unusable::Damaged(reason)) => {
                    tracing::error!(index, reason, "a snapshot is damaged and moved aside");
                    self.snapshots.set_aside(index)?;
                }
                Err(Unusable::Failed(reason)) => return Err(self.failed(reason)),
            }
        }
        self.remove()?;
        if first > 0 || self.is_installing() {
            return Err(self.lost(format!(
                "it is missing or damaged, the log begins after index {first}, and there is no \
                 sound snapshot"
            )));
        }
        self.try_open()
            .map_err(|(Unusable::Damaged(reason) | Unusable::Failed(reason))| self.failed(reason))
    }

    fn restored(&self, index: u64) -> Result<(SledStore, State), Unusable> {
        let failed = |error: &dyn std::error::Error| Unusable::Failed(chain(error));
        self.remove().map_err(|error| failed(&error))?;
        let store = SledStore::open(&self.path()).map_err(|error| failed(&error))?;
        self.snapshots.fill(index, &store).map_err(|error| match error.is_damage() {
            true => Unusable::Damaged(chain(&error)),
            false => failed(&error),
        })?;
        let state = State::open_ahead(&store, &SecondThread).map_err(|error| match error {
            error if error.is_damage() => Unusable::Damaged(chain(&error)),
            error => failed(&error),
        })?;
        Ok((store, state))
    }

    fn remove(&self) -> Result<(), StartError> {
        match fs::remove_dir_all(self.path()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(self.failed(error.to_string()))
            }
            _ => Ok(()),
        }
    }

    /// A snapshot became the state, and the node ended before it restarted the log.
    fn end_installation(&self, state: &State) -> Result<(), StartError> {
        if !self.is_installing() {
            return Ok(());
        }
        let Current { index, term, .. } = self.current;
        if (state.applied_index(), state.applied_term()) != (index, term) {
            return Err(self.lost(format!(
                "it was made from a snapshot of index {index}, but ends at {}",
                state.applied_index()
            )));
        }
        let meta = self.snapshots.verify(index)?;
        tracing::info!(index, "a snapshot replaced the log");
        self.log.install(index, term, None, &meta.members)?;
        self.log.mark(index, term)?;
        Ok(())
    }
}
