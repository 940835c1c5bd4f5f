//! `holdfast dev`: runs a whole cluster in one process, with sample products, for a first try.
//!
//! The nodes and their connections are those of a real cluster. Only the ports and the data
//! directory have defaults.

mod home;
mod samples;

use std::future::Future as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::task::Poll;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{ArgAction, Args, value_parser};
use engine::ids::{NodeId, OrderId};
use engine::query::{OrderFilter, Page};
use tokio::time::Instant;

use crate::exit::CliError;
use crate::logging::{self, Format};
use crate::node::files;
use crate::node::running::{self, Port, Running};
use crate::node::security;
use crate::output::print_line;
use crate::runtime;
use crate::settings::{File, Gateway, Limits, Payments};
use crate::signals::Signals;
use home::{Home, Plan};

/// How long the cluster may take to become ready.
const READY: Duration = Duration::from_secs(60);
/// Pause between two checks of readiness.
const READY_POLL: Duration = Duration::from_millis(20);

/// The default log filter. Raft warns of every leader that steps down, which here only happens when
/// the process stops.
const FILTER: &str = "warn,raft=error";

/// The flags of `dev`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// Run this many nodes [default: 3, or as many as the data holds]
    #[arg(long, value_name = "N", value_parser = value_parser!(u8).range(1..=9))]
    pub(crate) nodes: Option<u8>,
    /// Listen for clients of the first node on this address; the others take the ports after it
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub(crate) http: SocketAddr,
    /// Store the data in this directory; it is created if missing
    #[arg(long, value_name = "DIR", default_value = "./data/dev")]
    pub(crate) data: PathBuf,
    /// Remove the data of earlier runs first
    #[arg(long)]
    pub(crate) fresh: bool,
    /// Take payment webhooks without a signature while no secret is set; `serve` never does
    #[arg(long, help_heading = "Payments", action = ArgAction::Set, value_name = "true|false")]
    #[arg(num_args = 0..=1, require_equals = true, value_parser = BoolishValueParser::new())]
    #[arg(default_value = "true", default_missing_value = "true", hide_possible_values = true)]
    pub(crate) webhook_unsigned: bool,
    #[command(flatten)]
    pub(crate) payments: Payments,
    #[command(flatten)]
    pub(crate) limits: Limits,
    #[command(flatten)]
    pub(crate) logging: logging::Options,
    #[command(flatten)]
    pub(crate) file: File,
}

/// Runs the cluster to its end.
pub(crate) fn run(mut options: Options) -> Result<(), CliError> {
    options.payments.payment_gateway.get_or_insert(Gateway::Simulated);
    options.payments.webhooks.unsigned = options.webhook_unsigned;
    let _log = options.logging.start(Format::Text, FILTER)?;
    runtime::start()?.block_on(dev(options))
}

async fn dev(mut options: Options) -> Result<(), CliError> {
    let mut signals =
        Signals::install().map_err(|error| CliError::because("cannot catch signals", &error))?;
    let nodes = options.nodes.map(usize::from);
    let plan = Plan::new(options.data.clone(), nodes, options.http.port(), options.fresh)?;
    options.limits = files::fit(&options.limits, plan.raft().len())?;
    let options = &options;
    security::check_http(options.http, false, options.limits.clients.insecure_http)?;
    // Bind the ports first: if one is in use, no data has been touched.
    let ports = ports(options.http, plan.raft().len())?;
    plan.check_raft_ports()?;
    let home = plan.carry_out()?;
    let mut nodes = Vec::new();
    let up = tokio::select! {
        up = bring_up(options, &home, ports, &mut nodes) => up,
        signal = signals.next() => {
            tracing::info!(signal, "stopped before the cluster was ready");
            signals.exit_on_next();
            stop(nodes).await;
            return Ok(());
        }
    };
    let end = match up {
        Err(failure) => Err(failure),
        Ok(()) => {
            print_line(&welcome(options, &nodes).await)?;
            tokio::select! {
                _ = signals.next() => Ok(()),
                (node, reason) = first_failure(&nodes) => {
                    Err(CliError::Failed(format!("node {node} failed: {reason}")))
                }
            }
        }
    };
    if end.is_ok() {
        print_line("\nStopping.")?;
    }
    signals.exit_on_next();
    stop(nodes).await;
    if end.is_ok() {
        print_line(&format!("Stopped. The data stays in {}.", options.data.display()))?;
    }
    end
}

