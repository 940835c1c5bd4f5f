//! The notebook in which a verification records its findings, and why it may find nothing.

use std::io;
use std::path::{Path, PathBuf};

use engine::state::State;
use parking_lot::Mutex;

use crate::directory;

/// A finding, and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file or directory.
    pub path: String,
    /// The damage, or the note.
    pub what: String,
}

/// A completed check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What was checked.
    pub what: &'static str,
    /// How many were sound.
    pub count: u64,
}

/// A state made from the data. Nodes whose states at one index have different digests have
/// diverged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// Its source: a file, or the checkpoint and the log after it.
    pub of: String,
    /// Its index.
    pub index: u64,
    /// The digest of all rows.
    pub digest: u64,
}

/// The result of a verification, as far as it got.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The owner of the data, in words.
    pub node: String,
    /// The part that is being read. If a library dies over damaged data, this is where.
    pub looking_at: String,
    /// Completed checks.
    pub checks: Vec<Check>,
    /// The states made from the data.
    pub states: Vec<Made>,
    /// Files that differ from what was written, or contradict others.
    pub damage: Vec<Finding>,
    /// Findings that are not damage, such as the torn end of a log after a crash.
    pub notes: Vec<Finding>,
}

impl Report {
    /// Returns whether there is no damage.
    pub fn is_sound(&self) -> bool {
        self.damage.is_empty()
    }
}

/// Why nothing could be verified.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such data directory, or it belongs to no node.
    #[error("{0} holds no node's data")]
    NoData(PathBuf),
    /// A node is using it.
    #[error(transparent)]
    Locked(directory::Error),
    /// Something cannot be read or copied.
    #[error("{path}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Records findings. It is shared, so findings survive a library that dies.
#[derive(Debug, Default)]
pub struct Notebook(Mutex<Report>);

impl Notebook {
    /// The findings so far.
    pub fn report(&self) -> Report {
        self.0.lock().clone()
    }

    pub(super) fn look_at(&self, part: &Path) {
        self.0.lock().looking_at = part.display().to_string();
    }

    pub(super) fn name(&self, node: String) {
        self.0.lock().node = node;
    }

    pub(super) fn checked(&self, what: &'static str, count: u64) {
        self.0.lock().checks.push(Check { what, count });
    }

    pub(super) fn made(&self, of: String, state: &mut State) {
        let (index, digest) = (state.applied_index(), state.digest());
        self.0.lock().states.push(Made { of, index, digest });
    }

    pub(super) fn damage(&self, path: &Path, what: impl Into<String>) {
        let finding = Finding { path: path.display().to_string(), what: what.into() };
        self.0.lock().damage.push(finding);
    }

    pub(super) fn note(&self, path: &Path, what: impl Into<String>) {
        let finding = Finding { path: path.display().to_string(), what: what.into() };
        self.0.lock().notes.push(finding);
    }
}

/// Adds the path to an error.
pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { path, source }
}

/// Copies a directory with its content. Returns false if there is none.
pub(super) fn copy(from: &Path, to: &Path) -> Result<bool, Error> {
    if !from.is_dir() {
        return Ok(false);
    }
    std::fs::create_dir_all(to).map_err(at(to))?;
    for found in std::fs::read_dir(from).map_err(at(from))? {
        let path = found.map_err(at(from))?.path();
        let target = to.join(path.file_name().expect("an entry has a name"));
        if path.is_dir() {
            copy(&path, &target)?;
        } else {
            std::fs::copy(&path, &target).map_err(at(&path))?;
        }
    }
    Ok(true)
}
