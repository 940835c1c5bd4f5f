//! `holdfast products`: list, create, change and archive products. Stock has its own file.

use clap::{Args, Subcommand, ValueEnum};
use client::ProductQuery;
use client::wire::{Patch, Product, ProductPatch, ProductRequest};

use crate::exit::Failure;
use crate::remote;
use crate::remote::stock;
use crate::table::{Align, Table, or_dash};

/// What to do with products.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    /// List products with their stock
    List(List),
    /// Create a product
    Create(Create),
    /// Change what is named of a product
    Update(Update),
    /// Take a product off the shelf: no new orders, open ones still settle
    Archive(Archive),
    /// Bring units of a product in, or take them out, with a reason
    Adjust(stock::Adjust),
    /// Show every movement of the units of a product
    Ledger(stock::Ledger),
}

/// The flags of `products list`.
#[derive(Debug, Clone, Args)]
pub(crate) struct List {
    /// Only these products
    #[arg(long, value_name = "ID,…", value_delimiter = ',')]
    ids: Vec<u64>,
    /// At most so many products, in the order of their ids
    #[arg(long, value_name = "N", default_value = "10000")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=10_000))]
    limit: u64,
    /// Go on after an earlier list that was cut by its limit
    #[arg(long)]
    cursor: Option<String>,
    #[command(flatten)]
    remote: remote::Options,
}

/// The flags of `products create`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Create {
    /// Its name
    #[arg(long)]
    name: String,
    /// Price of one unit, such as 999.99
    #[arg(long)]
    price: String,
    /// Units to sell
    #[arg(long, value_name = "N")]
    stock: u64,
    #[command(flatten)]
    optional: Optional,
    #[command(flatten)]
    remote: remote::Options,
}

/// The flags of what a product need not have.
#[derive(Debug, Clone, Args)]
#[group(skip)]
struct Optional {
    /// Your own identifier of it
    #[arg(long)]
    sku: Option<String>,
    /// Most units in one order
    #[arg(long, value_name = "N")]
    max_per_order: Option<u64>,
    /// Most units of one user; orders then have to name one
    #[arg(long, value_name = "N")]
    max_per_user: Option<u64>,
    /// Tell in an event when so many units or fewer are left to sell
    #[arg(long, value_name = "N")]
    low_stock_threshold: Option<u64>,
}

/// The flags of `products update`.
#[derive(Debug, Clone, Args)]
#[group(id = "changed", required = true, multiple = true)]
#[group(args = ["name", "price", "stock", "sku", "max_per_order", "max_per_user"])]
#[group(args = ["low_stock_threshold", "clear"])]
pub(crate) struct Update {
    /// The product
    id: u64,
    /// Its new name
    #[arg(long)]
    name: Option<String>,
    /// The new price of one unit, such as 999.99; orders keep theirs
    #[arg(long)]
    price: Option<String>,
    /// Units that can be sold from now on; held and reserved ones come on top
    #[arg(long, value_name = "N")]
    stock: Option<u64>,
    #[command(flatten)]
    optional: Optional,
    /// Take these away
    #[arg(long, value_name = "FIELD,…", value_delimiter = ',')]
    clear: Vec<Field>,
    /// Do it only when the product has this version
    #[arg(long, value_name = "VERSION")]
    if_match: Option<u64>,
    #[command(flatten)]
    remote: remote::Options,
}

/// What a product need not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Field {
    Sku,
    MaxPerOrder,
    MaxPerUser,
    LowStockThreshold,
}

/// The flags of `products archive`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Archive {
    /// The product
    id: u64,
    /// Do it only when the product has this version
    #[arg(long, value_name = "VERSION")]
    if_match: Option<u64>,
    #[command(flatten)]
    remote: remote::Options,
}

/// Runs it to its end.
pub(crate) fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::List(options) => remote::block_on(list(options)),
        Command::Create(options) => remote::block_on(create(options)),
        Command::Update(options) => remote::block_on(update(options)),
        Command::Archive(options) => remote::block_on(archive(options)),
        Command::Adjust(options) => remote::block_on(stock::adjust(options)),
        Command::Ledger(options) => remote::block_on(stock::ledger(options)),
    }
}

async fn list(options: &List) -> Result<(), Failure> {
    let query = ProductQuery {
        ids: options.ids.clone(),
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

async fn create(options: &Create) -> Result<(), Failure> {
    let request = ProductRequest {
        name: options.name.clone(),
        price: options.price.clone(),
        stock: options.stock,
        sku: options.optional.sku.clone(),
        max_per_order: options.optional.max_per_order,
        max_per_user: options.optional.max_per_user,
        low_stock_threshold: options.optional.low_stock_threshold,
    };
    let client = options.remote.client()?;
    let answer = client.create_product(&request).await.map_err(|error| remote::failure(&error))?;
    options.remote.print(&answer.data, |product| render(std::slice::from_ref(product)))
}

/// Changes a product.
async fn update(options: &Update) -> Result<(), Failure> {
    let request = patch(options)?;
    let client = options.remote.client()?;
    let answer = client.patch_product(options.id, &request, options.if_match).await;
    let answer = answer.map_err(|error| remote::failure(&error))?;
    options.remote.print(&answer.data, |product| render(std::slice::from_ref(product)))
}

/// Archives a product.
async fn archive(options: &Archive) -> Result<(), Failure> {
    let client = options.remote.client()?;
    let answer = client.archive_product(options.id, options.if_match).await;
    answer.map_err(|error| remote::failure(&error))?;
    let archived = serde_json::json!({"id": options.id, "archived": true});
    options.remote.print(&archived, |_| format!("product {} is archived", options.id))
}

fn patch(options: &Update) -> Result<ProductPatch, Failure> {
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
    })
}

fn change<T>(options: &Update, field: Field, value: Option<T>) -> Result<Patch<T>, Failure> {
    match (value, options.clear.contains(&field)) {
        (None, false) => Ok(Patch::Keep),
        (None, true) => Ok(Patch::Clear),
        (Some(value), false) => Ok(Patch::Set(value)),
        (Some(_), true) => {
            let name = field.to_possible_value().expect("no field is hidden");
            let name = name.get_name();
            Err(Failure::Usage(format!("--{name} and --clear {name} contradict each other")))
        }
    }
}

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
