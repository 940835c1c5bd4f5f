//! `holdfast orders`: shows, lists, places and cancels orders, ends those whose payment has no
//! result, and resolves unknown outcomes by key.

use std::str::FromStr;

use clap::{Args, Subcommand};
use client::wire::{
    self, PageMeta, PaymentMethod, RecheckRequest, RefundLine, RefundRequest, SettleOutcome,
    SettleRequest, Would,
};
use client::wire::{ByKey, CancelRequest, Order, OrderLineRequest, OrderRequest, OrderStatus};
use client::{OrderQuery, Paging};

use crate::address;
use crate::bulk::batch;
use crate::exit::CliError;
use crate::remote::{self, follow};
use crate::table::{Align, Table, or_dash};

/// The subcommands of `orders`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    /// Show one order with its lines
    Get(Get),
    /// Show one order with its lines and every step that it took
    Show(Get),
    /// Wait until an order has a status, and show it
    Wait(follow::Wait),
    /// List orders, newest first
    List(List),
    /// Place an order
    Place(Place),
    /// Place the orders of a file in one request
    Batch(batch::Options),
    /// Cancel an order whose payment has not begun
    Cancel(Cancel),
    /// End an order whose payment has no result, by your own decision
    Settle(Settle),
    /// Ask the payment gateway about an order again at once
    Recheck(Recheck),
    /// Give money of a paid order back, and take units back
    Refund(Refund),
    /// Show the refunds of an order
    Refunds(Get),
    /// Show the order with a client reference
    Reference(Reference),
    /// Show the outcome of an idempotency key
    Key(Key),
    /// Resolve an unknown outcome: show the order of a key, or block the key for good
    Fence(Key),
}

/// The flags of `orders get`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Get {
    /// The id of the order
    #[arg(value_parser = address::row_id)]
    id: u64,
    #[command(flatten)]
    remote: remote::Options,
}

/// The flags of `orders list`.
#[derive(Debug, Clone, Args)]
pub(crate) struct List {
    /// List only orders of this user
    #[arg(long, value_name = "ID", value_parser = address::row_id)]
    user_id: Option<u64>,
    /// List only orders in this status: PENDING, PROCESSING, PAID, FAILED or CANCELLED
    #[arg(long, value_parser = follow::status)]
    status: Option<OrderStatus>,
    /// List only orders with a line of this product
    #[arg(long, value_name = "ID", value_parser = address::row_id)]
    product_id: Option<u64>,
    /// List only orders with a line of the product that has this SKU
    #[arg(long, conflicts_with = "product_id")]
    sku: Option<String>,
    /// List only orders created at this time or later, such as 2026-02-23T10:30:00Z or 2026-02-23
    #[arg(long, value_name = "TIME")]
    created_after: Option<String>,
    /// List only orders created before this time
    #[arg(long, value_name = "TIME")]
    created_before: Option<String>,
    /// List only the order with this client reference
    #[arg(long, value_name = "TEXT")]
    reference: Option<String>,
    /// Show this page
    #[arg(long, value_name = "N", default_value = "1")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    page: u64,
    /// Show this many orders per page
    #[arg(long, value_name = "N", default_value = "15")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=50))]
    per_page: u64,
    #[command(flatten)]
    remote: remote::Options,
}

/// The flags of `orders place`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Place {
    /// Order this quantity of a product; give it once per line
    #[arg(long, value_name = "PRODUCT[:QUANTITY]", value_delimiter = ',')]
    #[arg(required_unless_present = "hold")]
    item: Vec<Item>,
    /// Order the units of this hold, instead of items
    #[arg(long, value_name = "ID", value_parser = address::row_id, conflicts_with = "item")]
    hold: Option<u64>,
    /// Order for this user
    #[arg(long, value_name = "ID", value_parser = address::row_id)]
    user_id: Option<u64>,
    /// Settle the payment by this method: gateway, mock, webhook or none
    #[arg(long, value_name = "METHOD", value_parser = PaymentMethod::from_str)]
    payment_method: Option<PaymentMethod>,
    /// Refuse the order when its total is not this amount, such as 99.98
    #[arg(long, value_name = "AMOUNT")]
    expect_total: Option<String>,
    /// Give the order this reference, which no other order of the cluster may have
    #[arg(long, value_name = "TEXT")]
    reference: Option<String>,
    /// Use this idempotency key [default: a new one]
    #[arg(long)]
    key: Option<String>,
    /// Show what the order would come to, without placing it
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    remote: remote::Options,
}

/// The flags of `orders cancel`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Cancel {
    /// The id of the order
    #[arg(value_parser = address::row_id)]
    id: u64,
    /// Record this reason
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    remote: remote::Options,
}

