//! Disks that are slow, full, hang, fail to sync, or refuse writes.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::checker::STUCK;
use crate::cluster::{self, Cluster, Dial};
use crate::disks::{self, Disk};
use crate::net;

/// Milliseconds that a sync takes longer, by turns.
const DELAYS_MS: [i64; 3] = [100, 1_000, 5_000];

/// How long a node may take to notice that its disk refuses writes.
const NOTICE_MAX: Duration = Duration::from_secs(10);

/// A node with a bad disk.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) node: usize,
    pub(super) details: Value,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Slow { before: i64 },
    Full { ballast: PathBuf, bytes: u64 },
    SyncError { before: i64 },
    Hanging { before: i64, starts: usize },
    ReadOnly { place: PathBuf },
}

/// The node to choose: every second time the leader, where that matters.
pub(super) fn node_of(name: &str, turn: usize, leader: usize, any: usize, free: &[usize]) -> usize {
    if !matches!(name, "slow-disk" | "read-only" | "hang-disk") {
        return any;
    }
    let turn = if name == "slow-disk" { turn / DELAYS_MS.len() } else { turn };
    let followers: Vec<usize> = free.iter().copied().filter(|id| *id != leader).collect();
    match followers.get(turn / 2 % followers.len().max(1)) {
        Some(follower) if turn % 2 == 1 => *follower,
        _ => leader,
    }
}

pub(super) fn begin(
    name: &str,
    cluster: &mut Cluster,
    node: usize,
    turn: usize,
) -> Result<Trouble, String> {
    let starts = cluster.node(node).starts;
    let page = &cluster.node(node).page;
    let (details, kind) = match name {
        "slow-disk" => {
            let before = page.get(Dial::Delayed);
            let delay_ms = DELAYS_MS[turn % DELAYS_MS.len()];
            page.set(Dial::SyncDelay, delay_ms * 1_000)?;
            (json!({"delay_ms": delay_ms}), Kind::Slow { before })
        }
        "sync-error" => {
            let before = page.get(Dial::Failed);
            page.set(Dial::SyncFailures, 1)?;
            (Value::Null, Kind::SyncError { before })
        }
        "hang-disk" => {
            let before = page.get(Dial::Delayed);
            page.set(Dial::SyncHangs, 1)?;
            (Value::Null, Kind::Hanging { before, starts })
        }
        "read-only" => {
            if !matches!(cluster.settings.disk, Some(Disk::Image(_))) {
                return Err("this run's nodes have no images of disks".to_owned());
            }
            let data = &cluster.node(node).data;
            let place = data.parent().unwrap_or(data).to_owned();
            disks::fail(&place)?;
            (Value::Null, Kind::ReadOnly { place })
        }
        "disk-full" => {
            if cluster.settings.disk.is_none() {
                return Err("this run's nodes have no disks of their own to fill".to_owned());
            }
            let data = cluster.node(node).data.clone();
            let ballast = data.parent().unwrap_or(&data).join("ballast");
            let bytes = fill(&ballast).map_err(|error| format!("ballast: {error}"))?;
            (json!({"bytes": bytes}), Kind::Full { ballast, bytes })
        }
        _ => return Err(super::choose::unknown(name)),
    };
    Ok(Trouble { node, details, kind })
}

/// Writes until no space is left; returns how many bytes that were.
fn fill(path: &std::path::Path) -> std::io::Result<u64> {
    let mut file: File = OpenOptions::new().create(true).write(true).truncate(true).open(path)?;
    let mut written = 0;
    for size in [1 << 20, 1 << 12, 1] {
        let block = vec![0xa5_u8; size];
        loop {
            match file.write_all(&block) {
                Ok(()) => written += size as u64,
                Err(error) if error.kind() == ErrorKind::StorageFull => break,
                Err(error) => return Err(error),
            }
        }
    }
    Ok(written)
}

impl Trouble {
    pub(super) async fn end(self, cluster: &mut Cluster) -> Result<Value, String> {
        let node = self.node;
        let page = &cluster.node(node).page;
        let effect = match self.kind {
            Kind::Slow { before } => {
                page.set(Dial::SyncDelay, 0)?;
                let delayed = page.get(Dial::Delayed) - before;
                if delayed > 0 { json!({"syncs": delayed}) } else { Value::Null }
            }
            Kind::Full { ballast, bytes } => {
                std::fs::remove_file(&ballast).map_err(|error| error.to_string())?;
                json!({"bytes": bytes, "running": cluster.node(node).is_running()})
            }
            Kind::SyncError { before } => {
                page.set(Dial::SyncFailures, 0)?;
                let failed = page.get(Dial::Failed) - before;
                // A node whose sync failed must stop; give it a moment.
                let running = failed > 0 && !has_ended(cluster, node, Duration::from_secs(5)).await;
                if failed > 0 { json!({"syncs": failed, "running": running}) } else { Value::Null }
            }
            Kind::Hanging { before, starts } => {
                let hung = page.get(Dial::Delayed) - before;
                let ready = cluster::is_ready(net::http(node)).await;
                let node = cluster.node(node);
                node.page.set(Dial::SyncHangs, 0)?;
                let ended = !node.is_running() || node.starts != starts;
                let mut effect = json!({"syncs": hung, "ended": ended});
                if ready {
                    effect[STUCK] =
                        json!(format!("node {} is ready while its disk hangs", node.id));
                }
                if hung > 0 { effect } else { Value::Null }
            }
            Kind::ReadOnly { place } => {
                let ended = has_ended(cluster, node, NOTICE_MAX).await;
                let ready = !ended && cluster::is_ready(net::http(node)).await;
                let said = cluster.node(node).last_error();
                cluster.node(node).kill();
                disks::repair(&place)?;
                let mut effect = json!({"ended": ended, "said": said});
                if ready {
                    effect[STUCK] = json!(format!("node {node} serves without a disk"));
                }
                effect
            }
        };
        cluster.start(node)?;
        Ok(effect)
    }
}

/// Whether a node ends within this time.
async fn has_ended(cluster: &mut Cluster, node: usize, limit: Duration) -> bool {
    let until = Instant::now() + limit;
    while cluster.node(node).is_running() && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    !cluster.node(node).is_running()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_leader_and_followers_see_every_delay() {
        let drawn = |turn: usize| {
            let node = node_of("slow-disk", turn, 2, 4, &[1, 2, 3]);
            (DELAYS_MS[turn % DELAYS_MS.len()], node == 2)
        };
        let mut all: Vec<(i64, bool)> = (7..13).map(drawn).collect();
        all.sort_unstable();
        let both = DELAYS_MS.iter().flat_map(|delay| [(*delay, false), (*delay, true)]);
        assert_eq!(all, both.collect::<Vec<_>>());
        let turns: Vec<usize> =
            (0..4).map(|turn| node_of("read-only", turn, 2, 4, &[1, 2, 3])).collect();
        assert_eq!(turns, [2, 1, 2, 3]);
    }
}
