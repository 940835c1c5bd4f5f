//! How many files a node may open, and how many of them connections of clients may use.
//!
//! A connection is an open file to the system. Without a reserve, idle clients use them up, and
//! then the log and the store cannot open theirs.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::exit::CliError;
use crate::settings::Limits;

/// Open files that connections of clients never use: log, store, snapshots, peers and backups.
const RESERVED: u64 = 512;

/// The fewest open files that a node runs with.
const FILES_MIN: u64 = 256;

/// How to allow more, for errors and log lines.
const HOW: &str = "raise the hard limit: `ulimit -n`, or LimitNOFILE= of the systemd unit";

/// Raises the soft limit of open files to the hard one, and returns `limits` with as many
/// connections as that leaves room for in each of the `nodes` of this process.
///
/// # Errors
/// The hard limit is below [`FILES_MIN`] for each node.
pub(crate) fn fit(limits: &Limits, nodes: usize) -> Result<Limits, CliError> {
    let files_max = raise();
    let share = files_max / nodes.max(1) as u64;
    if share < FILES_MIN {
        return Err(CliError::Failed(format!(
            "this process may open {files_max} files, and each of its {nodes} nodes needs at \
             least {FILES_MIN}: {HOW}"
        )));
    }
    let mut limits = limits.clone();
    let room = connections(share);
    if room < u64::from(limits.connections_max) {
        tracing::warn!(
            files_max,
            wanted = limits.connections_max,
            connections_max = room,
            hint = HOW,
            "the limit of open files allows fewer connections than --connections-max"
        );
        limits.connections_max = u32::try_from(room).unwrap_or(u32::MAX);
    }
    Ok(limits)
}

/// How many connections a node may have that may open `share` files, at least [`FILES_MIN`].
fn connections(share: u64) -> u64 {
    // A node with few files keeps most of them for its data.
    share - RESERVED.min(share / 4 * 3)
}

/// Raises the soft limit as far as it goes, and returns it.
fn raise() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    // `None` means that there is no limit.
    if limit.current != limit.maximum {
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!(%error, "the soft limit of open files stays as it is");
        }
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_of_a_node_keeps_files_whatever_the_limit() {
        for (share, expected) in [
            (FILES_MIN, 64),
            (600, 150),
            (1_024, 512),
            (10_512, 10_000),
            (u64::MAX, u64::MAX - RESERVED),
        ] {
            assert_eq!(connections(share), expected, "{share}");
        }
    }
}
