//! Products: list, read, create, replace, patch, archive.

use std::borrow::Cow;

use client::wire::{CursorMeta, Envelope, ErrorCode, ProductList};
use engine::command::{ArchiveProduct, Command, CreateProduct, UpdateProduct};
use engine::ids::{Position, ProductId};
use engine::outcome::Outcome;
use engine::product::{NAME_BYTES_MAX, Product, SKU_BYTES_MAX, STOCK_MAX};
use engine::sale::{DAY_MS, PerWindow, Sale, SaleChange, WINDOW_DAYS_MAX};
use engine::state::State;
use hyper::StatusCode;
use raft_node::Applied;

use crate::answer::reply::{self, Reply, ReplyExt};
use crate::answer::views;
use crate::bounds::{ID_MAX, LIST_MAX};
use crate::call::{Call, unexpected};
use crate::failure::Failure;
use crate::freshness::Freshness;
use crate::request::extract::{self, IfMatch};
use crate::request::fields::{Errors, Fields, integer};
use crate::request::json;
use crate::request::query::{self, Query};

pub(crate) const MISSING: &str = "Product not found.";

/// `GET /products`
pub(crate) async fn list(call: &Call<'_>) -> Result<Reply, Failure> {
    let query = call.query()?;
    let mut errors = Errors::default();
    let freshness = call.freshness(&query, &mut errors);
    let ids = read_ids(&query, &mut errors);
    let sku = query.text("sku", &mut errors);
    let limit = query.integer("limit", 1..=LIST_MAX, &mut errors).unwrap_or(LIST_MAX);
    let after = query.integer("cursor", 1..=ID_MAX, &mut errors).unwrap_or(0);
    errors.check()?;
    call.wait_until_fresh(freshness).await?;
    let (position, mut rows) = call.app.handle.read(|state| {
        let of_sku = sku.map(|sku| state.product_by_sku(sku).map_or(0, |product| product.id.0));
        let ids = match (of_sku, &ids) {
            (None, ids) => ids.as_deref().map(Cow::Borrowed),
            (Some(id), Some(ids)) if !ids.contains(&id) => Some(Cow::Owned(Vec::new())),
            (Some(id), _) => Some(Cow::Owned(vec![id])),
        };
        let rows = pick(state, ids.as_deref(), ProductId(after), limit);
        (state.position(), rows)
    });
    let has_more = rows.len() as u64 > limit;
    rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let next_cursor = rows.last().filter(|_| has_more).map(|row| row.id.to_string());
    let data = rows.iter().map(views::product).collect();
    let body = ProductList::new(data, CursorMeta { next_cursor, has_more });
    Ok(reply::of(200, &body).at(position).fresh(freshness))
}

/// The requested products after `after`, by ascending id: up to `limit` and one more, which shows
/// that there is another page.
fn pick(state: &State, ids: Option<&[u64]>, after: ProductId, limit: u64) -> Vec<Product> {
    let wanted = usize::try_from(limit).unwrap_or(usize::MAX).saturating_add(1);
    match ids {
        None => state.products(after).take(wanted).cloned().collect(),
        Some(ids) => {
            let later = ids.iter().map(|id| ProductId(*id)).filter(|id| *id > after);
            later.filter_map(|id| state.product(id)).take(wanted).cloned().collect()
        }
    }
}

/// The requested ids, ascending, without duplicates.
fn read_ids(query: &Query<'_>, errors: &mut Errors) -> Option<Vec<u64>> {
    let text = query.text("ids", errors)?;
    let ids: Result<Vec<u64>, _> =
        text.split(',').map(|id| integer(id.trim(), 1..=ID_MAX)).collect();
    if ids.is_err() {
        query::fault("ids", "must be a list of ids, separated by commas.", errors);
    }
    let mut ids = ids.ok()?;
    ids.sort_unstable();
    ids.dedup();
    Some(ids)
}

/// `GET /products/{id}`
pub(crate) async fn get(call: &Call<'_>) -> Result<Reply, Failure> {
    let id = ProductId(call.id(MISSING)?);
    let freshness = call.ready_to_read().await?;
    let (position, product) =
        call.app.handle.read(|state| (state.position(), state.product(id).map(views::product)));
    let product = product.ok_or_else(|| Failure::not_found(MISSING).seen(position, freshness))?;
    let reply = reply::of(200, &Envelope::new(&product)).at(position).version(product.version);
    Ok(reply.fresh(freshness))
}

