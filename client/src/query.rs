//! Query strings and path segments.

use std::fmt::Write as _;
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::wire::OrderStatus;

/// The characters that are not encoded in a path segment or a query value: letters, digits and `-._
/// `.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Which orders to list, newest first. The default is the first page of all orders.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OrderQuery {
    /// Only orders of this user.
    pub user_id: Option<u64>,
    /// Only orders in this status.
    pub status: Option<OrderStatus>,
    /// Only orders with a line of this product.
    pub product_id: Option<u64>,
    /// Only orders with a line of the product that has this SKU now; not with `product_id`.
    pub sku: Option<String>,
    /// Only orders created at this time or later: RFC 3339, or a day, which begins in UTC.
    pub created_after: Option<String>,
    /// Only orders created before this time.
    pub created_before: Option<String>,
    /// Only the order with this reference.
    pub client_reference: Option<String>,
    /// The part of the list.
    pub paging: Paging,
}

/// Which part of a list of orders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Paging {
    /// By page number: for people; the answer has exact counts.
    Page {
        /// The page's number, from 1.
        page: u64,
        /// Orders per page, 1 to 50; the server's default is 15.
        per_page: Option<u64>,
    },
    /// By cursor: for reading all orders while more are placed.
    Cursor {
        /// `next_cursor` of the previous page; `None` for the first one.
        cursor: Option<String>,
        /// Orders per page, 1 to 1,000.
        limit: u64,
    },
}

impl Default for Paging {
    fn default() -> Self {
        Self::Page { page: 1, per_page: None }
    }
}

/// Which products to list, by ascending id. The default is all of them, up to 10,000.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProductQuery {
    /// Only these products; empty means all.
    pub ids: Vec<u64>,
    /// Only the product with this SKU.
    pub sku: Option<String>,
    /// `next_cursor` of the previous page; `None` for the first one.
    pub cursor: Option<String>,
    /// Products per page, at most 10,000.
    pub limit: Option<u64>,
}

/// Which active holds to list, by ascending id. The default is the first page of all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HoldQuery {
    /// Only holds of this user.
    pub user_id: Option<u64>,
    /// Only holds with a line of this product.
    pub product_id: Option<u64>,
    /// `next_cursor` of the previous page; `None` for the first one.
    pub cursor: Option<String>,
    /// Holds per page, at most 1,000; the server's default is 100.
    pub limit: Option<u64>,
}

impl HoldQuery {
    /// The path with the query string.
    pub(crate) fn path(&self) -> String {
        let mut path = Path::new("/api/v1/holds");
        path.number("user_id", self.user_id);
        path.number("product_id", self.product_id);
        path.text("cursor", self.cursor.as_deref());
        path.number("limit", self.limit);
        path.text
    }
}

/// Which part of a product's ledger, oldest row first. The default is its beginning.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LedgerQuery {
    /// Only rows after this place: a position, or `next_cursor` of the previous page.
    pub after: Option<String>,
    /// Rows per page, 1 to 1,000; the server's default is 100.
    pub limit: Option<u64>,
}

impl LedgerQuery {
    /// The path with the query string.
    pub(crate) fn path(&self, product: u64) -> String {
        let mut path = Path::new(&format!("/api/v1/products/{product}/ledger"));
        path.text("after", self.after.as_deref());
        path.number("limit", self.limit);
        path.text
    }
}

/// Which events to subscribe to. The default is all from now on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventQuery {
    /// Only events that concern this user.
    pub user_id: Option<u64>,
    /// Only events that concern this product.
    pub product_id: Option<u64>,
    /// Only events of these types, or of families such as `order.*`; empty means all. At most 32.
    pub types: Vec<String>,
    /// Begin after the event with this id; `0.0` is before all events.
    pub after: Option<String>,
}

impl EventQuery {
    /// The path with the query string, without the id to begin after. It asks for heartbeats so
    /// often that three fit into the longest `silence` of a stream.
    pub(crate) fn path(&self, silence: Duration) -> String {
        let mut path = Path::new("/api/v1/events");
        path.number("heartbeat_seconds", Some((silence.as_secs() / 3).clamp(1, 60)));
        path.number("user_id", self.user_id);
        path.number("product_id", self.product_id);
        let types = self.types.join(",");
        path.text("types", (!types.is_empty()).then_some(types.as_str()));
        path.text
    }
}

