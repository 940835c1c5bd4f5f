//! Nodes: real `holdfast serve` processes, each in its own network namespace with its own data.
//!
//! This module starts, kills, pauses and queries them, and knows their member ids. It knows nothing
//! about faults or workloads. Dropping a process kills it.
//!
//! A node is a place: an address, a disk, a process. Replacing a node changes the member that lives
//! there, since member ids are never reused. There is one place more than requested, for a node
//! that joins for a while; clients do not know it.

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

use crate::disks::{self, Disk};
use crate::http::{self, Answered};
use crate::net::{self, Net};

/// The time limit for a question to a node about itself.
const STATUS_MAX: Duration = Duration::from_secs(2);

/// The settings of a cluster.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The server's binary.
    pub binary: PathBuf,
    /// The binary of an older build, with which the nodes begin. Without it, they begin with
    /// `binary`.
    pub old_binary: Option<PathBuf>,
    /// Directory for logs, data and the rest of the run.
    pub folder: PathBuf,
    /// How many nodes.
    pub nodes: usize,
    /// Further flags of `holdfast serve`.
    pub flags: Vec<String>,
    /// Environment of the nodes.
    pub environment: Vec<(String, String)>,
    /// A disk for each node's data; without it the data is in the folder.
    pub disk: Option<Disk>,
}

/// One node.
#[derive(Debug)]
pub struct Node {
    /// Its number, from 1.
    pub id: usize,
    /// The member that lives here, if any.
    pub member: Option<u64>,
    /// Must not be started for now, because its data is gone.
    pub away: bool,
    /// The id on its command line. It stays when the node is rebuilt as another member.
    named: u64,
    /// Whether it may rebuild damaged data from the others. Only where a fault damages it:
    /// elsewhere damage is a bug that must not be hidden.
    pub rebuilds: bool,
    /// Whether it runs the older build.
    pub is_old: bool,
    /// How many files it may open; as many as this process without it.
    pub files_max: Option<u64>,
    /// The port of its raft address.
    pub raft_port: u16,
    /// Where its data is.
    pub data: PathBuf,
    /// Controls its clock and its syncs.
    pub page: Page,
    log: PathBuf,
    /// How the member that lives here joined, unless it is a founder.
    join: Option<Vec<String>>,
    child: Option<Child>,
    /// How often it was started.
    pub starts: usize,
}

/// All nodes of a run.
#[derive(Debug)]
pub struct Cluster {
    /// Its settings.
    pub settings: Settings,
    /// Their network.
    pub net: Net,
    /// The nodes, by number from 1. At first no member lives at the last one.
    pub nodes: Vec<Node>,
    library: PathBuf,
    /// Flags that let nodes listen for everybody on the networks of the namespaces, by build: old
    /// builds without them always do.
    insecure: [Vec<String>; 2],
    /// The highest id that a member ever had.
    last_member: u64,
}

impl Cluster {
    /// Prepares the nodes without starting any.
    ///
    /// # Errors
    /// When files, mounts or the preloaded library cannot be made.
    pub fn create(settings: Settings, net: Net) -> Result<Self, String> {
        let folder = &settings.folder;
        let library = shim::compile(folder)?;
        if settings.disk.is_some() {
            // Nodes get copies of all mounts, and unmounting here must unmount there too.
            net::run("mount", &["--make-rshared", "/"])?;
        }
        let mut nodes = Vec::new();
        for id in 1..=settings.nodes + 1 {
            let place = folder.join(format!("data-{id}"));
            std::fs::create_dir_all(&place).map_err(|error| error.to_string())?;
            if let Some(disk) = settings.disk {
                disks::mount(disk, &place)?;
            }
            let page = Page::create(folder.join(format!("page-{id}")));
            nodes.push(Node {
                id,
                member: (id <= settings.nodes).then_some(id as u64),
                away: false,
                named: id as u64,
                rebuilds: false,
                is_old: settings.old_binary.is_some(),
                files_max: None,
                raft_port: net::RAFT_PORT,
                data: place.join("holdfast"),
                page: page.map_err(|error| error.to_string())?,
                log: folder.join(format!("node-{id}.log")),
                join: None,
                child: None,
                starts: 0,
            });
        }
        let last_member = settings.nodes as u64;
        let new = insecure_flags(&settings.binary)?;
        let old = settings.old_binary.as_deref().map_or(Ok(Vec::new()), insecure_flags)?;
        Ok(Self { settings, net, nodes, library, insecure: [new, old], last_member })
    }

