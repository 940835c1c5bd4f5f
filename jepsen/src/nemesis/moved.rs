//! Nodes that come back at another raft address: the leader, another node, or a majority at once.
//!
//! Each starts with the list of addresses that count by then, as an operator would give it. The
//! others must find it, and the membership must follow.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::choose::some;
use crate::checker::STUCK;
use crate::cluster::{Cluster, status};
use crate::net;

/// How long the membership may take to follow.
const FOLLOWS_MAX: Duration = Duration::from_secs(45);
/// Interval between looks.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Nodes with another address.
#[derive(Debug)]
pub(super) struct Moved {
    pub(super) nodes: Vec<usize>,
}

pub(super) fn begin(
    cluster: &mut Cluster,
    free: &[usize],
    leader: usize,
    turn: usize,
    random: &mut StdRng,
) -> Result<Moved, String> {
    let followers: Vec<usize> = free.iter().copied().filter(|id| *id != leader).collect();
    let nodes = match turn % 3 {
        0 => vec![leader],
        1 => some(&followers, 1, random),
        _ => some(free, cluster.ids().len() / 2 + 1, random),
    };
    for id in &nodes {
        cluster.node(*id).signal(Signal::KILL);
    }
    for id in &nodes {
        cluster.node(*id).kill();
        cluster.node(*id).move_raft();
    }
    nodes.iter().try_for_each(|id| cluster.start(*id))?;
    Ok(Moved { nodes })
}

impl Moved {
    pub(super) async fn end(self, cluster: &mut Cluster) -> Result<Value, String> {
        let until = Instant::now() + FOLLOWS_MAX;
        let mut missing = self.missing(cluster).await;
        while !missing.is_empty() && Instant::now() < until {
            cluster.start_all()?;
            tokio::time::sleep(LOOK_EVERY).await;
            missing = self.missing(cluster).await;
        }
        let mut effect = json!({"moved": self.nodes});
        if !missing.is_empty() {
            effect[STUCK] = json!(format!("nobody shows the new addresses of nodes {missing:?}"));
        }
        Ok(effect)
    }

    /// The nodes whose new address no other node shows as that of the member.
    async fn missing(&self, cluster: &mut Cluster) -> Vec<usize> {
        let mut views = Vec::new();
        for id in cluster.ids() {
            views.push((id, status(net::http(id)).await.unwrap_or_default()));
        }
        let is_shown = |id: usize| {
            let node = &cluster.nodes[id - 1];
            let address = format!("{}:{}", net::ip(id), node.raft_port);
            let others = views.iter().filter(|(of, _)| *of != id);
            let mut members = others.filter_map(|(_, view)| view["members"].as_array()).flatten();
            members.any(|member| {
                member["id"].as_u64() == node.member && member["raft_addr"] == address.as_str()
            })
        };
        self.nodes.iter().copied().filter(|id| !is_shown(*id)).collect()
    }
}
