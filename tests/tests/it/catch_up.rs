//! A follower that was down until the leader truncated its log: the leader sends it a snapshot,
//! applies entries meanwhile, and its log stays bounded.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::json;
use tests::load::Load;
use tests::shop::{self, ORDERS};
use tests::{Call, Caller, Cluster, Options, wait};
use tokio::task::JoinSet;

/// Orders placed before the follower stops: the state that the leader sends. Debug builds check all
/// invariants after every entry, so they place fewer.
const ORDERS_BEFORE: usize = if cfg!(debug_assertions) { 4_000 } else { 120_000 };

/// Orders in one request.
const BATCH: usize = 500;

/// How long a committed entry may wait on the leader while it sends a snapshot, in seconds, unless
/// one waited as long before: the test machine does other work too. docs/reliability/runs.md has
/// the measured figures.
const WAIT_S_MAX: f64 = 0.5;

/// The metrics of a node by name, without those that have labels.
async fn metrics(caller: &Caller, node: u64) -> BTreeMap<String, f64> {
    let text = caller.get(node, "/metrics").await.expect(200).text();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| line.split_once(' '));
    pairs.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect()
}

/// Places orders that stay open, as fast as the cluster takes them.
async fn fill(caller: &Caller, node: u64, product: u64) {
    let one = shop::order(product, 1, "none");
    let body = json!({"atomic": false, "orders": vec![one; BATCH]});
    let call = Call::post(format!("{ORDERS}/batch"), &body);
    let mut tasks = JoinSet::new();
    for _ in 0..4 {
        let (caller, call) = (caller.clone(), call.clone());
        tasks.spawn(async move {
            for _ in 0..ORDERS_BEFORE / BATCH / 4 {
                caller.ask(node, &call).await.expect(200);
            }
        });
    }
    tasks.join_all().await;
}

/// The histogram of waits on a node since its start: upper bound in seconds, and number of entries.
async fn waits(caller: &Caller, node: u64) -> Vec<(f64, u64)> {
    let text = caller.get(node, "/metrics").await.expect(200).text();
    let buckets = text.lines().filter_map(|line| {
        let (bound, count) =
            line.strip_prefix("apply_wait_seconds_bucket{le=\"")?.split_once("\"} ")?;
        let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().ok()? };
        Some((bound, count.parse().ok()?))
    });
    buckets.collect()
}

/// A bound on the longest wait between two looks, and how many entries waited longer than 50 ms.
fn longest(before: &[(f64, u64)], after: &[(f64, u64)]) -> (f64, u64) {
    assert!(!after.is_empty() && before.len() == after.len(), "{before:?}, {after:?}");
    let counts = before.iter().zip(after).map(|((bound, then), (_, now))| (*bound, now - then));
    let counts: Vec<_> = counts.collect();
    let (_, all) = counts[counts.len() - 1];
    assert!(all > 0, "nothing was applied");
    let bound = counts.iter().find(|(_, upto)| *upto == all).expect("the last bound has all").0;
    let within = counts.iter().find(|(bound, _)| *bound >= 0.05).expect("there is such a bound").1;
    (bound, all - within)
}

/// Takes one snapshot after the other under load, until the node has truncated its log past this
/// index.
async fn until_cut(cluster: &Cluster, load: &Load, node: u64, past: f64) {
    let caller = cluster.caller();
    loop {
        load.progress(200).await;
        // The snapshot may finish after the request has timed out; that is fine.
        caller.ask(node, &Call::new("POST", "/api/v1/cluster/snapshot")).await;
        if metrics(caller, node).await["compacted_index"] > past {
            return;
        }
    }
}

/// Waits until a node is ready and has installed a snapshot.
async fn wait_installed(caller: &Caller, node: u64) {
    wait::until("the snapshot took the place of its log", 2 * wait::READY, async || {
        let ready = caller.send(node, &Call::get("/readyz")).await;
        if !ready.as_ref().is_ok_and(|answer| answer.status == 200) {
            return Err(format!("{ready:?}"));
        }
        match metrics(caller, node).await["snapshots_installed_total"] {
            0.0 => Err("not installed".to_owned()),
            _ => Ok(()),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_sends_a_snapshot_goes_on_applying() {
    let options = Options::new("a_leader_that_sends_a_snapshot").alone();
    let mut cluster = options.flag("--snapshot-log-mb", "4").start().await;
    let caller = cluster.caller().clone();
    let mut random = cluster.random(1);
    let product = shop::create_product(&caller, &mut random, "1.00", 100_000_000).await;
    let leader = cluster.leader().await;
    fill(&caller, leader, product).await;
    let load = Load::start(&caller, cluster.seed(), product, "none", 8);

    load.progress(200).await;
    let away = leader % 3 + 1;
    let before = waits(&caller, leader).await;
    cluster.kill(away);
    let last = metrics(&caller, leader).await["raft_last_index"];
    until_cut(&cluster, &load, leader, last).await;
    let cut = waits(&caller, leader).await;
    let without = longest(&before, &cut);
    assert_eq!(cluster.leader().await, leader, "the machine is too busy for this test");

    cluster.restart(away);
    wait_installed(&caller, away).await;
    let with = longest(&cut, &waits(&caller, leader).await);
    let record = load.stop().await;
    let sent = metrics(&caller, leader).await;
    println!(
        "{} orders, a snapshot of {:.1} MiB sent: every entry was applied within {:.3} s ({} took \
         over 50 ms), before it within {:.3} s ({}); the log has {:.1} MiB",
        ORDERS_BEFORE + record.acknowledged.len(),
        sent["snapshot_bytes"] / 1_048_576.0,
        with.0,
        with.1,
        without.0,
        without.1,
        sent["log_bytes"] / 1_048_576.0,
    );
    assert!(with.0 <= without.0.max(WAIT_S_MAX), "{} s, {} s before", with.0, without.0);
    // The log holds what came after the older of two snapshots, each as large as the log between
    // them, and whole files.
    let bound = 4.0 * sent["snapshot_bytes"] + 16.0 * 1_048_576.0;
    for node in caller.all() {
        let log = metrics(&caller, node).await["log_bytes"];
        assert!(log < bound, "the log of node {node} has {log} bytes, more than {bound}");
    }
    cluster.agree().await;
    record.assert_kept(&caller, &[away]).await;
}

/// Reading the whole file takes longer than a follower waits before it requests a part again: a
/// leader that reads the file anew for each request is never done.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_arrives_that_takes_seconds_to_read() {
    let options = Options::new("a_snapshot_that_takes_seconds").flag("--snapshot-log-mb", "4");
    let mut cluster = options.snapshot_read_delay(Duration::from_millis(10)).start().await;
    let caller = cluster.caller().clone();
    let mut random = cluster.random(1);
    let product = shop::create_product(&caller, &mut random, "1.00", 100_000_000).await;
    let leader = cluster.leader().await;
    fill(&caller, leader, product).await;
    let away = leader % 3 + 1;
    cluster.kill(away);
    let load = Load::start(&caller, cluster.seed(), product, "none", 2);
    let last = metrics(&caller, leader).await["raft_last_index"];
    until_cut(&cluster, &load, leader, last).await;
    let bytes = metrics(&caller, leader).await["snapshot_bytes"];
    assert!(bytes / 1024.0 * 0.01 > 3.0, "reading {bytes} bytes takes no seconds");
    let begun = Instant::now();
    cluster.restart(away);
    wait_installed(&caller, away).await;
    println!("{bytes} bytes arrived after {:.1} s", begun.elapsed().as_secs_f64());
    load.stop().await.assert_kept(&caller, &[away]).await;
}
