//! The duties of a node, a thread or task for each.
//!
//! | duty | what it does |
//! | --- | --- |
//! | core | owns the [`Core`], steps it, hands out its actions |
//! | log | appends and syncs, many appends to one sync |
//! | apply | applies committed entries, answers |
//! | checkpoint | freezes changes, has them written to sled, marks the log, begins snapshots |
//! | the same, of a lower priority | writes it; see `driver::background` |
//! | files | sends and receives snapshots, cuts the log; see `driver::snapshots` |
//! | purge | removes the log's files that are not needed |
//! | payments | a tokio task: polls the worker, calls the gateway |
//!
//! A storage error anywhere stops the node: it acknowledges nothing that depended on it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam::channel::{self, Receiver, RecvTimeoutError, Sender};
use engine::event::{Event, HoldChange, Kind, OrderChange};
use raft::eraftpb::Entry;

use self::background::Background;
use self::pace::Paced;
use self::snapshots::Taker;
use crate::causes::text_of;
use crate::core::{Actions, Append, Apply, Core, FileTask, Input, RolledBack};
use crate::counters::micros_since;
use crate::directory::put_back;
use crate::handle::Handle;
use crate::log::LogStore;
use crate::log::engine::EngineLog;
use crate::message::HelloVerdict;
use crate::replica::{self, Effects};
use crate::shared::{Mail, Shared, answers};
use crate::snapshot::Schedule;
use crate::transport::Links;

pub(crate) mod ahead;
mod background;
pub(crate) mod disk;
pub(crate) mod memory_full;
mod pace;
pub(crate) mod payments;
pub(crate) mod snapshots;

/// About how many bytes an entry takes in the log beside its data.
const ENTRY_BYTES: u64 = 48;
/// Bytes of entries that the applier reads from the log at once.
const READ_BACK_BYTES: u64 = 8 << 20;
/// Inputs taken in one step of the core.
const INPUTS_PER_STEP_MAX: usize = 8_192;

/// How long a node whose disk hangs has to end in order before the process is aborted.
const ABORT_AFTER: Duration = Duration::from_secs(15);

/// How long a node that stops waits for a disk that ends no operation.
const STOP_STALLED_MAX: Duration = Duration::from_secs(20);
/// Interval between looks at it.
const STOP_LOOKS: Duration = Duration::from_millis(250);

/// Work that blocks every answer for longer than this is logged.
const SLOW: Duration = Duration::from_millis(250);

/// The threads of a node.
pub(crate) struct Threads {
    core: JoinHandle<()>,
    log: JoinHandle<()>,
    apply: JoinHandle<()>,
    checkpoint: JoinHandle<()>,
    files: JoinHandle<()>,
    purge: JoinHandle<()>,
    stop_checkpoint: Sender<()>,
}

