//! Both kinds of files keep the same contract, and a snapshot counts only when all of it is there.

use engine::entry::Builder;
use engine::ids::{NodeId, Timestamp};
use engine::state::{State, Unobserved};
use engine::store::memory::MemoryStore;

use super::files::{DirectoryFiles, MemoryFiles};
use super::*;

const CLUSTER: [u8; 16] = [3; 16];

fn checkpoint(entries: u64) -> (MemoryStore, State) {
    let (store, mut state) = (MemoryStore::new(), State::new());
    for index in 1..=entries {
        let entry = Builder::new(Timestamp(1_000 + index)).finish();
        state.apply(index, 2, &entry, &mut Unobserved).expect("applied");
    }
    let written = state.freeze().write(&store).expect("written");
    state.release(&written);
    (store, state)
}

fn voters(ids: &[u64]) -> Membership {
    Membership { voters: ids.iter().copied().map(NodeId).collect(), ..Membership::default() }
}

fn take(snapshots: &Snapshots, store: &MemoryStore) -> Meta {
    let draft = snapshots.begin(store, |_| voters(&[1, 2, 3])).expect("begun").expect("published");
    snapshots.finish(draft, store).expect("finished")
}

fn both(test: impl Fn(Arc<dyn Files>)) {
    test(Arc::new(MemoryFiles::default()));
    let dir = tempfile::tempdir().expect("a directory");
    test(Arc::new(DirectoryFiles::open(&dir.path().join("snapshots")).expect("opens")));
}

#[test]
fn a_snapshot_is_taken_found_sent_and_made_into_state_again() {
    both(|files| {
        let snapshots = Snapshots::open(files, CLUSTER).expect("opens");
        let (store, mut state) = checkpoint(9);
        let meta = take(&snapshots, &store);
        assert_eq!((meta.index, meta.term, meta.digest), (9, 2, state.digest()));
        assert_eq!(snapshots.found().expect("listed"), std::slice::from_ref(&meta));
        assert_eq!(snapshots.verify(9).expect("sound"), meta);

        // Another node gets it in parts.
        let other = Snapshots::open(Arc::new(MemoryFiles::default()), CLUSTER).expect("opens");
        let mut offset = 0;
        while let Some((size, part)) = snapshots.part(9, offset, 50).expect("read") {
            other.receive(offset, &part).expect("written");
            offset += part.len() as u64;
            if offset == size {
                break;
            }
            assert_eq!(part.len(), 50);
        }
        assert!(other.received(9, 3).is_err(), "another term");
        assert_eq!(other.received(9, 2).expect("whole"), meta);
        let filled = MemoryStore::new();
        assert_eq!(other.fill(9, &filled).expect("filled").members, voters(&[1, 2, 3]));
        assert_eq!(State::open(&filled).expect("opens").digest(), meta.digest);
        assert_eq!(snapshots.part(8, 0, 50).expect("read"), None);
    });
}

#[test]
fn what_is_not_finished_does_not_count() {
    both(|files| {
        let snapshots = Snapshots::open(Arc::clone(&files), CLUSTER).expect("opens");
        let (store, _) = checkpoint(5);
        let draft = snapshots.begin(&store, |_| voters(&[1])).expect("begun");
        drop(draft);
        snapshots.receive(0, b"some").expect("written");
        assert!(snapshots.receive(5, b"far").is_err(), "a gap");
        snapshots.receive(4, b"more").expect("written");
        assert!(snapshots.received(5, 2).is_err());
        assert_eq!(snapshots.found().expect("listed"), []);
        let snapshots = Snapshots::open(Arc::clone(&files), CLUSTER).expect("opens");
        assert_eq!(files.list().expect("listed"), [""; 0]);
        take(&snapshots, &store);
        let stranger = Snapshots::open(files, [4; 16]).expect("opens");
        assert_eq!(stranger.found().expect("listed"), [], "of another cluster");
        assert!(stranger.verify(5).is_err());
    });
}

#[test]
fn only_what_is_to_be_kept_is_kept_and_damage_is_found() {
    let files = Arc::new(MemoryFiles::default());
    let snapshots = Snapshots::open(Arc::clone(&files) as Arc<dyn Files>, CLUSTER).expect("opens");
    for entries in [3, 5, 8] {
        take(&snapshots, &checkpoint(entries).0);
    }
    snapshots.keep_only(&[5, 8]).expect("removed");
    assert_eq!(snapshots.indexes().expect("listed"), [5, 8]);
    files.damage(&name_of(8), |bytes| bytes[60] ^= 1);
    assert!(matches!(snapshots.verify(8), Err(Error::Damaged { .. })));
    snapshots.fill(8, &MemoryStore::new()).expect_err("damaged");
    snapshots.set_aside(8).expect("renamed");
    assert_eq!(snapshots.indexes().expect("listed"), [5]);
    files.damage(&name_of(5), |bytes| bytes.truncate(bytes.len() - 1));
    assert_eq!(snapshots.found().expect("listed"), [], "its end is missing");
}

#[test]
fn a_loss_of_power_takes_what_was_not_synced() {
    let files = Arc::new(MemoryFiles::default());
    let snapshots = Snapshots::open(Arc::clone(&files) as Arc<dyn Files>, CLUSTER).expect("opens");
    let (store, _) = checkpoint(4);
    let meta = take(&snapshots, &store);
    snapshots.receive(0, b"unsynced").expect("written");
    files.crash(|_| 3);
    assert_eq!(files.size("incoming.new").expect("known"), Some(3));
    assert_eq!(snapshots.verify(4).expect("it was synced"), meta);
    files.fail_after(1);
    assert!(
        snapshots
            .begin(&store, |_| voters(&[1]))
            .and_then(|draft| { snapshots.finish(draft.expect("published"), &store) })
            .is_err()
    );
}
