//! Raising the level: when a leader proposes it, and who may join afterwards.

use ::engine::command::Command;

use super::members::ask;
use super::*;
use crate::members::{Ask, Change, Refusal, Verdict};

/// The levels that every node has applied.
fn levels(world: &mut World) -> Vec<u32> {
    world.hosts.iter().map(|host| host.level).collect()
}

fn raise(world: &mut World, node: u64) -> Verdict {
    ask(world, node, Ask::Raise { to: 1 }).expect("judged")
}

fn refused(node: u64, speaks: u32) -> Verdict {
    Err(Refusal::Speaks { node: NodeId(node), speaks, needs: 1 })
}

#[test]
fn a_new_cluster_begins_at_the_newest_level_before_any_other_command() {
    let mut world = World::speaking(&[1, 1, 1]);
    let leader = world.leader();
    world.propose(leader, 1);
    world.run_ms(1_000);
    assert_eq!(levels(&mut world), [1, 1, 1]);
    for host in &world.hosts {
        assert!(matches!(host.applied[0].command, Command::RaiseLevel(_)), "{:?}", host.applied);
        let raises = host.applied.iter().filter(|it| matches!(it.command, Command::RaiseLevel(_)));
        assert_eq!(raises.count(), 1, "later leaders have no reason to");
    }
}

#[test]
fn a_new_cluster_with_an_old_build_in_it_begins_at_level_0() {
    let mut world = World::speaking(&[1, 1, 0]);
    let leader = world.leader();
    world.propose(leader, 1);
    world.run_ms(1_000);
    assert_eq!(levels(&mut world), [0, 0, 0]);
}

/// A cluster that old builds founded, whose nodes now speak these levels.
fn upgraded(speak: &[u32]) -> (World, u64) {
    let mut world = World::of(speak.len() as u64);
    let leader = world.leader();
    world.propose(leader, 1);
    world.run_ms(500);
    for (host, speaks) in world.hosts.iter_mut().zip(speak) {
        host.speaks = *speaks;
        host.core.levels.speaks = *speaks;
    }
    world.run_ms(500);
    (world, leader)
}

#[test]
fn the_level_is_raised_when_every_member_speaks_it_and_was_heard() {
    for asked in 1..=3 {
        let (mut world, leader) = upgraded(&[1, 1, 1]);
        assert_eq!(levels(&mut world), [0, 0, 0], "nobody asked");
        let silent = other_than(leader);
        world.host(silent).down = true;
        world.run_ms(3_500);
        assert_eq!(raise(&mut world, leader), Err(Refusal::NotHeard(NodeId(silent))));
        world.host(silent).down = false;
        world.run_ms(1_000);
        assert!(raise(&mut world, asked).is_ok());
        world.run_ms(500);
        assert_eq!(levels(&mut world), [1, 1, 1]);
        assert!(raise(&mut world, asked).is_ok(), "asked again, it is done");
        let refusal = ask(&mut world, leader, Ask::Raise { to: 2 }).expect("judged");
        let newest = Refusal::Speaks { node: NodeId(leader), speaks: 1, needs: 2 };
        assert_eq!(refusal, Err(newest));
    }
}

#[test]
fn one_member_with_an_old_build_prevents_a_raise_whether_it_leads_or_learns() {
    for old in 1..=3 {
        let mut speak = [1, 1, 1];
        speak[old - 1] = 0;
        let (mut world, leader) = upgraded(&speak);
        let asked = if leader == old as u64 { other_than(leader) } else { leader };
        assert_eq!(raise(&mut world, asked), refused(old as u64, 0));
    }
    // A learner that is behind, and has no vote yet.
    let (mut world, leader) = upgraded(&[1, 1, 1, 0]);
    world.cut = vec![(leader, 4)];
    let verdict = ask(&mut world, leader, Ask::Add { member: joining(4, None), speaks: 0 });
    assert!(verdict.expect("judged").is_ok());
    for seq in 2..200 {
        world.propose(leader, seq);
    }
    world.run_ms(500);
    let verdict = raise(&mut world, leader);
    assert!(
        verdict == refused(4, 0) || verdict == Err(Refusal::NotHeard(NodeId(4))),
        "{verdict:?}"
    );
}

#[test]
fn after_a_raise_only_builds_that_speak_the_level_join() {
    let (mut world, leader) = upgraded(&[1, 1, 1, 1]);
    assert!(raise(&mut world, leader).is_ok());
    let add = |speaks| Ask::Add { member: joining(4, None), speaks };
    for asked in 1..=3 {
        assert_eq!(ask(&mut world, asked, add(0)).expect("judged"), refused(4, 0));
        // As an old build asks for itself.
        let old = Ask::Change(Change::Add(joining(4, None)));
        assert_eq!(ask(&mut world, asked, old).expect("judged"), refused(4, 0));
    }
    assert!(ask(&mut world, leader, add(1)).expect("judged").is_ok());
    world.run_ms(1_000);
    assert_eq!(levels(&mut world), [1, 1, 1, 1]);
}

#[test]
fn while_a_raise_is_proposed_nobody_is_added() {
    let (mut world, leader) = upgraded(&[1, 1, 1, 0]);
    // The raise is in the leader's log alone.
    world.cut = (1..=3).filter(|id| *id != leader).map(|id| (leader, id)).collect();
    let deadline_ms = world.now_ms + 60_000;
    world.input(leader, Input::Ask { ticket: 1, ask: Ask::Raise { to: 1 }, deadline_ms });
    let add = Ask::Add { member: joining(4, None), speaks: 0 };
    world.input(leader, Input::Ask { ticket: 2, ask: add, deadline_ms });
    world.run_ms(200);
    assert!(world.host(leader).verdicts.is_empty(), "{:?}", world.host(leader).verdicts);
    world.cut.clear();
    world.run_ms(1_000);
    let verdicts = std::mem::take(&mut world.host(leader).verdicts);
    let added = verdicts.iter().find(|(ticket, _)| *ticket == 2).map(|(_, verdict)| verdict);
    assert_eq!(added, Some(&Ok(refused(4, 0))), "{verdicts:?}");
}
