//! Where checkpoints live: sled on disk, and a twin in memory that can crash on purpose.
//!
//! Both are a [`CheckpointStore`] and pass the same contract tests. A store knows bytes only; what
//! they mean is decided in [`crate::checkpoint`].

pub mod memory;
pub mod sled;

use std::path::PathBuf;

use crate::codec;

/// A stored row: its key and its value.
pub type Row = (Vec<u8>, Vec<u8>);

/// What to do with a key: put the value under it, or remove what is there.
pub type Write = (Vec<u8>, Option<Vec<u8>>);

/// Where checkpoints are kept: an ordered map from bytes to bytes that survives the process.
///
/// Every error is final: the caller stops the node rather than trying again on the same store.
pub trait CheckpointStore: Send + Sync {
    /// The value under a key.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error>;

    /// Visits all rows whose key starts with the prefix, by ascending key, until the visitor fails.
    ///
    /// # Errors
    /// When the store cannot be read, or the visitor's own.
    #[allow(clippy::type_complexity, reason = "a visitor is best read where it is passed")]
    fn scan(
        &self,
        prefix: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Result<(), Error>,
    ) -> Result<(), Error>;

    /// Writes rows that nothing refers to yet. After a crash any part of them may be there.
    ///
    /// # Errors
    /// When the store cannot be written.
    fn stage(&self, rows: Vec<Row>) -> Result<(), Error>;

    /// Removes rows that nothing refers to any more. After a crash any of them may be there again.
    ///
    /// # Errors
    /// When the store cannot be written.
    fn discard(&self, keys: Vec<Vec<u8>>) -> Result<(), Error>;

    /// Writes and removes rows, all or none, after everything staged before.
    ///
    /// # Errors
    /// When the store cannot be written.
    fn publish(&self, writes: Vec<Write>) -> Result<(), Error>;

    /// Sends what was written before on its way to the disk, so that the next sync has less to wait
    /// for. Promises nothing.
    ///
    /// # Errors
    /// When the store cannot be written.
    fn write_out(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Returns once everything written before is on stable storage.
    ///
    /// # Errors
    /// When that cannot be promised; it must not be tried again.
    fn sync(&self) -> Result<(), Error>;
}

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
