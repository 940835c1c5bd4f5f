//! Data that is lost or damaged while a node is down: the node detects it, never serves it, and no
//! order is lost.

use std::fs;
use std::path::PathBuf;

use rand::Rng;
use rand::rngs::StdRng;
use tests::damage::{assert_whole, copy_dir, data_end, largest_file, quiet, rewrite, with_orders};
use tests::load::Load;
use tests::{Cluster, Options, shop};

/// The checkpoint of a node, which it can always rebuild from snapshot and log.
fn checkpoint(cluster: &Cluster, node: u64) -> PathBuf {
    cluster.data_dir(node).join("state")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_or_damaged_checkpoint_is_made_again() {
    let (mut cluster, product, record) =
        with_orders(Options::new("a_lost_or_damaged_checkpoint")).await;
    let mut random = cluster.random(2);
    for damage in ["removed", "noise", "cut", "emptied"] {
        let victim = tests::seed::any_node(&mut random, 3);
        cluster.kill(victim);
        let dir = checkpoint(&cluster, victim);
        match damage {
            "removed" => fs::remove_dir_all(&dir).expect("a stopped node's data can be removed"),
            "noise" => rewrite(&largest_file(&dir), |bytes| random.fill(&mut bytes[..])),
            "cut" => rewrite(&largest_file(&dir), |bytes| bytes.truncate(bytes.len() / 3)),
            _ => rewrite(&largest_file(&dir), Vec::clear),
        }
        println!("checkpoint of node {victim}: {damage}");
        cluster.restart(victim);
        cluster.wait_ready().await;
        assert_whole(&cluster, product, &record).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn losing_every_checkpoint_loses_no_order() {
    let (mut cluster, product, record) = with_orders(Options::new("losing_every_checkpoint")).await;
    cluster.kill_all();
    for node in 1..=3 {
        let dir = checkpoint(&cluster, node);
        fs::remove_dir_all(dir).expect("a stopped node's data can be removed");
    }
    cluster.restart_all();
    cluster.wait_ready().await;
    assert_whole(&cluster, product, &record).await;
}

/// A kind of damage: its name, and the change of the bytes of a log.
type Damage = (&'static str, fn(&mut Vec<u8>, &mut StdRng));

const DAMAGES: &[Damage] = &[
    ("one bit", |bytes, random| {
        let at = random.random_range(data_end(bytes) / 8..data_end(bytes) / 2);
        bytes[at] ^= 1 << random.random_range(0..8);
    }),
    ("512 bytes of noise", |bytes, random| {
        let at = random.random_range(data_end(bytes) / 8..data_end(bytes) / 2);
        random.fill(&mut bytes[at..at + 512]);
    }),
    ("half lost", |bytes, _| bytes.truncate(data_end(bytes) / 2)),
    ("half zeros", |bytes, _| {
        let half = data_end(bytes) / 2;
        bytes[half..].fill(0);
    }),
    ("emptied", |bytes, _| bytes.clear()),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_log_is_refused_or_repaired_but_never_believed() {
    let (mut cluster, product, record) =
        with_orders(Options::new("a_damaged_log_is_refused")).await;
    let mut random = cluster.random(2);
    // A node reads its whole log only when it has no checkpoint.
    let cases = DAMAGES.iter().flat_map(|damage| [(damage, true), (damage, false)]);
    for ((name, damage), keeps_checkpoint) in cases {
        let what = format!("{name}, with a checkpoint: {keeps_checkpoint}");
        let victim = cluster.follower().await;
        quiet(&cluster, victim).await;
        cluster.kill(victim);
        let raft = cluster.data_dir(victim).join("raft");
        let sound = cluster.dir().join("sound");
        copy_dir(&raft, &sound);
        let log = largest_file(&raft);
        rewrite(&log, |bytes| damage(bytes, &mut random));
        if !keeps_checkpoint {
            fs::remove_dir_all(checkpoint(&cluster, victim)).expect("it can be removed");
        }
        let logged = cluster.log_text(victim).len();
        cluster.restart(victim);
        match cluster.ready_or_ended(victim).await {
            None => println!("{what}: node {victim} came back"),
            Some(status) => {
                let said = cluster.log_text(victim)[logged..].to_owned();
                println!("{what}: refused, {}", said.lines().last().unwrap_or_default());
                assert_eq!(status.code(), Some(1), "{what}: a refusal, not a crash: {said}");
                let path = raft.display().to_string();
                let named = said.lines().any(|line| is_complaint(line) && line.contains(&path));
                assert!(named, "{what}: names what is damaged: {said}");
            }
        }
        // The other nodes have all data and continue.
        assert_whole(&cluster, product, &record).await;
        // What came back may have damage in places that it has not read yet, and a refusal left
        // the rest of the data alone: either way its own log, to which nothing was added
        // meanwhile, makes the node well.
        cluster.kill(victim);
        fs::remove_dir_all(&raft).expect("a stopped node's data can be removed");
        copy_dir(&sound, &raft);
        cluster.restart(victim);
        cluster.wait_ready().await;
        assert_whole(&cluster, product, &record).await;
        fs::remove_dir_all(&sound).expect("an own copy can be removed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_log_is_gone_does_not_vote_as_if_it_never_had_one() {
    let (mut cluster, product, record) =
        with_orders(Options::new("a_node_whose_log_is_gone")).await;
    for gone in [&["raft"][..], &["raft", "state"]] {
        let victim = cluster.follower().await;
        quiet(&cluster, victim).await;
        cluster.kill(victim);
        let dir = cluster.data_dir(victim).to_owned();
        let whole = cluster.dir().join("whole");
        copy_dir(&dir, &whole);
        for part in gone {
            fs::remove_dir_all(dir.join(part)).expect("a stopped node's data can be removed");
        }
        let logged = cluster.log_text(victim).len();
        cluster.restart(victim);
        let ended = cluster.ready_or_ended(victim).await;
        let said = cluster.log_text(victim)[logged..].to_owned();
        let Some(status) = ended else { panic!("without {gone:?} it came back: {said}") };
        assert_eq!(status.code(), Some(1), "{gone:?}: a refusal, not a crash: {said}");
        let path = dir.display().to_string();
        let named = said.lines().any(|line| is_complaint(line) && line.contains(&path));
        assert!(named, "{gone:?}: names what is missing: {said}");
        for part in gone {
            // The refused start may have begun a new log.
            if dir.join(part).exists() {
                fs::remove_dir_all(dir.join(part)).expect("it can be removed");
            }
            copy_dir(&whole.join(part), &dir.join(part));
        }
        fs::remove_dir_all(&whole).expect("an own copy can be removed");
        cluster.restart(victim);
        cluster.wait_ready().await;
        assert_whole(&cluster, product, &record).await;
    }
}

/// Whether a log line gives the reason why a node ended.
fn is_complaint(line: &str) -> bool {
    line.contains(r#""level":"ERROR""#) || line.starts_with("holdfast:")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_away_catches_up() {
    let mut cluster = Options::new("a_node_that_was_away_catches_up").start().await;
    let mut random = cluster.random(1);
    let product = shop::create_product(cluster.caller(), &mut random, "1.00", 1_000_000).await;
    let away = cluster.follower().await;
    cluster.kill(away);
    let load = Load::start(cluster.caller(), cluster.seed(), product, "mock", 16);
    load.progress(3_000).await;
    let start = std::time::Instant::now();
    cluster.restart(away);
    cluster.wait_node_ready(away).await;
    println!("ready {:?} after its start", start.elapsed());
    load.progress(100).await;
    let record = load.stop().await;
    assert_whole(&cluster, product, &record).await;
    // It has all data: when another node stops, it is part of the majority.
    let gone = cluster.active().into_iter().find(|id| *id != away).expect("there are others");
    cluster.kill(gone);
    let load = Load::start(cluster.caller(), cluster.seed(), product, "none", 2);
    load.progress(20).await;
    load.stop().await;
}
