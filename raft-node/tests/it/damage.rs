//! One node whose files are damaged while it is down: it comes back with everything, or says what
//! to do.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::checkpoint::CheckpointStore;
use engine::order::PaymentMethod;
use engine::store::sled::SledStore;
use raft_node::payment::{SimulatedGateway, SimulatedSettings};
use raft_node::verify::{Notebook, verify};
use raft_node::{Config, Node, StartError};

use crate::files::{change, copy};
use crate::support::{configs, order, product, propose, ready, start};

const ORDERS: u64 = 40;

/// A node that sold for a while and was stopped.
async fn sold(dir: &Path) -> Config {
    let mut config = configs(dir, 1).remove(0);
    config.checkpoint_interval_ms = 20;
    let node = start(&config).await;
    let handle = node.handle();
    ready(std::slice::from_ref(&handle)).await;
    propose(&handle, product(1_000)).await;
    for number in 0..ORDERS {
        let key = format!("early-{number}");
        propose(&handle, order(Some(&key), 1, PaymentMethod::None)).await;
    }
    drop(handle);
    node.stop().await;
    config
}

/// Starts it and checks that it has all orders; gives the node.
async fn whole(config: &Config) -> Node {
    let node = start(config).await;
    let handle = node.handle();
    ready(std::slice::from_ref(&handle)).await;
    let known = handle.read(|state| {
        (0..ORDERS).filter(|n| state.order_by_key(&format!("early-{n}")).is_some()).count()
    });
    assert_eq!(known as u64, ORDERS);
    node
}

async fn refusal(config: &Config) -> StartError {
    let gateway = Arc::new(SimulatedGateway::new(SimulatedSettings::default()));
    Node::start(config.clone(), gateway).await.err().expect("refused")
}

fn aside(config: &Config) -> Vec<PathBuf> {
    let found = fs::read_dir(&config.data_dir).expect("listed");
    let found = found.map(|entry| entry.expect("listed").path());
    found.filter(|path| path.to_string_lossy().contains("state.damaged-")).collect()
}

/// Flips a bit in the record of the log that has the order of this key.
fn damage_entry(config: &Config, key: &str) {
    let found = fs::read_dir(config.data_dir.join("raft/log-1")).expect("listed");
    let mut files = found.map(|entry| entry.expect("listed").path());
    let file = files.find(|path| path.extension().is_some_and(|end| end == "raftlog"));
    change(&file.expect("a log"), |bytes| {
        let at = bytes.windows(key.len()).position(|window| window == key.as_bytes());
        bytes[at.expect("the entry is there")] ^= 0x10;
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_that_killed_the_process_that_opened_it_is_set_aside_and_made_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = sold(dir.path()).await;
    let marker = config.data_dir.join("opening");
    assert!(!marker.exists(), "it goes when the state is open");
    for round in 1..=5 {
        fs::write(&marker, "state").expect("written");
        whole(&config).await.stop().await;
        assert!(!marker.exists());
        assert_eq!(aside(&config).len(), round.min(3), "no more than three are kept");
    }
    // A marker of a state that is gone means nothing, nor does a sound start leave one.
    let before = aside(&config);
    fs::write(&marker, "state-17").expect("written");
    whole(&config).await.stop().await;
    assert_eq!(aside(&config), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_of_a_newer_build_stays_where_it_is() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = sold(dir.path()).await;
    let row = |level: u32| Some(engine::codec::encode_row(1, &(level, [7_u8; 32])));
    let publish = |row| {
        let store = SledStore::open(&config.data_dir.join("state")).expect("opens");
        let before = store.get(b"level").expect("readable");
        store.publish(vec![(b"level".to_vec(), row)]).expect("published");
        store.sync().expect("synced");
        before
    };
    let before = publish(row(99));
    let error = refusal(&config).await;
    assert!(error.to_string().contains("the checkpoint is at level 99"), "{error}");
    assert!(!error.is_damage(), "rebuilding it would lose it");
    assert_eq!(aside(&config), Vec::<PathBuf>::new());
    // The newer build finds everything.
    publish(before);
    whole(&config).await.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_damaged_anywhere_in_the_checkpoint_cost_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = sold(dir.path()).await;
    let sound = dir.path().join("sound");
    copy(&config.data_dir, &sound);
    let bytes = fs::read(sound.join("state/db")).expect("read");
    let written: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
    let mut noticed = 0;
    for place in 0..12 {
        fs::remove_dir_all(&config.data_dir).expect("removed");
        copy(&sound, &config.data_dir);
        let at = written[written.len() * place / 12];
        change(&config.data_dir.join("state/db"), |bytes| {
            let end = (at + 4096).min(bytes.len());
            bytes[at..end].fill(0x5a);
        });
        let scratch = tempfile::tempdir().expect("a directory");
        let report = verify(&config.data_dir, scratch.path(), &Notebook::default());
        noticed += u32::from(!report.expect("nobody uses it").is_sound());
        whole(&config).await.stop().await;
    }
    println!("{noticed} of 12 places were noticed");
    assert!(noticed > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_damaged_where_the_checkpoint_holds_everything_is_truncated_behind_a_snapshot() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = sold(dir.path()).await;
    damage_entry(&config, "early-7");
    let node = whole(&config).await;
    let metrics = node.handle().metrics();
    assert!(metrics.compacted_index > 0 && metrics.snapshot_index >= metrics.compacted_index);
    propose(&node.handle(), order(Some("later"), 1, PaymentMethod::None)).await;
    node.stop().await;
    // Nothing of the damage is needed any more, not even when the checkpoint is lost.
    fs::remove_dir_all(config.data_dir.join("state")).expect("removed");
    let node = whole(&config).await;
    assert!(node.handle().read(|state| state.order_by_key("later")).is_some());
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_damaged_where_nothing_else_holds_it_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = sold(dir.path()).await;
    damage_entry(&config, "early-7");
    fs::remove_dir_all(config.data_dir.join("state")).expect("removed");
    for _ in 0..2 {
        let refused = refusal(&config).await;
        assert!(refused.is_damage(), "{refused}");
        assert!(refused.to_string().contains("is damaged at or after index"), "{refused}");
    }
}
