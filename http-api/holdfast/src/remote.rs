//! Commands that ask a running cluster, and what they share: URLs, the client, printing, errors.
//!
//! The client crate owns retries, deadlines and keys; nothing here repeats a request.

pub(crate) mod audit;
pub(crate) mod auth;
pub(crate) mod backup;
pub(crate) mod clock;
pub(crate) mod doctor;
pub(crate) mod events;
mod follow;
pub(crate) mod health;
pub(crate) mod holds;
pub(crate) mod level;
pub(crate) mod log_filter;
pub(crate) mod members;
pub(crate) mod orders;
pub(crate) mod payments;
pub(crate) mod products;
pub(crate) mod snapshot;
pub(crate) mod status;
mod stock;
pub(crate) mod tokens;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use client::wire::{Outcome, Problem};
use client::{Builder, Cause, Client, Error};
use serde::Serialize;

use crate::credentials;
use crate::exit::{CliError, chain};
use crate::output;
use crate::settings;

/// The flags of every command that asks a cluster.
#[derive(Debug, Clone, Args)]
#[group(skip)]
pub(crate) struct Options {
    /// Ask the node at this base URL; with several, the next one is asked when one fails
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    #[arg(value_delimiter = ',')]
    pub(crate) url: Vec<String>,
    /// Believe servers whose certificate an authority of this file signed, for URLs with https
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// Prove who asks by the token in this file: one of the cluster, or the root token of its
    /// nodes. Without it, the token in the variable HOLDFAST_TOKEN is used, if it is set
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Print JSON instead of a table
    #[arg(long)]
    pub(crate) json: bool,
    /// Give up after this many seconds
    #[arg(long, value_name = "S", default_value = "15")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) timeout_s: u64,
    #[command(flatten)]
    pub(crate) file: settings::File,
}

impl Options {
    /// Creates a client for these URLs. Call it inside a runtime.
    pub(crate) fn client(&self) -> Result<Client, CliError> {
        self.client_of(self.url.clone(), Duration::from_secs(self.timeout_s))
    }

    /// Creates a client for other URLs of the same cluster.
    pub(crate) fn client_of(
        &self,
        urls: Vec<String>,
        deadline: Duration,
    ) -> Result<Client, CliError> {
        let builder = Client::builder().base_urls(urls).deadline(deadline);
        let builder = believing(builder, self.ca_file.as_deref())?;
        credentials::authorized(builder, "--token-file", self.token_file.as_deref(), true)?
            .build()
            .map_err(|error| CliError::Usage(chain(&error)))
    }

    /// The token that proves who asks, for what the client does not send.
    pub(crate) fn token(&self) -> Result<Option<String>, CliError> {
        credentials::given("--token-file", self.token_file.as_deref(), true)
    }

    /// Prints a result as one line of JSON, or as `table` renders it.
    pub(crate) fn print<T: Serialize>(
        &self,
        data: &T,
        table: impl FnOnce(&T) -> String,
    ) -> Result<(), CliError> {
        self.print_on(data, table).map(|_| ())
    }

    /// Prints one of several results. Returns false when the reader has closed the pipe.
    pub(crate) fn print_on<T: Serialize>(
        &self,
        data: &T,
        table: impl FnOnce(&T) -> String,
    ) -> Result<bool, CliError> {
        let text = if self.json {
            let json = serde_json::to_string(data);
            json.map_err(|error| CliError::because("cannot write the result as JSON", &error))?
        } else {
            table(data)
        };
        output::write_line(text.trim_end())
    }
}

/// Lets a client believe the authorities of a file.
pub(crate) fn believing(builder: Builder, ca_file: Option<&Path>) -> Result<Builder, CliError> {
    let Some(path) = ca_file else { return Ok(builder) };
    let pem = std::fs::read(path).map_err(|error| {
        CliError::Usage(format!("cannot read --ca-file {}: {error}", path.display()))
    })?;
    Ok(builder.authorities(pem))
}

/// The base URL of the node at this address.
pub(crate) fn base_url(address: &str, ca_file: Option<&Path>) -> String {
    let scheme = if ca_file.is_some() { "https" } else { "http" };
    format!("{scheme}://{address}")
}

/// Runs a client command on this thread.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::because("cannot start the runtime", &error))?
        .block_on(work)
}

/// Turns the error of a call into a message and an exit code.
pub(crate) fn failure(error: &Error) -> CliError {
    let mut text = match error.problem() {
        Some(problem) => words(problem),
        None => chain(error),
    };
    match error.outcome() {
        Outcome::Rejected => CliError::Refused(text),
        Outcome::NotApplied if error.report().is_none() => CliError::Usage(text),
        Outcome::NotApplied => {
            if let Some(Cause::Connect { .. }) = error.report().map(|report| &report.cause) {
                text.push_str("; check that a node runs there, or name another one");
            }
            CliError::Failed(text)
        }
        Outcome::Unknown => {
            if let Some(key) = error.report().and_then(|report| report.idempotency_key.as_ref()) {
                text.push_str(&format!("; repeat it with --key {key}"));
            }
            CliError::Unknown(text)
        }
    }
}

fn words(problem: &Problem) -> String {
    let mut text = format!("{} ({})", problem.detail, problem.error);
    // A single error is already the detail.
    let wrong = problem.errors.iter().flatten().map(|(field, wrong)| (field, wrong.join(" ")));
    for (field, wrong) in wrong.filter(|(_, wrong)| *wrong != problem.detail) {
        text.push_str(&format!("\n  {field}: {wrong}"));
    }
    text
}
