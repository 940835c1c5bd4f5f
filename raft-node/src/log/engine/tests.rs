//! The contract of a log for both of its kinds, and what raft-engine's does with its files.

use super::super::memory::MemoryLog;
use super::*;

fn entry(index: u64, term: u64, data: &[u8]) -> Entry {
    Entry { index, term, data: data.to_vec().into(), ..Default::default() }
}

fn hard_state(term: u64) -> HardState {
    HardState { term, vote: 1, ..Default::default() }
}

/// The contract of a log store, run over both.
fn contract(open: &dyn Fn() -> Box<dyn LogStore>) {
    let log = open();
    assert_eq!((log.first_index(), log.last_index()), (1, 0));
    assert_eq!(log.hard_state().expect("readable"), HardState::default());
    let first: Vec<_> = (1..=5).map(|i| entry(i, 1, &[i as u8; 100])).collect();
    log.append(&first, Some(&hard_state(1))).expect("appended");
    assert_eq!((log.first_index(), log.last_index()), (1, 5));
    assert_eq!(log.entries(2, 4, u64::MAX).expect("there"), first[1..3]);
    assert_eq!(log.entries(1, 6, 1).expect("at least one").len(), 1);
    assert!(log.entries(5, 8, u64::MAX).is_err() || log.entries(6, 8, u64::MAX).is_err());
    // A conflicting suffix is replaced, also by a shorter one.
    let second = [entry(3, 2, b"new")];
    log.append(&second, None).expect("appended");
    assert_eq!(log.last_index(), 3);
    assert_eq!(log.entries(3, 4, u64::MAX).expect("there"), second);
    assert_eq!(log.hard_state().expect("readable"), hard_state(1));
    log.append(&[], Some(&hard_state(2))).expect("hard state alone");
    assert_eq!(log.hard_state().expect("readable"), hard_state(2));
    // Memberships are found by the index from which they hold, and replaced by their own.
    assert_eq!(log.members_at(u64::MAX), None);
    log.append_all(&[], None, &[members(0, 3)]).expect("appended");
    let third = [entry(3, 2, b"changed"), entry(4, 2, b"again")];
    log.append_all(&third, None, &[members(3, 4), members(4, 5)]).expect("appended");
    log.append_all(&[], None, &[members(3, 6)]).expect("replaced");
    for (at, voters) in [(0, 3), (2, 3), (3, 6), (4, 5), (99, 5)] {
        assert_eq!(log.members_at(at).expect("known").voters.len(), voters, "at {at}");
    }

    // Cut at the beginning.
    assert_eq!(log.compacted(), (0, 0));
    log.compact(2, 1).expect("cut");
    assert_eq!((log.compacted(), log.first_index(), log.last_index()), ((2, 1), 3, 4));
    assert!(log.entries(2, 4, u64::MAX).is_err());
    assert_eq!(log.entries(3, 5, u64::MAX).expect("there").len(), 2);
    log.compact(1, 1).expect("nothing to do");
    log.compact(4, 2).expect("to its end");
    assert_eq!((log.compacted(), log.first_index(), log.last_index()), ((4, 2), 5, 4));
    log.append(&[entry(5, 2, b"five"), entry(6, 2, b"six")], None).expect("appended");
    assert_eq!((log.last_index(), log.hard_state().expect("readable")), (6, hard_state(2)));

    // Begun anew after a snapshot, which may lie in the middle of what was there.
    log.install(5, 3, None, &members(4, 5)).expect("begun anew");
    assert_eq!((log.compacted(), log.last_index()), ((5, 3), 5));
    assert_eq!(log.hard_state().expect("readable"), hard_state(2));
    assert!(log.entries(5, 6, u64::MAX).is_err() && log.entries(6, 7, u64::MAX).is_err());
    log.append(&[entry(6, 3, b"other")], None).expect("appended");
    log.install(100, 4, Some(&hard_state(4)), &members(60, 2)).expect("begun anew");
    assert_eq!(log.members_at(100), Some(members(60, 2)));
    assert_eq!(log.members_at(59), None);
    assert_eq!((log.first_index(), log.last_index()), (101, 100));
    assert_eq!(log.hard_state().expect("readable"), hard_state(4));
    log.append(&[entry(101, 4, b"next")], None).expect("appended");
    assert_eq!(log.entries(101, 102, u64::MAX).expect("there")[0].term, 4);
}

