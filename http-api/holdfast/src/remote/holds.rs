//! `holdfast holds`: create, show, extend and release holds.

use clap::{Args, Subcommand};
use client::HoldQuery;
use client::wire::{ExtendRequest, Hold, HoldRequest};
use serde_json::json;

use crate::address;
use crate::exit::CliError;
use crate::remote;
use crate::remote::orders::{Item, would};
use crate::table::{Align, Table, or_dash};

/// The subcommands of `holds`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    /// Create a hold, which reserves units until a deadline; `orders place --hold` orders them
    Create(Create),
    /// List active holds, by id
    List(List),
    /// Show one hold with its lines
    Show(One),
    /// Release a hold
    Release(One),
    /// Extend a hold
    Extend(Extend),
}

/// The flags of `holds create`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Create {
    /// Hold this quantity of a product; give it once per line
    #[arg(long, value_name = "PRODUCT[:QUANTITY]", required = true, value_delimiter = ',')]
    item: Vec<Item>,
    /// Hold the units for this user
    #[arg(long, value_name = "ID", value_parser = address::row_id)]
    user_id: Option<u64>,
    /// Expire the hold after this many seconds [default: --hold-ttl-s of the node]
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u64).range(1..))]
    ttl_s: Option<u64>,
    /// Use this idempotency key [default: a new one]
    #[arg(long)]
    key: Option<String>,
    /// Show what the hold would come to, without setting units aside
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    remote: remote::Options,
}

/// The flags of `holds list`.
#[derive(Debug, Clone, Args)]
pub(crate) struct List {
    /// List only holds of this user
    #[arg(long, value_name = "ID", value_parser = address::row_id)]
    user_id: Option<u64>,
    /// List only holds with this product
    #[arg(long, value_name = "ID", value_parser = address::row_id)]
    product_id: Option<u64>,
    /// Continue after this hold
    #[arg(long, value_name = "ID")]
    cursor: Option<String>,
    /// Show at most this many holds
    #[arg(long, value_name = "N", default_value = "100")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=1000))]
    limit: u64,
    #[command(flatten)]
    remote: remote::Options,
}

/// The flags of `holds show` and `holds release`.
#[derive(Debug, Clone, Args)]
pub(crate) struct One {
    /// The id of the hold
    #[arg(value_parser = address::row_id)]
    id: u64,
    #[command(flatten)]
    remote: remote::Options,
}

/// The flags of `holds extend`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Extend {
    /// The id of the hold
    #[arg(value_parser = address::row_id)]
    id: u64,
    /// Expire the hold this many seconds from now
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u64).range(1..))]
    ttl_s: u64,
    #[command(flatten)]
    remote: remote::Options,
}

/// Runs the command to its end.
pub(crate) fn run(command: &Command) -> Result<(), CliError> {
    match command {
        Command::Create(options) => remote::block_on(create(options)),
        Command::List(options) => remote::block_on(list(options)),
        Command::Show(options) => remote::block_on(show(options)),
        Command::Release(options) => remote::block_on(release(options)),
        Command::Extend(options) => remote::block_on(extend(options)),
    }
}

async fn create(options: &Create) -> Result<(), CliError> {
    let request = HoldRequest {
        user_id: options.user_id,
        items: options.item.iter().map(|item| item.0).collect(),
        ttl_seconds: options.ttl_s,
        idempotency_key: options.key.clone(),
    };
    let client = options.remote.client()?;
    if options.dry_run {
        let answer = client.dry_run_hold(&request).await;
        return options.remote.print(&answer.map_err(|error| remote::failure(&error))?.data, would);
    }
    let answer = client.create_hold(&request).await.map_err(|error| remote::failure(&error))?;
    if answer.receipt.replayed && !options.remote.json {
        eprintln!(
            "note: an earlier request with this key created the hold; this one had no effect"
        );
    }
    options.remote.print(&answer.data, details)
}

async fn list(options: &List) -> Result<(), CliError> {
    let query = HoldQuery {
        user_id: options.user_id,
        product_id: options.product_id,
        cursor: options.cursor.clone(),
        limit: Some(options.limit),
    };
    let client = options.remote.client()?;
    let answer = client.holds(&query).await.map_err(|error| remote::failure(&error))?;
    options.remote.print(&answer.data, |list| {
        let mut text = rows(&list.data);
        if let Some(cursor) = &list.meta.next_cursor {
            text.push_str(&format!("\nmore holds follow: --cursor {cursor}\n"));
        }
        text
    })
}

async fn show(options: &One) -> Result<(), CliError> {
    let client = options.remote.client()?;
    let answer = client.hold(options.id).await.map_err(|error| remote::failure(&error))?;
    options.remote.print(&answer.data, details)
}

async fn release(options: &One) -> Result<(), CliError> {
    let client = options.remote.client()?;
    client.release_hold(options.id).await.map_err(|error| remote::failure(&error))?;
    let released = json!({"hold_id": options.id, "status": "released"});
    options.remote.print(&released, |_| format!("hold {} is released", options.id))
}

async fn extend(options: &Extend) -> Result<(), CliError> {
    let request = ExtendRequest { ttl_seconds: options.ttl_s };
    let client = options.remote.client()?;
    let answer = client.extend_hold(options.id, &request).await;
    let answer = answer.map_err(|error| remote::failure(&error))?;
    options.remote.print(&answer.data, details)
}

/// Renders holds as a table, one per row.
fn rows(holds: &[Hold]) -> String {
    let mut table = Table::new(&[
        ("ID", Align::Right),
        ("STATUS", Align::Left),
        ("USER", Align::Right),
        ("LINES", Align::Right),
        ("EXPIRES", Align::Left),
        ("ORDER", Align::Right),
    ]);
    for hold in holds {
        table.row(vec![
            hold.id.to_string(),
            hold.status.to_string(),
            or_dash(hold.user_id),
            hold.items.len().to_string(),
            hold.expires_at.clone(),
            or_dash(hold.order_id),
        ]);
    }
    table.to_string()
}

/// Renders a hold with its lines.
fn details(hold: &Hold) -> String {
    let table = rows(std::slice::from_ref(hold));
    let mut lines = Table::new(&[("PRODUCT", Align::Right), ("QUANTITY", Align::Right)]);
    for line in &hold.items {
        lines.row(vec![line.product_id.to_string(), line.quantity.to_string()]);
    }
    format!("{table}\n{lines}")
}

#[cfg(test)]
mod tests {
    use client::wire::{HoldLine, HoldStatus};

    use super::*;

    #[test]
    fn details_show_a_hold_with_its_lines() {
        let hold = Hold {
            id: 3,
            hold_id: 3,
            user_id: None,
            status: HoldStatus::Consumed,
            items: vec![
                HoldLine { product_id: 1, quantity: 20, unit_price: None },
                HoldLine { product_id: 12, quantity: 1, unit_price: None },
            ],
            total_amount: None,
            expires_at: "2026-02-23T10:30:00.000Z".to_owned(),
            order_id: Some(7),
            idempotency_key: None,
            created_at: String::new(),
            updated_at: String::new(),
            version: 0,
            trace_id: None,
            product_id: None,
            quantity: None,
            qty: None,
        };
        let text = details(&hold);
        let words: Vec<Vec<&str>> =
            text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(words[1], ["3", "consumed", "-", "2", "2026-02-23T10:30:00.000Z", "7"]);
        assert_eq!(words[4..], [["1", "20"], ["12", "1"]]);
    }
}
