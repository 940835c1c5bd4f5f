//! The outcome of a command. Every node computes the same one; the node that received the request
//! answers with it.

use crate::auth::Mode;
use crate::ids::{
    AdjustmentId, HoldId, OrderId, Position, ProductId, RefundId, Timestamp, TokenId, UserId,
};
use crate::money::Money;
use crate::order::{Item, Status};
use crate::sale::PerWindow;
use crate::trace::TraceId;
use crate::webhook::Fate;

/// The outcome of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A new order was placed.
    Placed(OrderId),
    /// The key had made this order before; nothing changed.
    Replayed(OrderId),
    /// The outcome of each order of a batch, in order: placed, replayed or, unless the batch was
    /// atomic, rejected.
    Batch(Vec<Outcome>),
    /// The order is cancelled.
    Cancelled {
        /// The order.
        order: OrderId,
        /// It was cancelled before; nothing changed.
        already: bool,
    },
    /// The key can never make an order.
    KeyFenced {
        /// It was fenced before; nothing changed.
        already: bool,
    },
    /// The key had made this order; nothing changed.
    KeyApplied(OrderId),
    /// A report of a payment is recorded.
    Reported {
        /// The order that it is about.
        order: OrderId,
        /// What became of it.
        fate: Fate,
        /// Where the order stands now, if it exists.
        status: Option<Status>,
        /// It had been recorded before; nothing changed.
        duplicate: bool,
    },
    /// A hold was created.
    HoldCreated(HoldId),
    /// The key had made this hold before; nothing changed.
    HoldReplayed(HoldId),
    /// The hold is released.
    HoldReleased {
        /// The hold.
        hold: HoldId,
        /// It was released before; nothing changed.
        already: bool,
    },
    /// The hold lasts as long as requested, or as long as the limit allows.
    HoldExtended(HoldId),
    /// The payment tasks that the worker has claimed, of those it asked for.
    Claimed(Vec<ClaimedPayment>),
    /// How many payment results were recorded; the others were for attempts that are over.
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
    /// The product is archived, now or before.
    ProductArchived(ProductId),
    /// A user was created.
    UserCreated(UserId),
    /// The clock moved.
    Ticked,
    /// A new cluster began.
    ClusterBegun,
    /// Payments are paused, or resumed.
    PaymentsSet,
    /// The cluster is at this level, now or before.
    LevelRaised(u32),
    /// Requests need credentials as the mode says.
    AuthSet {
        /// The mode.
        mode: Mode,
        /// It was so before; nothing changed.
        already: bool,
    },
    /// A token was created.
    TokenCreated(TokenId),
    /// The token counts for nothing from here on.
    TokenRevoked {
        /// The token.
        token: TokenId,
        /// It was revoked before; nothing changed.
        already: bool,
    },
    /// The order has ended as the operator said.
    OrderSettled {
        /// The order.
        order: OrderId,
        /// It had ended that way before; nothing changed.
        already: bool,
    },
    /// The payment of the order is due now.
    PaymentRechecked(OrderId),
    /// A refund was accepted.
    RefundRequested(RefundId),
    /// The key had made this refund before; nothing changed.
    RefundReplayed(RefundId),
    /// The refunds that the worker has claimed, of those it asked for.
    RefundsClaimed(Vec<ClaimedRefund>),
    /// How many answers about refunds were recorded; the others were about refunds that have ended.
    RefundsSettled(u64),
    /// What was done is in the audit.
    Noted,
    /// The key had executed this command before; nothing changed. Inside is what it did.
    Repeated(Box<Outcome>),
    /// The request id was applied before, or belongs to an earlier boot of its node. Nothing
    /// changed.
    Ignored,
    /// The rules refuse it; nothing changed.
    Rejected(Rejection),
}

/// A claimed payment task, with all that the worker needs to call the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedPayment {
    /// The order.
    pub order: OrderId,
    /// The attempt, part of the gateway's key.
    pub attempt: u32,
    /// How many clusters had begun from others when the order was placed, part of the key too.
    pub epoch: u32,
    /// How often this attempt got no answer so far.
    pub unanswered: u32,
    /// Whether an earlier claim, or a cluster that this one is a copy of, may have sent the attempt
    /// to the gateway.
    pub maybe_sent: bool,
    /// How long the gateway may have known the order, in milliseconds.
    pub age_ms: u64,
    /// The amount to charge.
    pub amount: Money,
    /// The trace id of the order.
    pub trace: TraceId,
}

/// A claimed refund, with all that the worker needs to call the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedRefund {
    /// The refund.
    pub refund: RefundId,
    /// Its order.
    pub order: OrderId,
    /// How many clusters had begun from others when the order was placed, and when the refund was
    /// requested: parts of their keys.
    pub order_epoch: u32,
    /// See `order_epoch`.
    pub epoch: u32,
    /// How often the gateway gave no answer so far.
    pub unanswered: u32,
    /// Whether the gateway may have seen it.
    pub maybe_sent: bool,
    /// How long the gateway may have known it, in milliseconds.
    pub age_ms: u64,
    /// The amount.
    pub amount: Money,
    /// The trace id of the request.
    pub trace: TraceId,
}

