//! Nemeses: the faults, one file for each group.
//!
//! A fault begins, stays on for a while, and ends with everything healed and with the proof of its
//! effect: packets that were dropped, a process that signal 9 ended, syncs that were delayed. A
//! fault without effect proves nothing and makes a run empty. Several faults can be on at once:
//! `one+other` begins one, then the other, and ends them in the same order.

mod choose;
mod clock;
mod damage;
mod disk;
mod few_files;
mod lagging;
mod members;
mod moved;
mod network;
mod packets;
mod pause;
mod power;
mod process;
mod put_back;
mod rolling;
mod sleep;
mod slow_link;
mod transfer;

use std::collections::BTreeMap;

use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::disks::Disk;

/// The faults by name, with descriptions.
pub const ALL: [(&str, &str); 38] = [
    ("halves", "two random parts that hear nothing of each other"),
    ("minority", "one random node, or two of five, separated from the rest"),
    ("bridge", "two parts joined by one node only"),
    ("ring", "every node hears only its neighbours"),
    ("isolate-leader", "the leader separated in both directions"),
    ("one-way", "the leader can send but not receive, or the other way round"),
    ("flapping", "a link to the leader that goes on and off every 200 ms"),
    ("loss", "10, 30 or 50 % of all packets between nodes get lost, or of those to clients too"),
    ("delay", "packets come 25 to 125 ms later: to all nodes or to the leader"),
    ("reset", "0.5, 2 or 10 % of all packets reset their connection, those of clients too"),
    ("half-open", "connections of a node, or of all, are silently dead; new ones work"),
    ("kill-leader", "kill -9 of the leader"),
    ("kill-follower", "kill -9 of a node that does not lead"),
    ("kill-majority", "kill -9 of a majority"),
    ("kill-all", "kill -9 of all nodes at once"),
    ("power-cut", "all disks as they are at one instant: what was not synced is gone"),
    ("rolling-restart", "all nodes stopped and started one after the other"),
    ("transfer-leader", "leadership handed to another node, again and again"),
    ("add-node", "a further node joins, gets its vote, and is removed again"),
    ("remove-node", "a member, often the leader, is removed; later a new one joins there"),
    ("replace-node", "a node that lost its disk is replaced by a new member"),
    ("pause-leader", "the leader stopped for a while without notice"),
    ("pause-majority", "a majority stopped for a while without notice"),
    ("clock", "the clock of one node jumps, by 100 ms to an hour, back or forth, every second"),
    ("clocks", "the clocks of all nodes jump, each its own way"),
    ("slow-disk", "each sync of one node, often the leader, takes 100 ms, 1 s or 5 s longer"),
    ("disk-full", "no space left on the disk of one node"),
    ("sync-error", "one sync of one node fails"),
    ("read-only", "the disk of the leader, or of another node, refuses all writes"),
    ("corruption", "bytes of a file of one node flipped while it is down: log, state, snapshot"),
    ("put-back", "the data of one node, often the leader, is put back from a copy made before"),
    ("move-address", "the leader, another node or a majority comes back at another address"),
    ("hang-disk", "no sync of one node, often the leader, ends, for up to 14 s"),
    ("sleep-all", "all machines sleep: processes stop, then all clocks are four minutes further"),
    ("few-files", "a node may open few files, and idle connections use them up"),
    ("slow-link", "a node, often the leader, sends at most 300, 120 or 60 kbit/s"),
    (ROLLING, "all nodes go from --old-binary to the new one, and the level is raised"),
    ("lagging", "a node is away until it needs a snapshot, and is killed while it installs one"),
];

/// The fault that needs the binary of an older build, so it is only caused by its name.
const ROLLING: &str = "rolling";

/// Combinations of faults. The command line accepts any others.
pub const COMBINED: [&str; 17] = [
    "isolate-leader+replace-node",
    "flapping+remove-node",
    "kill-follower+remove-node",
    "slow-disk+add-node",
    "power-cut+replace-node",
    "clocks+power-cut",
    "slow-disk+pause-leader",
    "clocks+isolate-leader",
    "loss+kill-leader",
    "delay+slow-disk",
    "clocks+sync-error",
    "clocks+replace-node",
    "lagging+minority",
    "lagging+kill-leader",
    "lagging+slow-disk",
    "lagging+clocks",
    "lagging+remove-node",
];

/// Names for groups of faults.
pub const GROUPS: &str = "none, mix, partition, packets, kill, pause, members, combined";

