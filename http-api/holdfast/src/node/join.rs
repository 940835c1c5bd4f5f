//! `serve --join`: asks a running cluster to add a new node, before the node starts.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use client::wire::{ErrorCode, KnownIncarnation, MemberAdded, MemberRequest};
use engine::ids::NodeId;
use engine::level;
use raft_node::directory::identity;
use raft_node::{Config, Join, Peer};

use crate::exit::CliError;
use crate::node::security::Https;
use crate::remote;

/// How long to wait for a leader, and for other changes of members to end.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Pause before a repetition while another change is open.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// Asks the members at these HTTP addresses to add this node. Returns none if its data directory
/// belongs to a cluster already: then the node just starts.
pub(crate) async fn ask(
    config: &Config,
    addresses: &[String],
    replaces: Option<u64>,
    https: &Https,
) -> Result<Option<Join>, CliError> {
    let incarnation = identity::begin_join(config)
        .map_err(|error| CliError::because("cannot use the data directory", &error))?;
    let Some(incarnation) = incarnation else { return Ok(None) };
    let client = https.client(addresses, TIMEOUT)?;
    let request = MemberRequest {
        id: config.node_id.0,
        raft_addr: config.advertise_raft.clone(),
        http_addr: Some(config.advertise_http.clone()),
        incarnation: Some(format!("{incarnation:016x}")),
        replaces,
        speaks: Some(level::NEWEST),
    };
    let started = Instant::now();
    loop {
        match client.add_member(&request).await {
            Ok(answer) => return join_of(&answer.data).map(Some),
            // Members change one at a time: nodes that start together wait for each other.
            Err(error)
                if error.code() == Some(ErrorCode::ChangeInProgress)
                    && started.elapsed() < TIMEOUT =>
            {
                tokio::time::sleep(RETRY_PAUSE).await;
            }
            Err(error) => return Err(remote::failure(&error)),
        }
    }
}

/// Converts the answer of a member into what the node needs to start.
pub(crate) fn join_of(added: &MemberAdded) -> Result<Join, CliError> {
    let founders = added.founders.iter().map(|founder| Peer {
        id: NodeId(founder.id),
        raft_addr: founder.raft_addr.clone(),
        http_addr: founder.http_addr.clone(),
    });
    let number = |known: &KnownIncarnation| {
        let incarnation = u64::from_str_radix(&known.incarnation, 16).map_err(|_| {
            CliError::Failed(format!(
                "the incarnation of node {} is not a hexadecimal number",
                known.id
            ))
        })?;
        Ok((NodeId(known.id), incarnation))
    };
    let met: Result<BTreeMap<_, _>, CliError> = added.incarnations.iter().map(number).collect();
    Ok(Join {
        cluster: added.cluster_id.clone(),
        cluster_name: added.cluster_name.clone(),
        founders: founders.collect(),
        met: met?,
    })
}
