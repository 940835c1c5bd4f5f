//! Adjusts stock, and reads the ledger of all its movements.

use std::ops::RangeInclusive;

use client::wire::{CursorMeta, Envelope, LedgerList};
use engine::adjustment::Change;
use engine::command::{AdjustStock, Command};
use engine::ids::{Position, ProductId};
use engine::order::REASON_BYTES_MAX;
use engine::outcome::Outcome;
use engine::product::STOCK_MAX;
use raft_node::LedgerPlace;

use super::handle::MISSING;
use crate::answer::reply::{self, Reply, ReplyExt};
use crate::answer::views;
use crate::bounds::{ID_MAX, LEDGER_DEFAULT, LEDGER_MAX};
use crate::call::{Call, unexpected};
use crate::failure::Failure;
use crate::request::extract;
use crate::request::fields::{Errors, Fields, idempotency_key, integer};
use crate::request::json::{self, Value};
use crate::request::query::{self, Query};

/// `POST /products/{id}/adjustments`
pub(crate) async fn adjust(call: &Call<'_>) -> Result<Reply, Failure> {
    let product = ProductId(call.id(MISSING)?);
    let header_key = extract::idempotency_key(call.headers)?;
    let object = json::parse(&call.body)?;
    let command = read_adjustment(product, &call.fields(&object), header_key.as_deref())?;
    let applied = call.propose(Command::AdjustStock(command)).await?;
    let (id, replayed) = match applied.outcome {
        Outcome::StockAdjusted { adjustment, .. } => (adjustment, false),
        Outcome::AdjustmentReplayed { adjustment, .. } => (adjustment, true),
        Outcome::Rejected(ref rejection) => {
            return Err(Failure::rejected(rejection).at(applied.position));
        }
        ref other => return Err(unexpected(call, other)),
    };
    if !replayed {
        tracing::info!(event = "stock.adjusted", product_id = product.0, trace_id = %call.trace);
    }
    // The command took effect, so if reading the row fails, the outcome is unknown.
    let row = call.app.handle.adjustment(id).await.ok().flatten().ok_or_else(Failure::unknown)?;
    let view = views::adjustment(&row, applied.product.as_deref().map(views::product));
    let status = if replayed { 200 } else { 201 };
    let reply = reply::of(status, &Envelope::new(&view)).at(applied.position);
    Ok(if replayed { reply.replayed() } else { reply })
}

fn read_adjustment(
    product: ProductId,
    fields: &Fields<'_, '_>,
    header_key: Option<&str>,
) -> Result<AdjustStock, Failure> {
    let mut errors = Errors::default();
    let known = ["delta", "set", "expected", "reason", "idempotency_key"];
    fields.check_names(&known, &mut errors);
    let key = idempotency_key(header_key, fields.key(&mut errors))?.map(Box::from);
    let change = read_change(fields, &mut errors);
    let expected = fields.integer("expected", 0..=STOCK_MAX.unsigned_abs(), &mut errors);
    let expected = expected.and_then(|units| i64::try_from(units).ok());
    let reason = fields.required_text("reason", REASON_BYTES_MAX, &mut errors);
    let command = match (change, reason) {
        (Some(change), Some(reason)) => {
            Some(AdjustStock { product, change, expected, reason, key })
        }
        _ => None,
    };
    errors.finish(command)
}

/// Exactly one of `delta` and `set`.
fn read_change(fields: &Fields<'_, '_>, errors: &mut Errors) -> Option<Change> {
    match (fields.optional("delta"), fields.optional("set")) {
        (Some(_), Some(_)) => {
            fields.fault("set", "cannot be combined with delta.", errors);
            None
        }
        (None, None) => {
            fields.fault("delta", "is required when set is not present.", errors);
            None
        }
        (Some(value), None) => {
            let delta = match value {
                Value::Number(text) => read_delta(text),
                _ => Err("must be an integer.".into()),
            };
            delta.map(Change::By).map_err(|rest| fields.fault("delta", &rest, errors)).ok()
        }
        (None, Some(_)) => {
            let units = fields.integer("set", 0..=STOCK_MAX.unsigned_abs(), errors)?;
            i64::try_from(units).ok().map(Change::To)
        }
    }
}

/// An integer of either sign that is not 0; the error ends a sentence about the field.
fn read_delta(text: &str) -> Result<i64, String> {
    const RANGE: RangeInclusive<u64> = 1..=STOCK_MAX.unsigned_abs();
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let units = integer(digits, 0..=*RANGE.end()).map_err(|rest| match sign {
        1 => rest.into_owned(),
        _ if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("must be at least -{}.", RANGE.end())
        }
        _ => rest.into_owned(),
    })?;
    let units = i64::try_from(units).map_err(|_| "must be an integer.".to_owned())?;
    if units == 0 { Err("must not be 0.".to_owned()) } else { Ok(sign * units) }
}

