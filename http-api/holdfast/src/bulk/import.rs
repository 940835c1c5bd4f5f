//! `holdfast import`: creates products or places orders from a file.
//!
//! A second run with the same file continues the first: it skips products that exist, by SKU or by
//! id, and sends orders under the same keys.

use std::path::PathBuf;

use clap::Args;

use super::policy::Policy;
use super::summary::Summary;
use super::{Format, What, orders, products};
use crate::exit::CliError;
use crate::remote;
use crate::signals::StopFlag;

/// The flags of `import`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// Read this file: .csv with a header, or .ndjson with one JSON object per line
    #[arg(value_name = "FILE")]
    pub(crate) path: PathBuf,
    /// Import rows of this kind
    #[arg(long, value_name = "WHAT", default_value = "products")]
    pub(crate) what: What,
    /// Read the file in this format [default: by its extension]
    #[arg(long)]
    pub(crate) format: Option<Format>,
    #[command(flatten)]
    pub(crate) policy: Policy,
    #[command(flatten)]
    pub(crate) remote: remote::Options,
}

/// Runs the command to its end.
pub(crate) fn run(options: &Options) -> Result<(), CliError> {
    let format = Format::of(options.format, &options.path)?;
    let mut summary = Summary::default();
    let stop = StopFlag::install();
    let stop = stop.map_err(|error| CliError::because("cannot catch signals", &error))?;
    let done = remote::block_on(async {
        let client = options.remote.client()?;
        match options.what {
            What::Products => {
                let policy = &options.policy;
                products::import(&client, &options.path, format, policy, &stop, &mut summary).await
            }
            What::Orders => {
                orders::import(&client, &options.path, format, &stop, &mut summary).await
            }
        }
    });
    // Print the summary also after an error, unless the file could not be opened.
    if done.is_ok() || summary != Summary::default() {
        options.remote.print(&summary, |summary| summary.text(options.what))?;
    }
    done?;
    if summary.lines == 0 {
        let text = format!("{} has no rows to import", options.path.display());
        return Err(CliError::Usage(text));
    }
    summary.result()
}
