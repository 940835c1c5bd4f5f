//! `POST /orders/batch`: many orders in one request, atomic or each on its own.
//!
//! Each order is read on its own, so an invalid one does not affect the others. Independent orders
//! go to the log in chunks of one entry each; an atomic batch is one chunk.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::time::Instant;
use std::vec::IntoIter;

use client::wire::{ErrorCode, Shortage};
use engine::command::{BATCH_LINES_MAX, BATCH_ORDERS_MAX, Command, PlaceBatch, PlaceOrder};
use engine::ids::{OrderId, Position};
use engine::order::Order;
use engine::outcome::Outcome;
use raft_node::Applied;
use serde::Serialize;

use super::dry_run;
use super::write::{log_order, read_order};
use crate::answer::reply::{self, Reply, ReplyExt};
use crate::answer::rows;
use crate::call::{Call, unexpected};
use crate::failure::Failure;
use crate::request::extract;
use crate::request::fields::{Errors, Fields, Handling};
use crate::request::json::{self, Malformed, Value};
use crate::request::query;
use crate::settings::Settings;

/// The approximate size of a chunk of independent orders, in bytes: one entry must not hold up the
/// log.
const CHUNK_BYTES: usize = 512 << 10;

/// The most lines of a chunk of independent orders, for the same reason. One order more is taken.
const CHUNK_LINES: usize = 2_000;

/// A parsed request.
struct Batch {
    atomic: bool,
    /// Each order, or why it is invalid.
    orders: Vec<Result<PlaceOrder, Failure>>,
}

/// The result of one order.
#[allow(clippy::large_enum_variant, reason = "nearly all are orders, and boxes cost allocations")]
enum Settled {
    /// The order, and whether it was placed before.
    Order(Order, bool),
    /// The order was refused, or its outcome is unknown.
    Failed(Failure),
}

/// The results of all orders.
struct Decided {
    settled: Vec<Settled>,
    position: Option<Position>,
}

/// `POST /orders/batch`
pub(crate) async fn place(call: &Call<'_>) -> Result<Reply, Failure> {
    if extract::idempotency_key(call.headers)?.is_some() {
        // If it were ignored, the caller would believe that a retry is safe.
        let detail = "The keys of a batch stand in its orders, not in the Idempotency-Key header.";
        return Err(Failure::new(ErrorCode::IdempotencyKeyInvalid, detail));
    }
    let batch = read_batch(call)?;
    if dry_run::is_asked(call)? {
        return match batch.atomic {
            true => {
                let orders = all_sound(batch.orders)?;
                let command = Command::PlaceBatch(PlaceBatch { atomic: true, orders });
                dry_run::answer(call, command).await
            }
            false => dry_run::answer_each(call, batch.orders).await,
        };
    }
    let decided = if batch.atomic {
        place_all(call, batch.orders).await?
    } else {
        place_each(call, batch.orders).await?
    };
    Ok(answer(&decided))
}

fn read_batch(call: &Call<'_>) -> Result<Batch, Failure> {
    let settings = &call.app.settings;
    let query = call.query()?;
    let mut errors = Errors::default();
    let asked = match query.text("atomic", &mut errors) {
        None => None,
        Some("false") => Some(false),
        Some("true") => Some(true),
        Some(_) => {
            query::fault("atomic", "must be true or false.", &mut errors);
            None
        }
    };
    errors.check()?;
    let handling = extract::handling(call.headers);
    if extract::is_ndjson(call.headers) {
        let orders = read_lines(&call.body, settings, handling)?;
        return Ok(Batch { atomic: asked.unwrap_or(false), orders });
    }
    let object = json::parse(&call.body)?;
    read_object(&Fields::of(&object, handling), asked, settings)
}

