//! A simulated node: production's core, state and worker, and the driver's duties as events.
//!
//! A [`Host`] is the machine: its disk and clocks survive a crash. A [`Process`] runs on it and is
//! lost with a crash. Each duty of the driver is a chain of events with random latencies, so
//! everything that can happen between two steps of a real node can happen here.

mod apply;
mod checkpoint;
mod copied;
mod events;
mod files;
pub(crate) mod life;
mod log;
pub(crate) mod payments;
pub(crate) mod put_back;
mod requests;
mod snapshots;
mod waiting;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use engine::checkpoint::Frozen;
use engine::ids::{NodeId, RequestId};
use engine::state::State;
use engine::store::memory::MemoryStore;
use raft::eraftpb::{Entry, Message, MessageType};
use raft_node::addresses::Addresses;
use raft_node::config::Peer;
use raft_node::core::{Actions, Append, Apply, Core, Input, Space, View};
use raft_node::log::LogStore;
use raft_node::log::memory::MemoryLog;
use raft_node::members::Membership;
use raft_node::message::{self, FRAME_HEADER_BYTES, PeerMessage, SnapshotNews};
use raft_node::payment::worker::Worker;
use raft_node::simulation::Bug;
use raft_node::snapshot::Schedule;
use raft_node::snapshot::files::MemoryFiles;

use self::copied::Copied;
use self::files::FileDuty;
use self::waiting::{Reader, Waiter};
use crate::clock::NodeClock;
use crate::event::{Duty, Event};
use crate::sim::Sim;
use crate::time::{MS, SECOND, Time};

/// Most inputs in one step of the core, as in production's driver.
const INPUTS_PER_STEP_MAX: usize = 8_192;
/// Most frames from peers that wait for a step. More are dropped.
const FRAMES_WAITING_MAX: usize = 4_096;

/// Longest time that a node may lead while its disk hangs: four seconds by a clock that is a tenth
/// slow, with a margin.
const STALLED_LEADER_MAX: Time = 8 * SECOND;

/// Time after which a node whose disk hangs ends, in milliseconds of its clock.
const STALL_EXIT_MS: u64 = 30_000;

/// Longest operation of a slow disk.
pub(super) const DISK_US_MAX: Time = 5 * SECOND;

/// The faults of a disk.
#[derive(Debug, Default)]
pub(super) struct DiskFaults {
    pub(super) full: bool,
    /// The last judgement of its free space.
    pub(super) space: Space,
    /// The next sync fails.
    pub(super) fail_sync: bool,
    /// Added slowness: 0 is normal, 1 twice as slow.
    pub(super) slower: u64,
    /// It hangs: what was asked of it ends when it is mended.
    pub(super) hangs: bool,
    /// What was asked of it meanwhile, in order.
    hanging: Vec<Duty>,
    /// Since when the log waits for it, while it does.
    pub(super) log_hangs_since: Option<Time>,
    /// The node led when its disk began to hang.
    pub(super) led_when_hung: bool,
    /// The next snapshot that is sent is damaged.
    pub(super) damages_sent_snapshot: bool,
    /// A checkpoint row was damaged.
    pub(super) checkpoint_damaged: bool,
}

