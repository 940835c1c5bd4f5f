//! Lists orders: filters, pages, cursors.

use client::wire::{self, OrderList, PageMeta};
use engine::ids::{OrderId, ProductId, Timestamp, UserId};
use engine::order::{Order, Status};
use engine::query::{Listing, OrderFilter, Page};

use super::read::{Found, look_up, one};
use crate::answer::reply::{self, Reply, ReplyExt};
use crate::answer::views;
use crate::bounds::{ID_MAX, LIMIT_MAX, PER_PAGE, PER_PAGE_MAX};
use crate::call::Call;
use crate::failure::Failure;
use crate::freshness::Freshness;
use crate::request::fields::{Errors, integer};
use crate::request::query::{self, Query};

/// The most orders, or blocks of them, that are looked at before the state is given back: a tenth
/// of a millisecond, so that a list delays no order.
const STEPS: usize = 4096;

/// `GET /orders`
pub(crate) async fn list(call: &Call<'_>) -> Result<Reply, Failure> {
    let query = call.query()?;
    let mut errors = Errors::default();
    let freshness = call.freshness(&query, &mut errors);
    let mut wanted = read_wanted(&query, &mut errors);
    let page = read_page(&query, &mut errors);
    errors.check()?;
    wanted.user = call.listed_user(wanted.user)?;
    call.wait_until_fresh(freshness).await?;
    let filter = filter_of(call, &wanted).await?;
    let mut listing = Listing::new(filter, page);
    let (position, found, ids, rows) = loop {
        let done = call.app.handle.read(|state| {
            if !state.list_some(&mut listing, STEPS) {
                return None;
            }
            let found = std::mem::take(&mut listing).into_page();
            // Takes the rows together with the last step. Orders that moved since they were found
            // are left out, so that each row matches the filter.
            let still = |id: &OrderId| {
                filter.status.is_none_or(|status| state.order_status(*id) == Some(status))
            };
            let ids: Vec<_> = found.ids.iter().copied().filter(still).collect();
            let rows: Vec<_> = ids.iter().map(|id| look_up(state, *id)).collect();
            Some((state.position(), found, ids, rows))
        });
        match done {
            Some(done) => break done,
            // Those who wait for the state come first.
            None => tokio::task::yield_now().await,
        }
    };
    let orders = complete(call, &ids, rows).await?;
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

/// What the query asks for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wanted<'q> {
    user: Option<UserId>,
    status: Option<Status>,
    product: Option<ProductId>,
    sku: Option<&'q str>,
    /// Orders created at this time or later.
    after: Option<Timestamp>,
    /// Orders created before this time.
    before: Option<Timestamp>,
    /// The order with this reference.
    reference: Option<&'q str>,
}

fn read_wanted<'q>(query: &'q Query<'_>, errors: &mut Errors) -> Wanted<'q> {
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
    let product = query.integer("product_id", 1..=ID_MAX, errors).map(ProductId);
    let sku = query.text("sku", errors);
    if product.is_some() && sku.is_some() {
        query::fault("sku", "cannot be combined with product_id.", errors);
    }
    Wanted {
        user: query.integer("user_id", 1..=ID_MAX, errors).map(UserId),
        status,
        product,
        sku,
        after: query.moment("created_after", errors),
        before: query.moment("created_before", errors),
        reference: query.text("client_reference", errors),
    }
}

/// The filter: a SKU becomes its product, and times become ids.
async fn filter_of(call: &Call<'_>, wanted: &Wanted<'_>) -> Result<OrderFilter, Failure> {
    let by_sku = |sku| call.app.handle.read(|state| state.product_by_sku(sku).map(|row| row.id));
    // No product has the id 0, as none has the SKU.
    let of_sku = wanted.sku.map(|sku| by_sku(sku).unwrap_or(ProductId(0)));
    let named = |reference| call.app.handle.read(|state| state.order_by_reference(reference));
    // No order has the id 0, as none has the reference.
    let named = wanted.reference.map(|reference| named(reference).unwrap_or(OrderId(0)));
    let after = created_since(call, wanted.after).await?;
    let before = created_since(call, wanted.before).await?;
    Ok(OrderFilter {
        user: wanted.user,
        status: wanted.status,
        product: wanted.product.or(of_sku),
        first: after.max(named),
        below: [before, named.map(|id| OrderId(id.0 + 1))].into_iter().flatten().min(),
    })
}

