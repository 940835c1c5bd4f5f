//! Tests of the core without I/O: three cores on one thread elect leaders, share entries, forward
//! and read. Nothing leaves a core before the sync that it depends on.

mod files;
mod level;
mod members;
mod put_back;
mod room;
mod scripts;
mod snapshots;
mod trace;
mod world;

use ::engine::actor::Actor;
use ::engine::codec;
use ::engine::command::{Command, Envelope, RaiseLevel};
use ::engine::ids::RequestId;
use ::engine::trace::TraceId;
use raft::eraftpb::MessageType;

use self::files::Files;
use self::world::{World, founders, joining, new_core, other_than};
use super::*;

#[test]
fn all_nodes_apply_commands_that_any_node_takes() {
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
fn commands_waiting_for_a_sync_share_one_entry() {
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
fn a_request_is_sent_again_to_the_next_leader() {
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
fn without_a_majority_sent_requests_are_unknown_and_unsent_ones_failed() {
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
    assert_eq!(host.failed, vec![(1, NoOutcome::Unknown), (2, NoOutcome::NoLeader)]);
    assert_eq!(host.reads_failed, vec![5]);
    assert!(host.reads_ready.is_empty() && host.applied.is_empty());
}

#[test]
fn reads_share_barriers_and_see_all_committed_entries() {
    let mut world = World::speaking(&[1, 1, 1]);
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
        ready.iter().map(|ready| ready.tickets.clone()).collect::<Vec<_>>(),
        [vec![1], vec![2, 3]]
    );
    assert!(ready.iter().all(|ready| ready.index >= committed));
    // The leader's clock comes with the answer.
    let clocks: Vec<_> = ready.iter().map(|ready| ready.leader_clock).collect();
    let now = world.host(leader).core.view().clock;
    assert!(clocks.iter().all(|clock| clock.is_some_and(|clock| clock <= now)), "{clocks:?}");
}

#[test]
fn a_restarted_node_applies_its_log_after_its_checkpoint() {
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
fn an_idle_leader_proposes_one_tick_per_deadline() {
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
fn a_deadline_between_two_ticks_is_proposed_at_its_moment() {
    let mut world = World::new();
    let leader = world.leader();
    let before = world.host(leader).applied_index;
    let clock = world.host(leader).core.view().clock;
    world.input(leader, Input::NextDeadline(Some(clock.plus_ms(13))));
    let wait_ms = world.host(leader).core.due_in_ms().expect("it is ahead");
    assert!((1..=13).contains(&wait_ms), "{wait_ms}");
    assert_eq!(world.host(other_than(leader)).core.due_in_ms(), None, "only the leader proposes");
    world.now_ms += wait_ms;
    let now = world.now();
    let actions = world.host(leader).core.step(now, []);
    world.perform(leader, actions);
    world.deliver();
    assert_eq!(world.host(leader).applied_index, before + 1, "without a tick");
    assert_eq!(world.host(leader).core.due_in_ms(), None);
}

#[test]
fn requests_survive_a_transfer_of_leadership() {
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
fn a_malformed_entry_is_an_error_and_not_a_panic() {
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
        world.input(to.0, Input::Peer { from, speaks: 0, wall_ms, messages: vec![message] });
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
        Input::Peer {
            from: NodeId(follower),
            speaks: 0,
            wall_ms: now.wall_ms,
            messages: acknowledged,
        },
        Input::Peer {
            from: NodeId(behind),
            speaks: 0,
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

#[test]
fn what_waits_for_the_applier_beyond_its_bound_is_read_back_from_the_log() {
    let mut world = World::new();
    let leader = world.leader();
    let bounded = other_than(leader);
    world.host(bounded).core.config.handed_out_bytes_max = 0;
    for seq in 1..=5 {
        world.propose(leader, seq);
    }
    world.run_ms(300);
    assert_eq!(world.applied_seqs(bounded), vec![1, 2, 3, 4, 5]);
    // Handed out by its index only, whether in one part or in several.
    let log = Arc::clone(&world.host(leader).log);
    let entries = log.entries(1, log.last_index() + 1, u64::MAX).expect("in memory");
    let (first, rest) = entries.split_at(2);
    let core = &mut world.host(bounded).core;
    let mut actions = Actions::default();
    core.hand_out(first.to_vec(), &mut actions);
    core.hand_out(rest.to_vec(), &mut actions);
    assert!(matches!(&actions.apply[..], [Apply::UpTo(last)] if *last == log.last_index()));
}

/// raft-rs ends the process over such a heartbeat, after every restart.
#[test]
fn a_node_that_lost_what_it_acknowledged_says_so_instead_of_panicking() {
    let mut world = World::new();
    let leader = world.leader();
    world.propose(leader, 1);
    world.run_ms(300);
    let victim = other_than(leader);
    // Its data was put back from a copy of before.
    let log = Arc::new(crate::log::memory::MemoryLog::default());
    let mut core = new_core(victim, 2, &log, 0);
    let mut heartbeat = raft::eraftpb::Message::default();
    heartbeat.set_msg_type(MessageType::MsgHeartbeat);
    let (term, _, _) = world.host(leader).core.role();
    (heartbeat.from, heartbeat.to, heartbeat.term, heartbeat.commit) = (leader, victim, term, 2);
    let actions = core.step(
        world.now(),
        [Input::Peer {
            from: NodeId(leader),
            speaks: 0,
            wall_ms: 0,
            messages: vec![PeerMessage::Raft(Box::new(heartbeat))],
        }],
    );
    let peer = NodeId(leader);
    let lost = RolledBack::Entries { peer, acknowledged: 2, term, last_index: 0 };
    assert_eq!(actions.rolled_back, Some(lost));
    let refused = (MessageType::MsgHeartbeat, Why::BeyondLog, 1);
    assert_eq!(core.view().refused, [refused]);
    assert_eq!(core.commit_index(), 0);
}

/// If it did, the node would vote again as if nothing were lost.
#[test]
fn a_leader_does_not_fill_in_what_a_follower_acknowledged_and_lost() {
    let mut world = World::new();
    let leader = world.leader();
    world.propose(leader, 1);
    world.run_ms(300);
    let victim = other_than(leader);
    let log = Arc::new(crate::log::memory::MemoryLog::default());
    let core = new_core(victim, 2, &log, 0);
    let host = world.host(victim);
    (host.core, host.log, host.applied_index) = (core, Arc::clone(&log), 0);
    // The leader saw the connection end, so it asks where the follower's log ends.
    world.input(leader, Input::Unreachable(NodeId(victim)));
    world.propose(leader, 2);
    world.deliver_unless(|message| match message {
        PeerMessage::Raft(message) => message.get_msg_type() == MessageType::MsgHeartbeat,
        _ => false,
    });
    assert_eq!(log.last_index(), 0, "its log stays as it is");
    world.run_ms(300);
    let lost = world.host(victim).rolled_back.expect("a heartbeat tells it");
    let RolledBack::Entries { peer, last_index, .. } = lost else { panic!("{lost:?}") };
    assert_eq!((peer, last_index), (NodeId(leader), 0));
}

#[test]
fn a_forwarded_command_that_does_not_decode_never_enters_the_log() {
    let mut world = World::new();
    let leader = world.leader();
    let from = NodeId(other_than(leader));
    let raise = RaiseLevel { to: 9, secret: Secret::default() };
    let request = RequestId { node: from, boot: 1, seq: 2 };
    let raise = Envelope {
        request,
        trace: TraceId::NONE,
        actor: Actor::default(),
        command: Command::RaiseLevel(raise),
    };
    let forward = |seq, bytes: &[u8]| Forwarded { seq, envelope: Arc::from(bytes) };
    let messages = vec![PeerMessage::Forward(vec![
        forward(1, b"junk"),
        forward(2, &raise.encode_at(0)),
        forward(3, b""),
    ])];
    let before = world.host(leader).log.last_index();
    world.input(leader, Input::Peer { from, speaks: 0, wall_ms: 0, messages });
    world.run_ms(300);
    assert_eq!(world.host(leader).log.last_index(), before);
    let refused = world.host(leader).core.view().refused;
    assert_eq!(refused, [(MessageType::MsgPropose, Why::Command, 3)]);
    world.propose(from.0, 4);
    world.run_ms(300);
    assert_eq!(world.applied_seqs(leader), vec![4]);
}
