//! Orders: what is asked for, what is answered, and the words for their states.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::Product;
use super::decimal;
use super::metadata::Metadata;
use super::word::words;

words! {
    /// The status of an order: PENDING → PROCESSING → PAID or FAILED; PENDING → CANCELLED.
    /// Nothing else.
    OrderStatus {
        /// Placed; its stock is reserved and its payment has not begun.
        Pending = "PENDING",
        /// Its payment is under way.
        Processing = "PROCESSING",
        /// Paid: final, the stock is sold.
        Paid = "PAID",
        /// Payment refused: final, the stock is released.
        Failed = "FAILED",
        /// Cancelled before its payment began: final, the stock is released.
        Cancelled = "CANCELLED",
    }
}

impl OrderStatus {
    /// Whether the order can never change again.
    #[must_use]
    pub const fn is_final(self) -> bool {
        match self {
            Self::Pending | Self::Processing => false,
            Self::Paid | Self::Failed | Self::Cancelled => true,
        }
    }
}

words! {
    /// The same status in the words of older clients.
    SagaStatus {
        /// Stock is reserved and the payment is open.
        Reserved = "RESERVED",
        /// Paid and sold.
        Confirmed = "CONFIRMED",
        /// Undone, whether refused or cancelled.
        Cancelled = "CANCELLED",
    }
}

impl From<OrderStatus> for SagaStatus {
    fn from(status: OrderStatus) -> Self {
        match status {
            OrderStatus::Pending | OrderStatus::Processing => Self::Reserved,
            OrderStatus::Paid => Self::Confirmed,
            OrderStatus::Failed | OrderStatus::Cancelled => Self::Cancelled,
        }
    }
}

words! {
    /// Who decides whether an order is paid. `gateway`: the payment worker asks the gateway of the
    /// nodes; without one they refuse it. `mock`: the same, but only while that is the simulated
    /// gateway, which takes no money. `webhook`: a webhook brings the result, else the order is
    /// cancelled at its deadline. `none`: the order stays PENDING until it is cancelled.
    PaymentMethod {
        /// The payment worker of the cluster asks the simulated gateway.
        Mock = "mock",
        /// A webhook brings the result.
        Webhook = "webhook",
        /// Nobody: the order stays PENDING until it is cancelled.
        None = "none",
        /// The payment worker of the cluster asks its payment gateway.
        Gateway = "gateway",
    }
}

words! {
    /// The status of an order's payment. `unsettled`: the result of an attempt is unknown, and the
    /// payment worker asks for it again.
    PaymentStatus {
        /// No result yet.
        Pending = "pending",
        /// The result of an attempt is not known and is being asked for again under its key.
        Unsettled = "unsettled",
        /// The money was taken.
        Succeeded = "succeeded",
        /// Refused for good.
        Declined = "declined",
    }
}

words! {
    /// The state of an idempotency key. `applied`: it made an order. `fenced`: it can never make
    /// one. `unused`: neither.
    KeyState {
        /// The key made an order.
        Applied = "applied",
        /// The key can never make an order.
        Fenced = "fenced",
        /// The key has not been used, at the moment of the answer.
        Unused = "unused",
    }
}

/// An order as it is at one position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Order {
    /// The order's id, from 1.
    pub id: u64,
    /// The same as `id`.
    pub order_id: u64,
    /// The user who ordered; null when the order names none.
    pub user_id: Option<u64>,
    /// The order's status.
    pub status: OrderStatus,
    /// The same in the words of older clients.
    pub saga_status: SagaStatus,
    /// Who decides about the payment.
    pub payment_method: PaymentMethod,
    /// The payment's status; null when the order ended without a payment.
    #[serde(default)]
    pub payment_status: Option<PaymentStatus>,
    /// The hold that the order was made from, if any.
    pub hold_id: Option<u64>,
    /// The key that made the order, if any.
    pub idempotency_key: Option<String>,
    /// The lines, 1 to 100, in the order in which they were sent.
    pub items: Vec<OrderLine>,
    /// Sum of the lines as decimal text.
    pub total_amount: String,
    /// The same as `total_amount`.
    pub total_price: String,
    /// Sum of the lines in minor units.
    pub total_amount_minor: i64,
    /// Why the order is FAILED, or CANCELLED when its payment timed out or a reason was given; else
    /// null.
    pub failure_reason: Option<String>,
    /// When the order was cancelled; null otherwise.
    pub cancelled_at: Option<String>,
    /// When the order was placed.
    pub created_at: String,
    /// When the order last changed.
    pub updated_at: String,
    /// Position of the order's last change, also its `ETag`.
    pub version: u64,
    /// What the caller attached; null for nothing.
    #[serde(default)]
    pub metadata: Option<Metadata>,
    /// The caller's name of the order; absent when the request gave none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_reference: Option<String>,
    /// Trace id of the request that placed the order.
    #[serde(default)]
    pub trace_id: Option<String>,
    /// The product of an order with exactly one line; absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product_id: Option<u64>,
    /// The quantity of an order with exactly one line; absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<u64>,
    /// The product after the sale, in the answer to a purchase only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<Box<Product>>,
}

