//! Buys one unit of a product and waits until the order is paid, refused or cancelled.
//!
//! ```sh
//! cargo run -p client --example place_order -- 1 http://127.0.0.1:8080 http://127.0.0.1:8081
//! ```

use std::error::Error as StdError;
use std::time::Duration;

use client::wire::OrderRequest;
use client::{Client, Error};

/// Most looks at the order before giving up on it.
const LOOKS_MAX: u32 = 100;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn StdError>> {
    let mut arguments = std::env::args().skip(1);
    let product_id: u64 = arguments.next().unwrap_or_else(|| "1".to_owned()).parse()?;
    let mut urls: Vec<String> = arguments.collect();
    if urls.is_empty() {
        urls.push("http://127.0.0.1:8080".to_owned());
    }
    // The session lets the stale looks below see the order at least as it was placed.
    let client = Client::builder().base_urls(urls).build()?.session();

    let placed = match client.create_order(&OrderRequest::of([(product_id, 1)])).await {
        Ok(placed) => placed,
        Err(error) => return Err(explain(&error)),
    };
    let attempts = placed.receipt.attempts;
    println!("order {} over {} placed in {attempts} attempts", placed.id, placed.total_amount);

    for _ in 0..LOOKS_MAX {
        let order = client.stale().order(placed.id).await.map_err(|error| explain(&error))?;
        if order.status.is_final() {
            let reason = order.failure_reason.as_deref().unwrap_or("");
            println!("order {} is {} {reason}", order.id, order.status);
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Err(format!("order {} is still open; its payment takes long", placed.id).into())
}

/// Puts the outcome and the chain of causes into one line.
fn explain(error: &Error) -> Box<dyn StdError> {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        line = format!("{line}: {cause}");
        source = cause.source();
    }
    if let Error::Unknown(report) = error
        && let Some(key) = &report.idempotency_key
    {
        line = format!("{line}; repeat it with the key {key} to learn the outcome");
    }
    line.into()
}