impl OrderQuery {
    /// The path with the query string.
    pub(crate) fn path(&self) -> String {
        let mut path = Path::new("/api/v1/orders");
        path.number("user_id", self.user_id);
        path.text("status", self.status.map(OrderStatus::as_str));
        path.number("product_id", self.product_id);
        path.text("sku", self.sku.as_deref());
        path.text("created_after", self.created_after.as_deref());
        path.text("created_before", self.created_before.as_deref());
        path.text("client_reference", self.client_reference.as_deref());
        match &self.paging {
            Paging::Page { page, per_page } => {
                path.number("page", Some(*page));
                path.number("per_page", *per_page);
            }
            Paging::Cursor { cursor, limit } => {
                path.text("cursor", cursor.as_deref());
                path.number("limit", Some(*limit));
            }
        }
        path.text
    }
}

impl ProductQuery {
    /// The path with the query string.
    pub(crate) fn path(&self) -> String {
        let mut path = Path::new("/api/v1/products");
        let ids = self.ids.iter().map(u64::to_string).collect::<Vec<_>>().join(",");
        path.text("ids", (!ids.is_empty()).then_some(ids.as_str()));
        path.text("sku", self.sku.as_deref());
        path.text("cursor", self.cursor.as_deref());
        path.number("limit", self.limit);
        path.text
    }
}

/// `text` as one path segment.
pub(crate) fn segment(text: &str) -> String {
    // Dots alone would mean a relative path.
    if text.bytes().all(|byte| byte == b'.') {
        return "%2E".repeat(text.len());
    }
    utf8_percent_encode(text, ENCODED).to_string()
}

/// A path to which query parameters are added.
struct Path {
    text: String,
    separator: char,
}

impl Path {
    fn new(path: &str) -> Self {
        Self { text: path.to_owned(), separator: '?' }
    }

    fn number(&mut self, name: &str, value: Option<u64>) {
        if let Some(value) = value {
            self.push(name, &value);
        }
    }

    fn text(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.push(name, &utf8_percent_encode(value, ENCODED));
        }
    }

    fn push(&mut self, name: &str, value: &dyn std::fmt::Display) {
        let separator = std::mem::replace(&mut self.separator, '&');
        write!(self.text, "{separator}{name}={value}").expect("writing to a string never fails");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_by_page_and_by_cursor() {
        assert_eq!(OrderQuery::default().path(), "/api/v1/orders?page=1");
        let query = OrderQuery {
            user_id: Some(1),
            status: Some(OrderStatus::Paid),
            product_id: Some(5),
            created_after: Some("2026-02-23T10:30:00+01:00".to_owned()),
            paging: Paging::Page { page: 2, per_page: Some(50) },
            ..OrderQuery::default()
        };
        assert_eq!(
            query.path(),
            concat!(
                "/api/v1/orders?user_id=1&status=PAID&product_id=5",
                "&created_after=2026-02-23T10%3A30%3A00%2B01%3A00&page=2&per_page=50"
            )
        );
        let paging = Paging::Cursor { cursor: Some("a+b/=&".to_owned()), limit: 1000 };
        let query = OrderQuery { paging, ..OrderQuery::default() };
        assert_eq!(query.path(), "/api/v1/orders?cursor=a%2Bb%2F%3D%26&limit=1000");
    }

    #[test]
    fn products() {
        assert_eq!(ProductQuery::default().path(), "/api/v1/products");
        let query = ProductQuery { ids: vec![1, 5], limit: Some(10), ..ProductQuery::default() };
        assert_eq!(query.path(), "/api/v1/products?ids=1%2C5&limit=10");
        let query = ProductQuery { sku: Some("A 1".to_owned()), ..ProductQuery::default() };
        assert_eq!(query.path(), "/api/v1/products?sku=A%201");
    }

    #[test]
    fn holds() {
        assert_eq!(HoldQuery::default().path(), "/api/v1/holds");
        let query = HoldQuery { user_id: Some(7), limit: Some(5), ..HoldQuery::default() };
        assert_eq!(query.path(), "/api/v1/holds?user_id=7&limit=5");
    }

    #[test]
    fn ledgers() {
        assert_eq!(LedgerQuery::default().path(7), "/api/v1/products/7/ledger");
        let query = LedgerQuery { after: Some("4096.3".to_owned()), limit: Some(10) };
        assert_eq!(query.path(7), "/api/v1/products/7/ledger?after=4096.3&limit=10");
    }

    #[test]
    fn any_text_is_encoded_as_one_segment() {
        assert_eq!(segment("order-abc-123"), "order-abc-123");
        assert_eq!(segment("a/b?c#d e%"), "a%2Fb%3Fc%23d%20e%25");
        assert_eq!(segment("é"), "%C3%A9");
        assert_eq!(segment(".."), "%2E%2E");
    }
}
