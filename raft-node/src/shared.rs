//! What the threads and tasks of one node share: the state, those who wait, and counters.

pub(crate) mod answers;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Instant, SystemTime};

use crossbeam::channel;
use engine::event::EventId;
use engine::ids::NodeId;
use engine::state::State;
use engine::store::sled::SledStore;
use parking_lot::{Mutex, RwLock, RwLockWriteGuard};
use rustc_hash::FxHashMap;
use tokio::sync::{oneshot, watch};

use crate::core::{Failure, Input, Now, ReadTicket, Space, View};
use crate::driver::snapshots::{Asker, Prepared};
use crate::handle::{ProposeError, ReadError};
use crate::identity::Identity;
use crate::members::{Membership, Verdict};
use crate::message::HelloVerdict;
use crate::snapshot::Snapshots;
use crate::spread::{Counts, Spread};

use self::answers::{Answer, Answers};

/// What the core's thread finds in its mailbox.
pub(crate) enum Mail {
    Input(Input),
    Stop,
}

/// Frames from peers that may wait for the core; more are dropped, which raft tolerates.
const PEER_FRAMES_MAX: usize = 4_096;
/// Rows that are hashed while nobody else can use the state: some milliseconds.
const HASHED_AT_ONCE: usize = 8_192;
/// How often that is done in a row: enough for all that may wait, and for what comes meanwhile.
const HASH_TURNS_MAX: usize = 128;

/// What an operator hears when two nodes have no version of the protocol in common.
const OTHER_VERSION: &str = "another member speaks no version of the protocol that this node knows: \
                             upgrade one release at a time";

type Barrier = Result<(), ReadError>;
type Judged = Result<Verdict, ProposeError>;

/// Shared by all parts of a node.
pub(crate) struct Shared {
    pub(crate) identity: Identity,
    pub(crate) cluster_name: String,
    /// Where this node says it is, for `status`; empty texts say nothing.
    pub(crate) advertised: Advertised,
    pub(crate) state: RwLock<State>,
    /// The directory that holds everything durable.
    pub(crate) data_dir: PathBuf,
    /// Replaced together with the state when a snapshot takes their place.
    pub(crate) store: RwLock<Arc<SledStore>>,
    /// Held while a checkpoint is frozen, written and released.
    pub(crate) checkpointing: Mutex<()>,
    pub(crate) snapshots: Snapshots,
    /// How many events are kept, and for how many milliseconds.
    pub(crate) event_retention: (u64, u64),
    /// A state that waits for raft to take it.
    pub(crate) prepared: Mutex<Option<Prepared>>,
    /// Those who want a snapshot of now.
    pub(crate) snapshot_askers: Mutex<Vec<Asker>>,
    pub(crate) view: RwLock<View>,
    pub(crate) counters: Counters,
    pub(crate) failure: watch::Sender<Option<String>>,
    pub(crate) caught_up: AtomicBool,
    /// The room on this node's disk, as it was last judged.
    pub(crate) space: RwLock<Space>,
    pub(crate) worker_alive: AtomicBool,
    pub(crate) stopping: AtomicBool,
    pub(crate) calls_in_flight: AtomicUsize,
    /// The members as far as this node knows.
    pub(crate) members: watch::Sender<Membership>,
    /// Why the cluster does not want this node, if a peer said so.
    pub(crate) unwanted: Mutex<Option<&'static str>>,
    reads_max: usize,
    mail: channel::Sender<Mail>,
    peer_frames: AtomicUsize,
    started: Instant,
    next_seq: AtomicU64,
    next_ticket: AtomicU64,
    pub(crate) answers: Answers,
    readers: Mutex<FxHashMap<ReadTicket, oneshot::Sender<Barrier>>>,
    asks: Mutex<FxHashMap<u64, oneshot::Sender<Judged>>>,
    applied: AppliedWaiters,
    /// The newest event that was told.
    pub(crate) told: watch::Sender<EventId>,
}

/// The addresses of this node as others reach it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Advertised {
    pub(crate) raft: String,
    pub(crate) http: String,
}