/// Starts them.
pub(crate) fn start(
    shared: &Arc<Shared>,
    core: Core,
    mailbox: Receiver<Mail>,
    log: Arc<EngineLog>,
    links: Links,
    settings: Settings,
) -> std::io::Result<Threads> {
    let Settings { tick, disk_stall_exit_ms, checkpoint, schedule, part_bytes } = settings;
    // Both are bounded by the core: appends by what is in flight, entries by their bytes.
    let (appends, append_queue) = channel::unbounded();
    let (committed, apply_queue) = channel::unbounded();
    // At most one part of a snapshot is under way to or from each peer.
    let (files, file_queue) = channel::unbounded();
    let (purges, purge_queue) = channel::bounded(1);
    let (stop_checkpoint, stopped) = channel::bounded(1);
    let node = shared.node();
    let writer = Background::start(format!("hf{node}-checkpoint"))?;
    let spawn = |name: &str, shared: &Arc<Shared>, duty: Box<dyn FnOnce(&Shared) + Send>| {
        let shared = Arc::clone(shared);
        thread::Builder::new().name(format!("hf{node}-{name}")).spawn(move || {
            // In builds that unwind, a panic in a duty must stop the node, not leave half of it.
            let duty = std::panic::AssertUnwindSafe(|| duty(&shared));
            if let Err(panic) = std::panic::catch_unwind(duty) {
                let name = thread::current().name().unwrap_or("a thread").to_owned();
                shared.fail(format!("{name} panicked: {}", text_of(&*panic)));
            }
        })
    };
    let outputs = Outputs { appends, committed, files, links: links.clone() };
    let pace = Pace { tick, disk_stall_exit_ms };
    Ok(Threads {
        core: spawn(
            "core",
            shared,
            Box::new(move |shared| run_core(shared, core, &mailbox, &outputs, pace)),
        )?,
        log: spawn("log", shared, {
            let log = Arc::clone(&log);
            Box::new(move |shared| run_log(shared, &log, &append_queue))
        })?,
        apply: spawn("apply", shared, {
            let log = Arc::clone(&log);
            Box::new(move |shared| run_apply(shared, &log, &apply_queue))
        })?,
        files: spawn("files", shared, {
            let log = Arc::clone(&log);
            Box::new(move |shared| {
                snapshots::run_files(shared, &log, &links, part_bytes, &file_queue, &purges);
            })
        })?,
        purge: spawn("purge", shared, {
            let log = Arc::clone(&log);
            Box::new(move |shared| run_purge(shared, &log, &purge_queue))
        })?,
        checkpoint: spawn("checkpoint", shared, {
            let whole = Arc::clone(shared);
            let taker = Taker::new(schedule);
            let mut checkpointer =
                Checkpointer { shared: whole, writer, last_took: Duration::ZERO };
            Box::new(move |_| run_checkpoint(&mut checkpointer, &log, taker, &stopped, checkpoint))
        })?,
        stop_checkpoint,
    })
}

/// Intervals of the driver, and how it deals with snapshots.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) tick: Duration,
    /// See [`Config`](crate::Config::disk_stall_exit_ms).
    pub(crate) disk_stall_exit_ms: u64,
    pub(crate) checkpoint: Duration,
    pub(crate) schedule: Schedule,
    /// Bytes of a snapshot that travel in one message.
    pub(crate) part_bytes: usize,
}

impl Threads {
    /// Stops the core, lets log and applier finish what they have, writes a last checkpoint.
    pub(crate) fn stop(self, shared: &Arc<Shared>) {
        let (stopped, watch) = watch_stop(shared);
        shared.stop_core();
        // The queues end with the core, so each thread finishes and ends.
        for thread in [self.core, self.log, self.apply, self.files, self.purge] {
            let _ = thread.join();
        }
        drop(self.stop_checkpoint);
        let _ = self.checkpoint.join();
        shared.refuse_all();
        drop(stopped);
        // It shares the lock of the data directory, which the next node takes.
        let _ = watch.map(JoinHandle::join);
    }
}

/// Aborts the process when the disk ends no operation for [`STOP_STALLED_MAX`] while the node
/// stops, until the sender is dropped. A disk that hangs would keep the process for good.
fn watch_stop(shared: &Arc<Shared>) -> (Sender<()>, Option<JoinHandle<()>>) {
    let (stopped, ended) = channel::bounded(0);
    let shared = Arc::clone(shared);
    let watch = move || {
        let (log, store) = (&shared.log_work, &shared.store_work);
        // An operation that does not end, and nothing that ends at all.
        let look = || [log.oldest(), store.oldest(), Some(log.ended() + store.ended())];
        let (mut known, mut since) = (look(), [Instant::now(); 3]);
        while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(STOP_LOOKS) {
            let seen = look();
            for ((known, seen), since) in known.iter().zip(seen).zip(&mut since) {
                if seen.is_none() || seen != *known {
                    *since = Instant::now();
                }
            }
            known = seen;
            if since.iter().any(|since| since.elapsed() >= STOP_STALLED_MAX) {
                tracing::error!(
                    data = %shared.data_dir.display(),
                    "the disk does not answer while the node stops: the process is aborted; look \
                     at the disk, nothing that was acknowledged is lost"
                );
                // The log lines are written by another thread.
                thread::sleep(Duration::from_millis(200));
                std::process::abort();
            }
        }
    };
    let watch = thread::Builder::new().name("watch-stop".into()).spawn(watch);
    if let Err(error) = &watch {
        tracing::warn!(%error, "a disk that hangs while the node stops will not be noticed");
    }
    (stopped, watch.ok())
}

