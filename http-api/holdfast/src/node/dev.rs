//! `holdfast dev`: a whole cluster in one process, with something to sell, for a first try.
//!
//! It is made of the same nodes as a real cluster and speaks over the same kind of connections;
//! only the ports and the data directory are chosen for the user.

mod home;
mod samples;

use std::future::Future as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::task::Poll;
use std::time::Duration;

use clap::{Args, value_parser};
use engine::ids::{NodeId, OrderId};
use engine::query::{OrderFilter, Page};
use tokio::time::Instant;

use crate::exit::Failure;
use crate::logging::{self, Format};
use crate::node::running::{self, Port, Running};
use crate::output::print_line;
use crate::settings::{File, Limits, Payments};
use crate::signals::Signals;
use home::{Home, Plan};

/// How long the cluster may take until it is ready.
const READY: Duration = Duration::from_secs(60);
/// How often readiness is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Which log lines are written unless others are asked for. Raft warns of every leader that steps
/// down, which in one process only means that it is being stopped.
const FILTER: &str = "warn,raft=error";

/// The flags of `dev`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// How many nodes [default: 3, or as many as the data is for]
    #[arg(long, value_name = "N", value_parser = value_parser!(u8).range(1..=9))]
    pub(crate) nodes: Option<u8>,
    /// Where the first node listens for clients; the others take the ports after it
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub(crate) http: SocketAddr,
    /// Directory for the data; made when it does not exist
    #[arg(long, value_name = "DIR", default_value = "./data/dev")]
    pub(crate) data: PathBuf,
    /// Remove the data of earlier tries first
    #[arg(long)]
    pub(crate) fresh: bool,
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
pub(crate) fn run(options: Options) -> Result<(), Failure> {
    let _log = options.logging.start(Format::Text, FILTER)?;
    running::runtime()?.block_on(dev(&options))
}

async fn dev(options: &Options) -> Result<(), Failure> {
    let mut signals =
        Signals::install().map_err(|error| Failure::because("cannot catch signals", &error))?;
    let nodes = options.nodes.map(usize::from);
    let plan = Plan::new(options.data.clone(), nodes, options.http.port(), options.fresh)?;
    // Ports come first: when one is taken, no data has been touched.
    let ports = ports(options.http, plan.raft().len())?;
    for address in plan.raft() {
        drop(Port::take(*address, "the other nodes", "--fresh and another --http")?);
    }
    let home = plan.carry_out()?;
    let mut nodes = Vec::new();
    let up = tokio::select! {
        up = bring_up(options, &home, ports, &mut nodes) => up,
        signal = signals.next() => {
            tracing::info!(signal, "stopped before the cluster was up");
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
                    Err(Failure::Failed(format!("node {node} had to stop: {reason}")))
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

/// Starts the nodes, waits for a leader and fills an empty catalogue.
async fn bring_up(
    options: &Options,
    home: &Home,
    ports: Vec<Port>,
    nodes: &mut Vec<Running>,
) -> Result<(), Failure> {
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
        config.raft_addr = home.raft()[nodes.len()];
        config.advertise_raft.clone_from(&peer.raft_addr);
        config.advertise_http = peer.http_addr.clone().unwrap_or_default();
        config.peers.clone_from(&peers);
        config.validate().map_err(|error| Failure::Usage(format!("--{error}")))?;
        nodes.push(Running::start(config, &options.payments, &options.limits, port).await?);
    }
    let deadline = Instant::now() + READY;
    while !nodes.iter().all(|node| node.handle().health().ready) {
        if Instant::now() >= deadline {
            return Err(Failure::Failed(format!(
                "the nodes did not agree on a leader within {} s",
                READY.as_secs()
            )));
        }
        tokio::time::sleep(LOOK).await;
    }
    samples::create_if_empty(&nodes[0].handle(), deadline).await
}

/// Takes the HTTP ports: consecutive ones, or whichever are free when port 0 is asked for.
fn ports(first: SocketAddr, count: usize) -> Result<Vec<Port>, Failure> {
    (0..count)
        .map(|offset| {
            let mut address = first;
            if first.port() != 0 {
                let port = usize::from(first.port()) + offset;
                let port = u16::try_from(port).map_err(|_| {
                    Failure::Usage(format!("--http {first}: {count} ports from there do not exist"))
                })?;
                address.set_port(port);
            }
            Port::take(address, &format!("clients of node {}", offset + 1), "--http")
        })
        .collect()
}

/// What to show once everything is up.
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
    // The key changes with the number of orders, so each start sells another laptop, while sending
    // the same line twice does not.
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

/// The id that the next order is going to have, if nobody else orders meanwhile.
fn next_order(node: &Running) -> OrderId {
    let newest = node.handle().read(|state| {
        let page = Page::Before { id: None, limit: 1 };
        state.list_orders(&OrderFilter::default(), page).ids.first().copied()
    });
    OrderId(newest.map_or(0, |id| id.0) + 1)
}

/// Resolves when any node can go on no longer.
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

/// Stops all nodes at once: one after the other, the last ones would wait for a majority.
async fn stop(nodes: Vec<Running>) {
    let mut tasks = tokio::task::JoinSet::new();
    for node in nodes {
        tasks.spawn(node.stop());
    }
    while let Some(stopped) = tasks.join_next().await {
        if let Err(error) = stopped {
            tracing::error!(%error, "a node did not stop cleanly");
        }
    }
}
