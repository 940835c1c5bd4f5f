//! Files of one node that are damaged while it is down.
//!
//! Log, state, snapshots and the small files beside them are damaged about equally often. A node
//! may mend itself or refuse to start. When it refuses it is replaced by a new member, or the
//! damage is undone, as someone would do who has a copy of the disk.

use std::collections::BTreeMap;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::members;
use crate::cluster::{Cluster, copy_folder, is_ready};
use crate::net;

/// How long a node may take to start or to refuse to.
const START_MAX: Duration = Duration::from_secs(20);

/// A node with a damaged file.
#[derive(Debug)]
pub(super) struct Damaged {
    pub(super) node: usize,
    pub(super) details: Value,
    kept: PathBuf,
    /// Whether a node that refuses to start is replaced, or the damage undone.
    replaced: bool,
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
    let mut kinds = by_kind(&data, files);
    let mut details = Value::Null;
    while !kinds.is_empty() && details.is_null() {
        let kind = random.random_range(0..kinds.len());
        let files = &mut kinds[kind];
        let path = files.swap_remove(random.random_range(0..files.len()));
        if files.is_empty() {
            kinds.remove(kind);
        }
        details = flip(&path, &data, random).map_err(failed)?;
    }
    let replaced = random.random_bool(0.5);
    cluster.start(node)?;
    let until = Instant::now() + START_MAX;
    let mut ready = false;
    while !ready && cluster.node(node).is_running() && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(100)).await;
        ready = is_ready(net::http(node)).await;
    }
    let said = if ready { String::new() } else { cluster.node(node).last_words() };
    Ok(Damaged { node, details, kept, replaced, ready, said })
}

/// Files with something in them, but for what a node has set aside as damaged already.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let aside = entry.file_name().to_string_lossy().contains(".damaged");
        if entry.file_type()?.is_dir() && !aside {
            collect(&entry.path(), files)?;
        } else if !aside && entry.metadata()?.len() > 0 {
            files.push(entry.path());
        }
    }
    Ok(())
}

/// Files by what they are for, each kind in the same order for the same files.
fn by_kind(data: &Path, mut files: Vec<PathBuf>) -> Vec<Vec<PathBuf>> {
    files.sort();
    let mut kinds: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for path in files {
        let relative = path.strip_prefix(data).unwrap_or(&path);
        let mut names = relative.components().map(|name| name.as_os_str().to_string_lossy());
        let first = names.next().unwrap_or_default().into_owned();
        // Checkpoints are in `state` or `state-INDEX`; files of their own are one kind together.
        let kind = match names.next() {
            Some(_) if first.starts_with("state") => "state".to_owned(),
            Some(_) => first,
            None => String::new(),
        };
        kinds.entry(kind).or_default().push(path);
    }
    kinds.into_values().collect()
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
        let mut then = Value::Null;
        if !ready && self.replaced {
            let member = cluster.node(node).member.ok_or("nobody lives there")?;
            then = members::replace(cluster, node, member).await?;
        } else if !ready {
            then = json!("undone");
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
        Ok(json!({"damage": self.details, "started": ready, "said": self.said, "then": then}))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_large_files_are_as_likely_as_many_small_ones() {
        let data = Path::new("/d");
        let names = ["boot", "raft/log-1/1", "raft/log-1/2", "state-7/db", "state/db", "identity"];
        let files = names.map(|name| data.join(name)).to_vec();
        let kinds = by_kind(data, files);
        assert_eq!(kinds.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 2]);
        assert_eq!(kinds[2], [data.join("state/db"), data.join("state-7/db")]);
    }
}
