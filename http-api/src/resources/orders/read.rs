//! Reads orders: one, its history, by key, and lists.

use std::borrow::Cow;

use client::wire::{self, ByKey, Envelope, KeyState, OrderList, PageMeta};
use engine::fence;
use engine::ids::{OrderId, Position, ProductId, UserId};
use engine::order::Order;
use engine::query::{OrderFilter, Page};
use engine::state::{OrderLookup, State};

use super::write::MISSING;
use crate::answer::reply::{self, Reply, ReplyExt};
use crate::answer::rows;
use crate::answer::views;
use crate::bounds::{ID_MAX, LIMIT_MAX, PER_PAGE, PER_PAGE_MAX};
use crate::call::Call;
use crate::failure::Failure;
use crate::freshness::Freshness;
use crate::request::fields::{Errors, integer, is_key, key_invalid};
use crate::request::query::{self, Query, percent_decode};

/// An order found in the state.
enum Found {
    /// It is in memory.
    Row(Box<Order>),
    /// It is final, and its row is in the checkpoint store.
    Stored,
}

fn look_up(state: &State, id: OrderId) -> Option<Found> {
    match state.order(id) {
        OrderLookup::Absent => None,
        OrderLookup::Resident(order) => Some(Found::Row(Box::new(order.into_owned()))),
        OrderLookup::Stored => Some(Found::Stored),
    }
}

/// `GET /orders/{id}`
pub(crate) async fn get(call: &Call<'_>) -> Result<Reply, Failure> {
    let id = OrderId(call.id(MISSING)?);
    let freshness = call.ready_to_read().await?;
    let (position, order) = one(call, id, freshness).await?;
    let reply = reply::json(200, rows::answer(&order)).at(position).version(order.version.0);
    Ok(reply.fresh(freshness))
}

/// `GET /orders/{id}/events`
pub(crate) async fn events(call: &Call<'_>) -> Result<Reply, Failure> {
    let id = OrderId(call.id(MISSING)?);
    let freshness = call.ready_to_read().await?;
    let (position, order) = one(call, id, freshness).await?;
    let reply = reply::of(200, &Envelope::new(views::history(&order))).at(position);
    Ok(reply.fresh(freshness))
}

/// Reads one order, with the position at which it was found.
pub(crate) async fn one(
    call: &Call<'_>,
    id: OrderId,
    freshness: Freshness,
) -> Result<(Position, Box<Order>), Failure> {
    let (position, found) = call.app.handle.read(|state| (state.position(), look_up(state, id)));
    let found = found.ok_or_else(|| Failure::not_found(MISSING).seen(position, freshness))?;
    Ok((position, whole(call, id, found).await?))
}

/// The row of an order that was found. A stored order is final, so it has not changed since.
async fn whole(call: &Call<'_>, id: OrderId, found: Found) -> Result<Box<Order>, Failure> {
    match found {
        Found::Row(order) => Ok(order),
        Found::Stored => Ok(Box::new(call.stored_order(id).await?)),
    }
}

/// `GET /orders/by-key/{key}`
pub(crate) async fn by_key(call: &Call<'_>) -> Result<Reply, Failure> {
    let key: Cow<'_, str> = percent_decode(call.argument)?;
    if !is_key(&key) {
        return Err(key_invalid());
    }
    let freshness = call.ready_to_read().await?;
    let (position, known, found) = call.app.handle.read(|state| {
        let known = state.key_state(&key);
        let found = match known {
            fence::KeyState::Applied(id) => look_up(state, id).map(|found| (id, found)),
            fence::KeyState::Fenced | fence::KeyState::Unused => None,
        };
        (state.position(), known, found)
    });
    let body = match found {
        None if known == fence::KeyState::Fenced => ByKey { state: KeyState::Fenced, order: None },
        None => ByKey { state: KeyState::Unused, order: None },
        Some((id, found)) => {
            let order = views::order(&*whole(call, id, found).await?);
            ByKey { state: KeyState::Applied, order: Some(order) }
        }
    };
    Ok(reply::of(200, &Envelope::new(body)).at(position).fresh(freshness))
}