struct Outputs {
    appends: Sender<Append>,
    committed: Sender<Committed>,
    files: Sender<FileTask>,
    links: Links,
}

/// How often the core ticks, and when it gives its disk up.
#[derive(Clone, Copy)]
struct Pace {
    tick: Duration,
    disk_stall_exit_ms: u64,
}

/// Entries to apply, and when the core handed them on.
type Committed = (Instant, Apply);

fn run_core(
    shared: &Shared,
    mut core: Core,
    mailbox: &Receiver<Mail>,
    outputs: &Outputs,
    Pace { tick, disk_stall_exit_ms }: Pace,
) {
    let mut next_tick = Instant::now() + tick;
    let mut inputs = Vec::new();
    let mut shown = (0, 0, false);
    loop {
        // A deadline may come before the next tick.
        let due = core.due_in_ms().map(|ms| Instant::now() + Duration::from_millis(ms));
        match mailbox.recv_deadline(due.map_or(next_tick, |due| due.min(next_tick))) {
            Ok(Mail::Input(input)) => inputs.push(input),
            Ok(Mail::Stop) | Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {}
        }
        while inputs.len() < INPUTS_PER_STEP_MAX
            && let Ok(mail) = mailbox.try_recv()
        {
            match mail {
                Mail::Input(input) => inputs.push(input),
                Mail::Stop => return,
            }
        }
        for input in &inputs {
            if matches!(input, Input::Peer { .. }) {
                shared.peer_frame_taken();
            }
        }
        let moment = Instant::now();
        let ticked = moment >= next_tick;
        if ticked {
            inputs.push(Input::StoreWaits(shared.store_work.oldest()));
            inputs.push(Input::Tick);
            // After a pause the lost ticks are not made up for: the others have moved on.
            next_tick = (next_tick + tick).max(moment);
        }
        let actions = core.step(shared.now(), inputs.drain(..));
        if let Some(rolled_back) = actions.rolled_back {
            return stop_rolled_back(shared, rolled_back);
        }
        perform(shared, actions, outputs);
        warn_if_slow("a step of the core", moment);
        let role = core.role();
        if ticked || role != shown {
            shown = role;
            let view = core.view();
            if view.removed {
                shared.heard_verdict(shared.node(), HelloVerdict::Removed);
            }
            shared.memory_full.store(view.is_memory_full, Ordering::Relaxed);
            let stalled_ms = view.stalled_ms;
            *shared.view.write() = view;
            if disk_stall_exit_ms > 0 && stalled_ms >= disk_stall_exit_ms {
                return give_disk_up(shared, stalled_ms);
            }
        }
    }
}

/// Ends a node whose disk hangs. Its own threads cannot be waited for, and neither can the process
/// if it ends while the system waits for the disk: the sockets close first.
fn give_disk_up(shared: &Shared, stalled_ms: u64) {
    shared.hung.store(true, Ordering::Relaxed);
    shared.fail(format!(
        "the disk of {} has not answered for {} s; look at the disk, then start the node again \
         (--disk-stall-exit-s sets this time)",
        shared.data_dir.display(),
        stalled_ms / 1_000
    ));
    let watchdog = thread::Builder::new().name("abort".into()).spawn(|| {
        thread::sleep(ABORT_AFTER);
        tracing::error!("the process did not end in order while its disk hangs: it is aborted");
        std::process::abort();
    });
    if watchdog.is_err() {
        std::process::abort();
    }
}

/// Stops a node whose data is older than what it did, as a peer knows. The directory says so from
/// now on, so that it counts as damaged and the node is rebuilt from the others.
fn stop_rolled_back(shared: &Shared, rolled_back: RolledBack) {
    let reason = rolled_back.to_string();
    if let Err(error) = put_back::record(&shared.data_dir, &reason) {
        tracing::error!(%error, "what is wrong with the data cannot be recorded");
    }
    shared.rolled_back.store(true, Ordering::Relaxed);
    shared.fail(reason);
}