/// `GET /products/{id}/ledger`
pub(crate) async fn ledger(call: &Call<'_>) -> Result<Reply, Failure> {
    let id = ProductId(call.id(MISSING)?);
    let query = call.query()?;
    let mut errors = Errors::default();
    let freshness = call.freshness(&query, &mut errors);
    let after = read_after(&query, &mut errors);
    let limit = query.integer("limit", 1..=LEDGER_MAX, &mut errors).unwrap_or(LEDGER_DEFAULT);
    errors.check()?;
    call.wait_until_fresh(freshness).await?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let page = call.app.handle.ledger(id, after, limit).await;
    let page = page.map_err(|error| Failure::read(&error, call.trace))?;
    let Some(page) = page else {
        let position = call.app.handle.read(|state| state.position());
        return Err(Failure::not_found(MISSING).seen(position, freshness));
    };
    let last = page.entries.last().filter(|_| page.has_more).map(|entry| entry.place);
    let next_cursor = last.map(|place| format!("{}.{}", place.position, place.line));
    let meta = CursorMeta { next_cursor, has_more: page.has_more };
    let rows = page.entries.iter().map(views::ledger_row).collect();
    let body = LedgerList::new(rows, meta);
    Ok(reply::sized(200, &body, 400 * page.entries.len()).at(page.position).fresh(freshness))
}

/// A position, which means after all of its rows, or a position and a line.
fn read_after(query: &Query<'_>, errors: &mut Errors) -> Option<LedgerPlace> {
    let text = query.text("after", errors)?;
    let (position, line) = text.split_once('.').map_or((text, None), |(at, n)| (at, Some(n)));
    let position = integer(position, 0..=ID_MAX);
    let line = line.map_or(Ok(u64::from(u32::MAX)), |line| integer(line, 0..=u64::from(u32::MAX)));
    match (position, line.map(u32::try_from)) {
        (Ok(position), Ok(Ok(line))) => Some(LedgerPlace { position: Position(position), line }),
        _ => {
            query::fault("after", "must be a position, or a position, a dot and a line.", errors);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::fields::Handling;

    fn read(body: &str) -> Result<AdjustStock, Failure> {
        read_adjustment(
            ProductId(3),
            &Fields::of(&json::parse(body.as_bytes()).unwrap(), Handling::Lenient),
            None,
        )
    }

    #[test]
    fn an_adjustment_is_relative_or_absolute() {
        let row = read(r#"{"delta":-5,"reason":"broken","expected":7}"#).unwrap();
        assert_eq!((row.change, row.expected), (Change::By(-5), Some(7)));
        assert_eq!((row.product, &*row.reason, row.key), (ProductId(3), "broken", None));
        let row = read(r#"{"set":0,"reason":"counted","idempotency_key":"k"}"#).unwrap();
        assert_eq!((row.change, row.key.as_deref()), (Change::To(0), Some("k")));
        let row = read(r#"{"set":null,"delta":281474976710656,"reason":"r"}"#).unwrap();
        assert_eq!(row.change, Change::By(STOCK_MAX));
    }

    #[test]
    fn each_error_of_an_adjustment_is_named() {
        for (field, body) in [
            ("delta", r#"{"reason":"r"}"#),
            ("delta", r#"{"reason":"r","delta":0}"#),
            ("delta", r#"{"reason":"r","delta":-0}"#),
            ("delta", r#"{"reason":"r","delta":1.5}"#),
            ("delta", r#"{"reason":"r","delta":"1"}"#),
            ("delta", r#"{"reason":"r","delta":281474976710657}"#),
            ("delta", r#"{"reason":"r","delta":-281474976710657}"#),
            ("delta", r#"{"reason":"r","delta":-99999999999999999999}"#),
            ("set", r#"{"reason":"r","delta":1,"set":1}"#),
            ("set", r#"{"reason":"r","set":-1}"#),
            ("expected", r#"{"reason":"r","set":1,"expected":-1}"#),
            ("reason", r#"{"set":1}"#),
            ("reason", r#"{"set":1,"reason":" "}"#),
            ("reason", r#"{"set":1,"reason":7}"#),
            ("idempotency_key", r#"{"set":1,"reason":"r","idempotency_key":7}"#),
        ] {
            let text = format!("{:?}", read(body).unwrap_err());
            assert!(text.contains(&format!("\"{field}\": [")), "{body}: {text}");
        }
        let text = format!("{:?}", read(r#"{"reason":"r","delta":-281474976710657}"#));
        assert!(text.contains("must be at least -281474976710656."), "{text}");
    }

    #[test]
    fn a_place_in_the_ledger_is_a_position_and_perhaps_a_line() {
        let after = |text: &str| {
            let query = Query::parse(Some(text)).unwrap();
            let mut errors = Errors::default();
            let after = read_after(&query, &mut errors);
            errors.check().map(|()| after.map(|place| (place.position.0, place.line)))
        };
        assert_eq!(after("").unwrap(), None);
        assert_eq!(after("after=7").unwrap(), Some((7, u32::MAX)));
        assert_eq!(after("after=7.0").unwrap(), Some((7, 0)));
        for bad in
            ["after=x", "after=7.", "after=.1", "after=-1", "after=7.-1", "after=7.4294967296"]
        {
            assert!(after(bad).is_err(), "{bad}");
        }
    }
}
