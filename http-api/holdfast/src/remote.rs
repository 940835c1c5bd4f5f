//! What the commands share that talk to a running cluster: its URLs, the client, how to print.
//!
//! The retries, deadlines and keys are the client crate's; nothing here sends anything again.

pub(crate) mod backup;
pub(crate) mod events;
pub(crate) mod holds;
pub(crate) mod members;
pub(crate) mod orders;
pub(crate) mod payments;
pub(crate) mod products;
pub(crate) mod snapshot;
pub(crate) mod status;
mod stock;

use std::future::Future;
use std::time::Duration;

use clap::Args;
use client::wire::{Outcome, Problem};
use client::{Client, Error};
use serde::Serialize;

use crate::exit::{Failure, chain};
use crate::output;
use crate::settings;

/// The flags of every command that is a client.
#[derive(Debug, Clone, Args)]
#[group(skip)]
pub(crate) struct Options {
    /// Base URL of a node; give several and another one is asked when one fails
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    #[arg(value_delimiter = ',')]
    pub(crate) url: Vec<String>,
    /// Print JSON for machines instead of a table
    #[arg(long)]
    pub(crate) json: bool,
    /// Give up after so many seconds
    #[arg(long, value_name = "S", default_value = "15")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) timeout_s: u64,
    #[command(flatten)]
    pub(crate) file: settings::File,
}

impl Options {
    /// The client for these URLs. Must be called inside a runtime.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        Client::builder()
            .base_urls(&self.url)
            .deadline(Duration::from_secs(self.timeout_s))
            .build()
            .map_err(|error| Failure::Usage(chain(&error)))
    }

    /// Prints a result: as one line of JSON, or as `table` shows it.
    pub(crate) fn print<T: Serialize>(
        &self,
        data: &T,
        table: impl FnOnce(&T) -> String,
    ) -> Result<(), Failure> {
        self.print_on(data, table).map(|_| ())
    }

    /// The same for one result of several. Says whether anybody still reads.
    pub(crate) fn print_on<T: Serialize>(
        &self,
        data: &T,
        table: impl FnOnce(&T) -> String,
    ) -> Result<bool, Failure> {
        let text = if self.json {
            let json = serde_json::to_string(data);
            json.map_err(|error| Failure::because("cannot write the result as JSON", &error))?
        } else {
            table(data)
        };
        output::write_line(text.trim_end())
    }
}

/// Runs one client command on this thread.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::because("cannot start the runtime", &error))?
        .block_on(work)
}

/// What a failed call means for the exit code, and what it says.
pub(crate) fn failure(error: &Error) -> Failure {
    let mut text = match error.problem() {
        Some(problem) => words(problem),
        None => chain(error),
    };
    match error.outcome() {
        Outcome::Rejected => Failure::Refused(text),
        Outcome::NotApplied if error.report().is_none() => Failure::Usage(text),
        Outcome::NotApplied => Failure::Failed(text),
        Outcome::Unknown => {
            if let Some(key) = error.report().and_then(|report| report.idempotency_key.as_ref()) {
                text.push_str(&format!("; to go on, repeat it with --key {key}"));
            }
            Failure::Unknown(text)
        }
    }
}

fn words(problem: &Problem) -> String {
    let mut text = format!("{} ({})", problem.detail, problem.error);
    // A single fault is the detail already.
    let wrong = problem.errors.iter().flatten().map(|(field, wrong)| (field, wrong.join(" ")));
    for (field, wrong) in wrong.filter(|(_, wrong)| *wrong != problem.detail) {
        text.push_str(&format!("\n  {field}: {wrong}"));
    }
    text
}
