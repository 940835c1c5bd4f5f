//! `holdfast payments`: pauses and resumes the payments of a running cluster.

use clap::{Args, Subcommand};

use crate::exit::CliError;
use crate::remote;
use crate::remote::status;

/// The subcommands of `payments`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    /// Pause payments: the cluster takes orders, but sends none to the gateway
    Pause(Options),
    /// Resume payments, also in a cluster restored from a backup
    Resume(Options),
}

/// The flags of `payments pause` and `payments resume`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    remote: remote::Options,
}

/// Sends the request and prints the cluster.
pub(crate) fn run(command: &Command) -> Result<(), CliError> {
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
