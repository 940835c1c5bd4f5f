//! `holdfast events`: shows past events, and follows new ones.

use std::time::Duration;

use clap::Args;
use client::EventQuery;
use client::wire::Event;

use crate::exit::CliError;
use crate::remote;

/// Without `--follow`, the command ends when no event has come for this long.
const QUIET: Duration = Duration::from_millis(750);

/// The flags of `events`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// Follow new events until interrupted; with --after 0.0 show all past ones first
    #[arg(long, short)]
    follow: bool,
    /// Begin after this event [default: the newest with --follow, else before the first]
    #[arg(long, value_name = "ID")]
    after: Option<String>,
    /// Show only these types or families, as in order.paid,stock.*
    #[arg(long, value_name = "TYPE", value_delimiter = ',')]
    types: Vec<String>,
    /// Show only events of this user
    #[arg(long, value_name = "ID")]
    user_id: Option<u64>,
    /// Show only events of this product
    #[arg(long, value_name = "ID")]
    product_id: Option<u64>,
    #[command(flatten)]
    remote: remote::Options,
}

/// Runs the command to its end.
pub(crate) fn run(options: &Options) -> Result<(), CliError> {
    remote::block_on(show(options))
}

async fn show(options: &Options) -> Result<(), CliError> {
    let first = (!options.follow).then(|| "0.0".to_owned());
    let query = EventQuery {
        user_id: options.user_id,
        product_id: options.product_id,
        types: options.types.clone(),
        after: options.after.clone().or(first),
    };
    let mut stream = options.remote.client()?.events(&query);
    stream.open().await.map_err(|error| remote::failure(&error))?;
    loop {
        let event = if options.follow {
            stream.next().await
        } else {
            match tokio::time::timeout(QUIET, stream.next()).await {
                Ok(event) => event,
                Err(_) => return Ok(()),
            }
        };
        let event = event.map_err(|error| remote::failure(&error))?;
        // The reader has closed the pipe, as `head` does.
        if !options.remote.print_on(&event, line)? {
            return Ok(());
        }
    }
}

/// Renders an event as one line.
fn line(event: &Event) -> String {
    let mut words = vec![event.timestamp.clone(), format!("{:<16}", event.event_type)];
    let mut say = |name: &str, value: Option<String>| {
        words.extend(value.map(|value| format!("{name} {value}")));
    };
    let number = |number: Option<u64>| number.map(|number| number.to_string());
    say("order", number(event.order_id));
    say("hold", number(event.hold_id));
    say("product", number(event.product_id));
    say("user", number(event.user_id));
    say("total", event.total_amount.clone());
    say("amount", event.amount.clone());
    say("delta", event.delta.map(|delta| format!("{delta:+}")));
    say("available", event.available_stock.map(|units| units.to_string()));
    say("expires", event.expires_at.clone());
    say("because", event.reason.clone());
    say("id", Some(event.id.clone()));
    let clean = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    words.join("  ").chars().map(clean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_shows_the_fields_that_are_present() {
        let event = Event {
            id: "80740352.0".to_owned(),
            event_type: "order.failed".to_owned(),
            timestamp: "2026-02-23T10:30:00.000Z".to_owned(),
            order_id: Some(7),
            total_amount: Some("9.99".to_owned()),
            reason: Some("de\nclined".to_owned()),
            ..Event::default()
        };
        assert_eq!(
            line(&event),
            "2026-02-23T10:30:00.000Z  order.failed      order 7  total 9.99  \
             because de\u{fffd}clined  id 80740352.0"
        );
    }
}