/// Why the rules refuse a command. Each reason depends only on the state and the command.
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
    /// Fewer units are available than requested.
    #[error(
        "Insufficient stock for product ID {product}. Requested: {requested}, available: {available}.{}",
        words_of_more(.also)
    )]
    InsufficientStock {
        /// The first such product, in the order of the lines.
        product: ProductId,
        /// Requested units, all lines together.
        requested: u64,
        /// Available units.
        available: i64,
        /// All other such products, in the order of the lines.
        also: Box<[Shortage]>,
    },
    /// More units than one order may request.
    #[error("At most {limit} of product {product} per order. Requested: {requested}.")]
    PurchaseLimitExceeded {
        /// The product.
        product: ProductId,
        /// Its limit.
        limit: u32,
        /// Requested units, all lines together.
        requested: u64,
    },
    /// Some orders of an atomic batch are refused, so none was placed.
    #[error("{}", words_of_batch(items))]
    BatchRefused {
        /// At least one index from 0, with the reason. Each is judged as if the refused orders
        /// before it were not in the batch.
        items: Box<[(usize, Rejection)]>,
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
    /// An order has consumed the hold.
    #[error("Hold {hold} was consumed by order {order}.")]
    HoldConsumed {
        /// The hold.
        hold: HoldId,
        /// That order.
        order: OrderId,
    },
    /// The hold was released.
    #[error("Hold {0} was released.")]
    HoldReleased(HoldId),
    /// The order names another user than the hold does.
    #[error("The user id field must name the user of hold {0}, or nobody.")]
    HoldOfAnotherUser(HoldId),
    /// An earlier order of the same atomic batch consumes the hold.
    #[error("Hold {0} is named by an earlier order of the batch.")]
    HoldNamedTwice(HoldId),
    /// The maximum number of holds is active. Nothing was applied; try again later.
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
        /// Requested units, all lines together.
        requested: u64,
        /// Units that the user has in holds, open orders and paid orders.
        taken: u64,
    },
    /// The idempotency key was fenced before it made anything.
    #[error("The idempotency key is fenced.")]
    KeyFenced,
    /// The idempotency key was used for another request.
    #[error("The idempotency key was used for another request.")]
    KeyReused,
    /// Another order has the reference, or an earlier one of the same atomic batch.
    #[error("The client_reference is taken{}.", words_of_owner(*order))]
    ReferenceTaken {
        /// That order, unless it is of the same batch, or of another customer than the sender is
        /// limited to.
        order: Option<OrderId>,
    },
    /// The sale of the product has not opened.
    #[error("The sale of product {product} is not open yet.")]
    SaleNotOpen {
        /// The product.
        product: ProductId,
        /// When it opens.
        opens_at: Timestamp,
        /// The replicated clock.
        clock: Timestamp,
    },
    /// The sale of the product is over.
    #[error("The sale of product {product} is closed.")]
    SaleClosed {
        /// The product.
        product: ProductId,
        /// When it closed.
        closes_at: Timestamp,
    },
    /// More units than one user may take within a window.
    #[error(
        "At most {} of product {product} per user in {} days. Requested: {requested}, taken: \
         {taken}.", limit.units, limit.days()
    )]
    WindowLimitExceeded {
        /// The product.
        product: ProductId,
        /// Its limit.
        limit: PerWindow,
        /// Requested units, all lines together.
        requested: u64,
        /// Units that the user took within the window and that did not come back.
        taken: u64,
        /// When enough of them stop counting; `None` when more are requested than the limit.
        allowed_at: Option<Timestamp>,
    },
    /// Fewer units than one order must request.
    #[error("At least {minimum} of product {product} per order. Requested: {requested}.")]
    MinimumNotMet {
        /// The product.
        product: ProductId,
        /// The minimum.
        minimum: u32,
        /// Requested units, all lines together.
        requested: u64,
    },
    /// More units than one user may have in active holds.
    #[error(
        "At most {limit} of product {product} in holds of one user. Requested: {requested}, held: \
         {held}."
    )]
    HeldLimitExceeded {
        /// The product.
        product: ProductId,
        /// Its limit.
        limit: u32,
        /// Requested units, all lines together.
        requested: u64,
        /// Units that the user has in holds. Holds past their deadline count until they are swept.
        held: u64,
    },
    /// The total differs from what the caller expected.
    #[error("The total amount is {actual}, not {expected}.")]
    TotalMismatch {
        /// What the caller expected.
        expected: Money,
        /// The total.
        actual: Money,
        /// The lines with the prices that the order would have.
        items: Box<[Item]>,
    },
    /// The order's total is too large to represent.
    #[error("The total amount is too large.")]
    AmountOverflow,
    /// The number of available units differs from what the caller expected.
    #[error("The stock of product {product} is {available}, not {expected}.")]
    StockMismatch {
        /// The product.
        product: ProductId,
        /// What the caller expected.
        expected: i64,
        /// Available units.
        available: i64,
    },
    /// An adjustment would remove more units than are available.
    #[error("The stock of product {product} is {available} and cannot change by {delta}.")]
    StockBelowZero {
        /// The product.
        product: ProductId,
        /// The change.
        delta: i64,
        /// Available units.
        available: i64,
    },
    /// The stock would exceed [`crate::product::STOCK_MAX`].
    #[error("The stock would be too large.")]
    StockOverflow,
    /// The maximum number of orders is open. Nothing was applied; try again later.
    #[error("Too many orders wait for their payment.")]
    TooManyOpenOrders,
    /// The order is no longer PENDING.
    #[error("Order with status {status} cannot be cancelled.")]
    NotCancellable {
        /// The order.
        order: OrderId,
        /// Its status.
        status: Status,
    },
    /// The order is not PROCESSING, so there is nothing to decide about its payment.
    #[error("Order with status {status} has no payment without a result.")]
    NotProcessing {
        /// The order.
        order: OrderId,
        /// Its status.
        status: Status,
    },
    /// The order is not PAID.
    #[error("Order with status {status} cannot be refunded.")]
    NotRefundable {
        /// The order.
        order: OrderId,
        /// Its status.
        status: Status,
    },
    /// The amount exceeds the paid amount less all refunds.
    #[error("At most {left} of order {order} is left to refund.")]
    RefundExceedsPaid {
        /// The order.
        order: OrderId,
        /// What is left.
        left: Money,
    },
    /// More units than are left of a line.
    #[error("Line {line} of order {order} has fewer units left to give back.")]
    ReturnExceedsSold {
        /// The order.
        order: OrderId,
        /// The line, from 1.
        line: u32,
    },
    /// The order has as many refunds as it may, or as many wait for the gateway as may.
    #[error("Too many refunds of the order, or too many that wait for the gateway.")]
    TooManyRefunds,
    /// A worker is calling the gateway about the order. Try again when its lease has ended.
    #[error("A call to the gateway about order {0} is under way; try again in a minute.")]
    PaymentInFlight(OrderId),
    /// Another payment attempt is current.
    #[error("Order {order} is at payment attempt {current} by now.")]
    AttemptChanged {
        /// The order.
        order: OrderId,
        /// Its current attempt.
        current: u32,
    },
    /// The row has another version than the caller expected.
    #[error("The version is {current} by now.")]
    VersionMismatch {
        /// Its current version.
        current: Position,
    },
    /// The sale of the product would close before it opens.
    #[error("The closes_at field must be later than the opens_at field.")]
    ClosesBeforeOpening,
    /// No order could have the minimum of the product.
    #[error(
        "The min_per_order field is {minimum}; it must be at most {field}, which is {maximum}."
    )]
    MinimumAboveMaximum {
        /// The fewest units of one order.
        minimum: u32,
        /// The field that allows fewer.
        field: &'static str,
        /// The most units that it allows.
        maximum: u32,
    },
    /// Another product has this SKU.
    #[error("The sku has already been taken.")]
    SkuTaken,
    /// Another user has this e-mail address.
    #[error("The email has already been taken.")]
    EmailTaken,
    /// The token of the sender was revoked or has expired, or credentials are required by now.
    #[error("The token is unknown, was revoked or has expired.")]
    Unauthorized,
    /// The sender is limited to another user.
    #[error("The token is for another user.")]
    OtherUser,
    /// As many tokens exist as may.
    #[error("There are too many tokens; revoke some first.")]
    TooManyTokens,
    /// There never was such a token.
    #[error("Token {0} not found.")]
    TokenNotFound(TokenId),
    /// The command breaks a bound that the edge should have checked. Names the field.
    #[error("The {0} field is invalid.")]
    Invalid(&'static str),
}

