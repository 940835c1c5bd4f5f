//! The core alone, three of them on one thread: elections, group commit, forwarding, reads, and
//! what may not leave before its sync.

mod members;
mod room;
mod snapshots;

use std::collections::VecDeque;

use ::engine::codec;
use ::engine::command::{Command, Envelope};
use ::engine::ids::RequestId;
use ::engine::trace::TraceId;
use raft::eraftpb::MessageType;

use super::*;
use crate::log::memory::MemoryLog;
use crate::members::Member;

struct Host {
    core: Core,
    log: Arc<MemoryLog>,
    /// Appends written but not reported; `None` reports at once.
    held_appends: Option<Vec<Append>>,
    /// Commands applied, in order.
    applied: Vec<Envelope>,
    applied_index: u64,
    entries_with_commands: usize,
    reads_ready: Vec<(u64, Vec<ReadTicket>)>,
    reads_failed: Vec<ReadTicket>,
    failed: Vec<(u64, Failure)>,
    verdicts: Vec<(u64, Result<Verdict, Failure>)>,
    files: Vec<FileTask>,
    installed: Option<Install>,
    down: bool,
}

/// Three cores, their messages, and one clock for all.
struct World {
    hosts: Vec<Host>,
    now_ms: u64,
    /// What the wall clocks show at 0.
    wall_ms: u64,
    wire: VecDeque<(NodeId, NodeId, PeerMessage)>,
    cut: Vec<(u64, u64)>,
}

fn founders() -> Membership {
    let member = |id| Member {
        id: NodeId(id),
        raft_addr: format!("n{id}"),
        http_addr: None,
        incarnation: None,
        replaces: None,
    };
    Membership::founded((1..=3).map(member).collect())
}

fn new_core(id: u64, boot: u64, log: &Arc<MemoryLog>, applied_index: u64) -> Core {
    let start = Start {
        node: NodeId(id),
        boot,
        members: log::members_or_founders(&**log, applied_index, founders).expect("in memory"),
        applied_index,
        clock: Timestamp(0),
        snapshots: Vec::new(),
        seed: 7,
    };
    let config = CoreConfig { batch_commands_max: 64, ..CoreConfig::default() };
    Core::new(start, config, Arc::clone(log) as Arc<dyn LogStore>).expect("log is readable")
}

impl World {
    fn new() -> World {
        World::of(3)
    }

    /// So many nodes, of which the first three are the founders.
    fn of(nodes: u64) -> World {
        let hosts = (1..=nodes)
            .map(|id| {
                let log = Arc::new(MemoryLog::default());
                Host {
                    core: new_core(id, 1, &log, 0),
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
                    down: false,
                }
            })
            .collect();
        World { hosts, now_ms: 0, wall_ms: 1_000_000, wire: VecDeque::new(), cut: Vec::new() }
    }

    fn host(&mut self, id: u64) -> &mut Host {
        &mut self.hosts[id as usize - 1]
    }

    fn now(&self) -> Now {
        Now { mono_ms: self.now_ms, wall_ms: self.wall_ms + self.now_ms }
    }

    fn input(&mut self, id: u64, input: Input) {
        let now = self.now();
        let host = self.host(id);
        if host.down {
            return;
        }
        let actions = host.core.step(now, [input]);
        self.perform(id, actions);
    }

    fn perform(&mut self, id: u64, actions: Actions) {
        for (to, message) in actions.send {
            if !self.cut.contains(&(id, to.0)) {
                self.wire.push_back((NodeId(id), to, message));
            }
        }
        let host = self.host(id);
        host.failed.extend(actions.failed);
        host.files.extend(actions.files);
        host.reads_ready.extend(actions.reads_ready);
        host.reads_failed.extend(actions.reads_failed);
        host.verdicts.extend(actions.verdicts);
        let mut next = Vec::new();
        for append in actions.appends {
            match &mut host.held_appends {
                Some(held) => held.push(append),
                None => {
                    let installed = append.install.clone();
                    let installed = installed.map(|it| snapshots::install(host, &it, &append));
                    host.log
                        .append_all(&append.entries, append.hard_state.as_ref(), &append.members)
                        .expect("memory takes it");
                    next.push(Input::Persisted(append.number));
                    next.extend(installed);
                }
            }
        }
        if !actions.apply.is_empty() {
            let mut answered = Vec::new();
            let mut clock = Timestamp(0);
            for entry in &actions.apply {
                assert_eq!(entry.index, host.applied_index + 1, "entries come in order");
                host.applied_index = entry.index;
                let recorded = host.log.members_at(entry.index).map(|members| members.index);
                assert!(
                    !super::members::is_change(entry) || recorded == Some(entry.index),
                    "a checkpoint could be ahead of the members that the log knows"
                );
                if entry.data.is_empty() || super::members::is_change(entry) {
                    continue;
                }
                let parsed = entry::Entry::parse(&entry.data).expect("well formed");
                clock = parsed.clock;
                host.entries_with_commands += usize::from(!parsed.envelopes.is_empty());
                for envelope in parsed.envelopes {
                    let envelope = Envelope::decode(envelope).expect("well formed");
                    if envelope.request.node.0 == id {
                        answered.push(envelope.request.seq);
                    }
                    host.applied.push(envelope);
                }
            }
            let index = host.applied_index;
            next.push(Input::Applied { index, clock, answered });
        }
        for input in next {
            self.input(id, input);
        }
    }

