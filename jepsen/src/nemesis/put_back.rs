//! A node whose data is put back from a copy that is some seconds old.
//!
//! The copy is made of a node that is down for a moment. When the fault ends, the node is killed,
//! the copy takes the place of its data, and it starts again. It must notice that from what the
//! others remember, and be rebuilt as a new member. Nodes tell their progress once a second, so the
//! fault lasts some seconds.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cluster::{Cluster, copy_folder, is_ready};
use crate::net;

/// How long a node may take to start, or to be rebuilt.
const READY_MAX: Duration = Duration::from_secs(60);
/// Interval between looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// What a node says that notices, and then what it says when it was rebuilt.
const WORDS: [&str; 2] = ["starting again, to rebuild", "is a new member now"];

/// A node with a copy of its data.
#[derive(Debug)]
pub(super) struct Copied {
    pub(super) node: usize,
    copy: PathBuf,
}

pub(super) async fn begin(cluster: &mut Cluster, node: usize) -> Result<Copied, String> {
    let failed = |error: std::io::Error| error.to_string();
    cluster.node(node).kill();
    let data = cluster.node(node).data.clone();
    let copy = cluster.settings.folder.join(format!("copy-{node}"));
    let _ = std::fs::remove_dir_all(&copy);
    copy_folder(&data, &copy).map_err(failed)?;
    cluster.start(node)?;
    until_ready(node).await;
    Ok(Copied { node, copy })
}

/// Waits until a node is ready. Returns whether it was in time.
async fn until_ready(node: usize) -> bool {
    let looks = async {
        while !is_ready(net::http(node)).await {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    tokio::time::timeout(READY_MAX, looks).await.is_ok()
}

impl Copied {
    pub(super) async fn end(self, cluster: &mut Cluster) -> Result<Value, String> {
        let failed = |error: std::io::Error| error.to_string();
        let node = self.node;
        cluster.node(node).kill();
        let data = cluster.node(node).data.clone();
        std::fs::remove_dir_all(&data).map_err(failed)?;
        copy_folder(&self.copy, &data).map_err(failed)?;
        let _ = std::fs::remove_dir_all(&self.copy);
        let log_length = cluster.node(node).log_length();
        cluster.node(node).rebuilds = true;
        cluster.start(node)?;
        // It may be ready for a moment before a peer tells it.
        let until = Instant::now() + READY_MAX;
        while cluster.node(node).said(log_length, &WORDS).len() < WORDS.len() {
            if Instant::now() >= until {
                return Err(format!("node {node} did not notice that its data was put back"));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        if !until_ready(node).await {
            return Err(format!("node {node} was not rebuilt after its data was put back"));
        }
        let rebuilt_as = cluster.learn_member(node).await;
        cluster.node(node).rebuilds = false;
        let said = cluster.node(node).said(log_length, &WORDS);
        Ok(json!({"put_back": node, "rebuilt_as": rebuilt_as, "said": said}))
    }
}
