//! Nodes: real `holdfast serve` processes, each in its own network namespace with its own data.
//!
//! It owns starting, killing, pausing and asking them how they are. It knows nothing of faults or
//! workloads. A process that is dropped is killed.

mod shim;

use std::fs::{File, OpenOptions};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use hyper::Method;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

pub use shim::{Dial, Page};

use crate::http::{self, Answered};
use crate::net::{self, Net};

/// How long a question to a node about itself may take.
const STATUS_MAX: Duration = Duration::from_secs(2);

/// What a cluster is made of.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The server's binary.
    pub binary: PathBuf,
    /// Where logs, data and the rest of the run go.
    pub folder: PathBuf,
    /// How many nodes.
    pub nodes: usize,
    /// Further flags of `holdfast serve`.
    pub flags: Vec<String>,
    /// Environment of the nodes.
    pub environment: Vec<(String, String)>,
    /// Bytes of a memory file system for each node's data; without it data is in the folder.
    pub disk_bytes: Option<u64>,
}

/// One node.
#[derive(Debug)]
pub struct Node {
    /// Its number, from 1.
    pub id: usize,
    /// Where its data is.
    pub data: PathBuf,
    /// What is done to its clock and disk.
    pub page: Page,
    log: PathBuf,
    child: Option<Child>,
    /// How often it was started.
    pub starts: usize,
}

/// All nodes of a run.
#[derive(Debug)]
pub struct Cluster {
    /// What it is made of.
    pub settings: Settings,
    /// Their network.
    pub net: Net,
    /// The nodes, by number from 1.
    pub nodes: Vec<Node>,
    library: PathBuf,
}

impl Cluster {
    /// Prepares the nodes; none is started.
    ///
    /// # Errors
    /// When files, mounts or the preloaded library cannot be made.
    pub fn create(settings: Settings, net: Net) -> Result<Self, String> {
        let folder = &settings.folder;
        let library = shim::compile(folder)?;
        let mut nodes = Vec::new();
        for id in 1..=settings.nodes {
            let data = folder.join(format!("data-{id}"));
            std::fs::create_dir_all(&data).map_err(|error| error.to_string())?;
            if let Some(bytes) = settings.disk_bytes {
                let (size, path) = (format!("size={bytes}"), data.display().to_string());
                net::run("mount", &["-t", "tmpfs", "-o", &size, "jepsen", &path])?;
            }
            let page = Page::create(folder.join(format!("page-{id}")));
            let page = page.map_err(|error| error.to_string())?;
            let log = folder.join(format!("node-{id}.log"));
            nodes.push(Node { id, data: data.join("holdfast"), page, log, child: None, starts: 0 });
        }
        Ok(Self { settings, net, nodes, library })
    }

    /// The node with this number.
    ///
    /// # Panics
    /// When there is none.
    pub fn node(&mut self, id: usize) -> &mut Node {
        &mut self.nodes[id - 1]
    }

    /// The numbers of all nodes.
    #[must_use]
    pub fn ids(&self) -> Vec<usize> {
        (1..=self.nodes.len()).collect()
    }

