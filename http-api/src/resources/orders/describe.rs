//! What the OpenAPI document says of orders, their keys and batches.

use client::wire::{ErrorCode, OrderStatus};
use serde_json::json;

use super::examples;
use super::task::REQUIRED;
use crate::describe::operation::Operation;
use crate::describe::words::json_content;
use crate::resources::holds::describe::ENDED;

pub(crate) fn list() -> Operation {
    Operation::new("listOrders", "List orders")
        .text(
            "Newest first. By page number with totals, or by `cursor` and `limit` for walking \
             through all of them. An empty parameter counts as left out.",
        )
        .takes(&["UserFilter", "StatusFilter", "ProductFilter", "Page", "PerPage"])
        .takes(&["OrderCursor", "OrderLimit"])
        .reads()
        .lists("A page of orders.", "OrderList", examples::order_list())
}

pub(crate) fn create() -> Operation {
    Operation::new("placeOrder", "Place an order")
        .text(
            "Checks, prices and reserves all lines, creates the order, keeps its key and queues \
             its payment: all or nothing, in one entry of the log. Or takes a hold over with \
             `hold_id`, once: its units become the order's.",
        )
        .takes(&["IdempotencyKey"])
        .body("OrderRequest", examples::order_request())
        .makes("The order was placed.", "OrderAnswer", examples::order(OrderStatus::Pending))
        .replays(examples::order(OrderStatus::Pending))
        .writes()
        .refuses(PLACING)
        .refuses(&ENDED)
}

pub(crate) fn purchase() -> Operation {
    Operation::new("purchase", "Buy one product")
        .text("An order of one line. The answer shows the product after the sale.")
        .takes(&["IdempotencyKey"])
        .body("PurchaseRequest", examples::purchase_request())
        .makes("The order was placed.", "OrderAnswer", examples::purchase())
        .replays(examples::purchase())
        .writes()
        .refuses(PLACING)
}

pub(crate) fn batch() -> Operation {
    Operation::new("placeOrders", "Place many orders")
        .text(
            "Up to 1,000 orders in one request of up to 16 MiB. Each has a result of its \
             own, in their order, with the status that it would have had alone: one that is \
             refused or cannot be read does not keep the others from being placed. With \
             `atomic` all are placed in one entry of the log or none is: then what they ask \
             of a product is added up, a refusal is 409 and `results` names every order at \
             fault. Keys stand in the orders and work as they do alone, so repeating a \
             batch whose orders all have keys is safe.",
        )
        .takes(&["Atomic"])
        .body("BatchRequest", examples::batch_request())
        .or_lines("The body of an order a line; blank lines count for nothing.")
        .lists("What became of each order.", "BatchAnswer", examples::batch())
        .writes()
        .refuses(PLACING)
        .refuses(&ENDED)
        .refuses(&[ErrorCode::BatchRejected])
}

pub(crate) fn by_key() -> Operation {
    Operation::new("getOrderByKey", "Look an idempotency key up")
        .text(
            "Whether the key made an order, and which, or was fenced: what to ask after a lost \
             answer.",
        )
        .takes(&["Key"])
        .reads()
        .lists("What is known about the key.", "ByKeyAnswer", examples::by_key())
        .refuses(&[ErrorCode::IdempotencyKeyInvalid])
}

pub(crate) fn fence() -> Operation {
    Operation::new("fenceKey", "Close an idempotency key")
        .text(
            "A key that made no order never will: a request under it that is still on its way \
             is refused with 409 `key_fenced`. A key that made one is answered with it. Asking \
             again changes nothing. This is how to end the doubt after a lost answer.",
        )
        .takes(&["Key"])
        .lists("The key is fenced, or made this order.", "ByKeyAnswer", examples::fenced())
        .writes()
        .refuses(&[ErrorCode::IdempotencyKeyInvalid])
}

pub(crate) fn get() -> Operation {
    Operation::new("getOrder", "Read an order")
        .text("The order as it is now.")
        .takes(&["OrderId"])
        .reads()
        .shows("The order.", "OrderAnswer", examples::order(OrderStatus::Pending))
        .refuses(&[ErrorCode::NotFound])
}

pub(crate) fn cancel() -> Operation {
    Operation::new("cancelOrder", "Cancel an order")
        .text(
            "Gives the units back, once. From PENDING only; cancelling a cancelled order again \
             is a success that changes nothing. The body may be left out.",
        )
        .takes(&["OrderId"])
        .optional_body("CancelRequest", json!({"reason": "changed my mind"}))
        .shows("The order is cancelled.", "OrderAnswer", examples::order(OrderStatus::Cancelled))
        .writes()
        .refuses(&[ErrorCode::NotFound, ErrorCode::OrderNotCancellable])
}

pub(crate) fn history() -> Operation {
    Operation::new("getOrderHistory", "Read the history of an order")
        .text("Every step that the order took, oldest first.")
        .takes(&["OrderId"])
        .reads()
        .lists("The steps.", "OrderHistory", examples::history())
        .refuses(&[ErrorCode::NotFound])
}

pub(crate) fn processed() -> Operation {
    Operation::new("dispatchOrderTask", "Dispatch what follows an order")
        .text(
            "What follows an order is its payment, whose task is a part of the order and cannot \
             get lost. So this checks that the order is there and writes a line to the log, \
             `order.processed`; it changes nothing, and never pays twice.",
        )
        .body("TaskRequest", json!({"order_id": 7}))
        .answers(202, "It is dispatched.", &["ETag"], json_content("TaskQueued", examples::task()))
        .looks()
        .refuses(&[ErrorCode::NotFound])
        .says_instead(REQUIRED)
}

/// What placing an order can be refused with.
const PLACING: &[ErrorCode] = &[
    ErrorCode::NotFound,
    ErrorCode::InsufficientStock,
    ErrorCode::PurchaseLimitExceeded,
    ErrorCode::KeyFenced,
    ErrorCode::IdempotencyKeyInvalid,
    ErrorCode::IdempotencyKeyMismatch,
    ErrorCode::IdempotencyKeyReused,
];
