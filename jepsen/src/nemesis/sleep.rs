//! All machines asleep at once: processes stand still, and their wall clocks are minutes further
//! when they go on. Nothing may expire at once for that.
//!
//! Monotonic clocks cannot be stopped here, so the processes only stop for some seconds. The sleep
//! is longer than the minute that a cluster's clock takes at once, and shorter than the age at
//! which webhooks that clients sign meanwhile are refused.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::cluster::{Cluster, Dial, metric};
use crate::net;

/// How long the processes stand still.
const STOPPED: Duration = Duration::from_secs(3);
/// How much further the wall clocks are then, in seconds.
const ASLEEP_S: i64 = 240;
/// How far the cluster's clock must be behind after that: it has gone on at its own pace.
const BEHIND_S_MIN: u64 = 120;

/// Machines that have slept.
#[derive(Debug)]
pub(super) struct Slept {
    pub(super) nodes: Vec<usize>,
    /// Whether all of them stood still.
    stood: bool,
    /// The most seconds that a leader's clock was behind those of the machines.
    behind_s: u64,
}

pub(super) async fn begin(cluster: &mut Cluster) -> Result<Slept, String> {
    let nodes = cluster.ids();
    for id in &nodes {
        cluster.node(*id).signal(Signal::STOP);
    }
    tokio::time::sleep(STOPPED).await;
    let mut stood = true;
    for id in &nodes {
        let node = cluster.node(*id);
        // A node that another fault has killed sleeps too.
        stood &= !node.is_running() || node.process_state() == Some('T');
        node.page
            .set(Dial::ClockOffset, node.page.get(Dial::ClockOffset) + ASLEEP_S * 1_000_000_000)?;
    }
    for id in &nodes {
        cluster.node(*id).signal(Signal::CONT);
    }
    let mut slept = Slept { nodes, stood, behind_s: 0 };
    // The leader looks at the clocks of the others within seconds, and takes the gap in a minute.
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        for id in slept.nodes.clone() {
            let behind_s = metric(net::http(id), "clock_behind_seconds").await.unwrap_or(0);
            slept.behind_s = slept.behind_s.max(behind_s);
        }
        if slept.behind_s >= BEHIND_S_MIN {
            break;
        }
    }
    Ok(slept)
}

impl Slept {
    pub(super) fn end(self, cluster: &mut Cluster) -> Result<Value, String> {
        // The clocks of the clients are right, so those of the nodes must be again.
        for id in &self.nodes {
            cluster.node(*id).page.set(Dial::ClockOffset, 0)?;
        }
        let seen = self.stood && self.behind_s >= BEHIND_S_MIN;
        Ok(match seen {
            true => json!({"asleep_s": ASLEEP_S, "behind_s": self.behind_s}),
            false => Value::Null,
        })
    }
}
