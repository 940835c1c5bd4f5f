//! A cluster of real processes that ends with the test.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use rand::rngs::StdRng;
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::caller::{Call, Caller};
use crate::disks::{Disk, Mounts};
use crate::node::{self, Node};
use crate::seed::{Seed, VARIABLE};
use crate::slot::Slot;
use crate::{binary, ports, shims, wait};

/// How long a process may take to end after SIGTERM.
const STOP: Duration = Duration::from_secs(20);

/// What nodes and callers agree on unless a test brings a secret of its own.
pub const WEBHOOK_SECRET: &str = "whsec-of-the-tests-0123456789";

/// How to start a cluster.
#[derive(Debug, Clone)]
pub struct Options {
    test: String,
    nodes: u64,
    flags: Vec<String>,
    alone: bool,
    disk: Option<Disk>,
    failing_disk: bool,
    sync_delay: Option<Duration>,
    read_delay: Option<Duration>,
    files_max: Option<(u64, u64)>,
    existing: Option<(String, PathBuf)>,
    rebuild_wait_s: u64,
    pays: bool,
}

impl Options {
    /// Three nodes for the test of this name, with default settings but for payments: the gateway
    /// is simulated, and the caller signs webhooks with a secret that the nodes know.
    #[must_use]
    pub fn new(test: &str) -> Self {
        Self {
            test: test.to_owned(),
            nodes: 3,
            flags: Vec::new(),
            alone: false,
            disk: None,
            failing_disk: false,
            sync_delay: None,
            read_delay: None,
            files_max: None,
            existing: None,
            rebuild_wait_s: 0,
            pays: true,
        }
    }

    /// Without any setting about payments: no gateway, no webhook secret.
    #[must_use]
    pub fn without_payments(mut self) -> Self {
        self.pays = false;
        self
    }

    /// Lets nodes rebuild damaged data from the others, and wait this many seconds for them.
    /// By default they do not rebuild, so that a test never hides damage that it did not cause.
    #[must_use]
    pub fn rebuilding(mut self, wait_s: u64) -> Self {
        self.rebuild_wait_s = wait_s;
        self
    }

    /// With this many nodes.
    #[must_use]
    pub fn nodes(mut self, nodes: u64) -> Self {
        self.nodes = nodes;
        self
    }

    /// Adds a flag with a value to the `serve` command of every node.
    #[must_use]
    pub fn flag(mut self, name: &str, value: &str) -> Self {
        self.flags.extend([name.to_owned(), value.to_owned()]);
        self
    }

    /// Adds a flag without a value.
    #[must_use]
    pub fn switch(mut self, name: &str) -> Self {
        self.flags.push(name.to_owned());
        self
    }

    /// With no other cluster running meanwhile, for tests that measure time.
    #[must_use]
    pub fn alone(mut self) -> Self {
        self.alone = true;
        self
    }

    /// With a small disk of its own for every node; only within [`crate::disks::isolated`].
    #[must_use]
    pub fn disk(mut self, disk: Disk) -> Self {
        self.disk = Some(disk);
        self
    }

    /// With nodes whose syncs and checkpoints a test can make fail or hang, see [`crate::shims`].
    #[must_use]
    pub fn failing_disk(mut self) -> Self {
        self.failing_disk = true;
        self
    }

    /// Makes every sync of every node take this much longer.
    #[must_use]
    pub fn sync_delay(mut self, delay: Duration) -> Self {
        self.sync_delay = Some(delay);
        self
    }

    /// Makes reading a kibibyte of a snapshot file take this much longer on every node.
    #[must_use]
    pub fn snapshot_read_delay(mut self, delay: Duration) -> Self {
        self.read_delay = Some(delay);
        self
    }

    /// Starts every node under this soft and this hard limit of open files.
    #[must_use]
    pub fn files_max(mut self, soft: u64, hard: u64) -> Self {
        self.files_max = Some((soft, hard));
        self
    }

    /// Uses an existing data directory for node 1, written by a cluster of this name.
    #[must_use]
    pub fn existing(mut self, cluster: &str, data: &Path) -> Self {
        self.existing = Some((cluster.to_owned(), data.to_owned()));
        self
    }