/// The flags of `orders settle`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Settle {
    /// The id of the order
    #[arg(value_parser = address::row_id)]
    id: u64,
    /// End it so: paid, if the customer was charged, or failed
    #[arg(long, value_parser = SettleOutcome::from_str)]
    outcome: SettleOutcome,
    /// Refuse if another payment attempt is current than this one of `payments unsettled`
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    attempt: u32,
    /// Record this payment of the provider; needed for paid
    #[arg(long, value_name = "ID", required_if_eq("outcome", "paid"))]
    provider_ref: Option<String>,
    /// Record this reason
    #[arg(long)]
    reason: String,
    /// Record who decides
    #[arg(long, value_name = "NAME")]
    actor: String,
    /// With failed, do not let the gateway confirm that it takes no money any more
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    remote: remote::Options,
}

/// The flags of `orders refund`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Refund {
    /// The id of the order
    #[arg(value_parser = address::row_id)]
    id: u64,
    /// Give this amount back [default: the price of the lines, or all that is left]
    #[arg(long)]
    amount: Option<String>,
    /// Refund this quantity of a line; give it once per line
    #[arg(long, value_name = "LINE[:QUANTITY]", value_delimiter = ',')]
    line: Vec<Item>,
    /// Put the units of the lines back into stock
    #[arg(long, requires = "line")]
    restock: bool,
    /// Record this reason
    #[arg(long)]
    reason: String,
    /// Record who decides
    #[arg(long, value_name = "NAME")]
    actor: String,
    /// Use this idempotency key [default: a new one]
    #[arg(long)]
    key: Option<String>,
    #[command(flatten)]
    remote: remote::Options,
}

/// The flags of `orders recheck`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Recheck {
    /// The id of the order
    #[arg(value_parser = address::row_id)]
    id: u64,
    #[command(flatten)]
    remote: remote::Options,
}

/// The flags of `orders reference`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Reference {
    /// The client reference
    #[arg(value_name = "REFERENCE")]
    text: String,
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
            number.ok_or_else(|| {
                format!("`{text}` is not an item: expected PRODUCT or PRODUCT:QUANTITY, as in 1:2")
            })
        };
        Ok(Item(OrderLineRequest { product_id: number(product)?, quantity: number(quantity)? }))
    }
}

/// Runs the command to its end.
pub(crate) fn run(command: &Command) -> Result<(), CliError> {
    match command {
        Command::Get(options) => remote::block_on(get(options)),
        Command::Show(Get { id, remote }) => remote::block_on(follow::show(*id, remote, details)),
        Command::Wait(options) => remote::block_on(follow::wait(options, details)),
        Command::List(options) => remote::block_on(list(options)),
        Command::Place(options) => remote::block_on(place(options)),
        Command::Batch(options) => remote::block_on(batch::run(options)),
        Command::Cancel(options) => remote::block_on(cancel(options)),
        Command::Settle(options) => remote::block_on(settle(options)),
        Command::Recheck(options) => remote::block_on(recheck(options)),
        Command::Refund(options) => remote::block_on(refund(options)),
        Command::Refunds(options) => remote::block_on(refunds(options)),
        Command::Reference(options) => remote::block_on(reference(options)),
        Command::Key(options) => remote::block_on(key(options)),
        Command::Fence(options) => remote::block_on(fence(options)),
    }
}

async fn get(options: &Get) -> Result<(), CliError> {
    let client = options.remote.client()?;
    let answer = client.order(options.id).await.map_err(|error| remote::failure(&error))?;
    options.remote.print(&answer.data, details)
}

async fn list(options: &List) -> Result<(), CliError> {
    let query = OrderQuery {
        user_id: options.user_id,
        status: options.status,
        product_id: options.product_id,
        sku: options.sku.clone(),
        created_after: options.created_after.clone(),
        created_before: options.created_before.clone(),
        client_reference: options.reference.clone(),
        paging: Paging::Page { page: options.page, per_page: Some(options.per_page) },
    };
    let client = options.remote.client()?;
    let answer = client.orders(&query).await.map_err(|error| remote::failure(&error))?;
    options.remote.print(&answer.data, |list| format!("{}{}", rows(&list.data), page(&list.meta)))
}

async fn place(options: &Place) -> Result<(), CliError> {
    let request = OrderRequest {
        user_id: options.user_id,
        items: options.item.iter().map(|item| item.0).collect(),
        hold_id: options.hold,
        expected_total: options.expect_total.clone(),
        client_reference: options.reference.clone(),
        payment_method: options.payment_method,
        idempotency_key: options.key.clone(),
        ..OrderRequest::default()
    };
    let client = options.remote.client()?;
    if options.dry_run {
        let answer = client.dry_run_order(&request).await;
        return options.remote.print(&answer.map_err(|error| remote::failure(&error))?.data, would);
    }
    let answer = client.create_order(&request).await.map_err(|error| remote::failure(&error))?;
    if answer.receipt.replayed && !options.remote.json {
        eprintln!(
            "note: an earlier request with this key placed the order; this one had no effect"
        );
    }
    options.remote.print(&answer.data, details)
}

async fn cancel(options: &Cancel) -> Result<(), CliError> {
    let request = CancelRequest { reason: options.reason.clone() };
    let client = options.remote.client()?;
    let answer = client.cancel_order(options.id, &request).await;
    let answer = answer.map_err(|error| remote::failure(&error))?;
    options.remote.print(&answer.data, details)
}