/// The faults that a name on the command line stands for.
///
/// # Errors
/// When the name is unknown, or two faults cannot be on at once.
pub fn named(name: &str) -> Result<Vec<String>, String> {
    let all = || ALL.iter().map(|(name, _)| (*name).to_owned());
    let combined = || COMBINED.iter().map(|name| (*name).to_owned());
    match name {
        "none" => Ok(Vec::new()),
        "mix" => Ok(all().filter(|name| name != ROLLING).chain(combined()).collect()),
        "combined" => Ok(combined().collect()),
        "partition" => Ok(all().filter(|name| is_partition(name)).collect()),
        "packets" => Ok(all().filter(|name| is_of_packets(name)).collect()),
        "kill" => Ok(all().filter(|name| name.starts_with("kill")).collect()),
        "pause" => Ok(all().filter(|name| name.starts_with("pause")).collect()),
        "members" => Ok(all().filter(|name| is_of_members(name)).collect()),
        _ => {
            let parts = || name.split('+');
            if let Some(part) = parts().find(|part| !all().any(|known| known == *part)) {
                let names: Vec<String> = all().collect();
                return Err(format!(
                    "`{part}` is not a nemesis: expected {GROUPS}, {}",
                    names.join(", ")
                ));
            }
            let is_network = |name: &str| is_partition(name) || is_of_packets(name);
            for of_one_kind in [is_network, is_of_members] {
                if parts().filter(|part| of_one_kind(part)).count() > 1 {
                    return Err(format!("the faults of `{name}` would undo each other"));
                }
            }
            Ok(vec![name.to_owned()])
        }
    }
}

fn is_partition(name: &str) -> bool {
    matches!(
        name,
        "halves" | "minority" | "bridge" | "ring" | "isolate-leader" | "one-way" | "flapping"
    )
}

fn is_of_packets(name: &str) -> bool {
    matches!(name, "loss" | "delay" | "reset" | "half-open")
}

fn is_of_members(name: &str) -> bool {
    matches!(name, "transfer-leader" | "add-node" | "remove-node" | "replace-node")
}

/// Whether this is the fault `part`, or a combination with it.
#[must_use]
pub fn has(name: &str, part: &str) -> bool {
    name.split('+').any(|one| one == part)
}

/// The faults that are on.
#[derive(Debug)]
pub struct Active {
    /// What was done to which nodes, for the history.
    pub value: Value,
    parts: Vec<State>,
}

#[derive(Debug)]
enum State {
    Network(network::Cuts),
    Packets(packets::Packets),
    Killed(process::Killed),
    Cut(power::Cut),
    Transferred(transfer::Transferred),
    Changed(members::Changed),
    Paused(pause::Paused),
    Clock(clock::Shifted),
    Disk(disk::Trouble),
    Damaged(damage::Damaged),
    PutBack(put_back::Copied),
    Moved(moved::Moved),
    Slept(sleep::Slept),
    FewFiles(few_files::Few),
    SlowLink(slow_link::Slow),
    Rolled(rolling::Rolled),
    Lagging(lagging::Lagging),
}

/// How often each fault was on, so that faults with several variants alternate between them. The
/// first variant depends on the seed, so that short runs of different seeds see different ones.
#[derive(Debug)]
pub struct Turns {
    first: usize,
    counts: BTreeMap<String, usize>,
}

impl Turns {
    /// The turns of a run with this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { first: usize::try_from(seed % 60).unwrap_or(0), counts: BTreeMap::new() }
    }

    fn next(&mut self, name: &str) -> usize {
        let count = self.counts.entry(name.to_owned()).or_default();
        *count += 1;
        self.first + *count - 1
    }
}

/// Whether a majority is running and connected while the fault is on. No if that depends.
#[must_use]
pub fn keeps_majority(name: &str) -> bool {
    let depends = matches!(
        name,
        "bridge"
            | "ring"
            | "flapping"
            | "loss"
            | "reset"
            | "move-address"
            | "sleep-all"
            | "slow-link"
            | "kill-majority"
            | "kill-all"
            | "power-cut"
            | "pause-majority"
    );
    !depends && !name.contains('+')
}

/// Whether the whole fault happens when it begins, so that there is nothing to wait for.
#[must_use]
pub fn is_at_once(name: &str) -> bool {
    matches!(name, "rolling-restart" | "transfer-leader" | ROLLING)
}

/// How many milliseconds a fault stays on. Dead connections must outlast the time after which nodes
/// take silence for an end.
pub fn on_ms(name: &str, random: &mut StdRng) -> u64 {
    match name {
        _ if is_at_once(name) => 0,
        "half-open" => random.random_range(12_000..20_000),
        // Longer and shorter than the nodes of such a run wait for their disks.
        "hang-disk" => random.random_range(4_000..14_000),
        // The others remember what a node did after about two seconds.
        "put-back" => random.random_range(5_000..8_000),
        _ => random.random_range(2_000..8_000),
    }
}

