//! One contract for every store, and the extras of the store in memory.

use engine::checkpoint::CheckpointStore;
use engine::store::Error;
use engine::store::memory::MemoryStore;
use engine::store::sled::SledStore;

fn row(key: &str, value: &str) -> (Vec<u8>, Vec<u8>) {
    (key.into(), value.into())
}

fn all(store: &dyn CheckpointStore, prefix: &str) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    let mut rows = Vec::new();
    store
        .scan(prefix.as_bytes(), &mut |key, value| {
            rows.push((text(key), text(value)));
            Ok(())
        })
        .expect("readable");
    rows
}

/// The contract of a store.
fn keeps_the_contract(store: &dyn CheckpointStore) {
    assert_eq!(store.get(b"a").expect("readable"), None);
    assert_eq!(all(store, ""), []);
    store.sync().expect("an empty store syncs");
    store.stage(vec![row("b2", "two"), row("b1", "one"), row("a", "zero")]).expect("written");
    store.stage(Vec::new()).expect("an empty change is allowed");
    store.sync().expect("synced");
    assert_eq!(store.get(b"a").expect("readable"), Some(b"zero".to_vec()));
    let (a, two) = (row("a", "new"), row("c", "three"));
    store
        .publish(vec![(a.0, Some(a.1)), (b"b1".to_vec(), None), (two.0, Some(two.1))])
        .expect("published");
    store.publish(vec![(b"absent".to_vec(), None)]).expect("removing an absent row is allowed");
    store.publish(Vec::new()).expect("an empty change is allowed");
    store.sync().expect("synced");
    let pair = |key: &str, value: &str| (key.to_string(), value.to_string());
    assert_eq!(all(store, ""), [pair("a", "new"), pair("b2", "two"), pair("c", "three")]);
    assert_eq!(all(store, "b"), [pair("b2", "two")]);
    assert_eq!(all(store, "zz"), []);
    // A value that sled keeps in a file of its own.
    let large = vec![7_u8; 300_000];
    store.stage(vec![(b"large".to_vec(), large.clone())]).expect("written");
    store.sync().expect("synced");
    assert_eq!(store.get(b"large").expect("readable"), Some(large));
    store.stage(vec![row("d1", "x"), row("d2", "x"), row("d3", "x")]).expect("written");
    store.discard(vec![b"d1".to_vec(), b"d3".to_vec(), b"absent".to_vec()]).expect("removed");
    assert_eq!(all(store, "d"), [pair("d2", "x")]);
    store.sync().expect("synced");
    store.publish(vec![(b"large".to_vec(), None)]).expect("published");
    let mut visited = 0;
    let result = store.scan(b"", &mut |_, _| {
        visited += 1;
        Err(Error::Stopped)
    });
    assert!(matches!(result, Err(Error::Stopped)), "a visitor's error ends the scan");
    assert_eq!(visited, 1);
    store.sync().expect("synced");
}

#[test]
fn memory_keeps_the_contract() {
    keeps_the_contract(&MemoryStore::new());
}

#[test]
fn sled_keeps_the_contract_and_its_rows() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("state");
    let store = SledStore::open(&path).expect("opened");
    keeps_the_contract(&store);
    let rows = all(&store, "");
    assert!(store.bytes_on_disk().expect("measured") > 0);
    drop(store);
    let store = SledStore::open(&path).expect("opened again");
    assert_eq!(all(&store, ""), rows);
}

#[test]
fn opening_waits_for_a_store_that_is_closing() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("state");
    let store = SledStore::open(&path).expect("opened");
    std::thread::scope(|scope| {
        let again = scope.spawn(|| SledStore::open(&path));
        drop(store);
        again.join().expect("no panic").expect("opened again");
    });
}

#[test]
fn sled_names_the_path_that_it_cannot_open() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("file");
    std::fs::write(&file, "in the way").expect("written");
    let error = SledStore::open(&file.join("state")).expect_err("a file is not a directory");
    assert!(error.to_string().contains("state"), "{error}");
    assert!(std::error::Error::source(&error).is_some());
}

#[test]
fn a_crash_forgets_what_was_not_synced() {
    let store = MemoryStore::new();
    store.stage(vec![row("a", "1")]).expect("written");
    store.sync().expect("synced");
    let write = |store: &MemoryStore| {
        store.stage(vec![row("b", "1"), row("c", "1")]).expect("written");
        let (key, value) = row("d", "1");
        store.publish(vec![(key, Some(value)), (b"a".to_vec(), None)]).expect("published");
        assert_eq!(store.unsynced(), 3);
    };
    let keys = |store: &MemoryStore| {
        all(store, "").into_iter().map(|(key, _)| key).collect::<Vec<_>>().concat()
    };
    write(&store);
    store.crash(0);
    assert_eq!(keys(&store), "a");
    write(&store);
    store.crash(1);
    assert_eq!(keys(&store), "ab", "staged rows may survive in part");
    write(&store);
    store.crash(3);
    assert_eq!(keys(&store), "bcd", "a publication survives whole");
}

#[test]
fn planned_failures_start_and_end() {
    let store = MemoryStore::new();
    store.fail_after(1);
    store.stage(vec![row("a", "1")]).expect("one more succeeds");
    assert!(matches!(store.sync(), Err(Error::OnPurpose)));
    assert!(store.stage(vec![row("b", "1")]).is_err());
    assert!(store.publish(Vec::new()).is_err());
    store.crash(0);
    store.sync().expect("a new process has a working disk");
    assert_eq!(all(&store, ""), []);
}
