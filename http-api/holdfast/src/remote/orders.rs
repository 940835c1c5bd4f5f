//! `holdfast orders`: look at, place and cancel orders, and end the doubt about a key.

use std::str::FromStr;

use clap::{Args, Subcommand};
use client::wire::{ByKey, CancelRequest, Order, OrderLineRequest, OrderRequest, OrderStatus};
use client::wire::{PageMeta, PaymentMethod};
use client::{OrderQuery, Paging};

use crate::bulk::batch;
use crate::exit::Failure;
use crate::remote;
use crate::table::{Align, Table, or_dash};

/// What to do with orders.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    /// Show one order with its lines
    Get(Get),
    /// List orders, the newest first
    List(List),
    /// Place an order
    Place(Place),
    /// Place the orders of a file with one request
    Batch(batch::Options),
    /// Cancel an order whose payment has not begun
    Cancel(Cancel),
    /// Show what became of an idempotency key
    Key(Key),
    /// Make sure that an idempotency key makes no order any more
    Fence(Key),
}

/// The flags of `orders get`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Get {
    /// The order
    id: u64,
    #[command(flatten)]
    remote: remote::Options,
}

/// The flags of `orders list`.
#[derive(Debug, Clone, Args)]
pub(crate) struct List {
    /// Only orders of this user
    #[arg(long, value_name = "ID")]
    user_id: Option<u64>,
    /// Only orders in this status: PENDING, PROCESSING, PAID, FAILED or CANCELLED
    #[arg(long, value_parser = status)]
    status: Option<OrderStatus>,
    /// Only orders with a line of this product
    #[arg(long, value_name = "ID")]
    product_id: Option<u64>,
    /// Which page
    #[arg(long, value_name = "N", default_value = "1")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    page: u64,
    /// Orders on a page
    #[arg(long, value_name = "N", default_value = "15")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=50))]
    per_page: u64,
    #[command(flatten)]
    remote: remote::Options,
}

/// The flags of `orders place`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Place {
    /// What to order, and how many; once per line of the order
    #[arg(long, value_name = "PRODUCT[:QUANTITY]", value_delimiter = ',')]
    #[arg(required_unless_present = "hold")]
    item: Vec<Item>,
    /// The hold to turn into an order, instead of items
    #[arg(long, value_name = "ID", conflicts_with = "item")]
    hold: Option<u64>,
    /// Who orders
    #[arg(long, value_name = "ID")]
    user_id: Option<u64>,
    /// Who decides about the payment: mock, webhook or none
    #[arg(long, value_name = "METHOD", value_parser = PaymentMethod::from_str)]
    payment_method: Option<PaymentMethod>,
    /// Idempotency key; without one a new key is made
    #[arg(long)]
    key: Option<String>,
    #[command(flatten)]
    remote: remote::Options,
}

/// The flags of `orders cancel`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Cancel {
    /// The order
    id: u64,
    /// Why, in your words
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    remote: remote::Options,
}

/// The flags of `orders key` and `orders fence`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Key {
    /// The idempotency key
    #[arg(value_name = "KEY")]
    text: String,
    #[command(flatten)]
    remote: remote::Options,
}

/// One line of an order: `PRODUCT` or `PRODUCT:QUANTITY`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Item(pub(crate) OrderLineRequest);

impl FromStr for Item {
    type Err = String;

    fn from_str(text: &str) -> Result<Item, String> {
        let (product, quantity) = text.split_once(':').unwrap_or((text, "1"));
        let number = |part: &str| {
            let number = part.parse::<u64>().ok().filter(|&number| number > 0);
            number.ok_or_else(|| format!("`{text}` is not PRODUCT or PRODUCT:QUANTITY, as in 1:2"))
        };
        Ok(Item(OrderLineRequest { product_id: number(product)?, quantity: number(quantity)? }))
    }
}

/// Reads a status in either case.
fn status(text: &str) -> Result<OrderStatus, String> {
    text.to_ascii_uppercase().parse().map_err(|error: client::wire::UnknownWord| error.to_string())
}

/// Runs it to its end.
pub(crate) fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Get(options) => remote::block_on(get(options)),
        Command::List(options) => remote::block_on(list(options)),
        Command::Place(options) => remote::block_on(place(options)),
        Command::Batch(options) => remote::block_on(batch::run(options)),
        Command::Cancel(options) => remote::block_on(cancel(options)),
        Command::Key(options) => remote::block_on(key(options)),
        Command::Fence(options) => remote::block_on(fence(options)),
    }
}

