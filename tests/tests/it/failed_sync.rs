//! A disk whose syncs or writes fail: the node stops and acknowledges nothing that depended on
//! them. After a restart it has the same data as the others.

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
        // The node may sync any of its files first; each error names the operation.
        assert!(said.contains("sync"), "{said}");
        load.progress(50).await;
        fs::remove_file(&trigger).expect("an own file can be removed");
        cluster.restart(victim);
        cluster.wait_ready().await;
    }
    // All disks fail: then no node may acknowledge anything.
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
    // sled may return the error or panic, in its own thread or in that of the checkpoints.
    let status = cluster.ended_by_fault(victim, wait::READY).await;
    let said = cluster.log_text(victim)[logged..].to_owned();
    println!("ended with {status}: {}", said.lines().last().unwrap_or(""));
    assert!(!status.success(), "{status}");
    load.progress(50).await;
    // While the disk fails, the node does not become ready.
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
