//! `holdfast import`: create products, or place orders, from a file.
//!
//! Running it again with the same file goes on where it stopped: a product whose SKU is there is
//! not created again, and the orders of a file have the same keys each time.

use std::path::PathBuf;

use clap::Args;

use super::summary::Summary;
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

/// Runs it to its end.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let format = Format::of(options.format, &options.path)?;
    let mut summary = Summary::default();
    let done = remote::block_on(async {
        let client = options.remote.client()?;
        match options.what {
            What::Products => products::import(&client, &options.path, format, &mut summary).await,
            What::Orders => orders::import(&client, &options.path, format, &mut summary).await,
        }
    });
    // What was done is told however it ended, but for a file that could not even be opened.
    if done.is_ok() || summary != Summary::default() {
        options.remote.print(&summary, |summary| summary.text(options.what))?;
    }
    done.and_then(|()| summary.result())
}
