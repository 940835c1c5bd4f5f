//! `holdfast level`: raises the level of a running cluster.

use clap::{Args, Subcommand};

use crate::exit::CliError;
use crate::remote;
use crate::remote::status;

/// The subcommands of `level`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    /// Raise the cluster's level once every member runs a build that speaks it. There is no way
    /// back: older builds cannot read the cluster's data afterwards
    Raise(Options),
}

/// The flags of `level raise`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// Raise it to this level [default: the newest that the answering node speaks]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    to: Option<u32>,
    #[command(flatten)]
    remote: remote::Options,
}

/// Sends the request and prints the cluster.
pub(crate) fn run(Command::Raise(options): &Command) -> Result<(), CliError> {
    remote::block_on(async {
        let client = options.remote.client()?;
        let answer = client.raise_level(options.to).await;
        let answer = answer.map_err(|error| remote::failure(&error))?;
        options.remote.print(&answer.data, |cluster| status::render(cluster, &answer.receipt.url))
    })
}
