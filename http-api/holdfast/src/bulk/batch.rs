//! `holdfast orders batch`: place the orders of a file with one request.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use clap::Args;
use client::wire::{BatchRequest, BatchResult, OrderRequest, Outcome};
use serde::Serialize;

use super::{Format, Line, key_prefix, lines, with_key};
use crate::exit::Failure;
use crate::remote;
use crate::table::{Align, Table, or_dash};

/// The largest file that goes into one request, in bytes.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// The flags of `orders batch`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// The file: .csv, .ndjson, or .json with the body of a batch; at most 1,000 orders
    #[arg(value_name = "FILE")]
    path: PathBuf,
    /// Place all orders or none
    #[arg(long)]
    atomic: bool,
    /// Its format, when its name does not tell
    #[arg(long)]
    format: Option<Format>,
    #[command(flatten)]
    remote: remote::Options,
}

/// What became of one order, as it is printed.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    line: u64,
    #[serde(flatten)]
    result: &'a BatchResult,
}

/// Runs it to its end.
pub(crate) async fn run(options: &Options) -> Result<(), Failure> {
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
        let text = "some orders are in doubt; run it again: what was placed has its key";
        return Err(Failure::Unknown(text.to_owned()));
    }
    match failed.len() {
        0 => Ok(()),
        count => Err(Failure::Refused(format!("{count} of {} orders were refused", results.len()))),
    }
}

/// The orders of the file, each with its line and a key.
fn read(options: &Options) -> Result<(Vec<u64>, BatchRequest), Failure> {
    let path = &options.path;
    let bytes = read_file(path)?;
    let prefix = key_prefix(&bytes[..])?;
    let is_object = options.format.is_none() && path.extension().is_some_and(|end| end == "json");
    if is_object {
        let batch: BatchRequest = serde_json::from_slice(&bytes)
            .map_err(|error| Failure::Usage(format!("{} is no batch: {error}", path.display())))?;
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
        // Nothing was sent yet, and whoever wrote the file wants to mend it first.
        return Err(Failure::Usage(format!("nothing was sent\n{}", wrong.join("\n"))));
    }
    if orders.is_empty() || orders.len() > BatchRequest::ORDERS_MAX {
        return Err(Failure::Usage(format!(
            "{} has {} orders, and one request takes 1 to {}; `holdfast import --what orders` takes \
             any number",
            path.display(),
            orders.len(),
            BatchRequest::ORDERS_MAX
        )));
    }
    Ok((numbers, BatchRequest { atomic: options.atomic, orders }))
}

fn read_file(path: &Path) -> Result<Vec<u8>, Failure> {
    let cannot = |error| Failure::because(format_args!("cannot read {}", path.display()), &error);
    if std::fs::metadata(path).map_err(cannot)?.len() > FILE_BYTES_MAX {
        let text = format!("{} is larger than {FILE_BYTES_MAX} bytes", path.display());
        return Err(Failure::Usage(text));
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
