//! The core: everything that decides, and nothing that waits.
//!
//! [`Core::step`] takes the inputs of a moment and returns actions. The core owns tikv's `RawNode`,
//! the open requests, the commands that wait for an entry while a sync is in flight, the read
//! barrier and the leader's clock. It does no I/O (reads of old log entries go through
//! [`crate::log::LogStore`]), reads no clock, and is a function of its inputs and its seed.
//!
//! What may leave when (raft thesis 10.2.1; asserted in `ready.rs`):
//!
//! - A leader's messages leave at once.
//! - A follower's messages, votes and acknowledgements leave after the sync of everything appended
//!   before.
//! - Committed entries leave when they are durable here.
//! - Answers leave after apply.

mod actions;
mod admin;
mod admit;
pub mod clock;
mod disk_wait;
mod handed_out;
mod input;
mod level;
mod levels;
mod members;
mod memory_full;
mod memory_news;
mod observe;
mod outbox;
mod reads;
mod ready;
mod remembered;
mod remembering;
mod requests;
mod room;
mod sending;
mod snapshots;
mod space;
mod stall;
#[cfg(test)]
mod tests;
mod transfers;
mod view;
mod window;

use std::collections::VecDeque;
use std::sync::Arc;

use ::engine::entry;
use ::engine::ids::{NodeId, Timestamp};
use ::engine::secret::Secret;
use raft::eraftpb::{self, MessageType};
use raft::{RawNode, StateRole};

pub use self::actions::{
    Actions, Append, Apply, FileTask, Install, Keep, NoOutcome, ReadsReady, RolledBack, Why,
};
use self::admin::Admin;
use self::clock::{LeaderClock, PeerClocks};
use self::disk_wait::Stall;
use self::handed_out::HandedOut;
pub use self::input::{Input, Now, ReadTicket, Request};
use self::levels::Levels;
use self::memory_news::MemoryFull;
use self::outbox::Outbox;
use self::reads::Reads;
use self::remembering::Remembering;
use self::requests::Requests;
use self::space::Room;
pub use self::space::Space;
use self::transfers::Transfers;
pub use self::view::View;
use crate::config::CoreConfig;
use crate::log::view::LogView;
use crate::log::{self, LogStore};
use crate::members::Membership;
use crate::message::{Forwarded, PeerMessage};
use crate::snapshot::Meta;

/// The longest time between two entries, in milliseconds.
const IDLE_MS: u64 = 3_600_000;

/// The identity of a core and the state it starts from.
#[derive(Debug)]
pub struct Start {
    /// This node.
    pub node: NodeId,
    /// Its boot number.
    pub boot: u64,
    /// A random number of this process: no other process of this boot has it.
    pub run: u64,
    /// The members after the applied index; see [`LogStore::members_at`].
    pub members: Membership,
    /// The durable applied index of the replica. Raft hands out nothing at or below it.
    pub applied_index: u64,
    /// The replicated clock at that index.
    pub clock: Timestamp,
    /// The cluster's level at that index.
    pub level: u32,
    /// The raft and HTTP addresses of this node, which the membership is to have.
    pub addresses: Option<(String, Option<String>)>,
    /// The highest level that this node speaks: [`::engine::level::NEWEST`].
    pub speaks: u32,
    /// Random bytes that no other node knows, for a cluster that has no secret yet.
    pub secret: Secret,
    /// The existing snapshots, newest first.
    pub snapshots: Vec<Meta>,
    /// Makes election timeouts a function of (seed, node, term).
    pub seed: u64,
}

