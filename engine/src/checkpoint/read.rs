//! Reading single rows of a checkpoint, and what can be wrong with them.

use bincode::Decode;

use crate::checkpoint::rows::{Meta, is_known, key};
use crate::codec::{self, ROW_VERSION};
use crate::invariants::Violation;
use crate::level::{Level, NEWEST};
use crate::store::{self, CheckpointStore};
use crate::tokens::Head;

/// Why a store contains no valid state. The caller sets the store aside; it never continues with a
/// part.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store cannot be read.
    #[error("the checkpoint cannot be read")]
    Store(#[from] store::Error),
    /// A row cannot be decoded.
    #[error("the row {key} is damaged")]
    Row {
        /// The row, readable.
        key: String,
        /// What is wrong with its bytes.
        source: codec::Error,
    },
    /// The format is one that this build does not know.
    #[error("unknown checkpoint format {0}")]
    UnknownFormat(u32),
    /// The cluster uses rules that this build does not know.
    #[error("the checkpoint is at level {0}, and this build knows levels up to {NEWEST}")]
    UnknownLevel(u32),
    /// A row is missing, superfluous or contradicts another one.
    #[error("the checkpoint contradicts itself: {0}")]
    Inconsistent(String),
    /// The rows are not those that were written.
    #[error("digest mismatch: stored {stored:016x}, computed {computed:016x}")]
    Digest {
        /// What the checkpoint contains.
        stored: u64,
        /// What its rows give.
        computed: u64,
    },
    /// The rows break an invariant.
    #[error("the checkpoint breaks an invariant")]
    Invariant(#[from] Violation),
}

impl Error {
    /// Whether the rows differ from what was written. A store that cannot be read may be readable
    /// later, and what a newer build wrote is good for that build.
    pub fn is_damage(&self) -> bool {
        !matches!(self, Error::Store(_) | Error::UnknownFormat(_) | Error::UnknownLevel(_))
    }

    /// Whether a newer build wrote the checkpoint.
    pub fn is_of_newer_build(&self) -> bool {
        matches!(self, Error::UnknownFormat(_) | Error::UnknownLevel(_))
    }
}

pub(super) fn inconsistent(what: impl Into<String>) -> Error {
    Error::Inconsistent(what.into())
}

/// Reads a row whose default is not stored.
pub(super) fn read_row_or_default<T: Decode<()> + Default>(
    store: &dyn CheckpointStore,
    key: &[u8],
) -> Result<T, Error> {
    match store.get(key)? {
        Some(bytes) => decode(key, &bytes),
        None => Ok(T::default()),
    }
}

/// Reads what is about all tokens; the default has no row.
pub(super) fn read_auth(store: &dyn CheckpointStore) -> Result<Head, Error> {
    match store.get(key::AUTH)? {
        Some(bytes) => decode(key::AUTH, &bytes),
        None => Ok(Head::default()),
    }
}

/// Reads the row that publishes a checkpoint, if this build knows its format.
pub(super) fn read_meta(row: &[u8]) -> Result<Meta, Error> {
    let format: u32 = codec::decode_row_start(ROW_VERSION, row).map_err(row_error(key::META))?;
    match is_known(format) {
        true => decode(key::META, row),
        false => Err(Error::UnknownFormat(format)),
    }
}

/// Reads the cluster's level; level 0 has no row.
pub(super) fn read_level(store: &dyn CheckpointStore) -> Result<Level, Error> {
    let Some(bytes) = store.get(key::LEVEL)? else { return Ok(Level::default()) };
    // Later levels may add to the row, behind its number.
    let number: u32 =
        codec::decode_row_start(ROW_VERSION, &bytes).map_err(row_error(key::LEVEL))?;
    match number <= NEWEST {
        true => decode(key::LEVEL, &bytes),
        false => Err(Error::UnknownLevel(number)),
    }
}

/// Visits the rows of a kind with the numbers in their keys.
pub(super) fn scan<const N: usize>(
    store: &dyn CheckpointStore,
    kind: u8,
    mut visit: impl FnMut([u64; N], &[u8], &[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    scan_keys(store, &[kind], |key, bytes| match key::numbers(key) {
        Some(numbers) => visit(numbers, key, bytes),
        None => Err(inconsistent(format!("unknown key {}", key::name(key)))),
    })
}

/// Visits the rows under a prefix.
pub(super) fn scan_keys(
    store: &dyn CheckpointStore,
    prefix: &[u8],
    mut visit: impl FnMut(&[u8], &[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    // The store knows only its own errors, so ours waits here while its scan ends.
    let mut failure = None;
    let result = store.scan(prefix, &mut |key, bytes| {
        visit(key, bytes).map_err(|error| {
            failure = Some(error);
            store::Error::Stopped
        })
    });
    match failure {
        Some(error) => Err(error),
        None => Ok(result?),
    }
}

/// Adds the row's key to an error about its bytes.
pub(super) fn row_error(key: &[u8]) -> impl FnOnce(codec::Error) -> Error {
    move |source| Error::Row { key: key::name(key), source }
}

/// A row's share of the digest; `None` in old formats.
pub(super) fn row_sum(key: &[u8], bytes: &[u8]) -> Result<Option<u64>, Error> {
    codec::row_sum(bytes).map_err(row_error(key))
}

pub(super) fn decode<T: Decode<()>>(key: &[u8], bytes: &[u8]) -> Result<T, Error> {
    codec::decode_row(ROW_VERSION, bytes).map_err(row_error(key))
}

/// Reads the row under a key, if there is one.
pub(super) fn read_row<T: Decode<()>>(
    store: &dyn CheckpointStore,
    key: &[u8],
) -> Result<Option<T>, store::Error> {
    let Some(bytes) = store.get(key)? else { return Ok(None) };
    codec::decode_row(ROW_VERSION, &bytes)
        .map(Some)
        .map_err(|source| store::Error::Damaged { key: key::name(key), source })
}