    /// The node with this number.
    ///
    /// # Panics
    /// When there is none.
    pub fn node(&mut self, id: usize) -> &mut Node {
        &mut self.nodes[id - 1]
    }

    /// The numbers of all nodes with a member.
    #[must_use]
    pub fn ids(&self) -> Vec<usize> {
        self.nodes.iter().filter(|node| node.member.is_some()).map(|node| node.id).collect()
    }

    /// The number of the node without a member.
    ///
    /// # Panics
    /// When every node has one.
    #[must_use]
    pub fn spare(&self) -> usize {
        let spare = self.nodes.iter().find(|node| node.member.is_none());
        spare.expect("a node that joins for a while has left again").id
    }

    /// Empties a node and starts it as a new member that asks the others to add it, in place of
    /// `replaces` if given. Returns its id.
    ///
    /// # Errors
    /// When the data cannot be removed or the process cannot be started.
    pub fn join(&mut self, id: usize, replaces: Option<u64>) -> Result<u64, String> {
        let others: Vec<String> = self
            .ids()
            .iter()
            .filter(|other| **other != id)
            .map(|other| net::http(*other).to_string())
            .collect();
        self.wipe(id)?;
        self.last_member += 1;
        let member = self.last_member;
        let mut join = vec!["--join".to_owned(), others.join(",")];
        if let Some(replaced) = replaces {
            join.extend(["--replaces".to_owned(), replaced.to_string()]);
        }
        let node = self.node(id);
        (node.member, node.away, node.join) = (Some(member), false, Some(join));
        node.named = member;
        self.start(id)?;
        Ok(member)
    }

    /// Kills a node and removes its data; it cannot start until it joins as a new member.
    ///
    /// # Errors
    /// When the data cannot be removed.
    pub fn wipe(&mut self, id: usize) -> Result<(), String> {
        let node = self.node(id);
        node.kill();
        node.away = true;
        match std::fs::remove_dir_all(&node.data) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(format!("{}: {error}", node.data.display()))
            }
            _ => Ok(()),
        }
    }

    /// Starts a node that does not run. Does nothing for one without a member or one that is away.
    ///
    /// # Errors
    /// When the process cannot be started.
    pub fn start(&mut self, id: usize) -> Result<(), String> {
        let name = self.net.node(id);
        let peers = (1..=self.settings.nodes).flat_map(|peer| {
            let (ip, raft, http) = (net::ip(peer), self.nodes[peer - 1].raft_port, net::HTTP_PORT);
            ["--peer".to_owned(), format!("{peer}={ip}:{raft},{ip}:{http}")]
        });
        let peers: Vec<String> = peers.collect();
        let settings = &self.settings;
        let insecure = &self.insecure[usize::from(self.nodes[id - 1].is_old)];
        let node = &mut self.nodes[id - 1];
        if node.member.is_none() || node.away || node.is_running() {
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
            .args(
                node.files_max
                    .iter()
                    .flat_map(|files| ["prlimit".to_owned(), format!("--nofile={files}:{files}")]),
            )
            .arg(settings.old_binary.as_ref().filter(|_| node.is_old).unwrap_or(&settings.binary))
            .args(["serve", "--id", &node.named.to_string(), "--data"])
            .arg(&node.data)
            .args(["--http", &format!("{ip}:{}", net::HTTP_PORT)])
            .args(["--raft", &format!("{ip}:{}", node.raft_port)])
            .args(node.join.as_ref().unwrap_or(&peers))
            .args(insecure)
            .args(["--rebuild-wait-s", if node.rebuilds { "30" } else { "0" }])
            .args(&settings.flags)
            .envs(settings.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::from(log.try_clone().map_err(failed)?))
            .stderr(Stdio::from(log));
        node.child = Some(command.spawn().map_err(failed)?);
        node.starts += 1;
        Ok(())
    }

    /// Asks a node for its member id, and returns it if it changed: its data was rebuilt.
    pub async fn learn_member(&mut self, id: usize) -> Option<u64> {
        let told = status(net::http(id)).await?["node_id"].as_u64()?;
        self.last_member = self.last_member.max(told);
        let known = self.node(id).member.replace(told);
        (known != Some(told)).then_some(told)
    }

    /// Starts all nodes that do not run.
    ///
    /// # Errors
    /// When a process cannot be started.
    pub fn start_all(&mut self) -> Result<(), String> {
        self.ids().into_iter().try_for_each(|id| self.start(id))
    }

    /// Waits until every node is ready.
    ///
    /// # Errors
    /// Which nodes were late, or have ended.
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

    /// The node that most recently claimed to lead.
    pub async fn leader(&self) -> Option<usize> {
        let mut found: Option<(u64, usize)> = None;
        for id in self.ids() {
            let Some(status) = status(net::http(id)).await else { continue };
            let term = status["term"].as_u64().unwrap_or(0);
            let member = self.nodes[id - 1].member;
            if member.is_some() && status["leader_id"].as_u64() == member {
                found = found.max(Some((term, id)));
            }
        }
        found.map(|(_, id)| id)
    }
}

