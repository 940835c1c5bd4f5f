//! `holdfast payments`: lets the payments of a running cluster wait, or go on.

use clap::{Args, Subcommand};

use crate::exit::Failure;
use crate::remote;
use crate::remote::status;

/// What to do with payments.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    /// Ask the gateway for nothing until they are resumed; orders are taken all the same
    Pause(Options),
    /// Go on, also in a cluster that was restored from a backup
    Resume(Options),
}

/// The flags of both.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    remote: remote::Options,
}

/// Asks and prints the cluster.
pub(crate) fn run(command: &Command) -> Result<(), Failure> {
    let (paused, options) = match command {
        Command::Pause(options) => (true, options),
        Command::Resume(options) => (false, options),
    };
    remote::block_on(async {
        let client = options.remote.client()?;
        let answer = client.set_payments(paused).await;
        let answer = answer.map_err(|error| remote::failure(&error))?;
        options.remote.print(&answer.data, |cluster| status::render(cluster, &answer.receipt.url))
    })
}
