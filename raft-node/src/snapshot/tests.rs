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
        let send = || {
            let mut offset = other.begin_receiving(NodeId(1), 9, 2).expect("made");
            assert_eq!(offset, 0);
            while let Some((size, part)) = snapshots.part(9, offset, 50).expect("read") {
                other.receive(offset, &part).expect("written");
                offset += part.len() as u64;
                if offset == size {
                    break;
                }
                assert_eq!(part.len(), 50);
            }
        };
        send();
        assert!(other.received(9, 3).is_err(), "another term");
        send();
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
        assert!(snapshots.receive(0, b"some").is_err(), "none was begun");
        assert_eq!(snapshots.begin_receiving(NodeId(2), 5, 2).expect("made"), 0);
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
fn a_transfer_goes_on_where_it_stopped_even_after_a_restart() {
    both(|files| {
        let sender = Snapshots::open(Arc::new(MemoryFiles::default()), CLUSTER).expect("opens");
        let meta = take(&sender, &checkpoint(9).0);
        let (_, whole) = sender.part(9, 0, 1 << 20).expect("read").expect("it is there");
        let receiver = Snapshots::open(Arc::clone(&files), CLUSTER).expect("opens");
        let cut = whole.len() - 10;
        assert_eq!(receiver.begin_receiving(NodeId(1), 9, 2).expect("made"), 0);
        receiver.receive(0, &whole[..cut]).expect("written");
        let here = receiver.begin_receiving(NodeId(1), 9, 2).expect("known");
        assert_eq!(here, cut as u64, "within a process every byte counts");
        // After a restart whole blocks count.
        let receiver = Snapshots::open(Arc::clone(&files), CLUSTER).expect("opens");
        let here = receiver.begin_receiving(NodeId(1), 9, 2).expect("read") as usize;
        assert!((1..cut).contains(&here), "{here} of {cut} bytes");
        receiver.receive(here as u64, &whole[here..]).expect("written");
        assert_eq!(receiver.received(9, 2).expect("whole"), meta);
        // The file of another node, and of another term, are other files.
        receiver.begin_receiving(NodeId(1), 12, 2).expect("made");
        receiver.receive(0, &whole[..cut]).expect("written");
        assert_eq!(receiver.begin_receiving(NodeId(2), 12, 2).expect("made"), 0);
        receiver.receive(0, &whole[..cut]).expect("written");
        let receiver = Snapshots::open(files, CLUSTER).expect("opens");
        assert_eq!(receiver.begin_receiving(NodeId(2), 12, 2).expect("read"), 0, "of index 9");
    });
}

#[test]
fn a_file_is_read_to_its_end_once_before_it_is_sent() {
    let files = Arc::new(MemoryFiles::default());
    let snapshots = Snapshots::open(Arc::clone(&files) as Arc<dyn Files>, CLUSTER).expect("opens");
    let meta = take(&snapshots, &checkpoint(5).0);
    assert_eq!(snapshots.unverified_bytes(5).expect("known"), 0, "its writer read it back");
    let snapshots = Snapshots::open(Arc::clone(&files) as Arc<dyn Files>, CLUSTER).expect("opens");
    assert_eq!(snapshots.unverified_bytes(5).expect("known"), meta.bytes);
    snapshots.verify_once(5).expect("sound");
    assert_eq!(snapshots.unverified_bytes(5).expect("known"), 0);
    files.damage(&name_of(5), |bytes| bytes.truncate(bytes.len() - 1));
    snapshots.verify_once(5).expect_err("it has another size");
}

#[test]
fn a_file_that_is_being_sent_is_not_removed() {
    let files = Arc::new(MemoryFiles::default());
    let snapshots = Snapshots::open(Arc::clone(&files) as Arc<dyn Files>, CLUSTER).expect("opens");
    for entries in [3, 5, 8] {
        take(&snapshots, &checkpoint(entries).0);
    }
    snapshots.begin_receiving(NodeId(2), 4, 2).expect("made");
    snapshots.hold(BTreeSet::from([3]));
    snapshots.keep_only(&[8]).expect("removed");
    assert_eq!(snapshots.indexes().expect("listed"), [3, 8]);
    snapshots.hold(BTreeSet::new());
    snapshots.keep_only(&[8]).expect("removed");
    assert_eq!(snapshots.indexes().expect("listed"), [8]);
    let incoming = |name: &String| name.starts_with("incoming");
    assert!(files.list().expect("listed").iter().any(incoming), "it is being received");
    let snapshots = Snapshots::open(Arc::clone(&files) as Arc<dyn Files>, CLUSTER).expect("opens");
    snapshots.keep_only(&[8]).expect("removed");
    assert!(!files.list().expect("listed").iter().any(incoming), "nobody needs it any more");
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
    snapshots.begin_receiving(NodeId(2), 9, 2).expect("made");
    snapshots.receive(0, b"unsynced").expect("written");
    files.crash(|_| 3);
    let incoming = files.list().expect("listed").into_iter().find(|name| name.contains("coming"));
    assert_eq!(files.size(&incoming.expect("it is there")).expect("known"), Some(3));
    assert_eq!(snapshots.verify(4).expect("it was synced"), meta);
    files.fail_after(1);
    assert!(
        snapshots
            .begin(&store, |_| voters(&[1]))
            .and_then(|draft| { snapshots.finish(draft.expect("published"), &store) })
            .is_err()
    );
}
