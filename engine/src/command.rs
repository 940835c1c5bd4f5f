//! What can be asked of the state machine, and how it is encoded.
//!
//! The edge validates shape and bounds and resolves every setting before it makes a command; apply
//! decides only what depends on the state. Durations travel, deadlines never: apply adds the
//! replicated clock.

use bincode::{Decode, Encode};

use crate::adjustment::Change;
use crate::codec::{self, Error};
use crate::ids::{HoldId, NodeId, OrderId, Position, ProductId, RequestId, UserId};
use crate::money::Money;
use crate::order::{Line, PaymentMethod};
use crate::trace::TraceId;
use crate::webhook::Report;

/// The version of the command encoding written today.
pub const VERSION: u8 = 1;

/// A command with the identity of its request.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Envelope {
    /// Applied at most once under this id.
    pub request: RequestId,
    /// Follows the command into history, events and logs.
    pub trace: TraceId,
    /// What to do.
    pub command: Command,
}

impl Envelope {
    /// The bytes that travel and are stored.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode_versioned(VERSION, self)
    }

    /// Reads them back.
    ///
    /// # Errors
    /// When the version is unknown or the bytes are no command.
    pub fn decode(bytes: &[u8]) -> Result<Envelope, Error> {
        codec::decode_versioned(VERSION, bytes)
    }
}

/// All commands.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Command {
    /// See [`PlaceOrder`].
    PlaceOrder(PlaceOrder),
    /// See [`PlaceBatch`].
    PlaceBatch(PlaceBatch),
    /// See [`CancelOrder`].
    CancelOrder(CancelOrder),
    /// See [`ClaimPayments`].
    ClaimPayments(ClaimPayments),
    /// See [`SettlePayments`].
    SettlePayments(SettlePayments),
    /// See [`FenceKey`].
    FenceKey(FenceKey),
    /// See [`PaymentWebhook`].
    PaymentWebhook(PaymentWebhook),
    /// See [`CreateHold`].
    CreateHold(CreateHold),
    /// See [`ReleaseHold`].
    ReleaseHold(ReleaseHold),
    /// See [`ExtendHold`].
    ExtendHold(ExtendHold),
    /// See [`CreateProduct`].
    CreateProduct(CreateProduct),
    /// See [`UpdateProduct`].
    UpdateProduct(UpdateProduct),
    /// See [`AdjustStock`].
    AdjustStock(AdjustStock),
    /// See [`ArchiveProduct`].
    ArchiveProduct(ArchiveProduct),
    /// See [`CreateUser`].
    CreateUser(CreateUser),
    /// Nothing but the entry's clock: lets due deadlines expire on an idle cluster.
    Tick,
    /// See [`BeginCluster`].
    BeginCluster(BeginCluster),
    /// See [`SetPayments`].
    SetPayments(SetPayments),
}

/// Check, price, reserve, create, key and enqueue the payment, all or nothing.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct PlaceOrder {
    /// Who orders. Nobody means the user of the hold, if there is one; another user than the hold's
    /// is refused.
    pub user: Option<UserId>,
    /// The hold to take over, once, while it is active. Its lines are the order's.
    pub hold: Option<HoldId>,
    /// 1 to [`crate::order::LINES_MAX`] lines, each of 1 to [`crate::ids::Quantity::MAX`] units;
    /// lines that name one product are summed before the check. None with a hold.
    pub lines: Vec<Line>,
    /// Who brings the payment about.
    pub payment_method: PaymentMethod,
    /// Idempotency key, 1 to 255 printable characters.
    pub key: Option<Box<str>>,
    /// Canonical JSON object, at most 4 KiB.
    pub metadata: Option<Box<str>>,
    /// Setting: attempts that may be declined before the order fails, at least 1.
    pub payment_attempts_max: u32,
    /// Setting: how long an order that waits for a webhook may stay unpaid, in milliseconds.
    pub payment_deadline_ms: u64,
    /// Setting: refuse with `TooManyOpenOrders` when so many orders are open already.
    pub open_orders_max: u64,
    /// Setting: refuse users that have no row.
    pub require_user: bool,
}

