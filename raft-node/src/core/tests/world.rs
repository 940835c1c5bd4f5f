//! Several cores on one thread with their logs, their messages and one clock.
//!
//! Unit tests and golden scripts drive the same world. It does what a node's driver does with the
//! actions of its core, and writes down what happened; see [`super::trace`].

use std::collections::VecDeque;
use std::sync::Arc;

use ::engine::actor::Actor;
use ::engine::command::{Command, Envelope};
use ::engine::entry;
use ::engine::ids::{NodeId, RequestId, Timestamp};
use ::engine::secret::Secret;
use ::engine::trace::TraceId;
use raft::eraftpb::Entry;

use super::trace::{self, Trace};
use crate::config::CoreConfig;
use crate::core::{
    Actions, Append, Apply, Core, FileTask, Input, Install, NoOutcome, Now, ReadTicket, ReadsReady,
    Request, RolledBack, Start,
};
use crate::log::memory::MemoryLog;
use crate::log::{self, LogStore};
use crate::members::is_change;
use crate::members::{Member, Membership, Verdict};
use crate::message::PeerMessage;

pub(super) struct Host {
    pub(super) core: Core,
    /// Only requests of this boot have clients that wait.
    pub(super) boot: u64,
    pub(super) log: Arc<MemoryLog>,
    /// Appends that wait for a slow disk; `None` writes and syncs them at once.
    pub(super) held_appends: Option<Vec<Append>>,
    /// Commands applied, in order.
    pub(super) applied: Vec<Envelope>,
    pub(super) applied_index: u64,
    pub(super) entries_with_commands: usize,
    pub(super) reads_ready: Vec<ReadsReady>,
    pub(super) reads_failed: Vec<ReadTicket>,
    pub(super) failed: Vec<(u64, NoOutcome)>,
    pub(super) verdicts: Vec<(u64, Result<Verdict, NoOutcome>)>,
    pub(super) files: Vec<FileTask>,
    pub(super) installed: Option<Install>,
    /// A node that lost what it acknowledged takes no further input.
    pub(super) rolled_back: Option<RolledBack>,
    pub(super) down: bool,
    /// The highest level that its build speaks.
    pub(super) speaks: u32,
    /// The level of what it applied.
    pub(super) level: u32,
}

/// Nodes, their messages, and one monotonic clock for all.
pub(super) struct World {
    pub(super) hosts: Vec<Host>,
    pub(super) now_ms: u64,
    /// What the wall clocks show when the monotonic clock shows 0.
    pub(super) wall_ms: u64,
    pub(super) wire: VecDeque<(NodeId, NodeId, PeerMessage)>,
    /// Directed links, from and to, that lose every message.
    pub(super) cut: Vec<(u64, u64)>,
    /// What happens, where a golden script shows it.
    pub(super) trace: Option<Trace>,
}

pub(super) fn founders() -> Membership {
    let member = |id| Member {
        id: NodeId(id),
        raft_addr: format!("n{id}"),
        http_addr: None,
        incarnation: None,
        replaces: None,
    };
    Membership::founded((1..=3).map(member).collect())
}

/// A node that is to be added, perhaps in the place of another.
pub(super) fn joining(id: u64, replaces: Option<u64>) -> Member {
    Member {
        id: NodeId(id),
        raft_addr: format!("n{id}"),
        http_addr: None,
        incarnation: Some(id),
        replaces: replaces.map(NodeId),
    }
}

/// The core of a build before levels.
pub(super) fn new_core(id: u64, boot: u64, log: &Arc<MemoryLog>, applied_index: u64) -> Core {
    core_speaking(0, id, boot, log, applied_index)
}