/// The core of a node, without I/O.
pub struct Core {
    node: NodeId,
    seed: u64,
    config: CoreConfig,
    raw: RawNode<LogView>,
    now: Now,
    requests: Requests,
    room: Room,
    memory_full: MemoryFull,
    stall: Stall,
    /// The same for the checkpoint, whose oldest write under way is `store_waits`.
    store_stall: Stall,
    store_waits: Option<u64>,
    /// Commands of all nodes that wait for an entry of this leader, in order of arrival.
    pending: VecDeque<Arc<[u8]>>,
    reads: Reads,
    outbox: Outbox,
    handed_out: HandedOut,
    transfers: Transfers,
    peer_clocks: PeerClocks,
    clock: LeaderClock,
    next_deadline: Option<Timestamp>,
    time_proposed_for: Option<Timestamp>,
    /// A new leader without any replicated time stamps nothing before this index is applied.
    time_unknown_until: Option<u64>,
    applied_index: u64,
    state_clock: Timestamp,
    /// The members, as of the committed entries that were handed out.
    members: Membership,
    /// See [`Start::addresses`].
    addresses: Option<(String, Option<String>)>,
    admin: Admin,
    levels: Levels,
    remembering: Remembering,
    /// The commit index in the written hard state.
    written_commit: u64,
    seen_term: u64,
    seen_leader: u64,
    /// A term, and its election timeout in ticks.
    election_timeout: (u64, usize),
    elections: u64,
    entries_proposed: u64,
    commands_proposed: u64,
    forwarded: u64,
    heard: std::collections::BTreeMap<NodeId, u64>,
    /// Messages of peers that did not reach raft, by kind and reason.
    refused: std::collections::BTreeMap<(i32, Why), u64>,
}

impl Core {
    /// Makes a core over a log whose content is all durable.
    ///
    /// # Errors
    /// When the log cannot be read.
    ///
    /// # Panics
    /// When raft refuses its configuration, which `Config::validate` has checked.
    pub fn new(
        start: Start,
        config: CoreConfig,
        store: Arc<dyn LogStore>,
    ) -> Result<Core, log::Error> {
        let last_index = store.last_index();
        assert!(
            start.applied_index <= last_index,
            "the checkpoint is at {} but the log ends at {last_index}",
            start.applied_index
        );
        // A change that took effect here was committed. The node must know that, or it asks for
        // votes under the membership before it.
        let changed_at = store.members_at(u64::MAX).map_or(0, |members| members.index);
        let conf = start.members.conf_state();
        let memory = store.remembered();
        let mut view = LogView::new(store, conf, config.entry_cache_bytes)?;
        view.raise_commit(start.applied_index.max(changed_at));
        if let Some(newest) = start.snapshots.first() {
            view.offer(newest.clone());
        }
        let raft_config = raft::Config {
            id: start.node.0,
            election_tick: config.election_ticks,
            heartbeat_tick: config.heartbeat_ticks,
            applied: start.applied_index,
            max_size_per_msg: config.append_message_bytes_max,
            max_inflight_msgs: config.append_messages_in_flight_max,
            check_quorum: true,
            pre_vote: true,
            min_election_tick: config.election_ticks,
            max_election_tick: config.election_ticks * 2,
            read_only_option: raft::ReadOnlyOption::Safe,
            skip_bcast_commit: false,
            // raft 0.7.0 appends entries to a waiting empty message without checking where it
            // starts; the follower then acknowledges entries that it does not have. Group commit
            // batches anyway.
            batch_append: false,
            priority: 0,
            max_uncommitted_size: config.uncommitted_bytes_max,
            max_committed_size_per_ready: config.committed_bytes_per_ready_max,
        };
        let logger = slog::Logger::root(slog::Drain::fuse(slog_stdlog::StdLog), slog::o!());
        let raw = RawNode::new(&raft_config, view, &logger)
            .expect("the configuration was validated and the log opened");
        let mut core = Core {
            node: start.node,
            seed: start.seed,
            raw,
            now: Now::default(),
            requests: Requests::new(start.node, &config),
            room: Room::default(),
            memory_full: MemoryFull::default(),
            stall: Stall::default(),
            store_stall: Stall::default(),
            store_waits: None,
            pending: VecDeque::new(),
            reads: Reads::new(start.node, start.boot, config.read_retry_after_ms),
            outbox: Outbox::default(),
            handed_out: HandedOut::default(),
            transfers: Transfers::new(start.snapshots.get(1).map_or(0, |meta| meta.index)),
            peer_clocks: PeerClocks::default(),
            clock: LeaderClock::default(),
            next_deadline: None,
            time_proposed_for: None,
            time_unknown_until: None,
            applied_index: start.applied_index,
            state_clock: start.clock,
            members: start.members,
            addresses: start.addresses,
            admin: Admin::default(),
            levels: Levels::new(start.level, start.speaks, start.secret),
            remembering: Remembering::new(start.boot, start.run, memory),
            written_commit: 0,
            seen_term: 0,
            seen_leader: raft::INVALID_ID,
            election_timeout: (u64::MAX, 0),
            elections: 0,
            entries_proposed: 0,
            commands_proposed: 0,
            forwarded: 0,
            heard: std::collections::BTreeMap::new(),
            refused: std::collections::BTreeMap::new(),
            config,
        };
        core.settle_election_timeout();
        Ok(core)
    }

