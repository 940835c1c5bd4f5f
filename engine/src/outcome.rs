//! What became of a command. Every node computes the same outcome; the node that took the request
//! answers with it.

use crate::ids::{AdjustmentId, HoldId, OrderId, Position, ProductId, UserId};
use crate::money::Money;
use crate::order::Status;
use crate::trace::TraceId;
use crate::webhook::Conflict;

/// What applying a command did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A new order was placed.
    Placed(OrderId),
    /// The key had made this order before; nothing changed.
    Replayed(OrderId),
    /// What became of each order of a batch, in their order: placed, replayed or, unless the batch
    /// was atomic, rejected.
    Batch(Vec<Outcome>),
    /// The order is cancelled.
    Cancelled {
        /// Which.
        order: OrderId,
        /// It had been cancelled before; nothing changed.
        already: bool,
    },
    /// The key can never make an order.
    KeyFenced {
        /// It had been fenced before; nothing changed.
        already: bool,
    },
    /// The key had made this order; nothing changed.
    KeyApplied(OrderId),
    /// A report of a payment settled its order.
    WebhookApplied {
        /// The order.
        order: OrderId,
        /// It had done so before; nothing changed.
        duplicate: bool,
    },
    /// A report of a payment waits for its order.
    WebhookParked {
        /// The order that does not exist yet.
        order: OrderId,
        /// It had been parked before; nothing changed.
        duplicate: bool,
    },
    /// A hold was made.
    HoldCreated(HoldId),
    /// The key had made this hold before; nothing changed.
    HoldReplayed(HoldId),
    /// The hold is released.
    HoldReleased {
        /// Which.
        hold: HoldId,
        /// It had been released before; nothing changed.
        already: bool,
    },
    /// The hold lives as long as the request asked for, or as long as any may.
    HoldExtended(HoldId),
    /// These of the asked-for payment tasks now belong to the worker.
    Claimed(Vec<ClaimedPayment>),
    /// So many payment results were recorded; the others were for attempts that were over.
    Settled(u64),
    /// A product was created.
    ProductCreated(ProductId),
    /// A product was changed.
    ProductUpdated(ProductId),
    /// The stock of a product was adjusted.
    StockAdjusted {
        /// The adjustment.
        adjustment: AdjustmentId,
        /// The product.
        product: ProductId,
    },
    /// The key had made this adjustment before; nothing changed.
    AdjustmentReplayed {
        /// The adjustment.
        adjustment: AdjustmentId,
        /// The product.
        product: ProductId,
    },
    /// A product was archived, now or before.
    ProductArchived(ProductId),
    /// A user was created.
    UserCreated(UserId),
    /// The clock moved.
    Ticked,
    /// A cluster of its own began.
    ClusterBegun,
    /// Payments wait, or go on.
    PaymentsSet,
    /// The request id was applied before, or belongs to an earlier boot of its node. Nothing
    /// changed.
    Ignored,
    /// The rules refuse it; nothing changed but what [`Rejection::PaymentConflict`] records.
    Rejected(Rejection),
}

/// A payment task that was claimed, with all that the worker needs to call the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedPayment {
    /// The order.
    pub order: OrderId,
    /// The attempt, part of the gateway's key.
    pub attempt: u32,
    /// How many clusters had begun from others when the order was placed, part of the key too.
    pub epoch: u32,
    /// How often this attempt got no answer yet.
    pub unanswered: u32,
    /// What to charge.
    pub amount: Money,
    /// The trace id of the order.
    pub trace: TraceId,
}