/// `POST /products`
pub(crate) async fn create(call: &Call<'_>) -> Result<Reply, Failure> {
    let object = json::parse(&call.body)?;
    let command = read_product(&call.fields(&object))?;
    let applied = call.propose(Command::CreateProduct(command)).await?;
    let Outcome::ProductCreated(id) = applied.outcome else {
        return Err(refused(call, &applied));
    };
    tracing::info!(event = "product.created", product_id = id.0, trace_id = %call.trace);
    let reply = written(call, 201, id, &applied)?;
    Ok(reply.location("products", id.0))
}

const PRODUCT_FIELDS: [&str; 12] = [
    "name",
    "price",
    "stock",
    "sku",
    "max_per_order",
    "max_per_user",
    "low_stock_threshold",
    "opens_at",
    "closes_at",
    "min_per_order",
    "max_held_per_user",
    "per_window",
];

fn read_product(fields: &Fields<'_, '_>) -> Result<CreateProduct, Failure> {
    let mut errors = Errors::default();
    fields.check_names(&PRODUCT_FIELDS, &mut errors);
    let name = fields.required_text("name", NAME_BYTES_MAX, &mut errors);
    let price = fields.required("price", &mut errors).and(fields.price("price", &mut errors));
    let stock = fields.required("stock", &mut errors).and(read_stock(fields, &mut errors));
    let sku = fields.text("sku", SKU_BYTES_MAX, &mut errors);
    let max_per_order = read_limit(fields, "max_per_order", &mut errors);
    let max_per_user = read_limit(fields, "max_per_user", &mut errors);
    let low_stock = read_limit(fields, "low_stock_threshold", &mut errors);
    let sale = read_sale(fields, &mut errors);
    let product = match (name, price, stock) {
        (Some(name), Some(price), Some(stock)) => {
            let limits = CreateProduct {
                max_per_order,
                max_per_user,
                low_stock,
                sale: sale.into(),
                ..CreateProduct::default()
            };
            Some(CreateProduct { name, sku, price, stock, ..limits })
        }
        _ => None,
    };
    errors.finish(product)
}

/// `PUT /products/{id}`: removes optional fields that are missing.
pub(crate) async fn replace(call: &Call<'_>) -> Result<Reply, Failure> {
    let product = ProductId(call.id(MISSING)?);
    let object = json::parse(&call.body)?;
    let whole = read_product(&call.fields(&object))?;
    let update = UpdateProduct {
        product,
        expected_version: None,
        name: Some(whole.name),
        sku: Some(whole.sku),
        price: Some(whole.price),
        stock: Some(whole.stock),
        max_per_order: Some(whole.max_per_order),
        max_per_user: Some(whole.max_per_user),
        low_stock: Some(whole.low_stock),
        sale: replaced(whole.sale.0, call.app.handle.read(State::level)).into(),
    };
    self::update(call, update).await
}

/// `PATCH /products/{id}`: keeps fields that are missing.
pub(crate) async fn patch(call: &Call<'_>) -> Result<Reply, Failure> {
    let product = ProductId(call.id(MISSING)?);
    let object = json::parse(&call.body)?;
    let patch = read_patch(product, &call.fields(&object))?;
    if is_empty(&patch) { unchanged(call, product).await } else { update(call, patch).await }
}

/// Whether a patch names no field.
fn is_empty(patch: &UpdateProduct) -> bool {
    let UpdateProduct { product, expected_version, .. } = *patch;
    *patch == UpdateProduct { product, expected_version, ..UpdateProduct::default() }
}

