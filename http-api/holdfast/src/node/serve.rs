//! `holdfast serve`: one node of a cluster, until a signal or a failure ends it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use engine::ids::NodeId;
use raft_node::Config;

use crate::address::{self, Peer};
use crate::exit::Failure;
use crate::logging::{self, Format};
use crate::node::join;
use crate::node::rebuild;
use crate::node::running::{self, Port, Running};
use crate::output::print_line;
use crate::settings::{File, Limits, Payments};
use crate::signals::Signals;

/// Which log lines are written unless others are asked for: the libraries below say a lot. A name
/// stands for all that begin with it, so our own crate has to be named beside raft.
const FILTER: &str = "info,raft=warn,raft_node=info,raft_engine=warn,sled=warn";

/// The flags of `serve`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// This node's id: a number from 1 that no other node has or ever had
    #[arg(long, value_name = "N", value_parser = address::node_id)]
    pub(crate) id: u64,
    /// Directory for everything that this node stores; made when it does not exist
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// Where to listen for clients; with port 0 the system chooses one
    #[arg(long, value_name = "ADDR")]
    pub(crate) http: SocketAddr,
    /// Where to listen for the other nodes
    #[arg(long, value_name = "ADDR")]
    pub(crate) raft: SocketAddr,
    /// A voter of a new cluster; name each of them once, this node too. Only the first start reads
    /// this; later the members are known from the data. (In the environment: separated by spaces)
    #[arg(long, value_name = "ID=RAFT_ADDR[,HTTP_ADDR]", value_delimiter = ' ')]
    pub(crate) peer: Vec<Peer>,
    /// Join a running cluster instead of founding one: the HTTP address of a member, several
    /// separated by commas. The node follows as a learner and gets its vote once it has caught up.
    /// Only the first start reads this, and one whose data is damaged
    #[arg(long, value_name = "ADDR", value_delimiter = ',', conflicts_with = "peer")]
    #[arg(value_parser = address::host_port)]
    pub(crate) join: Vec<String>,
    /// With --join: the member whose place this node takes, such as itself before its disk was lost
    #[arg(long, value_name = "N", value_parser = address::node_id, requires = "join")]
    pub(crate) replaces: Option<u64>,
    /// When this node's data is damaged beyond repair: for how many seconds to look for a majority
    /// of the others that takes it in as a new member, which then gets everything from them. The
    /// damaged data is kept in DIR/damaged-N. 0 never does that
    #[arg(long, value_name = "S", default_value = "60")]
    #[arg(value_parser = clap::value_parser!(u64).range(0..=86_400))]
    pub(crate) rebuild_wait_s: u64,
    /// Name of the cluster; nodes of another name are refused
    #[arg(long, value_name = "NAME", default_value = "holdfast")]
    pub(crate) cluster: String,
    /// Where clients reach this node, when that is not the address it listens on
    #[arg(long, value_name = "ADDR", value_parser = address::host_port)]
    pub(crate) advertise_http: Option<String>,
    /// Where the other nodes reach this node, when that is not the address it listens on
    #[arg(long, value_name = "ADDR", value_parser = address::host_port)]
    pub(crate) advertise_raft: Option<String>,
    #[command(flatten)]
    pub(crate) payments: Payments,
    #[command(flatten)]
    pub(crate) limits: Limits,
    #[command(flatten)]
    pub(crate) logging: logging::Options,
    #[command(flatten)]
    pub(crate) file: File,
}

/// Runs the node to its end.
pub(crate) fn run(options: Options) -> Result<(), Failure> {
    let _log = options.logging.start(Format::Json, FILTER)?;
    let result = running::runtime()?.block_on(serve(options));
    if let Err(failure) = &result {
        tracing::error!(error = %failure, "the node ends");
    }
    result
}