/// Begins a fault, or several.
///
/// # Errors
/// When something that it needs does not work here.
pub async fn begin(
    name: &str,
    cluster: &mut Cluster,
    turns: &mut Turns,
    random: &mut StdRng,
) -> Result<Active, String> {
    // Faults use different nodes.
    let mut free = cluster.ids();
    let (mut values, mut parts) = (Vec::new(), Vec::new());
    for part in name.split('+') {
        let (value, state) = begin_one(part, cluster, &free, turns.next(part), random).await?;
        free.retain(|id| !state.nodes().contains(id));
        values.push(value);
        parts.push(state);
    }
    Ok(Active { value: one_or_all(values), parts })
}

async fn begin_one(
    name: &str,
    cluster: &mut Cluster,
    free: &[usize],
    turn: usize,
    random: &mut StdRng,
) -> Result<(Value, State), String> {
    if free.is_empty() {
        return Err(format!("no node is left for {name}"));
    }
    let any = free[random.random_range(0..free.len())];
    let leader = cluster.leader().await.filter(|leader| free.contains(leader)).unwrap_or(any);
    Ok(match name {
        "kill-leader" | "kill-follower" | "kill-majority" | "kill-all" | "rolling-restart" => {
            let killed = process::begin(name, cluster, free, leader, random).await?;
            (json!({"nodes": killed.nodes}), State::Killed(killed))
        }
        "power-cut" => {
            let cut = power::begin(cluster, random)?;
            (json!({"nodes": cut.nodes}), State::Cut(cut))
        }
        "transfer-leader" => {
            let transferred = transfer::begin(cluster, leader).await;
            (json!({"answers": transferred.answers}), State::Transferred(transferred))
        }
        "add-node" | "remove-node" | "replace-node" => {
            let node = if random.random_bool(0.4) { leader } else { any };
            let changed = members::begin(name, cluster, node).await?;
            (changed.value.clone(), State::Changed(changed))
        }
        "pause-leader" | "pause-majority" => {
            let paused = pause::begin(name, cluster, free, leader, random)?;
            (json!({"nodes": paused.nodes}), State::Paused(paused))
        }
        "clock" | "clocks" => {
            let nodes = if name == "clock" { vec![any] } else { free.to_vec() };
            let shifted = clock::begin(cluster, nodes, random)?;
            (json!({"nodes": shifted.nodes}), State::Clock(shifted))
        }
        "slow-disk" | "disk-full" | "sync-error" | "read-only" | "hang-disk" => {
            let node = disk::node_of(name, turn, leader, any, free);
            let trouble = disk::begin(name, cluster, node, turn)?;
            let leads = node == leader;
            let value = json!({"node": node, "leads": leads, "details": trouble.details});
            (value, State::Disk(trouble))
        }
        "corruption" => {
            let damaged = damage::begin(cluster, any, random).await?;
            (json!({"node": any, "details": damaged.details}), State::Damaged(damaged))
        }
        "put-back" => {
            let node = if random.random_bool(0.5) { leader } else { any };
            let copied = put_back::begin(cluster, node).await?;
            (json!({"node": node, "leads": node == leader}), State::PutBack(copied))
        }
        "move-address" => {
            let moved = moved::begin(cluster, free, leader, turn, random)?;
            (json!({"nodes": moved.nodes}), State::Moved(moved))
        }
        "sleep-all" => {
            let slept = sleep::begin(cluster).await?;
            (json!({"nodes": slept.nodes}), State::Slept(slept))
        }
        "few-files" => {
            let few = few_files::begin(cluster, any).await?;
            (json!({"node": any, "leads": any == leader}), State::FewFiles(few))
        }
        "slow-link" => {
            let slow = slow_link::begin(cluster, leader, any, turn)?;
            (slow.value.clone(), State::SlowLink(slow))
        }
        ROLLING => {
            let rolled = rolling::begin(cluster, any).await?;
            (Value::Null, State::Rolled(rolled))
        }
        "lagging" => {
            let lagging = lagging::begin(cluster, any, random).await?;
            (lagging.value.clone(), State::Lagging(lagging))
        }
        "loss" | "delay" | "reset" | "half-open" => {
            let packets = packets::begin(name, cluster, leader, turn, random)?;
            (packets.value.clone(), State::Packets(packets))
        }
        name if is_partition(name) => {
            let cuts = network::begin(name, cluster, leader, random)?;
            (json!({"drop": cuts.shown()}), State::Network(cuts))
        }
        name => return Err(choose::unknown(name)),
    })
}

