//! Snapshots between cores: a follower far behind gets one part by part, even if messages are lost.

use super::*;
use crate::core::{FileTask, Install};

/// A leader that cut its log while a follower was away: the leader, the follower, its files.
fn far_behind() -> (World, u64, u64, Files, u64) {
    let (mut world, mut files) = (World::new(), Files::default());
    let leader = world.leader();
    let away = other_than(leader);
    world.host(away).down = true;
    for seq in 1..=30 {
        world.propose(leader, seq);
        world.run_ms(50);
    }
    let first = files.take(&mut world, leader, 0, 95);
    assert_eq!(files.compacted, [], "one snapshot is not enough");
    for seq in 31..=40 {
        world.propose(leader, seq);
        world.run_ms(50);
    }
    let second = files.take(&mut world, leader, first, 95);
    assert_eq!(files.compacted, [], "within the margin");
    // Tests keep no margin from here on.
    world.host(leader).core.config.log_margin_entries = 0;
    files.run_ms(&mut world, 50);
    let cut = &files.compacted[0];
    assert_eq!((cut.0, cut.1), (leader, first), "never past the older one");
    (world, leader, away, files, second)
}

#[test]
fn a_follower_far_behind_gets_a_snapshot_and_then_entries() {
    let (mut world, leader, away, mut files, index) = far_behind();
    world.host(away).down = false;
    files.lose_parts = 2;
    files.run_ms(&mut world, 5_000);
    let host = world.host(away);
    let installed = host.installed.clone().expect("it was installed");
    assert_eq!((installed.index, &installed.members), (index, &founders()));
    assert_eq!(host.log.compacted().0, index);
    world.propose(leader, 99);
    files.run_ms(&mut world, 300);
    assert_eq!(world.applied_seqs(away).last(), Some(&99));
    let view = world.host(leader).core.view();
    assert_eq!((view.snapshots_sending, world.host(away).core.view().snapshots_installed), (0, 1));
}

#[test]
fn requests_that_a_snapshot_may_contain_are_unknown() {
    let (mut world, leader, away, mut files, _) = far_behind();
    world.host(away).down = false;
    // It hears of the leader, forwards, and the leader's log takes it.
    files.lose_parts = usize::MAX;
    files.run_ms(&mut world, 500);
    world.propose(away, 77);
    files.run_ms(&mut world, 500);
    assert!(world.applied_seqs(leader).contains(&77));
    files.lose_parts = 0;
    files.run_ms(&mut world, 5_000);
    assert!(world.host(away).installed.is_some());
    assert_eq!(world.host(away).failed, [(77, NoOutcome::Unknown)]);
}

#[test]
fn a_silent_transfer_times_out_and_starts_again() {
    let (mut world, leader, away, mut files, _) = far_behind();
    world.host(away).down = false;
    files.lose_parts = usize::MAX;
    files.run_ms(&mut world, 3_000);
    assert!(world.host(away).core.view().snapshot_receiving);
    assert_eq!(world.host(leader).core.view().snapshots_sending, 1);
    world.cut = vec![(away, leader)];
    files.run_ms(&mut world, 25_000);
    assert!(files.forgotten >= 1);
    assert!(!world.host(away).core.view().snapshot_receiving);
    world.cut.clear();
    files.lose_parts = 0;
    files.run_ms(&mut world, 15_000);
    assert!(world.host(away).installed.is_some());
}

#[test]
fn a_damaged_snapshot_is_withdrawn_and_a_new_one_requested() {
    let (mut world, leader, away, mut files, index) = far_behind();
    world.input(leader, Input::SnapshotLost(index));
    world.host(away).down = false;
    files.run_ms(&mut world, 1_000);
    assert!(files.wanted >= 1, "raft needs one");
    assert!(world.host(away).installed.is_none());
    files.take(&mut world, leader, index, 95);
    files.run_ms(&mut world, 15_000);
    assert!(world.host(away).installed.is_some());
}