/// Reads one order per line, without blank lines.
fn read_lines(
    body: &[u8],
    settings: &Settings,
    handling: Handling,
) -> Result<Vec<Result<PlaceOrder, Failure>>, Failure> {
    let mut orders = Vec::new();
    for line in body.split(|byte| *byte == b'\n') {
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        if orders.len() == BATCH_ORDERS_MAX {
            return Err(too_many());
        }
        let read = |line| read_order(&Fields::of(&json::parse(line)?, handling), None, settings);
        orders.push(read(line));
    }
    if orders.is_empty() {
        return Err(Failure::field("orders", "The orders field is required."));
    }
    Ok(orders)
}

/// `asked` is the query's `atomic`; that of the body must agree.
fn read_object(
    fields: &Fields<'_, '_>,
    asked: Option<bool>,
    settings: &Settings,
) -> Result<Batch, Failure> {
    let mut errors = Errors::default();
    fields.check_names(&["orders", "atomic"], &mut errors);
    let atomic = match fields.optional("atomic") {
        None => asked.unwrap_or(false),
        Some(Value::Bool(atomic)) if asked.is_none_or(|asked| asked == *atomic) => *atomic,
        Some(Value::Bool(_)) => {
            fields.fault("atomic", "differs from the atomic parameter.", &mut errors);
            false
        }
        Some(_) => {
            fields.fault("atomic", "must be true or false.", &mut errors);
            false
        }
    };
    let elements = match fields.required("orders", &mut errors) {
        Some(Value::Array(elements)) => &elements[..],
        Some(_) => {
            fields.fault("orders", "must be an array.", &mut errors);
            &[]
        }
        None => &[],
    };
    errors.check()?;
    match elements.len() {
        0 => return Err(Failure::field("orders", "The orders field is required.")),
        1..=BATCH_ORDERS_MAX => {}
        _ => return Err(too_many()),
    }
    let read = |element: &Value<'_>| match element {
        Value::Object(order) => read_order(&fields.whole(order), None, settings),
        _ => Err(Malformed::NotAnObject.into()),
    };
    Ok(Batch { atomic, orders: elements.iter().map(read).collect() })
}

fn too_many() -> Failure {
    let text = format!("The orders field must not have more than {BATCH_ORDERS_MAX} orders.");
    Failure::field("orders", text)
}

/// How many lines each order has, as far as this node knows: those of holds included.
fn lines_of(call: &Call<'_>, orders: &[PlaceOrder]) -> Vec<usize> {
    call.app.handle.read(|state| orders.iter().map(|order| state.lines_of(order)).collect())
}

/// Refuses an atomic batch that would hold up all other requests.
fn check_lines(lines: usize) -> Result<(), Failure> {
    if lines <= BATCH_LINES_MAX {
        return Ok(());
    }
    let text = format!(
        "The orders of an atomic batch must not have more than {BATCH_LINES_MAX} lines together, \
         and these have {lines}: split the batch, or place the orders without atomic."
    );
    Err(Failure::field("orders", text))
}

/// Places all orders or none.
async fn place_all(
    call: &Call<'_>,
    orders: Vec<Result<PlaceOrder, Failure>>,
) -> Result<Decided, Failure> {
    let orders = all_sound(orders)?;
    check_lines(lines_of(call, &orders).into_iter().sum())?;
    let count = orders.len();
    let applied = propose(call, true, orders).await?;
    let position = applied.position;
    if let Outcome::Rejected(rejection) = &applied.outcome {
        return Err(Failure::rejected(rejection).at(position));
    }
    let mut settled = Vec::with_capacity(count);
    settle(call, applied, count, &mut settled).await?;
    Ok(Decided { settled, position: Some(position) })
}

/// The orders, if all are valid; otherwise one failure with the errors of all.
fn all_sound(orders: Vec<Result<PlaceOrder, Failure>>) -> Result<Vec<PlaceOrder>, Failure> {
    let mut sound = Vec::with_capacity(orders.len());
    let mut faults: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (index, order) in orders.into_iter().enumerate() {
        let failure = match order {
            Ok(order) => {
                sound.push(order);
                continue;
            }
            Err(failure) => failure,
        };
        let Some(fields) = failure.fields() else {
            let detail = format!("The order at index {index}: {}", failure.detail());
            return Err(Failure::new(failure.code(), detail));
        };
        for (field, texts) in fields {
            faults.insert(format!("orders.{index}.{field}"), texts.clone());
        }
    }
    if faults.is_empty() { Ok(sound) } else { Err(Failure::validation(faults)) }
}