/// Everything [`Shared::new`] needs.
pub(crate) struct Parts {
    pub(crate) identity: Identity,
    pub(crate) cluster_name: String,
    pub(crate) advertised: Advertised,
    pub(crate) state: State,
    pub(crate) members: Membership,
    pub(crate) store: Arc<SledStore>,
    pub(crate) data_dir: PathBuf,
    pub(crate) snapshots: Snapshots,
    pub(crate) event_retention: (u64, u64),
    pub(crate) outstanding_max: usize,
    pub(crate) reads_max: usize,
}

impl Shared {
    pub(crate) fn new(parts: Parts) -> (Arc<Shared>, channel::Receiver<Mail>) {
        // Unbounded, because the core's own threads must never block on it; what comes from outside
        // is counted and refused before it gets here.
        let (mail, mailbox) = channel::unbounded();
        let applied = AppliedWaiters::new(parts.state.applied_index());
        let told = watch::Sender::new(parts.state.last_event());
        let shared = Shared {
            identity: parts.identity,
            cluster_name: parts.cluster_name,
            advertised: parts.advertised,
            state: RwLock::new(parts.state),
            data_dir: parts.data_dir,
            store: RwLock::new(parts.store),
            checkpointing: Mutex::new(()),
            snapshots: parts.snapshots,
            event_retention: parts.event_retention,
            prepared: Mutex::default(),
            snapshot_askers: Mutex::default(),
            view: RwLock::new(View::default()),
            counters: Counters::default(),
            failure: watch::Sender::new(None),
            caught_up: AtomicBool::new(false),
            space: RwLock::new(Space::Ample),
            worker_alive: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            calls_in_flight: AtomicUsize::new(0),
            members: watch::Sender::new(parts.members),
            unwanted: Mutex::new(None),
            reads_max: parts.reads_max,
            mail,
            peer_frames: AtomicUsize::new(0),
            started: Instant::now(),
            next_seq: AtomicU64::new(1),
            next_ticket: AtomicU64::new(1),
            answers: Answers::new(parts.outstanding_max),
            readers: Mutex::new(FxHashMap::default()),
            asks: Mutex::new(FxHashMap::default()),
            applied,
            told,
        };
        (Arc::new(shared), mailbox)
    }

    pub(crate) fn node(&self) -> NodeId {
        self.identity.node()
    }

    /// The store of the state that is served.
    pub(crate) fn store(&self) -> Arc<SledStore> {
        Arc::clone(&self.store.read())
    }

