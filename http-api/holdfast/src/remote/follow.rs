//! `holdfast orders show` and `holdfast orders wait`: the steps of one order, past and to come.

use std::str::FromStr as _;
use std::time::Duration;

use clap::Args;
use client::wire::{Order, OrderEvent, OrderStatus};
use serde::Serialize;
use tokio::time::{Instant, sleep};

use crate::address;
use crate::exit::CliError;
use crate::remote;
use crate::table::{Align, Table, or_dash};

/// The pause between two looks at an order.
const PAUSE: Duration = Duration::from_millis(200);

/// The flags of `orders wait`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Wait {
    /// The id of the order
    #[arg(value_parser = address::row_id)]
    id: u64,
    /// Wait for this status: PENDING, PROCESSING, PAID, FAILED or CANCELLED [default: any that is
    /// final]
    #[arg(long = "for", value_name = "STATUS", value_parser = status)]
    wanted: Option<OrderStatus>,
    #[command(flatten)]
    remote: remote::Options,
}

/// Parses a status, in any case.
pub(crate) fn status(text: &str) -> Result<OrderStatus, String> {
    let word = text.to_ascii_uppercase();
    OrderStatus::from_str(&word).map_err(|error| error.to_string())
}

/// An order with its steps.
#[derive(Serialize)]
struct Shown {
    order: Order,
    history: Vec<OrderEvent>,
}

/// Prints an order, as `details` renders it, and its steps.
pub(crate) async fn show(
    id: u64,
    options: &remote::Options,
    details: fn(&Order) -> String,
) -> Result<(), CliError> {
    let client = options.client()?.session();
    let order = client.order(id).await.map_err(|error| remote::failure(&error))?.data;
    let history = client.order_history(id).await.map_err(|error| remote::failure(&error))?.data;
    let shown = Shown { order, history };
    options.print(&shown, |shown| format!("{}\n{}", details(&shown.order), steps(&shown.history)))
}

/// Waits until an order has the status, and prints it.
pub(crate) async fn wait(options: &Wait, details: fn(&Order) -> String) -> Result<(), CliError> {
    let client = options.remote.client()?.session();
    let end = Instant::now() + Duration::from_secs(options.remote.timeout_s);
    loop {
        let order = client.order(options.id).await.map_err(|error| remote::failure(&error))?.data;
        let is_final = order.status.is_final();
        let is_wanted = options.wanted.map_or(is_final, |wanted| wanted == order.status);
        if is_wanted {
            return options.remote.print(&order, details);
        }
        let (id, now) = (order.id, order.status);
        if is_final {
            return Err(CliError::Failed(format!("order {id} is {now}, and stays so")));
        }
        if Instant::now() + PAUSE > end {
            let seconds = options.remote.timeout_s;
            let text = format!(
                "order {id} is still {now} after {seconds} s; wait longer with --timeout-s"
            );
            return Err(CliError::Failed(text));
        }
        sleep(PAUSE).await;
    }
}

/// Renders the steps of an order as a table.
fn steps(history: &[OrderEvent]) -> String {
    let mut table = Table::new(&[
        ("TIME", Align::Left),
        ("STATUS", Align::Left),
        ("CAUSE", Align::Left),
        ("REASON", Align::Left),
        ("TRACE", Align::Left),
    ]);
    for step in history {
        table.row(vec![
            step.time.clone(),
            step.to.to_string(),
            step.cause.to_string(),
            or_dash(step.reason.as_ref()),
            or_dash(step.trace_id.as_ref()),
        ]);
    }
    table.to_string()
}
