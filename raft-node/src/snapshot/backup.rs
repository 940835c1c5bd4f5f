//! Backups: snapshot files away from the node that took them.
//!
//! A backup is byte for byte a snapshot file. Its metadata is believed only after all of it was
//! read and every checksum verified.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use engine::checkpoint::CheckpointStore;
use engine::checkpoint::image::{Fill, Visit};
use engine::ids::{NodeId, Timestamp};

use super::format::{Header, Reader};
use super::{Error, WRITE_BYTES, stranger};
use crate::members::Membership;

/// The metadata of a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// The cluster's id, 32 hexadecimal digits.
    pub cluster_id: String,
    /// The cluster's name; empty in files of versions that did not store it.
    pub cluster_name: String,
    /// It holds everything up to this index.
    pub index: u64,
    /// The term of the entry at that index.
    pub term: u64,
    /// The replicated clock at that index.
    pub clock: Timestamp,
    /// The digest of the state at that index.
    pub digest: u64,
    /// The voters at that index.
    pub voters: Vec<NodeId>,
    /// The size of the file.
    pub bytes: u64,
}

/// Reads a whole file and verifies everything but the meaning of its rows.
///
/// # Errors
/// When it cannot be read, is damaged, truncated or of another version. The message names the byte.
pub fn check(path: &Path) -> Result<About, Error> {
    read(path, &mut |_, _| Ok(()))
}

/// Fills an empty store with the content of a file.
///
/// # Errors
/// As for [`check`], and when the store cannot be written.
pub fn fill(path: &Path, store: &dyn CheckpointStore) -> Result<About, Error> {
    let mut fill = Fill::new(store);
    let about = read(path, &mut |key, value| fill.add(key, value))?;
    fill.finish().map_err(|source| Error::Checkpoint { name: name_of(path), source })?;
    Ok(about)
}

fn read(path: &Path, visit: Visit<'_>) -> Result<About, Error> {
    let name = name_of(path);
    let damaged = |source| Error::Damaged { name: name.clone(), source };
    let file = File::open(path).map_err(super::at(&name))?;
    let input = BufReader::with_capacity(WRITE_BYTES, file);
    let (mut reader, header) = Reader::new(input).map_err(damaged)?;
    let mut failed = None;
    let bytes = reader
        .rows(&mut |key, value| visit(key, value).map_err(|error| failed = Some(error)).is_ok());
    if let Some(error) = failed {
        let source = engine::checkpoint::open::Error::Store(error);
        return Err(Error::Checkpoint { name, source });
    }
    let bytes = bytes.map_err(damaged)?;
    about(&name, header, bytes)
}

fn about(name: &str, header: Header, bytes: u64) -> Result<About, Error> {
    let members = Membership::decode(&header.members)
        .map_err(|error| stranger(name, format!("of no readable membership: {error}")))?;
    let Header { cluster, cluster_name, index, term, clock, digest, .. } = header;
    let cluster_id = cluster.iter().map(|byte| format!("{byte:02x}")).collect();
    let voters = members.voters;
    Ok(About { cluster_id, cluster_name, index, term, clock, digest, voters, bytes })
}

fn name_of(path: &Path) -> String {
    path.display().to_string()
}
