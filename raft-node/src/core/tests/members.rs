//! Changes of the membership, and what a node that starts again knows of them.

use super::*;
use crate::members::{Change, Role};

fn joining(id: u64, replaces: Option<u64>) -> Member {
    Member {
        id: NodeId(id),
        raft_addr: format!("n{id}"),
        http_addr: None,
        incarnation: Some(id),
        replaces: replaces.map(NodeId),
    }
}

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
    let added = world.host(leader).core.members().clone();
    assert_eq!(added.role(NodeId(4)), Some(Role::Learner));
    assert!(!added.is_joint(), "the leader has ended the joint phase");
    for id in 1..=4 {
        let host = world.host(id);
        assert_eq!(host.core.members(), &added, "node {id}");
        assert_eq!(host.log.members_at(u64::MAX).as_ref(), Some(&added), "node {id}");
        let joint_at = added.index - 1;
        assert!(host.log.members_at(joint_at).is_some_and(|members| members.index == joint_at));
        assert_eq!(host.log.members_at(joint_at - 1), Some(founders()));
    }
    world.propose(4, 1);
    world.run_ms(200);
    assert_eq!(world.applied_seqs(4), vec![1], "a learner takes requests, too");
    propose(&mut world, leader, &Change::Promote(NodeId(4)));
    assert_eq!(world.host(4).core.members().role(NodeId(4)), Some(Role::Voter));
}

#[test]
fn a_node_that_starts_again_replays_the_changes_after_its_checkpoint() {
    let mut world = World::of(4);
    let leader = world.leader();
    propose(&mut world, leader, &Change::Add(joining(4, Some(other_than(leader)))));
    let added = world.host(leader).core.members().clone();
    propose(&mut world, leader, &Change::Promote(NodeId(4)));
    let promoted = world.host(leader).core.members().clone();
    assert!(promoted.was_removed(NodeId(other_than(leader))));
    let log = Arc::clone(&world.host(leader).log);
    for (applied, members) in [
        (0, founders()),
        (added.index - 2, founders()),
        (added.index, added.clone()),
        (promoted.index, promoted.clone()),
    ] {
        let mut core = new_core(leader, 2, &log, applied);
        assert_eq!(core.members(), &members, "at index {applied}");
        assert!(core.commit_index() >= promoted.index, "it knows that they were committed");
        let actions = core.step(Now::default(), []);
        assert_eq!(core.members(), &promoted, "replayed from index {applied}");
        assert_eq!(actions.apply.first().map_or(applied + 1, |entry| entry.index), applied + 1);
        for append in actions.appends {
            let Append { entries, hard_state, members, .. } = append;
            log.append_all(&entries, hard_state.as_ref(), &members).expect("in memory");
        }
        assert_eq!(log.members_at(added.index), Some(added.clone()), "replaying changes nothing");
    }
}

/// The commit index is not synced when it moves alone. A node that has what came after a change
/// must know after a crash that the change was committed: otherwise it could win an election among
/// those who were members before.
#[test]
fn what_follows_a_change_is_never_kept_without_it() {
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
