//! The offline check of a stopped node's data: everything that a start would rely on, and more.
//!
//! It takes the lock, so that nothing changes under it, and writes nothing into the data directory:
//! what has to be opened by the libraries that write it is copied to a scratch directory first. It
//! goes on after damage as far as it can, and names each file that is not as it was written.
//! Nothing here repairs anything.

mod files;
mod notebook;
mod state;

use std::path::Path;

use self::notebook::at;
pub use self::notebook::{Check, Error, Finding, Made, Notebook, Report};
use crate::directory::durable::lock;

/// Checks the data of a stopped node. `scratch` is an empty directory with room for a copy of it.
///
/// # Errors
/// When nothing can be checked; what is wrong with the data is in the report.
pub fn verify(data: &Path, scratch: &Path, notebook: &Notebook) -> Result<Report, Error> {
    if !data.join("lock").is_file() {
        return Err(Error::NoData(data.to_owned()));
    }
    let _lock = lock(data).map_err(Error::Locked)?;
    let identity = files::identity(data, notebook)?;
    let log = files::log(data, scratch, notebook)?;
    let state = state::checkpoint(data, scratch, notebook)?;
    let end = state::against_log(data, state, log.as_ref(), notebook);
    state::snapshots(data, scratch, identity.as_ref(), log.as_ref(), end.as_ref(), notebook)?;
    Ok(notebook.report())
}

/// Checks a backup: every checksum, and that its rows make the state that it speaks of.
///
/// # Errors
/// When there is no such file; what is wrong with it is in the report.
pub fn verify_backup(file: &Path, notebook: &Notebook) -> Result<Report, Error> {
    std::fs::File::open(file).map_err(at(file))?;
    notebook.look_at(file);
    state::backup(file, notebook);
    Ok(notebook.report())
}
