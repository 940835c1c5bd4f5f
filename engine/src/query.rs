//! Lists of orders: exact totals and any page, without reading rows.
//!
//! Statuses and the lists of order ids per user and product answer everything here, so it makes no
//! difference whether an order's row is in memory.

use crate::ids::{OrderId, ProductId, UserId};
use crate::order::Status;
use crate::postings::{self, Counts, Postings};
use crate::state::State;

/// The most ids on one page, whatever the caller requests.
pub const PAGE_MAX: u64 = 1000;

/// Which orders to list: those that match every given field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OrderFilter {
    /// Orders of this user.
    pub user: Option<UserId>,
    /// Orders in this status.
    pub status: Option<Status>,
    /// Orders with a line of this product.
    pub product: Option<ProductId>,
}

/// Which part of the list, newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// The page with this number.
    Number {
        /// From 1; 0 means 1.
        page: u64,
        /// Ids on a page, at most [`PAGE_MAX`].
        per_page: u64,
    },
    /// The orders after a given one in the list.
    Before {
        /// Only orders with a smaller id, or from the newest.
        id: Option<OrderId>,
        /// How many, at most [`PAGE_MAX`].
        limit: u64,
    },
}

/// A page of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrderPage {
    /// The orders, newest first.
    pub ids: Vec<OrderId>,
    /// How many orders match the filter, on all pages together.
    pub total: u64,
    /// Whether older ones follow.
    pub has_more: bool,
}

/// A window into a list: ids below `end`, after skipping `skip` of them, at most `limit`.
struct Window {
    end: u64,
    skip: u64,
    limit: usize,
}

impl State {
    /// A page of the matching orders, newest first, and how many match in all.
    pub fn list_orders(&self, filter: &OrderFilter, page: Page) -> OrderPage {
        let (end, skip, limit) = match page {
            Page::Number { page, per_page } => {
                let per_page = per_page.min(PAGE_MAX);
                (u64::MAX, page.saturating_sub(1).saturating_mul(per_page), per_page)
            }
            Page::Before { id, limit } => (id.map_or(u64::MAX, |id| id.0), 0, limit.min(PAGE_MAX)),
        };
        // One more than requested, to know whether there are more.
        let window = Window { end, skip, limit: limit as usize + 1 };
        let (mut ids, total) = match (filter.user, filter.product) {
            (None, None) => self.list_all(filter.status, &window),
            (Some(user), None) => {
                let counts = self.users.counts(user);
                self.list_posted(self.users.orders(user), counts, filter.status, &window)
            }
            (None, Some(product)) => {
                let entry = self.products.entry(product);
                let counts = entry.and_then(|entry| entry.counts.as_ref());
                self.list_posted(self.posted(product), counts, filter.status, &window)
            }
            (Some(user), Some(product)) => match (self.users.orders(user), self.posted(product)) {
                (Some(one), Some(other)) => self.list_common(one, other, filter.status, &window),
                _ => (Vec::new(), 0),
            },
        };
        let has_more = ids.len() as u64 > limit;
        ids.truncate(limit as usize);
        OrderPage { ids, total, has_more }
    }

    /// The orders of a product, archived or not: orders outlive their products.
    fn posted(&self, product: ProductId) -> Option<&Postings> {
        self.products.entry(product).map(|entry| &entry.orders)
    }

    fn list_all(&self, status: Option<Status>, window: &Window) -> (Vec<OrderId>, u64) {
        let statuses = self.orders.statuses();
        let Some(status) = status else {
            let newest = window.end.saturating_sub(1).min(statuses.len());
            let first = newest.saturating_sub(window.skip);
            let ids = (1..=first).rev().take(window.limit).map(OrderId).collect();
            return (ids, statuses.len());
        };
        let end = window.end.saturating_sub(1);
        let slots = statuses.newest(status, end, window.skip, window.limit);
        (slots.into_iter().map(|slot| OrderId(slot + 1)).collect(), statuses.count(status))
    }

    /// The orders in one list.
    fn list_posted(
        &self,
        list: Option<&Postings>,
        counts: Option<&Counts>,
        status: Option<Status>,
        window: &Window,
    ) -> (Vec<OrderId>, u64) {
        let Some(list) = list else { return (Vec::new(), 0) };
        let below = list.rank(window.end);
        let Some(status) = status else {
            let first = below.saturating_sub(usize::try_from(window.skip).unwrap_or(usize::MAX));
            let ids = (0..first).rev().take(window.limit).map(|at| OrderId(list.get(at))).collect();
            return (ids, list.len() as u64);
        };
        let statuses = self.orders.statuses();
        let total = match counts {
            Some(counts) => counts.total(status),
            None => (0..list.len())
                .filter(|at| statuses.get(list.get(*at) - 1) == Some(status))
                .count() as u64,
        };
        let part = (below, window.skip, window.limit);
        (postings::newest(list, counts, statuses, status, part), total)
    }

    /// The orders in both lists.
    fn list_common(
        &self,
        one: &Postings,
        other: &Postings,
        status: Option<Status>,
        window: &Window,
    ) -> (Vec<OrderId>, u64) {
        let statuses = self.orders.statuses();
        let matches = |id: &u64| status.is_none_or(|status| statuses.get(*id - 1) == Some(status));
        let (mut ids, mut total, mut skip) = (Vec::new(), 0, window.skip);
        for id in one.common(other).filter(matches) {
            total += 1;
            if id >= window.end || ids.len() >= window.limit {
                continue;
            }
            match skip {
                0 => ids.push(OrderId(id)),
                _ => skip -= 1,
            }
        }
        (ids, total)
    }
}
