//! A node whose data is damaged asks the others to take it in as a new member, before it starts.
//!
//! Nothing that the node has is touched before they have agreed; what happens then, and what is
//! kept, is [`raft_node::rebuild`]'s business.

use std::time::{Duration, Instant};

use client::wire::{Cluster, ErrorCode, MemberAdded, MemberRequest, MemberRole};
use client::{Client, Error};
use engine::ids::NodeId;
use raft_node::rebuild::Rebuild;
use raft_node::{Config, StartError};

use crate::exit::{Failure, chain};
use crate::node::{join, running};
use crate::remote;

/// How long one round of questions may take.
const ROUND_MAX: Duration = Duration::from_secs(10);
/// Between two rounds.
const PAUSE_MIN: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Makes the damaged directory that of a new member in the place of the old one. `others` are HTTP
/// addresses beside those that the data names; whoever does not answer is asked again for
/// `patience`.
pub(crate) async fn rebuild(
    config: &Config,
    damage: &StartError,
    others: &[String],
    patience: Duration,
) -> Result<(), Failure> {
    let failed = |reason: String| {
        let Failure::Failed(refused) = running::cannot_start(config.node_id, damage) else {
            return Failure::Failed(reason);
        };
        Failure::Failed(format!(
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
        let what = "no HTTP address of another member is known; name some with --join";
        return Err(failed(what.to_owned()));
    }
    tracing::error!(
        node = rebuild.node().0,
        damage,
        others = addresses.join(","),
        "the data of this node is damaged: the others are asked to take it in as a new member"
    );
    let client = Client::builder()
        .base_urls(addresses.iter().map(|address| format!("http://{address}")))
        .deadline(ROUND_MAX.min(patience))
        .build()
        .map_err(|error| Failure::Usage(chain(&error)))?;
    let (begun, mut pause) = (Instant::now(), PAUSE_MIN);
    let added = loop {
        match ask(config, &client, &mut rebuild).await {
            Ok(added) => break added,
            Err(No::Never(reason)) => return Err(failed(reason)),
            Err(No::NotYet(reason)) if begun.elapsed() + pause >= patience => {
                return Err(failed(format!(
                    "no majority took it in within {} s: {reason}",
                    patience.as_secs()
                )));
            }
            Err(No::NotYet(reason)) => {
                tracing::warn!(reason, "the others have not taken this node in yet");
                tokio::time::sleep(pause).await;
                pause = (2 * pause).min(PAUSE_MAX);
            }
        }
    };
    let joined = join::told(&added)?;
    let rebuilt = rebuild
        .finish(&joined, &damage)
        .map_err(|error| Failure::because("the damaged data cannot be set aside", &error))?;
    tracing::warn!(
        from = rebuilt.from.0,
        node = rebuilt.to.0,
        damage,
        aside = %config.data_dir.join(&rebuilt.aside).display(),
        "the damaged data was set aside: this node is a new member now and gets everything from \
         the others"
    );
    Ok(())
}

/// Why the cluster has not taken the node in.
enum No {
    /// That may change.
    NotYet(String),
    /// It must not be asked again.
    Never(String),
}

impl From<Error> for No {
    fn from(error: Error) -> No {
        No::NotYet(remote::failure(&error).to_string())
    }
}

impl From<raft_node::recovery::Error> for No {
    fn from(error: raft_node::recovery::Error) -> No {
        No::Never(chain(&error))
    }
}

/// One round: looks at the cluster, decides under which id to come back, and asks for it.
async fn ask(config: &Config, client: &Client, rebuild: &mut Rebuild) -> Result<MemberAdded, No> {
    let view = client.cluster().await?.data;
    if view.cluster_id != rebuild.cluster_id() {
        return Err(No::Never("the nodes at these addresses are of another cluster".to_owned()));
    }
    let from = rebuild.node();
    let place = place(&view, rebuild)?;
    let to = rebuild.plan().map_or(NodeId(view.next_member_id), |plan| plan.to);
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
    };
    let asked = client.add_member(&request).await;
    if let Err(error) = &asked
        && error.code() == Some(ErrorCode::MemberConflict)
    {
        // Somebody else has that id, or had it.
        rebuild.decide(NodeId(view.next_member_id.max(to.0 + 1)), place.replaces)?;
    }
    Ok(asked?.data)
}

/// What becomes of the old member.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    replaces: Option<NodeId>,
    /// It had no vote yet, and its addresses have to be free.
    remove_first: bool,
}

fn place(view: &Cluster, rebuild: &Rebuild) -> Result<Place, No> {
    let from = rebuild.node();
    let member = |id: NodeId| view.members.iter().find(|member| member.id == id.0);
    let still = |id: Option<NodeId>| id.filter(|id| member(*id).is_some());
    match (member(from), rebuild.plan()) {
        (Some(old), _) if old.role == MemberRole::Learner => {
            Ok(Place { replaces: still(old.replaces.map(NodeId)), remove_first: true })
        }
        (Some(_), _) => Ok(Place { replaces: Some(from), remove_first: false }),
        // Removed by an earlier round, since it had no vote.
        (None, Some(plan)) if plan.replaces != Some(from) => {
            Ok(Place { replaces: still(plan.replaces), remove_first: false })
        }
        (None, _) => Err(No::Never(format!(
            "node {from} is no member any more: it was removed or replaced, so let a new node join \
             if one is wanted"
        ))),
    }
}