impl Rejection {
    /// All products of which fewer units are available than requested, if this is why.
    pub fn shortages(&self) -> Vec<Shortage> {
        match self {
            &Rejection::InsufficientStock { product, requested, available, ref also } => {
                let first = Shortage { product, requested, available };
                std::iter::once(first).chain(also.iter().copied()).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// A product of which fewer units are available than requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shortage {
    /// The product.
    pub product: ProductId,
    /// Requested units, all lines together.
    pub requested: u64,
    /// Available units.
    pub available: i64,
}

/// The order that has a reference.
fn words_of_owner(order: Option<OrderId>) -> String {
    order.map_or(String::new(), |order| format!(" by order {order}"))
}

/// How many more products are short.
fn words_of_more(also: &[Shortage]) -> String {
    match also.len() {
        0 => String::new(),
        1 => " (and 1 more product)".into(),
        more => format!(" (and {more} more products)"),
    }
}

/// The first refusal of a batch as text, and how many more there are.
fn words_of_batch(items: &[(usize, Rejection)]) -> String {
    let Some((index, reason)) = items.first() else { return "No order was refused.".into() };
    let more = match items.len() - 1 {
        0 => String::new(),
        1 => " (and 1 more order)".into(),
        more => format!(" (and {more} more orders)"),
    };
    format!("The order at index {index} of the batch: {reason}{more}")
}
