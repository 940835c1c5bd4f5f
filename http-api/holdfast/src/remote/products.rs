//! `holdfast products`: list, create, change and archive products. Stock has its own file.

use clap::{Args, Subcommand, ValueEnum};
use client::ProductQuery;
use client::wire::{Patch, PerWindow, Product, ProductPatch, ProductRequest};

use crate::address;
use crate::exit::CliError;
use crate::remote;
use crate::remote::stock;
use crate::table::{Align, Table, or_dash};

/// The subcommands of `products`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    /// List products with their stock
    List(List),
    /// Create a product
    Create(Create),
    /// Update the given fields of a product
    Update(Update),
    /// Archive a product: it takes no new orders, and open ones still settle
    Archive(Archive),
    /// Adjust the stock of a product, with a reason
    Adjust(stock::Adjust),
    /// Show every stock movement of a product
    Ledger(stock::Ledger),
}

/// The flags of `products list`.
#[derive(Debug, Clone, Args)]
pub(crate) struct List {
    /// List only these products
    #[arg(long, value_name = "ID,…", value_delimiter = ',')]
    ids: Vec<u64>,
    /// List only the product with this SKU
    #[arg(long)]
    sku: Option<String>,
    /// List at most this many products, by id
    #[arg(long, value_name = "N", default_value = "10000")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=10_000))]
    limit: u64,
    /// Continue an earlier list that reached its limit
    #[arg(long)]
    cursor: Option<String>,
    #[command(flatten)]
    remote: remote::Options,
}

/// The flags of `products create`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Create {
    /// Set the name
    #[arg(long)]
    name: String,
    /// Set the price of one unit, such as 999.99
    #[arg(long)]
    price: String,
    /// Set the units for sale
    #[arg(long, value_name = "N")]
    stock: u64,
    #[command(flatten)]
    optional: Optional,
    #[command(flatten)]
    remote: remote::Options,
}

/// The flags for the optional fields of a product.
#[derive(Debug, Clone, Args)]
#[group(skip)]
struct Optional {
    /// Set your own identifier of the product
    #[arg(long)]
    sku: Option<String>,
    /// Allow at most this many units per order
    #[arg(long, value_name = "N")]
    max_per_order: Option<u64>,
    /// Allow at most this many units per user; orders must then name a user
    #[arg(long, value_name = "N")]
    max_per_user: Option<u64>,
    /// Send an event when this many units or fewer are left for sale
    #[arg(long, value_name = "N")]
    low_stock_threshold: Option<u64>,
    /// Open the sale at this time, such as 2026-03-01T12:00:00Z; refuse orders and holds before
    #[arg(long, value_name = "TIME")]
    opens_at: Option<String>,
    /// Close the sale at this time; holds made before may still become orders
    #[arg(long, value_name = "TIME")]
    closes_at: Option<String>,
    /// Require at least this many units per order
    #[arg(long, value_name = "N")]
    min_per_order: Option<u64>,
    /// Allow at most this many units per user in active holds; holds must then name a user
    #[arg(long, value_name = "N")]
    max_held_per_user: Option<u64>,
    /// Allow at most this many units per user in this many days, such as 2:28; orders and holds
    /// must then name a user
    #[arg(long, value_name = "UNITS:DAYS", value_parser = per_window)]
    per_window: Option<PerWindow>,
}

/// Parses `2:28`.
fn per_window(text: &str) -> Result<PerWindow, String> {
    let numbers = text.split_once(':').and_then(|(units, days)| {
        Some(PerWindow { units: units.parse().ok()?, days: days.parse().ok()? })
    });
    numbers.ok_or_else(|| format!("`{text}` is not UNITS:DAYS, as in 2:28"))
}

/// The flags of `products update`.
#[derive(Debug, Clone, Args)]
#[group(id = "changed", required = true, multiple = true)]
#[group(args = ["name", "price", "stock", "sku", "max_per_order", "max_per_user"])]
#[group(args = ["low_stock_threshold", "clear", "opens_at", "closes_at", "min_per_order"])]
#[group(args = ["max_held_per_user", "per_window"])]
pub(crate) struct Update {
    /// The id of the product
    #[arg(value_parser = address::row_id)]
    id: u64,
    /// Set the name
    #[arg(long)]
    name: Option<String>,
    /// Set the price of one unit, such as 999.99; existing orders keep theirs
    #[arg(long)]
    price: Option<String>,
    /// Set the units for sale, without those held or reserved
    #[arg(long, value_name = "N")]
    stock: Option<u64>,
    #[command(flatten)]
    optional: Optional,
    /// Clear these fields
    #[arg(long, value_name = "FIELD,…", value_delimiter = ',')]
    clear: Vec<Field>,
    /// Change the product only if it has this version
    #[arg(long, value_name = "VERSION")]
    if_match: Option<u64>,
    #[command(flatten)]
    remote: remote::Options,
}

/// The optional fields of a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Field {
    Sku,
    MaxPerOrder,
    MaxPerUser,
    LowStockThreshold,
    OpensAt,
    ClosesAt,
    MinPerOrder,
    MaxHeldPerUser,
    PerWindow,
}

