//! Stock: adjustments and the ledger of a product.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::Product;

/// The body of `POST /products/{id}/adjustments`: exactly one of `delta` and `set`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AdjustmentRequest {
    /// Units to add, or to take out when negative; not 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delta: Option<i64>,
    /// Units that can be sold afterwards. Reserved and held units are on top.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<u64>,
    /// Units that must be for sale before, else the answer is 409 `stock_mismatch`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<u64>,
    /// Why; the ledger shows it.
    pub reason: String,
    /// Makes retries safe: 1 to 255 printable characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
}

impl AdjustmentRequest {
    /// Brings `delta` units in, or takes them out when negative.
    #[must_use]
    pub fn by(delta: i64, reason: impl Into<String>) -> Self {
        Self { delta: Some(delta), reason: reason.into(), ..Self::default() }
    }

    /// Sets what can be sold to `units`.
    #[must_use]
    pub fn to(units: u64, reason: impl Into<String>) -> Self {
        Self { set: Some(units), reason: reason.into(), ..Self::default() }
    }

    /// Adjusts only if exactly this many units are for sale before.
    #[must_use]
    pub fn expecting(mut self, units: u64) -> Self {
        self.expected = Some(units);
        self
    }
}

/// An adjustment of the stock of a product. It never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Adjustment {
    /// The adjustment's id, from 1.
    pub id: u64,
    /// The product.
    pub product_id: u64,
    /// Units that were added, or taken out when negative.
    pub delta: i64,
    /// The stock that `set` asked for; null for a `delta`.
    pub set: Option<u64>,
    /// The stock that was expected; null for none.
    pub expected: Option<u64>,
    /// Why.
    pub reason: String,
    /// Units that could be sold right after it.
    pub stock: u64,
    /// The key of the request, if any.
    pub idempotency_key: Option<String>,
    /// When it was made.
    pub created_at: String,
    /// Its position in the log.
    pub version: u64,
    /// Trace id of the request.
    #[serde(default)]
    pub trace_id: Option<String>,
    /// The product after the request; absent when it is archived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<Product>,
}

/// One movement of units.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LedgerRow {
    /// Position of the movement in the log.
    pub index: u64,
    /// Number of the row among those of the same position, from 0.
    pub line: u64,
    /// When, on the replicated clock.
    pub time: String,
    /// Why the units moved: `created`, `order`, `sale`, `release`, `cancel`, `adjustment`, `hold`,
    /// `hold_consume`, `hold_release`, `hold_expire` or `return`.
    pub cause: Cow<'static, str>,
    /// What moved them; null for the creation of the product.
    pub reference: Option<LedgerReference>,
    /// The reason of an adjustment; null otherwise.
    pub reason: Option<String>,
    /// By how much each counter changed.
    pub deltas: LedgerDeltas,
    /// The counters after the movement.
    pub counters: LedgerCounters,
}

/// What moved units.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LedgerReference {
    /// `order`, `hold`, `adjustment` or `refund`.
    #[serde(rename = "type")]
    pub kind: Cow<'static, str>,
    /// Its id.
    pub id: u64,
}

/// Changes of the counters of a product.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LedgerDeltas {
    /// Of the units that can be sold.
    pub stock: i64,
    /// Of the units in the house.
    pub on_hand: i64,
    /// Of the units in active holds.
    pub held: i64,
    /// Of the units in open orders.
    pub reserved: i64,
    /// Of the units in paid orders.
    pub sold: i64,
}

/// The counters of a product.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LedgerCounters {
    /// Units that can be sold.
    pub stock: u64,
    /// Units in the house.
    pub on_hand: u64,
    /// Units in active holds.
    pub held: u64,
    /// Units in open orders.
    pub reserved: u64,
    /// Units in paid orders.
    pub sold: u64,
}