/// The answer to a patch that names no field: the product as it is, with its version.
async fn unchanged(call: &Call<'_>, id: ProductId) -> Result<Reply, Failure> {
    let expected = extract::if_match(call.headers)?;
    call.wait_until_fresh(Freshness::Linearizable).await?;
    let (position, row) =
        call.app.handle.read(|state| (state.position(), state.product(id).cloned()));
    let row = row.ok_or_else(|| Failure::not_found(MISSING).at(position))?;
    match expected {
        IfMatch::Versions(versions) if !versions.contains(&row.version) => {
            Err(mismatch(row.version, position))
        }
        IfMatch::Any | IfMatch::Versions(_) => {
            let body = Envelope::new(views::product(&row));
            Ok(reply::of(200, &body).at(position).version(row.version.0))
        }
    }
}

fn read_patch(product: ProductId, fields: &Fields<'_, '_>) -> Result<UpdateProduct, Failure> {
    let mut errors = Errors::default();
    fields.check_names(&PRODUCT_FIELDS, &mut errors);
    for name in ["name", "price", "stock"] {
        if fields.has(name) && fields.optional(name).is_none() {
            fields.fault(name, "must not be null.", &mut errors);
        }
    }
    let sku = fields.text("sku", SKU_BYTES_MAX, &mut errors);
    let max_per_order = read_limit(fields, "max_per_order", &mut errors);
    let max_per_user = read_limit(fields, "max_per_user", &mut errors);
    let low_stock = read_limit(fields, "low_stock_threshold", &mut errors);
    let sale = read_sale(fields, &mut errors);
    let patch = UpdateProduct {
        product,
        expected_version: None,
        name: fields.text("name", NAME_BYTES_MAX, &mut errors),
        // Null removes this field and the limits.
        sku: fields.has("sku").then_some(sku),
        price: fields.price("price", &mut errors),
        stock: read_stock(fields, &mut errors),
        max_per_order: fields.has("max_per_order").then_some(max_per_order),
        max_per_user: fields.has("max_per_user").then_some(max_per_user),
        low_stock: fields.has("low_stock_threshold").then_some(low_stock),
        sale: SaleChange {
            opens_at: fields.has("opens_at").then_some(sale.opens_at),
            closes_at: fields.has("closes_at").then_some(sale.closes_at),
            min_per_order: fields.has("min_per_order").then_some(sale.min_per_order),
            max_held_per_user: fields.has("max_held_per_user").then_some(sale.max_held_per_user),
            per_window: fields.has("per_window").then_some(sale.per_window),
        }
        .into(),
    };
    errors.finish(Some(patch))
}

/// The rules of the sale.
fn read_sale(fields: &Fields<'_, '_>, errors: &mut Errors) -> Sale {
    let sale = Sale {
        opens_at: fields.instant("opens_at", errors),
        closes_at: fields.instant("closes_at", errors),
        min_per_order: read_limit(fields, "min_per_order", errors),
        max_held_per_user: read_limit(fields, "max_held_per_user", errors),
        per_window: read_window(fields, errors),
    };
    if sale.closes_first() {
        fields.fault("closes_at", "must be later than the opens_at field.", errors);
    }
    sale
}

/// The limit within a window of whole days.
fn read_window(fields: &Fields<'_, '_>, errors: &mut Errors) -> Option<PerWindow> {
    let object = match fields.optional("per_window")? {
        json::Value::Object(object) => object,
        _ => {
            fields.fault("per_window", "must be an object with units and days.", errors);
            return None;
        }
    };
    let window = fields.part(object, "per_window");
    window.check_names(&["units", "days"], errors);
    let units = window.required_integer("units", 1..=u64::from(u32::MAX), errors);
    let days = window.required_integer("days", 1..=u64::from(WINDOW_DAYS_MAX), errors);
    Some(PerWindow { units: u32::try_from(units?).ok()?, ms: days? * DAY_MS })
}

/// The change to these rules and no others. Without a window and limits, a cluster at level 0 takes
/// it too: no product of such a cluster has any.
fn replaced(sale: Sale, level: u32) -> SaleChange {
    if level == 0 && sale == Sale::default() {
        return SaleChange::default();
    }
    SaleChange {
        opens_at: Some(sale.opens_at),
        closes_at: Some(sale.closes_at),
        min_per_order: Some(sale.min_per_order),
        max_held_per_user: Some(sale.max_held_per_user),
        per_window: Some(sale.per_window),
    }
}

