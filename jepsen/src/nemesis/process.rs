//! Processes that are killed, or stopped one after the other.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::choose::some;
use crate::cluster::Cluster;

/// Nodes that were killed.
#[derive(Debug)]
pub(super) struct Killed {
    pub(super) nodes: Vec<usize>,
    /// How each of them ended.
    ends: Vec<Value>,
}

pub(super) async fn begin(
    name: &str,
    cluster: &mut Cluster,
    ids: &[usize],
    leader: usize,
    random: &mut StdRng,
) -> Result<Killed, String> {
    if name == "rolling-restart" {
        return rolling(cluster).await;
    }
    let followers: Vec<usize> = ids.iter().copied().filter(|id| *id != leader).collect();
    let nodes = match name {
        "kill-leader" => vec![leader],
        "kill-follower" => some(&followers, 1, random),
        "kill-majority" => some(ids, cluster.ids().len() / 2 + 1, random),
        "kill-all" => ids.to_vec(),
        _ => return Err(super::choose::unknown(name)),
    };
    // Send all signals first, so that none reacts to the end of another.
    for id in &nodes {
        cluster.node(*id).signal(rustix::process::Signal::KILL);
    }
    let mut ends = Vec::new();
    for id in &nodes {
        let signal = cluster.node(*id).kill().and_then(|status| status.signal());
        if signal == Some(9) {
            ends.push(json!({"node": id, "signal": 9}));
        }
    }
    Ok(Killed { nodes, ends })
}

async fn rolling(cluster: &mut Cluster) -> Result<Killed, String> {
    let nodes = cluster.ids();
    let mut ends = Vec::new();
    for id in &nodes {
        let status = cluster.node(*id).stop().await;
        let status = status.and_then(|status| status.code());
        cluster.start(*id)?;
        cluster.wait_ready(Duration::from_secs(60)).await?;
        ends.push(json!({"node": id, "code": status}));
    }
    Ok(Killed { nodes, ends })
}

impl Killed {
    pub(super) fn end(self, cluster: &mut Cluster) -> Result<Value, String> {
        self.nodes.iter().try_for_each(|id| cluster.start(*id))?;
        let all = self.ends.len() == self.nodes.len();
        Ok(if all { json!({"ended": self.ends}) } else { Value::Null })
    }
}
