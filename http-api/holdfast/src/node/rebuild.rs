//! Rebuilds a node whose data is damaged: asks the others to add it as a new member, before it
//! starts.
//!
//! The damaged data stays in place until they agree. [`raft_node::directory::rebuild`] then moves
//! it aside.

use std::time::{Duration, Instant};

use client::wire::{Cluster, ErrorCode, MemberAdded, MemberRequest, MemberRole};
use client::{Client, Error};
use engine::ids::NodeId;
use engine::level;
use raft_node::directory::rebuild::Rebuild;
use raft_node::{Config, PeerSecurity, StartError};

use crate::exit::{CliError, chain};
use crate::node::security::Https;
use crate::node::{join, running};
use crate::remote;

/// Timeout of one round of requests.
const ROUND_MAX: Duration = Duration::from_secs(10);
/// Shortest and longest pause between two rounds.
const PAUSE_MIN: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Turns the damaged directory into that of a new member, which replaces the old one. `others` are
/// HTTP addresses beside those in the data. Repeats the requests for `patience`.
pub(crate) async fn rebuild(
    config: &Config,
    damage: &StartError,
    others: &[String],
    patience: Duration,
    https: &Https,
) -> Result<(), CliError> {
    let failed = |reason: String| {
        let CliError::Failed(refused) = running::cannot_start(config.node_id, damage) else {
            return CliError::Failed(reason);
        };
        CliError::Failed(format!(
            "{refused}. It was not rebuilt from the others: {reason}. Nothing was changed"
        ))
    };
    let damage = chain(damage);
    let mut rebuild = Rebuild::begin(config).map_err(|error| failed(chain(&error)))?;
    let mut addresses = others.to_vec();
    addresses.extend(rebuild.peers().into_iter().filter_map(|peer| peer.http_addr));
    addresses.retain(|address| *address != config.advertise_http);
    addresses.sort_unstable();
    addresses.dedup();
    if addresses.is_empty() {
        let what = "no HTTP address of another member is known: name some with --join";
        return Err(failed(what.to_owned()));
    }
    tracing::error!(
        node = rebuild.node().0,
        damage,
        others = addresses.join(","),
        "the data of this node is damaged: asking the others to add it as a new member"
    );
    let client = https.client(&addresses, ROUND_MAX.min(patience))?;
    let (begun, mut pause) = (Instant::now(), PAUSE_MIN);
    let added = loop {
        match ask(config, &client, &mut rebuild).await {
            Ok(added) => break added,
            Err(Refusal::Final(reason)) => return Err(failed(reason)),
            Err(Refusal::Temporary(reason)) if begun.elapsed() + pause >= patience => {
                return Err(failed(format!(
                    "no majority added it within {} s: {reason}",
                    patience.as_secs()
                )));
            }
            Err(Refusal::Temporary(reason)) => {
                tracing::warn!(reason, "the others have not added this node yet");
                tokio::time::sleep(pause).await;
                pause = (2 * pause).min(PAUSE_MAX);
            }
        }
    };
    let joined = join::join_of(&added)?;
    let rebuilt = rebuild
        .finish(&joined, &damage)
        .map_err(|error| CliError::because("cannot move the damaged data aside", &error))?;
    tracing::warn!(
        from = rebuilt.from.0,
        node = rebuilt.to.0,
        damage,
        aside = %config.data_dir.join(&rebuilt.aside).display(),
        "moved the damaged data aside: this node is a new member now and gets all data from \
         the others"
    );
    Ok(())
}

/// Why the cluster has not added the node.
enum Refusal {
    /// A repetition may succeed.
    Temporary(String),
    /// A repetition is useless or harmful.
    Final(String),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        Refusal::Temporary(remote::failure(&error).to_string())
    }
}

impl From<raft_node::recovery::Error> for Refusal {
    fn from(error: raft_node::recovery::Error) -> Refusal {
        Refusal::Final(chain(&error))
    }
}

/// One round: reads the members, chooses the new id, and asks the cluster to add it.
async fn ask(
    config: &Config,
    client: &Client,
    rebuild: &mut Rebuild,
) -> Result<MemberAdded, Refusal> {
    let view = client.cluster().await?.data;
    if view.cluster_id != rebuild.cluster_id() {
        return Err(Refusal::Final(
            "the nodes at these addresses belong to another cluster".to_owned(),
        ));
    }
    let from = rebuild.node();
    let place = place(&view, rebuild)?;
    let to = match rebuild.plan() {
        Some(plan) => plan.to,
        None => new_id(&config.peer_security, NodeId(view.next_member_id))?,
    };
    let plan = rebuild.decide(to, place.replaces)?;
    if place.remove_first {
        client.remove_member(from.0).await?;
    }
    let request = MemberRequest {
        id: plan.to.0,
        raft_addr: config.advertise_raft.clone(),
        http_addr: Some(config.advertise_http.clone()),
        incarnation: Some(format!("{:016x}", plan.incarnation)),
        replaces: plan.replaces.map(|id| id.0),
        speaks: Some(level::NEWEST),
    };
    let asked = client.add_member(&request).await;
    if let Err(error) = &asked
        && error.code() == Some(ErrorCode::MemberConflict)
    {
        // Another node has or had that id.
        let next = NodeId(view.next_member_id.max(to.0 + 1));
        rebuild.decide(new_id(&config.peer_security, next)?, place.replaces)?;
    }
    Ok(asked?.data)
}

/// The id of the rebuilt node: the next one, or the next one that its certificate proves.
fn new_id(security: &PeerSecurity, next: NodeId) -> Result<NodeId, Refusal> {
    let PeerSecurity::Tls(tls) = security else { return Ok(next) };
    tls.id_from(next).ok_or_else(|| {
        Refusal::Final(format!(
            "a rebuilt node gets a new id, and the certificate of this node proves no id from \
             {next} on: make one with `holdfast certs create-node --spare-id {next}`"
        ))
    })
}

/// What happens to the old member.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    replaces: Option<NodeId>,
    /// The old member has no vote yet: remove it first, so that its addresses are free.
    remove_first: bool,
}

fn place(view: &Cluster, rebuild: &Rebuild) -> Result<Place, Refusal> {
    let from = rebuild.node();
    let member = |id: NodeId| view.members.iter().find(|member| member.id == id.0);
    let if_member = |id: Option<NodeId>| id.filter(|id| member(*id).is_some());
    match (member(from), rebuild.plan()) {
        (Some(old), _) if old.role == MemberRole::Learner => {
            Ok(Place { replaces: if_member(old.replaces.map(NodeId)), remove_first: true })
        }
        (Some(_), _) => Ok(Place { replaces: Some(from), remove_first: false }),
        // An earlier round removed it, since it had no vote.
        (None, Some(plan)) if plan.replaces != Some(from) => {
            Ok(Place { replaces: if_member(plan.replaces), remove_first: false })
        }
        (None, _) => Err(Refusal::Final(format!(
            "node {from} is no longer a member: it was removed or replaced; to add a node, start a \
             new one with --join on an empty directory"
        ))),
    }
}