    /// Starts a node that does not run.
    ///
    /// # Errors
    /// When the process cannot be started.
    pub fn start(&mut self, id: usize) -> Result<(), String> {
        let name = self.net.node(id);
        let peers = (1..=self.nodes.len()).flat_map(|peer| {
            let (ip, raft, http) = (net::ip(peer), net::RAFT_PORT, net::HTTP_PORT);
            ["--peer".to_owned(), format!("{peer}={ip}:{raft},{ip}:{http}")]
        });
        let peers: Vec<String> = peers.collect();
        let settings = &self.settings;
        let node = &mut self.nodes[id - 1];
        if node.is_running() {
            return Ok(());
        }
        let failed = |error: std::io::Error| format!("node {id}: {error}");
        let log = OpenOptions::new().create(true).append(true).open(&node.log).map_err(failed)?;
        let ip = net::ip(id);
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &name, "env"])
            .arg(format!("LD_PRELOAD={}", self.library.display()))
            .arg(format!("HOLDFAST_JEPSEN_PAGE={}", node.page.path().display()))
            .arg(&settings.binary)
            .args(["serve", "--id", &id.to_string(), "--data"])
            .arg(&node.data)
            .args(["--http", &format!("{ip}:{}", net::HTTP_PORT)])
            .args(["--raft", &format!("{ip}:{}", net::RAFT_PORT)])
            .args(peers)
            .args(&settings.flags)
            .envs(settings.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::from(log.try_clone().map_err(failed)?))
            .stderr(Stdio::from(log));
        node.child = Some(command.spawn().map_err(failed)?);
        node.starts += 1;
        Ok(())
    }

    /// Starts all that do not run.
    ///
    /// # Errors
    /// When a process cannot be started.
    pub fn start_all(&mut self) -> Result<(), String> {
        self.ids().into_iter().try_for_each(|id| self.start(id))
    }

    /// Waits until every node says that it is ready.
    ///
    /// # Errors
    /// Which nodes were not in time, or have ended.
    pub async fn wait_ready(&mut self, limit: Duration) -> Result<(), String> {
        let until = Instant::now() + limit;
        loop {
            let mut missing = Vec::new();
            for id in self.ids() {
                if !is_ready(net::http(id)).await {
                    missing.push(id);
                }
            }
            if missing.is_empty() {
                return Ok(());
            }
            if Instant::now() >= until {
                let ended: Vec<usize> =
                    missing.iter().copied().filter(|id| !self.node(*id).is_running()).collect();
                return Err(format!("nodes {missing:?} are not ready; {ended:?} have ended"));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// The node that most recently says of itself that it leads.
    pub async fn leader(&self) -> Option<usize> {
        let mut found: Option<(u64, usize)> = None;
        for id in self.ids() {
            let Some(status) = status(net::http(id)).await else { continue };
            let term = status["term"].as_u64().unwrap_or(0);
            if status["leader_id"].as_u64() == Some(id as u64) {
                found = found.max(Some((term, id)));
            }
        }
        found.map(|(_, id)| id)
    }
}

impl Node {
    /// Whether its process is there, paused or not.
    pub fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Sends it a signal; nothing happens when it does not run.
    pub fn signal(&mut self, signal: Signal) {
        if !self.is_running() {
            return;
        }
        let pid = self.pid().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            let _ = kill_process(pid, signal);
        }
    }

    /// Kills it on the spot and waits for its end.
    pub fn kill(&mut self) -> Option<ExitStatus> {
        self.signal(Signal::KILL);
        self.child.take().and_then(|mut child| child.wait().ok())
    }

    /// Asks it to stop and waits for its end, at most 20 s; then it is killed.
    pub async fn stop(&mut self) -> Option<ExitStatus> {
        self.signal(Signal::TERM);
        let until = Instant::now() + Duration::from_secs(20);
        while self.is_running() && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.kill()
    }

    /// The state of its process as the system shows it: `T` when it is stopped.
    #[must_use]
    pub fn process_state(&self) -> Option<char> {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.pid()?)).ok()?;
        text.rsplit(')').next()?.trim().chars().next()
    }

    /// The last lines of its log.
    #[must_use]
    pub fn last_words(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(3).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Whether a node says that it is ready.
pub async fn is_ready(to: SocketAddr) -> bool {
    let answer = http::ask(to, Method::GET, "/readyz", None, None, STATUS_MAX).await;
    matches!(answer, Answered::Yes { status: 200, .. })
}

/// What a node says of the cluster, from its own view.
pub async fn status(to: SocketAddr) -> Option<Value> {
    match http::ask(to, Method::GET, "/api/v1/cluster", None, None, STATUS_MAX).await {
        Answered::Yes { status: 200, mut body } => Some(body["data"].take()),
        _ => None,
    }
}

/// Copies a folder with all that is in it.
///
/// # Errors
/// When something cannot be read or written.
pub fn copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            std::io::copy(&mut File::open(entry.path())?, &mut File::create(target)?)?;
        }
    }
    Ok(())
}