    /// Delivers everything that is on the wire, and what that causes.
    fn deliver(&mut self) {
        self.deliver_unless(|_| false);
    }

    /// The same, while some messages are lost.
    fn deliver_unless(&mut self, lost: impl Fn(&PeerMessage) -> bool) {
        for _ in 0..100_000 {
            let Some((from, to, message)) = self.wire.pop_front() else { return };
            if self.cut.contains(&(from.0, to.0)) || lost(&message) {
                continue;
            }
            let wall_ms = self.now().wall_ms;
            self.input(to.0, Input::Peer { from, wall_ms, messages: vec![message] });
        }
        panic!("messages never end");
    }

    fn run_ms(&mut self, ms: u64) {
        let until = self.now_ms + ms;
        while self.now_ms < until {
            self.now_ms += 50;
            for id in 1..=self.hosts.len() as u64 {
                self.input(id, Input::Tick);
            }
            self.deliver();
        }
    }

    fn leader(&mut self) -> u64 {
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

    fn propose(&mut self, id: u64, seq: u64) {
        let request = RequestId { node: NodeId(id), boot: 1, seq };
        let envelope = Envelope { request, trace: TraceId::NONE, command: Command::Tick };
        let deadline_ms = self.now_ms + 5_000;
        self.input(
            id,
            Input::Propose(Request { seq, command: envelope.encode().into(), deadline_ms }),
        );
    }

    /// Writes the appends that were held, then reports them; returns how many.
    fn release_appends(&mut self, id: u64) -> usize {
        let host = self.host(id);
        let held = host.held_appends.take().expect("appends were held");
        for append in &held {
            host.log
                .append_all(&append.entries, append.hard_state.as_ref(), &append.members)
                .expect("memory takes it");
        }
        for append in &held {
            self.input(id, Input::Persisted(append.number));
        }
        held.len()
    }

    /// Writes an append that was held, and reports it.
    fn release(&mut self, id: u64, append: Append) {
        let (entries, hard_state) = (&append.entries, append.hard_state.as_ref());
        let log = &self.host(id).log;
        log.append_all(entries, hard_state, &append.members).expect("memory takes it");
        self.input(id, Input::Persisted(append.number));
    }

    fn applied_seqs(&mut self, id: u64) -> Vec<u64> {
        self.host(id).applied.iter().map(|envelope| envelope.request.seq).collect()
    }
}

fn other_than(id: u64) -> u64 {
    id % 3 + 1
}

#[test]
fn one_leads_and_all_apply_what_any_node_was_asked() {
    let mut world = World::new();
    let leader = world.leader();
    world.propose(leader, 1);
    world.propose(other_than(leader), 2);
    world.deliver();
    for id in 1..=3 {
        assert_eq!(world.applied_seqs(id), vec![1, 2], "node {id}");
        assert_eq!(world.host(id).core.view().outstanding, 0);
    }
}

#[test]
fn commands_that_wait_for_a_sync_become_one_entry() {
    let mut world = World::new();
    let leader = world.leader();
    let before = world.host(leader).entries_with_commands;
    world.host(leader).held_appends = Some(Vec::new());
    for seq in 1..=50 {
        world.propose(leader, seq);
    }
    // Two appends are in flight, the rest waits.
    assert_eq!(world.host(leader).core.view().pending, 48);
    world.release_appends(leader);
    world.deliver();
    assert_eq!(world.applied_seqs(leader), (1..=50).collect::<Vec<_>>());
    assert_eq!(world.host(leader).entries_with_commands - before, 3);
}

#[test]
fn a_follower_acknowledges_nothing_before_its_sync() {
    let mut world = World::new();
    let leader = world.leader();
    let (slow, gone) = (other_than(leader), other_than(other_than(leader)));
    world.cut = vec![(leader, gone), (gone, leader)];
    world.host(slow).held_appends = Some(Vec::new());
    world.propose(leader, 1);
    world.deliver();
    // Heartbeats are answered meanwhile, but nothing may commit.
    world.run_ms(300);
    assert!(world.applied_seqs(leader).is_empty());
    assert!(world.release_appends(slow) > 0);
    world.deliver();
    world.run_ms(200);
    assert_eq!(world.applied_seqs(leader), vec![1]);
}

#[test]
fn a_request_outlives_its_leader() {
    let mut world = World::new();
    let leader = world.leader();
    let asked = other_than(leader);
    // The leader takes the forwarded command and dies before anybody hears of it.
    world.host(leader).down = true;
    world.propose(asked, 9);
    world.deliver();
    assert!(world.applied_seqs(asked).is_empty());
    let next = world.leader();
    assert_ne!(next, leader);
    world.run_ms(100);
    assert_eq!(world.applied_seqs(asked), vec![9], "sent again to node {next}");
}

#[test]
fn without_a_majority_nothing_is_answered_and_the_two_kinds_of_failure_are_told_apart() {
    let mut world = World::new();
    let leader = world.leader();
    for id in 1..=3 {
        world.host(id).down = id != leader;
    }
    world.propose(leader, 1);
    world.input(leader, Input::Read { ticket: 5, deadline_ms: world.now_ms + 1_000 });
    // By then the leader has stepped down, so this one never leaves the node.
    world.run_ms(2_500);
    world.propose(leader, 2);
    world.run_ms(6_000);
    let host = world.host(leader);
    assert_eq!(host.failed, vec![(1, Failure::Unknown), (2, Failure::NoLeader)]);
    assert_eq!(host.reads_failed, vec![5]);
    assert!(host.reads_ready.is_empty() && host.applied.is_empty());
}

#[test]
fn reads_are_batched_and_never_older_than_what_was_committed() {
    let mut world = World::new();
    let leader = world.leader();
    let follower = other_than(leader);
    world.propose(leader, 1);
    world.deliver();
    let committed = world.host(leader).core.view().commit_index;
    for ticket in 1..=3 {
        let deadline_ms = world.now_ms + 1_000;
        world.input(follower, Input::Read { ticket, deadline_ms });
    }
    let asked = world
        .wire
        .iter()
        .filter(|(_, _, message)| {
            matches!(message, PeerMessage::Raft(m) if m.get_msg_type() == MessageType::MsgReadIndex)
        })
        .count();
    assert_eq!(asked, 1, "one question is under way at a time");
    world.deliver();
    let ready = &world.host(follower).reads_ready;
    assert_eq!(
        ready.iter().map(|(_, tickets)| tickets.clone()).collect::<Vec<_>>(),
        [vec![1], vec![2, 3]]
    );
    assert!(ready.iter().all(|(index, _)| *index >= committed));
}

#[test]
fn a_restarted_node_goes_on_where_its_log_and_checkpoint_say() {
    let mut world = World::new();
    let leader = world.leader();
    for seq in 1..=5 {
        world.propose(leader, seq);
        world.deliver();
    }
    world.run_ms(200);
    let restarted = other_than(leader);
    let (log, applied_index) = {
        let host = world.host(restarted);
        host.log.crash();
        (Arc::clone(&host.log), host.applied_index)
    };
    // Its checkpoint is two entries behind what it had applied.
    let host = world.host(restarted);
    host.core = new_core(restarted, 2, &log, applied_index - 2);
    host.applied_index = applied_index - 2;
    host.applied.clear();
    world.run_ms(500);
    assert_eq!(world.applied_seqs(restarted), vec![4, 5]);
    world.propose(leader, 6);
    world.deliver();
    world.run_ms(200);
    assert_eq!(world.applied_seqs(restarted), vec![4, 5, 6]);
}

#[test]
fn an_idle_leader_lets_the_clock_pass_a_deadline_once() {
    let mut world = World::new();
    let leader = world.leader();
    let before = world.host(leader).applied_index;
    let clock = world.host(leader).core.view().clock;
    world.input(leader, Input::NextDeadline(Some(clock.plus_ms(500))));
    world.run_ms(400);
    assert_eq!(world.host(leader).applied_index, before, "not due yet");
    world.run_ms(1_000);
    assert_eq!(world.host(leader).applied_index, before + 1, "one tick, not one each 50 ms");
}

#[test]
fn leadership_is_handed_over_and_requests_go_on() {
    let mut world = World::new();
    let leader = world.leader();
    let heir = other_than(leader);
    world.input(leader, Input::TransferLeader(Some(NodeId(heir))));
    world.propose(leader, 1);
    world.deliver();
    world.run_ms(200);
    assert_eq!(world.leader(), heir);
    assert_eq!(world.applied_seqs(leader), vec![1]);
}

#[test]
fn noise_in_an_entry_is_an_error_and_not_a_panic() {
    let error = entry::Entry::parse(&[1, 2, 3]).expect_err("too short");
    assert!(matches!(error, codec::Error::Malformed(_)));
}

/// Found by the simulation; see docs/bugs-found.md, number 1. raft's own batching of appends put
/// entries into an empty message that started elsewhere, and the follower acknowledged entries that
/// it never had.
#[test]
fn entries_are_never_put_into_a_message_that_starts_elsewhere() {
    let mut world = World::new();
    let leader = world.leader();
    let (behind, follower) = (other_than(leader), other_than(other_than(leader)));
    let matched = world.host(leader).core.view().last_index;
    // One follower hears nothing; what the other acknowledges is held back.
    world.cut = vec![(leader, behind)];
    for seq in 1..=3 {
        world.propose(leader, seq);
    }
    let appends: Vec<_> = world.wire.drain(..).collect();
    for (from, to, message) in appends {
        let wall_ms = world.now().wall_ms;
        world.input(to.0, Input::Peer { from, wall_ms, messages: vec![message] });
    }
    world.cut.clear();
    let acknowledged: Vec<_> = world.wire.drain(..).map(|(_, _, message)| message).collect();
    assert!(!acknowledged.is_empty(), "the other follower has the entries");
    let (term, last_index) = {
        let view = world.host(leader).core.view();
        (view.term, view.last_index)
    };
    assert!(last_index > matched, "the entries are in the leader's log");
    let mut refusal = raft::eraftpb::Message::default();
    refusal.set_msg_type(MessageType::MsgAppendResponse);
    (refusal.from, refusal.to, refusal.term) = (behind, leader, term);
    (refusal.index, refusal.reject, refusal.reject_hint) = (last_index, true, matched);
    refusal.log_term = term;

    // In one step the acknowledgements move the commit index, which tells all by empty messages,
    // and the refusal asks for everything from further back.
    let now = world.now();
    let inputs = [
        Input::Peer { from: NodeId(follower), wall_ms: now.wall_ms, messages: acknowledged },
        Input::Peer {
            from: NodeId(behind),
            wall_ms: now.wall_ms,
            messages: vec![PeerMessage::Raft(Box::new(refusal))],
        },
    ];
    let actions = world.host(leader).core.step(now, inputs);
    let mut resent = 0;
    for (_, message) in &actions.send {
        let PeerMessage::Raft(message) = message else { continue };
        if let Some(first) = message.entries.first() {
            assert_eq!(first.index, message.index + 1, "{message:?}");
            resent += 1;
        }
    }
    assert!(resent > 0, "the follower that is behind gets its entries");
}

/// Found while the simulation was written; see docs/bugs-found.md, number 4. Entries of a former
/// term may be ahead of a new leader's clock; entries stamped behind them would freeze the time of
/// all.
#[test]
fn time_goes_on_after_entries_that_are_ahead_of_the_new_leaders_clock() {
    const HOUR: u64 = 3_600_000;
    let mut world = World::new();
    // All clocks are an hour fast for a while, and nobody writes a checkpoint of it.
    world.wall_ms += HOUR;
    let leader = world.leader();
    world.propose(leader, 1);
    world.deliver();
    world.wall_ms -= HOUR;
    for id in 1..=3 {
        let host = world.host(id);
        host.core = new_core(id, 2, &Arc::clone(&host.log), 0);
        host.applied_index = 0;
        host.applied.clear();
    }
    let leader = world.leader();
    world.propose(leader, 1);
    world.deliver();
    let clock = world.host(leader).core.view().clock;
    assert!(clock > Timestamp(world.wall_ms + HOUR), "{clock:?} is behind the log");
    world.run_ms(1_000);
    assert_eq!(world.host(leader).core.view().clock, clock.plus_ms(1_000));
}
