//! How the process ends: the errors of commands, and the exit code of each.

use std::fmt;
use std::process::ExitCode;

/// The part of `--help` that lists the exit codes.
pub(crate) const CODES: &str = "\
Exit codes:
  0  done
  1  failed: the cluster cannot be reached, a node failed, or data is damaged
  2  the command line, the environment, the configuration file or a named file is wrong
  3  the cluster refused the request; nothing was changed
  4  unknown whether the request took effect: repeat it under the same key
  130, 143  a second SIGINT or SIGTERM ended the process before it had stopped gracefully

Set any flag as HOLDFAST_<FLAG> in the environment (HOLDFAST_OPEN_ORDERS_MAX for
--open-orders-max) or in a TOML file named by --config (open-orders-max = 5). A flag overrides the
environment, the environment overrides the file.";

/// Why a command failed. The variant decides the exit code.
#[derive(Debug)]
pub(crate) enum CliError {
    /// The settings are wrong, or contradict each other or the data.
    Usage(String),
    /// The cluster cannot be reached, or a node or the system failed.
    Failed(String),
    /// The cluster refused the request; it has no effect.
    Refused(String),
    /// The request may have taken effect.
    Unknown(String),
    /// An error that the log has already: it is not printed again.
    Logged(Box<CliError>),
}

impl CliError {
    /// A [`Self::Failed`] of `what`, followed by the error and all its sources.
    pub(crate) fn because(what: impl fmt::Display, error: &dyn std::error::Error) -> CliError {
        CliError::Failed(format!("{what}: {}", chain(error)))
    }

    /// Marks the error as logged.
    pub(crate) fn logged(self) -> CliError {
        CliError::Logged(Box::new(self))
    }

    fn exit_code(&self) -> u8 {
        match self {
            CliError::Failed(_) => 1,
            CliError::Usage(_) => 2,
            CliError::Refused(_) => 3,
            CliError::Unknown(_) => 4,
            CliError::Logged(error) => error.exit_code(),
        }
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CliError::Usage(text)
            | CliError::Failed(text)
            | CliError::Refused(text)
            | CliError::Unknown(text) => f.write_str(text),
            CliError::Logged(error) => error.fmt(f),
        }
    }
}

/// Joins an error and all its sources into one line. Skips a source that a parent already quotes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        source = cause.source();
    }
    text
}

/// Prints the error of a command, unless the log has it, and gives the exit code.
pub(crate) fn code(result: Result<(), CliError>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if !matches!(error, CliError::Logged(_)) {
                eprintln!("holdfast: {error}");
            }
            ExitCode::from(error.exit_code())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Link {
        text: &'static str,
        #[source]
        source: Option<Box<Link>>,
    }

    #[test]
    fn chain_names_each_cause_once() {
        let root = Link { text: "permission denied", source: None };
        let middle = Link { text: "open /x: permission denied", source: Some(Box::new(root)) };
        let top = Link { text: "start", source: Some(Box::new(middle)) };
        assert_eq!(chain(&top), "start: open /x: permission denied");
    }

    #[test]
    fn each_error_has_its_own_exit_code() {
        let text = String::new;
        let codes = [
            CliError::Failed(text()).exit_code(),
            CliError::Usage(text()).exit_code(),
            CliError::Refused(text()).exit_code(),
            CliError::Unknown(text()).exit_code(),
            CliError::Refused(text()).logged().exit_code(),
        ];
        assert_eq!(codes, [1, 2, 3, 4, 3]);
    }
}
