//! Snapshots of real nodes: a follower far behind, a bounded log, a rebuilt state.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use engine::command::{Command, PlaceOrder};
use engine::ids::OrderId;
use engine::order::PaymentMethod;
use engine::outcome::{Outcome, Rejection};
use engine::trace::TraceId;
use raft_node::payment::{SimulatedGateway, SimulatedSettings};
use raft_node::{Config, Handle, Node};
use tokio::task::JoinSet;

use crate::support::{configs, order, product, propose, ready, soon, start, until};

/// Configurations under which snapshots come often and transfers take many parts.
fn eager(dir: &std::path::Path, count: usize) -> Vec<Config> {
    let mut configs = configs(dir, count);
    for config in &mut configs {
        config.checkpoint_interval_ms = 20;
        config.snapshot_log_bytes = 20_000;
        config.snapshot_part_bytes = 1_000;
        config.core.log_margin_entries = 0;
    }
    configs
}

/// Clients that order under keys until they are stopped, on the first of the nodes.
struct Load {
    stop: Arc<AtomicBool>,
    placed: Arc<AtomicU64>,
    clients: JoinSet<()>,
}

impl Load {
    fn start(handle: &Handle) -> Load {
        let (stop, placed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut clients = JoinSet::new();
        for client in 0..8 {
            let (stop, placed) = (Arc::clone(&stop), Arc::clone(&placed));
            let handle = handle.clone();
            clients.spawn(async move {
                for n in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let key = format!("client-{client}-{n}");
                    let order = order(Some(&key), 1, PaymentMethod::None);
                    if handle.propose(order, TraceId::NONE, soon()).await.is_ok() {
                        placed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        Load { stop, placed, clients }
    }

    /// Waits until `more` further orders were placed.
    async fn progress(&self, more: u64) {
        let until_placed = self.placed.load(Ordering::Relaxed) + more;
        until("orders are placed", || self.placed.load(Ordering::Relaxed) >= until_placed).await;
    }

    async fn stop(mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        while self.clients.join_next().await.is_some() {}
        self.placed.load(Ordering::Relaxed)
    }
}

async fn agree(handles: &[Handle]) {
    until("digests agree", || {
        let found: Vec<_> =
            handles.iter().map(Handle::status).map(|s| (s.applied_index, s.digest)).collect();
        found.iter().all(|one| *one == found[0])
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_far_behind_gets_a_snapshot_under_load() {
    let dir = tempfile::tempdir().expect("a directory");
    let configs = eager(dir.path(), 3);
    let mut nodes = Vec::new();
    for config in &configs {
        nodes.push(start(config).await);
    }
    let mut handles: Vec<_> = nodes.iter().map(Node::handle).collect();
    ready(&handles).await;
    propose(&handles[0], product(10_000_000)).await;
    propose(&handles[0], order(Some("first"), 1, PaymentMethod::None)).await;
    let load = Load::start(&handles[0]);
    load.progress(50).await;
    let away = handles.pop().expect("three nodes");
    nodes.pop().expect("three nodes").stop().await;
    let behind = away.metrics().applied_index;
    drop(away);
    // The others cut their logs past what it has.
    until("the logs are cut", || {
        handles.iter().all(|handle| handle.metrics().compacted_index > behind + 10)
    })
    .await;
    let back = start(&configs[2]).await;
    handles.push(back.handle());
    until("a snapshot is installed", || handles[2].metrics().snapshots_installed_total > 0).await;
    ready(&handles).await;
    load.progress(50).await;
    let placed = load.stop().await;
    agree(&handles).await;
    let view = &handles[2];
    assert_eq!(view.read(|state| state.order_by_key("first")), Some(OrderId(1)));
    assert!(view.read(|state| state.order_by_key("client-7-0")).is_some());
    assert!(view.read(|state| state.totals().orders_created) > placed);
    let orders = view.orders(&[OrderId(1), OrderId(40)]).await.expect("read");
    assert_eq!(orders.len(), 2, "rows from before the snapshot can be read");
    // It is as good as the others, also after a restart from its own disk.
    let first = nodes.remove(0);
    drop(handles.remove(0));
    first.stop().await;
    back.stop().await;
    drop(handles.pop());
    let back = start(&configs[2]).await;
    handles.push(back.handle());
    ready(&handles).await;
    propose(&handles[0], order(None, 1, PaymentMethod::None)).await;
    agree(&handles).await;
    for node in nodes.into_iter().chain([back]) {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_stays_small_however_much_goes_through_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut config = eager(dir.path(), 1).remove(0);
    config.snapshot_log_bytes = 256 << 10;
    let node = start(&config).await;
    let handle = node.handle();
    ready(std::slice::from_ref(&handle)).await;
    propose(&handle, product(5)).await;
    propose(&handle, order(Some("used"), 1, PaymentMethod::None)).await;
    // Refused for their key, so that they grow the log and not the state.
    let Command::PlaceOrder(refused) = order(Some("used"), 2, PaymentMethod::None) else {
        panic!("an order is an order");
    };
    let metadata = format!("\"{}\"", "x".repeat(15_000));
    let refused = PlaceOrder { metadata: Some(metadata.into()), ..refused };
    let (mut largest, mut begun) = (0, 0);
    for number in 0..50 {
        if number % 8 == 0 {
            // On a busy machine the files fall behind what is written to memory: 4 MB at most. The
            // log is cut behind the older of two snapshots, for which it has to grow.
            let grow = async {
                while handle.metrics().compacted_index < begun {
                    propose(&handle, Command::PlaceOrder(refused.clone())).await;
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(30), grow).await.expect("the log is cut");
            begun = handle.status().applied_index;
        }
        let mut round = JoinSet::new();
        for _ in 0..32 {
            let (handle, refused) = (handle.clone(), refused.clone());
            round.spawn(async move {
                let applied = propose(&handle, Command::PlaceOrder(refused)).await;
                assert_eq!(applied.outcome, Outcome::Rejected(Rejection::KeyReused));
            });
        }
        while let Some(done) = round.join_next().await {
            done.expect("refused");
        }
        largest = largest.max(handle.metrics().log_bytes);
    }
    // What is written last is measured a second later at the latest.
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    let metrics = handle.metrics();
    println!("{} MB at most, {metrics:?}", largest >> 20);
    assert!(largest.max(metrics.log_bytes) < 12 << 20, "24 MB went through");
    assert!(metrics.snapshots_total > 5 && metrics.compacted_index > 0);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_checkpoint_is_made_again_from_a_snapshot_and_the_log() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = eager(dir.path(), 1).remove(0);
    let node = start(&config).await;
    let handle = node.handle();
    ready(std::slice::from_ref(&handle)).await;
    propose(&handle, product(10_000_000)).await;
    let load = Load::start(&handle);
    until("the log is cut", || handle.metrics().compacted_index > 0).await;
    load.progress(20).await;
    load.stop().await;
    let snapshot = handle.take_snapshot(soon()).await.expect("taken");
    assert_eq!(snapshot.index, handle.status().applied_index);
    assert_eq!(handle.take_snapshot(soon()).await.expect("the same one"), snapshot);
    propose(&handle, order(Some("last"), 1, PaymentMethod::None)).await;
    let before = handle.status();
    node.stop().await;
    drop(handle);
    let snapshots = config.data_dir.join("snapshots");
    let mut files: Vec<_> = std::fs::read_dir(&snapshots)
        .expect("listed")
        .map(|found| found.expect("listed").path())
        .collect();
    files.sort();
    assert_eq!(files.len(), 2, "{files:?}");
    // Once from the newest, and once from the one before it.
    for damaged in [false, true] {
        std::fs::remove_dir_all(config.data_dir.join("state")).expect("removed");
        if damaged {
            let mut bytes = std::fs::read(&files[1]).expect("read");
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            std::fs::write(&files[1], bytes).expect("written");
        }
        let node = start(&config).await;
        let handle = node.handle();
        ready(std::slice::from_ref(&handle)).await;
        assert!(handle.read(|state| state.order_by_key("last")).is_some());
        let orders = handle.read(|state| state.totals().orders_created);
        assert!(orders > 20 && handle.status().applied_index >= before.applied_index);
        node.stop().await;
    }
    // Without any snapshot nothing is left to make it from, and nothing is guessed.
    std::fs::remove_dir_all(config.data_dir.join("state")).expect("removed");
    std::fs::remove_dir_all(&snapshots).expect("removed");
    let gateway = Arc::new(SimulatedGateway::new(SimulatedSettings::default()));
    let refused = Node::start(config, gateway).await.err().expect("refused").to_string();
    assert!(refused.contains("no sound snapshot"), "{refused}");
}
