//! Starts the runtime of a process.

use crate::exit::CliError;

/// The runtime of a node's connections, peers and gateway calls.
pub(crate) fn start() -> Result<tokio::runtime::Runtime, CliError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("io")
        .enable_all()
        .build()
        .map_err(|error| CliError::because("cannot start the runtime", &error))
}
