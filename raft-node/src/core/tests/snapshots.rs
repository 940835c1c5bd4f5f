//! Snapshots between cores: a follower far behind gets one part by part, even if messages are lost.

use super::*;
use crate::core::window::{PARTS_MAX, Window};
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
/// state. If that transfer fails, its state is forgotten, so what is reported of it must not be
/// taken for the new one.
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
        world.input(away, Input::Peer { from, speaks: 0, wall_ms, messages: vec![message] });
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
    assert!(!world.host(away).files.contains(&FileTask::Forget), "the transfer goes on");
    // Its last part could not be written, so what was offered meanwhile begins.
    world.input(away, Input::PartWritten(index, false));
    let begins = [FileTask::Forget, FileTask::Begin { from, index, term: 1 }];
    assert!(world.host(away).files.ends_with(&begins), "{:?}", world.host(away).files);
    let installs = |world: &mut World| {
        let held = world.host(away).held_appends.as_ref().expect("appends are held");
        held.iter().any(|append| append.install.is_some())
    };
    world.input(away, Input::SnapshotPrepared(index, true));
    assert!(!installs(&mut world), "its state is forgotten by then");
    let bytes: Vec<u8> = (0..95).collect();
    world.input(away, Input::PartialFound { from, index, offset: 0 });
    hears(&mut world, PeerMessage::SnapshotPart { index, offset: 0, size: 95, bytes });
    world.input(away, Input::PartWritten(index, true));
    world.input(away, Input::SnapshotPrepared(index, true));
    assert!(installs(&mut world));
}

/// A file of any size arrives however long reading a part takes: each part is read once.
#[test]
fn a_sender_that_reads_slowly_says_so_and_reads_nothing_twice() {
    let (mut world, leader, away, mut files, _) = far_behind();
    world.host(away).down = false;
    files.reads_hang = true;
    let mut asked = 0;
    for _ in 0..600 {
        asked += world.host(leader).files.iter().filter(|task| is_send(task)).count();
        files.run_ms(&mut world, 50);
    }
    assert!(world.host(away).core.view().snapshot_receiving, "after half a minute without a part");
    assert_eq!(asked, 0, "the first was taken before, and no other followed");
    assert_eq!(world.host(leader).core.view().snapshots_sending, 1);
    world.host(leader).files.clear();
    // The read that hung ends.
    let index = files.snapshot.as_ref().expect("there is one").0.index;
    let to = NodeId(away);
    world.input(leader, Input::PartSent { to, index, offset: 0, ok: true });
    files.reads_hang = false;
    files.run_ms(&mut world, 8_000);
    assert!(world.host(away).installed.is_some());
    assert_eq!(files.reads, 10, "95 bytes in parts of ten");
}

fn is_send(task: &FileTask) -> bool {
    matches!(task, FileTask::Send { .. })
}

#[test]
fn several_parts_are_under_way_and_what_arrived_before_a_cut_counts() {
    let (mut world, leader, away, mut files, _) = far_behind();
    world.host(away).down = false;
    let mut most = 0;
    while files.received.len() < 40 {
        world.run_ms(50);
        for id in [leader, away] {
            files.perform(&mut world, id);
            world.deliver_round();
        }
        most = most.max(world.host(leader).files.iter().filter(|task| is_send(task)).count());
    }
    assert!(most > 1, "{most} parts are asked for at once");
    world.cut = vec![(away, leader), (leader, away)];
    files.run_ms(&mut world, 30_000);
    assert!(!world.host(away).core.view().snapshot_receiving);
    let (had, reads) = (files.received.len(), files.reads);
    assert!((40..95).contains(&had), "{had} bytes arrived");
    world.cut.clear();
    files.run_ms(&mut world, 20_000);
    assert!(world.host(away).installed.is_some());
    assert!(files.reads - reads <= (95 - had).div_ceil(10), "only the rest was read again");
}

/// The new leader has another file. What the former one sends is as good, and is here in part.
#[test]
fn a_transfer_goes_on_after_a_change_of_leader() {
    let (mut world, leader, away, mut files, index) = far_behind();
    world.host(away).down = false;
    while files.received.len() < 30 {
        world.run_ms(50);
        for id in [leader, away] {
            files.perform(&mut world, id);
            world.deliver_round();
        }
    }
    let next = (1..=3).find(|id| ![leader, away].contains(id)).expect("there are three");
    let from = NodeId(next);
    let mut offer = raft::eraftpb::Message::default();
    offer.set_msg_type(MessageType::MsgSnapshot);
    (offer.from, offer.to) = (next, away);
    let term = world.host(away).core.view().term + 1;
    offer.term = term;
    let about = offer.mut_snapshot().mut_metadata();
    (about.index, about.term) = (index + 1, term);
    about.set_conf_state(founders().conf_state());
    let wall_ms = world.now().wall_ms;
    let messages = vec![PeerMessage::Raft(Box::new(offer))];
    world.input(away, Input::Peer { from, speaks: 0, wall_ms, messages });
    files.run_ms(&mut world, 3_000);
    let installed = world.host(away).installed.clone().expect("the transfer went on");
    assert_eq!(installed.index, index);
}

#[test]
fn a_file_that_the_receiver_cannot_use_is_checked_by_its_sender() {
    let (mut world, leader, away, mut files, index) = far_behind();
    world.host(away).down = false;
    while !world.host(away).files.iter().any(|task| matches!(task, FileTask::Prepare { .. })) {
        world.run_ms(50);
        for id in [leader, away] {
            if !world.host(id).files.iter().any(|task| matches!(task, FileTask::Prepare { .. })) {
                files.perform(&mut world, id);
                world.deliver();
            }
        }
    }
    world.host(away).files.clear();
    world.input(away, Input::SnapshotPrepared(index, false));
    files.run_ms(&mut world, 100);
    assert_eq!(files.verified, [index]);
    assert!(world.host(away).installed.is_none());
}

/// At a round trip of 100 ms, parts of 256 KiB one by one are 2.5 MB a second.
#[test]
fn a_long_round_trip_does_not_bound_the_speed() {
    const PART: u64 = 256 << 10;
    const SIZE: u64 = 256 * PART;
    let mut window = Window::new(0, 0);
    let mut wire: std::collections::VecDeque<(u64, u64)> = std::collections::VecDeque::new();
    wire.extend(window.ask(0).into_iter().map(|offset| (100, offset)));
    let mut now_ms = 0;
    while !window.is_complete() {
        let (at_ms, offset) = wire.pop_front().expect("something is under way");
        now_ms = at_ms;
        let (parts, again) = window.arrived(offset, SIZE, vec![0; PART as usize], now_ms);
        assert_eq!(again, [0; 0], "nothing was lost");
        parts.iter().for_each(|_| window.written());
        assert!(wire.len() < PARTS_MAX);
        wire.extend(window.ask(now_ms).into_iter().map(|offset| (now_ms + 100, offset)));
    }
    let mb_per_s = SIZE as f64 / 1e6 / (now_ms as f64 / 1e3);
    assert!(mb_per_s > 30.0, "{mb_per_s:.1} MB/s");
}
