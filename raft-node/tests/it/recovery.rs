//! New clusters of one node: from a backup, and from what outlived a majority.

use std::fs;
use std::io::Read as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::actor::Actor;
use engine::entry::Builder;
use engine::ids::{NodeId, OrderId, Timestamp};
use engine::level;
use engine::order::{PaymentMethod, Status};
use engine::outcome::{Outcome, Rejection};
use engine::state::OrderLookup;
use engine::trace::TraceId;
use raft::eraftpb::Entry;
use raft_node::directory::identity;
use raft_node::log::LogStore as _;
use raft_node::log::engine::EngineLog;
use raft_node::payment::{SimulatedGateway, SimulatedSettings};
use raft_node::recovery::{self, Error, Restore};
use raft_node::snapshot::backup;
use raft_node::{Config, Handle, Join, Node, verify};

use crate::support::{configs, order, product, propose, ready, soon, start, until};

/// Writes a backup of a running node to a file.
async fn back_up(handle: &Handle, path: &Path) -> raft_node::Backup {
    handle.barrier(soon()).await.expect("a majority");
    let mut backup = handle.backup(soon()).await.expect("taken");
    let mut bytes = Vec::new();
    backup.reader.read_to_end(&mut bytes).expect("read");
    assert_eq!(bytes.len() as u64, backup.meta.bytes);
    fs::write(path, bytes).expect("written");
    backup
}

fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound").to_string()
}

fn into(dir: &Path, file: &Path) -> Restore {
    Restore {
        file: file.to_owned(),
        data: dir.join("restored"),
        node: NodeId(1),
        cluster_name: "copy".into(),
        raft_addr: free_address(),
        http_addr: None,
    }
}

/// The configuration of a restored node, which finds the rest in its data.
fn config_of(restored: &Restore) -> Config {
    let mut config = Config::new(restored.node, &restored.data);
    config.cluster_name.clone_from(&restored.cluster_name);
    config.raft_addr = restored.raft_addr.parse().expect("an address");
    config.checkpoint_interval_ms = 20;
    config
}

/// Starts a new node that joins through a member.
async fn join(member: &Handle, id: u64, dir: &Path, cluster_name: &str) -> Node {
    let mut config = Config::new(NodeId(id), dir.join(format!("joined-{id}")));
    config.cluster_name = cluster_name.into();
    config.raft_addr = free_address().parse().expect("an address");
    config.advertise_raft = config.raft_addr.to_string();
    config.checkpoint_interval_ms = 20;
    let incarnation = identity::begin_join(&config).expect("drawn");
    let added = raft_node::members::Member {
        id: config.node_id,
        raft_addr: config.raft_addr.to_string(),
        http_addr: None,
        incarnation,
        replaces: None,
    };
    let verdict = member.add_member(added, level::NEWEST, soon()).await.expect("judged");
    verdict.expect("taken in");
    let info: Join = member.join_info();
    config.join = Some(info);
    start(&config).await
}

fn votes(handle: &Handle) -> Vec<u64> {
    handle.members().voters.iter().map(|id| id.0).collect()
}

async fn placed(handle: &Handle, key: &str) -> OrderId {
    match propose(handle, order(Some(key), 1, PaymentMethod::Mock)).await.outcome {
        Outcome::Placed(id) => id,
        other => panic!("not placed: {other:?}"),
    }
}

/// A node alone that has sold something under the keys `before-0`, `before-1` and so on.
async fn sold(dir: &Path, orders: u64) -> (Config, Node) {
    let mut config = configs(dir, 1).remove(0);
    config.checkpoint_interval_ms = 20;
    let node = start(&config).await;
    let handle = node.handle();
    ready(std::slice::from_ref(&handle)).await;
    propose(&handle, product(1_000)).await;
    for number in 0..orders {
        placed(&handle, &format!("before-{number}")).await;
    }
    (config, node)
}

