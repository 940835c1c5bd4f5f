//! Log lines on standard error, one JSON object or one text each.
//!
//! Lines are handed to a writer thread through a bounded buffer. When whoever reads standard error
//! is too slow, lines are dropped and counted rather than orders held up.

use clap::{Args, ValueEnum};
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

use crate::exit::Failure;

/// How many lines wait for the writer at most.
const LINES_BUFFERED_MAX: usize = 16 * 1024;

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// One JSON object a line
    Json,
    /// Text for people
    Text,
}

/// The flags about log lines.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Log lines, on standard error")]
#[group(skip)]
pub(crate) struct Options {
    /// How log lines look [default: json for serve, text for dev]
    #[arg(long, value_enum, value_name = "FORMAT")]
    log_format: Option<Format>,
    /// Which log lines to write: error, warn, info, debug, trace or off, also by module, as in
    /// `info,raft_node=debug` [default: info for serve, warn for dev, less from libraries]
    #[arg(long, value_name = "FILTER")]
    log_filter: Option<String>,
}

impl Options {
    /// Starts to write log lines. They go out until the guard is dropped, which writes the rest.
    pub(crate) fn start(&self, format: Format, filter: &str) -> Result<WorkerGuard, Failure> {
        let wanted = self.log_filter.as_deref().unwrap_or(filter);
        let filter = EnvFilter::builder()
            .parse(wanted)
            .map_err(|error| Failure::Usage(format!("--log-filter {wanted}: {error}")))?;
        let (writer, guard) = NonBlockingBuilder::default()
            .buffered_lines_limit(LINES_BUFFERED_MAX)
            .lossy(true)
            .thread_name("log-writer")
            .finish(std::io::stderr());
        let lines =
            tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(false);
        let started = match self.log_format.unwrap_or(format) {
            Format::Json => {
                let lines = lines.json().flatten_event(true).with_current_span(false);
                lines.with_span_list(false).try_init()
            }
            Format::Text => lines.try_init(),
        };
        started.map_err(|error| Failure::Failed(format!("cannot start the log: {error}")))?;
        Ok(guard)
    }
}
