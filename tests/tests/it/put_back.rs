//! A data directory that is put back from an older copy: the node forgot what it acknowledged.

use std::fs;
use std::path::Path;

use tests::damage::{assert_kept, with_orders};
use tests::load::Load;
use tests::{Options, shop, wait};

/// Copies a stopped node's data, or puts it back.
fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    let copied = std::process::Command::new("cp").arg("-a").args([from, to]).status();
    assert!(copied.expect("cp can be started").success(), "{} is copied", from.display());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_was_put_back_says_so_and_is_rebuilt_from_the_others() {
    let options = Options::new("a_follower_that_was_put_back").rebuilding(60);
    let (mut cluster, product, mut record) = with_orders(options).await;
    let victim = cluster.follower().await;
    let before = shop::count(&cluster.view(victim).await, "node_id");
    let kept = cluster.dir().join("copy");
    cluster.kill(victim);
    copy(cluster.data_dir(victim), &kept);
    cluster.restart(victim);
    cluster.wait_node_ready(victim).await;
    // Only the leader that heard the acknowledgements knows of them, so a round in which another
    // one was elected shows nothing.
    let mut said = String::new();
    for _ in 0..5 {
        let load = Load::start(cluster.caller(), cluster.seed(), product, "mock", 4);
        load.progress(60).await;
        record.acknowledged.extend(load.stop().await.acknowledged);
        // All of them reached it, and the leader knows.
        cluster.agree().await;
        let leader = cluster.leader().await;
        if leader == victim {
            continue;
        }
        let term = shop::count(&cluster.view(leader).await, "term");
        cluster.kill(victim);
        copy(&kept, cluster.data_dir(victim));
        let logged = cluster.log_text(victim).len();
        cluster.restart(victim);
        wait::until("the node was rebuilt, or another leader elected", wait::READY, async || {
            said = cluster.log_text(victim)[logged..].to_owned();
            let is_rebuilt = said.contains("this node is a new member now");
            let now = shop::count(&cluster.view(leader).await, "term");
            if is_rebuilt || now != term { Ok(()) } else { Err(said.clone()) }
        })
        .await;
        cluster.wait_node_ready(victim).await;
        said = cluster.log_text(victim)[logged..].to_owned();
        if said.contains("RolledBack") {
            break;
        }
    }
    assert!(said.contains("RolledBack: this node acknowledged entries up to index"), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    let view = cluster.view(victim).await;
    assert_eq!(view["rebuilt_from"], before, "{view}");
    shop::all_settled(cluster.caller(), cluster.active()[0]).await;
    assert_kept(&cluster, product, &record).await;
}