    /// Starts the cluster and waits until every node is ready.
    ///
    /// # Panics
    /// When it does not become ready in time.
    pub async fn start(self) -> Cluster {
        let scratch = binary::scratch();
        let slot = Slot::take(&scratch, self.alone).await;
        let seed = Seed::new();
        let prefix = format!("{}-", self.test);
        let dir = tempfile::Builder::new().prefix(&prefix).tempdir_in(&scratch);
        let dir = dir.expect("a directory for the test can be made");
        let count = usize::try_from(self.nodes).expect("a cluster is small");
        let addresses = ports::free(2 * count);
        let mut nodes: Vec<Node> = (1..=self.nodes)
            .zip(addresses.chunks(2))
            .map(|(id, pair)| Node::new(id, pair[0], pair[1], dir.path()))
            .collect();
        if self.failing_disk || self.sync_delay.or(self.read_delay).is_some() {
            let shim = shims::disk(dir.path());
            for node in &mut nodes {
                node.shim = Some(shim.clone());
                (node.sync_delay, node.read_delay) = (self.sync_delay, self.read_delay);
            }
        }
        for node in &mut nodes {
            node.files_max = self.files_max;
        }
        let peers = nodes.iter().map(|node| format!("{}={},{}", node.id, node.raft, node.http));
        let peers = peers.collect();
        // The name decides how simulated payments end, so it follows from the seed.
        let mut name = format!("e2e-{}", seed.number());
        if let Some((cluster, data)) = self.existing {
            name = cluster;
            fs::rename(data, &nodes[0].data).expect("data can be moved to its node");
        }
        let wait = self.rebuild_wait_s.to_string();
        let mut flags = vec!["--cluster".to_owned(), name, "--rebuild-wait-s".to_owned(), wait];
        flags.extend(self.flags);
        let mut caller = Caller::new(nodes.iter().map(|node| node.http).collect());
        let has = |flags: &[String], name: &str| flags.iter().any(|flag| flag.starts_with(name));
        if self.pays && !has(&flags, "--payment-gateway") {
            flags.extend(["--payment-gateway".to_owned(), "simulated".to_owned()]);
        }
        if self.pays && !has(&flags, "--webhook-secret") {
            flags.extend(["--webhook-secret".to_owned(), WEBHOOK_SECRET.to_owned()]);
            caller = caller.signing(WEBHOOK_SECRET);
        }
        let mut mounts = Mounts::default();
        for (node, disk) in nodes.iter().zip(self.disk.iter().cycle()) {
            mounts.mount(*disk, &node.data);
        }
        let mut cluster = Cluster {
            test: self.test,
            nodes,
            peers,
            flags,
            caller,
            seed,
            _mounts: mounts,
            dir: Some(dir),
            _slot: slot,
        };
        cluster.restart_all();
        cluster.wait_ready().await;
        cluster
    }
}

/// Running nodes on loopback. Dropping it kills them; in a failing test it first prints how to
/// repeat the test and the end of every node's log, and keeps the files.
#[derive(Debug)]
pub struct Cluster {
    test: String,
    nodes: Vec<Node>,
    peers: Vec<String>,
    flags: Vec<String>,
    caller: Caller,
    seed: Seed,
    /// Dropped after the nodes that use them and before the directory that they are in.
    _mounts: Mounts,
    dir: Option<TempDir>,
    _slot: Slot,
}

impl Cluster {
    /// Three nodes with default settings, ready, for the test of this name.
    pub async fn start(test: &str) -> Self {
        Options::new(test).start().await
    }

    /// The caller that sends requests to the nodes.
    #[must_use]
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The seed of this test.
    #[must_use]
    pub fn seed(&self) -> Seed {
        self.seed
    }

    /// A stream of random choices, see [`Seed::stream`].
    #[must_use]
    pub fn random(&self, stream: u64) -> StdRng {
        self.seed.stream(stream)
    }

