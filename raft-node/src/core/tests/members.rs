//! Membership changes, and what a restarted node knows of them.

use super::*;
use crate::log::memory::MemoryLog;
use crate::members::{Ask, Change, Refusal, Role, Verdict};

/// Proposes a change on a node, whatever is to be said against it.
fn propose(world: &mut World, leader: u64, change: &Change) {
    let host = world.host(leader);
    let entry = change.entry(host.core.members());
    host.core.raw.propose_conf_change(vec![], entry).expect("nothing else is under way");
    world.run_ms(500);
}

#[test]
fn a_change_takes_effect_on_every_node_and_is_kept_with_its_index() {
    let mut world = World::of(4);
    let leader = world.leader();
    propose(&mut world, leader, &Change::Add(joining(4, None)));
    world.propose(4, 1);
    world.run_ms(500);
    assert_eq!(world.applied_seqs(4), vec![1], "it takes requests, too");
    let now = world.host(leader).core.members().clone();
    assert_eq!(now.role(NodeId(4)), Some(Role::Voter));
    assert!(!now.is_joint(), "the leader has ended the joint phase");
    let history = history(&world.host(leader).log, now.index);
    let seen: Vec<_> = history.iter().map(|at| (at.is_joint(), at.role(NodeId(4)))).collect();
    let (learner, voter) = (Some(Role::Learner), Some(Role::Voter));
    let steps = [(false, None), (true, learner), (false, learner), (true, voter), (false, voter)];
    assert_eq!(seen, steps);
    for id in 1..=4 {
        assert_eq!(world.host(id).core.members(), &now, "node {id}");
        assert_eq!(self::history(&world.host(id).log, now.index), history, "node {id}");
    }
}

/// The memberships that held up to an index, oldest first.
fn history(log: &MemoryLog, last: u64) -> Vec<Membership> {
    let mut all: Vec<_> = (0..=last).filter_map(|index| log.members_at(index)).collect();
    all.dedup();
    all
}

#[test]
fn a_restarted_node_replays_membership_changes_after_its_checkpoint() {
    let mut world = World::of(4);
    let leader = world.leader();
    propose(&mut world, leader, &Change::Add(joining(4, Some(other_than(leader)))));
    world.run_ms(500);
    let now = world.host(leader).core.members().clone();
    assert!(now.was_removed(NodeId(other_than(leader))));
    let log = Arc::clone(&world.host(leader).log);
    let before = history(&log, now.index);
    assert_eq!(before.len(), 5);
    for applied in 0..=log.last_index() {
        let members = log.members_at(applied).expect("recorded");
        let mut core = new_core(leader, 2, &log, applied);
        assert_eq!(core.members(), &members, "at index {applied}");
        assert!(core.commit_index() >= now.index, "it knows that they were committed");
        let actions = core.step(Now::default(), []);
        assert_eq!(core.members(), &now, "replayed from index {applied}");
        if let Some(Apply::Entries(entries)) = actions.apply.first() {
            assert_eq!(entries[0].index, applied + 1);
        }
        for append in actions.appends {
            let Append { entries, hard_state, members, .. } = append;
            log.append_all(&entries, hard_state.as_ref(), &members).expect("in memory");
        }
        assert_eq!(history(&log, now.index), before, "replaying changes nothing");
    }
}

/// The commit index is not synced when it moves alone. A node that has what came after a change
/// must know after a crash that the change was committed: otherwise it could win an election among
/// those who were members before.
#[test]
fn a_log_that_goes_beyond_a_change_knows_that_it_was_committed() {
    let mut world = World::of(4);
    let leader = world.leader();
    let follower = other_than(leader);
    propose(&mut world, leader, &Change::Add(joining(4, None)));
    let log = &world.host(follower).log;
    let added = log.members_at(u64::MAX).expect("recorded");
    let joint_at = added.index - 1;
    let hard_state = log.hard_state().expect("readable");
    assert!(log.last_index() > joint_at && hard_state.commit >= joint_at, "{hard_state:?}");
}

