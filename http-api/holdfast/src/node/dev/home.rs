//! The data directory of a `dev` cluster: how many nodes it is for, on which ports they find each
//! other, and whether it may be removed.
//!
//! A marker file says that the directory is ours. Without it nothing in a directory is touched,
//! and with it only what `dev` itself has put there is removed.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::exit::Failure;

/// Says that the directory belongs to `dev`, and holds what must stay the same over restarts.
const MARKER: &str = "holdfast-dev.toml";
/// Nodes of a cluster when nothing else is said.
const NODES: usize = 3;
/// From an HTTP port to the raft port of the same node.
const PORT_OFFSET: u16 = 10_000;
/// The largest marker that is read, in bytes.
const MARKER_BYTES_MAX: u64 = 64 * 1024;

/// What the marker holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Layout {
    /// The raft address of each node, in the order of their ids.
    raft: Vec<SocketAddr>,
}

/// A directory that was looked at and may be used, but has not been changed yet.
#[derive(Debug)]
pub(super) struct Plan {
    dir: PathBuf,
    layout: Layout,
    existing: Option<Home>,
    fresh: bool,
}

/// An open data directory. No other process can open it until this is dropped.
#[derive(Debug)]
pub(super) struct Home {
    dir: PathBuf,
    layout: Layout,
    // The lock is held as long as the file is open.
    _marker: File,
}

impl Plan {
    /// Looks at the directory and decides what is to become of it: `fresh` removes what an earlier
    /// cluster left. `nodes` is how many were asked for, and `http_port` that of the first one.
    pub(super) fn new(
        dir: PathBuf,
        nodes: Option<usize>,
        http_port: u16,
        fresh: bool,
    ) -> Result<Plan, Failure> {
        let existing = Home::open(&dir)?;
        let layout = match &existing {
            Some(home) if !fresh => {
                let found = home.layout.raft.len();
                if let Some(asked) = nodes.filter(|asked| *asked != found) {
                    return Err(Failure::Usage(format!(
                        "{} holds a cluster of {found} nodes: ask for --nodes {found}, or for \
                         --fresh to begin anew with {asked}",
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

    /// Makes the directory, after removing old data when that was asked for.
    pub(super) fn carry_out(self) -> Result<Home, Failure> {
        match self.existing {
            Some(home) if !self.fresh => Ok(home),
            Some(home) => {
                home.clear()?;
                // The old lock is kept until the new marker is in place.
                Home::create(&self.dir, self.layout)
            }
            None => Home::create(&self.dir, self.layout),
        }
    }
}

impl Home {
    /// The raft address of each node.
    pub(super) fn raft(&self) -> &[SocketAddr] {
        &self.layout.raft
    }

    /// Where node `id` stores its data.
    pub(super) fn node_dir(&self, id: u64) -> PathBuf {
        self.dir.join(format!("node-{id}"))
    }

    /// Opens a directory that `dev` made; nothing when there is none, or an empty one.
    fn open(dir: &Path) -> Result<Option<Home>, Failure> {
        let failed = |error: &io::Error| Failure::because(dir.display(), error);
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
            .map_err(|error| Failure::because(format!("{} is damaged", path.display()), &error))?;
        if layout.raft.is_empty() {
            return Err(Failure::Failed(format!("{} is damaged: no nodes", path.display())));
        }
        Ok(Some(Home { dir: dir.to_owned(), layout, _marker: marker }))
    }

    /// Makes the directory, for this user only, and its marker.
    fn create(dir: &Path, layout: Layout) -> Result<Home, Failure> {
        let failed = |error: io::Error| Failure::because(dir.display(), &error);
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
            .map_err(|error| Failure::because("cannot write the marker", &error))?;
        text.push('\n');
        let about =
            "# A cluster of `holdfast dev`. The nodes find each other under these addresses.\n";
        marker.write_all(about.as_bytes()).map_err(failed)?;
        marker.write_all(text.as_bytes()).map_err(failed)?;
        marker.sync_all().map_err(failed)?;
        Ok(Home { dir: dir.to_owned(), layout, _marker: marker })
    }

    /// Removes the nodes' data and the marker; refuses when anything else is there.
    fn clear(&self) -> Result<(), Failure> {
        let failed = |error: io::Error| Failure::because(self.dir.display(), &error);
        let mut ours = Vec::new();
        for entry in fs::read_dir(&self.dir).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            if name == MARKER {
                continue;
            }
            let number = name.to_str().and_then(|name| name.strip_prefix("node-"));
            let is_number = number.is_some_and(|number| number.parse::<u64>().is_ok());
            // A link may lead anywhere, so it is none of ours either.
            if !is_number || !entry.file_type().map_err(failed)?.is_dir() {
                return Err(Failure::Usage(format!(
                    "{} is not from `holdfast dev`: remove it yourself, then try --fresh again",
                    entry.path().display()
                )));
            }
            ours.push(entry.path());
        }
        for path in ours {
            fs::remove_dir_all(&path).map_err(|error| Failure::because(path.display(), &error))?;
        }
        // The marker goes last, so that an interrupted removal can be repeated.
        fs::remove_file(self.dir.join(MARKER)).map_err(failed)
    }
}

fn foreign(dir: &Path) -> Failure {
    Failure::Usage(format!(
        "{} is not empty and not from `holdfast dev`: name another directory with --data",
        dir.display()
    ))
}

fn lock(marker: &File, dir: &Path) -> Result<(), Failure> {
    marker.try_lock().map_err(|error| match error {
        fs::TryLockError::WouldBlock => {
            Failure::Failed(format!("another `holdfast dev` is using {}", dir.display()))
        }
        fs::TryLockError::Error(error) => Failure::because(dir.display(), &error),
    })
}

/// Loopback ports for the nodes to find each other: 10,000 above their HTTP ports, or below where
/// that is too high; free ones when the HTTP ports are left to the system.
fn raft_addresses(http: u16, nodes: usize) -> Result<Vec<SocketAddr>, Failure> {
    let address = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    if http == 0 {
        // All are held until the last one is chosen, so that they differ.
        let held: Result<Vec<_>, _> = (0..nodes).map(|_| TcpListener::bind(address(0))).collect();
        let found = held.and_then(|held| held.iter().map(TcpListener::local_addr).collect());
        return found.map_err(|error| Failure::because("no free port", &error));
    }
    let first = http.checked_add(PORT_OFFSET).filter(|port| *port < u16::MAX - 100);
    let first = first.unwrap_or_else(|| http.saturating_sub(PORT_OFFSET));
    let ports = (first..).take(nodes);
    Ok(ports.map(address).collect())
}

#[cfg(test)]
#[path = "home_tests.rs"]
mod tests;
