//! `holdfast serve`: runs one node until a signal or a failure ends it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use engine::ids::NodeId;
use http_api::{Gateway, HttpTls, RootToken};
use raft_node::Config;

use crate::address::{self, Peer};
use crate::exit::CliError;
use crate::gateway;
use crate::logging::{self, Format};
use crate::node::files;
use crate::node::join;
use crate::node::rebuild;
use crate::node::running::{self, Port, Running};
use crate::node::security;
use crate::output::print_line;
use crate::runtime;
use crate::settings::{File, Limits, Payments, Timing};
use crate::signals::Signals;

/// The default log filter. It quiets the libraries, which log a lot. `raft` also matches every
/// module whose name begins so, hence `raft_node=info`.
const FILTER: &str = "info,raft=warn,raft_node=info,raft_engine=warn,sled=warn";

/// How long open tasks may take to finish after the node has stopped.
const TASKS_MAX: Duration = Duration::from_secs(5);

/// The flags of `serve`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// Run under this node id: a number from 1 that no other node has or ever had
    #[arg(long, value_name = "N", value_parser = address::node_id)]
    pub(crate) id: u64,
    /// Store the data in this directory; it is created if missing
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// Listen for clients on this address; with port 0 the system chooses one
    #[arg(long, value_name = "ADDR")]
    pub(crate) http: SocketAddr,
    /// Listen for operators on this address, with a few connections of its own that no flood of
    /// clients takes. `/cluster`, `/auth`, `/audit`, `/admin` and `/metrics` are then nowhere else,
    /// so `--join` of other nodes has to name it
    #[arg(long, value_name = "ADDR")]
    pub(crate) admin: Option<SocketAddr>,
    /// Listen for the other nodes on this address
    #[arg(long, value_name = "ADDR")]
    pub(crate) raft: SocketAddr,
    /// Found a new cluster with this voter; name each voter once, this node too. Only the first
    /// startup uses this: afterwards the data holds the members. (Separate several by spaces in the
    /// environment)
    #[arg(long, value_name = "ID=RAFT_ADDR[,HTTP_ADDR]", value_delimiter = ' ')]
    pub(crate) peer: Vec<Peer>,
    /// Join the running cluster of the member at this HTTP address; separate several by commas. The
    /// node is a learner until it has caught up, then a voter. Only the first startup uses this,
    /// and one on damaged data
    #[arg(long, value_name = "ADDR", value_delimiter = ',', conflicts_with = "peer")]
    #[arg(value_parser = address::host_port)]
    pub(crate) join: Vec<String>,
    /// Take the place of this member, with --join: for example of the node whose disk was lost
    #[arg(long, value_name = "N", value_parser = address::node_id, requires = "join")]
    pub(crate) replaces: Option<u64>,
    /// Try for this many seconds to rebuild a node whose data is damaged beyond repair: a majority
    /// of the others adds it as a new member and sends it all data. The damaged data stays in
    /// DIR/damaged-N. With 0 the node is never rebuilt
    #[arg(long, value_name = "S", default_value = "60")]
    #[arg(value_parser = clap::value_parser!(u64).range(0..=86_400))]
    pub(crate) rebuild_wait_s: u64,
    /// Belong to the cluster of this name; nodes refuse peers of another name
    #[arg(long, value_name = "NAME", default_value = "holdfast")]
    pub(crate) cluster: String,
    /// Tell clients this address, if it differs from the one that the node listens on
    #[arg(long, value_name = "ADDR", value_parser = address::host_port)]
    pub(crate) advertise_http: Option<String>,
    /// Tell the other nodes this address, if it differs from the one that the node listens on
    #[arg(long, value_name = "ADDR", value_parser = address::host_port)]
    pub(crate) advertise_raft: Option<String>,
    #[command(flatten)]
    pub(crate) peers: security::Peers,
    #[command(flatten)]
    pub(crate) https: security::Https,
    #[command(flatten)]
    pub(crate) payments: Payments,
    #[command(flatten)]
    pub(crate) limits: Limits,
    #[command(flatten)]
    timing: Timing,
    #[command(flatten)]
    pub(crate) logging: logging::Options,
    #[command(flatten)]
    pub(crate) file: File,
}

