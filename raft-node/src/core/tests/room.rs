//! Nodes that are short of disk space: what they refuse, and who leads.

use super::*;
use crate::log::LogStore as _;

#[test]
fn without_room_writes_are_refused_reads_go_on_and_leadership_moves() {
    let mut world = World::new();
    let leader = world.leader();
    let others: Vec<u64> = (1..=3).filter(|id| *id != leader).collect();
    // One follower alone: it refuses its own clients, the rest go on.
    world.input(others[0], Input::Space(Space::Low));
    world.deliver();
    world.propose(others[0], 1);
    assert_eq!(world.host(others[0]).failed, [(1, NoOutcome::StorageFull)]);
    world.propose(others[1], 1);
    world.deliver();
    assert!(world.host(others[1]).failed.is_empty());
    assert!(world.host(others[0]).applied_index >= 2, "a follower with a reserve keeps up");
    // The leader too: it hands over to the one that has room, which cannot commit without them and
    // takes nothing either.
    world.input(leader, Input::Space(Space::Low));
    world.run_ms(3_000);
    assert_eq!(world.leader(), others[1], "the one with room leads");
    for id in 1..=3 {
        world.run_ms(50);
        world.host(id).failed.clear();
        world.propose(id, 50);
        world.deliver();
        assert_eq!(world.host(id).failed, [(50, NoOutcome::StorageFull)], "node {id}");
        world.input(id, Input::Read { ticket: 7, deadline_ms: u64::MAX });
        world.deliver();
        assert!(world.host(id).reads_ready.iter().any(|it| it.tickets == [7]), "node {id} reads");
    }
    // A freed disk is enough.
    world.input(leader, Input::Space(Space::Ample));
    world.deliver();
    world.host(leader).failed.clear();
    world.propose(leader, 60);
    world.deliver();
    assert!(world.host(leader).failed.is_empty());
}

#[test]
fn a_disk_that_is_all_but_full_takes_no_entries_until_there_is_room() {
    let mut world = World::new();
    let leader = world.leader();
    let full = (1..=3).find(|id| *id != leader).expect("there are others");
    world.input(full, Input::Space(Space::Exhausted));
    let before = world.host(full).log.last_index();
    world.propose(leader, 1);
    world.run_ms(1_000);
    assert_eq!(world.host(full).log.last_index(), before, "nothing was appended");
    assert_eq!(world.leader(), leader, "nobody took the silence for a failure");
    world.input(full, Input::Space(Space::Ample));
    world.run_ms(1_000);
    let whole = world.host(leader).log.last_index();
    assert_eq!(world.host(full).log.last_index(), whole);
}

#[test]
fn nodes_refuse_new_rows_once_a_majority_is_short_of_memory() {
    let mut world = World::new();
    let full = |world: &mut World, id: u64| world.host(id).core.view().is_memory_full;
    world.input(1, Input::MemoryFull(true));
    world.run_ms(50);
    assert_eq!([1, 2, 3].map(|id| full(&mut world, id)), [true, false, false]);
    world.input(2, Input::MemoryFull(true));
    // They say it again and again, and are believed for as long.
    world.run_ms(10_000);
    assert_eq!([1, 2, 3].map(|id| full(&mut world, id)), [true; 3]);
    let leader = world.leader();
    world.propose(leader, 1);
    world.deliver();
    assert!(world.host(leader).failed.is_empty(), "what adds no rows goes on");
    world.input(1, Input::MemoryFull(false));
    world.run_ms(50);
    assert_eq!([1, 2, 3].map(|id| full(&mut world, id)), [false, true, false]);
}

#[test]
fn a_node_whose_checkpoint_hangs_does_not_lead_and_goes_on_voting() {
    let mut world = World::new();
    let leader = world.leader();
    world.input(leader, Input::StoreWaits(Some(1)));
    world.run_ms(4_000);
    assert_eq!(world.leader(), leader, "a slow disk may need that long");
    world.run_ms(3_000);
    let successor = world.leader();
    assert_ne!(successor, leader);
    let view = world.host(leader).core.view();
    assert!(view.is_stalled && view.stalled_ms >= 5_000, "{} ms", view.stalled_ms);
    world.propose(leader, 1);
    assert_eq!(world.host(leader).failed, [(1, NoOutcome::Stalled)]);
    // Its log works, so it still makes a majority with the successor.
    let gone = (1..=3).find(|id| ![leader, successor].contains(id)).expect("there are three");
    world.host(gone).down = true;
    world.propose(successor, 2);
    world.run_ms(300);
    assert_eq!(world.applied_seqs(leader), [2]);
    // Another write to the checkpoint shows that the disk works.
    world.input(leader, Input::StoreWaits(Some(2)));
    world.run_ms(100);
    assert!(!world.host(leader).core.view().is_stalled);
}
