//! `holdfast import`: create products, or place orders, from a file.
//!
//! Running it again with the same file goes on where it stopped: a product whose SKU is there is
//! not created again, and the orders of a file have the same keys each time.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::{Format, What, orders, products};
use crate::exit::Failure;
use crate::remote;

/// The flags of `import`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// The file: .csv with a heading, or .ndjson with one JSON object a line
    #[arg(value_name = "FILE")]
    pub(crate) path: PathBuf,
    /// What the file holds
    #[arg(long, value_name = "WHAT", default_value = "products")]
    pub(crate) what: What,
    /// Its format, when its name does not tell
    #[arg(long)]
    pub(crate) format: Option<Format>,
    #[command(flatten)]
    pub(crate) remote: remote::Options,
}

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
    fn text(&self, what: What) -> String {
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
    fn result(&self) -> Result<(), Failure> {
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

/// Runs it to its end.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let format = Format::of(options.format, &options.path)?;
    let mut summary = Summary::default();
    let done = remote::block_on(async {
        match options.what {
            What::Products => products::import(options, format, &mut summary).await,
            What::Orders => orders::import(options, format, &mut summary).await,
        }
    });
    // What was done is told however it ended, but for a file that could not even be opened.
    if done.is_ok() || summary != Summary::default() {
        options.remote.print(&summary, |summary| summary.text(options.what))?;
    }
    done.and_then(|()| summary.result())
}