/// Starts the nodes, waits for a leader and creates the samples in an empty catalogue.
async fn bring_up(
    options: &Options,
    home: &Home,
    ports: Vec<Port>,
    nodes: &mut Vec<Running>,
) -> Result<(), CliError> {
    let peers: Vec<raft_node::Peer> = (1..)
        .zip(home.raft())
        .zip(&ports)
        .map(|((id, raft), port)| raft_node::Peer {
            id: NodeId(id),
            raft_addr: raft.to_string(),
            http_addr: Some(port.address().to_string()),
        })
        .collect();
    for (port, peer) in ports.into_iter().zip(&peers) {
        let id = peer.id.0;
        let mut config =
            running::node_config(id, &home.node_dir(id), &options.payments, &options.limits);
        config.cluster_name = "dev".to_owned();
        // Nobody operates a trial: one that was away for days goes on today.
        config.core.clock_step_ms_max = u64::MAX;
        config.raft_addr = home.raft()[nodes.len()];
        config.advertise_raft.clone_from(&peer.raft_addr);
        config.advertise_http = peer.http_addr.clone().unwrap_or_default();
        config.peers.clone_from(&peers);
        config.validate().map_err(|error| CliError::Usage(format!("--{error}")))?;
        nodes.push(Running::start(config, &options.payments, &options.limits, port).await?);
    }
    let deadline = Instant::now() + READY;
    while !nodes.iter().all(|node| node.handle().health().ready) {
        if Instant::now() >= deadline {
            return Err(CliError::Failed(format!(
                "the nodes did not elect a leader within {} s; --log-filter info shows why",
                READY.as_secs()
            )));
        }
        tokio::time::sleep(READY_POLL).await;
    }
    samples::create_if_empty(&nodes[0].handle(), deadline).await
}

/// Binds the HTTP ports: consecutive ones from `first`, or free ones for port 0.
fn ports(first: SocketAddr, count: usize) -> Result<Vec<Port>, CliError> {
    (0..count)
        .map(|offset| {
            let mut address = first;
            if first.port() != 0 {
                let port = usize::from(first.port()) + offset;
                let port = u16::try_from(port).map_err(|_| {
                    CliError::Usage(format!(
                        "--http {first}: {count} nodes need ports up to {port}, but the highest is \
                         65535"
                    ))
                })?;
                address.set_port(port);
            }
            Port::take(address, &format!("clients of node {}", offset + 1), "--http")
        })
        .collect()
}

/// The text to show once the cluster is ready.
async fn welcome(options: &Options, nodes: &[Running]) -> String {
    let urls: Vec<String> =
        nodes.iter().map(|node| format!("http://{}", node.http_addr())).collect();
    let leader = nodes[0].handle().health().leader_id;
    let mut text = format!(
        "Holdfast: a cluster of {} in one process, data in {}\n\n",
        if urls.len() == 1 { "1 node".to_owned() } else { format!("{} nodes", urls.len()) },
        options.data.display()
    );
    for (id, url) in (1..).zip(&urls) {
        let role = if leader == Some(NodeId(id)) { "  (leader)" } else { "" };
        text.push_str(&format!("  node {id}  {url}{role}\n"));
    }
    // The key contains the id of the next order: each run sells another laptop, but repeating the
    // line does not.
    let next = next_order(&nodes[0]).0;
    let other = &urls[urls.len() - 1];
    text.push_str(&format!(
        "\nSell a laptop:\n\n  curl -s {}/api/v1/orders -H 'Content-Type: application/json' \
         -H 'Idempotency-Key: laptop-{next}' \
         -d '{{\"user_id\": 1, \"items\": [{{\"product_id\": 1, \"quantity\": 1}}]}}'\n",
        urls[0]
    ));
    text.push_str(&format!(
        "\nSee how its payment went, on {}:\n\n  curl -s {other}/api/v1/orders/{next}\n",
        if urls.len() == 1 { "the same node" } else { "another node" }
    ));
    text.push_str("\nCtrl-C stops the cluster; the data stays.");
    text
}

/// The id of the next order, if nobody else places one meanwhile.
fn next_order(node: &Running) -> OrderId {
    let newest = node.handle().read(|state| {
        let page = Page::Before { id: None, limit: 1 };
        state.list_orders(&OrderFilter::default(), page).ids.first().copied()
    });
    OrderId(newest.map_or(0, |id| id.0) + 1)
}

/// Resolves when a node fails, with its number and the reason.
async fn first_failure(nodes: &[Running]) -> (usize, String) {
    let mut waits: Vec<_> = nodes.iter().map(|node| Box::pin(node.failed())).collect();
    std::future::poll_fn(|context| {
        for (number, wait) in (1..).zip(&mut waits) {
            if let Poll::Ready(reason) = wait.as_mut().poll(context) {
                return Poll::Ready((number, reason));
            }
        }
        Poll::Pending
    })
    .await
}

/// Stops all nodes at the same time: one by one, the last ones would wait for a majority.
async fn stop(nodes: Vec<Running>) {
    let mut tasks = tokio::task::JoinSet::new();
    for node in nodes {
        tasks.spawn(node.stop());
    }
    while let Some(stopped) = tasks.join_next().await {
        if let Err(error) = stopped {
            tracing::error!(%error, "a node failed to stop");
        }
    }
}
