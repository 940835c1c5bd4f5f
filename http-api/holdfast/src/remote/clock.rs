//! `holdfast clock`: lets the cluster's clock take a large gap.

use clap::{Args, Subcommand};

use crate::exit::CliError;
use crate::remote;
use crate::remote::status;

/// The subcommands of `clock`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    /// Accept the clocks of the machines although the cluster's clock is more than a day behind
    /// them: then everything whose deadline passed meanwhile expires within a minute
    Accept(Accept),
}

/// The flags of `clock accept`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Accept {
    #[command(flatten)]
    remote: remote::Options,
}

/// Runs the command to its end.
pub(crate) fn run(Command::Accept(options): &Command) -> Result<(), CliError> {
    remote::block_on(async {
        let client = options.remote.client()?;
        let answer = client.accept_clock().await.map_err(|error| remote::failure(&error))?;
        options.remote.print(&answer.data, |cluster| status::render(cluster, &answer.receipt.url))
    })
}
