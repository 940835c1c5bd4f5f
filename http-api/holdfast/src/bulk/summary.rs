//! What an import came to, and what its exit code says.

use serde::Serialize;

use super::What;
use crate::exit::Failure;

/// What became of the lines of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Summary {
    /// Lines that hold something.
    pub(crate) lines: u64,
    /// Rows that this run made.
    pub(crate) made: u64,
    /// Rows that were there already, by their SKU or key.
    pub(crate) there: u64,
    /// Lines that cannot be read, or were refused.
    pub(crate) failed: u64,
    /// Lines whose fate is not known.
    pub(crate) unknown: u64,
}

impl Summary {
    /// One line for people.
    pub(crate) fn text(&self, what: What) -> String {
        let what = match what {
            What::Products => "products",
            What::Orders => "orders",
        };
        let Summary { lines, made, there, failed, unknown } = self;
        let mut text = format!("{lines} lines of {what}: {made} made, {there} there already");
        for (count, words) in [(failed, "not imported"), (unknown, "in doubt")] {
            if *count > 0 {
                text.push_str(&format!(", {count} {words}"));
            }
        }
        text
    }

    /// What the exit code has to tell.
    pub(crate) fn result(&self) -> Result<(), Failure> {
        if self.unknown > 0 {
            let text = format!("{} lines are in doubt; run it again to be sure", self.unknown);
            return Err(Failure::Unknown(text));
        }
        match self.failed {
            0 => Ok(()),
            failed => Err(Failure::Refused(format!("{failed} lines were not imported, see above"))),
        }
    }
}