/// A machine.
pub(super) struct Host {
    pub(super) id: NodeId,
    pub(super) voters: Vec<NodeId>,
    pub(super) log: Arc<MemoryLog>,
    pub(super) store: Arc<MemoryStore>,
    pub(super) files: Arc<MemoryFiles>,
    /// Index and term of the snapshot that the store was installed from, if any.
    installed: (u64, u64),
    pub(super) disk: DiskFaults,
    pub(super) clock: NodeClock,
    /// The highest level that its build speaks. Builds only get newer.
    pub(super) speaks: u32,
    boot: u64,
    /// Numbers the processes, so that events of one do not reach the next.
    pub(super) life: u64,
    /// A bit of its log is flipped, whether the node has noticed or not.
    pub(super) log_damaged: bool,
    /// Lost for good: it must not come back under its id.
    pub(super) damaged: bool,
    /// The peers on its command line: none before it moves.
    listed: Vec<Peer>,
    /// Where its process finds its peers.
    addresses: Addresses,
    /// An earlier copy of its directory.
    copy: Option<Copied>,
    /// Its directory was put back from a copy, whether the node has noticed or not.
    put_back: bool,
    /// Its disk was lost, so it has another directory under an old id.
    pub(super) wiped: bool,
    /// It is or will be a member. The others are spare machines.
    pub(super) joined: bool,
    /// A restart is planned.
    pub(super) restarting: bool,
    pub(super) paused_until: Option<Time>,
    /// When it started, or resumed after its last pause.
    pub(super) awake_since: Time,
    /// Events for a paused node.
    pub(super) held: Vec<Event>,
    pub(super) up: Option<Box<Process>>,
}

/// What waits to be applied.
enum Committed {
    Entry(Entry),
    /// Entries that are to be read from the log, up to this index.
    UpTo(u64),
}

impl Committed {
    fn last_index(&self) -> u64 {
        match self {
            Committed::Entry(entry) => entry.index,
            Committed::UpTo(index) => *index,
        }
    }
}

/// The process that runs on a machine.
pub(super) struct Process {
    core: Core,
    pub(super) state: State,
    worker: Worker,
    boot: u64,
    mailbox: Vec<Input>,
    frames_waiting: usize,
    step_planned: bool,
    /// The view that production shows: refreshed at ticks and changes of role.
    view: View,
    role: (u64, u64, bool),
    leads: bool,
    next_seq: u64,
    next_ticket: u64,
    waiting: BTreeMap<u64, (RequestId, Waiter)>,
    /// Readers with an open barrier, and readers that wait for an index.
    readers: BTreeMap<u64, Reader>,
    readers_at: BTreeMap<u64, Vec<Reader>>,
    appends: VecDeque<Append>,
    /// The append of the log thread, and whether it is written.
    appending: Option<(Append, bool)>,
    committed: VecDeque<Committed>,
    /// The last index that was handed out to be applied.
    handed_out: u64,
    /// Memberships in effect whose entries are not handed out yet.
    unjudged: Vec<Membership>,
    applying: bool,
    frozen: Option<(Frozen, u64)>,
    files: FileDuty,
    checkpoint_index: u64,
    /// An applied index and term for the next watermark, and when the last one was written.
    unmarked: Option<(u64, u64)>,
    marked_at: Time,
    next_call: u64,
    /// Open calls.
    calls: BTreeSet<u64>,
    /// During an orderly stop: when it stops waiting for another leader.
    stopping: Option<Time>,
    commit_index: u64,
    /// It voted in the last step.
    voted: bool,
}

/// The index of a machine; ids begin at 1.
pub(super) fn place(id: NodeId) -> usize {
    id.0 as usize - 1
}

impl Host {
    pub(super) fn new(id: NodeId, voters: Vec<NodeId>, clock: NodeClock, speaks: u32) -> Host {
        let joined = voters.contains(&id);
        Host {
            id,
            voters,
            log: Arc::new(MemoryLog::default()),
            store: Arc::new(MemoryStore::new()),
            files: Arc::new(MemoryFiles::default()),
            installed: (0, 0),
            disk: DiskFaults::default(),
            clock,
            speaks,
            boot: 0,
            life: 0,
            log_damaged: false,
            damaged: false,
            listed: Vec::new(),
            addresses: Addresses::default(),
            copy: None,
            put_back: false,
            wiped: false,
            joined,
            restarting: false,
            paused_until: None,
            awake_since: 0,
            held: Vec::new(),
            up: None,
        }
    }

    /// Returns whether this node believes that it leads.
    pub(super) fn leads(&self) -> bool {
        self.up.as_ref().is_some_and(|process| process.leads)
    }

    /// Returns whether it has lost a part of what it promised.
    pub(super) fn is_lost(&self) -> bool {
        self.log_damaged || self.damaged || self.put_back
    }