/// Why the rules refuse a command. All of these depend on nothing but the state and the command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// No such product, or it is archived.
    #[error("Product {0} not found.")]
    ProductNotFound(ProductId),
    /// No such order.
    #[error("Order not found.")]
    OrderNotFound,
    /// No such user, and the command requires one.
    #[error("User {0} not found.")]
    UserNotFound(UserId),
    /// The command requires a user and names none.
    #[error("The user id field is required.")]
    UserRequired,
    /// Fewer units than asked for.
    #[error(
        "Insufficient stock for product ID {product}. Requested: {requested}, available: {available}."
    )]
    InsufficientStock {
        /// The product.
        product: ProductId,
        /// Units asked for, all lines together.
        requested: u64,
        /// Units there.
        available: i64,
    },
    /// More units than one order may ask for.
    #[error("At most {limit} of product {product} per order. Requested: {requested}.")]
    PurchaseLimitExceeded {
        /// The product.
        product: ProductId,
        /// Its limit.
        limit: u32,
        /// Units asked for, all lines together.
        requested: u64,
    },
    /// Some orders of an atomic batch are refused, so none was placed.
    #[error("{}", words_of_batch(items))]
    BatchRefused {
        /// Which, from 0, at least one, each as if those before it in this list had not been asked
        /// for; and why.
        items: Box<[(usize, Rejection)]>,
    },
    /// A report of a payment that cannot be applied. It is recorded; the order did not change.
    #[error("Order {order} is {status}, and the payment result cannot be applied: {conflict}.")]
    PaymentConflict {
        /// The order.
        order: OrderId,
        /// Where it stands.
        status: Status,
        /// Why.
        conflict: Conflict,
    },
    /// As many reports of payments wait for their orders as may. Nothing was recorded; try again
    /// later.
    #[error("Too many payment results wait for their orders.")]
    TooManyParked,
    /// No such hold.
    #[error("Hold {0} not found.")]
    HoldNotFound(HoldId),
    /// The hold's deadline passed.
    #[error("Hold {0} has expired.")]
    HoldExpired(HoldId),
    /// An order took the hold over.
    #[error("Hold {hold} was consumed by order {order}.")]
    HoldConsumed {
        /// The hold.
        hold: HoldId,
        /// The order that it became.
        order: OrderId,
    },
    /// The hold was released.
    #[error("Hold {0} was released.")]
    HoldReleased(HoldId),
    /// The order names another user than the hold does.
    #[error("The user id field must name the user of hold {0}, or nobody.")]
    HoldOfAnotherUser(HoldId),
    /// An earlier order of the same atomic batch takes the hold.
    #[error("Hold {0} is named by an earlier order of the batch.")]
    HoldNamedTwice(HoldId),
    /// As many holds are active as may be. Nothing was applied; try again later.
    #[error("Too many holds are active.")]
    TooManyHolds,
    /// More units than one user may have.
    #[error(
        "At most {limit} of product {product} per user. Requested: {requested}, taken: {taken}."
    )]
    UserLimitExceeded {
        /// The product.
        product: ProductId,
        /// Its limit.
        limit: u32,
        /// Units asked for, all lines together.
        requested: u64,
        /// Units that the user has in holds, open orders and paid ones.
        taken: u64,
    },
    /// The idempotency key was closed before it made anything.
    #[error("The idempotency key is fenced.")]
    KeyFenced,
    /// The idempotency key was used for another request.
    #[error("The idempotency key was used for another request.")]
    KeyReused,
    /// The order's total does not fit.
    #[error("The total amount is too large.")]
    AmountOverflow,
    /// Another number of units can be sold than the caller expected.
    #[error("The stock of product {product} is {available}, not {expected}.")]
    StockMismatch {
        /// The product.
        product: ProductId,
        /// What the caller expected.
        expected: i64,
        /// What can be sold.
        available: i64,
    },
    /// An adjustment would take out more units than can be sold.
    #[error("The stock of product {product} is {available} and cannot change by {delta}.")]
    StockBelowZero {
        /// The product.
        product: ProductId,
        /// The change.
        delta: i64,
        /// What can be sold.
        available: i64,
    },
    /// The stock would go beyond [`crate::product::STOCK_MAX`].
    #[error("The stock would be too large.")]
    StockOverflow,
    /// As many orders are open as may be. Nothing was applied; try again later.
    #[error("Too many orders wait for their payment.")]
    TooManyOpenOrders,
    /// The order is not PENDING any more.
    #[error("Order with status {status} cannot be cancelled.")]
    NotCancellable {
        /// Which.
        order: OrderId,
        /// Where it stands.
        status: Status,
    },
    /// The row has another version than the caller expected.
    #[error("The version is {current} by now.")]
    VersionMismatch {
        /// The version it has.
        current: Position,
    },
    /// Another product has this SKU.
    #[error("The sku has already been taken.")]
    SkuTaken,
    /// Another user has this e-mail address.
    #[error("The email has already been taken.")]
    EmailTaken,
    /// The command itself breaks a bound that the edge should have kept. The field is named.
    #[error("The {0} field is invalid.")]
    Invalid(&'static str),
}

impl Rejection {
    /// Whether there were fewer units than asked for.
    pub(crate) fn is_lack_of_stock(&self) -> bool {
        matches!(self, Rejection::InsufficientStock { .. })
    }
}

/// The first refusal of a batch in words, and how many more there are.
fn words_of_batch(items: &[(usize, Rejection)]) -> String {
    let Some((index, reason)) = items.first() else { return "No order was refused.".into() };
    let more = match items.len() - 1 {
        0 => String::new(),
        1 => " (and 1 more order)".into(),
        more => format!(" (and {more} more orders)"),
    };
    format!("The order at index {index} of the batch: {reason}{more}")
}
