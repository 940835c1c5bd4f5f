//! What stands around the data of a success: `{"success": true, "data": …}`.

use serde::{Deserialize, Serialize};

use super::{LedgerRow, Order, OrderStatus, Product};

/// A success.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Envelope<T> {
    /// Always `true`.
    pub success: bool,
    /// What was asked for.
    pub data: T,
}

impl<T> Envelope<T> {
    /// A success with `data`.
    pub const fn new(data: T) -> Self {
        Self { success: true, data }
    }
}

/// A success with one order. Older clients read the id and the status outside of the data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OrderAnswer {
    /// Always `true`.
    pub success: bool,
    /// The same as `data.id`.
    pub order_id: u64,
    /// The same as `data.status`.
    pub status: OrderStatus,
    /// The order as it is now.
    pub data: Order,
}

impl OrderAnswer {
    /// A success with `order`.
    #[must_use]
    pub const fn new(order: Order) -> Self {
        Self { success: true, order_id: order.id, status: order.status, data: order }
    }
}

/// The body of `GET /orders`, newest order first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OrderList {
    /// Always `true`.
    pub success: bool,
    /// The orders of this page.
    pub data: Vec<Order>,
    /// Where this page stands in the whole.
    pub meta: PageMeta,
}

impl OrderList {
    /// A success with one page of orders.
    #[must_use]
    pub const fn new(data: Vec<Order>, meta: PageMeta) -> Self {
        Self { success: true, data, meta }
    }
}

/// Where a page of orders stands in the whole list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PageMeta {
    /// Number of this page, from 1; null for a list by cursor.
    pub current_page: Option<u64>,
    /// Most orders on one page: `per_page` (at most 50) or `limit` (at most 1,000).
    pub per_page: u64,
    /// Orders that match the filters; null for a list by cursor.
    pub total: Option<u64>,
    /// Number of the last page, at least 1; null for a list by cursor.
    pub last_page: Option<u64>,
    /// Send this as the cursor (in a ledger as `after`) to get the next page; null on the last
    /// page.
    pub next_cursor: Option<String>,
    /// Whether more orders follow.
    pub has_more: bool,
}

/// The body of `GET /products`, by ascending id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ProductList {
    /// Always `true`.
    pub success: bool,
    /// The products of this page.
    pub data: Vec<Product>,
    /// Where the next page begins.
    pub meta: CursorMeta,
}

impl ProductList {
    /// A success with one page of products.
    #[must_use]
    pub const fn new(data: Vec<Product>, meta: CursorMeta) -> Self {
        Self { success: true, data, meta }
    }
}

/// The body of `GET /products/{id}/ledger`, oldest row first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LedgerList {
    /// Always `true`.
    pub success: bool,
    /// The rows of this page.
    pub data: Vec<LedgerRow>,
    /// Where the next page begins.
    pub meta: CursorMeta,
}

impl LedgerList {
    /// A success with one page of rows.
    #[must_use]
    pub const fn new(data: Vec<LedgerRow>, meta: CursorMeta) -> Self {
        Self { success: true, data, meta }
    }
}

/// Where the next page of a list begins.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CursorMeta {
    /// Send this as the cursor (in a ledger as `after`) to get the next page; null on the last
    /// page.
    pub next_cursor: Option<String>,
    /// Whether more rows follow.
    pub has_more: bool,
}
