//! Verifies the data of a stopped node, offline: everything that a startup would rely on, and more.
//!
//! It takes the lock, so nothing changes meanwhile, and writes nothing into the data directory.
//! Files that have to be opened by the libraries that write them are copied to a scratch directory
//! first. It goes on after damage as far as it can, and names each damaged file. It repairs
//! nothing.

mod files;
mod notebook;
mod state;

use std::path::Path;

use self::notebook::at;
pub use self::notebook::{Check, Error, Finding, Made, Notebook, Report};
use crate::directory::durable::lock;

/// Verifies the data of a stopped node. `scratch` is an empty directory with room for a copy.
///
/// # Errors
/// When nothing can be verified. Damage of the data is in the report.
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

/// Verifies a backup: every checksum, and that its rows make the state in its header.
///
/// # Errors
/// When there is no such file. Damage of it is in the report.
pub fn verify_backup(file: &Path, notebook: &Notebook) -> Result<Report, Error> {
    std::fs::File::open(file).map_err(at(file))?;
    notebook.look_at(file);
    state::backup(file, notebook);
    Ok(notebook.report())
}
