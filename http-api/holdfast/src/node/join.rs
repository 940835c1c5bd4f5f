//! `serve --join`: a new node asks a running cluster to take it in, before it starts.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use client::Client;
use client::wire::{ErrorCode, KnownIncarnation, MemberAdded, MemberRequest};
use engine::ids::NodeId;
use raft_node::{Config, Join, Peer, identity};

use crate::exit::{Failure, chain};
use crate::remote;

/// How long a cluster without a leader, or with another change under way, is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two questions while another change is under way.
const PAUSE: Duration = Duration::from_millis(200);

/// Asks the members at these HTTP addresses to take this node in. Gives nothing when its data
/// directory belongs to a cluster already: then it just starts.
pub(crate) async fn ask(
    config: &Config,
    addresses: &[String],
    replaces: Option<u64>,
) -> Result<Option<Join>, Failure> {
    let drawn = identity::begin_join(config)
        .map_err(|error| Failure::because("cannot use the data directory", &error))?;
    let Some(incarnation) = drawn else { return Ok(None) };
    let urls = addresses.iter().map(|address| format!("http://{address}"));
    let client = Client::builder()
        .base_urls(urls)
        .deadline(PATIENCE)
        .build()
        .map_err(|error| Failure::Usage(chain(&error)))?;
    let request = MemberRequest {
        id: config.node_id.0,
        raft_addr: config.advertise_raft.clone(),
        http_addr: Some(config.advertise_http.clone()),
        incarnation: Some(format!("{incarnation:016x}")),
        replaces,
    };
    let begun = Instant::now();
    loop {
        match client.add_member(&request).await {
            Ok(answer) => return told(&answer.data).map(Some),
            // Members change one at a time: nodes that are started together wait for each other.
            Err(error)
                if error.code() == Some(ErrorCode::ChangeInProgress)
                    && begun.elapsed() < PATIENCE =>
            {
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => return Err(remote::failure(&error)),
        }
    }
}

/// What a member told, as the node needs it.
pub(crate) fn told(added: &MemberAdded) -> Result<Join, Failure> {
    let founders = added.founders.iter().map(|founder| Peer {
        id: NodeId(founder.id),
        raft_addr: founder.raft_addr.clone(),
        http_addr: founder.http_addr.clone(),
    });
    let number = |known: &KnownIncarnation| {
        let incarnation = u64::from_str_radix(&known.incarnation, 16).map_err(|_| {
            Failure::Failed(format!("node {} has no readable incarnation", known.id))
        })?;
        Ok((NodeId(known.id), incarnation))
    };
    let met: Result<BTreeMap<_, _>, Failure> = added.incarnations.iter().map(number).collect();
    Ok(Join {
        cluster: added.cluster_id.clone(),
        cluster_name: added.cluster_name.clone(),
        founders: founders.collect(),
        met: met?,
    })
}
