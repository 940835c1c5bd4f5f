//! What the OpenAPI document says about orders, their keys and batches.

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
            "Newest first. By page number with totals, or by `cursor` and `limit` to walk through \
             all orders. An empty parameter counts as missing. A long list is read in steps: an \
             order that moves meanwhile may be counted in `total` by its old status or its new one.",
        )
        .takes(&["UserFilter", "StatusFilter", "ProductFilter", "SkuFilter"])
        .takes(&["CreatedAfter", "CreatedBefore", "ReferenceFilter"])
        .takes(&["Page", "PerPage", "OrderCursor", "OrderLimit"])
        .reads()
        .lists("A page of orders.", "OrderList", examples::order_list())
}

pub(crate) fn create() -> Operation {
    Operation::new("placeOrder", "Place an order")
        .text(
            "Checks, prices and reserves all lines, creates the order, stores its key and queues \
             its payment: all or nothing, in one log entry. With `hold_id` it takes over a hold \
             instead, once: the hold's units become the order's.",
        )
        .takes(&["IdempotencyKey"])
        .body("OrderRequest", examples::order_request())
        .makes("The order was placed.", "OrderAnswer", examples::order(OrderStatus::Pending))
        .replays(examples::order(OrderStatus::Pending))
        .writes()
        .refuses(PLACING)
        .refuses(&ENDED)
        .refuses(&[ErrorCode::PaymentMethodUnavailable, ErrorCode::LevelTooLow])
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
        .refuses(&[ErrorCode::LevelTooLow])
}

pub(crate) fn batch() -> Operation {
    Operation::new("placeOrders", "Place many orders")
        .text(
            "Up to 1,000 orders in one request of up to 16 MiB. Each order has its own result, in \
             the order of the request, with the status that it would have had on its own. An \
             order that is refused or cannot be read does not stop the others. With `atomic`, one \
             log entry places all orders or none: quantities of one product are added up, a \
             refusal is 409, and `results` names every order at fault. The orders of an atomic \
             batch have at most 5,000 lines together, those of their holds included. Keys belong \
             to the orders and work as they do for single orders, so a retry of a batch whose \
             orders all have keys is safe.",
        )
        .takes(&["Atomic", "DryRun"])
        .body("BatchRequest", examples::batch_request())
        .or_lines("One order per line; blank lines are skipped.")
        .lists("The result of each order.", "BatchOrDryRunAnswer", examples::batch())
        .looks()
        .writes()
        .refuses(PLACING)
        .refuses(&ENDED)
        .refuses(&[
            ErrorCode::BatchRejected,
            ErrorCode::PaymentMethodUnavailable,
            ErrorCode::LevelTooLow,
        ])
}

pub(crate) fn by_key() -> Operation {
    Operation::new("getOrderByKey", "Look up an idempotency key")
        .text(
            "Says whether the key made an order, and which, or was fenced. Use it after a lost \
             answer.",
        )
        .takes(&["Key"])
        .reads()
        .lists("The state of the key.", "ByKeyAnswer", examples::by_key())
        .refuses(&[ErrorCode::IdempotencyKeyInvalid])
}

pub(crate) fn by_reference() -> Operation {
    Operation::new("getOrderByReference", "Read the order with a reference")
        .text("The order whose `client_reference` this is, as it is now.")
        .takes(&["Reference"])
        .reads()
        .shows("The order.", "OrderAnswer", examples::order(OrderStatus::Pending))
        .refuses(&[ErrorCode::NotFound])
}

pub(crate) fn fence() -> Operation {
    Operation::new("fenceKey", "Fence an idempotency key")
        .text(
            "If the key made no order, it never will: a request with it that is still on its way \
             is refused with 409 `key_fenced`. If the key made an order, the answer shows it. \
             Repeating the call changes nothing. This resolves an unknown outcome after a lost \
             answer.",
        )
        .takes(&["Key"])
        .lists("The key is fenced, or it made this order.", "ByKeyAnswer", examples::fenced())
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
            "Releases the units, once. Only a PENDING order can be cancelled. Cancelling a \
             cancelled order again succeeds and changes nothing. The body is optional.",
        )
        .takes(&["OrderId"])
        .optional_body("CancelRequest", json!({"reason": "changed my mind"}))
        .shows("The order is cancelled.", "OrderAnswer", examples::order(OrderStatus::Cancelled))
        .writes()
        .refuses(&[ErrorCode::NotFound, ErrorCode::OrderNotCancellable])
}

pub(crate) fn history() -> Operation {
    Operation::new("getOrderHistory", "Read the history of an order")
        .text("Every step of the order, oldest first.")
        .takes(&["OrderId"])
        .reads()
        .lists("The steps.", "OrderHistory", examples::history())
        .refuses(&[ErrorCode::NotFound])
}

pub(crate) fn processed() -> Operation {
    Operation::new("dispatchOrderTask", "Dispatch the task after an order")
        .text(
            "The step after an order is its payment, whose task is stored with the order and \
             cannot get lost. So this checks that the order exists and writes the log line \
             `order.processed`. It changes nothing and never pays twice.",
        )
        .body("TaskRequest", json!({"order_id": 7}))
        .answers(
            202,
            "The task is queued.",
            &["ETag"],
            json_content("TaskQueued", examples::task()),
        )
        .looks()
        .refuses(&[ErrorCode::NotFound])
        .says_instead(REQUIRED)
}

/// The refusals for a new order.
const PLACING: &[ErrorCode] = &[
    ErrorCode::NotFound,
    ErrorCode::InsufficientStock,
    ErrorCode::PurchaseLimitExceeded,
    ErrorCode::SaleNotOpen,
    ErrorCode::SaleClosed,
    ErrorCode::MinimumNotMet,
    ErrorCode::TotalMismatch,
    ErrorCode::ReferenceTaken,
    ErrorCode::KeyFenced,
    ErrorCode::IdempotencyKeyInvalid,
    ErrorCode::IdempotencyKeyMismatch,
    ErrorCode::IdempotencyKeyReused,
];
