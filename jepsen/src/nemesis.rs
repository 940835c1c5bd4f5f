//! Nemeses: what is done to a cluster, one file for each group of faults.
//!
//! A fault begins, is on for a while, and ends with everything healed and with the proof of its
//! effect: packets that were swallowed, a process that ended by signal 9, syncs that were delayed.
//! A fault without effect proves nothing and makes a run empty.

mod clock;
mod damage;
mod disk;
mod network;
mod pause;
mod process;
mod transfer;

use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use crate::cluster::Cluster;

/// The faults by name, with what they do.
pub const ALL: [(&str, &str); 21] = [
    ("halves", "two random parts that hear nothing of each other"),
    ("minority", "one random node, or two of five, cut off from the rest"),
    ("bridge", "two parts joined by one node only"),
    ("ring", "every node hears its neighbours only"),
    ("isolate-leader", "the leader cut off in both directions"),
    ("one-way", "the leader can send but not receive, or the other way round"),
    ("flapping", "a link to the leader that goes on and off every 200 ms"),
    ("kill-leader", "kill -9 of the leader"),
    ("kill-follower", "kill -9 of a node that does not lead"),
    ("kill-majority", "kill -9 of a majority"),
    ("kill-all", "kill -9 of all nodes at once"),
    ("rolling-restart", "all nodes stopped and started one after the other"),
    ("transfer-leader", "leadership handed to another node, again and again"),
    ("pause-leader", "the leader stopped for a while without notice"),
    ("pause-majority", "a majority stopped for a while without notice"),
    ("clock", "the clock of one node jumps, by 100 ms to an hour, back or forth, every second"),
    ("clocks", "the clocks of all nodes jump, each its own way"),
    ("slow-disk", "each sync of one node takes 50 ms to a second longer"),
    ("disk-full", "no space left on the disk of one node"),
    ("sync-error", "one sync of one node fails"),
    ("corruption", "bytes of a file of one node flipped while it is down"),
];

/// The faults that a name on the command line stands for.
///
/// # Errors
/// When there is no such name.
pub fn named(name: &str) -> Result<Vec<&'static str>, String> {
    let all = || ALL.iter().map(|(name, _)| *name);
    match name {
        "none" => Ok(Vec::new()),
        "mix" => Ok(all().collect()),
        "partition" => Ok(all().take(7).collect()),
        "kill" => Ok(all().filter(|name| name.starts_with("kill")).collect()),
        "pause" => Ok(all().filter(|name| name.starts_with("pause")).collect()),
        _ => match all().find(|known| *known == name) {
            Some(known) => Ok(vec![known]),
            None => {
                let names: Vec<&str> = all().collect();
                let groups = "none, mix, partition, kill, pause";
                Err(format!("`{name}` is no nemesis: {groups}, {}", names.join(", ")))
            }
        },
    }
}

/// A fault that is on.
#[derive(Debug)]
pub struct Active {
    /// What was done to whom, for the history.
    pub value: Value,
    state: State,
}

#[derive(Debug)]
enum State {
    Network(network::Cuts),
    Killed(process::Killed),
    Transferred(transfer::Transferred),
    Paused(pause::Paused),
    Clock(clock::Shifted),
    Disk(disk::Trouble),
    Damaged(damage::Damaged),
}

/// Whether a majority is running and connected while the fault is on. Where that depends, no.
#[must_use]
pub fn keeps_majority(name: &str) -> bool {
    !matches!(
        name,
        "bridge" | "ring" | "flapping" | "kill-majority" | "kill-all" | "pause-majority"
    )
}

/// Whether all of the fault happens when it begins, so that there is nothing to wait for.
#[must_use]
pub fn is_at_once(name: &str) -> bool {
    matches!(name, "rolling-restart" | "transfer-leader")
}

/// Brings a fault about.
///
/// # Errors
/// When something that it needs does not work here.
pub async fn begin(
    name: &str,
    cluster: &mut Cluster,
    random: &mut StdRng,
) -> Result<Active, String> {
    let leader = cluster.leader().await;
    let ids = cluster.ids();
    let any = ids[random.random_range(0..ids.len())];
    let leader = leader.unwrap_or(any);
    let (value, state) = match name {
        "halves" | "minority" | "bridge" | "ring" | "isolate-leader" | "one-way" | "flapping" => {
            let cuts = network::begin(name, cluster, leader, random)?;
            (json!({"drop": cuts.shown()}), State::Network(cuts))
        }
        "kill-leader" | "kill-follower" | "kill-majority" | "kill-all" | "rolling-restart" => {
            let killed = process::begin(name, cluster, leader, random).await?;
            (json!({"nodes": killed.nodes}), State::Killed(killed))
        }
        "transfer-leader" => {
            let transferred = transfer::begin(cluster, leader).await;
            (json!({"answers": transferred.answers}), State::Transferred(transferred))
        }
        "pause-leader" | "pause-majority" => {
            let paused = pause::begin(name, cluster, leader, random);
            (json!({"nodes": paused.nodes}), State::Paused(paused))
        }
        "clock" | "clocks" => {
            let nodes = if name == "clock" { vec![any] } else { ids };
            let shifted = clock::begin(cluster, nodes, random)?;
            (json!({"nodes": shifted.nodes}), State::Clock(shifted))
        }
        "slow-disk" | "disk-full" | "sync-error" => {
            let trouble = disk::begin(name, cluster, any, random)?;
            (json!({"node": any, "details": trouble.details}), State::Disk(trouble))
        }
        _ => {
            let damaged = damage::begin(cluster, any, random).await?;
            (json!({"node": any, "details": damaged.details}), State::Damaged(damaged))
        }
    };
    Ok(Active { value, state })
}

/// What has to be done again and again while a fault is on, about every 200 ms.
///
/// # Errors
/// When something that it needs does not work any more.
pub fn tick(active: &mut Active, cluster: &mut Cluster, random: &mut StdRng) -> Result<(), String> {
    match &mut active.state {
        State::Network(cuts) => cuts.tick(cluster),
        State::Clock(shifted) => shifted.tick(cluster, random),
        _ => Ok(()),
    }
}

/// Heals a fault and says what its effect was; null when there was none.
///
/// # Errors
/// When it cannot be healed.
pub async fn end(active: Active, cluster: &mut Cluster) -> Result<Value, String> {
    match active.state {
        State::Network(cuts) => cuts.end(cluster),
        State::Killed(killed) => killed.end(cluster),
        State::Transferred(transferred) => Ok(transferred.end()),
        State::Paused(paused) => Ok(paused.end(cluster)),
        State::Clock(shifted) => shifted.end(cluster),
        State::Disk(trouble) => trouble.end(cluster).await,
        State::Damaged(damaged) => damaged.end(cluster).await,
    }
}

/// Some of these, without repetition.
fn some(ids: &[usize], count: usize, random: &mut StdRng) -> Vec<usize> {
    use rand::seq::IndexedRandom;
    let mut some: Vec<usize> = ids.choose_multiple(random, count).copied().collect();
    some.sort_unstable();
    some
}
