//! Walks through all paid orders by cursor and adds up what they earned, in minor units.
//!
//! ```sh
//! cargo run -p client --example walk_orders -- http://127.0.0.1:8080
//! ```

use client::wire::OrderStatus;
use client::{Client, OrderQuery, Paging};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "http://127.0.0.1:8080".to_owned());
    let client = Client::builder().base_url(url).build()?;

    let (mut count, mut earned_minor) = (0_u64, 0_i64);
    let mut cursor = None;
    loop {
        let query = OrderQuery {
            status: Some(OrderStatus::Paid),
            paging: Paging::Cursor { cursor, limit: 1000 },
            ..OrderQuery::default()
        };
        let page = client.orders(&query).await?.into_data();
        for order in &page.data {
            count += 1;
            earned_minor = earned_minor.saturating_add(order.total_amount_minor);
        }
        cursor = page.meta.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    println!("{count} paid orders earned {earned_minor} minor units");
    Ok(())
}
