//! Products: what is asked for and what is answered.

use serde::{Deserialize, Serialize};

use super::{Patch, decimal};

/// At most this many units of one user in this many days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PerWindow {
    /// The most units.
    pub units: u64,
    /// The window in days of 24 hours, 1 to 366. Units count until their window has passed.
    pub days: u64,
}

/// A product and its counters at one position.
///
/// `stock + held + reserved = on_hand` and `on_hand + sold = total_stock` always hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Product {
    /// The product's id, from 1.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// The caller's own identifier of the product, if any.
    pub sku: Option<String>,
    /// Price of one as decimal text, at most `"99999999.99"`.
    pub price: String,
    /// Price of one in minor units.
    pub price_minor: i64,
    /// Units that can be sold.
    pub stock: u64,
    /// The same as `stock`.
    pub available_stock: u64,
    /// Units on hand and units sold.
    pub total_stock: u64,
    /// Units in the house, held and reserved ones included.
    pub on_hand: u64,
    /// Units in active holds.
    pub held: u64,
    /// Units in open orders.
    pub reserved: u64,
    /// Units in paid orders.
    pub sold: u64,
    /// Most units in one order; null when unlimited.
    #[serde(default)]
    pub max_per_order: Option<u64>,
    /// Most units for one user over all orders; null when unlimited.
    #[serde(default)]
    pub max_per_user: Option<u64>,
    /// The event `stock.low` is sent when the units that can be sold fall to this number; null for
    /// none.
    #[serde(default)]
    pub low_stock_threshold: Option<u64>,
    /// From this time on the product can be ordered and held; absent without an opening.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opens_at: Option<String>,
    /// From this time on it can no longer be; absent without a closing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closes_at: Option<String>,
    /// Fewest units in one order or hold; absent without a minimum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_per_order: Option<u64>,
    /// Most units of one user in active holds; absent when unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_held_per_user: Option<u64>,
    /// Most units of one user within a window; absent when unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_window: Option<PerWindow>,
    /// When the product was created.
    pub created_at: String,
    /// When the product or one of its counters last changed.
    pub updated_at: String,
    /// Position of the last change, also the `ETag`.
    pub version: u64,
}

/// The body of `POST /products` and of `PUT /products/{id}`.
///
/// A `PUT` removes optional fields that are missing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ProductRequest {
    /// The name.
    pub name: String,
    /// Price of one as decimal text with at most two places; a JSON number is read too.
    #[serde(deserialize_with = "decimal::text")]
    pub price: String,
    /// Units that can be sold. Reserved and held units are on top; setting this never erases them.
    pub stock: u64,
    /// The caller's own identifier, unlike that of any other product.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sku: Option<String>,
    /// Most units in one order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_per_order: Option<u64>,
    /// Most units of one user: open, held and paid ones, counted from the first request that sets a
    /// limit. Orders and holds must then name a user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_per_user: Option<u64>,
    /// The event `stock.low` is sent when the units that can be sold fall to this number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low_stock_threshold: Option<u64>,
    /// When the sale opens, as RFC 3339. New orders and holds are refused before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opens_at: Option<String>,
    /// When the sale closes, as RFC 3339, after `opens_at`. New orders and holds, and extensions of
    /// holds, are refused from then on. A hold made before may still become an order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closes_at: Option<String>,
    /// Fewest units in one order or hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_per_order: Option<u64>,
    /// Most units of one user in active holds. Holds must then name a user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_held_per_user: Option<u64>,
    /// Most units of one user within a window that ends now: open, held and paid ones, counted from
    /// the request that sets the limit. Orders and holds must then name a user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_window: Option<PerWindow>,
}

/// The body of `PATCH /products/{id}`: missing fields stay as they are; null removes `sku`, the
/// limits and the window of the sale.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ProductPatch {
    /// The new name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The new price as decimal text with at most two places; a JSON number is read too.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "decimal::optional_text"
    )]
    pub price: Option<String>,
    /// Units that can be sold from now on. Reserved and held units are on top.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stock: Option<u64>,
    /// The new identifier, unlike that of any other product.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub sku: Patch<String>,
    /// The new limit for one order.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub max_per_order: Patch<u64>,
    /// The new limit for one user.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub max_per_user: Patch<u64>,
    /// The new number of units at which the event `stock.low` is sent.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub low_stock_threshold: Patch<u64>,
    /// When the sale opens, as RFC 3339.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub opens_at: Patch<String>,
    /// When the sale closes, as RFC 3339, after `opens_at`.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub closes_at: Patch<String>,
    /// The new minimum for one order.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub min_per_order: Patch<u64>,
    /// The new limit of units of one user in active holds.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub max_held_per_user: Patch<u64>,
    /// The new limit of one user within a window.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub per_window: Patch<PerWindow>,
}