    /// Takes all inputs of a moment, then collects the actions.
    pub fn step(&mut self, now: Now, inputs: impl IntoIterator<Item = Input>) -> Actions {
        self.now = now;
        self.clock.look(now);
        let mut actions = Actions::default();
        for input in inputs {
            self.take(input, &mut actions);
            self.settle_election_timeout();
        }
        self.follow_role(&mut actions);
        self.mind_room(&mut actions);
        self.tell_memory(&mut actions);
        self.keep_memory(&mut actions);
        Core::keep_verdicts_of_operators(&mut actions);
        // What raft hands out may make room for the next read index or entry, so repeat until raft
        // has nothing more.
        self.propose_time();
        loop {
            self.propose_pending();
            self.reads.ask(now.mono_ms, self.leader_clock(), &mut self.raw);
            if !self.raw.has_ready() {
                return actions;
            }
            self.collect(&mut actions);
        }
    }

    fn take(&mut self, input: Input, actions: &mut Actions) {
        match input {
            Input::Tick => self.tick(actions),
            // Messages of a former member no longer count.
            Input::Peer { from, messages, .. } if self.members.was_removed(from) => {
                if !messages.is_empty() && !messages.contains(&PeerMessage::Removed) {
                    actions.send.push((from, PeerMessage::Removed));
                }
            }
            Input::Peer { from, speaks, wall_ms, messages } => {
                self.levels.heard(from, speaks);
                self.peer_clocks.heard(from, wall_ms, self.now);
                self.heard.insert(from, self.now.mono_ms);
                for message in messages {
                    let is_of_raft = matches!(message, PeerMessage::Raft(_));
                    if is_of_raft && !self.is_introduced(from, speaks, actions) {
                        continue;
                    }
                    self.take_message(from, message, actions);
                }
            }
            Input::Propose(request) => self.take_request(request, actions),
            // A former member never hears of a leader, so fail the read at once.
            Input::Read { ticket, .. } if self.admin.removed => actions.reads_failed.push(ticket),
            Input::Read { ticket, deadline_ms } => self.reads.push(ticket, deadline_ms),
            Input::Persisted(number) => self.persisted(number, actions),
            Input::Kept(number) => self.kept(number, actions),
            Input::Applied { index, clock, level, answered } => {
                self.levels.applied(level);
                // An entry applied just before a snapshot was installed is reported after it.
                if index > self.applied_index {
                    self.applied_index = index;
                    self.raw.advance_apply_to(index);
                    self.handed_out.applied(index);
                }
                self.state_clock = self.state_clock.max(clock);
                self.clock.catch_up(self.state_clock, self.now);
                if self.time_unknown_until.is_some_and(|until| until <= self.applied_index) {
                    self.take_agreed_time();
                    self.begin_at_newest();
                }
                for seq in answered {
                    self.requests.remove(seq);
                }
            }
            Input::NextDeadline(deadline) => {
                // It is still due after a tick was applied: more was due than one entry may expire.
                if deadline != self.next_deadline
                    || deadline.is_some_and(|at| at <= self.state_clock)
                {
                    self.time_proposed_for = None;
                }
                self.next_deadline = deadline;
            }
            Input::SnapshotTaken(meta, older) => self.taken(*meta, older, actions),
            Input::SnapshotLost(index) => self.lost(index, actions),
            Input::PartSent { to, index, offset, ok } => {
                self.part_sent(to, index, offset, ok, actions);
            }
            Input::PartialFound { from, index, offset } => {
                self.partial_found(from, index, offset, actions);
            }
            Input::PartWritten(index, ok) => self.part_written(index, ok, actions),
            Input::SnapshotPrepared(index, ok) => self.prepared(index, ok, actions),
            Input::Unreachable(peer) => self.raw.report_unreachable(peer.0),
            Input::TransferLeader(to) => self.transfer_leader(to),
            Input::StoreWaits(oldest) => self.store_waits = oldest,
            Input::Space(space) => self.take_space(space),
            Input::MemoryFull(is_full) => self.take_memory(is_full),
            Input::Ask { ticket, ask, deadline_ms } => {
                self.take_ask(ticket, ask, deadline_ms, actions);
            }
            Input::Removed => self.leave(actions),
            Input::RemovedBy(peer) => self.heard_removal(peer, actions),
        }
    }

