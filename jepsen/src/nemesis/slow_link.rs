//! A link with a speed: what a node sends takes its time, and waits in a queue of bounded length.

use serde_json::{Value, json};

use crate::cluster::Cluster;

/// Kilobits a second that a node can send, by turns. At thirty requests a second, a leader needs
/// more than any of them, and a follower more than the last one.
const KBITS: [u32; 3] = [300, 120, 60];

/// A node with a slow link.
#[derive(Debug)]
pub(super) struct Slow {
    pub(super) node: usize,
    pub(super) value: Value,
}

pub(super) fn begin(
    cluster: &mut Cluster,
    leader: usize,
    other: usize,
    turn: usize,
) -> Result<Slow, String> {
    let node = if (turn / KBITS.len()).is_multiple_of(2) { leader } else { other };
    let kbits = KBITS[turn % KBITS.len()];
    cluster.net.slow_down(node, kbits)?;
    Ok(Slow { node, value: json!({"node": node, "leads": node == leader, "kbits": kbits}) })
}

impl Slow {
    pub(super) fn end(self, cluster: &mut Cluster) -> Result<Value, String> {
        let waited = cluster.net.speed_up(self.node)?;
        Ok(if waited > 0 { json!({"packets": waited}) } else { Value::Null })
    }
}