fn members(index: u64, voters: u64) -> Membership {
    let voters = (1..=voters).map(engine::ids::NodeId).collect();
    Membership { index, voters, ..Membership::default() }
}

#[test]
fn memberships_are_read_back_and_a_log_that_ends_before_one_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let log = EngineLog::open(dir.path(), false).expect("opens");
    let entries: Vec<_> = (1..=2).map(|i| entry(i, 1, b"x")).collect();
    log.append_all(&entries, Some(&hard_state(1)), &[members(0, 3), members(2, 4)])
        .expect("appended");
    drop(log);
    let log = EngineLog::open(dir.path(), true).expect("opens again");
    assert_eq!(log.members_at(1), Some(members(0, 3)));
    assert_eq!(log.members_at(7), Some(members(2, 4)));
    log.append_all(&[], None, &[members(5, 3)]).expect("appended");
    drop(log);
    let opened = EngineLog::open(dir.path(), true);
    assert!(matches!(opened, Err(Error::Lost { last_index: 2, synced_index: 5, .. })));
}

#[test]
fn a_history_keeps_what_some_entry_needs() {
    let mut history = Vec::new();
    for index in [0, 3, 7, 9] {
        assert!(record_members(&mut history, &members(index, 3), 1).is_empty());
    }
    assert_eq!(record_members(&mut history, &members(12, 3), 8), [0, 3]);
    assert_eq!(newest_members(&history, 8), Some(members(7, 3)));
    assert_eq!(newest_members(&history, 6), None, "no checkpoint is so old");
}

#[test]
fn engine_log_and_memory_log_keep_the_contract() {
    contract(&|| Box::new(MemoryLog::default()));
    let dir = tempfile::tempdir().expect("a directory");
    contract(&|| Box::new(EngineLog::open(dir.path(), false).expect("opens")));
}

#[test]
fn a_log_is_read_back_and_a_lost_tail_is_noticed() {
    let dir = tempfile::tempdir().expect("a directory");
    let log = EngineLog::open(dir.path(), false).expect("opens");
    let entries: Vec<_> = (1..=5).map(|i| entry(i, 1, b"x")).collect();
    log.append(&entries, Some(&hard_state(1))).expect("appended");
    log.mark(4, 1).expect("marked");
    drop(log);
    let log = EngineLog::open(dir.path(), false).expect("opens again");
    assert_eq!(log.entries(1, 6, u64::MAX).expect("there"), entries);
    drop(log);
    // Damage in the middle of the only record: raft-engine cuts there, the watermark objects.
    let file = only_log_file(dir.path());
    let mut bytes = std::fs::read(&file).expect("read");
    let middle = bytes.iter().rposition(|byte| *byte == b'x').expect("data is there");
    bytes[middle] ^= 0x40;
    std::fs::write(&file, bytes).expect("written");
    match EngineLog::open(dir.path(), false) {
        Err(Error::Lost { synced_index: 4, .. } | Error::Broken { .. }) => {}
        Err(other) => panic!("another error: {other}"),
        Ok(log) => panic!("opened with last index {}", log.last_index()),
    }
}

#[test]
fn a_log_that_existed_is_never_made_again_and_damage_is_found_by_looking() {
    let dir = tempfile::tempdir().expect("a directory");
    assert!(matches!(EngineLog::open(dir.path(), true), Err(Error::Missing(_))));
    let log = EngineLog::open(dir.path(), false).expect("created");
    let entries: Vec<_> = (1..=5).map(|i| entry(i, 1, &[b'x'; 50])).collect();
    log.append(&entries[..2], Some(&hard_state(1))).expect("appended");
    log.append(&entries[2..], None).expect("appended");
    log.verify(1).expect("sound");
    drop(log);
    // A later record follows, so raft-engine does not take the damage for a torn tail.
    let file = only_log_file(dir.path());
    let mut bytes = std::fs::read(&file).expect("read");
    let first = bytes.iter().position(|byte| *byte == b'x').expect("data is there");
    bytes[first] ^= 0x40;
    std::fs::write(&file, bytes).expect("written");
    if let Ok(log) = EngineLog::open(dir.path(), true) {
        let error = log.verify(1).expect_err("damaged").to_string();
        assert!(error.contains("log-1") && error.contains("index 1"), "{error}");
        log.verify(3).expect("the rest is sound");
    }
}

