//! Nodes that replicate in this process, over loopback, with real files.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use engine::command::Command;
use engine::ids::NodeId;
use engine::outcome::Outcome;
use engine::trace::TraceId;
use raft_node::payment::SimulatedGateway;
use raft_node::{Config, Handle, Node, Peer};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// The time limit for everything.
const LIMIT: Duration = Duration::from_secs(30);

/// Running nodes with their data, which is removed with them.
pub struct Cluster {
    nodes: Vec<Node>,
    _data: TempDir,
}

impl Cluster {
    /// Starts `count` nodes and waits until all of them are ready.
    ///
    /// # Panics
    /// When they do not start, or agree on no leader within 30 seconds.
    pub async fn start(count: u64) -> Cluster {
        let data = tempfile::tempdir().expect("a directory for the data can be made");
        let peers = peers(count);
        let mut nodes = Vec::new();
        for peer in &peers {
            let dir = data.path().join(format!("node-{}", peer.id));
            let mut config = Config::new(peer.id, dir);
            config.raft_addr = peer.raft_addr.parse().expect("an address made by this function");
            config.advertise_raft.clone_from(&peer.raft_addr);
            config.peers.clone_from(&peers);
            let gateway = Arc::new(SimulatedGateway::default());
            nodes.push(Node::start(config, gateway).await.expect("a node starts"));
        }
        let deadline = Instant::now() + LIMIT;
        while !nodes.iter().all(|node| node.handle().health().ready) {
            assert!(Instant::now() < deadline, "the nodes agreed on no leader in time");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Cluster { nodes, _data: data }
    }

    /// The handles of all nodes.
    pub fn handles(&self) -> Vec<Handle> {
        self.nodes.iter().map(Node::handle).collect()
    }

    /// The handle of the node that leads.
    ///
    /// # Panics
    /// When no node knows a leader: the cluster was ready before.
    pub fn leader(&self) -> Handle {
        let leader = self.nodes[0].handle().health().leader_id;
        let leader = leader.expect("a ready cluster has a leader");
        let handle = self.nodes.iter().map(Node::handle).find(|handle| handle.node_id() == leader);
        handle.expect("the leader is one of the nodes")
    }

    /// Stops all nodes.
    ///
    /// # Panics
    /// When a node panicked.
    pub async fn stop(self) {
        let mut stops = JoinSet::new();
        for node in self.nodes {
            stops.spawn(node.stop());
        }
        while let Some(stopped) = stops.join_next().await {
            stopped.expect("a node stops without a panic");
        }
    }
}

/// Replicates these commands concurrently, and returns their outcomes in the order of the commands.
///
/// # Panics
/// When one of them has no outcome.
pub async fn propose_all(handle: &Handle, commands: Vec<Command>) -> Vec<Outcome> {
    let deadline = Instant::now() + LIMIT;
    let mut calls = JoinSet::new();
    for command in commands {
        let handle = handle.clone();
        calls.spawn(async move { handle.propose(command, TraceId::NONE, deadline).await });
    }
    let mut outcomes = Vec::with_capacity(calls.len());
    while let Some(call) = calls.join_next().await {
        let applied = call.expect("a proposal does not panic");
        outcomes.push(applied.expect("a healthy cluster decides every command").outcome);
    }
    outcomes
}

/// Addresses for `count` nodes, on ports that are free now. All ports stay bound until the last is
/// chosen, so that they differ.
fn peers(count: u64) -> Vec<Peer> {
    let held: Vec<TcpListener> =
        (0..count).map(|_| TcpListener::bind("127.0.0.1:0").expect("a port is free")).collect();
    (1..)
        .zip(&held)
        .map(|(id, listener)| Peer {
            id: NodeId(id),
            raft_addr: listener.local_addr().expect("a bound port has an address").to_string(),
            http_addr: None,
        })
        .collect()
}
