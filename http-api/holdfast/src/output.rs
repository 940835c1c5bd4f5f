//! Writes results to standard output.

use std::io::Write as _;

use crate::exit::CliError;

/// Writes a line to standard output. A closed pipe, as `head` leaves it, is not an error.
pub(crate) fn print_line(text: &str) -> Result<(), CliError> {
    write_line(text).map(|_| ())
}

/// Writes a line to standard output. Returns false when the reader has closed the pipe.
pub(crate) fn write_line(text: &str) -> Result<bool, CliError> {
    match writeln!(std::io::stdout().lock(), "{text}") {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(CliError::because("cannot write to standard output", &error)),
    }
}