pub(super) fn core_speaking(
    speaks: u32,
    id: u64,
    boot: u64,
    log: &Arc<MemoryLog>,
    applied_index: u64,
) -> Core {
    let start = Start {
        node: NodeId(id),
        boot,
        run: 1_000 * id + boot,
        members: log::members_or_founders(&**log, applied_index, founders).expect("in memory"),
        applied_index,
        clock: Timestamp(0),
        level: 0,
        addresses: None,
        speaks,
        secret: Secret::default(),
        snapshots: Vec::new(),
        seed: 7,
    };
    let config = CoreConfig { batch_commands_max: 64, ..CoreConfig::default() };
    Core::new(start, config, Arc::clone(log) as Arc<dyn LogStore>).expect("log is readable")
}

impl World {
    pub(super) fn new() -> World {
        World::of(3)
    }

    /// A world of nodes that speak these levels. The first three are the founders.
    pub(super) fn speaking(levels: &[u32]) -> World {
        let mut world = World::of(levels.len() as u64);
        for (host, (id, speaks)) in world.hosts.iter_mut().zip((1..).zip(levels)) {
            host.speaks = *speaks;
            host.core = core_speaking(*speaks, id, 1, &host.log, 0);
        }
        world
    }

    /// A world of `nodes` nodes. The first three are the founders, the others are not members yet.
    pub(super) fn of(nodes: u64) -> World {
        let hosts = (1..=nodes)
            .map(|id| {
                let log = Arc::new(MemoryLog::default());
                Host {
                    core: new_core(id, 1, &log, 0),
                    boot: 1,
                    log,
                    held_appends: None,
                    applied: Vec::new(),
                    applied_index: 0,
                    entries_with_commands: 0,
                    reads_ready: Vec::new(),
                    reads_failed: Vec::new(),
                    failed: Vec::new(),
                    verdicts: Vec::new(),
                    files: Vec::new(),
                    installed: None,
                    rolled_back: None,
                    down: false,
                    speaks: 0,
                    level: 0,
                }
            })
            .collect();
        World {
            hosts,
            now_ms: 0,
            wall_ms: 1_000_000,
            wire: VecDeque::new(),
            cut: Vec::new(),
            trace: None,
        }
    }

    pub(super) fn host(&mut self, id: u64) -> &mut Host {
        &mut self.hosts[id as usize - 1]
    }

    pub(super) fn now(&self) -> Now {
        Now { mono_ms: self.now_ms, wall_ms: self.wall_ms + self.now_ms }
    }

    pub(super) fn input(&mut self, id: u64, input: Input) {
        let now = self.now();
        if self.host(id).down {
            return;
        }
        if let Some(line) = trace::asked(id, &input) {
            self.note(|| line);
        }
        let actions = self.host(id).core.step(now, [input]);
        if let Some(trace) = &mut self.trace {
            trace.stepped(id, &self.hosts[id as usize - 1].core);
        }
        self.perform(id, actions);
    }

