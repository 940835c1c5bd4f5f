//! Dry runs: what a request would come to.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{PricedLine, Shortage};

/// The answer to a request with `dry_run=true` that would succeed. Nothing was changed, nothing is
/// promised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DryRun {
    /// Always `true`.
    pub success: bool,
    /// Always `true`.
    pub dry_run: bool,
    /// What the request would come to.
    pub would: Would,
}

impl DryRun {
    /// What a request would come to.
    #[must_use]
    pub const fn new(would: Would) -> Self {
        Self { success: true, dry_run: true, would }
    }
}

/// What a request would come to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Would {
    /// The HTTP status: 201 for a new row, 200 when the key has made one and for a batch.
    pub status: u16,
    /// Whether the key has made the row before, so that nothing would change.
    pub replay: bool,
    /// The order that the key has made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_id: Option<u64>,
    /// The hold that the key has made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_id: Option<u64>,
    /// Sum of the lines as decimal text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_amount: Option<String>,
    /// The lines with their prices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<Vec<PricedLine>>,
    /// Of a batch: what each order would come to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub results: Option<Vec<WouldOrder>>,
}

/// What one order of a batch would come to: a total with its lines, a replay or an error.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WouldOrder {
    /// The place of the order in the request, from 0.
    pub index: u64,
    /// The HTTP status that the order would have on its own.
    pub status: u16,
    /// Whether its key has made an order, or an order before it in the batch would.
    pub replay: bool,
    /// The order that its key has made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_id: Option<u64>,
    /// Sum of the lines as decimal text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_amount: Option<String>,
    /// The lines with their prices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<Vec<PricedLine>>,
    /// The error code; absent when there is no error, as are all fields of the error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Cow<'static, str>>,
    /// What would go wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// For `validation_error`: what is wrong, by field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<BTreeMap<String, Vec<String>>>,
    /// For `insufficient_stock`: every product that is short, in the order of the lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shortages: Option<Vec<Shortage>>,
    /// For `sale_not_open`: when the sale opens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opens_at: Option<String>,
    /// For `sale_not_open`: milliseconds until the sale opens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}
