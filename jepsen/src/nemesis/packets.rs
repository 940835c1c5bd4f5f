//! Packets that are lost, late, or answered with a reset, and connections that are dead although
//! both sides believe in them.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, RngCore};
use serde_json::{Value, json};

use crate::checker::STUCK;
use crate::cluster::Cluster;
use crate::net::Late;

/// How many percent of the packets are lost, by turns.
const LOST_PERCENT: [u32; 3] = [10, 30, 50];

/// How many of a thousand packets reset their connection, by turns.
const RESET_PER_THOUSAND: [u32; 3] = [5, 20, 100];

/// How much later packets arrive.
const DELAY: std::ops::Range<Duration> = Duration::from_millis(25)..Duration::from_millis(125);

/// How long nodes may take to replace dead connections.
const ANEW_MAX: Duration = Duration::from_secs(60);

/// Links that work badly.
#[derive(Debug)]
pub(super) struct Packets {
    /// What was done to which nodes, for the history.
    pub(super) value: Value,
    /// Whether the nodes must recover by themselves before it ends.
    must_get_over: bool,
    late: Vec<Late>,
}

pub(super) fn begin(
    name: &str,
    cluster: &Cluster,
    leader: usize,
    turn: usize,
    random: &mut StdRng,
) -> Result<Packets, String> {
    let net = &cluster.net;
    let ids = cluster.ids();
    let (every, other) = (turn / 3, ids[random.random_range(0..ids.len())]);
    let mut late = Vec::new();
    let value = match name {
        "loss" => {
            // Every second time it also affects clients.
            let (percent, clients) = (LOST_PERCENT[turn % 3], every % 2 == 1);
            ids.iter().try_for_each(|id| net.lose(*id, percent, clients))?;
            json!({"percent": percent, "clients": clients})
        }
        "delay" => {
            let nodes = if turn.is_multiple_of(2) { ids } else { vec![leader] };
            for id in &nodes {
                late.push(net.delay(*id, DELAY, random.next_u64())?);
            }
            let (least, most) = (DELAY.start.as_millis(), DELAY.end.as_millis());
            json!({"nodes": nodes, "ms": [least, most]})
        }
        "reset" => {
            let per_thousand = RESET_PER_THOUSAND[turn % 3];
            ids.iter().try_for_each(|id| net.reset(*id, per_thousand))?;
            json!({"per_thousand": per_thousand})
        }
        "half-open" => {
            let nodes = [vec![leader], ids, vec![other]][turn % 3].clone();
            let mark = u32::try_from(turn + 1).unwrap_or(u32::MAX);
            nodes.iter().try_for_each(|id| net.forget(*id, mark))?;
            json!({"nodes": nodes})
        }
        _ => return Err(super::choose::unknown(name)),
    };
    Ok(Packets { value, must_get_over: name == "half-open", late })
}

impl Packets {
    pub(super) async fn end(self, cluster: &mut Cluster) -> Result<Value, String> {
        let begun = Instant::now();
        let got_over = if self.must_get_over { cluster.wait_ready(ANEW_MAX).await } else { Ok(()) };
        let touched = cluster.net.touched();
        cluster.net.heal()?;
        let delayed: u64 = self.late.iter().map(Late::delayed).sum();
        // Packets may wait until the queues end, which is after the rules that fill them.
        let was_late = !self.late.is_empty();
        drop(self.late);
        if touched == 0 || (was_late && delayed == 0) {
            return Ok(Value::Null);
        }
        let mut effect = json!({"packets": if was_late { delayed } else { touched }});
        if self.must_get_over {
            effect["got_over_ms"] = json!(begun.elapsed().as_millis() as u64);
        }
        if let Err(missing) = got_over {
            effect[STUCK] = json!(missing);
        }
        Ok(effect)
    }
}