/// `GET /orders`
pub(crate) async fn list(call: &Call<'_>) -> Result<Reply, Failure> {
    let query = call.query()?;
    let mut errors = Errors::default();
    let freshness = call.freshness(&query, &mut errors);
    let filter = read_filter(&query, &mut errors);
    let page = read_page(&query, &mut errors);
    errors.check()?;
    call.wait_until_fresh(freshness).await?;
    // Takes the rows together with the list, so that each still matches the filter.
    let (position, found, rows) = call.app.handle.read(|state| {
        let found = state.list_orders(&filter, page);
        let rows: Vec<_> = found.ids.iter().map(|id| look_up(state, *id)).collect();
        (state.position(), found, rows)
    });
    let orders = complete(call, &found.ids, rows).await?;
    let data: Vec<_> = orders.iter().map(|order| views::order(order)).collect();
    let meta = meta(page, found.total, found.has_more, found.ids.last().copied());
    Ok(reply::of(200, &OrderList::new(data, meta)).at(position).fresh(freshness))
}

/// Adds the rows that are not in memory. Those orders are final, so they have not changed since.
async fn complete(
    call: &Call<'_>,
    ids: &[OrderId],
    rows: Vec<Option<Found>>,
) -> Result<Vec<Box<Order>>, Failure> {
    let stored =
        |(id, row): (&OrderId, &Option<Found>)| matches!(row, Some(Found::Stored)).then_some(*id);
    let wanted: Vec<OrderId> = ids.iter().zip(&rows).filter_map(stored).collect();
    let mut orders: Vec<Box<Order>> = Vec::with_capacity(rows.len());
    if !wanted.is_empty() {
        let read = call.app.handle.orders(&wanted).await;
        let read = read.map_err(|error| Failure::read(&error, call.trace))?;
        if read.len() != wanted.len() {
            return Err(Failure::internal(call.trace, &"an order of the list has no row"));
        }
        orders.extend(read.into_iter().map(Box::new));
    }
    orders.extend(rows.into_iter().filter_map(|row| match row {
        Some(Found::Row(order)) => Some(order),
        Some(Found::Stored) | None => None,
    }));
    orders.sort_by_key(|order| std::cmp::Reverse(order.id));
    Ok(orders)
}

fn read_filter(query: &Query<'_>, errors: &mut Errors) -> OrderFilter {
    let word = query.text("status", errors).map(str::parse::<wire::OrderStatus>);
    let status = match word {
        None => None,
        Some(Ok(status)) => Some(views::engine_status(status)),
        Some(Err(_)) => {
            let allowed = "must be PENDING, PROCESSING, PAID, FAILED or CANCELLED.";
            query::fault("status", allowed, errors);
            None
        }
    };
    OrderFilter {
        user: query.integer("user_id", 1..=ID_MAX, errors).map(UserId),
        status,
        product: query.integer("product_id", 1..=ID_MAX, errors).map(ProductId),
    }
}

fn read_page(query: &Query<'_>, errors: &mut Errors) -> Page {
    let page = query.integer("page", 1..=ID_MAX, errors);
    let per_page = query.integer("per_page", 1..=PER_PAGE_MAX, errors);
    let limit = query.integer("limit", 1..=LIMIT_MAX, errors);
    let cursor = query.text("cursor", errors).map(read_cursor);
    if matches!(cursor, Some(None)) {
        query::fault("cursor", "is not one that this API gave out.", errors);
    }
    let by_cursor = cursor.is_some() || limit.is_some();
    if by_cursor && (page.is_some() || per_page.is_some()) {
        let rest = "cannot be combined with page or per_page.";
        query::fault(if cursor.is_some() { "cursor" } else { "limit" }, rest, errors);
    }
    if by_cursor {
        Page::Before { id: cursor.flatten(), limit: limit.unwrap_or(PER_PAGE) }
    } else {
        Page::Number { page: page.unwrap_or(1), per_page: per_page.unwrap_or(PER_PAGE) }
    }
}

/// A cursor is the id of the last order of a page. Clients treat it as opaque.
fn write_cursor(last: OrderId) -> String {
    format!("o{last}")
}

fn read_cursor(text: &str) -> Option<OrderId> {
    integer(text.strip_prefix('o')?, 1..=ID_MAX).ok().map(OrderId)
}

