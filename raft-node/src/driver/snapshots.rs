//! Takes, sends, receives and installs snapshot files.
//!
//! The checkpointer begins a file between two checkpoints, and a thread of its own finishes it. One
//! more thread sends, receives and truncates the log, so that neither the core nor the log ever
//! waits for a file. The log's thread installs, since everything after a snapshot has to wait for
//! it anyway.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender};
use engine::checkpoint::CheckpointStore;
use engine::state::State;
use engine::store::sled::SledStore;
use raft::eraftpb::HardState;
use tokio::sync::oneshot;

use super::pace::Paced;
use crate::causes::{chain, text_of};
use crate::core::{FileTask, Input, Install, Space};
use crate::counters::micros_since;
use crate::directory::identity::Current;
use crate::log::LogStore;
use crate::log::engine::EngineLog;
use crate::message::PeerMessage;
use crate::shared::Shared;
use crate::shared::prepared::{Asker, Prepared};
use crate::snapshot::{self, Meta, Schedule};
use crate::transport::Links;

/// Pause before a failed snapshot is taken again.
const RETRY: Duration = Duration::from_secs(10);
/// How long readers of a replaced state may go on reading its store.
const OLD_STORE_KEPT: Duration = Duration::from_secs(10);

/// Performs the core's file tasks, one after the other.
pub(super) fn run_files(
    shared: &Shared,
    log: &EngineLog,
    links: &Links,
    part_bytes: usize,
    queue: &Receiver<FileTask>,
    purges: &Sender<()>,
) {
    while let Ok(task) = queue.recv() {
        match task {
            FileTask::Send { to, index, offset } => {
                let part = part(shared, index, offset, part_bytes);
                let ok = part.is_some();
                if let Some(part) = part {
                    links.send(to, part, shared);
                }
                shared.send(Input::PartSent { to, index, offset, ok });
            }
            FileTask::Verify { index } => {
                if let Err(error) = shared.snapshots.verify(index) {
                    set_aside(shared, index, &error);
                }
            }
            FileTask::Begin { from, index, term } => {
                let begun = shared.snapshots.begin_receiving(from, index, term);
                shared.send(match told(shared, "a snapshot cannot be received", begun) {
                    Some(offset) => Input::PartialFound { from, index, offset },
                    None => Input::PartWritten(index, false),
                });
            }
            FileTask::Write { index, offset, bytes } => {
                // The rest of a nearly full disk belongs to the log.
                let room = *shared.space.read() != Space::Exhausted;
                let ok = room && {
                    let written = shared.snapshots.receive(offset, &bytes);
                    told(shared, "a snapshot cannot be received", written).is_some()
                };
                shared.send(Input::PartWritten(index, ok));
            }
            FileTask::Prepare { index, term } => {
                forget(shared);
                let prepared = prepare(shared, index, term);
                let ok = told(shared, "a snapshot that arrived cannot be used", prepared);
                shared.send(Input::SnapshotPrepared(index, ok.is_some()));
            }
            FileTask::Forget => forget(shared),
            FileTask::Compact { index, term } => {
                if let Err(error) = log.compact(index, term) {
                    return shared.fail(error.to_string());
                }
                // One purge that is already requested is enough.
                let _ = purges.try_send(());
            }
            FileTask::Take => shared.snapshot_askers.lock().push(oneshot::channel().0),
        }
    }
}

/// Logs a failure that the node can live with.
fn told<T, E: std::error::Error>(
    shared: &Shared,
    what: &'static str,
    result: Result<T, E>,
) -> Option<T> {
    result
        .inspect_err(|error| {
            let error = chain(error);
            tracing::warn!(node = shared.node().0, error, "{what}");
        })
        .ok()
}

/// Moves a damaged file aside, and tells the core. A file that cannot be read is left alone.
fn set_aside(shared: &Shared, index: u64, error: &snapshot::Error) {
    told(shared, "a snapshot cannot be used", Err::<(), _>(error));
    if error.is_damage() {
        let moved = shared.snapshots.set_aside(index);
        told(shared, "a damaged snapshot cannot be moved aside", moved);
        shared.send(Input::SnapshotLost(index));
    }
}