/// Hands actions to the duties they are for. A closed queue means that the node stops.
fn perform(shared: &Shared, actions: Actions, outputs: &Outputs) {
    if let Some(held) = actions.held {
        shared.snapshots.hold(held);
    }
    for (to, message) in actions.send {
        outputs.links.send(to, message, shared);
    }
    for append in actions.appends {
        let _ = outputs.appends.send(append);
    }
    for apply in actions.apply {
        let _ = outputs.committed.send((Instant::now(), apply));
    }
    for task in actions.files {
        let _ = outputs.files.send(task);
    }
    shared.answer_failed(actions.failed);
    for ready in actions.reads_ready {
        shared.reads_ready(&ready);
    }
    shared.reads_failed(&actions.reads_failed);
    shared.tell_verdicts(actions.verdicts);
    if let Some(members) = actions.members {
        shared.set_members(members);
    }
}

/// Warns of work that took long since then.
fn warn_if_slow(work: &'static str, begun: Instant) {
    let took = begun.elapsed();
    if took >= SLOW {
        tracing::warn!(work, ms = took.as_millis() as u64, "slow");
    }
}

fn run_log(shared: &Shared, log: &EngineLog, queue: &Receiver<Append>) {
    while let Ok(mut append) = queue.recv() {
        // Appends that follow each other become one write and one sync.
        let mut replaced = None;
        while replaced.is_none()
            && let Ok(next) = queue.try_recv()
        {
            replaced = merge(&mut append, next);
        }
        for append in std::iter::once(append).chain(replaced) {
            let started = Instant::now();
            let Append { install, entries, hard_state, members, .. } = &append;
            let mut installed = Vec::new();
            if let Some(install) = install {
                match snapshots::install(shared, log, install, hard_state.as_ref()) {
                    Ok(inputs) => installed = inputs,
                    Err(error) => return shared.fail(error),
                }
            }
            let operation = shared.log_work.begin();
            if let Err(error) = log.append_all(entries, hard_state.as_ref(), members) {
                return shared.fail(error.to_string());
            }
            drop(operation);
            warn_if_slow("write and sync of the log", started);
            shared.counters.syncs.add(1);
            shared.counters.sync_micros.add(micros_since(started));
            shared.counters.entries_appended.add(append.entries.len() as u64);
            shared.send(Input::Persisted(append.number));
            if let Some(keep) = &append.keep {
                let _operation = shared.log_work.begin();
                if let Err(error) = log.remember(&keep.memory) {
                    return shared.fail(error.to_string());
                }
                shared.send(Input::Kept(keep.number));
            }
            installed.into_iter().for_each(|input| shared.send(input));
        }
    }
}

/// Removes files of the log whenever it was cut.
fn run_purge(shared: &Shared, log: &EngineLog, queue: &Receiver<()>) {
    while queue.recv().is_ok() {
        if let Err(error) = log.purge() {
            return shared.fail(error.to_string());
        }
    }
}

/// Adds `next` to `append`, or gives it back when it replaces a part of it, or a snapshot all.
pub(crate) fn merge(append: &mut Append, next: Append) -> Option<Append> {
    if let (Some(last), Some(first)) = (append.entries.last(), next.entries.first())
        && first.index <= last.index
    {
        return Some(next);
    }
    if next.install.is_some() {
        return Some(next);
    }
    append.number = next.number;
    append.entries.extend(next.entries);
    append.hard_state = next.hard_state.or(append.hard_state.take());
    append.members.extend(next.members);
    append.keep = next.keep.or(append.keep.take());
    None
}

fn run_apply(shared: &Shared, log: &EngineLog, queue: &Receiver<Committed>) {
    while let Ok((handed, apply)) = queue.recv() {
        let applied = match apply {
            Apply::Entries(entries) => apply_entries(shared, handed, entries),
            Apply::UpTo(index) => apply_from_log(shared, log, handed, index),
        };
        if let Err(reason) = applied {
            return shared.fail(reason);
        }
    }
}

