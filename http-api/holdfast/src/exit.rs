//! How the process ends: what can go wrong, and the exit code that says so to a script.

use std::fmt;
use std::process::ExitCode;

/// The part of `--help` that lists the exit codes.
pub(crate) const CODES: &str = "\
Exit codes:
  0  done
  1  failed: the cluster cannot be reached, or a node had to stop
  2  the command line, the environment or the configuration file is wrong
  3  the cluster refused the request; nothing was changed
  4  it is not known whether the request took effect: repeat it under the same key
  130, 143  a second SIGINT or SIGTERM cut a graceful stop short

Every flag can also be given as HOLDFAST_<FLAG> in the environment (HOLDFAST_OPEN_ORDERS_MAX for
--open-orders-max) or in a TOML file named by --config (open-orders-max = 5). A flag beats the
environment, the environment beats the file.";

/// Why a command did not do what it was asked to.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The settings contradict each other or the data they meet.
    Usage(String),
    /// Something that should work did not.
    Failed(String),
    /// The cluster decided against the request, or does not know what it names.
    Refused(String),
    /// The request may have taken effect.
    Unknown(String),
}

impl Failure {
    /// A failure with the whole chain of causes in its text.
    pub(crate) fn because(what: impl fmt::Display, error: &dyn std::error::Error) -> Failure {
        Failure::Failed(format!("{what}: {}", chain(error)))
    }

    fn exit_code(&self) -> u8 {
        match self {
            Failure::Failed(_) => 1,
            Failure::Usage(_) => 2,
            Failure::Refused(_) => 3,
            Failure::Unknown(_) => 4,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Usage(text)
            | Failure::Failed(text)
            | Failure::Refused(text)
            | Failure::Unknown(text) => f.write_str(text),
        }
    }
}

/// An error and all its sources in one line, without repeating a text that a parent already quotes.
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

/// Reports a command's result.
pub(crate) fn code(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("holdfast: {failure}");
            ExitCode::from(failure.exit_code())
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
    fn a_chain_names_each_cause_once() {
        let root = Link { text: "permission denied", source: None };
        let middle = Link { text: "open /x: permission denied", source: Some(Box::new(root)) };
        let top = Link { text: "start", source: Some(Box::new(middle)) };
        assert_eq!(chain(&top), "start: open /x: permission denied");
    }

    #[test]
    fn every_failure_has_its_own_code() {
        let text = String::new;
        let codes = [
            Failure::Failed(text()).exit_code(),
            Failure::Usage(text()).exit_code(),
            Failure::Refused(text()).exit_code(),
            Failure::Unknown(text()).exit_code(),
        ];
        assert_eq!(codes, [1, 2, 3, 4]);
    }
}