    pub(crate) fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Now {
            mono_ms: self.mono_ms(Instant::now()),
            wall_ms: u64::try_from(wall.as_millis()).unwrap_or(u64::MAX),
        }
    }

    pub(crate) fn mono_ms(&self, moment: Instant) -> u64 {
        let since = moment.saturating_duration_since(self.started);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    /// Puts an input into the core's mailbox.
    pub(crate) fn send(&self, input: Input) {
        // The receiver is gone only when the node has stopped; then nobody waits for an effect.
        let _ = self.mail.send(Mail::Input(input));
    }

    /// The state, to be changed, with few rows left to be hashed. The others were hashed in turns
    /// before, so that those who use the state come in between.
    pub(crate) fn hashed_state(&self) -> RwLockWriteGuard<'_, State> {
        for _ in 0..HASH_TURNS_MAX {
            if self.state.write().hash_touched(HASHED_AT_ONCE) < HASHED_AT_ONCE {
                break;
            }
        }
        self.state.write()
    }

    pub(crate) fn stop_core(&self) {
        let _ = self.mail.send(Mail::Stop);
    }

    /// Puts a peer's frame into the mailbox, unless too many wait there.
    pub(crate) fn send_from_peer(&self, input: Input) {
        if self.peer_frames.fetch_add(1, Ordering::Relaxed) >= PEER_FRAMES_MAX {
            self.peer_frames.fetch_sub(1, Ordering::Relaxed);
            self.counters.peer_frames_dropped.add(1);
            return;
        }
        self.send(input);
    }

    pub(crate) fn peer_frame_taken(&self) {
        self.peer_frames.fetch_sub(1, Ordering::Relaxed);
    }

    /// The node cannot go on. The first reason is kept.
    pub(crate) fn fail(&self, reason: String) {
        tracing::error!(node = self.node().0, reason, "the node stops");
        self.failure.send_if_modified(|failure| {
            let first = failure.is_none();
            if first {
                *failure = Some(reason);
            }
            first
        });
        self.stop_core();
        self.refuse_all();
    }

    /// Registers a proposer, who hears by `until` at the latest, or a moment later.
    pub(crate) fn await_answer(
        &self,
        until: Instant,
    ) -> Result<(u64, oneshot::Receiver<Answer>), ProposeError> {
        let seq = self.next_seq.fetch_add(1, Ordering::Relaxed);
        Ok((seq, self.answers.register(seq, until)?))
    }

    pub(crate) fn answer_failed(&self, failed: Vec<(u64, Failure)>) {
        for (seq, failure) in failed {
            self.answers.fail(seq, failure.into());
        }
    }

    /// Asks for something about members or leadership.
    pub(crate) fn await_verdict(
        &self,
        ask: crate::members::Ask,
        deadline: Instant,
    ) -> (u64, oneshot::Receiver<Judged>) {
        let (sender, receiver) = oneshot::channel();
        // A verdict may come late, even to the process after this one: tickets are never the same.
        let boot = self.identity.boot() << 32;
        let ticket = boot | self.next_ticket.fetch_add(1, Ordering::Relaxed) & 0xffff_ffff;
        self.asks.lock().insert(ticket, sender);
        self.send(Input::Ask { ticket, ask, deadline_ms: self.mono_ms(deadline) });
        (ticket, receiver)
    }

    pub(crate) fn forget_ask(&self, ticket: u64) {
        self.asks.lock().remove(&ticket);
    }

    pub(crate) fn tell_verdicts(&self, verdicts: Vec<(u64, Result<Verdict, Failure>)>) {
        for (ticket, verdict) in verdicts {
            if let Some(sender) = self.asks.lock().remove(&ticket) {
                let _ = sender.send(verdict.map_err(ProposeError::from));
            }
        }
    }

    /// The membership changed.
    pub(crate) fn set_members(&self, members: Membership) {
        let node = self.node();
        let ids = |ids: &[NodeId]| ids.iter().map(|id| id.0).collect::<Vec<_>>();
        tracing::info!(
            node = node.0,
            index = members.index,
            voters = ?ids(&members.voters),
            voters_outgoing = ?ids(&members.voters_outgoing),
            learners = ?ids(&members.learners),
            "the membership changed"
        );
        if members.was_removed(node) {
            self.heard_verdict(node, HelloVerdict::Removed);
        }
        self.members.send_replace(members);
    }

    /// What a peer makes of this node.
    pub(crate) fn heard_verdict(&self, peer: NodeId, verdict: HelloVerdict) {
        let reason = match verdict {
            HelloVerdict::Removed => {
                "this node was removed from the cluster: stop it; its data is of no use any more"
            }
            HelloVerdict::Incarnation => {
                "the other members know this id with another data directory: a wiped node must \
                 join as a new member"
            }
            HelloVerdict::Version => OTHER_VERSION,
            HelloVerdict::Welcome => {
                // What was said of another version is over once that node was upgraded.
                let mut unwanted = self.unwanted.lock();
                if *unwanted == Some(OTHER_VERSION) {
                    *unwanted = None;
                }
                return;
            }
            HelloVerdict::Cluster | HelloVerdict::Addressee => return,
        };
        let mut unwanted = self.unwanted.lock();
        if *unwanted != Some(reason) {
            *unwanted = Some(reason);
            if verdict == HelloVerdict::Removed {
                self.send(Input::Removed);
            }
            tracing::error!(node = self.node().0, peer = peer.0, reason, "not wanted any more");
        }
    }

    /// Asks the core for a read barrier. `None` when too many wait already.
    pub(crate) fn await_barrier(
        &self,
        deadline: Instant,
    ) -> Option<(ReadTicket, oneshot::Receiver<Barrier>)> {
        let (sender, receiver) = oneshot::channel();
        let ticket = self.next_ticket.fetch_add(1, Ordering::Relaxed);
        {
            let mut readers = self.readers.lock();
            if readers.len() >= self.reads_max {
                return None;
            }
            readers.insert(ticket, sender);
        }
        self.send(Input::Read { ticket, deadline_ms: self.mono_ms(deadline) });
        Some((ticket, receiver))
    }

    pub(crate) fn forget_reader(&self, ticket: ReadTicket) {
        self.readers.lock().remove(&ticket);
    }

    /// These readers may read once `index` is applied.
    pub(crate) fn reads_ready(&self, index: u64, tickets: &[ReadTicket]) {
        let mut readers = self.readers.lock();
        let senders: Vec<_> = tickets.iter().filter_map(|ticket| readers.remove(ticket)).collect();
        drop(readers);
        self.counters.reads.add(senders.len() as u64);
        for sender in senders {
            self.applied.wake_at(index, sender);
        }
    }

    pub(crate) fn reads_failed(&self, tickets: &[ReadTicket]) {
        for ticket in tickets {
            if let Some(sender) = self.readers.lock().remove(ticket) {
                let _ = sender.send(Err(ReadError::NotInTime));
            }
        }
    }

    /// Wakes when `index` is applied.
    pub(crate) fn await_applied(&self, index: u64) -> oneshot::Receiver<Barrier> {
        let (sender, receiver) = oneshot::channel();
        self.applied.wake_at(index, sender);
        receiver
    }

    /// The state has reached `index`.
    pub(crate) fn applied(&self, index: u64) {
        self.applied.reached(index);
    }

    /// Wakes those who read events, if there is a new one.
    pub(crate) fn told(&self, newest: EventId) {
        self.told.send_if_modified(|told| std::mem::replace(told, newest) != newest);
    }

    /// Nobody will be answered any more. Those whose request may be in the log are told just that.
    pub(crate) fn refuse_all(&self) {
        self.answers.end();
        for (_, sender) in self.readers.lock().drain() {
            let _ = sender.send(Err(ReadError::Stopping));
        }
        for (_, sender) in self.asks.lock().drain() {
            let _ = sender.send(Err(ProposeError::TimedOut));
        }
        self.applied.refuse_all();
    }
}

