//! Importing products: one request each, several at a time.

use std::collections::HashMap;
use std::path::Path;

use client::wire::{Outcome, ProductRequest};
use client::{Client, Error, ProductQuery};
use indicatif::ProgressBar;
use tokio::task::JoinSet;

use super::summary::Summary;
use super::{Format, Line, lines, open};
use crate::exit::Failure;
use crate::remote;

/// Requests that are under way at once.
const AT_ONCE: usize = 16;

/// How often a product with a SKU is asked for when it is not known whether it was created.
const ASKED_MAX: u32 = 3;

/// What became of a line.
enum Fate {
    Made,
    Failed(String),
    Unknown(String),
    /// The cluster cannot be reached, so going on is of no use.
    Lost(Failure),
}

/// Creates the products of a file.
pub(super) async fn import(
    client: &Client,
    path: &Path,
    format: Format,
    summary: &mut Summary,
) -> Result<(), Failure> {
    let (file, bar) = open(path)?;
    let known = skus(client).await?;
    let mut running: JoinSet<(u64, Fate)> = JoinSet::new();
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
        while running.len() >= AT_ONCE && lost.is_none() {
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
            eprintln!("stopped at line {line}; run it again to go on");
            Err(failure)
        }
        None => Ok(()),
    }
}

/// The SKUs that are there.
async fn skus(client: &Client) -> Result<HashMap<String, u64>, Failure> {
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

/// Takes the next result in.
async fn settle(
    running: &mut JoinSet<(u64, Fate)>,
    bar: &ProgressBar,
    summary: &mut Summary,
    lost: &mut Option<(u64, Failure)>,
) {
    match running.join_next().await {
        Some(Ok((_, Fate::Made))) => summary.made += 1,
        Some(Ok((line, Fate::Failed(wrong)))) => note(bar, line, &wrong, summary),
        Some(Ok((line, Fate::Unknown(wrong)))) => {
            bar.suspend(|| eprintln!("line {line}: {wrong}"));
            summary.unknown += 1;
        }
        Some(Ok((line, Fate::Lost(failure)))) => {
            let earlier = lost.as_ref().is_some_and(|(other, _)| *other <= line);
            if !earlier {
                *lost = Some((line, failure));
            }
            summary.failed += 1;
        }
        Some(Err(error)) => {
            lost.get_or_insert((0, Failure::because("a request was given up", &error)));
        }
        None => {}
    }
}

fn note(bar: &ProgressBar, line: u64, wrong: &str, summary: &mut Summary) {
    bar.suspend(|| eprintln!("line {line}: {wrong}"));
    summary.failed += 1;
}

/// Creates a product. One with a SKU can be created once only, so it is asked for again in doubt.
async fn create(client: &Client, product: &ProductRequest) -> Fate {
    let mut in_doubt = false;
    for _ in 0..ASKED_MAX {
        let error = match client.create_product(product).await {
            Ok(_) => return Fate::Made,
            Err(error) => error,
        };
        // Nobody else imports the same file, so whoever took the SKU was the request in doubt.
        if in_doubt && is_sku_taken(&error) {
            return Fate::Made;
        }
        match error.outcome() {
            Outcome::Rejected => return Fate::Failed(remote::failure(&error).to_string()),
            Outcome::NotApplied if error.report().is_none() => {
                return Fate::Failed(remote::failure(&error).to_string());
            }
            Outcome::NotApplied if !in_doubt => return Fate::Lost(remote::failure(&error)),
            Outcome::Unknown | Outcome::NotApplied if product.sku.is_some() => in_doubt = true,
            Outcome::Unknown | Outcome::NotApplied => {
                let text = "it is not known whether the product was created; it has no sku by which \
                            another run could tell";
                return Fate::Unknown(text.to_owned());
            }
        }
    }
    Fate::Unknown("it is not known whether the product was created".to_owned())
}

fn is_sku_taken(error: &Error) -> bool {
    let fields = error.problem().and_then(|problem| problem.errors.as_ref());
    fields.is_some_and(|fields| fields.contains_key("sku"))
}
