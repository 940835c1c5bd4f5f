//! Products: what is asked for and what is answered.

use serde::{Deserialize, Serialize};

use super::{Patch, decimal};

/// A product and its counters at one position.
///
/// `stock + held + reserved = on_hand` and `on_hand + sold = total_stock` always hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Units that can still be sold.
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
    /// An event tells when the units that can be sold fall to this number; null for none.
    #[serde(default)]
    pub low_stock_threshold: Option<u64>,
    /// When the product was created.
    pub created_at: String,
    /// When the product or one of its counters last changed.
    pub updated_at: String,
    /// Position of the last change, below 2^53; also the `ETag`.
    pub version: u64,
}

/// The body of `POST /products` and of `PUT /products/{id}`.
///
/// A replace leaves nothing as it was: an optional field that is missing is removed. `stock` is
/// what can be sold, so reserved units are never erased by it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProductRequest {
    /// The name.
    pub name: String,
    /// Price of one as decimal text with at most two places; a JSON number is read too.
    #[serde(deserialize_with = "decimal::text")]
    pub price: String,
    /// Units that can be sold.
    pub stock: u64,
    /// The caller's own identifier of the product.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sku: Option<String>,
    /// Most units in one order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_per_order: Option<u64>,
    /// Most units for one user; orders then have to name one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_per_user: Option<u64>,
    /// An event tells when the units that can be sold fall to this number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low_stock_threshold: Option<u64>,
}

/// The body of `PATCH /products/{id}`: what is missing stays as it is, and what may be
/// absent from a product can be taken away.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Units that can be sold from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stock: Option<u64>,
    /// The new identifier of the caller's own.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub sku: Patch<String>,
    /// The new limit for one order.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub max_per_order: Patch<u64>,
    /// The new limit for one user.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub max_per_user: Patch<u64>,
    /// The new number of units at which an event tells that few are left.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub low_stock_threshold: Patch<u64>,
}
