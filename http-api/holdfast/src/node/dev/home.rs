//! The data directory of a `dev` cluster: its number of nodes, their raft ports, and its removal.
//!
//! A marker file says that `dev` made the directory. Without it `dev` touches nothing in a
//! directory, and with it removes only what it created.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::exit::CliError;

/// The marker file: says that the directory belongs to `dev`, and holds what must survive restarts.
const MARKER: &str = "holdfast-dev.toml";
/// Default number of nodes.
const NODES: usize = 3;
/// Difference between the HTTP port and the raft port of a node.
const PORT_OFFSET: u16 = 10_000;
/// Largest marker file, in bytes.
const MARKER_BYTES_MAX: u64 = 64 * 1024;

/// The content of the marker file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Layout {
    /// The raft address of each node, in the order of their ids.
    raft: Vec<SocketAddr>,
}

/// A checked directory that has not been changed yet.
#[derive(Debug)]
pub(super) struct Plan {
    dir: PathBuf,
    layout: Layout,
    existing: Option<Home>,
    fresh: bool,
}

/// An open data directory, locked until it is dropped.
#[derive(Debug)]
pub(super) struct Home {
    dir: PathBuf,
    layout: Layout,
    // Holds the lock while it is open.
    _marker: File,
}

impl Plan {
    /// Checks the directory and plans its use. `nodes` is the number given by flag, `http_port` the
    /// port of the first node; `fresh` removes what an earlier cluster left.
    pub(super) fn new(
        dir: PathBuf,
        nodes: Option<usize>,
        http_port: u16,
        fresh: bool,
    ) -> Result<Plan, CliError> {
        let existing = Home::open(&dir)?;
        let layout = match &existing {
            Some(home) if !fresh => {
                let found = home.layout.raft.len();
                if let Some(wanted) = nodes.filter(|wanted| *wanted != found) {
                    return Err(CliError::Usage(format!(
                        "{} holds a cluster of {found} nodes, not {wanted}: give --nodes {found}, or \
                         --fresh to remove its data",
                        dir.display()
                    )));
                }
                home.layout.clone()
            }
            _ => Layout { raft: raft_addresses(http_port, nodes.unwrap_or(NODES))? },
        };
        Ok(Plan { dir, layout, existing, fresh })
    }

    /// The raft address of each node, in the order of their ids.
    pub(super) fn raft(&self) -> &[SocketAddr] {
        &self.layout.raft
    }

    /// Creates the directory, or opens it. With `fresh` it removes the old data first.
    pub(super) fn carry_out(self) -> Result<Home, CliError> {
        match self.existing {
            Some(home) if !self.fresh => Ok(home),
            Some(home) => {
                home.clear()?;
                // Keep the old lock until the new marker exists.
                Home::create(&self.dir, self.layout)
            }
            None => Home::create(&self.dir, self.layout),
        }
    }
}

impl Home {
    /// The raft address of each node, in the order of their ids.
    pub(super) fn raft(&self) -> &[SocketAddr] {
        &self.layout.raft
    }

    /// The data directory of node `id`.
    pub(super) fn node_dir(&self, id: u64) -> PathBuf {
        self.dir.join(format!("node-{id}"))
    }

