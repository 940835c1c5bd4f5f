//! Log lines on standard error, as JSON or text.
//!
//! A writer thread takes lines from a bounded buffer. When the reader of standard error is too
//! slow, lines are dropped, so that the log never delays orders.

use std::sync::OnceLock;

use clap::{Args, ValueEnum};
use http_api::LogFilter;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;
use tracing_subscriber::{fmt, reload};

use crate::exit::CliError;

/// Most lines that wait for the writer.
const LINES_BUFFERED_MAX: usize = 16 * 1024;

/// The filter of this process, once its log has started.
static STARTED: OnceLock<LogFilter> = OnceLock::new();

/// The filter of this process's log lines, which can be changed; none before the log has started.
pub(crate) fn filter() -> Option<LogFilter> {
    STARTED.get().cloned()
}

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// One JSON object per line
    Json,
    /// Text
    Text,
}

/// The flags for log lines.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Log lines, on standard error")]
#[group(skip)]
pub(crate) struct Options {
    /// Set the format of log lines [default: json for serve, text for dev]
    #[arg(long, value_enum, value_name = "FORMAT")]
    log_format: Option<Format>,
    /// Write log lines of this level: error, warn, info, debug, trace or off, also by module, as in
    /// `info,raft_node=debug` [default: info for serve, warn for dev, fewer from libraries]
    #[arg(long, value_name = "FILTER")]
    log_filter: Option<String>,
}

impl Options {
    /// Starts the log, with the default `format` and `filter` for flags that are not given.
    /// Dropping the guard writes the remaining lines and ends the log.
    pub(crate) fn start(&self, format: Format, filter: &str) -> Result<WorkerGuard, CliError> {
        let wanted = self.log_filter.as_deref().unwrap_or(filter);
        let targets: Targets = wanted
            .parse()
            .map_err(|error| CliError::Usage(format!("--log-filter {wanted}: {error}")))?;
        let (layer, handle) = reload::Layer::new(targets);
        let (writer, guard) = NonBlockingBuilder::default()
            .buffered_lines_limit(LINES_BUFFERED_MAX)
            .lossy(true)
            .thread_name("log-writer")
            .finish(std::io::stderr());
        let lines = fmt::layer().with_writer(writer).with_ansi(false);
        let log = tracing_subscriber::registry().with(layer);
        let started = match self.log_format.unwrap_or(format) {
            Format::Json => {
                let lines = lines.json().flatten_event(true).with_current_span(false);
                log.with(lines.with_span_list(false)).try_init()
            }
            Format::Text => log.with(lines).try_init(),
        };
        started.map_err(|error| CliError::Failed(format!("cannot start the log: {error}")))?;
        let apply = move |filter: &str| {
            let targets: Targets = filter.parse().map_err(|error| format!("{error}"))?;
            handle.reload(targets).map_err(|error| error.to_string())
        };
        STARTED.get_or_init(|| LogFilter::new(wanted, apply));
        Ok(guard)
    }
}
