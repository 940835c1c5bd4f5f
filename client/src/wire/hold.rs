//! Holds: units set aside until a deadline.

use serde::{Deserialize, Serialize};

use super::OrderLineRequest;
use super::word::words;

words! {
    /// Where a hold stands.
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
pub struct Hold {
    /// The hold's id, from 1.
    pub id: u64,
    /// The same as `id`.
    pub hold_id: u64,
    /// For whom; null when the request named nobody.
    #[serde(default)]
    pub user_id: Option<u64>,
    /// Where the hold stands.
    pub status: HoldStatus,
    /// The lines, 1 to 100, in the order they were sent.
    pub items: Vec<HoldLine>,
    /// The moment from which on it is unusable.
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
    /// Position of the hold's last change, below 2^53; also its `ETag`.
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

/// One line of a hold. It has no price: that is taken when the hold becomes an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldLine {
    /// What is held.
    pub product_id: u64,
    /// How many, 1 to 1,000,000.
    pub quantity: u64,
}

/// The body of `POST /holds`. The server also takes a single line as `product_id` with `quantity`
/// or `qty`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldRequest {
    /// For whom. An order from the hold is theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<u64>,
    /// What to hold: 1 to 100 lines; lines that name one product are added up.
    pub items: Vec<OrderLineRequest>,
    /// For how many seconds, at least 1; the server has a default and a bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<u64>,
    /// Makes repeating the request safe: 1 to 255 printable characters.
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
pub struct ExtendRequest {
    /// For how many seconds from now, at least 1. A hold never lives longer in all than the
    /// server's bound, and never shorter than it would anyhow.
    pub ttl_seconds: u64,
}
