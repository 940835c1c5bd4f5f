//! Nodes whose data is damaged while they are down. With a majority of the others they recover all
//! data by themselves and report it; without one they change no file.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tests::damage::{
    assert_kept, assert_whole, data_end, largest_file, quiet, records, rewrite, tree, with_orders,
};
use tests::load::Load;
use tests::{Call, Cluster, Options, cluster, shop, wait};

/// The directory of a node's checkpoint.
fn state_dir(data: &Path) -> PathBuf {
    let entries = fs::read_dir(data).expect("a node's data can be listed").flatten();
    let mut dirs = entries.map(|entry| entry.path()).filter(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name == "state" || name.strip_prefix("state-").is_some_and(|n| n.parse::<u64>().is_ok())
    });
    dirs.next().expect("a node that ran has a checkpoint")
}

/// Flips a bit in every page of a node's checkpoint.
fn damage_checkpoint(data: &Path) {
    rewrite(&largest_file(&state_dir(data)), |bytes| {
        let end = data_end(bytes);
        bytes[..end].iter_mut().skip(2_000).step_by(4_096).for_each(|byte| *byte ^= 0x10);
    });
}

/// Flips a bit in the order of the log that `followed_by` orders follow.
fn damage_order(data: &Path, followed_by: usize) {
    rewrite(&largest_file(&data.join("raft")), |bytes| {
        let key = b"load-";
        let find = |range: std::ops::Range<usize>| {
            let at = bytes[range.clone()].windows(key.len()).position(|window| window == key);
            at.map(|at| range.start + at)
        };
        let orders: Vec<usize> = records(bytes).into_iter().filter_map(find).collect();
        println!("{} records with orders", orders.len());
        bytes[orders[orders.len() - 1 - followed_by]] ^= 0x10;
    });
}

/// Flips a bit in the header of a record of the log that three records follow.
fn damage_record(data: &Path) {
    rewrite(&largest_file(&data.join("raft")), |bytes| {
        let all = records(bytes);
        bytes[all[all.len() - 4].start + 6] ^= 0x10;
    });
}

fn damage_newest_snapshot(data: &Path) {
    let files = fs::read_dir(data.join("snapshots")).expect("there are snapshots").flatten();
    let newest = files.map(|file| file.path()).max().expect("there is one");
    rewrite(&newest, |bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x10;
    });
}

fn remove(path: &Path) {
    fs::remove_dir_all(path).expect("a stopped node's data can be removed");
}

/// How a node recovers from a damage.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    /// It repairs the damage from its own data, and logs one of these texts.
    Mended(&'static [&'static str]),
    /// It becomes a new member.
    Rebuilt,
}

type Damage = (&'static str, fn(&Path), Way);

/// sled itself turns some damage into an earlier checkpoint, or an empty one.
const CHECKPOINT: &[&str] = &[
    "the checkpoint is damaged: it is moved aside and rebuilt",
    "the checkpoint has lost its newest part",
];
const LOG: &[&str] = &["the log is truncated behind them, at a new snapshot"];
const SNAPSHOT: &[&str] = &["a snapshot is damaged and moved aside"];

/// Each damage hits another node. The log was truncated before the first.
const DAMAGES: &[Damage] = &[
    ("bits of the checkpoint", damage_checkpoint, Way::Mended(CHECKPOINT)),
    ("an entry that the checkpoint holds", |data| damage_order(data, 700), Way::Mended(LOG)),
    (
        "the newest snapshot and the checkpoint",
        |data| {
            damage_newest_snapshot(data);
            damage_checkpoint(data);
        },
        Way::Mended(SNAPSHOT),
    ),
    (
        "checkpoint and snapshots gone",
        |data| {
            remove(&state_dir(data));
            remove(&data.join("snapshots"));
        },
        Way::Rebuilt,
    ),
    ("a record that was synced", damage_record, Way::Rebuilt),
    ("the log gone", |data| remove(&data.join("raft")), Way::Rebuilt),
    (
        "half of the log",
        |data| {
            rewrite(&largest_file(&data.join("raft")), |bytes| bytes.truncate(data_end(bytes) / 2));
        },
        Way::Rebuilt,
    ),
    ("a counter of starts", |data| rewrite(&data.join("boot"), |b| b[5] ^= 1), Way::Rebuilt),
    ("the log gone again", |data| remove(&data.join("raft")), Way::Rebuilt),
];

/// Runs `holdfast verify` on a stopped node's data: whether it is sound, and the output.
fn verify(cluster: &Cluster, node: u64) -> (bool, String) {
    let mut command = cluster::holdfast();
    command.args(["verify", "--data"]).arg(cluster.data_dir(node));
    command.arg("--scratch").arg(cluster.dir());
    let output = command.output().expect("the binary under test can be started");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.success(), text)
}