    fn tick(&mut self, actions: &mut Actions) {
        // A former member never asks for votes, so its time stands still. So does the time of a
        // node that installs a snapshot: before an election raft looks for entries that are not
        // applied, and those are gone.
        // And so does the time of a node whose disk hangs.
        self.tick_stall();
        if !self.admin.removed && !self.transfers.is_installing() && !self.stands_still() {
            self.raw.tick();
        }
        let now_ms = self.now.mono_ms;
        self.tick_members(actions);
        self.tick_remembering(actions);
        actions.failed.extend(self.requests.expire(now_ms));
        actions.reads_failed.extend(self.reads.expire(now_ms));
        self.tick_snapshots(actions);
        let agreed = self.peer_clocks.agreed(self.now);
        self.clock.follow(agreed, self.config.clock_step_ms_max, self.now);
    }

    /// The clock that entries get, if this node leads and knows the time.
    fn leader_clock(&self) -> Option<Timestamp> {
        let leads = self.raw.raft.state == StateRole::Leader && self.time_unknown_until.is_none();
        leads.then(|| self.clock.now(self.now))
    }

    /// In how many milliseconds this node, as leader, has to be stepped although nothing happened:
    /// a deadline comes then. `None` when there is none, or when it has come: ticks try again what
    /// could not be proposed.
    pub fn due_in_ms(&self) -> Option<u64> {
        let (due, own) = (self.next_deadline?, self.leader_clock()?);
        due.0.checked_sub(own.0).filter(|ms| *ms > 0)
    }

    /// As leader, proposes an entry without commands when a deadline has come and nothing else
    /// carries the clock. Also after an idle hour, so that a restarted node knows the time.
    fn propose_time(&mut self) {
        let own = self.clock.now(self.now);
        let is_new = self.state_clock == Timestamp(0);
        let idle = (!is_new).then(|| self.state_clock.plus_ms(IDLE_MS));
        let due = self.next_deadline.into_iter().chain(idle).min();
        if let Some(due) = due
            && self.raw.raft.state == StateRole::Leader
            && self.pending.is_empty()
            && self.time_unknown_until.is_none()
            && !self.refuses_writes()
            && due <= own
            && self.time_proposed_for != Some(due)
        {
            // The clock is all that expiry needs.
            let empty = entry::Builder::new(own).finish();
            if self.raw.propose(vec![], empty).is_ok() {
                self.time_proposed_for = Some(due);
            }
        }
    }

