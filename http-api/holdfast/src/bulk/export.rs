//! `holdfast export`: writes products or orders to a file or to standard output.
//!
//! The cluster goes on while pages are read, so each row has the state of when its page was read.
//! In CSV, text that a spreadsheet would run as a formula has `'` before it; `import` removes it.

use std::borrow::Cow;
use std::fs::{self, File};
use std::io::{BufWriter, ErrorKind, Write};
use std::path::PathBuf;

use clap::Args;
use client::wire::{Order, OrderLine, Product};
use client::{Client, OrderQuery, Paging, ProductQuery};
use indicatif::ProgressBar;
use serde::Serialize;
use serde_json::Value;

use super::catalogue::Catalogue;
use super::{Format, What, cell};
use crate::exit::CliError;
use crate::{progress, remote};

/// Rows per page.
const PAGE: u64 = 1000;

/// The name of a product that is archived, and so cannot be read any more.
const ARCHIVED: &str = "(archived)";

/// The flags of `export`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// Write these rows: products by id, or orders, newest first, with the SKUs of their products
    #[arg(long, value_name = "WHAT", default_value = "products")]
    what: What,
    /// Write this file [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace the file if it exists
    #[arg(long)]
    force: bool,
    /// Write this format [default: by the extension of the file, else ndjson]
    #[arg(long)]
    format: Option<Format>,
    #[command(flatten)]
    remote: remote::Options,
}

/// A product as a row of a CSV file, which `import` can read.
#[derive(Debug, Serialize)]
struct ProductRow<'a> {
    id: u64,
    name: Cow<'a, str>,
    sku: Option<Cow<'a, str>>,
    price: &'a str,
    stock: u64,
    max_per_order: Option<u64>,
    max_per_user: Option<u64>,
    low_stock_threshold: Option<u64>,
    opens_at: Option<&'a str>,
    closes_at: Option<&'a str>,
    min_per_order: Option<u64>,
    max_held_per_user: Option<u64>,
    window_units: Option<u64>,
    window_days: Option<u64>,
    on_hand: u64,
    held: u64,
    reserved: u64,
    sold: u64,
    created_at: &'a str,
    updated_at: &'a str,
    version: u64,
}

/// A line of an order as a row of a CSV file.
#[derive(Debug, Serialize)]
struct LineRow<'a> {
    order_id: u64,
    line: u64,
    status: &'static str,
    user_id: Option<u64>,
    payment_method: &'static str,
    product_id: u64,
    sku: Option<Cow<'a, str>>,
    product_name: Cow<'a, str>,
    quantity: u64,
    unit_price: &'a str,
    line_total: &'a str,
    idempotency_key: Option<Cow<'a, str>>,
    client_reference: Option<Cow<'a, str>>,
    created_at: &'a str,
    updated_at: &'a str,
    version: u64,
}

/// Runs the command to its end.
pub(crate) fn run(options: &Options) -> Result<(), CliError> {
    let format = match &options.output {
        Some(path) => Format::of(options.format, path)?,
        None => options.format.unwrap_or(Format::Ndjson),
    };
    let target = Target::open(options.output.as_ref(), options.force)?;
    let mut sink = Sink::new(target, format);
    let bar = ProgressBar::no_length();
    bar.set_style(progress::style("{spinner} {pos} rows, {rate}"));
    remote::block_on(async {
        let client = options.remote.client()?;
        match options.what {
            What::Products => products(&client, &mut sink, &bar).await,
            What::Orders => orders(&client, &mut sink, &bar).await,
        }
    })?;
    bar.finish_and_clear();
    sink.finish()
}

async fn products(client: &Client, sink: &mut Sink, bar: &ProgressBar) -> Result<(), CliError> {
    let mut query = ProductQuery { limit: Some(PAGE), ..ProductQuery::default() };
    loop {
        let page = client.products(&query).await.map_err(|error| remote::failure(&error))?.data;
        for product in &page.data {
            sink.write(product, std::iter::once(product).map(product_row))?;
        }
        bar.inc(page.data.len() as u64);
        if page.meta.next_cursor.is_none() || sink.is_unread() {
            return Ok(());
        }
        query.cursor = page.meta.next_cursor;
    }
}

async fn orders(client: &Client, sink: &mut Sink, bar: &ProgressBar) -> Result<(), CliError> {
    // Ids mean nothing in another cluster, so lines name their products too.
    let catalogue = Catalogue::read(client).await?;
    let mut cursor = None;
    loop {
        let paging = Paging::Cursor { cursor, limit: PAGE };
        let query = OrderQuery { paging, ..OrderQuery::default() };
        let page = client.orders(&query).await.map_err(|error| remote::failure(&error))?.data;
        for order in &page.data {
            let rows = order.items.iter().map(|line| line_row(order, line, &catalogue));
            sink.write(&with_names(order, &catalogue)?, rows)?;
        }
        bar.inc(page.data.len() as u64);
        if page.meta.next_cursor.is_none() || sink.is_unread() {
            return Ok(());
        }
        cursor = page.meta.next_cursor;
    }
}

fn product_row(product: &Product) -> ProductRow<'_> {
    ProductRow {
        id: product.id,
        name: cell::neutral(&product.name),
        sku: product.sku.as_deref().map(cell::neutral),
        price: &product.price,
        stock: product.stock,
        max_per_order: product.max_per_order,
        max_per_user: product.max_per_user,
        low_stock_threshold: product.low_stock_threshold,
        opens_at: product.opens_at.as_deref(),
        closes_at: product.closes_at.as_deref(),
        min_per_order: product.min_per_order,
        max_held_per_user: product.max_held_per_user,
        window_units: product.per_window.map(|limit| limit.units),
        window_days: product.per_window.map(|limit| limit.days),
        on_hand: product.on_hand,
        held: product.held,
        reserved: product.reserved,
        sold: product.sold,
        created_at: &product.created_at,
        updated_at: &product.updated_at,
        version: product.version,
    }
}

