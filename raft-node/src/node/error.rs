//! Why a node does not start.

use std::net::SocketAddr;

use crate::invalid::Invalid;
use crate::{directory, log, snapshot};

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting is wrong.
    #[error(transparent)]
    Config(#[from] Invalid),
    /// The data directory cannot be used.
    #[error(transparent)]
    Directory(#[from] directory::Error),
    /// The raft log cannot be used.
    #[error(transparent)]
    Log(#[from] log::Error),
    /// The snapshots cannot be used.
    #[error(transparent)]
    Snapshot(#[from] snapshot::Error),
    /// The checkpoint is lost or damaged, and nothing is left to make it again from.
    #[error("checkpoint at {path}: {reason}")]
    State {
        /// Where it lives.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// The checkpoint or the snapshots cannot be read or written.
    #[error("checkpoint at {path}: {reason}")]
    Checkpoint {
        /// Where it lives.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// The raft port cannot be opened.
    #[error("cannot listen for peers on {addr}: {source}")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
}

impl StartError {
    /// Returns whether the data differs from what this node wrote. Then the node has forgotten what
    /// it voted and acknowledged, or has no state, and cannot go on under its id. Excludes errors
    /// that may be gone at the next startup, such as a full disk, and errors that leave open whose
    /// data it is.
    pub fn is_damage(&self) -> bool {
        match self {
            StartError::Directory(error) => error.is_damage(),
            StartError::Log(error) => error.is_damage(),
            StartError::Snapshot(error) => error.is_damage(),
            StartError::State { .. } => true,
            StartError::Config(_)
            | StartError::Checkpoint { .. }
            | StartError::Listen { .. }
            | StartError::Thread(_) => false,
        }
    }
}
