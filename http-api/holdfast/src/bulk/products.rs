//! Imports products. Those of a file with ids are created one after the other, so that each gets
//! its id; others several at a time.

use std::collections::HashMap;
use std::path::Path;

use client::wire::{Outcome, Patch, Product, ProductPatch, ProductRequest};
use client::{Client, Error};
use indicatif::ProgressBar;
use tokio::task::JoinSet;

use super::catalogue::Catalogue;
use super::cell;
use super::policy::{OnExisting, Policy};
use super::rows::ImportedProduct;
use super::summary::Summary;
use super::{Format, Line, lines, open};
use crate::exit::CliError;
use crate::remote;
use crate::signals::StopFlag;

/// Most concurrent requests.
const CONCURRENCY: usize = 16;

/// Most attempts for a product with a SKU whose outcome is unknown.
const ATTEMPTS_MAX: u32 = 3;

/// The result of a line.
enum LineResult {
    /// With its id, if the answer arrived.
    Created(Option<Box<Product>>),
    Updated,
    Failed(String),
    Unknown(String),
    /// The cluster cannot be reached, so the import stops.
    Lost(CliError),
}

/// Creates or updates the products of a file.
pub(super) async fn import(
    client: &Client,
    path: &Path,
    format: Format,
    policy: &Policy,
    stop: &StopFlag,
    summary: &mut Summary,
) -> Result<(), CliError> {
    let (file, bar) = open(path)?;
    let catalogue = Catalogue::read(client).await?;
    let id_next = catalogue.id_max() + 1;
    let (running, skus, lost) = (JoinSet::new(), HashMap::new(), None);
    let mut import =
        Import { client, policy, bar, summary, catalogue, id_next, skus, running, lost };
    for line in lines::<ImportedProduct>(import.bar.wrap_read(file), format)? {
        let Line { number, body } = line?;
        import.summary.lines += 1;
        match body {
            Ok(product) => import.take(number, product).await,
            Err(wrong) => import.refuse(number, &wrong),
        }
        if import.lost.is_none() && stop.is_raised() {
            import.lost = Some((number + 1, CliError::Failed("stopped by a signal".to_owned())));
        }
        if import.lost.is_some() {
            break;
        }
    }
    import.finish().await
}

/// An import under way.
struct Import<'a> {
    client: &'a Client,
    policy: &'a Policy,
    bar: ProgressBar,
    summary: &'a mut Summary,
    /// The products before the import.
    catalogue: Catalogue,
    /// The id that the next new product gets, as far as is known.
    id_next: u64,
    /// The line of each SKU of the file.
    skus: HashMap<String, u64>,
    running: JoinSet<(u64, LineResult)>,
    /// The line at which the import stops, and why.
    lost: Option<(u64, CliError)>,
}

