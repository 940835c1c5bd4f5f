//! Disks that run low and run full: nodes refuse writes with a clear answer and serve reads. No
//! acknowledged order is lost, and freed space is enough to recover.

use serde_json::json;
use tests::disks::{Disk, Filler, free_bytes, isolated};
use tests::load::Load;
use tests::shop::{self, ORDERS, PRODUCTS};
use tests::{Call, Cluster, Options, wait};

/// The reserve that nodes are started with, in MiB.
const RESERVE_MIB: u64 = 32;

/// Free space below the reserve, with room for running writes.
const LOW: u64 = 16 << 20;

/// Free space below a quarter of the reserve.
const EXHAUSTED: u64 = 4 << 20;

async fn cluster(test: &str, reserve_mib: u64) -> (Cluster, u64) {
    let options = Options::new(test).disk(Disk::Memory(160));
    let options = options.flag("--disk-reserve-mb", &reserve_mib.to_string());
    let cluster = options.start().await;
    let mut random = cluster.random(1);
    let product = shop::create_product(cluster.caller(), &mut random, "1.00", 1_000_000).await;
    (cluster, product)
}

/// Waits until a node reports whether its disk has room.
async fn judged(cluster: &Cluster, node: u64, has_room: bool) {
    wait::until(&format!("node {node} saw its disk"), wait::READY, async || {
        let answer = cluster.caller().get(node, "/readyz").await;
        let says = answer.text().contains("short of space");
        if says != has_room && (answer.status == 200) == has_room {
            Ok(())
        } else {
            Err(answer.text())
        }
    })
    .await;
    if !has_room {
        let health = cluster.caller().get(node, "/health").await.expect(503).json();
        assert_eq!(health["status"], "degraded", "{health}");
        assert_eq!(health["services"]["storage"], "down", "{health}");
    }
}

/// Asks a node for an order, an adjustment of a product and a product, which it must refuse.
async fn refuses(cluster: &Cluster, node: u64, product: u64) {
    let order = shop::place(&shop::order(product, 1, "none"));
    let patch = Call::new("PATCH", format!("{PRODUCTS}/{product}")).json(&json!({"price": "2.00"}));
    let create = json!({"name": "Chair", "price": "3.00", "stock": 1});
    let create = Call::new("POST", PRODUCTS).json(&create);
    for call in [order, patch, create] {
        let answer = cluster.caller().ask(node, &call).await;
        assert!(answer.header("retry-after").is_some(), "{}", answer.text());
        let problem = answer.problem(503, "storage_full");
        assert_eq!(problem["outcome"], "not_applied", "{problem}");
    }
}

/// Reads from a node, linearizably.
async fn reads(cluster: &Cluster, node: u64, product: u64) {
    shop::product(cluster.caller(), node, product).await;
    cluster.caller().get(node, &format!("{ORDERS}?per_page=5")).await.expect(200);
}

/// Waits until a node accepts an order.
async fn takes_orders(cluster: &Cluster, node: u64, product: u64) {
    let call = shop::place(&shop::order(product, 1, "mock"));
    wait::until(&format!("node {node} took an order"), wait::READY, async || {
        let answer = cluster.caller().ask(node, &call).await;
        if answer.status == 201 { Ok(()) } else { Err(answer.text()) }
    })
    .await;
}

#[test]
fn low_disks_stop_writes_and_nothing_else() {
    isolated("full_disk::low_disks_stop_writes_and_nothing_else", async {
        let (cluster, product) = cluster("low_disks_stop_writes", RESERVE_MIB).await;
        let dirs: Vec<_> = (1..=3).map(|node| cluster.data_dir(node).to_owned()).collect();
        let dir = |node: u64| dirs[node as usize - 1].as_path();
        let load = Load::start(cluster.caller(), cluster.seed(), product, "mock", 4);
        load.progress(50).await;

        // A follower refuses writes of its clients and keeps up with the log.
        let follower = cluster.follower().await;
        let filler = Filler::leave(dir(follower), LOW);
        judged(&cluster, follower, false).await;
        refuses(&cluster, follower, product).await;
        load.progress(50).await;
        reads(&cluster, follower, product).await;
        drop(filler);
        judged(&cluster, follower, true).await;
        takes_orders(&cluster, follower, product).await;

        // The leader transfers leadership, and the cluster continues.
        let leader = cluster.leader().await;
        let filler = Filler::leave(dir(leader), LOW);
        judged(&cluster, leader, false).await;
        wait::until("leadership moved", wait::READY, async || match cluster.leader().await {
            now if now == leader => Err(format!("{now} leads still")),
            _ => Ok(()),
        })
        .await;
        load.progress(50).await;
        refuses(&cluster, leader, product).await;
        reads(&cluster, leader, product).await;
        drop(filler);
        judged(&cluster, leader, true).await;

        // All nodes are low: they refuse writes and serve reads.
        let fillers: Vec<_> = dirs.iter().map(|dir| Filler::leave(dir, LOW)).collect();
        for node in 1..=3 {
            judged(&cluster, node, false).await;
        }
        for node in 1..=3 {
            refuses(&cluster, node, product).await;
            reads(&cluster, node, product).await;
        }
        let before = free_bytes(dir(1));
        assert!(before > LOW / 2, "what is under way is small: {before} left");
        drop(fillers);
        for node in 1..=3 {
            judged(&cluster, node, true).await;
            takes_orders(&cluster, node, product).await;
        }
        load.progress(50).await;

        // A follower without even a reserve falls behind, and catches up when there is room.
        let follower = cluster.follower().await;
        let filler = Filler::leave(dir(follower), EXHAUSTED);
        judged(&cluster, follower, false).await;
        load.progress(300).await;
        drop(filler);
        judged(&cluster, follower, true).await;

        let record = load.stop().await;
        println!("{} orders, asked again: {:?}", record.acknowledged.len(), record.retries);
        shop::all_settled(cluster.caller(), follower).await;
        record.assert_kept(cluster.caller(), &[1, 2, 3]).await;
        cluster.agree().await;
    });
}

#[test]
fn a_full_disk_without_a_reserve_stops_the_node_and_loses_nothing() {
    let name = "full_disk::a_full_disk_without_a_reserve_stops_the_node_and_loses_nothing";
    isolated(name, async {
        // Without a reserve, the node refuses nothing early.
        let (mut cluster, product) =
            cluster("a_full_disk_without_a_reserve_stops_the_node_and_loses_nothing", 0).await;
        let load = Load::start(cluster.caller(), cluster.seed(), product, "none", 4);
        load.progress(100).await;
        let leader = cluster.leader().await;
        let dir = cluster.data_dir(leader).to_owned();
        let filler = Filler::leave(&dir, 0);
        let logged = cluster.log_text(leader).len();
        let status = cluster.ended(leader, wait::READY).await;
        let said = cluster.log_text(leader)[logged..].to_owned();
        println!("ended with {status}: {}", said.lines().last().unwrap_or_default());
        assert!(!status.success(), "{status}");
        assert!(said.contains("the node stops"), "{said}");
        assert!(said.to_lowercase().contains("no space left"), "{said}");
        load.progress(100).await;
        drop(filler);
        cluster.restart(leader);
        cluster.wait_ready().await;
        load.progress(100).await;
        let record = load.stop().await;
        record.assert_kept(cluster.caller(), &[1, 2, 3]).await;
        cluster.agree().await;
    });
}