async fn get(options: &Get) -> Result<(), Failure> {
    let client = options.remote.client()?;
    let answer = client.order(options.id).await.map_err(|error| remote::failure(&error))?;
    options.remote.print(&answer.data, details)
}

async fn list(options: &List) -> Result<(), Failure> {
    let query = OrderQuery {
        user_id: options.user_id,
        status: options.status,
        product_id: options.product_id,
        paging: Paging::Page { page: options.page, per_page: Some(options.per_page) },
    };
    let client = options.remote.client()?;
    let answer = client.orders(&query).await.map_err(|error| remote::failure(&error))?;
    options.remote.print(&answer.data, |list| format!("{}{}", rows(&list.data), page(&list.meta)))
}

async fn place(options: &Place) -> Result<(), Failure> {
    let request = OrderRequest {
        user_id: options.user_id,
        items: options.item.iter().map(|item| item.0).collect(),
        hold_id: options.hold,
        payment_method: options.payment_method,
        idempotency_key: options.key.clone(),
        ..OrderRequest::default()
    };
    let client = options.remote.client()?;
    let answer = client.create_order(&request).await.map_err(|error| remote::failure(&error))?;
    if answer.receipt.replayed && !options.remote.json {
        eprintln!("note: this key had made the order before; nothing was ordered now");
    }
    options.remote.print(&answer.data, details)
}

async fn cancel(options: &Cancel) -> Result<(), Failure> {
    let request = CancelRequest { reason: options.reason.clone() };
    let client = options.remote.client()?;
    let answer = client.cancel_order(options.id, &request).await;
    let answer = answer.map_err(|error| remote::failure(&error))?;
    options.remote.print(&answer.data, details)
}

async fn key(options: &Key) -> Result<(), Failure> {
    let client = options.remote.client()?;
    let answer = client.order_by_key(&options.text).await;
    options.remote.print(&answer.map_err(|error| remote::failure(&error))?.data, fate)
}

async fn fence(options: &Key) -> Result<(), Failure> {
    let client = options.remote.client()?;
    let answer = client.fence_key(&options.text).await;
    options.remote.print(&answer.map_err(|error| remote::failure(&error))?.data, fate)
}

/// What became of a key.
fn fate(found: &ByKey) -> String {
    match &found.order {
        Some(order) => details(order),
        None => format!("{}\n", found.state),
    }
}

/// Orders, one a row.
fn rows(orders: &[Order]) -> String {
    let mut table = Table::new(&[
        ("ID", Align::Right),
        ("STATUS", Align::Left),
        ("USER", Align::Right),
        ("LINES", Align::Right),
        ("TOTAL", Align::Right),
        ("CREATED", Align::Left),
    ]);
    for order in orders {
        table.row(vec![
            order.id.to_string(),
            order.status.to_string(),
            or_dash(order.user_id),
            order.items.len().to_string(),
            order.total_amount.clone(),
            order.created_at.clone(),
        ]);
    }
    table.to_string()
}

/// Where a page stands, as the last line of a list.
fn page(meta: &PageMeta) -> String {
    match (meta.current_page, meta.last_page, meta.total) {
        (Some(page), Some(last), Some(total)) => {
            let orders = if total == 1 { "order" } else { "orders" };
            format!("\npage {page} of {last}, {total} {orders} in all\n")
        }
        _ => String::new(),
    }
}

/// One order with its lines.
fn details(order: &Order) -> String {
    let mut text = rows(std::slice::from_ref(order));
    let mut table = Table::new(&[
        ("LINE", Align::Right),
        ("PRODUCT", Align::Right),
        ("QUANTITY", Align::Right),
        ("UNIT PRICE", Align::Right),
        ("TOTAL", Align::Right),
    ]);
    for line in &order.items {
        table.row(vec![
            line.id.to_string(),
            line.product_id.to_string(),
            line.quantity.to_string(),
            line.unit_price.clone(),
            line.line_total.clone(),
        ]);
    }
    text.push_str(&format!("\n{table}"));
    if let Some(reason) = &order.failure_reason {
        let reason: String =
            reason.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        text.push_str(&format!("\nreason: {reason}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_a_product_and_a_quantity() {
        let line = |product_id, quantity| Item(OrderLineRequest { product_id, quantity });
        assert_eq!("7".parse(), Ok(line(7, 1)));
        assert_eq!("7:20".parse(), Ok(line(7, 20)));
        for text in ["", ":", "0", "7:", "7:0", "7:-1", "7:1.5", "a:1", "1:2:3"] {
            assert!(text.parse::<Item>().is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn a_status_may_be_typed_in_lower_case() {
        assert_eq!(status("paid"), Ok(OrderStatus::Paid));
        assert!(status("done").is_err());
    }
}
