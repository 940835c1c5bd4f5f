//! `holdfast audit`: shows who administered what.

use clap::Args;
use client::wire::{AuditKind, AuditRow};

use crate::exit::CliError;
use crate::remote;
use crate::table::{Align, Table, or_dash};

/// The flags of `audit`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// Show what was done to access, payments, members and the cluster (`administration`), or to
    /// products and their stock (`catalogue`)
    #[arg(long, value_name = "KIND", default_value = "administration")]
    kind: AuditKind,
    /// Show only rows with higher ids, oldest first [default: the newest rows]
    #[arg(long, value_name = "ID")]
    after: Option<u64>,
    /// Show this many rows
    #[arg(long, value_name = "N", default_value = "100")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=1000))]
    limit: u64,
    #[command(flatten)]
    remote: remote::Options,
}

/// Prints the rows.
pub(crate) fn run(options: &Options) -> Result<(), CliError> {
    remote::block_on(async {
        let client = options.remote.client()?;
        let answer = client.audit(options.kind, options.after, options.limit).await;
        let answer = answer.map_err(|error| remote::failure(&error))?;
        options.remote.print(&answer.data, |rows| table(rows))
    })
}

fn table(rows: &[AuditRow]) -> String {
    let mut table = Table::new(&[
        ("id", Align::Right),
        ("at", Align::Left),
        ("actor", Align::Left),
        ("action", Align::Left),
        ("target", Align::Right),
        ("outcome", Align::Left),
        ("trace", Align::Left),
    ]);
    for row in rows {
        table.row(vec![
            row.id.to_string(),
            row.at.clone(),
            row.actor.clone(),
            row.action.clone(),
            or_dash(row.target),
            row.outcome.as_str().to_owned(),
            row.trace_id.clone(),
        ]);
    }
    table.to_string()
}
