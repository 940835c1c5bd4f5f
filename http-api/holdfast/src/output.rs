//! Standard output: results, one line or block at a time.

use std::io::Write as _;

use crate::exit::Failure;

/// Writes a line to standard output. A reader that has gone, as `head` does, is no failure.
pub(crate) fn print_line(text: &str) -> Result<(), Failure> {
    write_line(text).map(|_| ())
}

/// Writes a line to standard output. Returns false when the reader has gone, as `head` does.
pub(crate) fn write_line(text: &str) -> Result<bool, Failure> {
    match writeln!(std::io::stdout().lock(), "{text}") {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::because("cannot write to standard output", &error)),
    }
}