impl Import<'_> {
    async fn take(&mut self, number: u64, product: ImportedProduct) {
        let ImportedProduct { id, request } = product;
        let id = id.filter(|_| !self.policy.new_ids);
        if let Some(sku) = &request.sku
            && let Some(first) = self.skus.insert(sku.clone(), number)
        {
            self.refuse(number, &format!("line {first} has the SKU {sku:?} too"));
            return;
        }
        match self.existing(id, &request) {
            Err(wrong) => self.refuse(number, &wrong),
            Ok(Some(existing)) => {
                let (patch, words) = differences(existing, &request);
                let id = existing.id;
                self.settle_existing(number, id, patch, &words).await;
            }
            Ok(None) => match (id, &request.sku) {
                (Some(id), sku) => {
                    let is_fixed = sku.is_none();
                    self.create_next(number, id, is_fixed, &request).await;
                }
                (None, None) if !self.policy.allow_duplicates => {
                    let wrong = "it has no SKU, so another import would create it again: give it a \
                                 SKU, or import with --allow-duplicates";
                    self.refuse(number, wrong);
                }
                (None, _) => {
                    let client = self.client.clone();
                    self.spawn(async move { (number, create(&client, &request).await) }).await;
                }
            },
        }
    }

    /// The product of the cluster that the file means.
    fn existing(
        &self,
        id: Option<u64>,
        request: &ProductRequest,
    ) -> Result<Option<&Product>, String> {
        if let Some(sku) = &request.sku {
            return Ok(self.catalogue.with_sku(sku));
        }
        let Some(here) = id.and_then(|id| self.catalogue.with_id(id)) else { return Ok(None) };
        if here.name == request.name {
            return Ok(Some(here));
        }
        Err(format!(
            "product {} is {:?} here, and without a SKU nothing but the id refers to it: give it a SKU, \
             or import with --new-ids",
            here.id, here.name
        ))
    }

    async fn settle_existing(
        &mut self,
        number: u64,
        id: u64,
        patch: ProductPatch,
        words: &[String],
    ) {
        if words.is_empty() {
            self.summary.there += 1;
            return;
        }
        let words = words.join(", ");
        match self.policy.on_existing {
            OnExisting::Skip => {
                self.summary.skipped += 1;
                self.note(number, &format!("product {id} stays as it is: {words}"));
            }
            OnExisting::Fail => self.refuse(number, &format!("product {id} differs: {words}")),
            OnExisting::Update => {
                let client = self.client.clone();
                self.spawn(async move { (number, update(&client, id, &patch).await) }).await;
            }
        }
    }

    /// Creates a product that should get the id `id`, and must if it `is_fixed`.
    async fn create_next(
        &mut self,
        number: u64,
        id: u64,
        is_fixed: bool,
        request: &ProductRequest,
    ) {
        while !self.running.is_empty() {
            self.settle().await;
        }
        if is_fixed && id != self.id_next {
            let wrong = format!(
                "it cannot keep its id {id}, since the next one here is {}, and without a SKU \
                 nothing but the id refers to it: give it a SKU, or import with --new-ids",
                self.id_next
            );
            self.refuse(number, &wrong);
            return;
        }
        let result = create(self.client, request).await;
        if let LineResult::Created(Some(product)) = &result {
            self.id_next = product.id + 1;
            if product.id != id && is_fixed {
                // Nobody knows of the product yet.
                let gone = self.client.archive_product(product.id, Some(product.version)).await;
                let gone = if gone.is_ok() { "was archived" } else { "must be archived" };
                let text = format!(
                    "the product got the id {}, not {id}, and {gone}: archived products or another \
                     writer take ids; give products SKUs, or import with --new-ids",
                    product.id
                );
                self.summary.failed += 1;
                self.lost = Some((number, CliError::Refused(text)));
                return;
            }
            self.summary.renumbered += u64::from(product.id != id);
        }
        // Whether the product has taken an id is unknown, so the next one may get a wrong one.
        let is_unknown = matches!(result, LineResult::Unknown(_) | LineResult::Created(None));
        self.count(number, result);
        if is_unknown && self.lost.is_none() {
            let text = "an answer was lost, so the ids of the next products are unknown";
            self.lost = Some((number, CliError::Unknown(text.to_owned())));
        }
    }

    async fn spawn(&mut self, work: impl Future<Output = (u64, LineResult)> + Send + 'static) {
        self.running.spawn(work);
        while self.running.len() >= CONCURRENCY && self.lost.is_none() {
            self.settle().await;
        }
    }

    /// Waits for the next result and counts it.
    async fn settle(&mut self) {
        match self.running.join_next().await {
            Some(Ok((number, result))) => self.count(number, result),
            Some(Err(error)) => {
                let error = CliError::because("a request was aborted", &error);
                self.lost.get_or_insert((0, error));
            }
            None => {}
        }
    }

    fn count(&mut self, number: u64, result: LineResult) {
        match result {
            LineResult::Created(_) => self.summary.made += 1,
            LineResult::Updated => self.summary.updated += 1,
            LineResult::Failed(wrong) => self.refuse(number, &wrong),
            LineResult::Unknown(wrong) => {
                self.note(number, &wrong);
                self.summary.unknown += 1;
            }
            LineResult::Lost(failure) => {
                let is_later = self.lost.as_ref().is_some_and(|(other, _)| *other <= number);
                if !is_later {
                    self.lost = Some((number, failure));
                }
                self.summary.failed += 1;
            }
        }
    }

    fn refuse(&mut self, number: u64, wrong: &str) {
        self.note(number, wrong);
        self.summary.failed += 1;
    }

    fn note(&self, number: u64, words: &str) {
        self.bar.suspend(|| eprintln!("line {number}: {words}"));
    }

    async fn finish(mut self) -> Result<(), CliError> {
        while !self.running.is_empty() {
            self.settle().await;
        }
        self.bar.finish_and_clear();
        if self.summary.renumbered > 0 {
            eprintln!(
                "note: {} products have other ids here than in the file; orders of an export find \
                 them by SKU",
                self.summary.renumbered
            );
        }
        match self.lost {
            Some((line, failure)) => {
                eprintln!("stopped at line {line}: run the import again to continue");
                Err(failure)
            }
            None => Ok(()),
        }
    }
}