/// The kind of disk that a run with these faults needs, of `mib` MiB each: an image for faults that
/// cut the power or refuse writes, memory where it is enough that the disk can be filled.
#[must_use]
pub fn disk_for(names: &[String], mib: u64) -> Option<Disk> {
    let with = |part: &str| names.iter().any(|name| has(name, part));
    if with("power-cut") || with("read-only") {
        Some(Disk::Image(mib))
    } else if with("disk-full") {
        Some(Disk::Memory(mib))
    } else {
        None
    }
}

impl State {
    /// The nodes that another fault must leave alone, or the effect of neither could be seen.
    fn nodes(&self) -> Vec<usize> {
        match self {
            State::Killed(killed) => killed.nodes.clone(),
            State::Paused(paused) => paused.nodes.clone(),
            State::Changed(changed) => vec![changed.node],
            State::Disk(trouble) => vec![trouble.node],
            State::Damaged(damaged) => vec![damaged.node],
            State::PutBack(copied) => vec![copied.node],
            State::Moved(moved) => moved.nodes.clone(),
            State::FewFiles(few) => vec![few.node],
            State::SlowLink(slow) => vec![slow.node],
            State::Lagging(lagging) => vec![lagging.node],
            State::Network(_)
            | State::Packets(_)
            | State::Cut(_)
            | State::Transferred(_)
            | State::Slept(_)
            | State::Rolled(_)
            | State::Clock(_) => Vec::new(),
        }
    }
}

/// What must be repeated while faults are on, about every 200 ms.
///
/// # Errors
/// When something that it needs no longer works.
pub fn tick(active: &mut Active, cluster: &mut Cluster, random: &mut StdRng) -> Result<(), String> {
    for state in &mut active.parts {
        match state {
            State::Network(cuts) => cuts.tick(cluster)?,
            State::Clock(shifted) => shifted.tick(cluster, random)?,
            _ => {}
        }
    }
    Ok(())
}

/// Heals everything and returns the effect; null when something had none.
///
/// # Errors
/// When it cannot be healed.
pub async fn end(active: Active, cluster: &mut Cluster) -> Result<Value, String> {
    let mut effects = Vec::new();
    let mut lagging = None;
    for state in active.parts {
        effects.push(match state {
            State::Network(cuts) => cuts.end(cluster)?,
            State::Packets(packets) => packets.end(cluster).await?,
            State::Killed(killed) => killed.end(cluster)?,
            State::Cut(cut) => cut.end(cluster)?,
            State::Transferred(transferred) => transferred.end(),
            State::Changed(changed) => changed.end(cluster).await?,
            State::Paused(paused) => paused.end(cluster),
            State::Clock(shifted) => shifted.end(cluster)?,
            State::Disk(trouble) => trouble.end(cluster).await?,
            State::Damaged(damaged) => damaged.end(cluster).await?,
            State::PutBack(copied) => copied.end(cluster).await?,
            State::Moved(moved) => moved.end(cluster).await?,
            State::Slept(slept) => slept.end(cluster)?,
            State::FewFiles(few) => few.end(cluster).await?,
            State::SlowLink(slow) => slow.end(cluster)?,
            State::Rolled(rolled) => rolled.effect,
            State::Lagging(mut behind) => {
                // It returns while the later faults are still on, and may need their end.
                behind.come_back(cluster).await?;
                lagging = Some((effects.len(), behind));
                Value::Null
            }
        });
    }
    if let Some((at, behind)) = lagging {
        effects[at] = behind.proof(cluster).await;
    }
    if effects.iter().any(Value::is_null) {
        return Ok(Value::Null);
    }
    Ok(one_or_all(effects))
}

/// A single value as it is, several as a list.
fn one_or_all(mut values: Vec<Value>) -> Value {
    if values.len() == 1 { values.remove(0) } else { Value::Array(values) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_and_combinations_contain_only_known_faults() {
        assert_eq!(named("none"), Ok(Vec::new()));
        assert_eq!(named("mix").unwrap().len(), ALL.len() - 1 + COMBINED.len());
        assert_eq!(named(ROLLING), Ok(vec![ROLLING.to_owned()]));
        assert_eq!(named("partition").unwrap().len(), 7);
        assert_eq!(named("packets").unwrap().len(), 4);
        assert_eq!(named("members").unwrap().len(), 4);
        for name in COMBINED {
            assert_eq!(named(name), Ok(vec![name.to_owned()]));
            assert!(!keeps_majority(name));
        }
        assert!(has("clocks+power-cut", "power-cut") && !has("power-cut", "clocks"));
        for names in ["halves+bridge", "loss+minority", "delay+reset"] {
            assert!(named(names).is_err(), "the packet filters are emptied at the end");
        }
        assert!(named("clocks+rain").unwrap_err().contains("`rain`"));
    }
}
