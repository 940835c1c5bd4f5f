//! One `holdfast serve` process: its command line, its signals and its log.

use std::fs::{self, File, OpenOptions};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::{binary, shims};

/// Lines of a node's log that a failing test prints.
const TAIL_LINES: usize = 40;

/// The addresses and data of a node and, while it runs, its process.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) id: u64,
    pub(crate) http: SocketAddr,
    pub(crate) raft: SocketAddr,
    pub(crate) data: PathBuf,
    pub(crate) log: PathBuf,
    /// The flags with which it joined a running cluster; a founder has none.
    pub(crate) join: Option<Vec<String>>,
    process: Option<Child>,
    paused: bool,
    /// Flags that the other nodes do not have.
    pub(crate) own_flags: Vec<String>,
    /// A library that is loaded before libc.
    pub(crate) shim: Option<PathBuf>,
    /// The time that this library adds to every sync.
    pub(crate) sync_delay: Option<Duration>,
    /// The time that it adds to reading a kibibyte of a snapshot.
    pub(crate) read_delay: Option<Duration>,
    /// The soft and the hard limit of open files that the process starts with.
    pub(crate) files_max: Option<(u64, u64)>,
    forgiven: usize,
}

impl Node {
    pub(crate) fn new(id: u64, http: SocketAddr, raft: SocketAddr, dir: &Path) -> Self {
        let data = dir.join(format!("node-{id}"));
        let log = dir.join(format!("node-{id}.log"));
        Self {
            id,
            http,
            raft,
            data,
            log,
            join: None,
            own_flags: Vec::new(),
            process: None,
            paused: false,
            shim: None,
            sync_delay: None,
            read_delay: None,
            files_max: None,
            forgiven: 0,
        }
    }

    /// Starts the process. A restarted process appends to the same log file.
    pub(crate) fn start(&mut self, peers: &[String], flags: &[String]) {
        assert!(self.process.is_none(), "node {} runs already", self.id);
        let peers = if self.join.is_some() { &[] } else { peers };
        let mut command = serve(self.id, &self.data, self.http, self.raft, peers, flags);
        command.args(self.join.iter().flatten()).args(&self.own_flags);
        if let Some(limits) = self.files_max {
            command = with_files_max(&command, limits);
        }
        if let Some(shim) = &self.shim {
            let trigger = shims::failing_sync_trigger(&self.data);
            command.env("LD_PRELOAD", shim).env(shims::FAIL_SYNC_WHEN, trigger);
            let trigger = shims::hanging_sync_trigger(&self.data);
            command.env(shims::HANG_SYNC_WHEN, trigger);
            let trigger = shims::failing_checkpoint_trigger(&self.data);
            command.env(shims::FAIL_CHECKPOINT_WHEN, trigger);
            let trigger = shims::hanging_checkpoint_trigger(&self.data);
            command.env(shims::HANG_CHECKPOINT_WHEN, trigger);
            let delay_us = self.sync_delay.unwrap_or_default().as_micros();
            command.env(shims::DELAY_SYNC_US, delay_us.to_string());
            let delay_us = self.read_delay.unwrap_or_default().as_micros();
            command.env(shims::DELAY_READ_US, delay_us.to_string());
        }
        let log = OpenOptions::new().create(true).append(true).open(&self.log);
        let log = log.unwrap_or_else(|error| panic!("{}: {error}", self.log.display()));
        let errors = log.try_clone().expect("a log file can be shared");
        let child = command.stdin(Stdio::null()).stdout(log).stderr(errors).spawn();
        self.process = Some(child.expect("the binary under test can be started"));
        self.paused = false;
    }

    /// Whether a process was started that was neither killed nor seen to end.
    pub(crate) fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// Whether the process runs and is not stopped by a signal.
    pub(crate) fn is_active(&self) -> bool {
        self.process.is_some() && !self.paused
    }

    /// The process id, while it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    /// SIGKILL, and waits until the process is gone.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.process.take() {
            child.kill().expect("an own child can be killed");
            child.wait().expect("an own child can be waited for");
        }
        self.paused = false;
    }

    /// Sends a signal to the process.
    pub(crate) fn signal(&mut self, signal: Signal) {
        let child = self.process.as_ref().unwrap_or_else(|| panic!("node {} is down", self.id));
        kill_process(Pid::from_child(child), signal).expect("an own child can be signalled");
        match signal {
            Signal::STOP => self.paused = true,
            Signal::CONT => self.paused = false,
            _ => {}
        }
    }

    /// The exit status, if the process ended; from then on the node counts as down.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        let child = self.process.as_mut()?;
        let status = child.try_wait().expect("an own child can be waited for")?;
        self.process = None;
        Some(status)
    }

    /// The whole log of the node.
    pub(crate) fn log_text(&self) -> String {
        let bytes = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Ignores the panics in the log up to here: the test caused them on purpose.
    pub(crate) fn forgive_panics(&mut self) {
        self.forgiven = self.log_text().len();
    }

    /// The length of the log up to which panics are ignored.
    pub(crate) fn forgiven_until(&self) -> usize {
        self.forgiven
    }

    /// The end of the log, for a failing test.
    pub(crate) fn log_tail(&self) -> String {
        let text = self.log_text();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Best effort: this runs while a failing test unwinds, when a second panic would abort.
        if let Some(mut child) = self.process.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The command line of one node, without the settings in the environment of the test.
pub(crate) fn serve(
    id: u64,
    data: &Path,
    http: SocketAddr,
    raft: SocketAddr,
    peers: &[String],
    flags: &[String],
) -> Command {
    let mut command = holdfast();
    command.arg("serve").args(["--id", &id.to_string()]).arg("--data").arg(data);
    command.args(["--http", &http.to_string(), "--raft", &raft.to_string()]);
    for peer in peers {
        command.args(["--peer", peer]);
    }
    command.args(flags);
    command
}

/// The same command under limits of open files. A shell sets them and then becomes the command, so
/// that the process id stays.
fn with_files_max(command: &Command, (soft, hard): (u64, u64)) -> Command {
    let mut limited = Command::new("sh");
    let script = format!("ulimit -Sn {soft} && ulimit -Hn {hard} && exec \"$@\"");
    limited.args(["-c", &script, "sh"]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    limited
}

/// The binary under test with a clean environment.
pub(crate) fn holdfast() -> Command {
    let mut command = Command::new(binary::path());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("HOLDFAST_") {
            command.env_remove(name);
        }
    }
    command.env("RUST_BACKTRACE", "1");
    command
}

/// Opens a log file for a process that is not a node of a cluster.
pub(crate) fn log_file(path: &Path) -> File {
    File::create(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