#[test]
fn what_was_synced_is_never_taken_for_a_torn_end() {
    let dir = tempfile::tempdir().expect("a directory");
    let log = EngineLog::open(dir.path(), false).expect("created");
    for index in 1..=20 {
        log.append(&[entry(index, 1, &[b'x'; 300])], Some(&hard_state(1))).expect("appended");
    }
    drop(log);
    let file = only_log_file(dir.path());
    let sound = std::fs::read(&file).expect("read");
    let end = sound.iter().rposition(|byte| *byte != 0).expect("data") + 1;
    let (mut refused, mut cut, mut found) = (0, 0, 0);
    for at in (0..end).step_by(37) {
        let mut bytes = sound.clone();
        bytes[at] ^= 0x10;
        std::fs::write(&file, &bytes).expect("written");
        // The watermark names nothing yet, so it cannot tell.
        match EngineLog::open(dir.path(), true) {
            Err(error) => {
                assert!(error.is_damage() && error.to_string().contains("byte"), "{error}");
                assert_eq!(std::fs::read(&file).expect("read"), bytes, "nothing was changed");
                refused += 1;
            }
            Ok(log) if log.verify(1).is_err() => found += 1,
            // The last record may as well be the torn end of a write that was never synced.
            Ok(log) => {
                assert!(log.last_index() >= 19, "at {at}: {}", log.last_index());
                cut += 1;
            }
        }
    }
    println!("{refused} refused, {found} found by reading, {cut} truncated");
    assert!(refused > 20 && found > 100 && (1..30).contains(&cut), "{refused} {found} {cut}");
    // A real torn end is truncated.
    for length in [end - 1, end - 100, end - 320] {
        std::fs::write(&file, &sound[..length]).expect("written");
        let log = EngineLog::open(dir.path(), true).expect("opens");
        assert_eq!(log.last_index(), 19);
    }
}

fn only_log_file(dir: &Path) -> PathBuf {
    std::fs::read_dir(dir.join("log-1"))
        .expect("listed")
        .map(|found| found.expect("listed").path())
        .find(|path| path.extension().is_some_and(|ext| ext == "raftlog"))
        .expect("a log file")
}

#[test]
fn a_thread_that_reads_two_logs_is_given_the_entries_of_each() {
    let dirs = [(); 2].map(|()| tempfile::tempdir().expect("a directory"));
    let logs: Vec<_> = (dirs.iter().zip([b'a', b'b']))
        .map(|(dir, byte)| {
            let log = EngineLog::open(dir.path(), false).expect("created");
            // The same lengths at the same places of files of the same number.
            log.append(&[entry(1, 1, &[byte; 50])], Some(&hard_state(1))).expect("appended");
            (log, byte)
        })
        .collect();
    for (log, byte) in logs.iter().chain(&logs) {
        let read = log.entries(1, 2, u64::MAX).expect("readable");
        assert_eq!(read[0].data[..], [*byte; 50]);
    }
}