/// Those who wait for the state to reach an index.
struct AppliedWaiters {
    reached: AtomicU64,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    by_index: BTreeMap<u64, Vec<oneshot::Sender<Barrier>>>,
    /// Senders put in since those whose reader gave up were last thrown out.
    added: usize,
}

/// So many new waiters may come before the ones that gave up are thrown out. An index far ahead may
/// never be reached, so without this they would stay for ever.
const ADDED_MAX: usize = 16_384;

impl AppliedWaiters {
    fn new(reached: u64) -> AppliedWaiters {
        let waiting = Mutex::new(Waiting::default());
        AppliedWaiters { reached: AtomicU64::new(reached), waiting }
    }

    fn wake_at(&self, index: u64, sender: oneshot::Sender<Barrier>) {
        let mut waiting = self.waiting.lock();
        // Looked at under the lock that `reached` takes too, so no wake-up is missed.
        if self.reached.load(Ordering::Acquire) >= index {
            drop(waiting);
            let _ = sender.send(Ok(()));
            return;
        }
        waiting.by_index.entry(index).or_default().push(sender);
        waiting.added += 1;
        if waiting.added >= ADDED_MAX {
            waiting.added = 0;
            waiting.by_index.retain(|_, senders| {
                senders.retain(|sender| !sender.is_closed());
                !senders.is_empty()
            });
        }
    }

    fn reached(&self, index: u64) {
        let mut waiting = self.waiting.lock();
        self.reached.store(index, Ordering::Release);
        let later = waiting.by_index.split_off(&(index + 1));
        let due = std::mem::replace(&mut waiting.by_index, later);
        drop(waiting);
        for sender in due.into_values().flatten() {
            let _ = sender.send(Ok(()));
        }
    }

    fn refuse_all(&self) {
        let waiting = std::mem::take(&mut self.waiting.lock().by_index);
        for sender in waiting.into_values().flatten() {
            let _ = sender.send(Err(ReadError::Stopping));
        }
    }
}