/// Runs the node to its end.
pub(crate) fn run(options: Options) -> Result<(), CliError> {
    let _log = options.logging.start(Format::Json, FILTER)?;
    let runtime = runtime::start()?;
    let result = runtime.block_on(serve(options));
    // A task that waits for a disk that hangs would keep the process alive.
    match result.is_ok() {
        true => runtime.shutdown_timeout(TASKS_MAX),
        false => runtime.shutdown_background(),
    }
    result.map_err(|error| {
        // Standard error is a stream of log lines. It gets plain text only if the log is off.
        if !tracing::enabled!(tracing::Level::ERROR) {
            return error;
        }
        tracing::error!(%error, "the node ends");
        error.logged()
    })
}

async fn serve(mut options: Options) -> Result<(), CliError> {
    options.limits = files::fit(&options.limits, 1)?;
    let mut signals =
        Signals::install().map_err(|error| CliError::because("cannot catch signals", &error))?;
    let is_guarded = options.https.is_guarded();
    security::check_http(options.http, is_guarded, options.limits.clients.insecure_http)?;
    if let Some(admin) = options.admin {
        security::check_http(admin, is_guarded, options.limits.clients.insecure_http)?;
    }
    let port = Port::take(options.http, "clients", "--http")?;

    let mut config =
        running::node_config(options.id, &options.data, &options.payments, &options.limits);
    config.core = config.core.with_timings(options.timing.timings()?);
    config.cluster_name.clone_from(&options.cluster);
    config.raft_addr = options.raft;
    config.peer_security = options.peers.security(options.id, &options.cluster)?;
    config.advertise_http = advertised_http(&options, port.address())?;
    config.advertise_raft = advertised_raft(&options)?;
    config.peers = options.peer.iter().map(raft_peer).collect();
    config.validate().map_err(|error| CliError::Usage(format!("--{error}")))?;

    if !options.join.is_empty() {
        config.join = tokio::select! {
            asked = join::ask(&config, &options.join, options.replaces, &options.https) => asked?,
            signal = signals.next() => {
                tracing::info!(signal, "stopped before the cluster added the node");
                return Ok(());
            }
        };
    }

    let certificate = options.https.certificate()?;
    let root = options.https.root_token()?;
    let kept = root.clone().zip(options.https.root_token_file.clone());
    let fresh = security::keep_fresh(&config.peer_security, certificate.as_ref(), kept);
    let mut port = port;
    let end = loop {
        // A rebuilt node keeps its addresses, also those that the system chose.
        let shared = Shared { certificate: certificate.clone(), root: root.clone() };
        match run_once(&config, &options, shared, port, &mut signals).await {
            Ok(End::Stopped) => break Ok(()),
            Err(error) => break Err(error),
            Ok(End::RolledBack { http, raft }) => {
                tracing::warn!("starting again, to rebuild this node from the others");
                port = Port::take(http, "clients", "--http")?;
                config.raft_addr = raft;
            }
        }
    };
    fresh.abort();
    end
}

/// What SIGHUP replaces while the node runs.
struct Shared {
    certificate: Option<Arc<HttpTls>>,
    root: Option<RootToken>,
}

/// How a run of the node ended, unless it failed for good.
enum End {
    /// It was asked to.
    Stopped,
    /// It has lost entries that it acknowledged, and may be rebuilt. It had these addresses.
    RolledBack { http: SocketAddr, raft: SocketAddr },
}

/// Starts the node and runs it until it is asked to stop or fails.
async fn run_once(
    config: &Config,
    options: &Options,
    shared: Shared,
    port: Port,
    signals: &mut Signals,
) -> Result<End, CliError> {
    let running = tokio::select! {
        started = start(config.clone(), options, shared, port) => started?,
        signal = signals.next() => {
            tracing::info!(signal, "stopped before the node was ready");
            return Ok(End::Stopped);
        }
    };
    let (http, raft) = (running.http_addr(), running.raft_addr());
    tracing::info!(node = running.handle().node_id().0, %http, %raft, "listening");
    print_line(&format!("listening http={http} raft={raft}"))?;

    let end = tokio::select! {
        signal = signals.next() => {
            tracing::info!(signal, "stopping");
            Ok(End::Stopped)
        }
        reason = running.failed() => {
            tracing::error!(reason, "the node failed");
            match running.is_rolled_back() && options.rebuild_wait_s > 0 {
                true => Ok(End::RolledBack { http, raft }),
                false => Err(CliError::Failed(format!("the node failed: {reason}"))),
            }
        }
    };
    // A separate listener, because `signals` is used again if the node starts again.
    if !matches!(end, Ok(End::RolledBack { .. }))
        && let Ok(further) = Signals::install()
    {
        further.exit_on_next();
    }
    running.stop().await;
    tracing::info!("stopped");
    end
}

