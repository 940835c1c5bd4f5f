//! Creates, reads and checks products and orders, with the sums that must always hold.

use std::time::Duration;

use rand::rngs::StdRng;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::caller::{Call, Caller};
use crate::wait;

/// The collection of orders.
pub const ORDERS: &str = "/api/v1/orders";

/// The collection of products.
pub const PRODUCTS: &str = "/api/v1/products";

/// The collection of holds.
pub const HOLDS: &str = "/api/v1/holds";

/// The path for results of payments.
pub const WEBHOOK: &str = "/api/v1/payments/webhook";

/// Creates a product through a random node and returns its id.
///
/// # Panics
/// When it is not created.
pub async fn create_product(caller: &Caller, random: &mut StdRng, price: &str, stock: u64) -> u64 {
    let body = json!({"name": "Widget", "price": price, "stock": stock});
    let answer = caller.ask_any(random, &Call::post(PRODUCTS, &body)).await.expect(201);
    id(&answer.data())
}

/// A product as one node answers it, after checking that its counters add up.
///
/// # Panics
/// When there is no such product, or its counters do not add up.
pub async fn product(caller: &Caller, node: u64, product: u64) -> Value {
    let data = caller.get(node, &format!("{PRODUCTS}/{product}")).await.expect(200).data();
    assert_counters(&data);
    data
}

/// The body of an order for one line.
#[must_use]
pub fn order(product: u64, quantity: u64, payment_method: &str) -> Value {
    json!({
        "user_id": 1,
        "items": [{"product_id": product, "quantity": quantity}],
        "payment_method": payment_method,
    })
}

/// The request that places `body`.
#[must_use]
pub fn place(body: &Value) -> Call {
    Call::post(ORDERS, body)
}

/// The request that cancels an order.
#[must_use]
pub fn cancel(order: u64) -> Call {
    Call::post(format!("{ORDERS}/{order}/cancel"), &json!({}))
}

/// An order as one node answers it.
///
/// # Panics
/// When there is none.
pub async fn read_order(caller: &Caller, node: u64, order: u64) -> Value {
    caller.get(node, &format!("{ORDERS}/{order}")).await.expect(200).data()
}

/// The id of an order or a product.
///
/// # Panics
/// When there is none.
#[must_use]
#[track_caller]
pub fn id(data: &Value) -> u64 {
    data["id"].as_u64().unwrap_or_else(|| panic!("no id in {data}"))
}

/// An integer of an answer.
///
/// # Panics
/// When it is missing or negative.
#[must_use]
#[track_caller]
pub fn count(data: &Value, field: &str) -> u64 {
    data[field].as_u64().unwrap_or_else(|| panic!("no count `{field}` in {data}"))
}

/// How many orders match a query such as `status=PAID`.
///
/// # Panics
/// When the list cannot be read.
pub async fn order_total(caller: &Caller, node: u64, query: &str) -> u64 {
    let answer = caller.get(node, &format!("{ORDERS}?{query}")).await.expect(200);
    count(&answer.json()["meta"], "total")
}

/// Waits until an order is final on one node, and returns it.
///
/// # Panics
/// When that takes too long.
pub async fn settled(caller: &Caller, node: u64, order: u64) -> Value {
    wait::until(&format!("order {order} was settled"), wait::SETTLED, async || {
        let data = read_order(caller, node, order).await;
        match data["status"].as_str() {
            Some("PAID" | "FAILED" | "CANCELLED") => Ok(data),
            _ => Err(data.to_string()),
        }
    })
    .await
}

/// Waits until no order is PENDING or PROCESSING.
///
/// # Panics
/// When some are still open after the limit.
pub async fn all_settled(caller: &Caller, node: u64) {
    all_settled_within(caller, node, wait::SETTLED).await;
}

/// Waits until no order is open, for at most this long.
///
/// # Panics
/// When that takes too long.
pub async fn all_settled_within(caller: &Caller, node: u64, longest: Duration) {
    wait::until("all orders were settled", longest, async || {
        let pending = order_total(caller, node, "status=PENDING").await;
        let processing = order_total(caller, node, "status=PROCESSING").await;
        if pending + processing == 0 {
            Ok(())
        } else {
            Err(format!("{pending} PENDING, {processing} PROCESSING"))
        }
    })
    .await;
}

/// Checks the sums between the counters of a product.
///
/// # Panics
/// When they do not add up.
#[track_caller]
pub fn assert_counters(data: &Value) {
    let stock = count(data, "stock");
    let on_hand = count(data, "on_hand");
    let kept = count(data, "held") + count(data, "reserved");
    assert_eq!(stock + kept, on_hand, "{data}");
    assert_eq!(count(data, "available_stock"), stock, "{data}");
    assert_eq!(count(data, "total_stock"), on_hand + count(data, "sold"), "{data}");
}

/// Checks that no unit appeared or vanished: available, held, reserved and sold units add up to
/// `initial`.
///
/// # Panics
/// When they do not fit together.
#[track_caller]
pub fn assert_conserved(data: &Value, initial: u64) {
    assert_counters(data);
    assert_eq!(count(data, "total_stock"), initial, "{data}");
}

/// Checks the fields of an order that follow from each other, in the answer to a request that
/// carries one order, and returns the order.
///
/// # Panics
/// When they do not fit together.
#[track_caller]
pub fn order_of(answer: &Answer) -> Value {
    let body = answer.json();
    let data = answer.data();
    assert_eq!(body["order_id"], data["id"], "{body}");
    assert_eq!(body["status"], data["status"], "{body}");
    assert_order(&data);
    data
}

/// Checks the fields of an order that follow from each other.
///
/// # Panics
/// When they do not fit together.
#[track_caller]
pub fn assert_order(data: &Value) {
    assert_eq!(data["order_id"], data["id"], "{data}");
    let saga = match data["status"].as_str() {
        Some("PENDING" | "PROCESSING") => "RESERVED",
        Some("PAID") => "CONFIRMED",
        Some("FAILED" | "CANCELLED") => "CANCELLED",
        _ => panic!("status of {data}"),
    };
    assert_eq!(data["saga_status"], saga, "{data}");
    assert_eq!(data["total_price"], data["total_amount"], "{data}");
    let items = data["items"].as_array().unwrap_or_else(|| panic!("items of {data}"));
    let mut total = 0;
    for line in items {
        assert_eq!(line["order_id"], data["id"], "{data}");
        let price = line["unit_price_minor"].as_i64().expect("a price in minor units");
        let quantity = line["quantity"].as_i64().expect("a quantity");
        assert_eq!(line["unit_price"], decimal(price), "{data}");
        assert_eq!(line["line_total"], decimal(price * quantity), "{data}");
        total += price * quantity;
    }
    assert_eq!(data["total_amount_minor"], total, "{data}");
    assert_eq!(data["total_amount"], decimal(total), "{data}");
    if let [line] = items.as_slice() {
        assert_eq!(data["product_id"], line["product_id"], "{data}");
        assert_eq!(data["quantity"], line["quantity"], "{data}");
    }
    assert_eq!(data["cancelled_at"].is_string(), data["status"] == "CANCELLED", "{data}");
    let has_reason = data["failure_reason"].is_string();
    let needs_reason = data["status"] == "FAILED";
    assert!(has_reason == needs_reason || data["status"] == "CANCELLED", "{data}");
}

/// Minor units as decimal text with two places.
fn decimal(minor: i64) -> String {
    format!("{}.{:02}", minor / 100, minor % 100)
}
