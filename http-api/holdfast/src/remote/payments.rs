//! `holdfast payments`: pauses and resumes the payments of a running cluster, and lists those
//! without a result.

use clap::{Args, Subcommand};
use client::wire::UnsettledList;

use crate::exit::CliError;
use crate::remote;
use crate::remote::status;
use crate::table::{Align, Table};

/// The subcommands of `payments`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    /// Pause payments: the cluster takes orders, but sends none to the gateway
    Pause(Options),
    /// Resume payments, also in a cluster restored from a backup
    Resume(Options),
    /// List payments that were begun and have no result, newest order first
    Unsettled(Unsettled),
}

/// The flags of `payments unsettled`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Unsettled {
    /// Show at most this many payments
    #[arg(long, value_name = "N", default_value = "100")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=1000))]
    limit: u64,
    /// Go on after the page that named this cursor
    #[arg(long)]
    cursor: Option<String>,
    #[command(flatten)]
    remote: remote::Options,
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
        Command::Unsettled(options) => return unsettled(options),
    };
    remote::block_on(async {
        let client = options.remote.client()?;
        let answer = client.set_payments(paused).await;
        let answer = answer.map_err(|error| remote::failure(&error))?;
        options.remote.print(&answer.data, |cluster| status::render(cluster, &answer.receipt.url))
    })
}

fn unsettled(options: &Unsettled) -> Result<(), CliError> {
    remote::block_on(async {
        let client = options.remote.client()?;
        let answer = client.unsettled_payments(options.limit, options.cursor.as_deref()).await;
        let answer = answer.map_err(|error| remote::failure(&error))?;
        options.remote.print(&answer.data, render)
    })
}

fn render(list: &UnsettledList) -> String {
    let mut table = Table::new(&[
        ("ORDER", Align::Right),
        ("ATTEMPT", Align::Right),
        ("UNANSWERED", Align::Right),
        ("AMOUNT", Align::Right),
        ("SINCE", Align::Left),
        ("NEXT", Align::Left),
        ("KEY", Align::Left),
    ]);
    for payment in &list.data {
        let next = if payment.in_flight { "in flight" } else { &payment.next_at };
        table.row(vec![
            payment.order_id.to_string(),
            payment.attempt.to_string(),
            payment.unanswered.to_string(),
            payment.amount.clone(),
            payment.since.clone(),
            next.to_owned(),
            payment.payment_key.clone(),
        ]);
    }
    let mut text = table.to_string();
    if let Some(cursor) = &list.meta.next_cursor {
        text.push_str(&format!("More: --cursor {cursor}\n"));
    }
    text
}
