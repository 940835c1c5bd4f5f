//! `holdfast products adjust` and `products ledger`: change the stock of a product, show its
//! ledger.

use clap::Args;
use client::LedgerQuery;
use client::wire::{Adjustment, AdjustmentRequest, LedgerRow};

use crate::address;
use crate::exit::CliError;
use crate::remote;
use crate::table::{Align, Table, or_dash};

/// The flags of `products adjust`.
#[derive(Debug, Clone, Args)]
#[group(id = "change", required = true, multiple = false, args = ["by", "to"])]
pub(crate) struct Adjust {
    /// The id of the product
    #[arg(value_parser = address::row_id)]
    id: u64,
    /// Add this many units, or remove them if negative
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    by: Option<i64>,
    /// Set the units for sale to this number
    #[arg(long, value_name = "N")]
    to: Option<u64>,
    /// Adjust only if this many units are for sale before
    #[arg(long, value_name = "N")]
    expected: Option<u64>,
    /// Record this reason in the ledger
    #[arg(long)]
    reason: String,
    /// Use this idempotency key [default: a new one]
    #[arg(long)]
    key: Option<String>,
    #[command(flatten)]
    remote: remote::Options,
}

/// The flags of `products ledger`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Ledger {
    /// The id of the product, archived or not
    #[arg(value_parser = address::row_id)]
    id: u64,
    /// Show only rows after this place: a position, or the one that an earlier list ended with
    #[arg(long, value_name = "PLACE")]
    after: Option<String>,
    /// Show at most this many rows, oldest first
    #[arg(long, value_name = "N", default_value = "100")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=1000))]
    limit: u64,
    #[command(flatten)]
    remote: remote::Options,
}

/// Adjusts the stock of a product.
pub(crate) async fn adjust(options: &Adjust) -> Result<(), CliError> {
    let request = AdjustmentRequest {
        delta: options.by,
        set: options.to,
        expected: options.expected,
        reason: options.reason.clone(),
        idempotency_key: options.key.clone(),
    };
    let client = options.remote.client()?;
    let answer = client.adjust_stock(options.id, &request).await;
    let answer = answer.map_err(|error| remote::failure(&error))?;
    if answer.receipt.replayed && !options.remote.json {
        eprintln!(
            "note: an earlier request with this key adjusted the stock; this one had no effect"
        );
    }
    options.remote.print(&answer.data, details)
}

/// Prints rows of a ledger.
pub(crate) async fn ledger(options: &Ledger) -> Result<(), CliError> {
    let query = LedgerQuery { after: options.after.clone(), limit: Some(options.limit) };
    let client = options.remote.client()?;
    let answer =
        client.ledger(options.id, &query).await.map_err(|error| remote::failure(&error))?;
    options.remote.print(&answer.data, |list| {
        let mut text = rows(&list.data);
        if let Some(cursor) = &list.meta.next_cursor {
            text.push_str(&format!("\nmore: --after {cursor}\n"));
        }
        text
    })
}

fn details(adjustment: &Adjustment) -> String {
    let mut table = Table::new(&[
        ("ADJUSTMENT", Align::Right),
        ("PRODUCT", Align::Right),
        ("CHANGE", Align::Right),
        ("STOCK", Align::Right),
        ("REASON", Align::Left),
    ]);
    table.row(vec![
        adjustment.id.to_string(),
        adjustment.product_id.to_string(),
        format!("{:+}", adjustment.delta),
        adjustment.stock.to_string(),
        adjustment.reason.clone(),
    ]);
    table.to_string()
}

/// Renders movements, one per row: the changes, and the stock after them.
fn rows(rows: &[LedgerRow]) -> String {
    let mut table = Table::new(&[
        ("PLACE", Align::Right),
        ("TIME", Align::Left),
        ("CAUSE", Align::Left),
        ("OF", Align::Left),
        ("ON HAND", Align::Right),
        ("HELD", Align::Right),
        ("RESERVED", Align::Right),
        ("SOLD", Align::Right),
        ("STOCK", Align::Right),
        ("REASON", Align::Left),
    ]);
    let change = |delta: i64| if delta == 0 { "-".to_owned() } else { format!("{delta:+}") };
    for row in rows {
        let of = row.reference.as_ref().map(|of| format!("{} {}", of.kind, of.id));
        table.row(vec![
            format!("{}.{}", row.index, row.line),
            row.time.clone(),
            row.cause.to_string(),
            or_dash(of),
            change(row.deltas.on_hand),
            change(row.deltas.held),
            change(row.deltas.reserved),
            change(row.deltas.sold),
            row.counters.stock.to_string(),
            row.reason.clone().unwrap_or_default(),
        ]);
    }
    table.to_string()
}