fn status_of(handle: &Handle, id: OrderId) -> Status {
    handle.read(|state| state.order_status(id)).expect("there is such an order")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_becomes_a_cluster_of_its_own_that_others_join() {
    let dir = tempfile::tempdir().expect("a directory");
    let (_, node) = sold(dir.path(), 50).await;
    let source = node.handle();
    let file = dir.path().join("backup");
    let taken = back_up(&source, &file).await;
    let after = placed(&source, "after").await;
    let about = backup::check(&file).expect("sound");
    assert_eq!((about.index, about.digest), (taken.meta.index, taken.meta.digest));
    assert_eq!((about.cluster_name.as_str(), about.voters.len()), ("holdfast", 1));

    let wanted = into(dir.path(), &file);
    let same_name = Restore { cluster_name: "holdfast".into(), ..wanted.clone() };
    assert!(matches!(recovery::restore(&same_name), Err(Error::SameName(_))));
    let begun = recovery::restore(&wanted).expect("restored");
    assert_eq!((begun.index, begun.digest), (taken.meta.index, taken.meta.digest));
    assert_eq!((begun.orders, begun.products), (50, 1));
    assert_ne!(begun.cluster_id, source.status().cluster_id);
    assert!(matches!(recovery::restore(&wanted), Err(Error::NotEmpty { .. })), "not twice");

    let copy = start(&config_of(&wanted)).await;
    let handle = copy.handle();
    ready(std::slice::from_ref(&handle)).await;
    assert_eq!(handle.status().cluster_id, begun.cluster_id);
    // Keys are known, what came later is not, and orders go on with payments that wait.
    let again = propose(&handle, order(Some("before-7"), 1, PaymentMethod::Mock)).await.outcome;
    assert_eq!(again, Outcome::Replayed(OrderId(8)));
    let other = propose(&handle, order(Some("before-7"), 2, PaymentMethod::Mock)).await.outcome;
    assert_eq!(other, Outcome::Rejected(Rejection::KeyReused));
    assert!(handle.read(|state| state.order_by_key("after")).is_none());
    assert_eq!(placed(&handle, "new").await, after, "ids go on after the backup");
    assert!(handle.status().payments_paused);
    let waiting = handle.read(|state| state.open_orders());
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert_eq!(handle.read(|state| state.open_orders()), waiting, "nothing is charged");
    handle.set_payments(Actor::System, false, TraceId::NONE, soon()).await.expect("replicated");
    until("payments go on", || handle.read(|state| state.open_orders()) == 0).await;
    assert_eq!(status_of(&handle, after), Status::Paid);

    // Others join, under ids that the old cluster used too.
    let second = join(&handle, 2, dir.path(), "copy").await;
    let third = join(&handle, 3, dir.path(), "copy").await;
    until("all of them vote", || votes(&handle) == [1, 2, 3]).await;
    let handles = [handle.clone(), second.handle(), third.handle()];
    ready(&handles).await;
    let through_another = placed(&handles[2], "through another").await;
    until("all have it", || {
        handles.iter().all(|handle| handle.read(|s| s.order_status(through_another)).is_some())
    })
    .await;
    until("all are equal", || {
        let states: Vec<_> = handles.iter().map(Handle::status).collect();
        states.iter().all(|one| {
            (one.applied_index, one.digest) == (states[0].applied_index, states[0].digest)
        })
    })
    .await;
    for node in [third, second, copy, node] {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_and_unknown_backups_and_directories_in_use_are_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let (config, node) = sold(dir.path(), 20).await;
    let source = node.handle();
    let file = dir.path().join("backup");
    back_up(&source, &file).await;
    drop(source);
    node.stop().await;
    let sound = fs::read(&file).expect("read");
    let wanted = into(dir.path(), &file);
    for at in (0..sound.len()).step_by(sound.len() / 40) {
        let mut bytes = sound.clone();
        bytes[at] ^= 0x20;
        fs::write(&file, bytes).expect("written");
        let refused = recovery::restore(&wanted).expect_err("damaged").to_string();
        assert!(refused.contains("backup"), "byte {at}: {refused}");
        assert!(backup::check(&file).is_err(), "byte {at}");
    }
    fs::write(&file, &sound[..sound.len() - 1]).expect("written");
    let refused = recovery::restore(&wanted).expect_err("truncated").to_string();
    assert!(refused.contains("truncated"), "{refused}");
    let mut newer = sound.clone();
    newer[6] = 9;
    fs::write(&file, newer).expect("written");
    let refused = recovery::restore(&wanted).expect_err("unknown").to_string();
    assert!(refused.contains("unknown format version 9"), "{refused}");
    fs::write(&file, &sound).expect("written");
    let used = Restore { data: config.data_dir.clone(), ..wanted.clone() };
    let refused = recovery::restore(&used).expect_err("in use").to_string();
    assert!(refused.contains("not empty"), "{refused}");
    // What was refused left nothing in the way.
    recovery::restore(&wanted).expect("restored at last");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_survivor_becomes_a_cluster_with_all_that_it_has_and_the_old_nodes_stay_out() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut configs = configs(dir.path(), 3);
    for config in &mut configs {
        config.checkpoint_interval_ms = 20;
    }
    let mut nodes = Vec::new();
    for config in &configs {
        nodes.push(start(config).await);
    }
    let handles: Vec<_> = nodes.iter().map(Node::handle).collect();
    ready(&handles).await;
    propose(&handles[0], product(1_000)).await;
    for number in 0..50 {
        placed(&handles[number % 3], &format!("before-{number}")).await;
    }
    until("the survivor has all", || handles[2].read(|s| s.totals().orders_created) == 50).await;
    let before = handles[2].status();
    drop(handles);
    for node in nodes {
        node.stop().await;
    }
    // Two are lost; the third is asked what it has, which changes nothing.
    let data = configs[2].data_dir.clone();
    let survivor = recovery::survey(&data).expect("sound");
    assert_eq!((survivor.node, survivor.voters.len()), (NodeId(3), 3));
    assert!(survivor.last >= before.applied_index && survivor.committed <= survivor.last);
    assert_eq!(survivor, recovery::survey(&data).expect("sound"));
    let (told, begun) = recovery::force_new_cluster(&data, None).expect("forced");
    assert_eq!((&told, begun.index), (&survivor, survivor.last));
    assert_eq!(begun.orders, 50);
    assert_ne!(begun.cluster_id, before.cluster_id);
    let aside = begun.aside.expect("kept");
    assert!(aside.join("identity").is_file() && aside.join("raft").is_dir());

    let mut config = configs[2].clone();
    config.peers.clear();
    let node = start(&config).await;
    let handle = node.handle();
    ready(std::slice::from_ref(&handle)).await;
    assert_eq!((votes(&handle), handle.status().payments_paused), (vec![3], false));
    let again = propose(&handle, order(Some("before-7"), 1, PaymentMethod::Mock)).await.outcome;
    assert!(matches!(again, Outcome::Replayed(_)), "{again:?}");
    let new = placed(&handle, "new").await;
    until("payments go on", || handle.read(|state| state.open_orders()) == 0).await;
    assert_eq!(status_of(&handle, new), Status::Paid);
    // The lost ones were not lost after all: two of three, which would be a majority.
    let mut old = Vec::new();
    for config in &configs[..2] {
        old.push(start(config).await);
    }
    let stranger = old[0].handle();
    until("they find each other", || stranger.health().leader_id.is_some()).await;
    assert_ne!(stranger.status().cluster_id, begun.cluster_id);
    until("both say that the other one belongs to another cluster", || {
        [&stranger, &handle].iter().all(|one| {
            one.warnings().iter().any(|said| said.contains("belongs to another cluster"))
        })
    })
    .await;
    assert_eq!(votes(&handle), [3]);
    let seen = stranger.status().members;
    assert!(seen.iter().any(|member| member.id == NodeId(3) && !member.healthy), "{seen:?}");
    for node in old {
        node.stop().await;
    }
    // Their ids are used up, new ones are taken in.
    let joined = join(&handle, 4, dir.path(), "holdfast").await;
    until("it votes", || votes(&handle) == [3, 4]).await;
    ready(&[joined.handle()]).await;
    let known = joined.handle().read(|state| match state.order(new) {
        OrderLookup::Resident(order) => Some(order.into_owned()),
        _ => None,
    });
    assert_eq!(known.expect("it has all").status, Status::Paid);
    joined.stop().await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_can_be_forced_again_and_one_in_use_cannot() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = configs(dir.path(), 1).remove(0);
    let empty: PathBuf = dir.path().join("nothing");
    assert!(matches!(recovery::survey(&empty), Err(Error::NoData(_))));
    let node = start(&config).await;
    ready(&[node.handle()]).await;
    propose(&node.handle(), product(1_000)).await;
    let refused =
        recovery::force_new_cluster(&config.data_dir, None).expect_err("in use").to_string();
    assert!(refused.contains("in use"), "{refused}");
    node.stop().await;
    let mut clusters = Vec::new();
    for round in 0..3 {
        let (_, begun) = recovery::force_new_cluster(&config.data_dir, None).expect("forced");
        clusters.push(begun.cluster_id);
        let gateway = Arc::new(SimulatedGateway::new(SimulatedSettings::default()));
        let node = Node::start(config.clone(), gateway).await.expect("starts");
        let handle = node.handle();
        ready(std::slice::from_ref(&handle)).await;
        assert_eq!(placed(&handle, &format!("order-{round}")).await, OrderId(round + 1));
        drop(handle);
        node.stop().await;
    }
    clusters.dedup();
    assert_eq!(clusters.len(), 3);
}

/// The data of a node whose log ends with an entry that no build can read, and the index before it.
async fn with_junk(dir: &Path) -> (Config, u64) {
    let config = configs(dir, 1).remove(0);
    let node = start(&config).await;
    ready(&[node.handle()]).await;
    propose(&node.handle(), product(1_000)).await;
    placed(&node.handle(), "before").await;
    node.stop().await;
    let log = EngineLog::open(&config.data_dir.join("raft"), true).expect("opened");
    let (last, hard_state) = (log.last_index(), log.hard_state().expect("read"));
    let mut builder = Builder::new(Timestamp(1));
    builder.push(b"junk");
    let entry = Entry {
        index: last + 1,
        term: hard_state.term,
        data: builder.finish().into(),
        ..Entry::default()
    };
    log.append(&[entry], None).expect("appended");
    drop(log);
    (config, last)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_that_no_node_can_read_is_named_and_left_out() {
    let dir = tempfile::tempdir().expect("a directory");
    let (config, last) = with_junk(dir.path()).await;
    let scratch = tempfile::tempdir().expect("a directory");
    let report = verify::verify(&config.data_dir, scratch.path(), &verify::Notebook::default());
    let report = format!("{:?}", report.expect("looked at"));
    let named = format!("1 commands do not decode, the first in entry {}, command 0", last + 1);
    assert!(report.contains(&named), "{report}");
    let node = start(&config).await;
    ready(&[node.handle()]).await;
    placed(&node.handle(), "after").await;
    assert_eq!(node.handle().metrics().commands_undecodable_total, 1);
    node.stop().await;
    let (_, begun) = recovery::force_new_cluster(&config.data_dir, None).expect("forced");
    assert_eq!(begun.orders, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_a_log_is_cut_off_on_demand() {
    let dir = tempfile::tempdir().expect("a directory");
    let (config, last) = with_junk(dir.path()).await;
    let beyond = recovery::force_new_cluster(&config.data_dir, Some(last + 2));
    assert!(matches!(beyond, Err(Error::LastIndex { .. })), "{beyond:?}");
    let (_, begun) = recovery::force_new_cluster(&config.data_dir, Some(last)).expect("forced");
    assert_eq!((begun.index, begun.orders), (last, 1));
}
