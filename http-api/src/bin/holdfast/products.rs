//! `holdfast products`: list and create products; changes and stock have files of their own.

use clap::{Args, Subcommand};
use client::ProductQuery;
use client::wire::{Product, ProductRequest};

use crate::changes;
use crate::exit::Failure;
use crate::remote;
use crate::stock;
use crate::table::{Align, Table, or_dash};

/// What to do with products.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    /// List products with their stock
    List(List),
    /// Create a product
    Create(Create),
    /// Change what is named of a product
    Update(changes::Update),
    /// Take a product off the shelf: no new orders, open ones still settle
    Archive(changes::Archive),
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
pub(crate) struct Optional {
    /// Your own identifier of it
    #[arg(long)]
    pub(crate) sku: Option<String>,
    /// Most units in one order
    #[arg(long, value_name = "N")]
    pub(crate) max_per_order: Option<u64>,
    /// Most units of one user; orders then have to name one
    #[arg(long, value_name = "N")]
    pub(crate) max_per_user: Option<u64>,
    /// Tell in an event when so many units or fewer are left to sell
    #[arg(long, value_name = "N")]
    pub(crate) low_stock_threshold: Option<u64>,
}

/// Runs it to its end.
pub(crate) fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::List(options) => remote::block_on(list(options)),
        Command::Create(options) => remote::block_on(create(options)),
        Command::Update(options) => remote::block_on(changes::update(options)),
        Command::Archive(options) => remote::block_on(changes::archive(options)),
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

pub(crate) fn render(products: &[Product]) -> String {
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
