//! Files of one node that are damaged while it is down.
//!
//! A node may mend itself or refuse to start. When it refuses, the damage is undone, as someone
//! would do who has a copy of the disk, so that the run can go on with all nodes.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use crate::cluster::{Cluster, copy_folder, is_ready};
use crate::net;

/// How long a node may take to start or to refuse to.
const START_MAX: Duration = Duration::from_secs(20);

/// A node with a damaged file.
#[derive(Debug)]
pub(super) struct Damaged {
    node: usize,
    pub(super) details: Value,
    kept: PathBuf,
    /// Whether it was ready with the damage, and what it said last.
    ready: bool,
    said: String,
}

pub(super) async fn begin(
    cluster: &mut Cluster,
    node: usize,
    random: &mut StdRng,
) -> Result<Damaged, String> {
    let failed = |error: std::io::Error| error.to_string();
    cluster.node(node).kill();
    let data = cluster.node(node).data.clone();
    let kept = cluster.settings.folder.join(format!("kept-{node}"));
    let _ = std::fs::remove_dir_all(&kept);
    copy_folder(&data, &kept).map_err(failed)?;
    let mut files = Vec::new();
    collect(&data, &mut files).map_err(failed)?;
    files.sort();
    let mut details = Value::Null;
    while !files.is_empty() && details.is_null() {
        let path = files.swap_remove(random.random_range(0..files.len()));
        details = flip(&path, &data, random).map_err(failed)?;
    }
    cluster.start(node)?;
    let until = Instant::now() + START_MAX;
    let mut ready = false;
    while !ready && cluster.node(node).is_running() && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(100)).await;
        ready = is_ready(net::http(node)).await;
    }
    let said = if ready { String::new() } else { cluster.node(node).last_words() };
    Ok(Damaged { node, details, kept, ready, said })
}

/// Files with something in them.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), files)?;
        } else if entry.metadata()?.len() > 0 {
            files.push(entry.path());
        }
    }
    Ok(())
}

/// Flips some bytes in the part of a file that is not all zeros; null when there is none.
fn flip(path: &Path, data: &Path, random: &mut StdRng) -> std::io::Result<Value> {
    let bytes = std::fs::read(path)?;
    let Some(last) = bytes.iter().rposition(|byte| *byte != 0) else { return Ok(Value::Null) };
    let offset = random.random_range(0..=last);
    let count = [1, 16, 512][random.random_range(0..3)].min(bytes.len() - offset);
    let flipped: Vec<u8> = bytes[offset..offset + count].iter().map(|byte| byte ^ 0x55).collect();
    let file = std::fs::OpenOptions::new().write(true).open(path)?;
    file.write_all_at(&flipped, offset as u64)?;
    let name = path.strip_prefix(data).unwrap_or(path).display().to_string();
    Ok(json!({"file": name, "offset": offset, "bytes": count}))
}

impl Damaged {
    pub(super) async fn end(self, cluster: &mut Cluster) -> Result<Value, String> {
        let failed = |error: std::io::Error| error.to_string();
        let node = self.node;
        let ready = self.ready || is_ready(net::http(node)).await;
        if !ready {
            cluster.node(node).kill();
            let data = cluster.node(node).data.clone();
            std::fs::remove_dir_all(&data).map_err(failed)?;
            copy_folder(&self.kept, &data).map_err(failed)?;
            cluster.start(node)?;
        }
        let _ = std::fs::remove_dir_all(&self.kept);
        if self.details.is_null() {
            return Ok(Value::Null);
        }
        Ok(json!({"damage": self.details, "started": ready, "said": self.said}))
    }
}
