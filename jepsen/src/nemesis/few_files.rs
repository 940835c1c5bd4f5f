//! A node that may open few files, and idle connections that use up what clients may have of them.
//!
//! The node must go on: it keeps files for its data, and refuses connections.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use crate::checker::STUCK;
use crate::cluster::{Cluster, is_ready};
use crate::net;

/// How many files the node may open.
const FILES: u64 = 400;
/// How many idle connections are made: more than files.
const CONNECTIONS: usize = 450;
/// How long one may take to be made.
const CONNECT_MAX: Duration = Duration::from_millis(500);
/// How long the node may take to start.
const READY_MAX: Duration = Duration::from_secs(30);

/// A node with few files.
#[derive(Debug)]
pub(super) struct Few {
    pub(super) node: usize,
    idle: Vec<TcpStream>,
    /// Connections that were not even made.
    failed: usize,
    starts: usize,
}

pub(super) async fn begin(cluster: &mut Cluster, id: usize) -> Result<Few, String> {
    cluster.node(id).stop().await;
    cluster.node(id).files_max = Some(FILES);
    cluster.start(id)?;
    let until = Instant::now() + READY_MAX;
    while !is_ready(net::http(id)).await && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let starts = cluster.node(id).starts;
    let mut few = Few { node: id, idle: Vec::new(), failed: 0, starts };
    for _ in 0..CONNECTIONS {
        match tokio::time::timeout(CONNECT_MAX, TcpStream::connect(net::http(id))).await {
            Ok(Ok(stream)) => few.idle.push(stream),
            _ => few.failed += 1,
        }
    }
    Ok(few)
}

impl Few {
    pub(super) async fn end(self, cluster: &mut Cluster) -> Result<Value, String> {
        let Few { node, idle, failed, starts } = self;
        // The node answers or closes those that it refuses.
        let mut refused = failed;
        for mut stream in idle {
            let mut byte = [0];
            let read = stream.read(&mut byte);
            if tokio::time::timeout(Duration::from_millis(2), read).await.is_ok() {
                refused += 1;
            }
        }
        let survived = cluster.node(node).is_running() && cluster.node(node).starts == starts;
        let said = cluster.node(node).last_error();
        cluster.node(node).files_max = None;
        cluster.node(node).stop().await;
        cluster.start(node)?;
        let mut effect = match refused {
            0 => Value::Null,
            _ => json!({"files": FILES, "connections": CONNECTIONS, "refused": refused}),
        };
        if !survived {
            effect = json!({STUCK: format!("node {node} ended for lack of files: {said}")});
        }
        Ok(effect)
    }
}
