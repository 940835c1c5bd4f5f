//! Imports orders in batches of up to a thousand, one after the other, each order under a key.

use std::path::Path;

use client::wire::{BatchRequest, BatchResult, OrderRequest, Outcome};
use client::{Client, Error};
use indicatif::ProgressBar;

use super::catalogue::Catalogue;
use super::parts::Orders;
use super::rows::ImportedOrder;
use super::summary::Summary;
use super::{Format, Line, key_prefix, lines, open, references, with_key};
use crate::exit::CliError;
use crate::remote;
use crate::signals::StopFlag;

/// About the largest request, in bytes: half of what the server takes.
const BATCH_BYTES: usize = 8 << 20;

/// Places the orders of a file.
pub(super) async fn import(
    client: &Client,
    path: &Path,
    format: Format,
    stop: &StopFlag,
    summary: &mut Summary,
) -> Result<(), CliError> {
    let prefix = key_prefix(open(path)?.0)?;
    let (file, bar) = open(path)?;
    let mut batch = Batch::default();
    let mut catalogue = None;
    for line in Orders::new(lines::<ImportedOrder>(bar.wrap_read(file), format)?) {
        let Line { number, body } = line?;
        summary.lines += 1;
        if catalogue.is_none() && body.as_ref().is_ok_and(references::needs_catalogue) {
            catalogue = Some(Catalogue::read(client).await?);
        }
        let nothing = Catalogue::default();
        let here = catalogue.as_ref().unwrap_or(&nothing);
        match body.and_then(|order| references::resolve(order, here)) {
            Ok(order) => batch.push(number, with_key(order, &prefix, number)),
            Err(wrong) => {
                bar.suspend(|| eprintln!("line {number}: {wrong}"));
                summary.failed += 1;
            }
        }
        if batch.is_full() {
            send(client, std::mem::take(&mut batch), &bar, summary).await?;
        }
        if stop.is_raised() {
            // The orders that were read and not sent are not counted.
            summary.lines -= batch.orders.len() as u64;
            let line = batch.numbers.first().copied().unwrap_or(number + 1);
            bar.finish_and_clear();
            return Err(CliError::Failed(format!(
                "stopped by a signal at line {line}: run the import again to continue; it places no \
                 order twice"
            )));
        }
    }
    if !batch.orders.is_empty() {
        send(client, batch, &bar, summary).await?;
    }
    bar.finish_and_clear();
    Ok(())
}

/// Orders of one request, with their lines.
#[derive(Default)]
struct Batch {
    numbers: Vec<u64>,
    orders: Vec<OrderRequest>,
    bytes: usize,
}

impl Batch {
    fn push(&mut self, number: u64, order: OrderRequest) {
        let metadata = order
            .metadata
            .as_ref()
            .map_or(0, |metadata| serde_json::to_string(metadata).map_or(0, |text| text.len()));
        self.bytes += 256 + 48 * order.items.len() + metadata;
        self.numbers.push(number);
        self.orders.push(order);
    }

    fn is_full(&self) -> bool {
        self.orders.len() >= BatchRequest::ORDERS_MAX || self.bytes >= BATCH_BYTES
    }
}

async fn send(
    client: &Client,
    batch: Batch,
    bar: &ProgressBar,
    summary: &mut Summary,
) -> Result<(), CliError> {
    let Batch { numbers, orders, .. } = batch;
    let (first, count) = (numbers.first().copied().unwrap_or(0), numbers.len() as u64);
    let answer = client.place_batch(&BatchRequest::of(orders)).await;
    let results = answer.map_err(|error| stopped(&error, first, count, bar, summary))?.data;
    for (line, result) in numbers.into_iter().zip(&results) {
        take(line, result, bar, summary);
    }
    bar.set_message(format!("{} placed", summary.made));
    Ok(())
}

/// Counts the orders of a failed request and stops the import.
fn stopped(
    error: &Error,
    first: u64,
    count: u64,
    bar: &ProgressBar,
    summary: &mut Summary,
) -> CliError {
    let is_unknown = error.outcome() == Outcome::Unknown;
    *(if is_unknown { &mut summary.unknown } else { &mut summary.failed }) += count;
    bar.suspend(|| {
        eprintln!(
            "stopped at line {first}: run the import again to continue; it places no order twice"
        );
    });
    remote::failure(error)
}

fn take(line: u64, result: &BatchResult, bar: &ProgressBar, summary: &mut Summary) {
    if result.is_replay() {
        summary.there += 1;
    } else if result.order.is_some() {
        summary.made += 1;
    } else {
        let code = result.error.as_deref().unwrap_or("unknown_error");
        let words = result.message.as_deref().unwrap_or_default();
        bar.suspend(|| eprintln!("line {line}: {words} ({code})"));
        let is_unknown = result.outcome == Some(Outcome::Unknown);
        *(if is_unknown { &mut summary.unknown } else { &mut summary.failed }) += 1;
    }
}
