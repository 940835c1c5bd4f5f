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
/// The lowest raft port.
const PORT_FIRST: u16 = 10_000;
/// At least this many raft ports are tried, also where the system gives all of them to connections.
const PORTS_MIN: u16 = 1_000;
/// The first port that Linux gives to connections unless it is told otherwise.
const EPHEMERAL_FIRST: u16 = 32_768;
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
            _ => Layout {
                raft: raft_addresses(http_port, nodes.unwrap_or(NODES), std::process::id())?,
            },
        };
        Ok(Plan { dir, layout, existing, fresh })
    }

    /// The raft address of each node, in the order of their ids.
    pub(super) fn raft(&self) -> &[SocketAddr] {
        &self.layout.raft
    }

    /// Checks that no other process listens on the raft addresses.
    ///
    /// # Errors
    /// One is in use. The cluster keeps its addresses, so the user must free it or run another
    /// cluster; the error must never suggest to remove data.
    pub(super) fn check_raft_ports(&self) -> Result<(), CliError> {
        for address in &self.layout.raft {
            TcpListener::bind(address).map_err(|error| {
                let what = format!(
                    "cannot listen on {address}, which the nodes in {} use among each other",
                    self.dir.display()
                );
                if error.kind() != io::ErrorKind::AddrInUse {
                    return CliError::because(what, &error);
                }
                CliError::Failed(format!(
                    "{what}: another process uses the port. Stop that process (`ss -ltnp` names \
                     it), or start another cluster with --data OTHER. The data is untouched"
                ))
            })?;
        }
        Ok(())
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

/// Free raft addresses on loopback, from 10,000 above the HTTP port on, or from a port that depends
/// on `seed` if the system chooses the HTTP ports. The nodes keep them for good, so they are not in
/// the range from which the system gives ports to connections and to port 0.
fn raft_addresses(http: u16, nodes: usize, seed: u32) -> Result<Vec<SocketAddr>, CliError> {
    let last = ephemeral_first().max(PORT_FIRST + PORTS_MIN) - 1;
    let ports = PORT_FIRST..=last;
    let wanted = match http {
        0 => u16::try_from(seed % u32::from(last - PORT_FIRST)).ok().map(|at| PORT_FIRST + at),
        http => http.checked_add(PORT_OFFSET).filter(|port| ports.contains(port)),
    };
    let wanted = wanted.unwrap_or(PORT_FIRST);
    let own = usize::from(http)..usize::from(http) + nodes;
    let free = |port: &u16| {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, *port));
        !own.contains(&usize::from(*port)) && TcpListener::bind(address).is_ok()
    };
    let found = (wanted..=last).chain(PORT_FIRST..wanted).filter(free).take(nodes);
    let found: Vec<_> = found.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port))).collect();
    if found.len() == nodes {
        return Ok(found);
    }
    Err(CliError::Failed(format!(
        "cannot find {nodes} free ports from {PORT_FIRST} to {last} for the nodes: stop other \
         processes that listen there"
    )))
}

/// The first port that the system gives to connections.
fn ephemeral_first() -> u16 {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let first = range.split_whitespace().next().and_then(|first| first.parse().ok());
    first.unwrap_or(EPHEMERAL_FIRST)
}

#[cfg(test)]
#[path = "home_tests.rs"]
mod tests;
