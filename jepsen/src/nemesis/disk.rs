//! Disks that are slow, full, or fail to sync.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use crate::cluster::{Cluster, Dial};

/// One node with trouble.
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
}

pub(super) fn begin(
    name: &str,
    cluster: &mut Cluster,
    node: usize,
    random: &mut StdRng,
) -> Result<Trouble, String> {
    let page = &cluster.node(node).page;
    let (details, kind) = match name {
        "slow-disk" => {
            let before = page.get(Dial::Delayed);
            let delay_ms = [50, 200, 1_000][random.random_range(0..3)];
            page.set(Dial::SyncDelay, delay_ms * 1_000)?;
            (json!({"delay_ms": delay_ms}), Kind::Slow { before })
        }
        "sync-error" => {
            let before = page.get(Dial::Failed);
            page.set(Dial::SyncFailures, 1)?;
            (Value::Null, Kind::SyncError { before })
        }
        _ => {
            if cluster.settings.disk.is_none() {
                return Err("this run's nodes have no disks of their own to fill".to_owned());
            }
            let data = cluster.node(node).data.clone();
            let ballast = data.parent().unwrap_or(&data).join("ballast");
            let bytes = fill(&ballast).map_err(|error| format!("ballast: {error}"))?;
            (json!({"bytes": bytes}), Kind::Full { ballast, bytes })
        }
    };
    Ok(Trouble { node, details, kind })
}

/// Writes until there is no space left, and returns how much that was.
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
                // A node whose sync failed has to stop; give it a moment.
                let until = Instant::now() + Duration::from_secs(5);
                while failed > 0 && cluster.node(node).is_running() && Instant::now() < until {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                let running = cluster.node(node).is_running();
                if failed > 0 { json!({"syncs": failed, "running": running}) } else { Value::Null }
            }
        };
        cluster.start(node)?;
        Ok(effect)
    }
}