#[test]
fn a_truncated_or_replaced_log_stays_so_and_its_files_go() {
    let dir = tempfile::tempdir().expect("a directory");
    let open = |existed| EngineLog::open_with(dir.path(), existed, 0).expect("opens");
    let log = open(false);
    let data = vec![7; 64 << 10];
    let (mut next, mut largest) = (1, 0);
    for round in 1..=20 {
        for _ in 0..16 {
            let entries: Vec<_> = (next..next + 2).map(|i| entry(i, round, &data)).collect();
            log.append(&entries, Some(&hard_state(round))).expect("appended");
            next += 2;
        }
        log.compact(next - 5, round).expect("cut");
        log.purge().expect("purged");
        largest = largest.max(log.bytes_on_disk().expect("measured"));
    }
    // 40 MB went through.
    assert!(largest < 8 << 20, "{largest} bytes");
    drop(log);
    let log = open(true);
    assert_eq!((log.compacted(), log.last_index()), ((next - 5, 20), next - 1));
    log.verify(1).expect("sound");
    log.install(1_000, 21, Some(&hard_state(21)), &members(900, 4)).expect("begun anew");
    drop(log);
    let log = open(true);
    assert_eq!((log.compacted(), log.last_index()), ((1_000, 21), 1_000));
    assert_eq!(log.hard_state().expect("readable"), hard_state(21));
    assert_eq!(log.members_at(1_000), Some(members(900, 4)));
    let mut next = 1_001;
    for round in 21..=40 {
        for _ in 0..32 {
            log.append(&[entry(next, round, &data)], None).expect("appended");
            next += 1;
        }
        log.compact(next - 3, round).expect("cut");
        log.purge().expect("purged");
    }
    drop(log);
    let log = open(true);
    assert_eq!((log.compacted(), log.last_index()), ((next - 3, 40), next - 1));
    assert_eq!(log.hard_state().expect("readable"), hard_state(21));
    log.verify(1).expect("sound");
    assert!(log.bytes_on_disk().expect("measured") < 8 << 20);
}

#[test]
fn nine_compactions_remove_the_files_that_are_not_needed() {
    let dir = tempfile::tempdir().expect("a directory");
    let log = EngineLog::open_with(dir.path(), false, 0).expect("opens");
    // Hard state and membership are written once, to the first file.
    log.append_all(&[], Some(&hard_state(1)), &[members(0, 3)]).expect("appended");
    let data = vec![7; 16 << 10];
    let (mut next, kept) = (1, 100);
    for round in 1..=9 {
        for _ in 0..200 {
            log.append(&[entry(next, 1, &data)], None).expect("appended");
            next += 1;
        }
        // More entries stay than raft-engine writes again without being asked often.
        log.compact(next - 1 - kept, 1).expect("cut");
        log.purge().expect("purged");
        let (bytes, needed) = (log.bytes_on_disk().expect("measured"), kept * (16 << 10));
        println!("{bytes} bytes for {needed} after {round}");
        assert!(bytes < needed + (4 << 20), "{bytes} bytes after {round} compactions");
    }
    drop(log);
    let log = EngineLog::open_with(dir.path(), true, 0).expect("opens again");
    assert_eq!(log.hard_state().expect("readable"), hard_state(1));
    assert_eq!(log.members_at(u64::MAX), Some(members(0, 3)));
    assert_eq!((log.compacted().0, log.last_index()), (next - 1 - kept, next - 1));
    log.verify(1).expect("sound");
}

#[test]
fn a_log_that_is_needed_is_not_written_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let log = EngineLog::open_with(dir.path(), false, 0).expect("opens");
    let data = vec![7; 16 << 10];
    for index in 1..=400 {
        log.append(&[entry(index, 1, &data)], Some(&hard_state(1))).expect("appended");
    }
    let before = log.bytes_on_disk().expect("measured");
    for cut in 1..=20 {
        log.compact(cut, 1).expect("cut");
        log.purge().expect("purged");
    }
    let after = log.bytes_on_disk().expect("measured");
    assert!(after < before + (2 << 20), "{before} bytes became {after}");
    let needed = log.needed.lock().bytes();
    assert!((380 * (16 << 10)..=400 * (17 << 10)).contains(&needed), "{needed}");
}

#[test]
fn memory_forgets_what_was_not_synced() {
    let log = MemoryLog::default();
    log.append(&[entry(1, 1, b"a")], Some(&hard_state(1))).expect("appended");
    log.write(&[entry(2, 1, b"b")], Some(&hard_state(2)));
    assert_eq!(log.last_index(), 2);
    log.crash();
    assert_eq!((log.last_index(), log.hard_state().expect("readable").term), (1, 1));
}