    pub(super) fn is_paused(&self) -> bool {
        self.paused_until.is_some()
    }

    /// Plans something for the current process.
    fn after(&self, sim: &mut Sim, delay: Time, duty: Duty) {
        sim.after(delay, Event::Node { node: self.id, life: self.life, duty });
    }

    /// Draws the duration of a disk operation.
    fn disk_us(&self, sim: &mut Sim, mean_us: u64) -> Time {
        1 + (sim.random.waiting(mean_us) * (1 + self.disk.slower)).min(DISK_US_MAX)
    }

    /// Performs a duty.
    pub(super) fn on(&mut self, sim: &mut Sim, duty: Duty) {
        if self.disk.hangs && duty.needs_disk() {
            if matches!(duty, Duty::Written | Duty::Synced) {
                self.disk.log_hangs_since.get_or_insert(sim.now);
            }
            return self.disk.hanging.push(duty);
        }
        match duty {
            Duty::Step => self.step(sim),
            Duty::Tick => self.tick(sim),
            Duty::Written => self.written(sim),
            Duty::Synced => self.synced(sim),
            Duty::Apply => self.apply(sim),
            Duty::Freeze => self.freeze(sim),
            Duty::Frozen => self.write_checkpoint(sim),
            Duty::SnapshotWritten => self.finish_snapshot(sim),
            Duty::FileTask => self.file_task(sim),
            Duty::Poll => self.poll_payments(sim),
            Duty::CallEnded { number, charge, answer } => {
                self.call_ended(sim, number, charge, answer);
            }
            Duty::RefundEnded { refund, unanswered, answer } => {
                if let Some(process) = &mut self.up {
                    process.worker.refunded(sim.now / MS, refund, unanswered, answer);
                }
            }
            Duty::KeepAlive => self.keep_alive(sim),
            Duty::ReadEvents { wanted, chunk } => self.read_events(sim, wanted, chunk),
        }
    }

    /// Takes a frame from a peer.
    pub(super) fn frame(&mut self, sim: &mut Sim, from: NodeId, speaks: u32, bytes: &[u8]) {
        let Some(process) = &mut self.up else { return };
        let decoded = bytes
            .first_chunk::<FRAME_HEADER_BYTES>()
            .and_then(|header| message::decode_frame_header(*header).ok())
            .filter(|(length, _)| FRAME_HEADER_BYTES + length == bytes.len())
            .and_then(|(_, crc)| message::decode_frame(&bytes[FRAME_HEADER_BYTES..], crc).ok());
        let Some((wall_ms, messages)) = decoded else {
            sim.cover.frames_damaged += 1;
            return;
        };
        if process.frames_waiting >= FRAMES_WAITING_MAX {
            return;
        }
        process.frames_waiting += 1;
        for message in &messages {
            sim.say(|| format!("n{} gets from n{from}: {}", self.id, Brief(message)));
        }
        self.mail(sim, Input::Peer { from, speaks, wall_ms, messages });
    }

    /// A build that meets a level that it does not speak stops. No raise may lead to that.
    fn check_level(&self, sim: &mut Sim, level: u32) {
        if level > self.speaks {
            let (id, speaks) = (self.id, self.speaks);
            sim.fail(format!("node {id} speaks level {speaks} and meets level {level}"));
        }
    }

    /// Takes a new judgement of its disk space.
    pub(super) fn judge_space(&mut self, sim: &mut Sim, space: Space) {
        self.disk.space = space;
        sim.say(|| format!("n{} has {space:?} space", self.id));
        self.mail(sim, Input::Space(space));
    }

    /// Makes the disk hang.
    pub(super) fn hang_disk(&mut self, sim: &mut Sim) {
        sim.say(|| format!("the disk of n{} hangs", self.id));
        self.disk.hangs = true;
        self.disk.led_when_hung = self.leads();
    }