/// Both files of a node may have come from another one, and be of a log that it does not have yet.
#[test]
fn files_that_are_ahead_of_a_log_do_not_cut_it() {
    let (mut world, _, away, mut files, index) = far_behind();
    let cuts = files.compacted.len();
    let (meta, _) = files.snapshot.clone().expect("there is one");
    let host = world.host(away);
    assert!(host.applied_index < index, "it is behind");
    host.core.config.log_margin_entries = 0;
    host.down = false;
    world.input(away, Input::SnapshotTaken(Box::new(meta), index));
    world.input(away, Input::Tick);
    files.perform(&mut world, away);
    assert_eq!(files.compacted.len(), cuts);
    // Once it has the rest of the log, they count.
    files.run_ms(&mut world, 5_000);
    assert_eq!(world.host(away).log.compacted().0, index);
}

/// Before a node stands for election, raft looks through what it has not applied.
#[test]
fn a_snapshot_counts_as_applied_when_an_election_follows_it_at_once() {
    let (mut world, _, away, mut files, index) = far_behind();
    world.host(away).down = false;
    world.host(away).held_appends = Some(Vec::new());
    let mut installed = false;
    for _ in 0..100 {
        files.run_ms(&mut world, 50);
        let held = world.host(away).held_appends.as_mut().map(std::mem::take);
        for append in held.expect("appends are held") {
            let Some(Install { index, term, members }) = &append.install else {
                world.release(away, append);
                continue;
            };
            // A disk that takes longer than an election timeout.
            for _ in 0..100 {
                world.now_ms += 50;
                world.input(away, Input::Tick);
            }
            let log = &world.host(away).log;
            log.install(*index, *term, append.hard_state.as_ref(), members).expect("in memory");
            // The state machine has not said yet that it was applied.
            world.input(away, Input::Persisted(append.number));
            installed = true;
        }
        if installed {
            break;
        }
    }
    assert!(installed && world.host(away).log.compacted().0 == index);
    world.wire.clear();
    for _ in 0..100 {
        world.now_ms += 50;
        world.input(away, Input::Tick);
    }
    let stands = |message: &PeerMessage| {
        let PeerMessage::Raft(message) = message else { return false };
        message.get_msg_type() == MessageType::MsgRequestPreVote
    };
    assert!(world.wire.iter().any(|(_, _, message)| stands(message)));
}

/// A new leader may offer the same snapshot while the file of the old one is being made into a
/// state. That state is forgotten, so what is reported of it must not be taken for the new one.
#[test]
fn a_state_made_for_a_transfer_that_is_over_is_not_installed() {
    let (mut world, leader, away, mut files, index) = far_behind();
    world.host(away).down = false;
    let prepares = |world: &mut World| {
        world.host(away).files.iter().any(|task| matches!(task, FileTask::Prepare { .. }))
    };
    for _ in 0..100 {
        world.run_ms(50);
        for id in [leader, away] {
            if !prepares(&mut world) {
                files.perform(&mut world, id);
                world.deliver();
            }
        }
    }
    assert!(prepares(&mut world), "all parts have arrived");
    let next = (1..=3).find(|id| ![leader, away].contains(id)).expect("there are three");
    let from = NodeId(next);
    let hears = |world: &mut World, message| {
        let wall_ms = world.now().wall_ms;
        world.input(away, Input::Peer { from, wall_ms, messages: vec![message] });
    };
    let mut offer = raft::eraftpb::Message::default();
    offer.set_msg_type(MessageType::MsgSnapshot);
    (offer.from, offer.to) = (next, away);
    offer.term = world.host(away).core.view().term + 1;
    let about = offer.mut_snapshot().mut_metadata();
    (about.index, about.term) = (index, world.hosts[leader as usize - 1].log.term(index).unwrap());
    about.set_conf_state(founders().conf_state());
    offer.mut_snapshot().data = founders().encode().into();
    world.host(away).held_appends = Some(Vec::new());
    hears(&mut world, PeerMessage::Raft(Box::new(offer)));
    assert_eq!(world.host(away).files.last(), Some(&FileTask::Forget));
    let installs = |world: &mut World| {
        let held = world.host(away).held_appends.as_ref().expect("appends are held");
        held.iter().any(|append| append.install.is_some())
    };
    world.input(away, Input::SnapshotPrepared(index, true));
    assert!(!installs(&mut world), "its state is forgotten by then");
    let bytes: Vec<u8> = (0..95).collect();
    hears(&mut world, PeerMessage::SnapshotPart { index, offset: 0, size: 95, bytes });
    world.input(away, Input::PartWritten(index, true));
    world.input(away, Input::SnapshotPrepared(index, true));
    assert!(installs(&mut world));
}