/// The members in the view of a node: id, and whether it votes.
async fn members(cluster: &Cluster, node: u64) -> Vec<(u64, bool)> {
    let view = cluster.view(node).await;
    let members = view["members"].as_array().expect("members").iter();
    let votes = |member: &Value| member["role"] != "learner";
    members.map(|member| (member["id"].as_u64().expect("an id"), votes(member))).collect()
}

/// Waits until exactly the running nodes are members and vote.
async fn until_all_vote(cluster: &Cluster) {
    wait::until("three members voted and no other was left", wait::READY, async || {
        let mut own = Vec::new();
        for node in cluster.active() {
            let id = shop::count(&cluster.view(node).await, "node_id");
            own.push((id, true));
        }
        own.sort_unstable();
        for node in cluster.active() {
            let seen = members(cluster, node).await;
            if seen != own {
                return Err(format!("node {node} sees {seen:?}, there are {own:?}"));
            }
        }
        Ok(())
    })
    .await;
}

/// Makes every node take snapshots until it has truncated its log.
async fn cut_logs(cluster: &Cluster, load: &Load) {
    for node in cluster.active() {
        wait::until("the log was cut", wait::READY, async || {
            let call = Call::new("POST", "/api/v1/cluster/snapshot");
            cluster.caller().ask(node, &call).await.expect(200);
            let metrics = cluster.caller().get(node, "/metrics").await.expect(200).text();
            let line = metrics.lines().find(|line| line.starts_with("compacted_index "));
            let line = line.unwrap_or_else(|| panic!("no compacted_index in {metrics}"));
            load.progress(200).await;
            if line.ends_with(" 0") { Err(line.to_owned()) } else { Ok(()) }
        })
        .await;
    }
}

