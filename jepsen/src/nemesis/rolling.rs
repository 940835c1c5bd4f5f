//! An upgrade while clients go on: all nodes, one after the other, from the old binary to the new
//! one, and then the raise of the level.
//!
//! The first time of a run does that. After it there is no way back: each further time starts one
//! node with the old binary, which must end by itself and change nothing, then with the new one.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hyper::Method;
use serde_json::{Value, json};

use crate::checker::STUCK;
use crate::cluster::{Cluster, is_ready, status};
use crate::http::{self, Answered};
use crate::net;

/// How long all nodes may take to be ready after one was replaced.
const READY_MAX: Duration = Duration::from_secs(60);
/// How long the raise may take: every member must have been heard.
const RAISE_MAX: Duration = Duration::from_secs(30);
/// How long one question to a node may take.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// How long to look for indexes at which several nodes show their digests.
const AGREE_MAX: Duration = Duration::from_secs(10);
/// How long the old build may take to end on data of the new level.
const ENDS_MAX: Duration = Duration::from_secs(30);

/// What an upgrade did.
#[derive(Debug)]
pub(super) struct Rolled {
    pub(super) effect: Value,
}

pub(super) async fn begin(cluster: &mut Cluster, any: usize) -> Result<Rolled, String> {
    if cluster.settings.old_binary.is_none() {
        return Err("rolling needs the binary of an older build: --old-binary PATH".to_owned());
    }
    let is_old = cluster.nodes.iter().any(|node| node.is_old);
    let effect = if is_old { upgrade(cluster).await? } else { downgrade(cluster, any).await? };
    Ok(Rolled { effect })
}

async fn upgrade(cluster: &mut Cluster) -> Result<Value, String> {
    let nodes = cluster.ids();
    let mut digests = Digests::new();
    let agrees = agree(&nodes, &mut digests).await;
    let mut counted = compared(&digests);
    if !agrees {
        return Ok(json!({STUCK: format!("the old build's nodes differ: {digests:?}")}));
    }
    for id in &nodes {
        cluster.node(*id).stop().await;
        cluster.node(*id).is_old = false;
        cluster.start(*id)?;
        cluster.wait_ready(READY_MAX).await?;
        let agrees = agree(&nodes, &mut digests).await;
        counted += compared(&digests);
        if !agrees {
            let mixed = format!("builds differ after node {id} was replaced: {digests:?}");
            return Ok(json!({"replaced": id, STUCK: mixed}));
        }
    }
    // A node that joins later runs the new build.
    cluster.nodes.iter_mut().for_each(|node| node.is_old = false);
    let before = level(nodes[0]).await;
    let until = Instant::now() + RAISE_MAX;
    let mut said = Value::Null;
    while Instant::now() < until {
        let path = "/api/v1/cluster/level";
        let body = json!({});
        let raised =
            http::ask(net::http(nodes[0]), Method::POST, path, None, Some(&body), ANSWER_MAX);
        match raised.await {
            Answered::Yes { status: 200, .. } => break,
            Answered::Yes { body, .. } => said = body,
            Answered::NotSent(error) | Answered::Lost(error) => said = json!(error),
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let after = level(nodes[0]).await;
    let mut effect = json!({"replaced": nodes, "level_before": before, "level": after});
    let agrees = agree(&nodes, &mut digests).await;
    counted += compared(&digests);
    effect["digests_compared"] = json!(counted);
    if !agrees {
        effect[STUCK] = json!(format!("nodes differ after the raise: {digests:?}"));
    }
    if after <= before {
        effect[STUCK] = json!(format!("the level was not raised: {said}"));
    }
    Ok(effect)
}

async fn downgrade(cluster: &mut Cluster, id: usize) -> Result<Value, String> {
    cluster.node(id).stop().await;
    cluster.node(id).is_old = true;
    cluster.start(id)?;
    let until = Instant::now() + ENDS_MAX;
    let mut served = false;
    while cluster.node(id).is_running() && Instant::now() < until {
        served |= is_ready(net::http(id)).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let ended = !cluster.node(id).is_running();
    let said = cluster.node(id).last_words();
    cluster.node(id).kill();
    cluster.node(id).is_old = false;
    cluster.start(id)?;
    cluster.wait_ready(READY_MAX).await?;
    let mut effect = json!({"downgraded": id, "ended": ended, "said": said});
    if served || !ended {
        effect[STUCK] = json!(format!("the old build runs on data of a newer level on node {id}"));
    }
    Ok(effect)
}

/// Digests that nodes showed, by index.
type Digests = BTreeMap<u64, Vec<(usize, String)>>;

/// Asks all nodes for their digests until each has shown one at an index at which another has shown
/// one too. Returns whether all that were compared are equal.
async fn agree(nodes: &[usize], digests: &mut Digests) -> bool {
    digests.clear();
    let until = Instant::now() + AGREE_MAX;
    while Instant::now() < until {
        let views = nodes.iter().map(|id| tokio::spawn(status(net::http(*id)))).collect::<Vec<_>>();
        for (id, view) in nodes.iter().zip(views) {
            let view = view.await.ok().flatten().unwrap_or_default();
            let (index, digest) = (view["applied_index"].as_u64(), view["digest"].as_str());
            if let (Some(index), Some(digest)) = (index, digest) {
                digests.entry(index).or_default().push((*id, digest.to_owned()));
            }
        }
        if digests.values().any(|shown| shown.iter().any(|one| one.1 != shown[0].1)) {
            digests.retain(|_, shown| shown.iter().any(|one| one.1 != shown[0].1));
            return false;
        }
        if nodes.iter().all(|id| is_compared(*id, digests)) {
            break;
        }
    }
    true
}

fn is_compared(id: usize, digests: &Digests) -> bool {
    let of = |shown: &Vec<(usize, String)>, own: bool| shown.iter().any(|one| (one.0 == id) == own);
    digests.values().any(|shown| of(shown, true) && of(shown, false))
}

/// At how many indexes the digests of several nodes are known.
fn compared(digests: &Digests) -> usize {
    let several = |shown: &&Vec<(usize, String)>| shown.iter().any(|one| one.0 != shown[0].0);
    digests.values().filter(several).count()
}

async fn level(id: usize) -> u64 {
    let view = status(net::http(id)).await.unwrap_or_default();
    view["level"].as_u64().unwrap_or(0)
}