/// An order whose lines have the SKU and the name of their product.
fn with_names(order: &Order, catalogue: &Catalogue) -> Result<Value, CliError> {
    let mut whole = serde_json::to_value(order).map_err(|error| cannot(&error))?;
    let lines = whole["items"].as_array_mut().into_iter().flatten();
    for (line, object) in order.items.iter().zip(lines) {
        let (sku, name) = names(line, catalogue);
        object["sku"] = sku.into();
        object["product_name"] = name.into();
    }
    Ok(whole)
}

/// The SKU and the name of the product of a line.
fn names<'a>(line: &OrderLine, catalogue: &'a Catalogue) -> (Option<&'a str>, &'a str) {
    match catalogue.with_id(line.product_id) {
        Some(product) => (product.sku.as_deref(), &product.name),
        None => (None, ARCHIVED),
    }
}

fn line_row<'a>(order: &'a Order, line: &'a OrderLine, catalogue: &'a Catalogue) -> LineRow<'a> {
    let (sku, name) = names(line, catalogue);
    LineRow {
        order_id: order.id,
        line: line.id,
        status: order.status.as_str(),
        user_id: order.user_id,
        payment_method: order.payment_method.as_str(),
        product_id: line.product_id,
        sku: sku.map(cell::neutral),
        product_name: cell::neutral(name),
        quantity: line.quantity,
        unit_price: &line.unit_price,
        line_total: &line.line_total,
        idempotency_key: order.idempotency_key.as_deref().map(cell::neutral),
        client_reference: order.client_reference.as_deref().map(cell::neutral),
        created_at: &order.created_at,
        updated_at: &order.updated_at,
        version: order.version,
    }
}

/// The destination: standard output, or a file that is renamed into place once it is complete.
enum Target {
    Output {
        output: std::io::Stdout,
        /// The reader has closed the pipe, as `head` does. The rest is discarded without an error.
        unread: bool,
    },
    File {
        file: File,
        part: PathBuf,
        path: PathBuf,
    },
}

impl Target {
    fn open(path: Option<&PathBuf>, force: bool) -> Result<Target, CliError> {
        let Some(path) = path else {
            return Ok(Target::Output { output: std::io::stdout(), unread: false });
        };
        let mut part = path.clone().into_os_string();
        part.push(".part");
        let part = PathBuf::from(part);
        if !force && path.symlink_metadata().is_ok() {
            return Err(CliError::Usage(format!(
                "{} exists already: name another file, or replace it with --force",
                path.display()
            )));
        }
        let cannot =
            |error| CliError::because(format_args!("cannot write {}", part.display()), &error);
        if force && part.symlink_metadata().is_ok() {
            fs::remove_file(&part).map_err(cannot)?;
        }
        // A new file: opening an existing one would follow a link that somebody put there.
        let file = File::create_new(&part).map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => CliError::Usage(format!(
                "{} exists already, of an export that runs or was stopped: remove it, or replace it \
                 with --force",
                part.display()
            )),
            _ => cannot(error),
        })?;
        Ok(Target::File { file, part, path: path.clone() })
    }
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Target::Output { unread: true, .. } => Ok(bytes.len()),
            Target::Output { output, unread } => match output.write(bytes) {
                Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                    *unread = true;
                    Ok(bytes.len())
                }
                other => other,
            },
            Target::File { file, .. } => file.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Target::Output { unread: true, .. } => Ok(()),
            Target::Output { output, .. } => output.flush(),
            Target::File { file, .. } => file.sync_all(),
        }
    }
}

/// Writes rows in the format of the file.
enum Sink {
    Csv(Box<csv::Writer<Target>>),
    Ndjson(BufWriter<Target>),
}

impl Sink {
    fn new(target: Target, format: Format) -> Sink {
        match format {
            Format::Csv => Sink::Csv(Box::new(csv::Writer::from_writer(target))),
            Format::Ndjson => Sink::Ndjson(BufWriter::new(target)),
        }
    }

    /// Writes one object, or the rows that represent it.
    fn write<R: Serialize>(
        &mut self,
        whole: &impl Serialize,
        rows: impl Iterator<Item = R>,
    ) -> Result<(), CliError> {
        match self {
            Sink::Csv(writer) => {
                for row in rows {
                    writer.serialize(row).map_err(|error| cannot(&error))?;
                }
                Ok(())
            }
            Sink::Ndjson(writer) => {
                serde_json::to_writer(&mut *writer, whole).map_err(|error| cannot(&error))?;
                writer.write_all(b"\n").map_err(|error| cannot(&error))
            }
        }
    }

    /// Whether the reader has closed the pipe.
    fn is_unread(&self) -> bool {
        let target = match self {
            Sink::Csv(writer) => writer.get_ref(),
            Sink::Ndjson(writer) => writer.get_ref(),
        };
        matches!(target, Target::Output { unread: true, .. })
    }

    fn finish(self) -> Result<(), CliError> {
        let mut target = match self {
            Sink::Csv(writer) => writer.into_inner().map_err(|error| cannot(error.error()))?,
            Sink::Ndjson(writer) => writer.into_inner().map_err(|error| cannot(error.error()))?,
        };
        target.flush().map_err(|error| cannot(&error))?;
        match target {
            Target::Output { .. } => Ok(()),
            Target::File { part, path, .. } => {
                fs::rename(&part, &path).map_err(|error| cannot(&error))
            }
        }
    }
}

fn cannot(error: &dyn std::error::Error) -> CliError {
    CliError::because("cannot write the export", error)
}