    /// Ends the hang. All pending operations end now.
    pub(super) fn mend_hanging_disk(&mut self, sim: &mut Sim) {
        if !std::mem::take(&mut self.disk.hangs) {
            return;
        }
        sim.say(|| format!("the disk of n{} answers again", self.id));
        let waited = self.disk.log_hangs_since.take().is_some();
        let replaced = waited && self.disk.led_when_hung && self.up.is_some() && !self.leads();
        sim.cover.stalled_leaders_replaced += u64::from(replaced);
        for duty in std::mem::take(&mut self.disk.hanging) {
            self.after(sim, 0, duty);
        }
    }

    /// Drops the pending operations of a process that is gone.
    fn forget_hanging(&mut self) {
        self.disk.hanging.clear();
        self.disk.log_hangs_since = None;
        self.disk.led_when_hung = false;
    }

    /// Checks that a node does not lead for long while its log cannot be written: nothing would be
    /// served.
    pub(super) fn watch_hanging_disk(&self, sim: &mut Sim) {
        let Some(since) = self.disk.log_hangs_since else { return };
        let since = since.max(self.awake_since);
        if self.leads() && self.paused_until.is_none() && sim.now > since + STALLED_LEADER_MAX {
            let seconds = (sim.now - since) / SECOND;
            sim.fail(format!("node {} leads, but its disk has hung for {seconds} s", self.id));
        }
    }

    /// Puts an input into the core's mailbox. The next step takes everything in it.
    pub(super) fn mail(&mut self, sim: &mut Sim, input: Input) {
        let Some(process) = &mut self.up else { return };
        process.mailbox.push(input);
        if !process.step_planned {
            process.step_planned = true;
            let delay = 1 + sim.random.below(sim.plan.step_us_max);
            self.after(sim, delay, Duty::Step);
        }
    }

    fn tick(&mut self, sim: &mut Sim) {
        let tick_us = sim.plan.core.tick_ms * MS;
        self.after(sim, self.clock.true_us(tick_us), Duty::Tick);
        self.mail(sim, Input::Tick);
        self.expire_readers(sim);
        self.go_on_stopping(sim);
    }

    fn keep_alive(&mut self, sim: &mut Sim) {
        self.after(sim, SECOND, Duty::KeepAlive);
        let Some(process) = &self.up else { return };
        let members = process.core.members().members.iter().map(|member| member.id);
        let peers: Vec<NodeId> = members.filter(|id| *id != self.id).collect();
        for peer in peers {
            self.send(sim, peer, &[]);
        }
    }

    fn step(&mut self, sim: &mut Sim) {
        let Some(process) = &mut self.up else { return };
        process.step_planned = false;
        process.frames_waiting = 0;
        let rest = process.mailbox.split_off(process.mailbox.len().min(INPUTS_PER_STEP_MAX));
        let inputs = std::mem::replace(&mut process.mailbox, rest);
        let ticked = inputs.iter().any(|input| matches!(input, Input::Tick));
        let now = self.clock.now(sim.now);
        let actions = process.core.step(now, inputs);
        if let Some(rolled_back) = actions.rolled_back {
            return self.stop_rolled_back(sim, rolled_back);
        }
        let role = process.core.role();
        if ticked || role != process.role {
            process.role = role;
            process.view = process.core.view();
        }
        let stalled_ms = process.view.stalled_ms;
        self.watch(sim);
        self.perform(sim, actions);
        if stalled_ms >= STALL_EXIT_MS {
            sim.cover.nodes_ended_by_stall += 1;
            self.fail_stop(sim, "its disk hangs");
        }
    }

