//! What the threads and tasks of one node share: the state, the waiters, and counters.

pub(crate) mod answers;
mod applied;
pub(crate) mod disk_work;
pub(crate) mod gateway;
pub(crate) mod prepared;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use crossbeam::channel;
use engine::event::EventId;
use engine::ids::NodeId;
use engine::state::State;
use engine::store::sled::SledStore;
use engine::tokens::Auth;
use parking_lot::{Mutex, RwLock, RwLockWriteGuard};
use rustc_hash::FxHashMap;
use tokio::sync::{oneshot, watch};

use self::answers::{Answer, Answers};
use self::applied::{AppliedWaiters, Barrier};
use self::disk_work::DiskWork;
use self::gateway::GatewayView;
use self::prepared::{Asker, Prepared};
use crate::config::{Peer, PeerSecurity};
use crate::core::{Input, NoOutcome, Now, ReadTicket, ReadsReady, Space, View};
use crate::counters::Counters;
use crate::directory::identity::{self, Identity};
use crate::error::{ProposeError, ReadError};
use crate::members::{Membership, Verdict};
use crate::message::HelloVerdict;
use crate::payment::PaymentGateway;
use crate::snapshot::Snapshots;

/// A message in the mailbox of the core's thread.
pub(crate) enum Mail {
    Input(Input),
    Stop,
}

/// Most frames from peers that wait for the core. More are dropped, which raft tolerates.
const PEER_FRAMES_MAX: usize = 4_096;
/// Rows to hash under one write lock: a few milliseconds.
const HASHED_AT_ONCE: usize = 8_192;
/// Most consecutive turns: enough for all rows that wait, and for those that come meanwhile.
const HASH_TURNS_MAX: usize = 128;

/// The message to the operator when two nodes have no protocol version in common.
const OTHER_VERSION: &str = "another member speaks no version of the protocol that this node knows: \
                             upgrade one release at a time";

/// How long a node of another cluster is shown after it was met.
const FOREIGN_FOR: Duration = Duration::from_secs(30);

type Judged = Result<Verdict, ProposeError>;

/// Shared by all parts of a node.
pub(crate) struct Shared {
    pub(crate) identity: Identity,
    pub(crate) cluster_name: String,
    /// The addresses that `status` shows. Empty texts mean unknown.
    pub(crate) advertised: Advertised,
    /// The peers on the command line.
    pub(crate) listed: Vec<Peer>,
    /// Peers that our link to is up.
    pub(crate) linked: Mutex<BTreeSet<NodeId>>,
    /// The last peer of another cluster that was met at an address of this one, and when.
    pub(crate) foreign: Mutex<Option<(Instant, String)>>,
    pub(crate) peer_security: PeerSecurity,
    pub(crate) state: RwLock<State>,
    /// The directory that holds everything durable.
    pub(crate) data_dir: PathBuf,
    /// Replaced together with the state when a snapshot replaces both.
    pub(crate) store: RwLock<Arc<SledStore>>,
    /// Writes to the checkpoint and its marks in the log.
    pub(crate) store_work: DiskWork,
    /// Appends to the log.
    pub(crate) log_work: DiskWork,
    /// Locked while a checkpoint is frozen, written and released.
    pub(crate) checkpointing: Mutex<()>,
    pub(crate) snapshots: Snapshots,
    /// How many events to keep, and for how many milliseconds.
    pub(crate) event_retention: (u64, u64),
    /// A prepared state that waits for raft to install it.
    pub(crate) prepared: Mutex<Option<Prepared>>,
    /// Waiters for a snapshot of the current state.
    pub(crate) snapshot_askers: Mutex<Vec<Asker>>,
    pub(crate) view: RwLock<View>,
    pub(crate) counters: Counters,
    pub(crate) failure: watch::Sender<Option<String>>,
    pub(crate) caught_up: AtomicBool,
    /// The last judgement of this node's disk space.
    pub(crate) space: RwLock<Space>,
    /// See [`View::is_memory_full`].
    pub(crate) memory_full: AtomicBool,
    /// The node stopped because its log has lost what it acknowledged.
    pub(crate) rolled_back: AtomicBool,
    /// The disk has hung for too long: threads that wait for it never end.
    pub(crate) hung: AtomicBool,
    pub(crate) worker_alive: AtomicBool,
    pub(crate) stopping: AtomicBool,
    pub(crate) calls_in_flight: AtomicUsize,
    /// What the payment worker knows of its gateway.
    pub(crate) gateway: GatewayView,
    /// Charges for orders.
    pub(crate) payer: Arc<dyn PaymentGateway>,
    /// The cluster's level as of the applied state.
    pub(crate) level: AtomicU32,
    /// The mode and the tokens as of the applied state.
    pub(crate) auth: watch::Sender<Auth>,
    /// The members as this node knows them.
    pub(crate) members: watch::Sender<Membership>,
    /// Why the cluster refuses this node, if a peer said so.
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
    /// The newest event that subscribers were told of.
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
    pub(crate) listed: Vec<Peer>,
    pub(crate) peer_security: PeerSecurity,
    pub(crate) state: State,
    pub(crate) members: Membership,
    pub(crate) store: Arc<SledStore>,
    pub(crate) data_dir: PathBuf,
    pub(crate) snapshots: Snapshots,
    pub(crate) event_retention: (u64, u64),
    pub(crate) outstanding_max: usize,
    pub(crate) reads_max: usize,
    pub(crate) payer: Arc<dyn PaymentGateway>,
}