/// The most orders of one [`PlaceBatch`].
pub const BATCH_ORDERS_MAX: usize = 1000;

/// Place many orders at once.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct PlaceBatch {
    /// Place all or none, with what they ask of one product summed over the orders. Otherwise each
    /// order is placed or refused as if it had come alone, in their order.
    pub atomic: bool,
    /// 1 to [`BATCH_ORDERS_MAX`] orders.
    pub orders: Vec<PlaceOrder>,
}

/// Cancel a PENDING order and give its units back. Cancelling again changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct CancelOrder {
    /// Which.
    pub order: OrderId,
    /// The customer's words, at most 255 bytes.
    pub reason: Option<Box<str>>,
}

/// Claim due payment tasks for one node's worker.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ClaimPayments {
    /// The node whose worker claims.
    pub node: NodeId,
    /// How long nobody else may claim them, in milliseconds.
    pub lease_ms: u64,
    /// Orders with the attempt that the worker saw; those that moved on since are passed over.
    pub tasks: Vec<(OrderId, u32)>,
}

/// Results of payment attempts.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SettlePayments {
    /// One result per attempt; results of attempts that are over are passed over.
    pub results: Vec<PaymentResult>,
}

/// How one attempt ended, or did not.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct PaymentResult {
    /// The order.
    pub order: OrderId,
    /// The attempt.
    pub attempt: u32,
    /// What the gateway said.
    pub verdict: Verdict,
}

/// What a payment gateway said.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Verdict {
    /// Charged.
    Succeeded,
    /// Definitely not charged. The next attempt, if one is left, is due after `retry_in_ms`.
    Declined {
        /// The gateway's words, at most 255 bytes.
        reason: Box<str>,
        /// Back-off before the next attempt, in milliseconds.
        retry_in_ms: u64,
    },
    /// No definite answer. The same attempt is due again, under the same key, after `retry_in_ms`.
    NoAnswer {
        /// Back-off before asking again, in milliseconds.
        retry_in_ms: u64,
    },
}

/// Make sure that an idempotency key of orders makes no order any more, unless it has made one: a
/// request under it that is still on its way will be refused.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct FenceKey {
    /// The key, 1 to 255 printable characters.
    pub key: Box<str>,
}

/// The result of a payment, as a provider reports it. Taken down once per key, for ever.
///
/// It settles a PENDING order, whatever its payment method: one that the worker has not begun to
/// pay loses its payment task, so the customer is charged once.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct PaymentWebhook {
    /// The provider's idempotency key, 1 to 255 printable characters.
    pub key: Box<str>,
    /// The order, at least 1. One that does not exist yet is waited for.
    pub order: OrderId,
    /// What became of the payment.
    pub report: Report,
    /// How much was paid; must be the order's total.
    pub amount: Option<Money>,
    /// What else the provider sent, at most [`crate::webhook::PAYLOAD_BYTES_MAX`] bytes of JSON.
    /// Kept, but not part of what the request means.
    pub payload: Option<Box<str>>,
    /// Setting: how long to wait for an order that does not exist yet, in milliseconds.
    pub park_ms: u64,
    /// Setting: refuse with `TooManyParked` when so many reports wait already.
    pub parked_max: u64,
}

/// Set units aside until a deadline, all lines or none.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct CreateHold {
    /// For whom.
    pub user: Option<UserId>,
    /// As in [`PlaceOrder::lines`].
    pub lines: Vec<Line>,
    /// How long, in milliseconds, at least 1. Part of what the request means.
    pub ttl_ms: u64,
    /// Idempotency key, 1 to 255 printable characters.
    pub key: Option<Box<str>>,
    /// Setting: the longest life of a hold, extensions included, in milliseconds. A longer `ttl_ms`
    /// is cut to it.
    pub ttl_max_ms: u64,
    /// Setting: refuse with `TooManyHolds` when so many holds are active already.
    pub active_holds_max: u64,
    /// Setting: refuse users that have no row.
    pub require_user: bool,
}