/// Places each order on its own, in the order of the request.
async fn place_each(
    call: &Call<'_>,
    orders: Vec<Result<PlaceOrder, Failure>>,
) -> Result<Decided, Failure> {
    let mut decided = Decided { settled: Vec::with_capacity(orders.len()), position: None };
    let mut failures: Vec<Option<Failure>> = Vec::with_capacity(orders.len());
    let mut sound = Vec::with_capacity(orders.len());
    for order in orders {
        match order {
            Ok(order) => {
                sound.push(order);
                failures.push(None);
            }
            Err(failure) => failures.push(Some(failure)),
        }
    }
    let mut settled = Vec::with_capacity(sound.len());
    let mut lines = lines_of(call, &sound).into_iter();
    let mut rest = sound.into_iter().peekable();
    while rest.peek().is_some() {
        let chunk = next_chunk(&mut rest, &mut lines);
        let count = chunk.len();
        let done = async {
            let applied = propose(call, false, chunk).await?;
            let position = applied.position;
            settle(call, applied, count, &mut settled).await.map(|()| position)
        };
        match done.await {
            Ok(position) => decided.position = Some(position),
            // Nothing was decided, so the whole request fails.
            Err(failure) if decided.position.is_none() => return Err(failure),
            Err(failure) => {
                let code = failure.code();
                let detail = failure.detail();
                let again = || Settled::Failed(Failure::new(code, detail.to_owned()));
                settled.extend((0..count).map(|_| again()));
                // Orders that were not sent have no effect.
                settled.extend(rest.by_ref().map(|_| Settled::Failed(not_sent())));
            }
        }
    }
    let mut settled = settled.into_iter();
    decided.settled.extend(failures.into_iter().map(|failure| match failure {
        Some(failure) => Settled::Failed(failure),
        None => settled.next().expect("every sound order was settled"),
    }));
    Ok(decided)
}

fn not_sent() -> Failure {
    let text = "An earlier part of the batch was not confirmed, so this order was not sent.";
    Failure::new(ErrorCode::Overloaded, text)
}

/// The next orders that fit into one entry, at least one. `lines` has how many each of the rest
/// has.
fn next_chunk(
    rest: &mut Peekable<IntoIter<PlaceOrder>>,
    lines: &mut IntoIter<usize>,
) -> Vec<PlaceOrder> {
    let size = |order: &PlaceOrder| {
        let texts = [&order.key, &order.metadata, &order.terms.reference].into_iter().flatten();
        64 + 16 * order.lines.len() + texts.map(|text| text.len()).sum::<usize>()
    };
    let mut chunk = Vec::with_capacity(rest.len());
    let (mut bytes, mut taken) = (0, 0);
    while let Some(order) = rest.next_if(|order| {
        let fits = bytes + size(order) <= CHUNK_BYTES && taken <= CHUNK_LINES;
        chunk.is_empty() || fits
    }) {
        bytes += size(&order);
        taken += lines.next().unwrap_or(0);
        chunk.push(order);
    }
    chunk
}

async fn propose(
    call: &Call<'_>,
    atomic: bool,
    orders: Vec<PlaceOrder>,
) -> Result<Applied, Failure> {
    let started = Instant::now();
    let applied = call.propose(Command::PlaceBatch(PlaceBatch { atomic, orders })).await?;
    call.app.metrics.reserved(started.elapsed());
    Ok(applied)
}