/// Applies what the log holds up to `last`, a part at a time.
fn apply_from_log(
    shared: &Shared,
    log: &EngineLog,
    handed: Instant,
    last: u64,
) -> Result<(), String> {
    loop {
        let next = shared.state.read().applied_index() + 1;
        if next > last {
            return Ok(());
        }
        match log.entries(next, last + 1, READ_BACK_BYTES) {
            Ok(entries) => apply_entries(shared, handed, entries)?,
            // A snapshot replaces the state before it replaces the log.
            Err(_) if shared.state.read().applied_index() >= next => {}
            Err(error) => return Err(error.to_string()),
        }
    }
}

fn apply_entries(shared: &Shared, handed: Instant, entries: Vec<Entry>) -> Result<(), String> {
    let (node, boot) = (shared.node(), shared.identity.boot());
    for entry in entries {
        let started = Instant::now();
        // The leader tells the story of an order in its log; one teller is enough.
        let tell = shared.view.read().is_leader && tracing::enabled!(tracing::Level::INFO);
        let mut effects = Effects::new(node, boot, tell);
        // The lock is held for one entry at a time, so that readers get their turn.
        let (index, clock, level, next_deadline, newest_event) = {
            let mut state = shared.state.write();
            warn_if_slow("wait for the state", started);
            if entry.index <= state.applied_index() {
                // A snapshot that was installed meanwhile holds it.
                continue;
            }
            if let Err(error) = replica::apply(&mut state, &entry, &mut effects) {
                return Err(format!("apply at index {}: {error}", entry.index));
            }
            shared.publish_auth(&state);
            let (next_deadline, newest_event) = (state.next_deadline(), state.last_event());
            (state.applied_index(), state.clock(), state.level(), next_deadline, newest_event)
        };
        shared.level.fetch_max(level, Ordering::Relaxed);
        warn_if_slow("applying an entry", started);
        shared.counters.entries_applied.add(1);
        shared.counters.applied_bytes.add(entry.data.len() as u64 + ENTRY_BYTES);
        shared.counters.commands_applied.add(effects.commands);
        shared.counters.commands_undecodable.add(effects.undecodable);
        if let Some((position, what)) = &effects.first_undecodable {
            let commands = effects.undecodable;
            tracing::error!(%position, commands, %what, "undecodable commands left out");
        }
        shared.counters.apply_micros.add(micros_since(started));
        shared.counters.apply_waits.record(handed.elapsed());
        let answered = shared.answers.settle(effects.answers);
        shared.applied(index);
        shared.told(newest_event);
        shared.send(Input::Applied { index, clock, level, answered });
        shared.send(Input::NextDeadline(next_deadline));
        effects.events.iter().for_each(tell_event);
    }
    Ok(())
}

/// One log line per step of an order or a hold, with the trace id of the request behind it.
fn tell_event(event: &Event) {
    if let Kind::Hold { hold, user, lines, expires_at, change } = &event.kind {
        let order = if let HoldChange::Consumed(order) = change { Some(order.0) } else { None };
        // The line of a hold of one line names it, as that of most holds can.
        let only = if let [line] = &**lines { Some(line) } else { None };
        tracing::info!(
            event = event.kind.as_str(),
            hold_id = hold.0,
            user_id = user.map(|user| user.0),
            order_id = order,
            product_id = only.map(|line| line.product.0),
            quantity = only.map(|line| line.quantity.0),
            lines = lines.len(),
            expires_at_ms = expires_at.0,
            trace_id = %event.trace,
            position = event.position.0,
            "hold"
        );
    }
    let Kind::Order { order, user, change, total, .. } = &event.kind else { return };
    let reason = match change {
        OrderChange::Failed { reason } => Some(&**reason),
        OrderChange::Cancelled { reason } => reason.as_deref(),
        _ => None,
    };
    tracing::info!(
        event = event.kind.as_str(),
        order_id = order.0,
        user_id = user.map(|user| user.0),
        total_amount = %total,
        reason,
        trace_id = %event.trace,
        position = event.position.0,
        "order"
    );
}

