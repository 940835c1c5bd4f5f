//! A data directory that is put back from an older copy: the node forgot what it did since.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use tests::damage::{assert_kept, with_orders};
use tests::load::Load;
use tests::{Call, Options, shop, wait};

/// Nodes tell their progress once a second, and write that of others once a second.
const REMEMBERED_AFTER: Duration = Duration::from_secs(3);

/// Copies a stopped node's data, or puts it back.
fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    let copied = std::process::Command::new("cp").arg("-a").args([from, to]).status();
    assert!(copied.expect("cp can be started").success(), "{} is copied", from.display());
}

/// Puts back the data of a node that leads or follows, from a copy without the last 60 orders.
/// While it is away, another node leads in a later term.
async fn put_back(name: &str, leads: bool) {
    let options = Options::new(name).rebuilding(60);
    let (mut cluster, product, mut record) = with_orders(options).await;
    let victim = cluster.follower().await;
    let kept = cluster.dir().join("copy");
    cluster.kill(victim);
    copy(cluster.data_dir(victim), &kept);
    cluster.restart(victim);
    cluster.wait_node_ready(victim).await;
    let to = if leads { victim } else { other_than(victim) };
    let transfer = Call::post("/api/v1/cluster/transfer-leader", &json!({ "to": to }));
    cluster.caller().send(victim, &transfer).await.expect("it answers").expect(200);
    let load = Load::start(cluster.caller(), cluster.seed(), product, "mock", 4);
    load.progress(60).await;
    record.acknowledged.extend(load.stop().await.acknowledged);
    cluster.agree().await;
    tokio::time::sleep(REMEMBERED_AFTER).await;
    // The leader knows best what it acknowledged. The next one has to know too.
    let leader = cluster.leader().await;
    cluster.kill(victim);
    if leader != victim {
        cluster.kill(leader);
        cluster.restart(leader);
    }
    copy(&kept, cluster.data_dir(victim));
    let logged = cluster.log_text(victim).len();
    cluster.restart(victim);
    wait::until("the node was rebuilt", wait::READY, async || {
        let said = cluster.log_text(victim)[logged..].to_owned();
        match said.contains("this node is a new member now") {
            true => Ok(()),
            false => Err(said),
        }
    })
    .await;
    cluster.wait_node_ready(victim).await;
    let said = cluster.log_text(victim)[logged..].to_owned();
    assert!(said.contains("RolledBack: "), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    let view = cluster.view(victim).await;
    assert_eq!(view["rebuilt_from"], victim, "{view}");
    shop::all_settled(cluster.caller(), cluster.active()[0]).await;
    assert_kept(&cluster, product, &record).await;
}

/// A node of three that is another one.
fn other_than(node: u64) -> u64 {
    node % 3 + 1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_was_put_back_says_so_and_is_rebuilt_from_the_others() {
    put_back("a_follower_that_was_put_back", false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_was_put_back_says_so_and_is_rebuilt_from_the_others() {
    put_back("a_leader_that_was_put_back", true).await;
}