    /// Checks what must hold of a core after each step.
    fn watch(&mut self, sim: &mut Sim) {
        let Some(process) = &mut self.up else { return };
        let (term, leader, _) = process.role;
        let leads = leader == self.id.0;
        if leads != process.leads {
            process.leads = leads;
            sim.cover.leaders_deposed += u64::from(!leads);
        }
        let commit_index = process.core.commit_index();
        if commit_index < process.commit_index {
            let before = process.commit_index;
            sim.fail(format!("node {}: commit went from {before} to {commit_index}", self.id));
        }
        process.commit_index = commit_index;
        if !leads {
            return;
        }
        match sim.oracle.leads(self.id, term) {
            Ok(true) => {
                sim.cover.elections += 1;
                sim.operator.led_by(self.id);
                sim.say(|| format!("n{} leads in term {term}", self.id));
                // Leader completeness: a new leader's log has everything that was committed before.
                for index in self.log.compacted().0 + 1..=sim.oracle.last_index() {
                    let committed = sim.oracle.term_before(index, term);
                    if committed.is_some() && self.log.term(index) != committed {
                        sim.fail(format!(
                            "node {} leads in term {term} without entry {index}",
                            self.id
                        ));
                        return;
                    }
                }
            }
            Ok(false) => {}
            Err(what) => sim.fail(what),
        }
    }

    /// Hands actions to their duties, in production's order.
    fn perform(&mut self, sim: &mut Sim, actions: Actions) {
        if let Some(held) = actions.held {
            self.hold_snapshots(held);
        }
        let mut by_peer: BTreeMap<NodeId, Vec<PeerMessage>> = BTreeMap::new();
        for (to, message) in actions.send {
            match &message {
                PeerMessage::Raft(message) => self.check_promise(sim, message),
                PeerMessage::Forward(commands) => sim.cover.forwarded += commands.len() as u64,
                PeerMessage::Taken { .. }
                | PeerMessage::Refused(_)
                | PeerMessage::Room { .. }
                | PeerMessage::Memory { .. }
                | PeerMessage::Removed
                | PeerMessage::About { .. }
                | PeerMessage::Remembered { .. }
                | PeerMessage::Progress { .. }
                | PeerMessage::Ask { .. }
                | PeerMessage::Verdict { .. }
                | PeerMessage::FetchSnapshot { .. }
                | PeerMessage::SnapshotPart { .. } => {}
                PeerMessage::SnapshotNews { news, .. } => match news {
                    SnapshotNews::Busy => sim.cover.senders_busy += 1,
                    SnapshotNews::Damaged => sim.cover.transfers_unusable += 1,
                    SnapshotNews::Gone => {}
                },
            }
            if let Some(process) = &mut self.up {
                process.voted |= gives_vote(&message);
            }
            by_peer.entry(to).or_default().push(message);
        }
        for (to, messages) in by_peer {
            self.send(sim, to, &messages);
        }
        let Some(process) = &mut self.up else { return };
        process.appends.extend(actions.appends);
        process.unjudged.extend(actions.members.filter(|_| sim.bug.is_none()));
        self.start_append(sim);
        self.hand_out(sim, actions.apply);
        self.file_tasks(sim, actions.files);
        for (ticket, verdict) in actions.verdicts {
            if let Ok(verdict) = verdict {
                sim.say(|| format!("n{} tells the operator {verdict:?}", self.id));
                sim.operator.told(ticket, verdict.is_err(), &mut sim.cover);
            }
        }
        self.requests_failed(sim, actions.failed);
        for ready in actions.reads_ready {
            self.barriers_passed(sim, &ready);
        }
        self.barriers_failed(sim, &actions.reads_failed);
    }

    /// Returns whether it voted since the last call.
    pub(super) fn has_voted(&mut self) -> bool {
        self.up.as_mut().is_some_and(|process| std::mem::take(&mut process.voted))
    }

    /// Comes back at another address, after its process has ended. Its operator lists where all
    /// nodes are now.
    pub(super) fn move_address(&mut self, sim: &mut Sim) {
        sim.cover.nodes_moved += 1;
        let address = format!("n{}.{}", self.id, sim.cover.nodes_moved);
        sim.say(|| format!("n{} moves to {address}", self.id));
        sim.addresses.insert(self.id, address);
        let peer = |(id, raft_addr): (&NodeId, &String)| Peer {
            id: *id,
            raft_addr: raft_addr.clone(),
            http_addr: None,
        };
        self.listed = sim.addresses.iter().map(peer).collect();
    }