fn meta(page: Page, total: u64, has_more: bool, last: Option<OrderId>) -> PageMeta {
    let next_cursor = last.filter(|_| has_more).map(write_cursor);
    match page {
        Page::Number { page, per_page } => PageMeta {
            current_page: Some(page),
            per_page,
            total: Some(total),
            last_page: Some(total.div_ceil(per_page).max(1)),
            next_cursor,
            has_more,
        },
        Page::Before { limit, .. } => PageMeta {
            current_page: None,
            per_page: limit,
            total: None,
            last_page: None,
            next_cursor,
            has_more,
        },
    }
}

#[cfg(test)]
mod tests {
    use engine::order::Status;

    use super::*;

    fn page_of(text: &str) -> Result<Page, Failure> {
        let query = Query::parse(Some(text)).unwrap();
        let mut errors = Errors::default();
        let page = read_page(&query, &mut errors);
        errors.finish(Some(page))
    }

    #[test]
    fn pages_are_numbered_unless_a_cursor_is_asked_for() {
        assert_eq!(page_of("").unwrap(), Page::Number { page: 1, per_page: 15 });
        let second = Page::Number { page: 2, per_page: 50 };
        assert_eq!(page_of("page=2&per_page=50").unwrap(), second);
        assert_eq!(page_of("limit=1000").unwrap(), Page::Before { id: None, limit: 1000 });
        let after = Page::Before { id: Some(OrderId(7)), limit: 15 };
        assert_eq!(page_of("cursor=o7").unwrap(), after);
        assert_eq!(read_cursor(&write_cursor(OrderId(42))), Some(OrderId(42)));
    }

    #[test]
    fn values_at_and_beyond_their_bounds() {
        for bad in [
            "page=0",
            "page=-1",
            "page=abc",
            "page=1.5",
            "per_page=0",
            "per_page=51",
            "limit=0",
            "limit=-1",
            "limit=1001",
            "limit=1000000000",
            "limit=abc",
            "limit=1&limit=1",
            "cursor=7",
            "cursor=o",
            "cursor=o0",
            "cursor=o-1",
            "cursor=x",
            "cursor=o1&page=1",
            "limit=5&per_page=5",
            "page=9007199254740992",
        ] {
            assert!(page_of(bad).is_err(), "{bad}");
        }
        for good in [
            "page=1",
            "per_page=1",
            "per_page=50",
            "limit=1",
            "limit=1000",
            "page=",
            "page=9007199254740991",
        ] {
            assert!(page_of(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn filters_are_words_and_ids() {
        let filter = |text: &str| {
            let query = Query::parse(Some(text)).unwrap();
            let mut errors = Errors::default();
            let filter = read_filter(&query, &mut errors);
            errors.finish(Some(filter))
        };
        let all = OrderFilter {
            user: Some(UserId(1)),
            status: Some(Status::Paid),
            product: Some(ProductId(2)),
        };
        assert_eq!(filter("user_id=1&status=PAID&product_id=2").unwrap(), all);
        assert_eq!(filter("user_id=&status=").unwrap(), OrderFilter::default());
        for bad in [
            "user_id=x",
            "user_id=0",
            "status=paid",
            "status=OPEN",
            "product_id=-1",
            "status=PAID&status=PAID",
        ] {
            assert!(filter(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_last_page_is_never_below_one() {
        let numbered = |page, total, has_more| {
            meta(Page::Number { page, per_page: 15 }, total, has_more, Some(OrderId(3)))
        };
        assert_eq!(numbered(1, 0, false).last_page, Some(1));
        assert_eq!(numbered(1, 15, false).last_page, Some(1));
        assert_eq!(numbered(1, 16, true).last_page, Some(2));
        assert_eq!(numbered(1, 16, true).next_cursor.as_deref(), Some("o3"));
        assert_eq!(numbered(2, 16, false).next_cursor, None);
        let cursor = meta(Page::Before { id: None, limit: 5 }, 9, true, Some(OrderId(5)));
        assert_eq!((cursor.current_page, cursor.last_page, cursor.per_page), (None, None, 5));
        assert_eq!(cursor.next_cursor.as_deref(), Some("o5"));
    }
}
