//! Nodes whose data was put back from an older copy, and what their peers remember.

use super::world::core_speaking;
use super::*;
use crate::log::memory::MemoryLog;

/// A cluster of level 1 with some entries that all have, and whose progress all remember.
fn with_entries() -> (World, u64) {
    let mut world = World::speaking(&[1, 1, 1]);
    let leader = world.leader();
    for seq in 1..=5 {
        world.propose(leader, seq);
    }
    world.run_ms(3_000);
    (world, leader)
}

/// Starts a node on this log, as the process of this boot with another random number.
fn restart(world: &mut World, id: u64, log: &MemoryLog, boot: u64) {
    let log = Arc::new(log.copy());
    let core = core_speaking(1, id, boot, &log, 0);
    let host = world.host(id);
    (host.core, host.log, host.boot) = (core, log, boot);
    (host.applied_index, host.down) = (0, false);
    host.core.remembering_run(u64::MAX - boot);
}

fn rolled_back(world: &mut World, id: u64) -> RolledBack {
    world.host(id).rolled_back.expect("a peer has told")
}

#[test]
fn a_node_that_starts_is_heard_once_its_peers_told_what_they_remember() {
    let (mut world, leader) = with_entries();
    let id = other_than(leader);
    let log = world.host(id).log.copy();
    restart(&mut world, id, &log, 2);
    world.run_ms(1_000);
    assert_eq!(world.host(id).rolled_back, None);
    assert_eq!(world.leader(), leader);
    world.propose(id, 6);
    world.run_ms(300);
    let remembered = world.host(leader).log.remembered().of(NodeId(id));
    assert_eq!((remembered.boot, remembered.run), (2, u64::MAX - 2));
    assert!(remembered.index >= 5, "{remembered:?}");
}

#[test]
fn a_log_without_entries_that_a_peer_remembers_votes_for_nobody() {
    let (mut world, leader) = with_entries();
    let id = other_than(leader);
    // The leader, which knows best, is gone. The other one wants to lead.
    world.host(leader).down = true;
    restart(&mut world, id, &MemoryLog::default(), 2);
    world.deliver_unless(|message| !matches!(message, PeerMessage::Raft(_)));
    for _ in 0..200 {
        world.now_ms += 50;
        for node in 1..=3 {
            world.input(node, Input::Tick);
        }
        world.deliver_unless(|message| matches!(message, PeerMessage::Remembered { .. }));
    }
    assert_eq!(world.host(id).log.hard_state().expect("readable").vote, 0, "not introduced");
    assert!((1..=3).all(|node| node == leader || !world.host(node).core.view().leads_in_term));
    world.run_ms(1_000);
    let other = (1..=3).find(|node| *node != id && *node != leader).expect("three");
    match rolled_back(&mut world, id) {
        RolledBack::Entries { peer, acknowledged, last_index: 0, .. } => {
            assert!(peer == NodeId(other) && acknowledged >= 5);
        }
        lost => panic!("{lost:?}"),
    }
}

#[test]
fn a_boot_that_counts_again_is_noticed_though_no_entry_is_missing() {
    let (mut world, leader) = with_entries();
    let id = other_than(leader);
    let log = world.host(id).log.copy();
    for (boot, noticed) in [(3, false), (3, true)] {
        // The second process of boot 3 has the data of boot 2.
        restart(&mut world, id, &log, boot);
        if noticed {
            world.host(id).core.remembering_run(7);
        }
        world.run_ms(1_000);
        assert_eq!(world.host(id).rolled_back.is_some(), noticed, "boot {boot}");
    }
    let RolledBack::Boot { remembered: 3, own: 3, .. } = rolled_back(&mut world, id) else {
        panic!("{:?}", world.host(id).rolled_back)
    };
    restart(&mut world, id, &log, 2);
    world.host(id).rolled_back = None;
    world.run_ms(1_000);
    let lost = rolled_back(&mut world, id);
    assert!(matches!(lost, RolledBack::Boot { remembered: 3, own: 2, .. }), "{lost:?}");
}

#[test]
fn nobody_is_answered_before_its_boot_is_on_disk() {
    let (mut world, leader) = with_entries();
    let id = other_than(leader);
    world.host(leader).held_appends = Some(Vec::new());
    let log = world.host(id).log.copy();
    restart(&mut world, id, &log, 2);
    let about = PeerMessage::About { boot: 2, run: u64::MAX - 2 };
    let ask = |world: &mut World| {
        let messages = vec![about.clone()];
        world.input(leader, Input::Peer { from: NodeId(id), speaks: 1, wall_ms: 0, messages });
        world.wire.iter().filter(|sent| matches!(sent.2, PeerMessage::Remembered { .. })).count()
    };
    world.wire.clear();
    assert_eq!((ask(&mut world), ask(&mut world)), (0, 0));
    world.release_appends(leader);
    assert!(ask(&mut world) > 0);
    assert_eq!(world.host(leader).log.remembered().of(NodeId(id)).boot, 2);
}
