//! Lists of orders: exact totals and any page, without reading rows.
//!
//! Statuses and the lists of order ids per user and product answer everything here, so it makes no
//! difference whether an order's row is in memory. A [`Listing`] is read in steps, so that a reader
//! can give the state back in between.

use std::ops::Range;

use crate::ids::{OrderId, ProductId, UserId};
use crate::order::Status;
use crate::postings::{self, Counts, Postings};
use crate::scan::Scan;
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
    /// Orders with this id or a greater one. Ids grow with the time of creation.
    pub first: Option<OrderId>,
    /// Orders with a smaller id than this.
    pub below: Option<OrderId>,
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
    /// How many orders match the filter, on all pages together; `None` for [`Page::Before`], which
    /// need not look at them all.
    pub total: Option<u64>,
    /// Whether older ones follow.
    pub has_more: bool,
}

/// A list that is being read, newest first.
///
/// Orders that move between two steps may be in it, or be counted, as they were before or after.
/// Orders that are placed after the first step are not in it.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    filter: OrderFilter,
    /// Ids on the page. One more is looked for, to know whether there are more.
    limit: u64,
    /// Ids to look at: from the lowest up to those that are done.
    ids: Range<u64>,
    /// Matching orders to pass over before the page begins.
    skip: u64,
    found: Vec<OrderId>,
    /// The total, unless the page has none. Orders of both a user and a product are counted one by
    /// one, all others in the first step.
    total: Option<u64>,
    is_begun: bool,
}

impl Listing {
    /// A list of which nothing was read yet.
    pub fn new(filter: OrderFilter, page: Page) -> Listing {
        let (end, skip, limit, total) = match page {
            Page::Number { page, per_page } => {
                let per_page = per_page.min(PAGE_MAX);
                (None, page.saturating_sub(1).saturating_mul(per_page), per_page, Some(0))
            }
            Page::Before { id, limit } => (id, 0, limit.min(PAGE_MAX), None),
        };
        let end = [end, filter.below].into_iter().flatten().min();
        let start = filter.first.map_or(1, |id| id.0).max(1);
        let ids = start..end.map_or(u64::MAX, |id| id.0);
        Listing { filter, limit, ids, skip, found: Vec::new(), total, is_begun: false }
    }

    /// The page as far as it was read.
    pub fn into_page(mut self) -> OrderPage {
        let has_more = self.found.len() as u64 > self.limit;
        self.found.truncate(self.limit as usize);
        OrderPage { ids: self.found, total: self.total, has_more }
    }

    /// How many ids are still to be found.
    fn wanted(&self) -> usize {
        (self.limit as usize + 1).saturating_sub(self.found.len())
    }

    /// Sets the total in the first step, unless the page has none.
    fn count(&mut self, total: impl FnOnce() -> u64) {
        if !std::mem::replace(&mut self.is_begun, true) && self.total.is_some() {
            self.total = Some(total());
        }
    }
}

impl State {
    /// A page of the matching orders, newest first, and how many match in all.
    pub fn list_orders(&self, filter: &OrderFilter, page: Page) -> OrderPage {
        let mut listing = Listing::new(*filter, page);
        while !self.list_some(&mut listing, usize::MAX) {}
        listing.into_page()
    }

    /// Continues a list, and looks at about `steps` orders or blocks of orders at most. Returns
    /// whether the page is complete.
    pub fn list_some(&self, listing: &mut Listing, steps: usize) -> bool {
        listing.ids.end = listing.ids.end.min(self.orders.len() + 1);
        let filter = listing.filter;
        match (filter.user, filter.product) {
            (None, None) => self.list_all(listing, steps),
            (Some(user), None) => {
                let counts = self.users.counts(user);
                self.list_posted(self.users.orders(user), counts, listing, steps)
            }
            (None, Some(product)) => {
                let entry = self.products.entry(product);
                let counts = entry.and_then(|entry| entry.counts.as_ref());
                self.list_posted(self.posted(product), counts, listing, steps)
            }
            (Some(user), Some(product)) => match (self.users.orders(user), self.posted(product)) {
                (Some(one), Some(other)) => self.list_common(one, other, listing, steps),
                _ => true,
            },
        }
    }

    /// The orders of a product, archived or not: orders outlive their products.
    fn posted(&self, product: ProductId) -> Option<&Postings> {
        self.products.entry(product).map(|entry| &entry.orders)
    }

    fn list_all(&self, listing: &mut Listing, steps: usize) -> bool {
        let statuses = self.orders.statuses();
        // An order's slot is its id − 1.
        let slots = listing.ids.start - 1..listing.ids.end.saturating_sub(1);
        let Some(status) = listing.filter.status else {
            listing.count(|| slots.end.saturating_sub(slots.start));
            let newest = slots.end.saturating_sub(listing.skip);
            let ids = (slots.start + 1..newest + 1).rev().map(OrderId);
            listing.found.extend(ids.take(listing.wanted()));
            return true;
        };
        listing.count(|| statuses.count_between(slots.clone(), status));
        let mut scan = Scan {
            start: slots.start,
            end: slots.end,
            skip: listing.skip,
            wanted: listing.wanted(),
            steps,
            found: Vec::new(),
        };
        statuses.newest(status, &mut scan);
        listing.found.extend(scan.found.iter().map(|slot| OrderId(slot + 1)));
        (listing.skip, listing.ids.end) = (scan.skip, scan.end + 1);
        scan.is_done()
    }

    /// The orders in one list.
    fn list_posted(
        &self,
        list: Option<&Postings>,
        counts: Option<&Counts>,
        listing: &mut Listing,
        steps: usize,
    ) -> bool {
        let Some(list) = list else { return true };
        let places = list.rank(listing.ids.start)..list.rank(listing.ids.end);
        let Some(status) = listing.filter.status else {
            listing.count(|| places.len() as u64);
            let skip = usize::try_from(listing.skip).unwrap_or(usize::MAX);
            let newest = places.end.saturating_sub(skip);
            let ids = (places.start..newest).rev().map(|at| OrderId(list.get(at)));
            listing.found.extend(ids.take(listing.wanted()));
            return true;
        };
        let statuses = self.orders.statuses();
        listing.count(|| postings::count_between(list, counts, statuses, places.clone(), status));
        let mut scan = Scan {
            start: places.start as u64,
            end: places.end as u64,
            skip: listing.skip,
            wanted: listing.wanted(),
            steps,
            found: Vec::new(),
        };
        postings::newest(list, counts, statuses, status, &mut scan);
        listing.found.extend(scan.found.iter().copied().map(OrderId));
        listing.skip = scan.skip;
        if let Ok(end) = usize::try_from(scan.end)
            && end < places.end
        {
            listing.ids.end = list.get(end);
        }
        scan.is_done()
    }

    /// The orders in both lists.
    fn list_common(
        &self,
        one: &Postings,
        other: &Postings,
        listing: &mut Listing,
        steps: usize,
    ) -> bool {
        let statuses = self.orders.statuses();
        let status = listing.filter.status;
        let compared = one.compare(other, listing.ids.clone());
        for (taken, (id, is_common)) in compared.enumerate() {
            if taken == steps {
                return false;
            }
            listing.ids.end = id;
            if !is_common || status.is_some_and(|status| statuses.get(id - 1) != Some(status)) {
                continue;
            }
            if let Some(total) = &mut listing.total {
                *total += 1;
            }
            match (listing.skip, listing.wanted()) {
                (_, 0) if listing.total.is_none() => return true,
                (_, 0) => {}
                (0, _) => listing.found.push(OrderId(id)),
                _ => listing.skip -= 1,
            }
        }
        true
    }
}
