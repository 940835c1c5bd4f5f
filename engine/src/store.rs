//! Where checkpoints live: sled on disk, and a twin in memory that can crash on purpose.
//!
//! Both are a [`CheckpointStore`](crate::checkpoint::CheckpointStore) and pass the same contract
//! tests. A store knows bytes only; what they mean is decided in [`crate::checkpoint`].

pub mod memory;
pub mod sled;

use std::path::PathBuf;

use crate::codec;

/// Why a store could not do what it was asked. All of these are final for the node.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The library or the operating system refused.
    #[error("could not {action} {}", path.display())]
    Failed {
        /// What was tried, to be read before the path.
        action: &'static str,
        /// The directory or file.
        path: PathBuf,
        /// What they said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A row is not as it was written.
    #[error("the row {key} is damaged")]
    Damaged {
        /// The row, readable.
        key: String,
        /// What is wrong with its bytes.
        source: codec::Error,
    },
    /// A visitor ended a scan.
    #[error("the scan was stopped")]
    Stopped,
    /// A test asked the store in memory to fail here.
    #[error("failed on purpose")]
    OnPurpose,
}
