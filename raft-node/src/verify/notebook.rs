//! Where a check writes down what it sees, and why it sees nothing.

use std::io;
use std::path::{Path, PathBuf};

use engine::state::State;
use parking_lot::Mutex;

use crate::directory;

/// Something that was found, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file or directory.
    pub path: String,
    /// What is wrong with it, or worth to know about it.
    pub what: String,
}

/// Something that was checked, and how much of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What.
    pub what: &'static str,
    /// How many were found to be sound.
    pub count: u64,
}

/// A state that was made of what was found. Nodes whose states at one index have different digests
/// have grown apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// What it was made of: a file, or the checkpoint and the log after it.
    pub of: String,
    /// Up to which entry.
    pub index: u64,
    /// Over all rows.
    pub digest: u64,
}

/// What came of a check, as far as it got.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Whose data it is, in words.
    pub node: String,
    /// The part that is being looked at: when a library dies over damaged data, this is where.
    pub looking_at: String,
    /// What was checked.
    pub checks: Vec<Check>,
    /// The states that these give.
    pub states: Vec<Made>,
    /// What is not as it was written, or contradicts something else.
    pub damage: Vec<Finding>,
    /// What is no damage but worth to know, such as the torn end of a log after a crash.
    pub notes: Vec<Finding>,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.damage.is_empty()
    }
}

/// Why nothing could be checked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such data directory, or it never belonged to a node.
    #[error("{0} holds no node's data")]
    NoData(PathBuf),
    /// A node uses it.
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

/// Where the check writes down what it sees. Shared, so that what was seen before a library died
/// can still be told.
#[derive(Debug, Default)]
pub struct Notebook(Mutex<Report>);

impl Notebook {
    /// What was written down so far.
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

/// Puts the path before what the system said.
pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { path, source }
}

/// Copies a directory with all that is in it; false when there is none.
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