fn run_checkpoint(
    checkpointer: &mut Checkpointer,
    log: &Arc<EngineLog>,
    mut taker: Taker,
    stopped: &Receiver<()>,
    interval: Duration,
) {
    let shared = &Arc::clone(&checkpointer.shared);
    let mut marked_at = Instant::now();
    let mut unmarked = None;
    loop {
        let last = !matches!(stopped.recv_timeout(interval), Err(RecvTimeoutError::Timeout));
        if shared.failure.borrow().is_some() {
            return taker.stop(shared);
        }
        taker.hear(shared);
        match checkpointer.write(last || taker.is_asked()) {
            // What is applied is committed and synced here, so the log must hold it from now on.
            Ok(written) => unmarked = written.or(unmarked),
            Err(error) => {
                shared.fail(error.to_string());
                return taker.stop(shared);
            }
        }
        // Whether or not more was written since: the end of a burst counts as much as its middle.
        let due = last || marked_at.elapsed() >= Duration::from_secs(1);
        if due {
            if let Some((index, term)) = unmarked.take() {
                let _operation = shared.store_work.begin();
                if let Err(error) = log.mark(index, term) {
                    return shared.fail(error.to_string());
                }
            }
            shared.counters.log_bytes.set(log.bytes_on_disk().unwrap_or(0));
            marked_at = Instant::now();
        }
        if last {
            return taker.stop(shared);
        }
        taker.poll(shared, log);
    }
}

/// A checkpoint after one that took longer does not give way: under a load that leaves it too
/// little of the processor each would take longer than the one before.
const GIVING_WAY_MAX: Duration = Duration::from_secs(3);

/// Writes checkpoints, on a thread that gives way to the others unless, when one begins, it is late
/// or somebody waits.
struct Checkpointer {
    shared: Arc<Shared>,
    writer: Background,
    last_took: Duration,
}

impl Checkpointer {
    /// Writes what changed since the last checkpoint, gently unless somebody waits for it; gives
    /// its index and term, if there was something.
    fn write(&mut self, in_hurry: bool) -> Result<Option<(u64, u64)>, engine::store::Error> {
        let shared = &self.shared;
        let started = Instant::now();
        let _alone = shared.checkpointing.lock();
        let frozen = {
            let mut state = shared.hashed_state();
            let changed = state.applied_index() > shared.counters.checkpoint_index.get();
            changed.then(|| (state.freeze(), state.applied_term()))
        };
        let Some((frozen, term)) = frozen else { return Ok(None) };
        let index = frozen.applied_index();
        let store = shared.store();
        // Those who ask for a snapshot, a snapshot that is to take the place of the state, and the
        // end of the node all wait for the checkpoint that is under way.
        let waited_for = {
            let shared = Arc::clone(shared);
            move || {
                in_hurry
                    || shared.stopping.load(Ordering::Relaxed)
                    || !shared.snapshot_askers.lock().is_empty()
                    || shared.prepared.lock().is_some()
            }
        };
        let here = self.last_took > GIVING_WAY_MAX || waited_for();
        let watched = Arc::clone(shared);
        let write =
            move || frozen.write(&Paced::checkpoint(&*store, &watched.store_work, waited_for));
        let written = if here { write() } else { self.writer.run(write) }?;
        self.last_took = started.elapsed();
        shared.state.write().release(&written);
        // In turns, so that those who use the state come in between.
        while shared.state.write().evict() {}
        shared.counters.checkpoints.add(1);
        shared.counters.checkpoint_micros.add(micros_since(started));
        shared.counters.checkpoint_index.set(index);
        Ok(Some((index, term)))
    }
}

/// Gives up those who wait for an outcome that a core which is stuck does not give up.
pub(crate) async fn sweep_answers(shared: Arc<Shared>) {
    let mut looks = tokio::time::interval(answers::SWEPT_EVERY);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let now = looks.tick().await;
        shared.answers.sweep(now.into_std());
    }
}

/// Tells when the node has caught up: a read barrier that succeeded means that a leader is known
/// and everything committed before was applied.
pub(crate) async fn watch_readiness(handle: Handle, shared: Arc<Shared>) {
    loop {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(1);
        if handle.barrier(deadline).await.is_ok() {
            shared.caught_up.store(true, Ordering::Relaxed);
            return;
        }
        // A barrier that fails at once must not spin.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