    fn take_message(&mut self, from: NodeId, message: PeerMessage, actions: &mut Actions) {
        match message {
            PeerMessage::Raft(message) => {
                if !self.admits(from, &message, actions) {
                    return;
                }
                if self.has_no_room_for(&message) {
                    return;
                }
                if message.get_msg_type() == MessageType::MsgTimeoutNow
                    && (self.transfers.is_installing() || self.is_stalled())
                {
                    return;
                }
                if message.get_msg_type() == MessageType::MsgSnapshot {
                    return self.offered(from, message, actions);
                }
                let mut message = message;
                self.stamp_read(from, &mut message);
                // On an error raft ignores the message. There is nothing else to do.
                let _ = self.raw.step(*message);
            }
            PeerMessage::Forward(commands) => {
                if self.raw.raft.state != StateRole::Leader || self.refuses_writes() {
                    let seqs = commands.iter().map(|forwarded| forwarded.seq).collect();
                    actions.send.push((from, PeerMessage::Refused(seqs)));
                    return;
                }
                // What does not fit is dropped; its node sends it again.
                let room = self.config.forwarded_max.saturating_sub(self.pending.len());
                let mut seqs = Vec::with_capacity(commands.len().min(room));
                for forwarded in commands.into_iter().take(room) {
                    seqs.push(forwarded.seq);
                    if self.admits_command(from, &forwarded) {
                        self.pending.push_back(forwarded.envelope);
                    }
                }
                let term = self.raw.raft.term;
                actions.send.push((from, PeerMessage::Taken { term, seqs }));
            }
            PeerMessage::Taken { term, seqs } => {
                // From a former leader it means nothing any more.
                if (term, from.0) == (self.raw.raft.term, self.raw.raft.leader_id) {
                    self.requests.taken(seqs);
                }
            }
            PeerMessage::Refused(seqs) => self.requests.refused(&seqs),
            PeerMessage::Room { low, refuses } => self.take_news(from, low, refuses),
            PeerMessage::Memory { full } => self.take_memory_news(from, full),
            PeerMessage::Ask { ticket, ask } => {
                if Core::may_ask_for(from, &ask)
                    && let Some(verdict) = self.judge(&ask)
                {
                    actions.send.push((from, PeerMessage::Verdict { ticket, verdict }));
                }
            }
            PeerMessage::Removed => self.heard_removal(from, actions),
            PeerMessage::About { boot, run } => self.take_about(from, boot, run, actions),
            PeerMessage::Remembered { run, remembered } => {
                self.take_remembered(from, run, remembered, actions);
            }
            PeerMessage::Progress { index, term } => self.take_progress(from, index, term),
            PeerMessage::Verdict { ticket, verdict } => {
                self.take_verdict(ticket, verdict, actions);
            }
            PeerMessage::FetchSnapshot { index, offset } => {
                self.fetched(from, index, offset, actions);
            }
            PeerMessage::SnapshotPart { index, offset, size, bytes } => {
                self.part_arrived(from, (index, offset, size), bytes, actions);
            }
            PeerMessage::SnapshotNews { index, news } => {
                self.take_snapshot_news(from, index, news, actions);
            }
        }
    }

    /// As leader, adds the clock to a peer's request for a read index, if the peer reads it.
    fn stamp_read(&self, from: NodeId, message: &mut eraftpb::Message) {
        if message.get_msg_type() == MessageType::MsgReadIndex
            && self.levels.of(from) > 0
            && let Some(clock) = self.leader_clock()
        {
            let mut context = message.entries[0].data.to_vec();
            reads::stamp(&mut context, clock);
            message.entries[0].data = context.into();
        }
    }

    fn take_request(&mut self, request: Request, actions: &mut Actions) {
        if self.admin.removed {
            actions.failed.push((request.seq, NoOutcome::NoLeader));
            return;
        }
        let lag = self.raw.raft.raft_log.committed.saturating_sub(self.applied_index);
        // Requests that wait for an election are not a backlog.
        let is_led = self.raw.raft.leader_id != raft::INVALID_ID;
        if lag > self.config.apply_lag_entries_max
            || !self.requests.has_room(&request)
            || is_led && self.requests.is_late(&request, self.now.mono_ms)
        {
            actions.failed.push((request.seq, NoOutcome::Overloaded));
            return;
        }
        if let Some(failure) = self.write_refusal() {
            actions.failed.push((request.seq, failure));
            return;
        }
        self.requests.push(request);
    }

    /// Sends requests on: into the next entry of this leader, or to the leader.
    fn route_requests(&mut self, actions: &mut Actions) {
        let leader = self.raw.raft.leader_id;
        if leader == raft::INVALID_ID {
            return;
        }
        let ready = self.requests.take_unsent(self.now.mono_ms);
        if ready.is_empty() {
            return;
        }
        if leader == self.node.0 {
            self.requests.taken(ready.iter().map(|forwarded| forwarded.seq));
            self.pending.extend(ready.into_iter().map(|forwarded| forwarded.envelope));
        } else {
            self.forwarded += ready.len() as u64;
            for chunk in split_forwards(ready, self.config.batch_bytes_max) {
                actions.send.push((NodeId(leader), PeerMessage::Forward(chunk)));
            }
        }
    }

