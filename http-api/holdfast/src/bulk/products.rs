//! Imports products, one request each, several at a time.

use std::collections::HashMap;
use std::path::Path;

use client::wire::{Outcome, ProductRequest};
use client::{Client, Error, ProductQuery};
use indicatif::ProgressBar;
use tokio::task::JoinSet;

use super::summary::Summary;
use super::{Format, Line, lines, open};
use crate::exit::CliError;
use crate::remote;

/// Most concurrent requests.
const CONCURRENCY: usize = 16;

/// Most attempts for a product with a SKU whose outcome is unknown.
const ATTEMPTS_MAX: u32 = 3;

/// The result of a line.
enum LineResult {
    Created,
    Failed(String),
    Unknown(String),
    /// The cluster cannot be reached, so the import stops.
    Lost(CliError),
}

/// Creates the products of a file.
pub(super) async fn import(
    client: &Client,
    path: &Path,
    format: Format,
    summary: &mut Summary,
) -> Result<(), CliError> {
    let (file, bar) = open(path)?;
    let known = skus(client).await?;
    let mut running: JoinSet<(u64, LineResult)> = JoinSet::new();
    let mut lost = None;
    for line in lines::<ProductRequest>(bar.wrap_read(file), format)? {
        let Line { number, body } = line?;
        summary.lines += 1;
        let product = match body {
            Ok(product) => product,
            Err(wrong) => {
                note(&bar, number, &wrong, summary);
                continue;
            }
        };
        if product.sku.as_ref().is_some_and(|sku| known.contains_key(sku)) {
            summary.there += 1;
            continue;
        }
        let client = client.clone();
        running.spawn(async move { (number, create(&client, &product).await) });
        while running.len() >= CONCURRENCY && lost.is_none() {
            settle(&mut running, &bar, summary, &mut lost).await;
        }
        if lost.is_some() {
            break;
        }
    }
    while !running.is_empty() {
        settle(&mut running, &bar, summary, &mut lost).await;
    }
    bar.finish_and_clear();
    match lost {
        Some((line, failure)) => {
            eprintln!("stopped at line {line}: run the import again to continue");
            Err(failure)
        }
        None => Ok(()),
    }
}

/// Reads the SKUs of all products.
async fn skus(client: &Client) -> Result<HashMap<String, u64>, CliError> {
    let mut known = HashMap::new();
    let mut query = ProductQuery::default();
    loop {
        let page = client.products(&query).await.map_err(|error| remote::failure(&error))?.data;
        let rows = page.data.into_iter();
        known.extend(rows.filter_map(|product| Some((product.sku?, product.id))));
        if page.meta.next_cursor.is_none() {
            return Ok(known);
        }
        query.cursor = page.meta.next_cursor;
    }
}

/// Counts the next result.
async fn settle(
    running: &mut JoinSet<(u64, LineResult)>,
    bar: &ProgressBar,
    summary: &mut Summary,
    lost: &mut Option<(u64, CliError)>,
) {
    match running.join_next().await {
        Some(Ok((_, LineResult::Created))) => summary.made += 1,
        Some(Ok((line, LineResult::Failed(wrong)))) => note(bar, line, &wrong, summary),
        Some(Ok((line, LineResult::Unknown(wrong)))) => {
            bar.suspend(|| eprintln!("line {line}: {wrong}"));
            summary.unknown += 1;
        }
        Some(Ok((line, LineResult::Lost(failure)))) => {
            let is_later = lost.as_ref().is_some_and(|(other, _)| *other <= line);
            if !is_later {
                *lost = Some((line, failure));
            }
            summary.failed += 1;
        }
        Some(Err(error)) => {
            lost.get_or_insert((0, CliError::because("a request was aborted", &error)));
        }
        None => {}
    }
}

fn note(bar: &ProgressBar, line: u64, wrong: &str, summary: &mut Summary) {
    bar.suspend(|| eprintln!("line {line}: {wrong}"));
    summary.failed += 1;
}

/// Creates a product. After an unknown outcome it repeats the request if the product has a SKU,
/// which is unique.
async fn create(client: &Client, product: &ProductRequest) -> LineResult {
    let mut is_unknown = false;
    for _ in 0..ATTEMPTS_MAX {
        let error = match client.create_product(product).await {
            Ok(_) => return LineResult::Created,
            Err(error) => error,
        };
        // Nobody else imports this file, so the request with the unknown outcome took the SKU.
        if is_unknown && is_sku_taken(&error) {
            return LineResult::Created;
        }
        match error.outcome() {
            Outcome::Rejected => return LineResult::Failed(remote::failure(&error).to_string()),
            Outcome::NotApplied if error.report().is_none() => {
                return LineResult::Failed(remote::failure(&error).to_string());
            }
            Outcome::NotApplied if !is_unknown => return LineResult::Lost(remote::failure(&error)),
            Outcome::Unknown | Outcome::NotApplied if product.sku.is_some() => is_unknown = true,
            Outcome::Unknown | Outcome::NotApplied => {
                let text = "unknown whether the product was created; it has no SKU, so check the list \
                            of products before you import the line again";
                return LineResult::Unknown(text.to_owned());
            }
        }
    }
    LineResult::Unknown("unknown whether the product was created: run the import again".to_owned())
}

fn is_sku_taken(error: &Error) -> bool {
    let fields = error.problem().and_then(|problem| problem.errors.as_ref());
    fields.is_some_and(|fields| fields.contains_key("sku"))
}
