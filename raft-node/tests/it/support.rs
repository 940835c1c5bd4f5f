//! Nodes for tests: three of them in one process, over real sockets and real disks.

use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use engine::command::{Command, CreateProduct, PlaceOrder};
use engine::ids::{NodeId, ProductId, Quantity};
use engine::layout::Added;
use engine::money::Money;
use engine::order::{Line, PaymentMethod};
use engine::trace::TraceId;
use raft_node::payment::{SimulatedGateway, SimulatedSettings};
use raft_node::{Applied, Config, Handle, Node, Peer};
use tokio::time::Instant;

fn free_ports(count: usize) -> Vec<u16> {
    let listeners: Vec<_> =
        (0..count).map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port")).collect();
    listeners.iter().map(|l| l.local_addr().expect("bound").port()).collect()
}

pub(crate) fn configs(dir: &Path, count: usize) -> Vec<Config> {
    let ports = free_ports(count);
    let peers: Vec<_> = (1..=count as u64)
        .zip(&ports)
        .map(|(id, port)| Peer {
            id: NodeId(id),
            raft_addr: format!("127.0.0.1:{port}"),
            http_addr: None,
        })
        .collect();
    peers
        .iter()
        .map(|peer| {
            let mut config = Config::new(peer.id, dir.join(format!("node-{}", peer.id)));
            config.raft_addr = peer.raft_addr.parse().expect("an address");
            config.peers = peers.clone();
            config
        })
        .collect()
}

pub(crate) async fn start(config: &Config) -> Node {
    let settings = SimulatedSettings {
        success_ppm: 1_000_000,
        delay_ms: 1..=5,
        ..SimulatedSettings::default()
    };
    let gateway = Arc::new(SimulatedGateway::new(settings));
    Node::start(config.clone(), gateway).await.expect("the node starts")
}

pub(crate) fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = soon();
    while !holds() {
        assert!(Instant::now() < deadline, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) async fn ready(handles: &[Handle]) {
    until("all nodes are ready", || handles.iter().all(|handle| handle.health().ready)).await;
}

pub(crate) async fn propose(handle: &Handle, command: Command) -> Applied {
    handle.propose(command, TraceId::NONE, soon()).await.expect("an outcome")
}

pub(crate) fn product(stock: i64) -> Command {
    Command::CreateProduct(CreateProduct {
        name: "Laptop".into(),
        price: Money(99_999),
        stock,
        ..CreateProduct::default()
    })
}

pub(crate) fn order(key: Option<&str>, quantity: u32, payment_method: PaymentMethod) -> Command {
    Command::PlaceOrder(PlaceOrder {
        user: None,
        hold: None,
        lines: vec![Line { product: ProductId(1), quantity: Quantity(quantity) }],
        payment_method,
        key: key.map(Into::into),
        metadata: None,
        payment_attempts_max: 1,
        payment_deadline_ms: 200,
        open_orders_max: 1_000_000,
        require_user: false,
        terms: Added::default(),
    })
}