impl Shared {
    pub(crate) fn new(parts: Parts) -> (Arc<Shared>, channel::Receiver<Mail>) {
        // Unbounded, because the core's own threads must never block on it. Outside input is
        // counted and refused before it gets here.
        let (mail, mailbox) = channel::unbounded();
        let applied = AppliedWaiters::new(parts.state.applied_index());
        let told = watch::Sender::new(parts.state.last_event());
        let shared = Shared {
            identity: parts.identity,
            cluster_name: parts.cluster_name,
            advertised: parts.advertised,
            listed: parts.listed,
            linked: Mutex::default(),
            foreign: Mutex::default(),
            level: AtomicU32::new(parts.state.level()),
            auth: watch::Sender::new(parts.state.auth().clone()),
            peer_security: parts.peer_security,
            state: RwLock::new(parts.state),
            data_dir: parts.data_dir,
            store: RwLock::new(parts.store),
            store_work: DiskWork::default(),
            log_work: DiskWork::default(),
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
            memory_full: AtomicBool::new(false),
            rolled_back: AtomicBool::new(false),
            hung: AtomicBool::new(false),
            worker_alive: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            calls_in_flight: AtomicUsize::new(0),
            gateway: GatewayView::default(),
            payer: parts.payer,
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

    /// The store of the served state.
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
        // The receiver is gone only after the node has stopped. Then nobody waits for an effect.
        let _ = self.mail.send(Mail::Input(input));
    }

    /// Locks the state for writing, with few rows left to hash. The other rows are hashed in turns
    /// before, so that other users of the state get in between.
    pub(crate) fn hashed_state(&self) -> RwLockWriteGuard<'_, State> {
        for _ in 0..HASH_TURNS_MAX {
            if self.state.write().hash_touched(HASHED_AT_ONCE) < HASHED_AT_ONCE {
                break;
            }
        }
        self.state.write()
    }