    /// Adds a line to the trace.
    pub(super) fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(line());
        }
    }

    /// Adds a line about a node to the trace.
    pub(super) fn note_of(&mut self, id: u64, text: impl FnOnce() -> String) {
        let term = self.host(id).core.role().0;
        self.note(|| format!("n{id}@{term} {}", text()));
    }

    /// Does what a node's driver does with the actions of its core, and reports back to it.
    pub(super) fn perform(&mut self, id: u64, actions: Actions) {
        if let Some(members) = &actions.members {
            self.note_of(id, || format!("members {}", trace::members(members)));
        }
        for (to, message) in actions.send {
            self.send(id, to, message);
        }
        let mut next = Vec::new();
        for append in actions.appends {
            self.note_of(id, || format!("append {}", trace::append(&append)));
            match &mut self.host(id).held_appends {
                Some(held) => held.push(append),
                None => next.extend(self.write(id, &append)),
            }
        }
        for apply in actions.apply {
            let entries = match apply {
                Apply::Entries(entries) => entries,
                Apply::UpTo(index) => {
                    self.note_of(id, || format!("apply up to {index} from the log"));
                    let host = self.host(id);
                    let first = host.applied_index + 1;
                    host.log.entries(first, index + 1, u64::MAX).expect("they are durable")
                }
            };
            next.extend(self.apply(id, &entries));
        }
        for (seq, failure) in &actions.failed {
            self.note_of(id, || format!("-> client failed n{id}#{seq}: {failure:?}"));
        }
        for ReadsReady { index, tickets, .. } in &actions.reads_ready {
            for ticket in tickets {
                self.note_of(id, || format!("-> client read #{ticket} may be served at {index}"));
            }
        }
        for ticket in &actions.reads_failed {
            self.note_of(id, || format!("-> client read #{ticket} failed"));
        }
        for (ticket, verdict) in &actions.verdicts {
            let verdict = || match verdict {
                Ok(verdict) => trace::verdict(verdict),
                Err(failure) => format!("{failure:?}"),
            };
            self.note_of(id, || format!("-> operator #{ticket} {}", verdict()));
        }
        let host = self.host(id);
        if let Some(lost) = actions.rolled_back {
            (host.rolled_back, host.down) = (Some(lost), true);
        }
        host.failed.extend(actions.failed);
        host.files.extend(actions.files);
        host.reads_ready.extend(actions.reads_ready);
        host.reads_failed.extend(actions.reads_failed);
        host.verdicts.extend(actions.verdicts);
        for input in next {
            self.input(id, input);
        }
    }

    /// Puts a message on the wire, or loses it.
    pub(super) fn send(&mut self, from: u64, to: NodeId, message: PeerMessage) {
        let lost = self.cut.contains(&(from, to.0));
        if self.trace.as_ref().is_some_and(|trace| trace.shows(&message, lost)) {
            let suffix = if lost { " (lost)" } else { "" };
            self.note_of(from, || format!("-> n{to} {}{suffix}", trace::message(&message)));
        }
        if !lost {
            self.wire.push_back((NodeId(from), to, message));
        }
    }

    /// Writes an append to the node's log and syncs it; what the core is told then.
    fn write(&mut self, id: u64, append: &Append) -> Vec<Input> {
        let host = self.host(id);
        let installed = append.install.as_ref().map(|it| install(host, it, append));
        let (entries, hard_state) = (&append.entries, append.hard_state.as_ref());
        host.log.append_all(entries, hard_state, &append.members).expect("memory takes it");
        self.note_of(id, || "sync".into());
        let mut reports = vec![Input::Persisted(append.number)];
        if let Some(keep) = &append.keep {
            self.host(id).log.remember(&keep.memory).expect("memory takes it");
            reports.push(Input::Kept(keep.number));
        }
        reports.into_iter().chain(installed).collect()
    }

    /// Applies entries; what the core is told then.
    fn apply(&mut self, id: u64, entries: &[Entry]) -> Option<Input> {
        let mut answered = Vec::new();
        let mut clock = Timestamp(0);
        for entry in entries {
            self.note_of(id, || format!("apply {}", trace::entry(entry)));
            let host = self.host(id);
            assert_eq!(entry.index, host.applied_index + 1, "entries come in order");
            host.applied_index = entry.index;
            let recorded = host.log.members_at(entry.index).map(|members| members.index);
            assert!(
                !is_change(entry) || recorded == Some(entry.index),
                "a checkpoint could be ahead of the members that the log knows"
            );
            if entry.data.is_empty() || is_change(entry) {
                continue;
            }
            let parsed = entry::Entry::parse(&entry.data).expect("well formed");
            clock = parsed.clock;
            host.entries_with_commands += usize::from(!parsed.envelopes.is_empty());
            for envelope in parsed.envelopes {
                let (_, envelope) = Envelope::decode(envelope).expect("well formed");
                if let Command::RaiseLevel(raise) = &envelope.command {
                    host.level = raise.to;
                }
                let RequestId { node, boot, seq } = envelope.request;
                if (node.0, boot) == (id, host.boot) {
                    answered.push(seq);
                }
                host.applied.push(envelope);
            }
        }
        for seq in &answered {
            self.note_of(id, || format!("-> client done n{id}#{seq}"));
        }
        let index = entries.last()?.index;
        let level = self.host(id).level;
        Some(Input::Applied { index, clock, level, answered })
    }

    /// Delivers everything that is on the wire, and what that causes.
    pub(super) fn deliver(&mut self) {
        self.deliver_unless(|_| false);
    }

    /// Delivers everything as [`World::deliver`] does, but loses some messages.
    pub(super) fn deliver_unless(&mut self, lost: impl Fn(&PeerMessage) -> bool) {
        for _ in 0..100_000 {
            let Some((from, to, message)) = self.wire.pop_front() else { return };
            if !lost(&message) {
                self.receive(from, to, message);
            }
        }
        panic!("messages never end");
    }

    /// Delivers what is on the wire now, and not what that causes.
    pub(super) fn deliver_round(&mut self) {
        for (from, to, message) in std::mem::take(&mut self.wire) {
            self.receive(from, to, message);
        }
    }

    fn receive(&mut self, from: NodeId, to: NodeId, message: PeerMessage) {
        if !self.cut.contains(&(from.0, to.0)) {
            let (wall_ms, speaks) = (self.now().wall_ms, self.host(from.0).speaks);
            self.input(to.0, Input::Peer { from, speaks, wall_ms, messages: vec![message] });
        }
    }

    /// Lets time pass: every node ticks, and every message arrives within the tick.
    pub(super) fn run_ms(&mut self, ms: u64) {
        let until = self.now_ms + ms;
        while self.now_ms < until {
            self.now_ms += 50;
            for id in 1..=self.hosts.len() as u64 {
                self.input(id, Input::Tick);
            }
            self.deliver();
        }
    }

    pub(super) fn leader(&mut self) -> u64 {
        for _ in 0..100 {
            self.run_ms(50);
            let leaders: Vec<_> = (1..=self.hosts.len() as u64)
                .filter(|id| {
                    let host = &self.hosts[*id as usize - 1];
                    !host.down && host.core.view().leads_in_term
                })
                .collect();
            if let [leader] = leaders[..] {
                return leader;
            }
        }
        panic!("no leader in five seconds");
    }

    pub(super) fn propose(&mut self, id: u64, seq: u64) {
        let request = RequestId { node: NodeId(id), boot: self.host(id).boot, seq };
        let envelope = Envelope {
            request,
            trace: TraceId::NONE,
            actor: Actor::Nobody,
            command: Command::Tick,
        };
        let deadline_ms = self.now_ms + 5_000;
        self.input(
            id,
            Input::Propose(Request {
                seq,
                envelope: envelope.encode().into(),
                adds_rows: true,
                deadline_ms,
            }),
        );
    }

    /// Writes the appends that waited, then reports them; returns how many.
    pub(super) fn release_appends(&mut self, id: u64) -> usize {
        let held = self.host(id).held_appends.take().expect("appends were held");
        let reports: Vec<_> = held.iter().flat_map(|append| self.write(id, append)).collect();
        for report in reports {
            self.input(id, report);
        }
        held.len()
    }

    /// Writes an append that waited, and reports it.
    pub(super) fn release(&mut self, id: u64, append: Append) {
        for report in self.write(id, &append) {
            self.input(id, report);
        }
    }

    pub(super) fn applied_seqs(&mut self, id: u64) -> Vec<u64> {
        self.host(id).applied.iter().map(|envelope| envelope.request.seq).collect()
    }
}

pub(super) fn other_than(id: u64) -> u64 {
    id % 3 + 1
}

/// Puts a snapshot in the place of a node's log and state.
fn install(host: &mut Host, install: &Install, append: &Append) -> Input {
    let Install { index, term, members } = install;
    host.log.install(*index, *term, append.hard_state.as_ref(), members).expect("in memory");
    host.applied_index = *index;
    host.installed = Some(install.clone());
    Input::Applied { index: *index, clock: Timestamp(0), level: 0, answered: Vec::new() }
}
