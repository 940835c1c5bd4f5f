//! Power cuts: copies the disks of all nodes at one instant under load, and starts nodes on the
//! copies. Unsynced data is lost; acknowledged orders must not be.
//!
//! `tests/power-cut N` runs this with N cuts; the default is a few.

use std::fs;
use std::path::{Path, PathBuf};

use jepsen::disks;
use rand::Rng;
use tests::cluster::holdfast;
use tests::disks::{Disk, isolated};
use tests::load::Load;
use tests::{Cluster, Options, shop};

/// The variable with the number of cuts.
const CUTS: &str = "HOLDFAST_TEST_POWER_CUTS";

/// A file that is written and never synced, so that a cut loses it.
const UNSYNCED: &str = "unsynced";

/// Pauses all processes, copies their disks, kills the processes and replaces the disks by the
/// copies. Returns how many disks lost the unsynced file.
fn cut_power(cluster: &mut Cluster, noise: &[u8]) -> usize {
    let nodes = cluster.active();
    let dirs: Vec<PathBuf> = nodes.iter().map(|node| cluster.data_dir(*node).to_owned()).collect();
    let images: Vec<PathBuf> = dirs.iter().map(|dir| disks::image(dir)).collect();
    for dir in &dirs {
        fs::write(dir.join(UNSYNCED), noise).expect("a disk with room can be written");
    }
    for node in &nodes {
        cluster.pause(*node);
    }
    let cut = disks::at_one_instant(&images).expect("the disks can be read");
    cluster.kill_all();
    let mut forgot = 0;
    for (dir, content) in dirs.iter().zip(&cut) {
        disks::put_back(dir, content).expect("a disk can be put back");
        let left = fs::read(dir.join(UNSYNCED)).unwrap_or_default();
        forgot += usize::from(left != noise);
        let _ = fs::remove_file(dir.join(UNSYNCED));
    }
    forgot
}

/// Runs the offline check over a node's data.
fn verify(dir: &Path) -> (Option<i32>, String) {
    let mut command = holdfast();
    let output = command.arg("verify").arg("--data").arg(dir).output();
    let output = output.expect("the binary under test can be started");
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn power_cuts_of_all_nodes_lose_nothing_acknowledged() {
    isolated("power_cut::power_cuts_of_all_nodes_lose_nothing_acknowledged", async {
        let cuts = std::env::var(CUTS).map_or(3, |cuts| cuts.parse().expect("a number of cuts"));
        let options = Options::new("power_cuts_of_all_nodes").disk(Disk::Image(96));
        let mut cluster = options.flag("--disk-reserve-mb", "8").start().await;
        let mut random = cluster.random(1);
        let product = shop::create_product(cluster.caller(), &mut random, "1.00", 1_000_000).await;
        let load = Load::start(cluster.caller(), cluster.seed(), product, "mock", 8);
        let (mut forgot, mut torn) = (0, 0);
        for cut in 1..=cuts {
            // Anywhere between two checkpoints, sometimes before the first one.
            load.progress(random.random_range(10..200)).await;
            let mut noise = vec![0_u8; 100_000];
            random.fill(&mut noise[..]);
            let acknowledged = load.acknowledged();
            forgot += cut_power(&mut cluster, &noise);
            for node in 1..=3 {
                let (code, said) = verify(cluster.data_dir(node));
                assert_eq!(code, Some(0), "cut {cut}, node {node}: {said}");
                torn += said.matches("note: ").count();
            }
            cluster.restart_all();
            cluster.wait_ready().await;
            println!("cut {cut}: {acknowledged} orders were acknowledged before it");
        }
        load.progress(20).await;
        let record = load.stop().await;
        shop::all_settled(cluster.caller(), 1).await;
        record.assert_kept(cluster.caller(), &[1, 2, 3]).await;
        cluster.agree().await;
        let total = shop::order_total(cluster.caller(), 2, "").await;
        assert_eq!(total, record.acknowledged.len() as u64, "orders and acknowledgements");
        shop::assert_conserved(&shop::product(cluster.caller(), 3, product).await, 1_000_000);
        println!(
            "{cuts} cuts, {total} orders, {forgot} disks forgot what was not synced, {torn} notes \
             of the offline check, asked again: {:?}",
            record.retries
        );
        assert!(forgot > 0, "no cut forgot anything: the test does not test");
    });
}