/// What was applied may be in a checkpoint at once. A node that starts from one takes the members
/// from its log, and does not see the entry that changed them again.
#[test]
fn a_change_is_applied_once_its_membership_is_on_disk() {
    let mut world = World::of(4);
    let leader = world.leader();
    let follower = other_than(leader);
    world.host(follower).held_appends = Some(Vec::new());
    let before = world.host(follower).applied_index;
    propose(&mut world, leader, &Change::Add(joining(4, None)));
    let mut released = 0;
    while let Some(held) = &mut world.host(follower).held_appends
        && !held.is_empty()
    {
        let append = held.remove(0);
        world.release(follower, append);
        world.run_ms(500);
        released += 1;
    }
    assert!(released > 2, "the entry and its membership are in appends of their own");
    assert!(world.host(follower).applied_index > before);
    assert_eq!(members(&mut world, follower).role(NodeId(4)), Some(Role::Voter));
}

/// Asks a node, as an operator would, and waits for the verdict.
pub(super) fn ask(world: &mut World, node: u64, ask: Ask) -> Result<Verdict, NoOutcome> {
    let ticket = world.now_ms;
    let deadline_ms = world.now_ms + 5_000;
    world.input(node, Input::Ask { ticket, ask, deadline_ms });
    for _ in 0..120 {
        world.deliver();
        let verdicts = &mut world.host(node).verdicts;
        if let Some(at) = verdicts.iter().position(|(told, _)| *told == ticket) {
            return verdicts.remove(at).1;
        }
        world.run_ms(50);
    }
    panic!("no verdict");
}

fn change(world: &mut World, node: u64, change: Change) -> Result<Verdict, NoOutcome> {
    ask(world, node, Ask::Change(change))
}

fn members(world: &mut World, node: u64) -> Membership {
    world.host(node).core.members().clone()
}

#[test]
fn a_node_joins_through_any_other_and_is_promoted_once_it_has_caught_up() {
    let mut world = World::of(4);
    let leader = world.leader();
    for seq in 1..=200 {
        world.propose(leader, seq);
        world.deliver();
    }
    world.cut = vec![(leader, 4)];
    let add = Change::Add(joining(4, None));
    assert!(change(&mut world, other_than(leader), add.clone()).expect("judged").is_ok());
    world.run_ms(1_000);
    assert_eq!(members(&mut world, leader).role(NodeId(4)), Some(Role::Learner), "far behind");
    world.cut.clear();
    world.run_ms(1_000);
    assert_eq!(members(&mut world, leader).role(NodeId(4)), Some(Role::Voter));
    assert_eq!(world.applied_seqs(4).len(), 200);
    assert!(change(&mut world, 4, add).expect("judged").is_ok(), "asked again, it is done");
}

#[test]
fn changes_that_risk_the_majority_or_make_no_sense_are_refused() {
    let mut world = World::of(4);
    let leader = world.leader();
    let (dead, alive) = (other_than(leader), other_than(other_than(leader)));
    world.host(dead).down = true;
    world.run_ms(3_000);
    let before = members(&mut world, leader);
    let refused = |world: &mut World, node, wanted| match change(world, node, wanted) {
        Ok(Err(refusal)) => refusal,
        other => panic!("{other:?}"),
    };
    let at_risk = Refusal::QuorumAtRisk { healthy: 1, voters: 2 };
    assert_eq!(refused(&mut world, leader, Change::Remove(NodeId(alive))), at_risk);
    assert_eq!(refused(&mut world, alive, Change::Remove(NodeId(leader))), at_risk);
    let unknown = Refusal::Unknown(NodeId(9));
    assert_eq!(refused(&mut world, alive, Change::Remove(NodeId(9))), unknown);
    let mut taken = joining(dead, None);
    taken.raft_addr = "elsewhere".into();
    assert_eq!(refused(&mut world, alive, Change::Add(taken)), Refusal::Taken(NodeId(dead)));
    let transfer = Ask::Transfer { from: NodeId(leader), to: Some(NodeId(dead)) };
    let verdict = ask(&mut world, alive, transfer).expect("judged");
    assert_eq!(verdict, Err(Refusal::CannotLead(NodeId(dead))));
    assert_eq!(members(&mut world, leader), before);
    // The dead one may go.
    let removed = change(&mut world, alive, Change::Remove(NodeId(dead)));
    assert!(removed.expect("judged").is_ok());
    assert_eq!(members(&mut world, alive).voters.len(), 2);
}

