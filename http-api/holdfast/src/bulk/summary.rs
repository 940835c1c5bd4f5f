//! The result of an import, and its exit code.

use serde::Serialize;

use super::What;
use crate::exit::CliError;

/// Counts of lines by result.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Summary {
    /// Lines that are not blank.
    pub(crate) lines: u64,
    /// Rows that this run created.
    pub(crate) made: u64,
    /// Rows that existed already, by SKU or key.
    pub(crate) there: u64,
    /// Products that existed and were changed to what the file says.
    pub(crate) updated: u64,
    /// Products that existed, differ from the file and were left as they are.
    pub(crate) skipped: u64,
    /// Created products that have another id here than in the file.
    pub(crate) renumbered: u64,
    /// Lines that cannot be read or were refused.
    pub(crate) failed: u64,
    /// Lines with an unknown outcome.
    pub(crate) unknown: u64,
}

impl Summary {
    /// One line for people.
    pub(crate) fn text(&self, what: What) -> String {
        let what = match what {
            What::Products => "products",
            What::Orders => "orders",
        };
        let Summary { lines, made, there, updated, skipped, renumbered, failed, unknown } = self;
        let mut text = format!("{lines} lines of {what}: {made} created, {there} existed already");
        for (count, words) in [
            (updated, "updated"),
            (skipped, "different and left as they are"),
            (renumbered, "with another id than in the file"),
            (failed, "not imported"),
            (unknown, "unknown"),
        ] {
            if *count > 0 {
                text.push_str(&format!(", {count} {words}"));
            }
        }
        text
    }

    /// The result of the command, for its exit code.
    pub(crate) fn result(&self) -> Result<(), CliError> {
        if self.unknown > 0 {
            let text = format!(
                "the outcome of {} lines is unknown: run the import again to resolve it",
                self.unknown
            );
            return Err(CliError::Unknown(text));
        }
        match self.failed {
            0 => Ok(()),
            failed => {
                Err(CliError::Refused(format!("{failed} lines were not imported, see above")))
            }
        }
    }
}
