//! The result of making a new cluster: the cluster, or why there is none.

use std::io;
use std::path::{Path, PathBuf};

use engine::ids::NodeId;

use crate::node::error::StartError;
use crate::{directory, snapshot};

/// Why there is no new cluster. The old data is unchanged.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory to restore into is not empty.
    #[error("{path} is not empty: there is {found} in it. Restore into an empty directory")]
    NotEmpty {
        /// The directory.
        path: PathBuf,
        /// One of the files in it.
        found: String,
    },
    /// The backup's cluster has this name.
    #[error(
        "the backup is of a cluster named {0:?}: the new cluster needs another name, which is a \
         part of the keys that its payments are made under"
    )]
    SameName(String),
    /// The directory belongs to no node, or to one that has done nothing.
    #[error("{0} holds no node's data")]
    NoData(PathBuf),
    /// The directory cannot be used.
    #[error(transparent)]
    Directory(#[from] directory::Error),
    /// The backup cannot be used, or no snapshot can be written.
    #[error(transparent)]
    Snapshot(#[from] snapshot::Error),
    /// The node's data is not sound, so the node would not start either.
    #[error("the data is not sound: {0}")]
    Unsound(#[from] StartError),
    /// The state or the log cannot be made or read.
    #[error("{path}: {reason}")]
    State {
        /// Its path.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// An entry of the log cannot be applied.
    #[error(
        "{path}: the entry after index {index} cannot be applied: {reason}. To leave it and all after \
         it out, repeat this with --last-index {index}"
    )]
    NotApplied {
        /// The log.
        path: PathBuf,
        /// The last index that could be applied.
        index: u64,
        /// Why the next one could not.
        reason: String,
    },
    /// The log has no such end, or the checkpoint is beyond it.
    #[error(
        "--last-index {last} must be from {applied}, which the checkpoint holds, to {end}, the last \
         index of the log"
    )]
    LastIndex {
        /// The wanted index.
        last: u64,
        /// The index of the checkpoint.
        applied: u64,
        /// The last index of the log.
        end: u64,
    },
    /// Something cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The new cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    /// Its id, 32 hexadecimal digits.
    pub cluster_id: String,
    /// Its name.
    pub cluster_name: String,
    /// Its only node.
    pub node: NodeId,
    /// The index of its state.
    pub index: u64,
    /// The digest of the state at that index.
    pub digest: u64,
    /// Orders in it.
    pub orders: u64,
    /// Products in it.
    pub products: u64,
    /// Where the old data is, if there was any.
    pub aside: Option<PathBuf>,
}

/// Adds the path to an error.
pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { path, source }
}