fn read_stock(fields: &Fields<'_, '_>, errors: &mut Errors) -> Option<i64> {
    let stock = fields.integer("stock", 0..=STOCK_MAX.unsigned_abs(), errors)?;
    i64::try_from(stock).ok()
}

fn read_limit(fields: &Fields<'_, '_>, name: &str, errors: &mut Errors) -> Option<u32> {
    let limit = fields.integer(name, 1..=u64::from(u32::MAX), errors)?;
    u32::try_from(limit).ok()
}

async fn update(call: &Call<'_>, update: UpdateProduct) -> Result<Reply, Failure> {
    let id = update.product;
    let expected_version = expected_version(call, id).await?;
    let command = Command::UpdateProduct(UpdateProduct { expected_version, ..update });
    let applied = call.propose(command).await?;
    let Outcome::ProductUpdated(id) = applied.outcome else {
        return Err(refused(call, &applied));
    };
    tracing::info!(event = "product.updated", product_id = id.0, trace_id = %call.trace);
    written(call, 200, id, &applied)
}

/// `DELETE /products/{id}`
pub(crate) async fn archive(call: &Call<'_>) -> Result<Reply, Failure> {
    let product = ProductId(call.id(MISSING)?);
    let expected_version = expected_version(call, product).await?;
    let command = ArchiveProduct { product, expected_version };
    let applied = call.propose(Command::ArchiveProduct(command)).await?;
    match applied.outcome {
        Outcome::ProductArchived(id) => {
            tracing::info!(event = "product.archived", product_id = id.0, trace_id = %call.trace);
            Ok(reply::empty(StatusCode::NO_CONTENT).at(applied.position))
        }
        _ => Err(refused(call, &applied)),
    }
}

/// The version that `If-Match` requires. Of several, this is the product's current one; the state
/// machine checks it again.
async fn expected_version(call: &Call<'_>, id: ProductId) -> Result<Option<Position>, Failure> {
    let versions = match extract::if_match(call.headers)? {
        IfMatch::Any => return Ok(None),
        IfMatch::Versions(versions) => versions,
    };
    if let [version] = versions[..] {
        return Ok(Some(version));
    }
    call.wait_until_fresh(Freshness::Linearizable).await?;
    if call.is_key_known() {
        // It asked when the product had another version. The log answers what it did.
        return Ok(None);
    }
    let look = |state: &State| (state.position(), state.product(id).map(|row| row.version));
    let (position, current) = call.app.handle.read(look);
    let current = current.ok_or_else(|| Failure::not_found(MISSING).at(position))?;
    if versions.contains(&current) {
        return Ok(Some(current));
    }
    Err(mismatch(current, position))
}

fn mismatch(current: Position, position: Position) -> Failure {
    let detail = format!("The version is {current} by now.");
    Failure::new(ErrorCode::VersionMismatch, detail).at(position)
}

/// The answer to a write: the product right after it.
fn written(
    call: &Call<'_>,
    status: u16,
    id: ProductId,
    applied: &Applied,
) -> Result<Reply, Failure> {
    let product = match &applied.product {
        Some(product) => Some(views::product(product)),
        // It changed again, or was archived, between its outcome and this line.
        None => call.app.handle.read(|state| state.product(id).map(views::product)),
    };
    let product = product.ok_or_else(|| match call.is_repeated() {
        true => Failure::not_found(MISSING).at(applied.position),
        false => Failure::unknown(),
    })?;
    Ok(reply::of(status, &Envelope::new(&product)).at(applied.position).version(product.version))
}

fn refused(call: &Call<'_>, applied: &Applied) -> Failure {
    match &applied.outcome {
        Outcome::Rejected(rejection) => Failure::rejected(rejection).at(applied.position),
        other => unexpected(call, other),
    }
}

#[cfg(test)]
mod tests {
    use engine::money::Money;

    use super::*;
    use crate::request::fields::Handling;

    fn faults<T: std::fmt::Debug>(result: Result<T, Failure>) -> String {
        format!("{:?}", result.unwrap_err())
    }

    fn create_of(body: &str) -> Result<CreateProduct, Failure> {
        read_product(&Fields::of(&json::parse(body.as_bytes()).unwrap(), Handling::Lenient))
    }

