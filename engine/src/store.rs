//! Where checkpoints are stored: in sled on disk, or in memory with crashes on purpose.
//!
//! Both are a [`CheckpointStore`] and pass the same contract tests. A store knows only bytes;
//! [`crate::checkpoint`] knows what they mean.

pub mod memory;
pub mod sled;

use std::path::PathBuf;

use crate::codec;

/// A stored row: its key and its value.
pub type Row = (Vec<u8>, Vec<u8>);

/// What to do with a key: set its value, or remove it.
pub type Write = (Vec<u8>, Option<Vec<u8>>);

/// A store of checkpoints: an ordered map from bytes to bytes that survives the process.
///
/// Every error is final: the caller stops the node and never retries on the same store.
pub trait CheckpointStore: Send + Sync {
    /// The value under a key.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error>;

    /// Visits all rows whose key starts with the prefix, by ascending key, until the visitor fails.
    ///
    /// # Errors
    /// When the store cannot be read, or the visitor fails.
    #[allow(clippy::type_complexity, reason = "a visitor is best read where it is passed")]
    fn scan(
        &self,
        prefix: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Result<(), Error>,
    ) -> Result<(), Error>;

    /// Writes rows that nothing refers to yet. After a crash any part of them may exist.
    ///
    /// # Errors
    /// When the store cannot be written.
    fn stage(&self, rows: Vec<Row>) -> Result<(), Error>;

    /// Removes rows that nothing refers to any more. After a crash any of them may exist again.
    ///
    /// # Errors
    /// When the store cannot be written.
    fn discard(&self, keys: Vec<Vec<u8>>) -> Result<(), Error>;

    /// Writes and removes rows, all or none, after everything that was staged before.
    ///
    /// # Errors
    /// When the store cannot be written.
    fn publish(&self, writes: Vec<Write>) -> Result<(), Error>;

    /// Starts writing earlier data to disk, so that the next sync has less to wait for. Promises
    /// nothing.
    ///
    /// # Errors
    /// When the store cannot be written.
    fn write_out(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Returns once everything written before is on stable storage.
    ///
    /// # Errors
    /// When that cannot be promised; the caller must not retry.
    fn sync(&self) -> Result<(), Error>;
}

/// Why an operation of a store failed. Each of these is final for the node.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The library or the operating system failed.
    #[error("could not {action} {}", path.display())]
    Failed {
        /// The action, to be read before the path.
        action: &'static str,
        /// The directory or file.
        path: PathBuf,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A row is damaged.
    #[error("the row {key} is damaged")]
    Damaged {
        /// The row's key, readable.
        key: String,
        /// What is wrong with its bytes.
        source: codec::Error,
    },
    /// The visitor stopped a scan.
    #[error("the scan was stopped")]
    Stopped,
    /// A test asked the store in memory to fail here.
    #[error("failed on purpose")]
    OnPurpose,
}