/// The flags of `products archive`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Archive {
    /// The id of the product
    #[arg(value_parser = address::row_id)]
    id: u64,
    /// Change the product only if it has this version
    #[arg(long, value_name = "VERSION")]
    if_match: Option<u64>,
    #[command(flatten)]
    remote: remote::Options,
}

/// Runs the command to its end.
pub(crate) fn run(command: &Command) -> Result<(), CliError> {
    match command {
        Command::List(options) => remote::block_on(list(options)),
        Command::Create(options) => remote::block_on(create(options)),
        Command::Update(options) => remote::block_on(update(options)),
        Command::Archive(options) => remote::block_on(archive(options)),
        Command::Adjust(options) => remote::block_on(stock::adjust(options)),
        Command::Ledger(options) => remote::block_on(stock::ledger(options)),
    }
}

async fn list(options: &List) -> Result<(), CliError> {
    let query = ProductQuery {
        ids: options.ids.clone(),
        sku: options.sku.clone(),
        cursor: options.cursor.clone(),
        limit: Some(options.limit),
    };
    let client = options.remote.client()?;
    let answer = client.products(&query).await.map_err(|error| remote::failure(&error))?;
    options.remote.print(&answer.data, |list| {
        let mut text = render(&list.data);
        if let Some(cursor) = &list.meta.next_cursor {
            text.push_str(&format!("\nmore: --cursor {cursor}\n"));
        }
        text
    })
}

async fn create(options: &Create) -> Result<(), CliError> {
    let request = ProductRequest {
        name: options.name.clone(),
        price: options.price.clone(),
        stock: options.stock,
        sku: options.optional.sku.clone(),
        max_per_order: options.optional.max_per_order,
        max_per_user: options.optional.max_per_user,
        low_stock_threshold: options.optional.low_stock_threshold,
        opens_at: options.optional.opens_at.clone(),
        closes_at: options.optional.closes_at.clone(),
        min_per_order: options.optional.min_per_order,
        max_held_per_user: options.optional.max_held_per_user,
        per_window: options.optional.per_window,
    };
    let client = options.remote.client()?;
    let answer = client.create_product(&request).await.map_err(|error| remote::failure(&error))?;
    options.remote.print(&answer.data, |product| render(std::slice::from_ref(product)))
}

/// Changes a product.
async fn update(options: &Update) -> Result<(), CliError> {
    let request = patch(options)?;
    let client = options.remote.client()?;
    let answer = client.patch_product(options.id, &request, options.if_match).await;
    let answer = answer.map_err(|error| remote::failure(&error))?;
    options.remote.print(&answer.data, |product| render(std::slice::from_ref(product)))
}

/// Archives a product.
async fn archive(options: &Archive) -> Result<(), CliError> {
    let client = options.remote.client()?;
    let answer = client.archive_product(options.id, options.if_match).await;
    answer.map_err(|error| remote::failure(&error))?;
    let archived = serde_json::json!({"id": options.id, "archived": true});
    options.remote.print(&archived, |_| format!("product {} is archived", options.id))
}

fn patch(options: &Update) -> Result<ProductPatch, CliError> {
    Ok(ProductPatch {
        name: options.name.clone(),
        price: options.price.clone(),
        stock: options.stock,
        sku: change(options, Field::Sku, options.optional.sku.clone())?,
        max_per_order: change(options, Field::MaxPerOrder, options.optional.max_per_order)?,
        max_per_user: change(options, Field::MaxPerUser, options.optional.max_per_user)?,
        low_stock_threshold: change(
            options,
            Field::LowStockThreshold,
            options.optional.low_stock_threshold,
        )?,
        opens_at: change(options, Field::OpensAt, options.optional.opens_at.clone())?,
        closes_at: change(options, Field::ClosesAt, options.optional.closes_at.clone())?,
        min_per_order: change(options, Field::MinPerOrder, options.optional.min_per_order)?,
        max_held_per_user: change(
            options,
            Field::MaxHeldPerUser,
            options.optional.max_held_per_user,
        )?,
        per_window: change(options, Field::PerWindow, options.optional.per_window)?,
    })
}

fn change<T>(options: &Update, field: Field, value: Option<T>) -> Result<Patch<T>, CliError> {
    match (value, options.clear.contains(&field)) {
        (None, false) => Ok(Patch::Keep),
        (None, true) => Ok(Patch::Clear),
        (Some(value), false) => Ok(Patch::Set(value)),
        (Some(_), true) => {
            let name = field.to_possible_value().expect("no field is hidden");
            let name = name.get_name();
            Err(CliError::Usage(format!(
                "--{name} and --clear {name} contradict each other: give only one"
            )))
        }
    }
}

/// Renders products as a table, one per row.
fn render(products: &[Product]) -> String {
    let mut table = Table::new(&[
        ("ID", Align::Right),
        ("NAME", Align::Left),
        ("SKU", Align::Left),
        ("PRICE", Align::Right),
        ("STOCK", Align::Right),
        ("HELD", Align::Right),
        ("RESERVED", Align::Right),
        ("SOLD", Align::Right),
    ]);
    for product in products {
        table.row(vec![
            product.id.to_string(),
            product.name.clone(),
            or_dash(product.sku.as_ref()),
            product.price.clone(),
            product.stock.to_string(),
            product.held.to_string(),
            product.reserved.to_string(),
            product.sold.to_string(),
        ]);
    }
    table.to_string()
}
