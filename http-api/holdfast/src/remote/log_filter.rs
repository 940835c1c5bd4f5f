//! `holdfast log-filter`: shows or changes which log lines a running node writes.

use clap::Args;
use client::wire::{LogFilter, LogFilterRequest};

use crate::exit::CliError;
use crate::remote;

/// The flags of `log-filter`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// Write log lines of this level for a while, also by module, as in `info,raft_node=debug`
    /// [default: change nothing]
    #[arg(value_name = "FILTER")]
    filter: Option<String>,
    /// Return to the configured filter after this many seconds
    #[arg(long, value_name = "S", default_value_t = 600)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Return to the configured filter now
    #[arg(long, conflicts_with_all = ["filter", "seconds"])]
    reset: bool,
    #[command(flatten)]
    remote: remote::Options,
}

/// Sends the request and prints the filter. The node is the one of `--url`.
pub(crate) fn run(options: &Options) -> Result<(), CliError> {
    remote::block_on(async {
        let client = options.remote.client()?;
        let request = match &options.filter {
            Some(filter) => {
                LogFilterRequest { filter: Some(filter.clone()), seconds: Some(options.seconds) }
            }
            None => LogFilterRequest::default(),
        };
        let answer = if options.filter.is_some() || options.reset {
            client.set_log_filter(&request).await
        } else {
            client.log_filter().await
        };
        let answer = answer.map_err(|error| remote::failure(&error))?;
        options.remote.print(&answer.data, |filter| render(filter, &answer.receipt.url))
    })
}

fn render(log: &LogFilter, url: &str) -> String {
    match log.seconds_left {
        None => format!("{url} writes log lines of {}", log.filter),
        Some(left) => format!(
            "{url} writes log lines of {} for {left} s more, then of {}",
            log.filter, log.configured
        ),
    }
}