impl Node {
    /// Whether its process exists, paused or not.
    pub fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Lets it use another raft address from its next start on.
    pub fn move_raft(&mut self) {
        // Two ports by turns: each was closed for the whole of a move.
        self.raft_port = 2 * net::RAFT_PORT + 1 - self.raft_port;
    }

    /// Sends it a signal; does nothing when it does not run.
    pub fn signal(&mut self, signal: Signal) {
        if !self.is_running() {
            return;
        }
        let pid = self.pid().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            let _ = kill_process(pid, signal);
        }
    }

    /// Kills it and waits for its end.
    pub fn kill(&mut self) -> Option<ExitStatus> {
        self.signal(Signal::KILL);
        self.child.take().and_then(|mut child| child.wait().ok())
    }

    /// Asks it to stop and waits for its end, at most 20 s; then kills it.
    pub async fn stop(&mut self) -> Option<ExitStatus> {
        self.signal(Signal::TERM);
        let until = Instant::now() + Duration::from_secs(20);
        while self.is_running() && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.kill()
    }

    /// The state of its process in the system: `T` when it is stopped.
    #[must_use]
    pub fn process_state(&self) -> Option<char> {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.pid()?)).ok()?;
        text.rsplit(')').next()?.trim().chars().next()
    }

    /// The last line of its log with an error.
    #[must_use]
    pub fn last_error(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let is_error = |line: &&str| line.contains("\"ERROR\"") || line.contains("panicked at");
        let at = text.lines().rev().position(|line| is_error(&line));
        // The line after a panic has its message.
        let about = at.map(|at| text.lines().rev().skip(at.saturating_sub(1)).take(2));
        let mut words: Vec<&str> = about.into_iter().flatten().collect();
        words.reverse();
        words.join(" ")
    }

    /// How long its log is, in bytes.
    #[must_use]
    pub fn log_length(&self) -> u64 {
        std::fs::metadata(&self.log).map_or(0, |found| found.len())
    }

    /// The messages in its log after `after` bytes that contain one of these words.
    #[must_use]
    pub fn said(&self, after: u64, words: &[&str]) -> Vec<String> {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let after = usize::try_from(after).unwrap_or(usize::MAX);
        let lines = text.get(after..).unwrap_or_default().lines();
        let message = |line: &str| {
            let line: Value = serde_json::from_str(line).ok()?;
            let message = line["message"].as_str()?.to_owned();
            words.iter().any(|word| message.contains(word)).then_some(message)
        };
        lines.filter_map(message).collect()
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

/// The flags with which nodes of this build listen for everybody. Nobody else is on the networks of
/// the namespaces.
fn insecure_flags(binary: &Path) -> Result<Vec<String>, String> {
    let help = net::run(&binary.display().to_string(), &["serve", "--help"])?;
    let flags = ["--insecure-peers", "--insecure-http"];
    Ok(flags.into_iter().filter(|flag| help.contains(flag)).map(str::to_owned).collect())
}

/// Whether a node says that it is ready.
pub async fn is_ready(to: SocketAddr) -> bool {
    let answer = http::ask(to, Method::GET, "/readyz", None, None, STATUS_MAX).await;
    matches!(answer, Answered::Yes { status: 200, .. })
}

/// A node's view of the cluster.
pub async fn status(to: SocketAddr) -> Option<Value> {
    match http::ask(to, Method::GET, "/api/v1/cluster", None, None, STATUS_MAX).await {
        Answered::Yes { status: 200, mut body } => Some(body["data"].take()),
        _ => None,
    }
}

/// The value of one of a node's metrics.
pub async fn metric(to: SocketAddr, name: &str) -> Option<u64> {
    let page = http::page(to, "/metrics", STATUS_MAX).await?;
    let value = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok();
    page.lines().find_map(value)
}

/// Copies a folder with all its contents.
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