/// The lowest id of an order that was created at `time` or later: the next new one, if all are
/// older. Orders are created in the order of their ids, by a clock that never goes back, so
/// bisection finds it; each step reads one row.
async fn created_since(
    call: &Call<'_>,
    time: Option<Timestamp>,
) -> Result<Option<OrderId>, Failure> {
    let Some(time) = time else { return Ok(None) };
    let newest = Page::Before { id: None, limit: 1 };
    let newest =
        call.app.handle.read(|state| state.list_orders(&OrderFilter::default(), newest).ids.pop());
    let (mut low, mut high) = (1, newest.map_or(1, |id| id.0 + 1));
    while low < high {
        let middle = low + (high - low) / 2;
        let (_, order) = one(call, OrderId(middle), Freshness::Stale).await?;
        if order.created_at < time {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(Some(OrderId(low)))
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
pub(crate) fn write_cursor(last: OrderId) -> String {
    format!("o{last}")
}

pub(crate) fn read_cursor(text: &str) -> Option<OrderId> {
    integer(text.strip_prefix('o')?, 1..=ID_MAX).ok().map(OrderId)
}

fn meta(page: Page, total: Option<u64>, has_more: bool, last: Option<OrderId>) -> PageMeta {
    let next_cursor = last.filter(|_| has_more).map(write_cursor);
    match page {
        Page::Number { page, per_page } => PageMeta {
            current_page: Some(page),
            per_page,
            total,
            last_page: total.map(|total| total.div_ceil(per_page).max(1)),
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
    fn filters_are_words_ids_and_times() {
        let wanted = |text: &str, check: &dyn Fn(Result<Wanted<'_>, Failure>)| {
            let query = Query::parse(Some(text)).unwrap();
            let mut errors = Errors::default();
            let found = read_wanted(&query, &mut errors);
            check(errors.finish(Some(found)));
        };
        let all = Wanted {
            user: Some(UserId(1)),
            status: Some(Status::Paid),
            product: Some(ProductId(2)),
            sku: None,
            after: Some(Timestamp(1_764_547_200_000)),
            before: Some(Timestamp(1_764_550_800_000)),
            reference: None,
        };
        let times = "created_after=2025-12-01&created_before=2025-12-01T02:00:00%2B01:00";
        let query = format!("user_id=1&status=PAID&product_id=2&{times}");
        wanted(&query, &|found| assert_eq!(found.unwrap(), all));
        wanted("user_id=&status=", &|found| assert_eq!(found.unwrap(), Wanted::default()));
        wanted("sku=A%201", &|found| assert_eq!(found.unwrap().sku, Some("A 1")));
        for bad in [
            "user_id=x",
            "user_id=0",
            "status=paid",
            "status=OPEN",
            "product_id=-1",
            "status=PAID&status=PAID",
            "sku=A&product_id=1",
            "sku=A&sku=A",
            "client_reference=A&client_reference=A",
            "created_after=yesterday",
            "created_before=1764547200",
            "created_before=2025-12-01&created_before=2025-12-02",
        ] {
            wanted(bad, &|found| assert!(found.is_err(), "{bad}"));
        }
    }

    #[test]
    fn the_last_page_is_never_below_one() {
        let numbered = |page, total, has_more| {
            meta(Page::Number { page, per_page: 15 }, Some(total), has_more, Some(OrderId(3)))
        };
        assert_eq!(numbered(1, 0, false).last_page, Some(1));
        assert_eq!(numbered(1, 15, false).last_page, Some(1));
        assert_eq!(numbered(1, 16, true).last_page, Some(2));
        assert_eq!(numbered(1, 16, true).next_cursor.as_deref(), Some("o3"));
        assert_eq!(numbered(2, 16, false).next_cursor, None);
        let cursor = meta(Page::Before { id: None, limit: 5 }, None, true, Some(OrderId(5)));
        assert_eq!((cursor.current_page, cursor.last_page, cursor.per_page), (None, None, 5));
        assert_eq!(cursor.next_cursor.as_deref(), Some("o5"));
    }
}
