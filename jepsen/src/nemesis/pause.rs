//! Processes that are stopped for a while without notice.

use rand::rngs::StdRng;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::choose::some;
use crate::cluster::Cluster;

/// Nodes whose processes are stopped.
#[derive(Debug)]
pub(super) struct Paused {
    pub(super) nodes: Vec<usize>,
}

pub(super) fn begin(
    name: &str,
    cluster: &mut Cluster,
    ids: &[usize],
    leader: usize,
    random: &mut StdRng,
) -> Result<Paused, String> {
    let nodes = match name {
        "pause-leader" => vec![leader],
        "pause-majority" => some(ids, cluster.ids().len() / 2 + 1, random),
        _ => return Err(super::choose::unknown(name)),
    };
    for id in &nodes {
        cluster.node(*id).signal(Signal::STOP);
    }
    Ok(Paused { nodes })
}

impl Paused {
    pub(super) fn end(self, cluster: &mut Cluster) -> Value {
        let mut stood = true;
        for id in &self.nodes {
            stood &= cluster.node(*id).process_state() == Some('T');
            cluster.node(*id).signal(Signal::CONT);
        }
        if stood { json!({"stopped": self.nodes}) } else { Value::Null }
    }
}