async fn settle(options: &Settle) -> Result<(), CliError> {
    let request = SettleRequest {
        outcome: options.outcome,
        expected_attempt: options.attempt,
        provider_ref: options.provider_ref.clone(),
        reason: options.reason.clone(),
        actor: options.actor.clone(),
        force: options.force,
    };
    let client = options.remote.client()?;
    let answer = client.settle_order(options.id, &request).await;
    options.remote.print(&answer.map_err(|error| remote::failure(&error))?.data, details)
}

async fn recheck(options: &Recheck) -> Result<(), CliError> {
    let client = options.remote.client()?;
    let answer = client.recheck_payment(options.id, &RecheckRequest::default()).await;
    options.remote.print(&answer.map_err(|error| remote::failure(&error))?.data, details)
}

async fn refund(options: &Refund) -> Result<(), CliError> {
    let line = |item: &Item| {
        let line = u32::try_from(item.0.product_id).unwrap_or(u32::MAX);
        RefundLine { line, quantity: item.0.quantity, restock: options.restock }
    };
    let request = RefundRequest {
        amount: options.amount.clone(),
        lines: options.line.iter().map(line).collect(),
        reason: options.reason.clone(),
        actor: options.actor.clone(),
        idempotency_key: options.key.clone(),
    };
    let client = options.remote.client()?;
    let answer = client.request_refund(options.id, &request).await;
    let answer = answer.map_err(|error| remote::failure(&error))?;
    options.remote.print(&answer.data, |refund| refund_rows(std::slice::from_ref(refund)))
}

async fn refunds(options: &Get) -> Result<(), CliError> {
    let client = options.remote.client()?;
    let answer = client.refunds(options.id).await.map_err(|error| remote::failure(&error))?;
    options.remote.print(&answer.data, |of| refund_rows(&of.refunds))
}

/// Renders refunds as a table, one per row.
fn refund_rows(refunds: &[wire::Refund]) -> String {
    let mut table = Table::new(&[
        ("ID", Align::Right),
        ("STATUS", Align::Left),
        ("AMOUNT", Align::Right),
        ("LINES", Align::Right),
        ("REASON", Align::Left),
        ("ACTOR", Align::Left),
        ("CREATED", Align::Left),
    ]);
    for refund in refunds {
        table.row(vec![
            refund.id.to_string(),
            refund.status.to_string(),
            refund.amount.clone(),
            refund.lines.len().to_string(),
            refund.reason.clone(),
            refund.actor.clone(),
            refund.created_at.clone(),
        ]);
    }
    table.to_string()
}

async fn reference(options: &Reference) -> Result<(), CliError> {
    let client = options.remote.client()?;
    let answer = client.order_by_reference(&options.text).await;
    options.remote.print(&answer.map_err(|error| remote::failure(&error))?.data, details)
}

async fn key(options: &Key) -> Result<(), CliError> {
    let client = options.remote.client()?;
    let answer = client.order_by_key(&options.text).await;
    options.remote.print(&answer.map_err(|error| remote::failure(&error))?.data, outcome)
}

async fn fence(options: &Key) -> Result<(), CliError> {
    let client = options.remote.client()?;
    let answer = client.fence_key(&options.text).await;
    options.remote.print(&answer.map_err(|error| remote::failure(&error))?.data, outcome)
}

/// Renders the outcome of a key.
fn outcome(found: &ByKey) -> String {
    match &found.order {
        Some(order) => details(order),
        None => format!("{}\n", found.state),
    }
}

/// Renders what a dry run says.
pub(crate) fn would(would: &Would) -> String {
    match (would.order_id, would.hold_id) {
        (Some(id), _) => return format!("the key has made order {id}\n"),
        (None, Some(id)) => return format!("the key has made hold {id}\n"),
        (None, None) => {}
    }
    let mut table = Table::new(&[
        ("PRODUCT", Align::Right),
        ("QUANTITY", Align::Right),
        ("UNIT PRICE", Align::Right),
    ]);
    for line in would.items.iter().flatten() {
        table.row(vec![
            line.product_id.to_string(),
            line.quantity.to_string(),
            line.unit_price.clone(),
        ]);
    }
    format!("{table}\ntotal: {}\n", or_dash(would.total_amount.as_ref()))
}

/// Renders orders as a table, one per row.
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

/// The last line of a list: the page, the number of pages and of orders.
fn page(meta: &PageMeta) -> String {
    match (meta.current_page, meta.last_page, meta.total) {
        (Some(page), Some(last), Some(total)) => {
            let orders = if total == 1 { "order" } else { "orders" };
            format!("\npage {page} of {last}, {total} {orders} in all\n")
        }
        _ => String::new(),
    }
}

/// Renders an order with its lines.
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
    if let Some(reference) = &order.client_reference {
        text.push_str(&format!("\nreference: {reference}\n"));
    }
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
    fn a_status_may_be_in_lower_case() {
        assert_eq!(follow::status("paid"), Ok(OrderStatus::Paid));
        assert!(follow::status("done").is_err());
    }
}