/// The fields of a product that the file changes, and a text that says so. Leaves out empty cells,
/// and the stock, which sales change all the time.
fn differences(here: &Product, file: &ProductRequest) -> (ProductPatch, Vec<String>) {
    let mut patch = ProductPatch::default();
    let mut words = Vec::new();
    if here.name != file.name {
        words.push(format!("its name is {:?} here and {:?} in the file", here.name, file.name));
        patch.name = Some(file.name.clone());
    }
    if minor(&here.price) != minor(&file.price) {
        words.push(format!("its price is {} here and {} in the file", here.price, file.price));
        patch.price = Some(file.price.clone());
    }
    let mut limit = |name: &str, here: Option<u64>, file: Option<u64>| match file {
        Some(limit) if here != file => {
            let here = here.map_or("none".to_owned(), |here| here.to_string());
            words.push(format!("its {name} is {here} here and {limit} in the file"));
            Patch::Set(limit)
        }
        _ => Patch::Keep,
    };
    patch.max_per_order = limit("max_per_order", here.max_per_order, file.max_per_order);
    patch.max_per_user = limit("max_per_user", here.max_per_user, file.max_per_user);
    patch.low_stock_threshold =
        limit("low_stock_threshold", here.low_stock_threshold, file.low_stock_threshold);
    (patch, words)
}

/// A price without zeros at its ends, so that `9.5` and `9.50` are equal.
fn minor(price: &str) -> String {
    let price = cell::price(price).unwrap_or_else(|_| price.to_owned());
    let (whole, places) = price.split_once('.').unwrap_or((&price, ""));
    format!("{}.{places:0<2}", whole.trim_start_matches('0'))
}

async fn update(client: &Client, id: u64, patch: &ProductPatch) -> LineResult {
    match client.patch_product(id, patch, None).await {
        Ok(_) => LineResult::Updated,
        Err(error) => match error.outcome() {
            Outcome::Rejected => LineResult::Failed(remote::failure(&error).to_string()),
            Outcome::NotApplied => LineResult::Lost(remote::failure(&error)),
            Outcome::Unknown => {
                LineResult::Unknown("unknown whether it was updated: run the import again".into())
            }
        },
    }
}

/// Creates a product. After an unknown outcome it repeats the request if the product has a SKU,
/// which is unique.
async fn create(client: &Client, product: &ProductRequest) -> LineResult {
    let mut is_unknown = false;
    for _ in 0..ATTEMPTS_MAX {
        let error = match client.create_product(product).await {
            Ok(answer) => return LineResult::Created(Some(Box::new(answer.data))),
            Err(error) => error,
        };
        // Nobody else imports this file, so the request with the unknown outcome took the SKU.
        if is_unknown && is_sku_taken(&error) {
            return LineResult::Created(None);
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