/// Joins the outcomes of a chunk of `count` orders with their rows.
async fn settle(
    call: &Call<'_>,
    applied: Applied,
    count: usize,
    settled: &mut Vec<Settled>,
) -> Result<(), Failure> {
    let outcomes = match applied.outcome {
        Outcome::Batch(outcomes) if outcomes.len() == count => outcomes,
        Outcome::Rejected(rejection) => {
            return Err(Failure::rejected(&rejection).at(applied.position));
        }
        other => return Err(unexpected(call, &other)),
    };
    let mut rows = applied.orders.into_iter().peekable();
    // Orders that their keys made long ago may no longer be in memory.
    let mut stored: Vec<(usize, OrderId)> = Vec::new();
    for outcome in outcomes {
        let (id, replayed) = match outcome {
            Outcome::Placed(id) => (id, false),
            Outcome::Replayed(id) => (id, true),
            Outcome::Rejected(rejection) => {
                settled.push(Settled::Failed(Failure::rejected(&rejection)));
                continue;
            }
            other => return Err(unexpected(call, &other)),
        };
        settled.push(match rows.next_if(|order| order.id == id) {
            Some(order) => {
                if !replayed {
                    log_order(call, "order.created", &order);
                }
                Settled::Order(order, replayed)
            }
            None => {
                stored.push((settled.len(), id));
                // It exists, so if reading it fails, its outcome is unknown.
                Settled::Failed(Failure::unknown())
            }
        });
    }
    if !stored.is_empty() {
        let ids: Vec<OrderId> = stored.iter().map(|(_, id)| *id).collect();
        let mut found =
            call.app.handle.orders(&ids).await.unwrap_or_default().into_iter().peekable();
        for (at, id) in stored {
            if let Some(order) = found.next_if(|order| order.id == id) {
                settled[at] = Settled::Order(order, true);
            }
        }
    }
    Ok(())
}

/// A result without an order: the fields of [`client::wire::BatchResult`] for an error.
#[derive(Serialize)]
struct Problem<'a> {
    index: usize,
    status: u16,
    error: &'static str,
    error_code: &'static str,
    message: &'a str,
    outcome: &'static str,
    retryable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<&'a BTreeMap<String, Vec<String>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shortages: Option<&'a [Shortage]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    opens_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
}