/// Give the units of an active hold back. Releasing again changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ReleaseHold {
    /// Which.
    pub hold: HoldId,
}

/// Let an active hold live on: until `ttl_ms` from now, but no longer than `ttl_max_ms` after it
/// was made, and never shorter than it would anyhow.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ExtendHold {
    /// Which.
    pub hold: HoldId,
    /// How long from now on, in milliseconds, at least 1.
    pub ttl_ms: u64,
    /// Setting: the longest life of a hold, in milliseconds.
    pub ttl_max_ms: u64,
}

/// Create a product.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct CreateProduct {
    /// 1 to [`crate::product::NAME_BYTES_MAX`] bytes.
    pub name: Box<str>,
    /// At most [`crate::product::SKU_BYTES_MAX`] bytes, unique among products that are not
    /// archived.
    pub sku: Option<Box<str>>,
    /// 0 to [`Money::PRICE_MAX`].
    pub price: Money,
    /// First stock, 0 to [`crate::product::STOCK_MAX`].
    pub stock: i64,
    /// Limit per order, at least 1.
    pub max_per_order: Option<u32>,
    /// Limit per user over all orders and holds, at least 1: open, held and paid units count, from
    /// the command that first sets a limit on. Orders and holds without a user are refused.
    pub max_per_user: Option<u32>,
    /// Tell when so many units or fewer can be sold.
    pub low_stock: Option<u32>,
}

/// Replace or patch a product: `None` leaves a field as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct UpdateProduct {
    /// Which.
    pub product: ProductId,
    /// Refuse when the product's version is another (`If-Match`).
    pub expected_version: Option<Position>,
    /// New name.
    pub name: Option<Box<str>>,
    /// New SKU, or none.
    pub sku: Option<Option<Box<str>>>,
    /// New price, for orders from now on.
    pub price: Option<Money>,
    /// What shall be available: `on_hand` becomes `stock + held + reserved`, so that held and
    /// reserved units are never erased.
    pub stock: Option<i64>,
    /// New limit per order, or none.
    pub max_per_order: Option<Option<u32>>,
    /// New limit per user, or none.
    pub max_per_user: Option<Option<u32>>,
    /// New threshold of low stock, or none.
    pub low_stock: Option<Option<u32>>,
}

/// Bring units of a product in, or take out units that are neither held nor reserved.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct AdjustStock {
    /// Which.
    pub product: ProductId,
    /// How.
    pub change: Change,
    /// Refuse when another number of units can be sold.
    pub expected: Option<i64>,
    /// Why, 1 to [`crate::order::REASON_BYTES_MAX`] bytes.
    pub reason: Box<str>,
    /// Idempotency key, 1 to 255 printable characters.
    pub key: Option<Box<str>>,
}

/// Archive a product: gone for readers and new orders, while open orders still settle.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ArchiveProduct {
    /// Which.
    pub product: ProductId,
    /// Refuse when the product's version is another (`If-Match`).
    pub expected_version: Option<Position>,
}

/// Begin a cluster of its own with the rows of another: the first entry after a backup was restored
/// or a cluster was forced. Forgets which requests were applied, since whoever sent them is gone.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct BeginCluster {
    /// Ask for no payment until [`SetPayments`] says so.
    pub pause_payments: bool,
}

/// Let payments wait, or go on. What is under way is recorded all the same.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SetPayments {
    /// Whether they wait.
    pub paused: bool,
}

/// Create a user.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct CreateUser {
    /// 1 to [`crate::user::FIELD_BYTES_MAX`] bytes.
    pub name: Box<str>,
    /// 1 to [`crate::user::FIELD_BYTES_MAX`] bytes, unique.
    pub email: Box<str>,
}