    /// Learns from a connection where a peer is.
    pub(super) fn is_told(&mut self, from: NodeId, address: &str) {
        self.addresses.told(from, address);
    }

    /// Whether it dials the address where this peer is.
    fn reaches(&self, sim: &Sim, peer: NodeId) -> bool {
        let Some(process) = &self.up else { return false };
        // Before any node moves, all are where everybody expects them.
        sim.cover.nodes_moved == 0
            || self.addresses.reaches(process.core.members(), peer, &sim.addresses[&peer])
    }

    fn send(&mut self, sim: &mut Sim, to: NodeId, messages: &[PeerMessage]) {
        if !self.reaches(sim, to) {
            sim.cover.frames_to_old_addresses += 1;
            return;
        }
        let mut bytes = Vec::new();
        message::encode_frame(self.clock.now(sim.now).wall_ms, messages, &mut bytes);
        sim.transmit(self.id, to, bytes);
    }

    /// Checks that a vote or an acknowledgement leaves only after the sync that backs it.
    fn check_promise(&self, sim: &mut Sim, message: &Message) {
        if sim.bug.is_some_and(|bug| !matches!(bug, Bug::OpenedWithoutSync | Bug::PutBackBelieved))
        {
            // A planted bug has to be found by its effects, not by its place.
            return;
        }
        let synced = self.log.synced_hard_state();
        let kind = message.get_msg_type();
        let asks_before =
            matches!(kind, MessageType::MsgRequestPreVote | MessageType::MsgRequestPreVoteResponse);
        let vote = match kind {
            MessageType::MsgRequestVote => Some(self.id.0),
            MessageType::MsgRequestVoteResponse if !message.reject => Some(message.to),
            _ => None,
        };
        let acknowledged = match kind {
            MessageType::MsgAppendResponse if !message.reject => message.index,
            _ => 0,
        };
        let is_granted = kind == MessageType::MsgRequestVoteResponse && vote.is_some();
        if self.put_back && (is_granted || acknowledged > 0) {
            let id = self.id;
            return sim.fail(format!("node {id} was put back from a copy and sends {message:?}"));
        }
        let broken = (!asks_before && message.term > synced.term)
            || (synced.term == message.term && vote.is_some_and(|vote| vote != synced.vote))
            || (synced.term == message.term && acknowledged > self.log.synced_index());
        if broken {
            sim.fail(format!(
                "node {} sends {message:?}, but only {synced:?} and {} entries are synced",
                self.id,
                self.log.synced_index()
            ));
        }
    }
}

fn gives_vote(message: &PeerMessage) -> bool {
    let PeerMessage::Raft(message) = message else { return false };
    message.get_msg_type() == MessageType::MsgRequestVoteResponse && !message.reject
}

/// A message in few words, for the trace.
struct Brief<'a>(&'a PeerMessage);

impl std::fmt::Display for Brief<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            PeerMessage::Raft(message) => {
                let kind = message.get_msg_type();
                write!(f, "{kind:?} term {} index {}", message.term, message.index)?;
                if let (Some(first), Some(last)) = (message.entries.first(), message.entries.last())
                {
                    write!(f, " entries {} to {}", first.index, last.index)?;
                }
                if message.commit > 0 {
                    write!(f, " commit {}", message.commit)?;
                }
                if message.reject {
                    write!(f, " refused, try {}", message.reject_hint)?;
                }
                Ok(())
            }
            PeerMessage::Forward(commands) => {
                let seqs: Vec<u64> = commands.iter().map(|forwarded| forwarded.seq).collect();
                write!(f, "forwards {seqs:?}")
            }
            PeerMessage::SnapshotPart { index, offset, size, bytes } => {
                write!(f, "part of snapshot {index}: {} from {offset} of {size}", bytes.len())
            }
            other => write!(f, "{other:?}"),
        }
    }
}
