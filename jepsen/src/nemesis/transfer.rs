//! Leadership that is transferred by hand.

use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::http::{self, Answered};
use crate::net;

/// Transfers in one fault.
const TIMES: usize = 3;

/// The results of the transfers.
#[derive(Debug)]
pub(super) struct Transferred {
    /// The statuses of the answers; 0 for none.
    pub(super) answers: Vec<u16>,
    /// The leaders before and after each.
    leaders: Vec<Option<usize>>,
}

pub(super) async fn begin(cluster: &Cluster, leader: usize) -> Transferred {
    let mut transferred = Transferred { answers: Vec::new(), leaders: vec![Some(leader)] };
    for _ in 0..TIMES {
        let before = transferred.leaders.last().copied().flatten().unwrap_or(leader);
        let ids = cluster.ids();
        let next = ids.iter().position(|id| *id == before).map_or(0, |at| (at + 1) % ids.len());
        let path = "/api/v1/cluster/transfer-leader";
        let body = json!({"to": cluster.nodes[ids[next] - 1].member});
        let deadline = Duration::from_secs(5);
        let answer =
            http::ask(net::http(before), Method::POST, path, None, Some(&body), deadline).await;
        transferred.answers.push(match answer {
            Answered::Yes { status, .. } => status,
            Answered::NotSent(_) | Answered::Lost(_) => 0,
        });
        tokio::time::sleep(Duration::from_millis(300)).await;
        transferred.leaders.push(cluster.leader().await);
    }
    transferred
}

impl Transferred {
    pub(super) fn end(self) -> Value {
        let moved = self.leaders.windows(2).filter(|pair| pair[0] != pair[1]).count();
        if moved > 0 { json!({"leaders": self.leaders}) } else { Value::Null }
    }
}
