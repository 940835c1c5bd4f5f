//! A disk that hangs instead of failing: leadership moves at once, and a node that hangs on ends.

use std::fs;
use std::time::Duration;

use tests::load::Load;
use tests::shims::{hanging_checkpoint_trigger, hanging_sync_trigger};
use tests::{Cluster, Options, shop, wait};
use tokio::time::Instant;

/// What a loaded machine may take where two seconds are the aim; the test prints what it was.
const GAP_MAX: Duration = Duration::from_secs(5);
/// What a node may take to end after a signal while its disk hangs: about 25 s, and some.
const STOP_MAX: Duration = Duration::from_secs(50);

async fn under_load(cluster: &Cluster) -> Load {
    let mut random = cluster.random(1);
    let product = shop::create_product(cluster.caller(), &mut random, "1.00", 1_000_000).await;
    let load = Load::start(cluster.caller(), cluster.seed(), product, "none", 12);
    load.progress(100).await;
    load
}

async fn says_that_its_disk_hangs(cluster: &Cluster, stalled: u64) {
    wait::until("the node says that its disk hangs", wait::READY, async || {
        let ready = cluster.caller().get(stalled, "/readyz").await;
        match ready.status == 503 && ready.text().contains("disk does not answer") {
            true => Ok(()),
            false => Err(format!("{} {}", ready.status, ready.text())),
        }
    })
    .await;
}

async fn another_leads(cluster: &Cluster, stalled: u64) -> u64 {
    wait::until("another node leads", wait::READY, async || {
        let others = cluster.active().into_iter().filter(|id| *id != stalled);
        for id in others {
            let leader = cluster.view(id).await["leader_id"].as_u64();
            if let Some(leader) = leader.filter(|leader| *leader != stalled) {
                return Ok(leader);
            }
        }
        Err("the node whose disk hangs leads".to_owned())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_disk_hangs_is_replaced_and_comes_back() {
    let options = Options::new("a_leader_whose_disk_hangs_is_replaced").failing_disk().alone();
    let mut cluster = options.start().await;
    let load = under_load(&cluster).await;
    let stalled = cluster.leader().await;
    let trigger = hanging_sync_trigger(cluster.data_dir(stalled));
    let from = Instant::now();
    fs::write(&trigger, "").expect("a file beside the data can be made");
    says_that_its_disk_hangs(&cluster, stalled).await;
    println!("not ready after {} ms", from.elapsed().as_millis());
    let leader = another_leads(&cluster, stalled).await;
    println!("node {leader} leads after {} ms", from.elapsed().as_millis());
    // Longer than it takes to step down, which it has no need of any more.
    wait::until("the disk has hung for five seconds", wait::READY, async || {
        let metrics = cluster.caller().get(stalled, "/metrics").await.expect(200).text();
        let line = metrics.lines().find_map(|line| line.strip_prefix("disk_stalled_ms "));
        let line = line.unwrap_or_else(|| panic!("no disk_stalled_ms in {metrics}"));
        let ms: u64 = line.parse().expect("a number");
        if ms >= 5_000 { Ok(()) } else { Err(format!("{ms} ms")) }
    })
    .await;
    load.progress(100).await;
    fs::remove_file(&trigger).expect("an own file can be removed");
    cluster.wait_ready().await;
    load.progress(50).await;
    let record = load.stop().await;
    let gap = record.longest_gap(from);
    println!("no order for {} ms at most", gap.as_millis());
    assert!(gap < GAP_MAX, "no order for {gap:?}");
    record.assert_kept(cluster.caller(), &[1, 2, 3]).await;
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_disk_hangs_on_ends_and_comes_back() {
    let options = Options::new("a_node_whose_disk_hangs_on_ends").failing_disk();
    let mut cluster = options.flag("--disk-stall-exit-s", "5").start().await;
    let load = under_load(&cluster).await;
    for leads in [false, true] {
        let stalled = match leads {
            true => cluster.leader().await,
            false => cluster.follower().await,
        };
        let trigger = hanging_sync_trigger(cluster.data_dir(stalled));
        let logged = cluster.log_text(stalled).len();
        let from = Instant::now();
        fs::write(&trigger, "").expect("a file beside the data can be made");
        let status = cluster.ended_by_fault(stalled, wait::READY).await;
        println!("leads: {leads}, ended with {status} after {} ms", from.elapsed().as_millis());
        assert!(!status.success(), "{status}");
        let said = cluster.log_text(stalled)[logged..].to_owned();
        assert!(said.contains("has not answered for 5 s"), "{said}");
        assert!(from.elapsed() >= Duration::from_secs(5), "it gave its disk time");
        load.progress(50).await;
        fs::remove_file(&trigger).expect("an own file can be removed");
        cluster.restart(stalled);
        cluster.wait_ready().await;
    }
    let record = load.stop().await;
    record.assert_kept(cluster.caller(), &[1, 2, 3]).await;
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_checkpoint_hangs_is_replaced_and_ends() {
    let options = Options::new("a_leader_whose_checkpoint_hangs").failing_disk();
    let mut cluster = options.flag("--disk-stall-exit-s", "12").start().await;
    let load = under_load(&cluster).await;
    let stalled = cluster.leader().await;
    let trigger = hanging_checkpoint_trigger(cluster.data_dir(stalled));
    let logged = cluster.log_text(stalled).len();
    let from = Instant::now();
    fs::write(&trigger, "").expect("a file beside the data can be made");
    says_that_its_disk_hangs(&cluster, stalled).await;
    println!("not ready after {} ms", from.elapsed().as_millis());
    let leader = another_leads(&cluster, stalled).await;
    println!("node {leader} leads after {} ms", from.elapsed().as_millis());
    load.progress(50).await;
    let status = cluster.ended_by_fault(stalled, wait::READY).await;
    println!("ended with {status} after {} ms", from.elapsed().as_millis());
    assert!(!status.success(), "{status}");
    let said = cluster.log_text(stalled)[logged..].to_owned();
    assert!(said.contains("has not answered for 12 s"), "{said}");
    fs::remove_file(&trigger).expect("an own file can be removed");
    cluster.restart(stalled);
    cluster.wait_ready().await;
    let record = load.stop().await;
    let gap = record.longest_gap(from);
    println!("no order for {} ms at most", gap.as_millis());
    assert!(gap < GAP_MAX, "no order for {gap:?}");
    record.assert_kept(cluster.caller(), &[1, 2, 3]).await;
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_disk_hangs_ends_after_a_signal() {
    let options = Options::new("a_node_whose_disk_hangs_ends_after_a_signal").failing_disk();
    let mut cluster = options.flag("--disk-stall-exit-s", "0").start().await;
    let load = under_load(&cluster).await;
    let stalled = cluster.follower().await;
    let trigger = hanging_sync_trigger(cluster.data_dir(stalled));
    fs::write(&trigger, "").expect("a file beside the data can be made");
    says_that_its_disk_hangs(&cluster, stalled).await;
    let logged = cluster.log_text(stalled).len();
    let from = Instant::now();
    cluster.terminate(stalled);
    let status = cluster.ended_by_fault(stalled, STOP_MAX).await;
    println!("ended with {status} after {} ms", from.elapsed().as_millis());
    assert!(!status.success(), "{status}");
    let said = cluster.log_text(stalled)[logged..].to_owned();
    assert!(said.contains("does not answer while the node stops"), "{said}");
    fs::remove_file(&trigger).expect("an own file can be removed");
    cluster.restart(stalled);
    cluster.wait_ready().await;
    let record = load.stop().await;
    record.assert_kept(cluster.caller(), &[1, 2, 3]).await;
    cluster.agree().await;
}
