//! Members that join, leave and are replaced, by the REST API, while clients continue.
//!
//! A change that another fault prevented is requested again when that fault is healed. If it is
//! refused even then, the run has failed.

use std::time::{Duration, Instant};

use hyper::Method;
use serde_json::{Value, json};

use crate::cluster::{Cluster, status};
use crate::http::{self, Answered};
use crate::net;

/// How long a change may take while another fault is on.
const TROUBLED_MAX: Duration = Duration::from_secs(8);
/// How long a change may take after all faults are healed.
const HEALED_MAX: Duration = Duration::from_secs(60);

/// How long one answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(6);

/// A change of the members in progress.
#[derive(Debug)]
pub(super) struct Changed {
    kind: Kind,
    /// The node.
    pub(super) node: usize,
    /// What was done, for the history.
    pub(super) value: Value,
}

#[derive(Debug)]
enum Kind {
    /// This member joined the others.
    Added(u64),
    /// This member was to be removed, and was or was not yet.
    Removed { member: u64, done: bool },
    /// This member lost its disk.
    Lost(u64),
}

pub(super) async fn begin(
    name: &str,
    cluster: &mut Cluster,
    node: usize,
) -> Result<Changed, String> {
    if name == "add-node" {
        let node = cluster.spare();
        let member = cluster.join(node, None)?;
        let value = json!({"node": node, "joins": member});
        return Ok(Changed { kind: Kind::Added(member), node, value });
    }
    let member = cluster.node(node).member.ok_or("nobody lives there")?;
    if name == "replace-node" {
        cluster.wipe(node)?;
        let value = json!({"node": node, "lost": member});
        return Ok(Changed { kind: Kind::Lost(member), node, value });
    }
    if name != "remove-node" {
        return Err(super::choose::unknown(name));
    }
    let removed = remove(cluster, node, member, TROUBLED_MAX).await;
    let value = json!({"node": node, "removes": member, "said": removed});
    let kind = Kind::Removed { member, done: removed.is_ok() };
    Ok(Changed { kind, node, value })
}

impl Changed {
    pub(super) async fn end(self, cluster: &mut Cluster) -> Result<Value, String> {
        let node = self.node;
        match self.kind {
            Kind::Added(member) => {
                let took = until_voter(cluster, member).await?;
                remove(cluster, node, member, HEALED_MAX).await?;
                cluster.wipe(node)?;
                let place = cluster.node(node);
                (place.member, place.away) = (None, false);
                Ok(json!({"joined": member, "voted_after_ms": took, "removed": member}))
            }
            Kind::Removed { member, done } => {
                if !done {
                    remove(cluster, node, member, HEALED_MAX).await?;
                }
                let new = cluster.join(node, None)?;
                let took = until_voter(cluster, new).await?;
                let meanwhile = done;
                Ok(json!({
                    "removed": member, "meanwhile": meanwhile, "joined": new, "voted_after_ms": took
                }))
            }
            Kind::Lost(member) => replace(cluster, node, member).await,
        }
    }
}

/// Replaces a member whose data is lost or useless by a new one.
///
/// # Errors
/// When the new one does not become a voter in time.
pub(super) async fn replace(
    cluster: &mut Cluster,
    node: usize,
    member: u64,
) -> Result<Value, String> {
    let new = cluster.join(node, Some(member))?;
    let took = until_voter(cluster, new).await?;
    Ok(json!({"replaced": member, "joined": new, "voted_after_ms": took}))
}

/// Asks the other nodes, one after the other, to remove a member, until it is removed.
async fn remove(
    cluster: &mut Cluster,
    node: usize,
    member: u64,
    limit: Duration,
) -> Result<(), String> {
    let path = format!("/api/v1/cluster/members/{member}");
    let until = Instant::now() + limit;
    loop {
        for other in cluster.ids().into_iter().filter(|other| *other != node) {
            let to = net::http(other);
            let answer = http::ask(to, Method::DELETE, &path, None, None, ANSWER_MAX).await;
            let said = match answer {
                Answered::Yes { status: 200, .. } => return Ok(()),
                Answered::Yes { status, body } => format!("{status} {}", body["error"]),
                Answered::NotSent(error) | Answered::Lost(error) => error,
            };
            if Instant::now() >= until {
                return Err(format!("member {member} is not removed: {said}"));
            }
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Waits until the leader reports a member as a voter; returns how many milliseconds that took.
async fn until_voter(cluster: &mut Cluster, member: u64) -> Result<u64, String> {
    let begun = Instant::now();
    let votes = |row: &Value| row["id"] == member && row["role"] != "learner";
    loop {
        if let Some(leader) = cluster.leader().await
            && let Some(view) = status(net::http(leader)).await
            && view["members"].as_array().is_some_and(|rows| rows.iter().any(votes))
        {
            return Ok(u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX));
        }
        if begun.elapsed() >= HEALED_MAX {
            return Err(format!("member {member} did not get its vote"));
        }
        // A node that stopped asking to be added is started again.
        cluster.start_all()?;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
