//! `holdfast products update` and `products archive`: change a product, and take it off the shelf.

use clap::{Args, ValueEnum};
use client::wire::{Patch, ProductPatch};

use crate::exit::Failure;
use crate::products::{Optional, render};
use crate::remote;

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

/// Changes a product.
pub(crate) async fn update(options: &Update) -> Result<(), Failure> {
    let request = patch(options)?;
    let client = options.remote.client()?;
    let answer = client.patch_product(options.id, &request, options.if_match).await;
    let answer = answer.map_err(|error| remote::failure(&error))?;
    options.remote.print(&answer.data, |product| render(std::slice::from_ref(product)))
}

/// Archives a product.
pub(crate) async fn archive(options: &Archive) -> Result<(), Failure> {
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