/// A counter that any thread may raise.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub(crate) fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counters of a node since it started.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) proposals: Counter,
    pub(crate) proposals_refused: Counter,
    pub(crate) reads: Counter,
    pub(crate) refused_without_entry: Counter,
    pub(crate) holds_refused_without_entry: Counter,
    pub(crate) syncs: Counter,
    pub(crate) sync_micros: Counter,
    pub(crate) entries_appended: Counter,
    pub(crate) entries_applied: Counter,
    pub(crate) commands_applied: Counter,
    pub(crate) apply_micros: Counter,
    pub(crate) apply_waits: Counts,
    pub(crate) checkpoints: Counter,
    pub(crate) checkpoint_micros: Counter,
    pub(crate) checkpoint_index: Counter,
    pub(crate) applied_bytes: Counter,
    pub(crate) snapshots: Counter,
    pub(crate) snapshot_micros: Counter,
    pub(crate) log_bytes: Counter,
    pub(crate) peer_messages_dropped: Counter,
    pub(crate) peer_frames_dropped: Counter,
    pub(crate) payment_calls: Counter,
    pub(crate) disk_free_bytes: Counter,
}

/// Plain numbers for a metrics page. Totals count since the node started.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// Current term.
    pub term: u64,
    /// 1 on the leader, else 0.
    pub is_leader: u64,
    /// Elections seen.
    pub elections_total: u64,
    /// Commit index as known here.
    pub commit_index: u64,
    /// Applied index.
    pub applied_index: u64,
    /// Last index of the log.
    pub last_index: u64,
    /// Requests of this node whose outcome is open.
    pub proposals_pending: u64,
    /// Commands that wait for their entry, on the leader.
    pub batch_pending: u64,
    /// Reads that wait for their barrier.
    pub reads_pending: u64,
    /// Commands that clients of this node asked for.
    pub proposals_total: u64,
    /// Of those, refused before they were sent.
    pub proposals_refused_total: u64,
    /// Commands forwarded to a leader.
    pub forwarded_total: u64,
    /// Entries proposed by this node as leader.
    pub entries_proposed_total: u64,
    /// Entries appended to the log.
    pub entries_appended_total: u64,
    /// Entries applied.
    pub entries_applied_total: u64,
    /// Commands applied.
    pub commands_applied_total: u64,
    /// Seconds spent applying.
    pub apply_seconds_total: f64,
    /// From when an entry was known to be committed until it was applied.
    pub apply_waits: Spread,
    /// Log syncs.
    pub syncs_total: u64,
    /// Seconds spent in log writes and syncs.
    pub sync_seconds_total: f64,
    /// Reads that got their barrier.
    pub reads_total: u64,
    /// Orders refused for lack of stock without an entry in the log.
    pub refused_without_entry_total: u64,
    /// Holds refused for lack of stock without an entry in the log.
    pub holds_refused_without_entry_total: u64,
    /// Checkpoints written.
    pub checkpoints_total: u64,
    /// Seconds spent writing them.
    pub checkpoint_seconds_total: f64,
    /// Applied index of the last durable checkpoint.
    pub checkpoint_index: u64,
    /// Snapshots taken.
    pub snapshots_total: u64,
    /// Seconds spent taking them.
    pub snapshot_seconds_total: f64,
    /// Applied index of the newest snapshot.
    pub snapshot_index: u64,
    /// Bytes of the newest snapshot.
    pub snapshot_bytes: u64,
    /// Snapshots of other nodes that took the place of state and log.
    pub snapshots_installed_total: u64,
    /// Peers that a snapshot is being sent to.
    pub snapshots_sending: u64,
    /// How often the data of this directory was damaged and rebuilt as another member's.
    pub rebuilds: u64,
    /// Up to here entries were cut off at the beginning of the log.
    pub compacted_index: u64,
    /// Bytes of the log's files.
    pub log_bytes: u64,
    /// Messages to peers dropped because their queue was full.
    pub peer_messages_dropped_total: u64,
    /// Frames from peers dropped because the core was behind.
    pub peer_frames_dropped_total: u64,
    /// Calls to the payment gateway under way.
    pub payment_calls_in_flight: u64,
    /// Calls to the payment gateway made.
    pub payment_calls_total: u64,
    /// Orders that are PENDING or PROCESSING.
    pub open_orders: u64,
    /// Bytes that may still be written on the disk of the data directory.
    pub disk_free_bytes: u64,
    /// 1 while this node refuses writes for lack of room on the disks, else 0.
    pub writes_refused: u64,
}

