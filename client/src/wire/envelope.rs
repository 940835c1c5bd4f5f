//! What stands around the data of a success: `{"success": true, "data": …}`.

use serde::{Deserialize, Serialize};

use super::{LedgerRow, Order, OrderStatus, Product};

/// The body of a success that carries neither an order nor a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope<T> {
    /// Always `true`; errors have the shape of [`super::Problem`].
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

/// The body of a success that carries one order: create, purchase, get and cancel.
///
/// The id and the status stand outside of the data too, because older clients read them there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
pub struct PageMeta {
    /// Number of this page, from 1; null when the list was asked for by cursor.
    pub current_page: Option<u64>,
    /// Most orders on one page: `per_page` (at most 50) or `limit` (at most 1,000).
    pub per_page: u64,
    /// Orders that match the filters; null where counting them was not asked for.
    pub total: Option<u64>,
    /// Number of the last page, at least 1; null when `total` is.
    pub last_page: Option<u64>,
    /// Opaque text that continues after this page as `cursor`; null on the last one.
    pub next_cursor: Option<String>,
    /// Whether more orders follow.
    pub has_more: bool,
}

/// The body of `GET /products`, by ascending id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProductList {
    /// Always `true`.
    pub success: bool,
    /// The products of this page.
    pub data: Vec<Product>,
    /// How to go on.
    pub meta: CursorMeta,
}

impl ProductList {
    /// A success with one page of products.
    #[must_use]
    pub const fn new(data: Vec<Product>, meta: CursorMeta) -> Self {
        Self { success: true, data, meta }
    }
}

/// The body of `GET /products/{id}/ledger`, oldest row first. `next_cursor` is the place of the
/// last row, to be sent as `after`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerList {
    /// Always `true`.
    pub success: bool,
    /// The rows of this page.
    pub data: Vec<LedgerRow>,
    /// How to go on.
    pub meta: CursorMeta,
}

impl LedgerList {
    /// A success with one page of rows.
    #[must_use]
    pub const fn new(data: Vec<LedgerRow>, meta: CursorMeta) -> Self {
        Self { success: true, data, meta }
    }
}

/// How to go on after one page of a list that has no page numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CursorMeta {
    /// Opaque text that continues after this page as `cursor`; null on the last one.
    pub next_cursor: Option<String>,
    /// Whether more rows follow.
    pub has_more: bool,
}