    fn patch_of(body: &str) -> Result<UpdateProduct, Failure> {
        read_patch(
            ProductId(1),
            &Fields::of(&json::parse(body.as_bytes()).unwrap(), Handling::Lenient),
        )
    }

    #[test]
    fn a_product_needs_name_price_and_stock() {
        let product = create_of(r#"{"name":"Laptop","price":15000000,"stock":0,"x":1}"#).unwrap();
        assert_eq!(product.price, Money(1_500_000_000));
        assert_eq!((product.stock, product.sku, product.max_per_order), (0, None, None));
        let text = faults(create_of("{}"));
        for name in ["name", "price", "stock"] {
            assert!(text.contains(&format!("The {name} field is required.")), "{name}: {text}");
        }
    }

    #[test]
    fn each_invalid_value_is_named() {
        for (field, bad) in [
            ("name", "7"),
            ("name", "\"\""),
            ("name", &format!("\"{}\"", "x".repeat(256))),
            ("price", "\"0.001\""),
            ("price", "\"NaN\""),
            ("price", "-1"),
            ("price", "1e400"),
            ("price", "100000000"),
            ("price", "true"),
            ("stock", "-1"),
            ("stock", "1.5"),
            ("stock", "\"2\""),
            ("stock", "281474976710657"),
            ("sku", "\"a\\nb\""),
            ("sku", "1"),
            ("max_per_order", "0"),
            ("max_per_order", "4294967296"),
            ("low_stock_threshold", "0"),
            ("max_per_user", "0"),
            ("max_per_user", "\"3\""),
            ("per_window", "7"),
            ("per_window.days", "{\"units\":2}"),
            ("per_window.units", "{\"units\":0,\"days\":1}"),
            ("per_window.days", "{\"units\":1,\"days\":367}"),
        ] {
            let rest: String = [("name", "\"n\""), ("price", "1"), ("stock", "1")]
                .iter()
                .filter(|(name, _)| *name != field)
                .map(|(name, value)| format!("\"{name}\":{value},"))
                .collect();
            let name = field.split('.').next().unwrap();
            let text = faults(create_of(&format!("{{{rest}\"{name}\":{bad}}}")));
            assert!(text.contains(&format!("\"{field}\": [")), "{field} {bad}: {text}");
        }
    }

    #[test]
    fn a_patch_tells_absent_from_null() {
        let patch = patch_of("{}").unwrap();
        assert_eq!((patch.name, patch.sku, patch.max_per_order), (None, None, None));
        let patch = patch_of(r#"{"sku":null,"max_per_order":null,"stock":5}"#).unwrap();
        assert_eq!((patch.sku, patch.max_per_order), (Some(None), Some(None)));
        assert_eq!((patch.stock, patch.price), (Some(5), None));
        let patch = patch_of(r#"{"sku":"a","max_per_order":2,"price":"0.10"}"#).unwrap();
        assert_eq!(patch.sku, Some(Some("a".into())));
        assert_eq!((patch.max_per_order, patch.price), (Some(Some(2)), Some(Money(10))));
        let limits = patch_of(r#"{"max_per_user":null}"#).unwrap();
        assert_eq!((limits.max_per_user, limits.max_per_order), (Some(None), None));
        let text = faults(patch_of(r#"{"name":null,"price":null,"stock":null,"max_per_user":0}"#));
        for name in ["name", "price", "stock", "max_per_user"] {
            assert!(text.contains(&format!("\"{name}\": [")), "{name}: {text}");
        }
    }

    #[test]
    fn ids_are_a_list() {
        let ids = |text: &str| {
            let query = Query::parse(Some(text)).unwrap();
            let mut errors = Errors::default();
            let ids = read_ids(&query, &mut errors);
            errors.check().map(|()| ids)
        };
        assert_eq!(ids("ids=3,1,%202,3").unwrap(), Some(vec![1, 2, 3]));
        assert_eq!(ids("").unwrap(), None);
        for bad in ["ids=1,", "ids=a", "ids=0", "ids=1&ids=2", "ids=-1", "ids=1.5"] {
            assert!(ids(bad).is_err(), "{bad}");
        }
    }
}