/// Starts the node. Rebuilds it first if its data is damaged and `--rebuild-wait-s` allows that.
async fn start(
    config: Config,
    options: &Options,
    shared: Shared,
    port: Port,
) -> Result<Running, CliError> {
    let Options { payments, limits, .. } = options;
    let mut settings = running::http_settings(payments, limits)?;
    // Clients learn this name from the other nodes.
    settings.http_hosts.extend(config.advertise_http.parse().ok());
    (settings.tls, settings.root_token) = (shared.certificate, shared.root);
    settings.customers = options.https.customer_keys(&options.cluster)?;
    settings.socket_apps = options.https.socket_apps()?;
    let is_guarded = options.https.is_guarded();
    settings.insecure = security::insecure(&config.peer_security, port.address(), is_guarded);
    if settings.gateway == Gateway::None && settings.webhook_secrets.is_empty() {
        tracing::warn!("nothing can pay an order here: set --payment-gateway or --webhook-secret");
    }
    let admin = options.admin.map(|admin| Port::take(admin, "operators", "--admin"));
    let admin = admin.transpose()?;
    let gateway = gateway::of(payments)?;
    let mut started = running::replicate(config.clone(), Arc::clone(&gateway), limits).await;
    if let Err(damage) = &started
        && damage.is_damage()
        && options.rebuild_wait_s > 0
    {
        let patience = Duration::from_secs(options.rebuild_wait_s);
        let others = others(options);
        rebuild::rebuild(&config, damage, &others, patience, &options.https).await?;
        started = running::replicate(config.clone(), gateway, limits).await;
    }
    let node = started.map_err(|error| running::cannot_start(config.node_id, &error))?;
    Running::serve(node, settings, port, admin).await
}

/// The HTTP addresses of the other nodes on the command line.
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

/// The address of this node for clients: from its flag, else from the list of voters, else where it
/// listens.
fn advertised_http(options: &Options, listening: SocketAddr) -> Result<String, CliError> {
    let listed = options.own_entry().and_then(|peer| peer.http.clone());
    reachable(options.advertise_http.clone().or(listed), listening, "http")
}

/// The address of this node for the other nodes, found in the same way.
fn advertised_raft(options: &Options) -> Result<String, CliError> {
    let listed = options.own_entry().map(|peer| peer.raft.clone());
    reachable(options.advertise_raft.clone().or(listed), options.raft, "raft")
}

fn reachable(
    advertised: Option<String>,
    listening: SocketAddr,
    flag: &str,
) -> Result<String, CliError> {
    match advertised {
        Some(address) => Ok(address),
        None if listening.ip().is_unspecified() => Err(CliError::Usage(format!(
            "--{flag} {listening} is not an address that others can connect to: \
             add --advertise-{flag} HOST:PORT"
        ))),
        None if listening.port() == 0 => Err(CliError::Usage(format!(
            "--{flag} {listening}: the other nodes need a fixed port, so give one from 1 to 65535"
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
    fn the_address_is_the_advertised_one_or_where_the_node_listens() {
        let listening = "127.0.0.1:7001".parse().unwrap();
        let advertised = Some("shop-1:7001".to_owned());
        assert_eq!(reachable(advertised, listening, "raft").unwrap(), "shop-1:7001");
        assert_eq!(reachable(None, listening, "raft").unwrap(), "127.0.0.1:7001");
        for listening in ["0.0.0.0:7001", "[::]:7001", "127.0.0.1:0"] {
            assert!(reachable(None, listening.parse().unwrap(), "raft").is_err(), "{listening}");
        }
    }
}
