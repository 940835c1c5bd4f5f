//! Real nodes on loopback: three of them in one process, over real sockets and real disks.

use std::time::Duration;

use engine::command::{CancelOrder, Command};
use engine::ids::{OrderId, ProductId};
use engine::order::{PaymentMethod, Status};
use engine::outcome::{Outcome, Rejection};
use engine::trace::TraceId;
use raft_node::{Config, Handle, Node, ProposeError, ReadError};
use tokio::time::Instant;

use crate::support::{configs, order, product, propose, ready, soon, start, until};

/// Sells on every node of a running cluster, and waits until all is settled.
async fn sell_and_settle(handles: &[Handle]) {
    let created = propose(&handles[0], product(5)).await.outcome;
    assert_eq!(created, Outcome::ProductCreated(ProductId(1)));
    for (i, handle) in handles.iter().enumerate() {
        let applied = propose(handle, order(None, 1, PaymentMethod::Mock)).await;
        assert_eq!(applied.outcome, Outcome::Placed(OrderId(i as u64 + 1)));
        let left = applied.product.expect("one line shows its product").stock.available();
        assert_eq!(left, 4 - i as i64);
    }
    // The same key on every node makes one order; a barrier on any node sees it.
    let first = propose(&handles[0], order(Some("k"), 2, PaymentMethod::None)).await;
    assert_eq!(first.outcome, Outcome::Placed(OrderId(4)));
    for handle in handles {
        let again = propose(handle, order(Some("k"), 2, PaymentMethod::None)).await;
        assert_eq!(again.outcome, Outcome::Replayed(OrderId(4)));
        handle.barrier(soon()).await.expect("a barrier");
        assert_eq!(handle.read(|state| state.order_by_key("k")), Some(OrderId(4)));
    }
    let refused = propose(&handles[2], order(None, 1, PaymentMethod::Mock)).await;
    let Outcome::Rejected(Rejection::InsufficientStock { available: 0, .. }) = refused.outcome
    else {
        panic!("{refused:?}");
    };
    let by_read: u64 = handles.iter().map(|h| h.metrics().refused_without_entry_total).sum();
    assert_eq!(by_read, 1, "a refusal for lack of stock needs no entry");
    let cancel = CancelOrder { order: OrderId(4), reason: None };
    propose(&handles[1], Command::CancelOrder(cancel)).await;

    // An order that waits for a webhook ends at its deadline, on an idle cluster.
    propose(&handles[0], order(None, 1, PaymentMethod::Webhook)).await;
    let settled = |handle: &Handle| {
        handle.read(|state| {
            (1..=3).all(|id| state.order_status(OrderId(id)) == Some(Status::Paid))
                && state.order_status(OrderId(5)) == Some(Status::Cancelled)
        })
    };
    until("all orders settle on all nodes", || handles.iter().all(settled)).await;
    until("digests agree", || {
        let digests: Vec<_> =
            handles.iter().map(Handle::status).map(|s| (s.applied_index, s.digest)).collect();
        digests.iter().all(|digest| *digest == digests[0])
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_sell_and_settle_and_agree_and_come_back() {
    let dir = tempfile::tempdir().expect("a directory");
    let configs = configs(dir.path(), 3);
    let mut nodes = Vec::new();
    for config in &configs {
        nodes.push(start(config).await);
    }
    let mut handles: Vec<_> = nodes.iter().map(Node::handle).collect();
    ready(&handles).await;
    sell_and_settle(&handles).await;

    // A node that is stopped misses what happens and catches up from the log. Its handle goes too:
    // it keeps the data directory open.
    handles.pop();
    nodes.pop().expect("three nodes").stop().await;
    for _ in 0..2 {
        propose(&handles[0], order(None, 1, PaymentMethod::None)).await;
    }
    let back = start(&configs[2]).await;
    let handle = back.handle();
    ready(std::slice::from_ref(&handle)).await;
    handle.barrier(soon()).await.expect("a barrier");
    let stock = handle.read(|state| state.product(ProductId(1)).expect("there").stock);
    assert_eq!((stock.available(), stock.reserved, stock.sold), (0, 2, 3));
    nodes.push(back);
    for node in nodes {
        node.stop().await;
    }
    let late = handle.propose(product(1), TraceId::NONE, soon()).await;
    assert_eq!(late, Err(ProposeError::Stopping));
    drop((handle, handles));

    // All of them start again from their disks.
    let mut nodes = Vec::new();
    for config in &configs {
        nodes.push(start(config).await);
    }
    let handles: Vec<_> = nodes.iter().map(Node::handle).collect();
    ready(&handles).await;
    for handle in &handles {
        handle.barrier(soon()).await.expect("a barrier");
        let orders = handle.orders(&[OrderId(1), OrderId(99), OrderId(7)]).await.expect("read");
        assert_eq!(orders.iter().map(|order| order.id.0).collect::<Vec<_>>(), vec![1, 7]);
    }
    for node in nodes {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_majority_requests_end_in_time_and_say_what_is_known() {
    let dir = tempfile::tempdir().expect("a directory");
    let configs = configs(dir.path(), 3);
    let alone = start(&configs[0]).await;
    let handle = alone.handle();
    let deadline = Instant::now() + Duration::from_millis(300);
    let refused = handle.propose(product(1), TraceId::NONE, deadline).await;
    assert_eq!(refused, Err(ProposeError::NoLeader));
    let deadline = Instant::now() + Duration::from_millis(300);
    assert_eq!(handle.barrier(deadline).await, Err(ReadError::NotInTime));
    let health = handle.health();
    assert!(!health.ready && !health.quorum && health.storage_ok);
    alone.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wiped_node_is_refused_by_those_who_knew_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let configs = configs(dir.path(), 3);
    let mut nodes = Vec::new();
    for config in &configs {
        nodes.push(start(config).await);
    }
    let handles: Vec<_> = nodes.iter().map(Node::handle).collect();
    ready(&handles).await;
    propose(&handles[0], product(5)).await;
    nodes.pop().expect("three nodes").stop().await;
    std::fs::remove_dir_all(&configs[2].data_dir).expect("wiped");
    let wiped = start(&configs[2]).await;
    let deadline = Instant::now() + Duration::from_secs(2);
    assert_eq!(wiped.handle().barrier(deadline).await, Err(ReadError::NotInTime));
    assert_eq!(wiped.handle().status().applied_index, 0);
    propose(&handles[0], order(None, 1, PaymentMethod::None)).await;
    wiped.stop().await;
    for node in nodes {
        node.stop().await;
    }
}

/// Flips a bit in one stored row.
fn spoil_a_row(config: &Config) {
    use engine::checkpoint::CheckpointStore as _;
    let store =
        engine::store::sled::SledStore::open(&config.data_dir.join("state")).expect("opens");
    let mut victim = None;
    store
        .scan(b"", &mut |key, value| {
            victim.get_or_insert((key.to_vec(), value.to_vec()));
            Ok(())
        })
        .expect("scanned");
    let (key, mut value) = victim.expect("a row");
    let last = value.len() - 1;
    value[last] ^= 1;
    store.publish(vec![(key, Some(value))]).expect("spoiled");
    store.sync().expect("synced");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_checkpoint_is_set_aside_and_rebuilt_from_the_log() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut config = configs(dir.path(), 1).remove(0);
    config.checkpoint_interval_ms = 20;
    let node = start(&config).await;
    ready(&[node.handle()]).await;
    propose(&node.handle(), product(5)).await;
    propose(&node.handle(), order(Some("k"), 1, PaymentMethod::None)).await;
    node.stop().await;
    spoil_a_row(&config);
    let node = start(&config).await;
    let handle = node.handle();
    ready(std::slice::from_ref(&handle)).await;
    assert_eq!(handle.read(|state| state.order_by_key("k")), Some(OrderId(1)));
    let aside = std::fs::read_dir(&config.data_dir)
        .expect("listed")
        .filter_map(Result::ok)
        .any(|entry| entry.file_name().to_string_lossy().starts_with("state.damaged"));
    assert!(aside, "the damaged checkpoint is kept for a look");
    node.stop().await;
}