/// One line of an order, priced when the order was placed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OrderLine {
    /// Number of the line in its order, from 1.
    pub id: u64,
    /// The order that the line belongs to.
    pub order_id: u64,
    /// What was ordered.
    pub product_id: u64,
    /// How many, 1 to 1,000,000.
    pub quantity: u64,
    /// Price of one as decimal text.
    pub unit_price: String,
    /// Price of one in minor units.
    pub unit_price_minor: i64,
    /// Price of the line as decimal text.
    pub line_total: String,
}

/// The body of `POST /orders`: either `items` or `hold_id`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OrderRequest {
    /// Who orders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<u64>,
    /// What is ordered, instead of `hold_id`: 1 to 100 lines. Lines with the same product are added
    /// up before the check.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<OrderLineRequest>,
    /// The hold to turn into an order, instead of `items`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_id: Option<u64>,
    /// Who decides about the payment. By default `webhook` for an order from a hold and where nodes
    /// have no payment gateway, else `mock`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_method: Option<PaymentMethod>,
    /// Refuse the order when its total differs: decimal text with at most two places; a JSON number
    /// is read too.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "decimal::optional_text"
    )]
    pub expected_total: Option<String>,
    /// Your name of the order, such as the number of a cart: 1 to 64 printable ASCII characters. No
    /// other order of the cluster may have it, also when this one has failed or is cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_reference: Option<String>,
    /// Makes retries safe: 1 to 255 printable characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// Free data to keep with the order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
}

impl OrderRequest {
    /// An order of these `(product_id, quantity)` lines, everything else left to defaults.
    #[must_use]
    pub fn of(lines: impl IntoIterator<Item = (u64, u64)>) -> Self {
        Self { items: OrderLineRequest::all(lines), ..Self::default() }
    }

    /// An order of what a hold holds, everything else left to defaults.
    #[must_use]
    pub fn from_hold(hold_id: u64) -> Self {
        Self { hold_id: Some(hold_id), ..Self::default() }
    }
}

/// One line that a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OrderLineRequest {
    /// What is ordered.
    pub product_id: u64,
    /// How many, 1 to 1,000,000.
    pub quantity: u64,
}

impl OrderLineRequest {
    /// Lines of these `(product_id, quantity)` pairs.
    pub(super) fn all(lines: impl IntoIterator<Item = (u64, u64)>) -> Vec<Self> {
        let line = |(product_id, quantity)| Self { product_id, quantity };
        lines.into_iter().map(line).collect()
    }
}

/// The body of `POST /orders/purchase`: one product, one quantity.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PurchaseRequest {
    /// What is bought.
    pub product_id: u64,
    /// How many, 1 to 1,000,000.
    pub quantity: u64,
    /// Who buys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<u64>,
    /// Refuse the order when its total differs: decimal text with at most two places; a JSON number
    /// is read too.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "decimal::optional_text"
    )]
    pub expected_total: Option<String>,
    /// Your name of the order, such as the number of a cart: 1 to 64 printable ASCII characters. No
    /// other order of the cluster may have it, also when this one has failed or is cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_reference: Option<String>,
    /// Makes retries safe: 1 to 255 printable characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
}

/// The optional body of `POST /orders/{id}/cancel`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CancelRequest {
    /// Why; kept in the order's history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The state of an idempotency key, and its order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ByKey {
    /// The state of the key.
    pub state: KeyState,
    /// The order that the key made; absent unless `state` is `applied`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Order>,
}

/// One step in the history of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OrderEvent {
    /// Position of the step in the log.
    pub index: u64,
    /// Status before; null for the step that placed the order.
    pub from: Option<OrderStatus>,
    /// Status after.
    pub to: OrderStatus,
    /// When, on the replicated clock.
    pub time: String,
    /// What caused the step, such as `placed` or `payment_declined`.
    pub cause: Cow<'static, str>,
    /// The reason that was given, such as that of a cancel; null for none.
    #[serde(default)]
    pub reason: Option<String>,
    /// Trace id of the request behind the step.
    pub trace_id: Option<String>,
}