#[test]
fn a_wiped_node_is_replaced_in_one_step_and_ignored_afterwards() {
    let mut world = World::of(4);
    let leader = world.leader();
    let (wiped, alive) = (other_than(leader), other_than(other_than(leader)));
    world.host(wiped).down = true;
    let add = Change::Add(joining(4, Some(wiped)));
    assert!(change(&mut world, alive, add).expect("judged").is_ok());
    world.run_ms(1_000);
    let now = members(&mut world, leader);
    assert_eq!(now.role(NodeId(4)), Some(Role::Voter));
    assert!(now.was_removed(NodeId(wiped)) && now.voters.len() == 3 && !now.is_joint());
    // It comes back as it was, knows nothing of this and asks for votes; nobody listens.
    world.host(wiped).down = false;
    let term = world.host(leader).core.view().term;
    world.run_ms(5_000);
    assert_eq!(world.host(leader).core.view().term, term);
    // Told so, it stops asking.
    world.wire.clear();
    for _ in 0..100 {
        world.now_ms += 50;
        world.input(wiped, Input::Tick);
    }
    assert!(world.wire.is_empty(), "it is silent");
    assert!(world.host(wiped).core.view().removed);
    world.propose(4, 1);
    world.run_ms(300);
    assert_eq!(world.applied_seqs(alive), vec![1]);
}

#[test]
fn leadership_moves_on_request_and_before_a_leader_is_removed() {
    let mut world = World::new();
    let leader = world.leader();
    let to = other_than(leader);
    let transfer = Ask::Transfer { from: NodeId(leader), to: Some(NodeId(to)) };
    assert!(ask(&mut world, leader, transfer).expect("judged").is_ok());
    assert_eq!(world.leader(), to);
    let away = Ask::Transfer { from: NodeId(to), to: None };
    assert!(ask(&mut world, leader, away).expect("judged").is_ok());
    let now = world.leader();
    assert_ne!(now, to);
    world.propose(now, 1);
    let remove = Change::Remove(NodeId(now));
    assert!(change(&mut world, now, remove).expect("judged").is_ok());
    world.run_ms(1_000);
    let next = (1..=3).find(|id| *id != now).expect("two are left");
    assert!(members(&mut world, next).was_removed(NodeId(now)));
    world.propose(next, 2);
    world.run_ms(300);
    assert_eq!(world.applied_seqs(next), vec![1, 2]);
    assert_eq!(
        change(&mut world, next, Change::Remove(NodeId(9))),
        Ok(Err(Refusal::Unknown(NodeId(9))))
    );
}

#[test]
fn without_a_leader_an_operator_is_told_that_nothing_happened() {
    let mut world = World::new();
    let leader = world.leader();
    let alone = other_than(leader);
    for id in (1..=3).filter(|id| *id != alone) {
        world.host(id).down = true;
    }
    world.run_ms(3_000);
    let verdict = change(&mut world, alone, Change::Remove(NodeId(leader)));
    assert_eq!(verdict, Err(NoOutcome::NoLeader));
}

