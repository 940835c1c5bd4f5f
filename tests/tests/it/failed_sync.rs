//! A disk whose syncs or writes fail: the node stops, nothing that depended on them is
//! acknowledged, and what it read back after the restart is what the others have.

use std::fs;

use tests::load::Load;
use tests::shims::{failing_checkpoint_trigger, failing_sync_trigger};
use tests::{Options, shop, wait};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_sync_stops_the_node_and_nothing_depends_on_it() {
    let options = Options::new("a_failed_sync_stops_the_node").failing_disk();
    let mut cluster = options.start().await;
    let mut random = cluster.random(1);
    let product = shop::create_product(cluster.caller(), &mut random, "1.00", 1_000_000).await;
    let load = Load::start(cluster.caller(), cluster.seed(), product, "none", 8);
    for leads in [false, true] {
        load.progress(100).await;
        let victim = match leads {
            true => cluster.leader().await,
            false => cluster.follower().await,
        };
        let trigger = failing_sync_trigger(cluster.data_dir(victim));
        let logged = cluster.log_text(victim).len();
        fs::write(&trigger, "").expect("a file beside the data can be made");
        let status = cluster.ended_by_fault(victim, wait::READY).await;
        let said = cluster.log_text(victim)[logged..].to_owned();
        println!("leads: {leads}, ended with {status}: {}", said.lines().last().unwrap_or(""));
        assert!(!status.success(), "{status}");
        // Which of its files a node syncs first is chance; each says what it was about to do.
        assert!(said.contains("sync"), "{said}");
        load.progress(50).await;
        fs::remove_file(&trigger).expect("an own file can be removed");
        cluster.restart(victim);
        cluster.wait_ready().await;
    }
    // All at once: then nobody may acknowledge anything.
    load.progress(50).await;
    let nodes = cluster.active();
    for node in &nodes {
        let trigger = failing_sync_trigger(cluster.data_dir(*node));
        fs::write(trigger, "").expect("a file beside the data can be made");
    }
    for node in &nodes {
        cluster.ended_by_fault(*node, wait::READY).await;
        let trigger = failing_sync_trigger(cluster.data_dir(*node));
        fs::remove_file(trigger).expect("an own file can be removed");
    }
    cluster.restart_all();
    cluster.wait_ready().await;
    load.progress(50).await;
    let record = load.stop().await;
    record.assert_kept(cluster.caller(), &[1, 2, 3]).await;
    cluster.agree().await;
    println!("{} orders, asked again: {:?}", record.acknowledged.len(), record.retries);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkpoint_that_cannot_be_written_stops_the_node_and_it_comes_back() {
    let options = Options::new("a_checkpoint_that_cannot_be_written").failing_disk();
    let mut cluster = options.start().await;
    let mut random = cluster.random(1);
    let product = shop::create_product(cluster.caller(), &mut random, "1.00", 1_000_000).await;
    let load = Load::start(cluster.caller(), cluster.seed(), product, "none", 8);
    load.progress(100).await;
    let victim = cluster.leader().await;
    let trigger = failing_checkpoint_trigger(cluster.data_dir(victim));
    let logged = cluster.log_text(victim).len();
    fs::write(&trigger, "").expect("a file beside the data can be made");
    // sled may say so or panic, in a thread of its own or in that of the checkpoints.
    let status = cluster.ended_by_fault(victim, wait::READY).await;
    let said = cluster.log_text(victim)[logged..].to_owned();
    println!("ended with {status}: {}", said.lines().last().unwrap_or(""));
    assert!(!status.success(), "{status}");
    load.progress(50).await;
    // As long as the disk is like that the node does not pretend.
    cluster.restart(victim);
    let status = cluster.ended_by_fault(victim, wait::READY).await;
    assert!(!status.success(), "{status}");
    fs::remove_file(&trigger).expect("an own file can be removed");
    cluster.restart(victim);
    cluster.wait_ready().await;
    load.progress(50).await;
    let record = load.stop().await;
    record.assert_kept(cluster.caller(), &[1, 2, 3]).await;
    cluster.agree().await;
}