/// Appends the JSON of one result.
fn show(index: usize, settled: &Settled, out: &mut Vec<u8>) {
    match settled {
        Settled::Order(order, replayed) => {
            let status = if *replayed { 200 } else { 201 };
            let head = format!(r#"{{"index":{index},"status":{status},"order":"#);
            out.extend_from_slice(head.as_bytes());
            rows::order(order, out);
            out.push(b'}');
        }
        Settled::Failed(failure) => {
            let code = failure.code();
            let (opens_at, retry_after_ms) = failure.opening();
            let problem = Problem {
                index,
                status: code.status(),
                error: code.as_str(),
                error_code: code.upper(),
                message: failure.detail(),
                outcome: code.outcome().as_str(),
                retryable: code.is_retryable(),
                errors: failure.fields(),
                shortages: failure.shortages(),
                opens_at,
                retry_after_ms,
            };
            serde_json::to_writer(out, &problem).expect("problems have string keys");
        }
    }
}

fn answer(decided: &Decided) -> Reply {
    let mut text = Vec::with_capacity(rows::ORDER_BYTES * decided.settled.len());
    text.extend_from_slice(br#"{"success":true,"data":["#);
    for (index, settled) in decided.settled.iter().enumerate() {
        if index > 0 {
            text.push(b',');
        }
        show(index, settled, &mut text);
    }
    text.extend_from_slice(b"]}");
    let reply = reply::json(200, text);
    match decided.position {
        Some(position) => reply.at(position),
        None => reply,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(body: &str) -> Result<Vec<Result<PlaceOrder, Failure>>, Failure> {
        read_lines(body.as_bytes(), &Settings::default(), Handling::Lenient)
    }

    fn object(body: &str) -> Result<Batch, Failure> {
        let object = json::parse(body.as_bytes()).unwrap();
        read_object(&Fields::of(&object, Handling::Lenient), None, &Settings::default())
    }

    const GOOD: &str = r#"{"items":[{"product_id":1,"quantity":1}]}"#;

    #[test]
    fn each_line_is_an_order_or_has_its_own_error() {
        let text = format!("{GOOD}\r\n\n  \n{{\n{{\"items\":[]}}\n[]\n{GOOD}");
        let orders = lines(&text).unwrap();
        let codes: Vec<_> =
            orders.iter().map(|order| order.as_ref().err().map(Failure::code)).collect();
        let malformed = Some(ErrorCode::MalformedRequest);
        let expected = [None, malformed, Some(ErrorCode::ValidationError), malformed, None];
        assert_eq!(codes, expected);
        for none in ["", "\n\n", " "] {
            assert_eq!(lines(none).unwrap_err().code(), ErrorCode::ValidationError);
        }
        let most = format!("{GOOD}\n").repeat(1000);
        assert_eq!(lines(&most).unwrap().len(), 1000);
        assert!(lines(&(most + GOOD)).is_err());
    }

    #[test]
    fn a_batch_as_an_object() {
        let batch = object(&format!(r#"{{"atomic":true,"orders":[{GOOD},7]}}"#)).unwrap();
        assert!(batch.atomic && batch.orders[0].is_ok());
        assert_eq!(batch.orders[1].as_ref().unwrap_err().code(), ErrorCode::MalformedRequest);
        assert!(!object(&format!(r#"{{"orders":[{GOOD}]}}"#)).unwrap().atomic);
        for body in [
            "{}",
            r#"{"orders":[]}"#,
            r#"{"orders":{}}"#,
            r#"{"orders":null}"#,
            r#"{"orders":[{}],"atomic":1}"#,
        ] {
            let failure = object(body).err().unwrap();
            assert_eq!(failure.code(), ErrorCode::ValidationError, "{body}");
        }
        let many = format!(r#"{{"orders":[{}{GOOD}]}}"#, format!("{GOOD},").repeat(1000));
        assert!(object(&many).is_err());
    }

    #[test]
    fn errors_of_an_atomic_batch_have_their_paths() {
        let orders = lines(&format!("{GOOD}\n{{\"items\":[]}}\n{{\"items\":1,\"user_id\":0}}"));
        let failure = all_sound(orders.unwrap()).unwrap_err();
        assert_eq!(failure.code(), ErrorCode::ValidationError);
        let fields: Vec<&String> = failure.fields().unwrap().keys().collect();
        assert_eq!(fields, ["orders.1.items", "orders.2.items", "orders.2.user_id"]);
        let broken = all_sound(lines(&format!("{GOOD}\n{{")).unwrap()).unwrap_err();
        assert_eq!(broken.code(), ErrorCode::MalformedRequest);
        assert!(broken.detail().starts_with("The order at index 1: "), "{}", broken.detail());
    }

    #[test]
    fn chunks_are_bounded_by_bytes_and_lines_and_hold_at_least_one_order() {
        let order = |metadata: usize| {
            let order = lines(GOOD).unwrap().remove(0).unwrap();
            PlaceOrder { metadata: Some("x".repeat(metadata).into()), ..order }
        };
        let sizes_with = |orders: Vec<PlaceOrder>, lines: usize| {
            let mut lines = vec![lines; orders.len()].into_iter();
            let mut rest = orders.into_iter().peekable();
            let mut sizes = Vec::new();
            while rest.peek().is_some() {
                sizes.push(next_chunk(&mut rest, &mut lines).len());
            }
            sizes
        };
        let sizes = |orders| sizes_with(orders, 1);
        assert_eq!(sizes(vec![order(0); 1000]), [1000]);
        assert_eq!(sizes_with(vec![order(0); 50], 100), [21, 21, 8]);
        assert_eq!(sizes(vec![order(CHUNK_BYTES); 2]), [1, 1]);
        assert_eq!(sizes(vec![order(4096); 1000]).iter().sum::<usize>(), 1000);
        assert_eq!(sizes(vec![order(4096); 1000]).len(), 8);
        assert!(sizes(Vec::new()).is_empty());
    }
}