    /// Shows readers the mode and the tokens of this state, if they changed.
    pub(crate) fn publish_auth(&self, state: &State) {
        let auth = state.auth();
        self.auth.send_if_modified(|shown| {
            let moves = shown.generation() != auth.generation();
            if moves {
                shown.clone_from(auth);
            }
            moves
        });
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

    /// Stops the node after a fatal error. The first reason is kept.
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

    /// Registers a proposer, who gets an answer by `until` or a moment later.
    pub(crate) fn await_answer(
        &self,
        until: Instant,
        adds_rows: bool,
    ) -> Result<(u64, oneshot::Receiver<Answer>), ProposeError> {
        let seq = self.next_seq.fetch_add(1, Ordering::Relaxed);
        Ok((seq, self.answers.register(seq, until, adds_rows)?))
    }

    pub(crate) fn answer_failed(&self, failed: Vec<(u64, NoOutcome)>) {
        for (seq, failure) in failed {
            self.answers.fail(seq, failure.into());
        }
    }

    /// Asks for a change of members or leadership.
    pub(crate) fn await_verdict(
        &self,
        ask: crate::members::Ask,
        deadline: Instant,
    ) -> (u64, oneshot::Receiver<Judged>) {
        let (sender, receiver) = oneshot::channel();
        // A verdict may come late, even to the next process, so tickets are never reused.
        let boot = self.identity.boot() << 32;
        let ticket = boot | self.next_ticket.fetch_add(1, Ordering::Relaxed) & 0xffff_ffff;
        self.asks.lock().insert(ticket, sender);
        self.send(Input::Ask { ticket, ask, deadline_ms: self.mono_ms(deadline) });
        (ticket, receiver)
    }

    pub(crate) fn forget_ask(&self, ticket: u64) {
        self.asks.lock().remove(&ticket);
    }

    pub(crate) fn tell_verdicts(&self, verdicts: Vec<(u64, Result<Verdict, NoOutcome>)>) {
        for (ticket, verdict) in verdicts {
            if let Some(sender) = self.asks.lock().remove(&ticket) {
                let _ = sender.send(verdict.map_err(ProposeError::from));
            }
        }
    }

    /// Publishes a changed membership.
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

    /// Handles a peer's verdict on this node.
    pub(crate) fn heard_verdict(&self, peer: NodeId, verdict: HelloVerdict) {
        let reason = match verdict {
            HelloVerdict::Removed => {
                "this node was removed from the cluster: stop it; its data is no longer needed"
            }
            HelloVerdict::Incarnation => {
                "the other members know this id with another data directory: a wiped node must \
                 join as a new member"
            }
            HelloVerdict::Version => OTHER_VERSION,
            HelloVerdict::Welcome => {
                // A complaint about another version ends once that node is upgraded.
                let mut unwanted = self.unwanted.lock();
                if *unwanted == Some(OTHER_VERSION) {
                    *unwanted = None;
                }
                return;
            }
            HelloVerdict::Cluster => return self.met_foreign(peer, None),
            HelloVerdict::Addressee => return,
        };
        // The core asks several peers before it believes one.
        if verdict == HelloVerdict::Removed && peer != self.node() {
            return self.send(Input::RemovedBy(peer));
        }
        let mut unwanted = self.unwanted.lock();
        if *unwanted != Some(reason) {
            *unwanted = Some(reason);
            if verdict == HelloVerdict::Removed {
                self.send(Input::Removed);
            }
            tracing::error!(
                node = self.node().0,
                peer = peer.0,
                reason,
                "the cluster refuses this node"
            );
        }
    }

    /// Notes that a node at an address of this cluster belongs to another one.
    pub(crate) fn met_foreign(&self, peer: NodeId, cluster: Option<[u8; 16]>) {
        let id = cluster.map_or_else(String::new, |id| format!(" ({})", identity::text_of(&id)));
        let text = format!(
            "node {peer} belongs to another cluster{id} than this one ({}): two clusters were \
             founded; keep one, and start the nodes of the other with --join on empty directories",
            self.identity.cluster_id()
        );
        let mut foreign = self.foreign.lock();
        let is_new =
            foreign.as_ref().is_none_or(|(at, known)| *known != text || at.elapsed() > FOREIGN_FOR);
        if is_new {
            tracing::warn!(node = self.node().0, peer = peer.0, "{text}");
        }
        *foreign = Some((Instant::now(), text));
    }

    /// What is known of a node of another cluster, as long as it is still met.
    pub(crate) fn foreign(&self) -> Option<String> {
        let foreign = self.foreign.lock();
        foreign.as_ref().filter(|(at, _)| at.elapsed() <= FOREIGN_FOR).map(|(_, text)| text.clone())
    }

    /// Asks the core for a read barrier. `None` when too many readers wait.
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

    /// Lets these readers read once their index is applied.
    pub(crate) fn reads_ready(&self, ready: &ReadsReady) {
        let ReadsReady { index, leader_clock, tickets } = ready;
        let mut readers = self.readers.lock();
        let senders: Vec<_> = tickets.iter().filter_map(|ticket| readers.remove(ticket)).collect();
        drop(readers);
        self.counters.reads.add(senders.len() as u64);
        for sender in senders {
            self.applied.wake_at(*index, *leader_clock, sender);
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
        self.applied.wake_at(index, None, sender);
        receiver
    }

    /// Wakes the waiters up to `index`, which the state has reached.
    pub(crate) fn applied(&self, index: u64) {
        self.applied.reached(index);
    }

    /// Wakes the readers of events, if there is a new one.
    pub(crate) fn told(&self, newest: EventId) {
        self.told.send_if_modified(|told| std::mem::replace(told, newest) != newest);
    }

    /// Ends all waits. A waiter whose request may be in the log gets the unknown outcome.
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