/// Starts a node on damaged data and waits until it is ready. sled may end the process once, over
/// its files: the next startup does not open them.
async fn comes_back(cluster: &mut Cluster, node: u64) {
    cluster.restart(node);
    if let Some(status) = cluster.ready_or_ended(node).await {
        assert_eq!(status.code(), None, "node {node} gave up");
        cluster.restart(node);
        cluster.wait_node_ready(node).await;
    }
    cluster.forgive_panics(node);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_damage_is_repaired_under_load_and_reported() {
    let options =
        Options::new("every_kind_of_damage_is_repaired_under_load_and_reported").rebuilding(60);
    let mut cluster = options.start().await;
    let mut random = cluster.random(1);
    let product = shop::create_product(cluster.caller(), &mut random, "1.00", 1_000_000).await;
    let load = Load::start(cluster.caller(), cluster.seed(), product, "none", 6);
    load.progress(1_500).await;
    cut_logs(&cluster, &load).await;
    for (round, (name, damage, way)) in DAMAGES.iter().enumerate() {
        // Every node in turn, the leader too.
        let victim = round as u64 % 3 + 1;
        let before = shop::count(&cluster.view(victim).await, "node_id");
        cluster.kill(victim);
        damage(cluster.data_dir(victim));
        let (sound, report) = verify(&cluster, victim);
        assert!(!sound, "{name}: found offline: {report}");
        let found: Vec<&str> = report.lines().filter(|line| line.starts_with("DAMAGED")).collect();
        println!("{name}, node {victim}: {found:#?}");
        let said_before = cluster.log_text(victim).len();
        comes_back(&mut cluster, victim).await;
        let said = cluster.log_text(victim)[said_before..].to_owned();
        let view = cluster.view(victim).await;
        match way {
            Way::Mended(words) => {
                assert!(words.iter().any(|words| said.contains(words)), "{name}: {said}");
                assert_eq!(view["node_id"], before, "{name}: {view}");
            }
            Way::Rebuilt => {
                assert!(said.contains("the data of this node is damaged"), "{name}: {said}");
                assert!(said.contains("this node is a new member now"), "{name}: {said}");
                assert_eq!(view["rebuilt_from"], before, "{name}: {view}");
                assert!(shop::count(&view, "node_id") > before, "{name}: {view}");
                let metrics = cluster.caller().get(victim, "/metrics").await.expect(200).text();
                let told = metrics
                    .lines()
                    .any(|line| line.strip_prefix("rebuilds ").is_some_and(|count| count != "0"));
                assert!(told, "{name}: {metrics}");
                assert!(cluster.data_dir(victim).join("damaged-1/identity").is_file(), "{name}");
            }
        }
        until_all_vote(&cluster).await;
        load.progress(100).await;
    }
    let record = load.stop().await;
    println!("{} orders; asked again: {:?}", record.acknowledged.len(), record.retries);
    assert_kept(&cluster, product, &record).await;
    // The data holds names and members: all nodes come back under the ids that they were given.
    cluster.kill_all();
    cluster.forget_peers();
    cluster.restart_all();
    cluster.wait_ready().await;
    until_all_vote(&cluster).await;
    assert_kept(&cluster, product, &record).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupted_rebuild_continues_after_a_restart() {
    let options = Options::new("an_interrupted_rebuild_continues_after_a_restart").rebuilding(60);
    let (mut cluster, product, record) = with_orders(options).await;
    let load = Load::start(cluster.caller(), cluster.seed(), product, "mock", 2);
    let victim = cluster.follower().await;
    let until_it_says = async |cluster: &Cluster, from: usize, words: &str| {
        wait::until(&format!("the node said: {words}"), wait::READY, async || {
            let said = cluster.log_text(victim)[from..].to_owned();
            if said.contains(words) { Ok(()) } else { Err(said) }
        })
        .await;
    };
    cluster.kill(victim);
    remove(&cluster.data_dir(victim).join("raft"));
    // While it asks the others; after they agreed; while it is a learner.
    for words in ["asking the others", "this node is a new member now", "listening"] {
        let said = cluster.log_text(victim).len();
        cluster.restart(victim);
        until_it_says(&cluster, said, words).await;
        cluster.kill(victim);
    }
    // Damaged again before it was given a vote, or right after: whose place it was to take is
    // free either way.
    rewrite(&cluster.data_dir(victim).join("boot"), |bytes| bytes.truncate(3));
    cluster.restart(victim);
    cluster.wait_node_ready(victim).await;
    until_all_vote(&cluster).await;
    let view = cluster.view(victim).await;
    let twice = shop::count(&view, "node_id") > shop::count(&view, "rebuilt_from");
    assert!(twice && shop::count(&view, "rebuilt_from") > 3, "{view}");
    load.progress(50).await;
    let mut whole = load.stop().await;
    whole.acknowledged.extend(record.acknowledged);
    assert_whole(&cluster, product, &whole).await;
}

/// Starts these damaged nodes and waits until they end.
async fn until_they_give_up(cluster: &mut Cluster, nodes: &[u64]) {
    for &node in nodes {
        let said = cluster.log_text(node).len();
        cluster.restart(node);
        let status = cluster.ended(node, Duration::from_secs(60)).await;
        assert_eq!(status.code(), Some(1), "node {node}: a refusal, not a crash");
        let said = cluster.log_text(node)[said..].to_owned();
        let last = said.lines().last().unwrap_or_default().to_owned();
        let file = cluster.data_dir(node).join("raft/log-1").display().to_string();
        for words in [&file, "at byte", "no majority", "Nothing was changed", "holdfast recover"] {
            assert!(last.contains(words), "node {node} says {words}: {last}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_sound_majority_no_node_is_rebuilt_and_no_file_changes() {
    let options = Options::new("without_a_sound_majority_no_node_is_rebuilt_and_no_file_changes")
        .rebuilding(3);
    let (mut cluster, product, record) = with_orders(options).await;
    for node in 1..=3 {
        quiet(&cluster, node).await;
    }
    for damaged in [&[1, 2, 3][..], &[2, 3]] {
        cluster.kill_all();
        let mut sound = Vec::new();
        for &node in damaged {
            let data = cluster.data_dir(node);
            let log = largest_file(&data.join("raft"));
            sound.push((log.clone(), fs::read(&log).expect("a stopped node's file can be read")));
            damage_record(data);
        }
        let before: Vec<_> = damaged.iter().map(|node| tree(cluster.data_dir(*node))).collect();
        for node in (1..=3).filter(|node| !damaged.contains(node)) {
            cluster.restart(node);
        }
        until_they_give_up(&mut cluster, damaged).await;
        let mut planned = Vec::new();
        for (node, before) in damaged.iter().zip(&before) {
            let mut after = tree(cluster.data_dir(*node));
            // A node that reached another one notes what it was about to ask for.
            if after.remove(&cluster.data_dir(*node).join("rebuilding")).is_some() {
                planned.push(*node);
            }
            assert!(*before == after, "node {node}: nothing was touched");
        }
        assert_eq!(planned.is_empty(), damaged.len() == 3, "{planned:?}");
        // Repaired disks bring all data back.
        for (log, bytes) in sound {
            fs::write(log, bytes).expect("a stopped node's file can be written");
        }
        cluster.restart_all();
        cluster.wait_ready().await;
        for node in planned {
            let said = cluster.log_text(node);
            assert!(said.contains("is listed, remove it"), "node {node}: {said}");
        }
        assert_whole(&cluster, product, &record).await;
        remove_learners(&cluster).await;
        until_all_vote(&cluster).await;
    }
}

/// A request without a majority may take effect once there is one again. It then leaves a learner
/// that no node will ever be; this removes it.
async fn remove_learners(cluster: &Cluster) {
    wait::until("nobody was a learner any more", wait::READY, async || {
        let seen = members(cluster, 1).await;
        let Some((id, _)) = seen.iter().find(|(_, votes)| !votes) else { return Ok(()) };
        let call = Call::delete(format!("/api/v1/cluster/members/{id}"));
        cluster.caller().ask(1, &call).await.expect(200);
        Err(format!("{seen:?}"))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_checkpoints_on_all_nodes_are_rebuilt_from_snapshot_and_log() {
    let options =
        Options::new("damaged_checkpoints_on_all_nodes_are_rebuilt_from_snapshot_and_log")
            .rebuilding(60);
    let (mut cluster, product, record) = with_orders(options).await;
    // Damage that sled reports, and damage that ended the process.
    for kills in [false, true] {
        for node in 1..=3 {
            quiet(&cluster, node).await;
        }
        cluster.kill_all();
        let said: Vec<usize> = (1..=3).map(|node| cluster.log_text(node).len()).collect();
        for node in 1..=3 {
            let data = cluster.data_dir(node);
            damage_checkpoint(data);
            if kills {
                let name = state_dir(data).file_name().expect("a name").to_owned();
                let marked = fs::write(data.join("opening"), name.as_encoded_bytes());
                marked.expect("a stopped node's data can be written");
            }
        }
        cluster.restart_all();
        for node in 1..=3 {
            // Nodes that sled ended must be started again before any node is ready.
            if cluster.ready_or_ended(node).await.is_some() {
                cluster.restart(node);
            }
        }
        cluster.wait_ready().await;
        for (node, from) in (1..=3).zip(said) {
            cluster.forgive_panics(node);
            let said = &cluster.log_text(node)[from..];
            assert!(CHECKPOINT.iter().any(|words| said.contains(words)), "node {node}: {said}");
            let died = said.contains("the process ended while it was opened");
            assert_eq!(died, kills, "node {node}: {said}");
            assert_eq!(cluster.view(node).await["node_id"], node, "nobody was replaced");
        }
        assert_whole(&cluster, product, &record).await;
    }
}
