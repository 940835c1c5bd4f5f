//! A lack of stock, by product.

use serde::{Deserialize, Serialize};

/// A product of which fewer units are for sale than requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Shortage {
    /// The product.
    pub product_id: u64,
    /// Requested units, all lines of the product together.
    pub requested: u64,
    /// Units for sale; in an atomic batch, without those of the orders before.
    pub available: u64,
}
