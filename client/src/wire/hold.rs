//! Holds: units set aside until a deadline.

use serde::{Deserialize, Serialize};

use super::word::words;
use super::{CursorMeta, OrderLineRequest};

words! {
    /// The status of a hold: `active`, then `consumed` by one order, `expired` at its deadline, or
    /// `released`.
    HoldStatus {
        /// Its units are set aside for it.
        Active = "active",
        /// An order took its units over: final.
        Consumed = "consumed",
        /// Its deadline passed: final, the units can be sold again.
        Expired = "expired",
        /// It was given back early: final, the units can be sold again.
        Released = "released",
    }
}

/// A hold as it is at one position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Hold {
    /// The hold's id, from 1.
    pub id: u64,
    /// The same as `id`.
    pub hold_id: u64,
    /// The user it is for; null when the request named none.
    #[serde(default)]
    pub user_id: Option<u64>,
    /// The hold's status.
    pub status: HoldStatus,
    /// The lines, 1 to 100, in the order in which they were sent.
    pub items: Vec<HoldLine>,
    /// Sum of the lines as decimal text, if they have prices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_amount: Option<String>,
    /// From this time on the hold cannot be used.
    pub expires_at: String,
    /// The order that took it over; null otherwise.
    #[serde(default)]
    pub order_id: Option<u64>,
    /// The key that made the hold, if any.
    #[serde(default)]
    pub idempotency_key: Option<String>,
    /// When the hold was made.
    pub created_at: String,
    /// When the hold last changed.
    pub updated_at: String,
    /// Position of the hold's last change, also its `ETag`.
    pub version: u64,
    /// Trace id of the request that made the hold.
    #[serde(default)]
    pub trace_id: Option<String>,
    /// The product of a hold with exactly one line; absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product_id: Option<u64>,
    /// The quantity of a hold with exactly one line; absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<u64>,
    /// The same as `quantity`, in the word of older clients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qty: Option<u64>,
}

/// The body of `GET /holds`, by ascending id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HoldList {
    /// Always `true`.
    pub success: bool,
    /// The holds of this page.
    pub data: Vec<Hold>,
    /// Where the next page begins.
    pub meta: CursorMeta,
}

impl HoldList {
    /// A success with one page of holds.
    #[must_use]
    pub const fn new(data: Vec<Hold>, meta: CursorMeta) -> Self {
        Self { success: true, data, meta }
    }
}

/// One line of a hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HoldLine {
    /// What is held.
    pub product_id: u64,
    /// How many, 1 to 1,000,000.
    pub quantity: u64,
    /// Price of one as decimal text when the hold was made, which its order pays. Absent in holds
    /// of a cluster at level 0: their orders pay the price of their moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit_price: Option<String>,
}

/// A line with its price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PricedLine {
    /// The product.
    pub product_id: u64,
    /// How many, 1 to 1,000,000.
    pub quantity: u64,
    /// Price of one as decimal text.
    pub unit_price: String,
}

/// The body of `POST /holds`: either `items`, or `product_id` with `quantity` or `qty`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HoldRequest {
    /// The user it is for; an order from the hold belongs to them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<u64>,
    /// What to hold: 1 to 100 lines. Lines with the same product are added up before the check.
    pub items: Vec<OrderLineRequest>,
    /// For how many seconds, at least 1: 120 by default, at most what the server allows (3,600
    /// unless set otherwise).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<u64>,
    /// Makes retries safe: 1 to 255 printable characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
}

impl HoldRequest {
    /// A hold of these `(product_id, quantity)` lines, everything else left to defaults.
    #[must_use]
    pub fn of(lines: impl IntoIterator<Item = (u64, u64)>) -> Self {
        Self { items: OrderLineRequest::all(lines), ..Self::default() }
    }
}

/// The body of `POST /holds/{id}/extend`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ExtendRequest {
    /// For how many seconds from now, at least 1. A hold lives at most as long as the server allows
    /// (3,600 seconds unless set otherwise), and an extension never shortens it.
    pub ttl_seconds: u64,
}
