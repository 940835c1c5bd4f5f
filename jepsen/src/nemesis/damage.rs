//! Files of one node that are damaged while it is down.
//!
//! Log, state, snapshots and the small files beside them are damaged about equally often, until the
//! offline check finds the damage. The node repairs itself, or the others rebuild it as a new
//! member where it may do that. Where it may not, or its identity is damaged, it refuses to start.
//! Then a new member replaces it, or the damage is undone, as someone with a copy of the disk would
//! do.

use std::collections::BTreeMap;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::members;
use crate::cluster::{Cluster, copy_folder, is_ready};
use crate::net;

/// How long a node may take to start or to refuse to.
const START_MAX: Duration = Duration::from_secs(20);
/// How long a node may take that is rebuilt, once the other faults are healed.
const REBUILT_MAX: Duration = Duration::from_secs(60);
/// Some bytes of a file do not matter; then others are damaged too.
const TRIES_MAX: usize = 8;
/// Words with which a node reports damage.
const WORDS: &[&str] = &["damaged", "lost its newest part", "new member"];

/// A node with a damaged file.
#[derive(Debug)]
pub(super) struct Damaged {
    pub(super) node: usize,
    pub(super) details: Value,
    kept: PathBuf,
    /// Whether a node that refuses to start is replaced, or the damage undone.
    replaced: bool,
    /// Whether it was ready with the damage, and its last words.
    ready: bool,
    last_words: String,
    /// The length of its log before.
    log_length: u64,
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
    let files = kinds.swap_remove(random.random_range(0..kinds.len()));
    let (mut damage, mut found) = (Vec::new(), false);
    while !found && damage.len() < TRIES_MAX {
        let path = &files[random.random_range(0..files.len())];
        damage.push(flip(path, &data, random).map_err(failed)?);
        found = is_found(&cluster.settings.binary, &data).map_err(failed)?;
    }
    damage.retain(|damage| !damage.is_null());
    let replaced = random.random_bool(0.5);
    let rebuilds = random.random_bool(0.6);
    let details = match damage.is_empty() {
        true => Value::Null,
        false => json!({"damage": damage, "found_offline": found, "may_rebuild": rebuilds}),
    };
    let log_length = cluster.node(node).log_length();
    cluster.node(node).rebuilds = rebuilds;
    cluster.start(node)?;
    let ready = is_ready_in(cluster, node, START_MAX).await;
    let last_words = if ready { String::new() } else { cluster.node(node).last_words() };
    Ok(Damaged { node, details, kept, replaced, ready, last_words, log_length })
}

/// Waits until a node is ready, but only while its process runs.
async fn is_ready_in(cluster: &mut Cluster, node: usize, limit: Duration) -> bool {
    let until = Instant::now() + limit;
    let mut ready = false;
    while !ready && cluster.node(node).is_running() && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(100)).await;
        ready = is_ready(net::http(node)).await;
    }
    ready
}

/// Whether the offline check finds damage.
fn is_found(binary: &Path, data: &Path) -> std::io::Result<bool> {
    let scratch = data.parent().unwrap_or(data);
    let mut command = Command::new(binary);
    command.args(["verify", "--data"]).arg(data).arg("--scratch").arg(scratch);
    Ok(command.stdin(Stdio::null()).output()?.status.code() == Some(1))
}

/// Files that are not empty, except those that a node has set aside as damaged.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let aside = entry.file_name().to_string_lossy().contains("damaged");
        if entry.file_type()?.is_dir() && !aside {
            collect(&entry.path(), files)?;
        } else if !aside && entry.metadata()?.len() > 0 {
            files.push(entry.path());
        }
    }
    Ok(())
}

/// Files by kind, in a fixed order.
fn by_kind(data: &Path, mut files: Vec<PathBuf>) -> Vec<Vec<PathBuf>> {
    files.sort();
    let mut kinds: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for path in files {
        let relative = path.strip_prefix(data).unwrap_or(&path);
        let mut names = relative.components().map(|name| name.as_os_str().to_string_lossy());
        let first = names.next().unwrap_or_default().into_owned();
        // Checkpoints are in `state` or `state-INDEX`; files in no directory are one kind together.
        let kind = match names.next() {
            Some(_) if first.starts_with("state") => "state".to_owned(),
            Some(_) => first,
            None => String::new(),
        };
        kinds.entry(kind).or_default().push(path);
    }
    kinds.into_values().collect()
}

/// Flips some bytes in a part of a file that is not all zeros; null when there is none.
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
        let mut ready = self.ready || is_ready(net::http(node)).await;
        let data = cluster.node(node).data.clone();
        let until = Instant::now() + REBUILT_MAX;
        // The others may have done what the node asked of them, so nothing else would work now.
        while !ready && data.join("rebuilding").exists() {
            if Instant::now() >= until {
                return Err(format!("node {node} was not rebuilt: {}", self.last_words));
            }
            cluster.start(node)?;
            ready = is_ready_in(cluster, node, REBUILT_MAX).await;
        }
        let mut then = Value::Null;
        if ready {
            then = cluster.learn_member(node).await.map_or(then, |id| json!({"rebuilt_as": id}));
        } else if self.replaced {
            let member = cluster.node(node).member.ok_or("nobody lives there")?;
            then = members::replace(cluster, node, member).await?;
        } else {
            then = json!("undone");
            cluster.node(node).kill();
            std::fs::remove_dir_all(&data).map_err(failed)?;
            copy_folder(&self.kept, &data).map_err(failed)?;
            cluster.start(node)?;
        }
        let place = cluster.node(node);
        place.rebuilds = false;
        let said = place.said(self.log_length, WORDS);
        let _ = std::fs::remove_dir_all(&self.kept);
        if self.details.is_null() {
            return Ok(Value::Null);
        }
        Ok(json!({
            "details": self.details, "started": ready, "said": said, "ended_with": self.last_words,
            "then": then,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_with_few_files_are_as_likely_as_others() {
        let data = Path::new("/d");
        let names = ["boot", "raft/log-1/1", "raft/log-1/2", "state-7/db", "state/db", "identity"];
        let files = names.map(|name| data.join(name)).to_vec();
        let kinds = by_kind(data, files);
        assert_eq!(kinds.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 2]);
        assert_eq!(kinds[2], [data.join("state/db"), data.join("state-7/db")]);
    }
}
