//! `holdfast orders batch`: places the orders of a file in one request.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use clap::Args;
use client::wire::{BatchRequest, BatchResult, OrderRequest, Outcome};
use serde::Serialize;

use super::{Format, Line, key_prefix, lines, with_key};
use crate::exit::CliError;
use crate::remote;
use crate::table::{Align, Table, or_dash};

/// Largest file for one request, in bytes.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// The flags of `orders batch`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// Read this file: .csv, .ndjson, or .json with the body of a batch; at most 1,000 orders
    #[arg(value_name = "FILE")]
    path: PathBuf,
    /// Place all orders or none
    #[arg(long)]
    atomic: bool,
    /// Read the file in this format [default: by its extension]
    #[arg(long)]
    format: Option<Format>,
    #[command(flatten)]
    remote: remote::Options,
}

/// The result of one order, as printed.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    line: u64,
    #[serde(flatten)]
    result: &'a BatchResult,
}

/// Runs the command to its end.
pub(crate) async fn run(options: &Options) -> Result<(), CliError> {
    let (numbers, batch) = read(options)?;
    let client = options.remote.client()?;
    let results = match client.place_batch(&batch).await {
        Ok(answer) => answer.data,
        Err(error) => {
            for refused in error.problem().iter().filter_map(|it| it.results.as_ref()).flatten() {
                let line = usize::try_from(refused.index).ok().and_then(|at| numbers.get(at));
                let line = line.copied().unwrap_or_default();
                eprintln!("line {line}: {} ({})", refused.message, refused.error);
            }
            return Err(remote::failure(&error));
        }
    };
    let shown: Vec<Shown<'_>> =
        numbers.iter().zip(&results).map(|(&line, result)| Shown { line, result }).collect();
    options.remote.print(&shown, |shown| table(shown))?;
    let failed: Vec<_> = results.iter().filter(|result| result.order.is_none()).collect();
    if failed.iter().any(|result| result.outcome == Some(Outcome::Unknown)) {
        let text = "the outcome of some orders is unknown: run the command again, which places \
                    no order twice";
        return Err(CliError::Unknown(text.to_owned()));
    }
    match failed.len() {
        0 => Ok(()),
        count => {
            Err(CliError::Refused(format!("{count} of {} orders were refused", results.len())))
        }
    }
}

/// Reads the orders of the file, and the line of each. Gives each order a key.
fn read(options: &Options) -> Result<(Vec<u64>, BatchRequest), CliError> {
    let path = &options.path;
    let bytes = read_file(path)?;
    let prefix = key_prefix(&bytes[..])?;
    let is_object = options.format.is_none() && path.extension().is_some_and(|end| end == "json");
    if is_object {
        let batch: BatchRequest = serde_json::from_slice(&bytes).map_err(|error| {
            CliError::Usage(format!("{} is not a batch: {error}", path.display()))
        })?;
        let orders = (1..).zip(batch.orders).map(|(at, order)| with_key(order, &prefix, at));
        let batch =
            BatchRequest { atomic: batch.atomic || options.atomic, orders: orders.collect() };
        return Ok(((1..=batch.orders.len() as u64).collect(), batch));
    }
    let format = Format::of(options.format, path)?;
    let (mut numbers, mut orders, mut wrong) = (Vec::new(), Vec::new(), Vec::new());
    for line in lines::<OrderRequest>(Cursor::new(bytes), format)? {
        let Line { number, body } = line?;
        match body {
            Ok(order) => {
                numbers.push(number);
                orders.push(with_key(order, &prefix, number));
            }
            Err(text) => wrong.push(format!("line {number}: {text}")),
        }
    }
    if !wrong.is_empty() {
        // Send nothing, so that the user can fix the file first.
        return Err(CliError::Usage(format!(
            "nothing was sent, fix these lines first:\n{}",
            wrong.join("\n")
        )));
    }
    if orders.is_empty() || orders.len() > BatchRequest::ORDERS_MAX {
        return Err(CliError::Usage(format!(
            "{} has {} orders, but one request takes 1 to {}: `holdfast import --what orders` takes \
             any number",
            path.display(),
            orders.len(),
            BatchRequest::ORDERS_MAX
        )));
    }
    Ok((numbers, BatchRequest { atomic: options.atomic, orders }))
}

fn read_file(path: &Path) -> Result<Vec<u8>, CliError> {
    let cannot = |error| CliError::because(format_args!("cannot read {}", path.display()), &error);
    if std::fs::metadata(path).map_err(cannot)?.len() > FILE_BYTES_MAX {
        let text = format!(
            "{} is larger than {FILE_BYTES_MAX} bytes: split it, or use `holdfast import`",
            path.display()
        );
        return Err(CliError::Usage(text));
    }
    std::fs::read(path).map_err(cannot)
}

fn table(shown: &[Shown<'_>]) -> String {
    let mut table = Table::new(&[
        ("LINE", Align::Right),
        ("STATUS", Align::Right),
        ("ORDER", Align::Right),
        ("TOTAL", Align::Right),
        ("ERROR", Align::Left),
        ("MESSAGE", Align::Left),
    ]);
    for Shown { line, result } in shown {
        table.row(vec![
            line.to_string(),
            result.status.to_string(),
            or_dash(result.order.as_ref().map(|order| order.id)),
            or_dash(result.order.as_ref().map(|order| order.total_amount.clone())),
            or_dash(result.error.as_ref()),
            result.message.clone().unwrap_or_default(),
        ]);
    }
    table.to_string()
}