impl Shared {
    pub(crate) fn metrics(&self) -> Metrics {
        let view = self.view.read().clone();
        let (applied_index, open_orders) = {
            let state = self.state.read();
            (state.applied_index(), state.open_orders())
        };
        let counters = &self.counters;
        let seconds = |micros: &Counter| micros.get() as f64 / 1e6;
        Metrics {
            term: view.term,
            is_leader: u64::from(view.is_leader),
            elections_total: view.elections,
            commit_index: view.commit_index.max(applied_index),
            applied_index,
            last_index: view.last_index,
            proposals_pending: view.outstanding as u64,
            batch_pending: view.pending as u64,
            reads_pending: view.reads_waiting as u64,
            proposals_total: counters.proposals.get(),
            proposals_refused_total: counters.proposals_refused.get(),
            forwarded_total: view.forwarded,
            entries_proposed_total: view.entries_proposed,
            entries_appended_total: counters.entries_appended.get(),
            entries_applied_total: counters.entries_applied.get(),
            commands_applied_total: counters.commands_applied.get(),
            apply_seconds_total: seconds(&counters.apply_micros),
            apply_waits: counters.apply_waits.spread(),
            syncs_total: counters.syncs.get(),
            sync_seconds_total: seconds(&counters.sync_micros),
            reads_total: counters.reads.get(),
            refused_without_entry_total: counters.refused_without_entry.get(),
            holds_refused_without_entry_total: counters.holds_refused_without_entry.get(),
            checkpoints_total: counters.checkpoints.get(),
            checkpoint_seconds_total: seconds(&counters.checkpoint_micros),
            checkpoint_index: counters.checkpoint_index.get(),
            snapshots_total: counters.snapshots.get(),
            snapshot_seconds_total: seconds(&counters.snapshot_micros),
            snapshot_index: view.snapshot_index,
            snapshot_bytes: view.snapshot_bytes,
            snapshots_installed_total: view.snapshots_installed,
            snapshots_sending: view.snapshots_sending as u64,
            rebuilds: self.identity.rebuilt().len() as u64,
            compacted_index: view.compacted_index,
            log_bytes: counters.log_bytes.get(),
            peer_messages_dropped_total: counters.peer_messages_dropped.get(),
            peer_frames_dropped_total: counters.peer_frames_dropped.get(),
            payment_calls_in_flight: self.calls_in_flight.load(Ordering::Relaxed) as u64,
            payment_calls_total: counters.payment_calls.get(),
            open_orders,
            disk_free_bytes: counters.disk_free_bytes.get(),
            writes_refused: u64::from(view.refuses_writes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiter_wakes_exactly_when_its_index_is_reached() {
        let waiters = AppliedWaiters::new(5);
        let wait = |index| {
            let (sender, receiver) = oneshot::channel();
            waiters.wake_at(index, sender);
            receiver
        };
        let (mut now, mut seven, mut eight) = (wait(5), wait(7), wait(8));
        assert_eq!(now.try_recv().expect("already there"), Ok(()));
        waiters.reached(6);
        assert!(seven.try_recv().is_err());
        waiters.reached(7);
        assert_eq!(seven.try_recv().expect("reached"), Ok(()));
        assert!(eight.try_recv().is_err());
        waiters.refuse_all();
        assert_eq!(eight.try_recv().expect("refused"), Err(ReadError::Stopping));
    }

    #[test]
    fn waiters_that_gave_up_do_not_pile_up() {
        let waiters = AppliedWaiters::new(0);
        for index in 1..=3 * ADDED_MAX as u64 {
            let (sender, receiver) = oneshot::channel();
            waiters.wake_at(index, sender);
            drop(receiver);
        }
        assert!(waiters.waiting.lock().by_index.len() < ADDED_MAX);
    }
}