/// Reads a part of a file. A file that this process has neither written nor verified is read to its
/// end before.
fn part(shared: &Shared, index: u64, offset: u64, bytes_max: usize) -> Option<PeerMessage> {
    let snapshots = &shared.snapshots;
    if let Err(error) = snapshots.verify_once(index) {
        set_aside(shared, index, &error);
        return None;
    }
    let read = snapshots.part(index, offset, bytes_max);
    let (size, bytes) = told(shared, "a snapshot cannot be read", read)??;
    Some(PeerMessage::SnapshotPart { index, offset, size, bytes })
}

/// Why a received snapshot cannot be used.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error(transparent)]
    Snapshot(#[from] snapshot::Error),
    #[error("{0}")]
    Directory(#[from] std::io::Error),
    #[error(transparent)]
    Store(#[from] engine::store::Error),
    #[error(transparent)]
    State(#[from] engine::checkpoint::open::Error),
    #[error("its digest is {found:016x}, not {told:016x}")]
    Digest { told: u64, found: u64 },
}

fn prepare(shared: &Shared, index: u64, term: u64) -> Result<(), Unusable> {
    let meta = shared.snapshots.received(index, term)?;
    let dir = format!("state-{index}");
    let path = shared.data_dir.join(&dir);
    if path.exists() {
        fs::remove_dir_all(&path)?;
    }
    let store = SledStore::open(&path)?;
    shared.snapshots.fill(index, &store)?;
    let mut state = State::open(&store as &dyn CheckpointStore)?;
    let (events_max, age_ms_max) = shared.event_retention;
    state.set_event_retention(events_max, age_ms_max);
    let found = state.digest();
    if found != meta.digest {
        return Err(Unusable::Digest { told: meta.digest, found });
    }
    *shared.prepared.lock() = Some(Prepared { meta, dir, store: Arc::new(store), state });
    Ok(())
}

fn forget(shared: &Shared) {
    let Some(prepared) = shared.prepared.lock().take() else { return };
    let path = shared.data_dir.join(&prepared.dir);
    drop(prepared);
    told(shared, "a state that is not needed cannot be removed", fs::remove_dir_all(path));
}

/// Replaces the served state with the prepared one, and restarts the log.
///
/// First the pointer to the new store becomes durable, then the log forgets its entries. A node
/// that ends between the two does the rest at its next startup. Returns what to tell the core once
/// it knows that the append is durable.
pub(super) fn install(
    shared: &Shared,
    log: &EngineLog,
    install: &Install,
    hard_state: Option<&HardState>,
) -> Result<Vec<Input>, String> {
    let text = |error: &dyn std::error::Error| chain(error);
    let Install { index, term, ref members } = *install;
    // Wait for the open checkpoint; the next one is of the new state. A checkpoint does not rest
    // while there is a prepared state, so take that only after the checkpoint has ended.
    let _no_checkpoint = shared.checkpointing.lock();
    let prepared = shared.prepared.lock().take().filter(|prepared| prepared.meta.index == index);
    let Prepared { meta, dir, store, state } =
        prepared.ok_or_else(|| format!("no state is ready for the snapshot at {index}"))?;
    let current = Current { dir, index, term };
    let before = Current::read(&shared.data_dir).map_err(|error| text(&error))?;
    current.write(&shared.data_dir).map_err(|error| text(&error))?;
    log.install(index, term, hard_state, members).map_err(|error| text(&error))?;
    log.mark(index, term).map_err(|error| text(&error))?;
    let (clock, next_deadline) = (state.clock(), state.next_deadline());
    let (newest_event, level) = (state.last_event(), state.level());
    let (old_state, old_store) = {
        // Replace both at once: the state knows places in its own store.
        let mut served = shared.state.write();
        let old_store = std::mem::replace(&mut *shared.store.write(), store);
        shared.publish_auth(&state);
        (std::mem::replace(&mut *served, state), old_store)
    };
    shared.level.fetch_max(level, Ordering::Relaxed);
    shared.counters.checkpoint_index.set(index);
    told(shared, "old snapshots cannot be removed", shared.snapshots.keep_only(&[index]));
    tracing::info!(node = shared.node().0, index, "a snapshot replaced state and log");
    shared.applied(index);
    shared.told(newest_event);
    let path = shared.data_dir.join(before.dir);
    let name = format!("hf{}-drop", shared.node());
    // Dropping a large state takes time. Nothing depends on it: the next startup removes what is
    // left of the directory.
    let _ = thread::Builder::new().name(name).spawn(move || {
        drop(old_state);
        let begun = Instant::now();
        while Arc::strong_count(&old_store) > 1 && begun.elapsed() < OLD_STORE_KEPT {
            thread::sleep(Duration::from_millis(20));
        }
        drop(old_store);
        let _ = fs::remove_dir_all(path);
    });
    Ok(vec![
        Input::Applied { index, clock, level, answered: Vec::new() },
        Input::NextDeadline(next_deadline),
        Input::SnapshotTaken(Box::new(meta), index),
    ])
}

/// The checkpointer's part: begins snapshots when they are due, and publishes finished ones.
pub(super) struct Taker {
    schedule: Schedule,
    /// Bytes of applied entries that the schedule has counted.
    counted: u64,
    taking: Option<Taking>,
    /// Askers whose snapshot must hold everything that the last checkpoint holds.
    askers: Vec<Asker>,
    retry_at: Option<Instant>,
}

struct Taking {
    thread: JoinHandle<Result<Meta, snapshot::Error>>,
    store: Arc<SledStore>,
    askers: Vec<Asker>,
    /// Whether anybody waits for this snapshot, or for the next.
    waited_for: Arc<AtomicBool>,
    grown_at_begin: u64,
    begun: Instant,
}

impl Taker {
    pub(super) fn new(schedule: Schedule) -> Taker {
        Taker { schedule, counted: 0, taking: None, askers: Vec::new(), retry_at: None }
    }

    /// Called before a checkpoint. Askers up to now get that checkpoint or a later one.
    pub(super) fn hear(&mut self, shared: &Shared) {
        self.askers.append(&mut shared.snapshot_askers.lock());
        if let Some(taking) = self.taking.as_ref().filter(|_| self.is_asked()) {
            taking.waited_for.store(true, Ordering::Relaxed);
        }
    }

    /// Returns whether somebody waits for a snapshot.
    pub(super) fn is_asked(&self) -> bool {
        !self.askers.is_empty()
    }

    /// Called right after a checkpoint, while none is open.
    pub(super) fn poll(&mut self, shared: &Arc<Shared>, log: &Arc<EngineLog>) {
        let applied = shared.counters.applied_bytes.get();
        self.schedule.grew(applied - self.counted);
        self.counted = applied;
        if self.taking.as_ref().is_some_and(|taking| taking.thread.is_finished()) {
            self.finish(shared);
        }
        let index = shared.counters.checkpoint_index.get();
        let asked = !self.askers.is_empty();
        let low = *shared.space.read() != Space::Ample;
        let resting = low || self.retry_at.is_some_and(|at| Instant::now() < at);
        if self.taking.is_none() && (asked || (!resting && self.schedule.is_due(index))) {
            self.begin(shared, log);
        }
    }

    fn begin(&mut self, shared: &Arc<Shared>, log: &Arc<EngineLog>) {
        let askers = std::mem::take(&mut self.askers);
        let index = shared.counters.checkpoint_index.get();
        // A snapshot of this index may exist.
        if let Ok(there) = shared.snapshots.found()
            && let Some(meta) = there.into_iter().find(|meta| meta.index == index)
        {
            return answer(askers, &Ok(meta));
        }
        let begun = Instant::now();
        let store = shared.store();
        let members_at = |index| log.members_at(index).expect("the founders are known");
        let draft = match shared.snapshots.begin(&*store, members_at) {
            Ok(Some(draft)) => draft,
            Ok(None) => return answer(askers, &Err("nothing was applied yet".into())),
            Err(error) => return self.failed(shared, &store, askers, &error),
        };
        shared.state.write().keep_old_events(true);
        let name = format!("hf{}-snapshot", shared.node());
        let waited_for = Arc::new(AtomicBool::new(!askers.is_empty()));
        let finish = {
            let (shared, store) = (Arc::clone(shared), Arc::clone(&store));
            let waited_for = Arc::clone(&waited_for);
            move || {
                let waits = || waited_for.load(Ordering::Relaxed);
                let paced = Paced::snapshot(&*store, &shared.store_work, waits);
                shared.snapshots.finish(draft, &paced)
            }
        };
        match thread::Builder::new().name(name).spawn(finish) {
            Ok(thread) => {
                let grown_at_begin = self.schedule.grown();
                self.taking =
                    Some(Taking { thread, store, askers, waited_for, grown_at_begin, begun });
            }
            Err(error) => shared.fail(format!("cannot start a thread: {error}")),
        }
    }

    fn finish(&mut self, shared: &Arc<Shared>) {
        let Some(taking) = self.taking.take() else { return };
        shared.state.write().keep_old_events(false);
        let Taking { thread, store, askers, grown_at_begin, begun, .. } = taking;
        let meta = match thread.join() {
            Ok(Ok(meta)) => meta,
            Ok(Err(error)) => return self.failed(shared, &store, askers, &error),
            Err(panic) => return shared.fail(format!("a snapshot panicked: {}", text(&panic))),
        };
        shared.counters.snapshots.add(1);
        shared.counters.snapshot_micros.add(micros_since(begun));
        self.schedule.taken(meta.index, meta.bytes, grown_at_begin);
        let told_index = meta.index;
        let indexes = shared.snapshots.indexes().unwrap_or_default();
        let older = indexes.iter().copied().rfind(|index| *index < told_index).unwrap_or(0);
        // A snapshot that replaced the log meanwhile is newer, and the only one.
        let newest = indexes.last().copied().unwrap_or(told_index);
        let kept = if newest > told_index { vec![newest] } else { vec![older, told_index] };
        told(shared, "old snapshots cannot be removed", shared.snapshots.keep_only(&kept));
        tracing::info!(
            node = shared.node().0,
            index = meta.index,
            bytes = meta.bytes,
            ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            "a snapshot was taken"
        );
        answer(askers, &Ok(meta.clone()));
        shared.send(Input::SnapshotTaken(Box::new(meta), older));
    }

    fn failed(
        &mut self,
        shared: &Shared,
        store: &Arc<SledStore>,
        askers: Vec<Asker>,
        error: &snapshot::Error,
    ) {
        let reason = chain(error);
        answer(askers, &Err(reason.clone()));
        self.retry_at = Some(Instant::now() + RETRY);
        let damaged = matches!(error, snapshot::Error::Checkpoint { source, .. }
            if source.is_damage());
        // A damaged row must not stay in use. At the next startup the node moves the checkpoint
        // aside and rebuilds it.
        if damaged && Arc::ptr_eq(store, &shared.store()) {
            return shared.fail(reason);
        }
        tracing::warn!(node = shared.node().0, error = reason, "a snapshot could not be taken");
    }

    /// Stops: joins the open snapshot and answers the askers.
    pub(super) fn stop(&mut self, shared: &Arc<Shared>) {
        shared.snapshots.cancel();
        if let Some(taking) = self.taking.take() {
            let _ = taking.thread.join();
            answer(taking.askers, &Err("the node stops".into()));
        }
        self.hear(shared);
        answer(std::mem::take(&mut self.askers), &Err("the node stops".into()));
    }
}

fn answer(askers: Vec<Asker>, with: &Result<Meta, String>) {
    for asker in askers {
        // An asker that is gone needs no answer.
        let _ = asker.send(with.clone());
    }
}

fn text(panic: &Box<dyn std::any::Any + Send>) -> &str {
    text_of(&**panic)
}
