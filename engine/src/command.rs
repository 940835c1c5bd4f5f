//! What can be asked of the state machine, and how it is encoded.
//!
//! The edge validates shape and bounds and resolves every setting before it makes a command; apply
//! decides only what depends on the state. Durations travel, deadlines never: apply adds the
//! replicated clock.

use bincode::{Decode, Encode};

use crate::codec::{self, Error};
use crate::ids::{NodeId, OrderId, Position, ProductId, RequestId, UserId};
use crate::money::Money;
use crate::order::{Line, PaymentMethod};
use crate::trace::TraceId;

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
    /// See [`CancelOrder`].
    CancelOrder(CancelOrder),
    /// See [`ClaimPayments`].
    ClaimPayments(ClaimPayments),
    /// See [`SettlePayments`].
    SettlePayments(SettlePayments),
    /// See [`CreateProduct`].
    CreateProduct(CreateProduct),
    /// See [`UpdateProduct`].
    UpdateProduct(UpdateProduct),
    /// See [`ArchiveProduct`].
    ArchiveProduct(ArchiveProduct),
    /// See [`CreateUser`].
    CreateUser(CreateUser),
    /// Nothing but the entry's clock: lets due deadlines expire on an idle cluster.
    Tick,
}

/// Check, price, reserve, create, key and enqueue the payment, all or nothing.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct PlaceOrder {
    /// Who orders.
    pub user: Option<UserId>,
    /// 1 to [`crate::order::LINES_MAX`] lines, each of 1 to [`crate::ids::Quantity::MAX`] units;
    /// lines that name one product are summed before the check.
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

/// Create a product.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
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
}

/// Archive a product: gone for readers and new orders, while open orders still settle.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ArchiveProduct {
    /// Which.
    pub product: ProductId,
    /// Refuse when the product's version is another (`If-Match`).
    pub expected_version: Option<Position>,
}

/// Create a user.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct CreateUser {
    /// 1 to [`crate::user::FIELD_BYTES_MAX`] bytes.
    pub name: Box<str>,
    /// 1 to [`crate::user::FIELD_BYTES_MAX`] bytes, unique.
    pub email: Box<str>,
}