    /// Reacts to a change of term, role or leader.
    fn follow_role(&mut self, actions: &mut Actions) {
        let (term, leader) = (self.raw.raft.term, self.raw.raft.leader_id);
        if (term, leader) != (self.seen_term, self.seen_leader) {
            if term != self.seen_term {
                self.elections += 1;
            }
            self.seen_term = term;
            self.seen_leader = leader;
            // Requests and reads that the former leader had are sent again. Request ids make a
            // second arrival harmless.
            self.pending.clear();
            self.requests.resend_all();
            self.reads.leader_changed();
            self.time_proposed_for = None;
            self.time_unknown_until = None;
            self.admin.proposed = None;
            self.lead_levels();
            if self.raw.raft.state == StateRole::Leader {
                self.take_agreed_time();
                // Entries that are not applied yet may tell the time.
                let last_index = self.raw.raft.raft_log.last_index();
                let is_unknown = self.state_clock == Timestamp(0);
                self.time_unknown_until = is_unknown.then_some(last_index);
            }
        }
        self.route_requests(actions);
    }

    fn take_agreed_time(&mut self) {
        self.time_unknown_until = None;
        let agreed = self.peer_clocks.agreed(self.now);
        self.clock.lead(agreed, self.state_clock, self.now);
    }

    /// Group commit: puts all waiting commands into one entry, and lets it grow while syncs are in
    /// flight.
    fn propose_pending(&mut self) {
        if self.raw.raft.state != StateRole::Leader || self.time_unknown_until.is_some() {
            return;
        }
        while !self.pending.is_empty()
            && self.outbox.appends_in_flight() + usize::from(self.has_unstable_entries())
                < self.config.appends_in_flight_max
        {
            let mut builder = entry::Builder::new(self.clock.now(self.now));
            let mut taken = 0;
            for envelope in &self.pending {
                let full = taken >= self.config.batch_commands_max
                    || builder.bytes() + envelope.len() > self.config.batch_bytes_max;
                if full && taken > 0 {
                    break;
                }
                builder.push(envelope);
                taken += 1;
            }
            // Raft refuses while leadership is transferred or too much is uncommitted. Try again
            // later.
            if self.raw.propose(vec![], builder.finish()).is_err() {
                return;
            }
            self.entries_proposed += 1;
            self.commands_proposed += taken as u64;
            self.pending.drain(..taken);
        }
    }

    fn has_unstable_entries(&self) -> bool {
        !self.raw.raft.raft_log.unstable_entries().is_empty()
    }

    /// Sets the election timeout from (seed, node, term), because raft draws it from a thread-local
    /// random source and a run must be a function of its seed. Called after every input, since raft
    /// may have drawn a new one.
    fn settle_election_timeout(&mut self) {
        if self.election_timeout.0 != self.raw.raft.term {
            let mut bytes = [0_u8; 24];
            bytes[..8].copy_from_slice(&self.seed.to_le_bytes());
            bytes[8..16].copy_from_slice(&self.node.0.to_le_bytes());
            bytes[16..].copy_from_slice(&self.raw.raft.term.to_le_bytes());
            let spread = self.config.election_ticks as u64;
            let ticks = spread + xxhash_rust::xxh3::xxh3_64(&bytes) % spread;
            self.election_timeout = (self.raw.raft.term, ticks as usize);
        }
        self.raw.raft.set_randomized_election_timeout(self.election_timeout.1);
    }
}

/// Splits forwarded commands into messages of about `bytes_max`.
fn split_forwards(commands: Vec<Forwarded>, bytes_max: usize) -> Vec<Vec<Forwarded>> {
    let mut chunks = vec![Vec::new()];
    let mut bytes = 0;
    for forwarded in commands {
        if bytes > 0 && bytes + forwarded.envelope.len() > bytes_max {
            chunks.push(Vec::new());
            bytes = 0;
        }
        bytes += forwarded.envelope.len();
        chunks.last_mut().expect("never empty").push(forwarded);
    }
    chunks
}
