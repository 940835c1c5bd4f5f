//! What the OpenAPI document says about refunds.

use client::wire::ErrorCode;

use super::examples;
use crate::describe::operation::Operation;
use crate::describe::words::json_content;

pub(crate) fn request() -> Operation {
    let replayed = json_content("RefundAnswer", examples::refund());
    Operation::new("requestRefund", "Refund an order")
        .text(
            "Gives money of a PAID order back: an amount, the price of some lines, or all that is \
             left. Units of lines with `restock` can be sold again at once, and no longer count \
             against the limit of their customer; they stay back even if the money part fails. \
             The worker asks the gateway that charged the order. An order that was paid by a \
             webhook has its refund recorded as `succeeded`: give the money back yourself.",
        )
        .takes(&["OrderId", "IdempotencyKey"])
        .body("RefundRequest", examples::request())
        .makes("The refund was requested.", "RefundAnswer", examples::refund())
        .answers(
            200,
            "The key made this refund before; this is the refund as it is now.",
            &["ETag", "Idempotent-Replayed"],
            replayed,
        )
        .writes()
        .refuses(&[
            ErrorCode::NotFound,
            ErrorCode::NotRefundable,
            ErrorCode::RefundExceedsPaid,
            ErrorCode::ReturnExceedsSold,
            ErrorCode::IdempotencyKeyInvalid,
            ErrorCode::IdempotencyKeyMismatch,
            ErrorCode::IdempotencyKeyReused,
            ErrorCode::LevelTooLow,
            ErrorCode::StaleRead,
        ])
}

pub(crate) fn of_order() -> Operation {
    Operation::new("listRefunds", "List the refunds of an order")
        .text("All refunds of an order, oldest first, and how much they give back.")
        .takes(&["OrderId"])
        .reads()
        .lists("The refunds.", "OrderRefundsAnswer", examples::of_order())
        .refuses(&[ErrorCode::NotFound])
}

pub(crate) fn get() -> Operation {
    Operation::new("getRefund", "Read a refund")
        .text("The refund as it is now.")
        .takes(&["RefundId"])
        .reads()
        .shows("The refund.", "RefundAnswer", examples::refund())
        .refuses(&[ErrorCode::NotFound])
}
