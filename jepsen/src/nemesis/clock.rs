//! Wall clocks that jump back and forth. Monotonic clocks are unaffected.

use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use crate::cluster::{Cluster, Dial};

/// How far a clock jumps, in milliseconds.
const JUMPS_MS: [i64; 6] = [100, 1_000, 10_000, 60_000, 600_000, 3_600_000];

/// Nodes with wrong clocks.
#[derive(Debug)]
pub(super) struct Shifted {
    pub(super) nodes: Vec<usize>,
    before: i64,
    ticks: u32,
    jumps: u32,
}

pub(super) fn begin(
    cluster: &mut Cluster,
    nodes: Vec<usize>,
    random: &mut StdRng,
) -> Result<Shifted, String> {
    let mut shifted = Shifted { nodes, before: 0, ticks: 0, jumps: 0 };
    shifted.before = shifted.count(cluster);
    shifted.jump(cluster, random)?;
    Ok(shifted)
}

impl Shifted {
    /// Clock readings that were shifted so far.
    fn count(&self, cluster: &mut Cluster) -> i64 {
        self.nodes.iter().map(|id| cluster.node(*id).page.get(Dial::Shifted)).sum()
    }

    fn jump(&mut self, cluster: &mut Cluster, random: &mut StdRng) -> Result<(), String> {
        for id in &self.nodes {
            let far = JUMPS_MS[random.random_range(0..JUMPS_MS.len())] * 1_000_000;
            let far = if random.random_bool(0.5) { far } else { -far };
            cluster.node(*id).page.set(Dial::ClockOffset, far)?;
        }
        self.jumps += 1;
        Ok(())
    }

    pub(super) fn tick(
        &mut self,
        cluster: &mut Cluster,
        random: &mut StdRng,
    ) -> Result<(), String> {
        self.ticks += 1;
        if self.ticks.is_multiple_of(5) { self.jump(cluster, random) } else { Ok(()) }
    }

    pub(super) fn end(self, cluster: &mut Cluster) -> Result<Value, String> {
        for id in &self.nodes {
            cluster.node(*id).page.set(Dial::ClockOffset, 0)?;
        }
        let times = self.count(cluster) - self.before;
        let jumps = self.jumps;
        Ok(if times > 0 { json!({"jumps": jumps, "times": times}) } else { Value::Null })
    }
}