    /// Opens a directory that `dev` created. Returns none if it is missing or empty.
    fn open(dir: &Path) -> Result<Option<Home>, CliError> {
        let failed = |error: &io::Error| CliError::because(dir.display(), error);
        let path = dir.join(MARKER);
        let mut marker = match File::open(&path) {
            Ok(marker) => marker,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return match fs::read_dir(dir).map(|entries| entries.count()) {
                    Ok(0) => Ok(None),
                    Ok(_) => Err(foreign(dir)),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                    Err(error) => Err(failed(&error)),
                };
            }
            Err(error) => return Err(failed(&error)),
        };
        lock(&marker, dir)?;
        let mut text = String::new();
        let read = (&mut marker).take(MARKER_BYTES_MAX).read_to_string(&mut text);
        read.map_err(|error| failed(&error))?;
        let layout: Layout = toml::from_str(&text)
            .map_err(|error| CliError::because(format!("{} is damaged", path.display()), &error))?;
        if layout.raft.is_empty() {
            return Err(CliError::Failed(format!(
                "{} is damaged: it lists no nodes",
                path.display()
            )));
        }
        Ok(Some(Home { dir: dir.to_owned(), layout, _marker: marker }))
    }

    /// Creates the directory with its marker, accessible to this user only.
    fn create(dir: &Path, layout: Layout) -> Result<Home, CliError> {
        let failed = |error: io::Error| CliError::because(dir.display(), &error);
        if let Some(parent) = dir.parent() {
            fs::create_dir_all(parent).map_err(failed)?;
        }
        match DirBuilder::new().mode(0o700).create(dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(failed(error));
            }
            _ => {}
        }
        let mut marker = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(dir.join(MARKER))
            .map_err(failed)?;
        lock(&marker, dir)?;
        let mut text = toml::to_string(&layout)
            .map_err(|error| CliError::because("cannot encode the marker file", &error))?;
        text.push('\n');
        let about =
            "# A cluster of `holdfast dev`. The nodes find each other under these addresses.\n";
        marker.write_all(about.as_bytes()).map_err(failed)?;
        marker.write_all(text.as_bytes()).map_err(failed)?;
        marker.sync_all().map_err(failed)?;
        Ok(Home { dir: dir.to_owned(), layout, _marker: marker })
    }

    /// Removes the data of the nodes and the marker. Refuses if the directory holds anything else.
    fn clear(&self) -> Result<(), CliError> {
        let failed = |error: io::Error| CliError::because(self.dir.display(), &error);
        let mut ours = Vec::new();
        for entry in fs::read_dir(&self.dir).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            if name == MARKER {
                continue;
            }
            let number = name.to_str().and_then(|name| name.strip_prefix("node-"));
            let is_number = number.is_some_and(|number| number.parse::<u64>().is_ok());
            // A link may point anywhere, so `dev` did not create it.
            if !is_number || !entry.file_type().map_err(failed)?.is_dir() {
                return Err(CliError::Usage(format!(
                    "`holdfast dev` did not create {}: remove it yourself, then try --fresh again",
                    entry.path().display()
                )));
            }
            ours.push(entry.path());
        }
        for path in ours {
            fs::remove_dir_all(&path).map_err(|error| CliError::because(path.display(), &error))?;
        }
        // Remove the marker last, so that an interrupted removal can be repeated.
        fs::remove_file(self.dir.join(MARKER)).map_err(failed)
    }
}

fn foreign(dir: &Path) -> CliError {
    CliError::Usage(format!(
        "{} is not empty, and `holdfast dev` did not create it: name another directory with --data",
        dir.display()
    ))
}

fn lock(marker: &File, dir: &Path) -> Result<(), CliError> {
    marker.try_lock().map_err(|error| match error {
        fs::TryLockError::WouldBlock => CliError::Failed(format!(
            "another `holdfast dev` uses {}: stop it, or name another directory with --data",
            dir.display()
        )),
        fs::TryLockError::Error(error) => CliError::because(dir.display(), &error),
    })
}

/// The raft addresses, on loopback: 10,000 above the HTTP ports, or below if that is too high. Free
/// ports if the system chooses the HTTP ports.
fn raft_addresses(http: u16, nodes: usize) -> Result<Vec<SocketAddr>, CliError> {
    let address = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    if http == 0 {
        // Hold all of them until the last one is bound, so that they differ.
        let held: Result<Vec<_>, _> = (0..nodes).map(|_| TcpListener::bind(address(0))).collect();
        let found = held.and_then(|held| held.iter().map(TcpListener::local_addr).collect());
        return found
            .map_err(|error| CliError::because("cannot find free ports for the nodes", &error));
    }
    let first = http.checked_add(PORT_OFFSET).filter(|port| *port < u16::MAX - 100);
    let first = first.unwrap_or_else(|| http.saturating_sub(PORT_OFFSET));
    let ports = (first..).take(nodes);
    Ok(ports.map(address).collect())
}

#[cfg(test)]
#[path = "home_tests.rs"]
mod tests;
