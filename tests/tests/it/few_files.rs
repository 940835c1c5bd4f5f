//! Open files: idle clients use up connections, never the files that a node needs to store orders.

use std::net::SocketAddr;
use std::time::Duration;

use tests::cluster::{self, Scratch};
use tests::raw::{Connection, Reply};
use tests::shop::{self, ORDERS};
use tests::{Call, Cluster, Options, wait};
use tokio::net::TcpStream;

/// Idle connections to each node: more than the usual soft limit of 1,024 files.
const IDLE: usize = 1_100;

/// How long one answer may take.
const ANSWERED: Duration = Duration::from_secs(15);

/// Sends one request on an open connection, so that it needs no new one.
async fn ask(connection: &mut Connection, method: &str, path: &str, body: &str) -> (u16, String) {
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    connection.send(request.as_bytes()).await;
    match connection.answer(ANSWERED).await {
        Reply::Answer(answer) => (answer.status, answer.text()),
        other => panic!("{method} {path}: {other:?}"),
    }
}

/// Opens the idle connections to a node, and returns those that are left after it refused others.
async fn idle(address: SocketAddr) -> Vec<TcpStream> {
    let mut open = Vec::new();
    for _ in 0..IDLE {
        open.push(TcpStream::connect(address).await.expect("the port is open"));
    }
    let mut left = open.len();
    wait::until("no more connections were refused", wait::READY, async || {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let mut byte = [0];
        open.retain(|stream| stream.try_read(&mut byte).is_err());
        let before = std::mem::replace(&mut left, open.len());
        if before == left { Ok(()) } else { Err(format!("{left} are left")) }
    })
    .await;
    open
}

/// Fills all nodes with idle connections, and lets every node store orders and a snapshot
/// meanwhile. Returns how many idle connections each node kept.
async fn flood(cluster: &Cluster) -> Vec<usize> {
    let mut random = cluster.random(1);
    let product = shop::create_product(cluster.caller(), &mut random, "1.00", 1_000).await;
    let order = shop::order(product, 1, "none").to_string();
    let mut clients = Vec::new();
    for id in cluster.active() {
        let mut client = Connection::open(cluster.caller().address(id)).await;
        assert_eq!(ask(&mut client, "POST", ORDERS, &order).await.0, 201);
        clients.push(client);
    }
    let mut held = Vec::new();
    for id in cluster.active() {
        held.push(idle(cluster.caller().address(id)).await);
    }
    for _ in 0..3 {
        for client in &mut clients {
            let (status, text) = ask(client, "POST", ORDERS, &order).await;
            assert_eq!(status, 201, "{text}");
            // A snapshot opens files of its own.
            let (status, text) = ask(client, "POST", "/api/v1/cluster/snapshot", "").await;
            assert_eq!(status, 200, "{text}");
        }
    }
    held.iter().map(Vec::len).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_low_soft_limit_of_files_is_raised_and_idle_connections_stop_no_order() {
    let options = Options::new("a_low_soft_limit_of_files").files_max(1_024, 16_384);
    let options = options.flag("--connections-per-address-max", "2000");
    let cluster = options.start().await;
    assert_eq!(flood(&cluster).await, [IDLE; 3], "there is room for all");
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_a_low_hard_limit_of_files_connections_are_refused_and_orders_go_on() {
    let options = Options::new("under_a_low_hard_limit_of_files").files_max(1_024, 1_024);
    let options = options.flag("--connections-per-address-max", "2000");
    let cluster = options.start().await;
    for (id, kept) in (1..).zip(flood(&cluster).await) {
        assert!((400..=512).contains(&kept), "node {id} kept {kept} connections");
        let log = cluster.log_text(id);
        assert!(log.contains("connections_max") && log.contains("LimitNOFILE"), "{log}");
    }
    // The idle ones are gone, and there is room again.
    wait::until("a new connection was served", wait::READY, async || {
        let answer = cluster.caller().send(1, &Call::get("/api/v1/cluster")).await;
        match answer {
            Ok(answer) if answer.status == 200 => Ok(()),
            Ok(answer) => Err(answer.text()),
            Err(error) => Err(error.to_string()),
        }
    })
    .await;
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_may_open_too_few_files_does_not_start_and_says_why() {
    let scratch = Scratch::take("a_node_that_may_open_too_few_files").await;
    let data = scratch.path().join("node");
    let script = "ulimit -n 100 && exec \"$@\"";
    let mut command = std::process::Command::new("sh");
    let binary = cluster::holdfast();
    command.args(["-c", script, "sh"]).arg(binary.get_program());
    command.args(["serve", "--id", "1", "--http", "127.0.0.1:0", "--raft", "127.0.0.1:1"]);
    let said = command.arg("--data").arg(&data).output().expect("the binary runs");
    let text = String::from_utf8_lossy(&said.stderr).into_owned();
    assert_eq!(said.status.code(), Some(1), "{text}");
    assert!(text.contains("100") && text.contains("ulimit -n"), "{text}");
    assert!(!data.exists(), "nothing was made");
}