/// It does not happen when an operator asks, since leadership is handed over first; it may when
/// leadership comes back before the change is committed.
#[test]
fn a_leader_that_loses_its_vote_stands_down_at_once() {
    let mut world = World::new();
    let leader = world.leader();
    let change = Change::Remove(NodeId(leader));
    let entry = change.entry(world.host(leader).core.members());
    world.host(leader).core.raw.propose_conf_change(vec![], entry).expect("nothing under way");
    // There is always another append behind the one whose sync is reported.
    world.host(leader).held_appends = Some(Vec::new());
    for seq in 1..=20 {
        world.propose(leader, seq);
        let held = world.host(leader).held_appends.as_mut().expect("appends are held");
        if held.len() > 1 {
            let append = held.remove(0);
            world.release(leader, append);
        }
        if members(&mut world, leader).was_removed(NodeId(leader)) {
            break;
        }
        // Its disk is done with an entry of its own before anybody tells it that it was removed.
        world.deliver_unless(|message| matches!(message, PeerMessage::Removed));
    }
    let held = world.host(leader).held_appends.as_ref().expect("appends are held");
    assert!(held.iter().any(|append| !append.entries.is_empty()), "{held:?}");
    world.release_appends(leader);
    let view = world.host(leader).core.view();
    assert!(!view.is_leader, "{view:?}");
    world.run_ms(2_000);
    let view = world.host(leader).core.view();
    assert!(view.removed && !view.is_leader, "{view:?}");
    let next = other_than(leader);
    assert!(members(&mut world, next).was_removed(NodeId(leader)));
}

#[test]
fn a_node_at_another_address_is_recorded_there_at_level_1_only() {
    for (speaks, recorded) in [(1, true), (0, false)] {
        let mut world = World::speaking(&[speaks; 3]);
        let leader = world.leader();
        // The leader and a follower.
        for id in [leader, other_than(leader)] {
            world.host(id).core.addresses = Some((format!("moved{id}"), None));
        }
        world.run_ms(2_000);
        for id in 1..=3 {
            let now = members(&mut world, id);
            assert!(now.voters.len() == 3 && !now.is_joint());
            for member in &now.members {
                let moved = member.id.0 == leader || member.id.0 == other_than(leader);
                let expected = if moved && recorded { "moved" } else { "n" };
                assert_eq!(member.raft_addr, format!("{expected}{}", member.id), "level {speaks}");
            }
        }
        let verdicts = world.hosts.iter().map(|host| host.verdicts.len()).sum::<usize>();
        assert_eq!(verdicts, 0, "no operator asked");
        let index = members(&mut world, leader).index;
        world.run_ms(2_000);
        assert_eq!(members(&mut world, leader).index, index, "it is asked for once");
    }
}

#[test]
fn only_a_node_itself_says_where_it_is() {
    let mut world = World::speaking(&[1, 1, 1]);
    let leader = world.leader();
    let (liar, other) = (other_than(leader), other_than(other_than(leader)));
    let change = Change::Move { id: NodeId(other), raft_addr: "elsewhere".into(), http_addr: None };
    let message = PeerMessage::Ask { ticket: 7, ask: Ask::Change(change) };
    for from in [liar, other] {
        let messages = vec![message.clone()];
        world.input(leader, Input::Peer { from: NodeId(from), speaks: 1, wall_ms: 0, messages });
        world.deliver();
        let known = members(&mut world, leader).member(NodeId(other)).cloned();
        let expected = if from == other { "elsewhere" } else { &format!("n{other}") };
        assert_eq!(known.expect("a member").raft_addr, expected);
    }
}

#[test]
fn one_peer_alone_ends_no_node() {
    let mut world = World::new();
    let leader = world.leader();
    let mut others = (1..=3).filter(|id| *id != leader);
    let (liar, other) = (others.next().expect("two"), others.next().expect("two"));
    let told = |world: &mut World, from: u64| {
        let messages = vec![PeerMessage::Removed];
        let input = Input::Peer { from: NodeId(from), speaks: 1, wall_ms: 0, messages };
        world.input(leader, input);
        world.input(leader, Input::RemovedBy(NodeId(from)));
        world.host(leader).core.view().removed
    };
    for stranger in [liar, liar, 9, leader] {
        assert!(!told(&mut world, stranger), "{stranger}");
    }
    world.propose(leader, 1);
    world.run_ms(300);
    assert_eq!(world.applied_seqs(leader), vec![1]);
    assert!(told(&mut world, other), "a majority of the others is believed");
}