    /// The directory of this cluster's files. Tests may keep files of their own there.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.as_ref().expect("the directory lives as long as the cluster").path()
    }

    /// The flags that every node was started with, the cluster's name among them.
    #[must_use]
    pub fn flags(&self) -> &[String] {
        &self.flags
    }

    /// Changes a flag for all later starts of a node.
    ///
    /// # Panics
    /// When the nodes were not started with the flag.
    pub fn set_flag(&mut self, name: &str, value: &str) {
        let at = self.flags.iter().position(|flag| flag == name);
        let at = at.unwrap_or_else(|| panic!("{name} was not given"));
        value.clone_into(&mut self.flags[at + 1]);
    }

    /// Gives one node flags of its own for all later starts, instead of those it had.
    pub fn set_own_flags(&mut self, id: u64, flags: &[String]) {
        self.node_mut(id).own_flags = flags.to_vec();
    }

    /// The `--peer` values that made the cluster.
    #[must_use]
    pub fn peers(&self) -> &[String] {
        &self.peers
    }

    /// Gives later starts other `--peer` values.
    pub fn set_peers(&mut self, peers: Vec<String>) {
        self.peers = peers;
    }

    /// Lets a stopped node listen for its peers at another address from its next start on. Later
    /// starts of all nodes list it there.
    ///
    /// # Panics
    /// When the node runs.
    pub fn move_raft(&mut self, id: u64) {
        let node = self.node_mut(id);
        assert!(!node.is_running(), "node {id} runs");
        node.raft = ports::free(1)[0];
        let listed = format!("{id}={},{}", node.raft, node.http);
        let own = format!("{id}=");
        let listed_before = self.peers.iter_mut().filter(|peer| peer.starts_with(&own));
        listed_before.for_each(|peer| peer.clone_from(&listed));
    }

    /// Forgets the `--peer` values: later starts must find the members in their data.
    pub fn forget_peers(&mut self) {
        self.peers.clear();
    }

    /// The nodes that run and are not paused.
    #[must_use]
    pub fn active(&self) -> Vec<u64> {
        self.nodes.iter().filter(|node| node.is_active()).map(|node| node.id).collect()
    }

    /// A node's data directory.
    #[must_use]
    pub fn data_dir(&self, id: u64) -> &Path {
        &self.node(id).data
    }

    /// The whole log of a node, over all its restarts.
    #[must_use]
    pub fn log_text(&self, id: u64) -> String {
        self.node(id).log_text()
    }

    /// Ends a node with SIGKILL. When this returns, its process is gone.
    pub fn kill(&mut self, id: u64) {
        self.node_mut(id).kill();
    }

    /// Ends the current leader with SIGKILL and returns its id.
    pub async fn kill_leader(&mut self) -> u64 {
        let leader = self.leader().await;
        self.kill(leader);
        leader
    }

    /// Ends every node with SIGKILL. The signals go out before the first process is waited for,
    /// as close together as one process can send them.
    pub fn kill_all(&mut self) {
        for node in self.nodes.iter_mut().filter(|node| node.is_running()) {
            node.signal(Signal::KILL);
        }
        for node in &mut self.nodes {
            node.kill();
        }
    }

    /// Starts a node that is down, on its own data. Does not wait until it is ready.
    pub fn restart(&mut self, id: u64) {
        let (peers, flags) = (self.peers.clone(), self.flags.clone());
        self.node_mut(id).start(&peers, &flags);
    }

    /// Starts a new node that joins by asking the node `via`, in the place of `replaces` if one is
    /// named, and returns its id, the next one. Does not wait until it is ready.
    pub fn join(&mut self, via: u64, replaces: Option<u64>) -> u64 {
        let id = self.nodes.iter().map(|node| node.id).max().expect("a cluster has nodes") + 1;
        let addresses = ports::free(2);
        let mut node = Node::new(id, addresses[0], addresses[1], self.dir());
        let mut join = vec!["--join".to_owned(), self.node(via).http.to_string()];
        if let Some(replaced) = replaces {
            join.extend(["--replaces".to_owned(), replaced.to_string()]);
        }
        node.join = Some(join);
        node.start(&self.peers, &self.flags);
        self.nodes.push(node);
        self.caller = Caller::new(self.nodes.iter().map(|node| node.http).collect());
        id
    }

    /// Starts a node that is down and lost its data as a new member, which asks the node `via` to
    /// join. Does not wait until it is ready.
    pub fn join_anew(&mut self, id: u64, via: u64) {
        let join = vec!["--join".to_owned(), self.node(via).http.to_string()];
        self.node_mut(id).join = Some(join);
        self.restart(id);
    }

    /// The address on which a node listens for its peers.
    #[must_use]
    pub fn raft_address(&self, id: u64) -> SocketAddr {
        self.node(id).raft
    }

    /// Starts every node that is down. Does not wait until they are ready.
    pub fn restart_all(&mut self) {
        for node in self.nodes.iter_mut().filter(|node| !node.is_running()) {
            node.start(&self.peers, &self.flags);
        }
    }

    /// Pauses a node with SIGSTOP: it keeps its connections and answers nothing.
    pub fn pause(&mut self, id: u64) {
        self.node_mut(id).signal(Signal::STOP);
    }

    /// Resumes a paused node.
    pub fn resume(&mut self, id: u64) {
        self.node_mut(id).signal(Signal::CONT);
    }

    /// Asks a node to stop with SIGTERM.
    pub fn terminate(&mut self, id: u64) {
        self.node_mut(id).signal(Signal::TERM);
    }

    /// Asks a node to stop with SIGTERM and returns how it ended.
    ///
    /// # Panics
    /// When it does not end in time.
    pub async fn stop(&mut self, id: u64) -> ExitStatus {
        self.terminate(id);
        self.ended(id, STOP).await
    }

    /// Waits until a node's process ends by itself and returns how.
    ///
    /// # Panics
    /// When it does not end within `limit`.
    pub async fn ended(&mut self, id: u64, limit: Duration) -> ExitStatus {
        let node = self.node_mut(id);
        wait::until("the process ended", limit, async || {
            node.ended().ok_or_else(|| "still running".to_owned())
        })
        .await
    }

    /// As [`Cluster::ended`], for a node whose storage a test made to fail. The log library panics
    /// on purpose then, so later checks ignore the panics up to this point.
    ///
    /// # Panics
    /// When the node does not end within `limit`.
    pub async fn ended_by_fault(&mut self, id: u64, limit: Duration) -> ExitStatus {
        let status = self.ended(id, limit).await;
        self.node_mut(id).forgive_panics();
        status
    }

    /// Makes later checks ignore the panics of a node up to this point: sled panics over files that
    /// a test damaged. The node catches that panic; in a release build it ends the process.
    pub fn forgive_panics(&mut self, id: u64) {
        self.node_mut(id).forgive_panics();
    }

    /// Deletes the data of a node that is down.
    ///
    /// # Panics
    /// When the node runs or its data cannot be removed.
    pub fn wipe(&mut self, id: u64) {
        let node = self.node_mut(id);
        assert!(!node.is_running(), "node {id} runs");
        fs::remove_dir_all(&node.data).expect("the data of a stopped node can be removed");
    }

    /// Runs `holdfast serve` with a node's id and addresses on any data directory, expecting it
    /// to refuse; returns its exit status and what it said.
    ///
    /// # Panics
    /// When it still runs after the limit.
    pub async fn refused(&self, id: u64, data: &Path, flags: &[String]) -> (ExitStatus, String) {
        let log = self.dir().join("refused.log");
        let output = node::log_file(&log);
        let errors = output.try_clone().expect("a log file can be shared");
        let spare = ports::free(2);
        let mut command = node::serve(id, data, spare[0], spare[1], &self.peers, flags);
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        let mut child = command.spawn().expect("the binary under test can be started");
        let ended = tokio::time::timeout(STOP, async {
            wait::until("the process refused to run", STOP * 2, async || {
                let status = child.try_wait().expect("an own child can be waited for");
                status.ok_or_else(|| "still running".to_owned())
            })
            .await
        })
        .await;
        let said = fs::read_to_string(&log).unwrap_or_default();
        if ended.is_err() {
            child.kill().expect("an own child can be killed");
            child.wait().expect("an own child can be waited for");
        }
        (ended.unwrap_or_else(|_| panic!("it runs on data it must refuse: {said}")), said)
    }

    /// A node's own view of the cluster.
    pub async fn view(&self, id: u64) -> Value {
        self.caller.get(id, "/api/v1/cluster").await.expect(200).data()
    }

    /// Waits until every active node says that it is ready.
    ///
    /// # Panics
    /// When a node does not become ready in time, or ends.
    pub async fn wait_ready(&mut self) {
        for id in self.active() {
            self.wait_node_ready(id).await;
        }
    }

    /// Waits until one node says that it is ready.
    ///
    /// # Panics
    /// When it does not become ready in time, or ends.
    pub async fn wait_node_ready(&mut self, id: u64) {
        if let Some(status) = self.ready_or_ended(id).await {
            panic!("node {id} ended instead of becoming ready: {status}");
        }
    }

    /// Waits until one node says that it is ready, or ends: then it returns how.
    ///
    /// # Panics
    /// When neither happens in time.
    pub async fn ready_or_ended(&mut self, id: u64) -> Option<ExitStatus> {
        let caller = self.caller.clone();
        let node = self.node_mut(id);
        wait::until(&format!("node {id} was ready"), wait::READY, async || {
            if let Some(status) = node.ended() {
                return Ok(Some(status));
            }
            match caller.send(id, &Call::get("/readyz")).await {
                Ok(answer) if answer.status == 200 => Ok(None),
                Ok(answer) => Err(format!("{} {}", answer.status, answer.text())),
                Err(error) => Err(error.to_string()),
            }
        })
        .await
    }

    /// Waits until all active nodes agree on an active leader, and returns it: the number under
    /// which the test knows the node, whatever its id is as a member.
    ///
    /// # Panics
    /// When they do not agree in time.
    pub async fn leader(&self) -> u64 {
        let active = self.active();
        wait::until("the nodes agreed on a leader", wait::READY, async || {
            let (mut views, mut members) = (Vec::new(), Vec::new());
            for &id in &active {
                let answer = self.caller.send(id, &Call::get("/api/v1/cluster")).await;
                let data = answer.map_err(|error| error.to_string())?.expect(200).data();
                views.push((data["term"].as_u64(), data["leader_id"].as_u64()));
                members.push((data["node_id"].as_u64(), id));
            }
            let agreed = views.iter().all(|view| *view == views[0]);
            let leader = views.first().and_then(|view| view.1).filter(|_| agreed);
            let node = members.iter().find(|(member, _)| leader.is_some() && *member == leader);
            node.map(|(_, node)| *node)
                .ok_or_else(|| format!("(term, leader) by node: {views:?} of {members:?}"))
        })
        .await
    }

    /// An active node that is not the leader.
    ///
    /// # Panics
    /// When there is none.
    pub async fn follower(&self) -> u64 {
        let leader = self.leader().await;
        let mut others = self.active().into_iter().filter(|id| *id != leader);
        others.next().expect("a cluster of several nodes has a follower")
    }

    /// Waits until all active nodes have applied the same index and checks that their states are
    /// the same there, and at every earlier moment when they happened to be at one index.
    ///
    /// # Panics
    /// When two digests differ at one index, or the nodes do not meet in time.
    pub async fn agree(&self) {
        let active = self.active();
        wait::until("all nodes were at one index", wait::READY, async || {
            let mut views: Vec<(u64, String, u64)> = Vec::new();
            for &id in &active {
                let data = self.view(id).await;
                let index = data["applied_index"].as_u64().expect("an applied index");
                let digest = data["digest"].to_string();
                let other = views.iter().find(|view| view.0 == index);
                if let Some((_, seen, at)) = other {
                    assert_eq!(*seen, digest, "nodes {at} and {id} differ at index {index}");
                }
                views.push((index, digest, id));
            }
            if views.iter().all(|view| view.0 == views[0].0) {
                Ok(())
            } else {
                Err(format!("(index, digest, node): {views:?}"))
            }
        })
        .await;
    }

    /// How many threads a node's process has.
    ///
    /// # Panics
    /// When the node is down.
    #[must_use]
    pub fn threads(&self, id: u64) -> u64 {
        self.of_process(id, "Threads:")
    }

    /// How much memory a node's process has, in KiB.
    ///
    /// # Panics
    /// When the node is down.
    #[must_use]
    pub fn memory_kib(&self, id: u64) -> u64 {
        self.of_process(id, "VmRSS:")
    }

    /// The process id of a node.
    ///
    /// # Panics
    /// When the node is down.
    #[must_use]
    pub fn pid(&self, id: u64) -> u32 {
        self.node(id).pid().unwrap_or_else(|| panic!("node {id} is down"))
    }

    fn of_process(&self, id: u64, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid(id)));
        let status = status.expect("the state of an own child can be read");
        let count = status.lines().find_map(|line| line.strip_prefix(name));
        let count = count.and_then(|text| text.split_whitespace().next()?.parse().ok());
        count.expect("a process has threads and memory")
    }

    fn node(&self, id: u64) -> &Node {
        let node = self.nodes.iter().find(|node| node.id == id);
        node.unwrap_or_else(|| panic!("the cluster has no node {id}"))
    }

    fn node_mut(&mut self, id: u64) -> &mut Node {
        let node = self.nodes.iter_mut().find(|node| node.id == id);
        node.unwrap_or_else(|| panic!("the cluster has no node {id}"))
    }

    /// Prints what helps to find the cause of a failure, and keeps the files.
    fn report(&mut self) {
        for node in &mut self.nodes {
            let state = match (node.is_running(), node.ended()) {
                (true, None) => "running".to_owned(),
                (true, Some(status)) => format!("ended by itself: {status}"),
                (false, _) => "down".to_owned(),
            };
            eprintln!("--- node {} at {} ({state}), end of its log:", node.id, node.http);
            eprintln!("{}", node.log_tail());
        }
        if let Some(dir) = self.dir.take() {
            eprintln!("--- data and logs are kept in {}", dir.keep().display());
        }
        let seed = self.seed.number();
        eprintln!("--- to repeat: {VARIABLE}={seed} cargo test -p tests -- {}", self.test);
    }

    /// Faults that no test asked for: a process that ended by itself, a panic in a log.
    fn faults(&mut self) -> Vec<String> {
        let mut faults = Vec::new();
        for node in &mut self.nodes {
            if let Some(status) = node.ended() {
                faults.push(format!("node {} ended by itself: {status}", node.id));
            }
            let text = node.log_text();
            let text = &text[node.forgiven_until().min(text.len())..];
            if let Some(line) = text.lines().find(|line| line.contains("panicked at")) {
                faults.push(format!("node {} panicked: {line}", node.id));
            }
        }
        faults
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.report();
            return;
        }
        let faults = self.faults();
        if !faults.is_empty() {
            self.report();
            panic!("{}", faults.join("; "));
        }
    }
}

/// A directory and the right to run a cluster in it, for tests of commands other than `serve`.
#[derive(Debug)]
pub struct Scratch {
    dir: TempDir,
    _slot: Slot,
}

impl Scratch {
    /// Waits for the right to run a cluster and makes a directory that ends with the test.
    ///
    /// # Panics
    /// When the directory cannot be made.
    pub async fn take(test: &str) -> Self {
        let scratch = binary::scratch();
        let slot = Slot::take(&scratch, false).await;
        let dir = tempfile::Builder::new().prefix(&format!("{test}-")).tempdir_in(&scratch);
        Self { dir: dir.expect("a directory for the test can be made"), _slot: slot }
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The first of `count` free ports in a row, as `holdfast dev --http` wants them.
    ///
    /// # Panics
    /// When there are none.
    #[must_use]
    pub fn dev_ports(&self, count: u16) -> SocketAddr {
        ports::for_dev(count)
    }
}

/// The folder of the workspace, for tests that read its sources.
#[must_use]
pub fn workspace() -> PathBuf {
    binary::workspace().to_owned()
}

/// The binary under test, for commands other than `serve`; its environment holds none of the
/// binary's settings.
#[must_use]
pub fn holdfast() -> Command {
    node::holdfast()
}