async fn serve(options: Options) -> Result<(), Failure> {
    let mut signals =
        Signals::install().map_err(|error| Failure::because("cannot catch signals", &error))?;
    let port = Port::take(options.http, "clients", "--http")?;

    let mut config =
        running::node_config(options.id, &options.data, &options.payments, &options.limits);
    config.cluster_name.clone_from(&options.cluster);
    config.raft_addr = options.raft;
    config.advertise_http = advertised_http(&options, port.address())?;
    config.advertise_raft = advertised_raft(&options)?;
    config.peers = options.peer.iter().map(raft_peer).collect();
    config.validate().map_err(|error| Failure::Usage(format!("--{error}")))?;

    if !options.join.is_empty() {
        config.join = tokio::select! {
            asked = join::ask(&config, &options.join, options.replaces) => asked?,
            signal = signals.next() => {
                tracing::info!(signal, "stopped before the cluster had taken the node in");
                return Ok(());
            }
        };
    }

    let running = tokio::select! {
        started = start(config, &options, port) => started?,
        signal = signals.next() => {
            tracing::info!(signal, "stopped before the node was up");
            return Ok(());
        }
    };
    let (http, raft) = (running.http_addr(), running.raft_addr());
    tracing::info!(node = running.handle().node_id().0, %http, %raft, "listening");
    print_line(&format!("listening http={http} raft={raft}"))?;

    let end = tokio::select! {
        signal = signals.next() => {
            tracing::info!(signal, "stopping");
            Ok(())
        }
        reason = running.failed() => {
            tracing::error!(reason, "the node had to stop");
            Err(Failure::Failed(format!("the node had to stop: {reason}")))
        }
    };
    signals.exit_on_next();
    running.stop().await;
    tracing::info!("stopped");
    end
}

/// Starts the node; one whose data is damaged as a new member, if that is wanted.
async fn start(config: Config, options: &Options, port: Port) -> Result<Running, Failure> {
    let Options { payments, limits, .. } = options;
    let settings = running::http_settings(payments, limits)?;
    let mut started = running::replicate(config.clone(), payments, limits).await;
    if let Err(damage) = &started
        && damage.is_damage()
        && options.rebuild_wait_s > 0
    {
        let patience = Duration::from_secs(options.rebuild_wait_s);
        rebuild::rebuild(&config, damage, &others(options), patience).await?;
        started = running::replicate(config.clone(), payments, limits).await;
    }
    let node = started.map_err(|error| running::cannot_start(config.node_id, &error))?;
    Running::serve(node, settings, port).await
}

/// The HTTP addresses of other nodes that the command line names.
fn others(options: &Options) -> Vec<String> {
    let peers = options.peer.iter().filter(|peer| peer.id != options.id);
    options.join.iter().cloned().chain(peers.filter_map(|peer| peer.http.clone())).collect()
}

pub(crate) fn raft_peer(peer: &Peer) -> raft_node::Peer {
    raft_node::Peer {
        id: NodeId(peer.id),
        raft_addr: peer.raft.clone(),
        http_addr: peer.http.clone(),
    }
}

/// Where clients find this node: what was said, else what the list of voters says, else where it
/// listens.
fn advertised_http(options: &Options, listening: SocketAddr) -> Result<String, Failure> {
    let listed = options.own_entry().and_then(|peer| peer.http.clone());
    reachable(options.advertise_http.clone().or(listed), listening, "http")
}

/// Where the other nodes find this one, likewise.
fn advertised_raft(options: &Options) -> Result<String, Failure> {
    let listed = options.own_entry().map(|peer| peer.raft.clone());
    reachable(options.advertise_raft.clone().or(listed), options.raft, "raft")
}

fn reachable(said: Option<String>, listening: SocketAddr, flag: &str) -> Result<String, Failure> {
    match said {
        Some(address) => Ok(address),
        None if listening.ip().is_unspecified() => Err(Failure::Usage(format!(
            "--{flag} {listening} says where to listen, not where to be found: \
             add --advertise-{flag} HOST:PORT"
        ))),
        None if listening.port() == 0 => Err(Failure::Usage(format!(
            "--{flag} {listening}: the other nodes need a port that stays the same"
        ))),
        None => Ok(listening.to_string()),
    }
}

impl Options {
    fn own_entry(&self) -> Option<&Peer> {
        self.peer.iter().find(|peer| peer.id == self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_found_where_it_says_or_listens() {
        let listening = "127.0.0.1:7001".parse().unwrap();
        let said = Some("shop-1:7001".to_owned());
        assert_eq!(reachable(said, listening, "raft").unwrap(), "shop-1:7001");
        assert_eq!(reachable(None, listening, "raft").unwrap(), "127.0.0.1:7001");
        for listening in ["0.0.0.0:7001", "[::]:7001", "127.0.0.1:0"] {
            assert!(reachable(None, listening.parse().unwrap(), "raft").is_err(), "{listening}");
        }
    }
}
