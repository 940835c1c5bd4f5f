//! A node that is away until the others have truncated the log entries that it needs. It must
//! install a snapshot when it returns, and is killed meanwhile.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hyper::Method;
use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::cluster::{self, Cluster};
use crate::http;
use crate::net;

/// How long the others may take to truncate their logs.
const CUT_MAX: Duration = Duration::from_secs(120);

/// How long one snapshot may take.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// How long a node may take to begin with a snapshot after it returns. Another fault has delayed
/// one that begins later; that one is not interrupted.
const BEGIN_MAX: Duration = Duration::from_secs(10);

/// How long a node may take to install one in the end.
const INSTALL_MAX: Duration = Duration::from_secs(60);

/// How often the files of the node are checked.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// A node that has missed too much.
#[derive(Debug)]
pub(super) struct Lagging {
    pub(super) node: usize,
    /// What was done, for the history.
    pub(super) value: Value,
    /// What its files showed before.
    before: Seen,
    /// The steps of the installation at which it is killed.
    steps: Vec<Step>,
    /// The steps at which it was killed.
    killed: Vec<Step>,
}

/// A moment of an installation, as the files of the node show it.
#[derive(Debug, Clone, Copy, serde::Serialize)]
#[serde(rename_all = "snake_case")]
enum Step {
    /// This many percent of the file have arrived.
    Received(u64),
    /// A state is being made from it.
    Making,
    /// The new state counts, and the log begins anew about then.
    Counts,
}

pub(super) async fn begin(
    cluster: &mut Cluster,
    node: usize,
    random: &mut StdRng,
) -> Result<Lagging, String> {
    let has = cluster::metric(net::http(node), "raft_applied_index").await;
    let has = has.ok_or_else(|| format!("node {node} does not report its applied index"))?;
    cluster.node(node).kill();
    cluster.node(node).away = true;
    let before = Seen::of(&cluster.node(node).data);
    let others: Vec<usize> = cluster.ids().into_iter().filter(|id| *id != node).collect();
    let mut busy = JoinSet::new();
    let mut tasks = JoinSet::new();
    for other in others {
        busy.spawn(fill_log(other));
        tasks.spawn(cut_past(other, has));
    }
    let mut cut = Vec::new();
    while let Some(there) = tasks.join_next().await {
        cut.push(there.map_err(|error| error.to_string())??);
    }
    drop(busy);
    let all = [
        Step::Received(random.random_range(0..20)),
        Step::Received(random.random_range(20..80)),
        Step::Received(random.random_range(80..100)),
        Step::Making,
        Step::Counts,
    ];
    let steps = (0..random.random_range(1..=3)).map(|_| all[random.random_range(0..all.len())]);
    let value = json!({"node": node, "had_applied": has, "others_cut": cut});
    Ok(Lagging { node, value, before, steps: steps.collect(), killed: Vec::new() })
}

impl Lagging {
    /// Lets the node return, and kills it at the chosen steps. Other faults may still be on.
    pub(super) async fn come_back(&mut self, cluster: &mut Cluster) -> Result<(), String> {
        cluster.node(self.node).away = false;
        for step in self.steps.clone() {
            let data = cluster.node(self.node).data.clone();
            let size = newest_snapshot(cluster, self.node);
            let before = Seen::of(&data);
            cluster.start(self.node)?;
            let reached = tokio::task::spawn_blocking(move || {
                let until = Instant::now() + BEGIN_MAX;
                while Instant::now() < until {
                    if before.is_reached(step, &data, size) {
                        return true;
                    }
                    std::thread::sleep(LOOK_EVERY);
                }
                false
            });
            if !reached.await.map_err(|error| error.to_string())? {
                break;
            }
            cluster.node(self.node).kill();
            self.killed.push(step);
            let data = &cluster.node(self.node).data;
            if self.before.is_reached(Step::Counts, data, 0) {
                break;
            }
        }
        cluster.start(self.node)
    }

    /// Whether it has installed a snapshot, after all faults have ended.
    pub(super) async fn proof(self, cluster: &mut Cluster) -> Value {
        let until = Instant::now() + INSTALL_MAX;
        loop {
            if self.before.is_reached(Step::Counts, &cluster.node(self.node).data, 0) {
                return json!({"installed": true, "killed_at": self.killed});
            }
            if Instant::now() >= until {
                return Value::Null;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// What the files of a node show.
#[derive(Debug)]
struct Seen {
    states: Vec<PathBuf>,
    /// The file that says which state counts.
    current: Option<Vec<u8>>,
}

impl Seen {
    fn of(data: &Path) -> Self {
        Self { states: states(data), current: std::fs::read(data.join("current")).ok() }
    }

    /// Whether an installation has reached a step since these files were seen. `size` is about the
    /// size of the snapshot file, in bytes.
    fn is_reached(&self, step: Step, data: &Path, size: u64) -> bool {
        let counts = || std::fs::read(data.join("current")).ok() != self.current;
        let making = || states(data).iter().any(|state| !self.states.contains(state));
        match step {
            Step::Received(percent) => {
                let received = files(&data.join("snapshots"))
                    .filter(|path| path.extension().is_some_and(|end| end == "new"))
                    .filter_map(|path| std::fs::metadata(path).ok())
                    .any(|file| file.len() >= size * percent / 100);
                received || making() || counts()
            }
            Step::Making => making() || counts(),
            Step::Counts => counts(),
        }
    }
}

fn files(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path())
}

/// The states made from snapshots, finished or not.
fn states(data: &Path) -> Vec<PathBuf> {
    let named = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("state-"))
    };
    files(data).filter(named).collect()
}

/// Size of the largest snapshot of another node, in bytes.
fn newest_snapshot(cluster: &Cluster, node: usize) -> u64 {
    let others = cluster.nodes.iter().filter(|other| other.id != node);
    let snapshots = others.flat_map(|other| files(&other.data.join("snapshots")));
    snapshots
        .filter_map(|path| std::fs::metadata(path).ok())
        .map(|file| file.len())
        .max()
        .unwrap_or(0)
}

/// Makes entries that no history mentions, since the newest thousand stay in the log for nodes that
/// lag slightly.
async fn fill_log(node: usize) {
    for number in 0_u64.. {
        let path = "/api/v1/products/1";
        let body = json!({"name": format!("Product 1 ({})", number % 2)});
        http::ask(net::http(node), Method::PATCH, path, None, Some(&body), ANSWER_MAX).await;
        // Pause between requests to a node that refuses at once.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Makes a node take snapshots until it has truncated its log past an index; returns how far.
async fn cut_past(node: usize, index: u64) -> Result<u64, String> {
    let until = Instant::now() + CUT_MAX;
    loop {
        snapshot(node).await;
        // A node never truncates its log past the older of two snapshots.
        let cut = cluster::metric(net::http(node), "compacted_index").await;
        match cut.filter(|cut| *cut > index) {
            Some(cut) => return Ok(cut),
            None if Instant::now() >= until => {
                return Err(format!("node {node} did not truncate its log past {index}"));
            }
            None => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}

/// Asks a node to take a snapshot, again while it is busy with another one.
async fn snapshot(node: usize) {
    let path = "/api/v1/cluster/snapshot";
    let body = json!({});
    http::ask(net::http(node), Method::POST, path, None, Some(&body), ANSWER_MAX).await;
}
