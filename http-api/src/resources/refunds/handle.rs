//! Requests refunds and shows them.

use client::wire::{self, Envelope, OrderRefunds};
use engine::command::{Command, RequestRefund};
use engine::ids::{OrderId, Quantity, RefundId};
use engine::order::{LINES_MAX, REASON_BYTES_MAX};
use engine::outcome::Outcome;
use engine::refund::{Facts, Line, Refund, Status};
use engine::state::{Lookup, State};

use crate::answer::reply::{self, Reply, ReplyExt};
use crate::answer::views;
use crate::call::{Call, unexpected};
use crate::failure::Failure;
use crate::request::extract;
use crate::request::fields::{Errors, Fields, idempotency_key};
use crate::request::json::{self, Value};
use crate::resources::orders::{read, write};

const MISSING: &str = "Refund not found.";

/// A refund found in the state.
enum Found {
    Row(Box<Refund>),
    /// It has ended, and its row is in the checkpoint store.
    Stored,
}

fn look_up(state: &State, id: RefundId) -> Option<Found> {
    match state.refund(id) {
        Lookup::Absent => None,
        Lookup::Resident(refund) => Some(Found::Row(Box::new(refund.into_owned()))),
        Lookup::Stored => Some(Found::Stored),
    }
}

async fn whole(call: &Call<'_>, id: RefundId, found: Found) -> Result<Box<Refund>, Failure> {
    match found {
        Found::Row(refund) => Ok(refund),
        Found::Stored => {
            let stored = call.app.handle.stored_refund(id).await;
            let stored = stored.map_err(|error| Failure::read(&error, call.trace))?;
            let missing = || Failure::internal(call.trace, &format!("refund {id} has no row"));
            stored.map(Box::new).ok_or_else(missing)
        }
    }
}

/// `POST /orders/{id}/refunds`
pub(crate) async fn request(call: &Call<'_>) -> Result<Reply, Failure> {
    let order = OrderId(call.id(write::MISSING)?);
    let header_key = extract::idempotency_key(call.headers)?;
    let object = json::parse(&call.body)?;
    let wanted = read_request(&call.fields(&object), header_key.as_deref())?;
    // The order may be on disk only, where apply does not read. What the refund depends on of it
    // does not change any more once it is PAID.
    let freshness = call.ready_to_read().await?;
    let (_, row) = read::one(call, order, freshness).await?;
    let Wanted { amount, lines, reason, actor, key } = wanted;
    let command = RequestRefund {
        order,
        facts: Facts::of(&row),
        amount,
        lines,
        reason,
        actor,
        key,
        refunds_open_max: call.app.settings.open_orders_max,
    };
    let applied = call.propose(Command::RequestRefund(command)).await?;
    let (id, replayed) = match &applied.outcome {
        Outcome::RefundRequested(id) => (*id, false),
        Outcome::RefundReplayed(id) => (*id, true),
        Outcome::Rejected(rejection) => {
            return Err(Failure::rejected(rejection).at(applied.position));
        }
        other => return Err(unexpected(call, other)),
    };
    let found = call.app.handle.read(|state| look_up(state, id)).ok_or_else(Failure::unknown)?;
    let refund = whole(call, id, found).await.map_err(|_| Failure::unknown())?;
    if !replayed {
        tracing::info!(
            event = "refund.requested",
            refund_id = id.0,
            order_id = order.0,
            actor = %refund.actor,
            trace_id = %call.trace,
        );
    }
    let status = if replayed { 200 } else { 201 };
    let body = Envelope::new(view(&refund));
    let reply = reply::of(status, &body).at(applied.position).version(refund.version.0);
    Ok(if replayed { reply.replayed() } else { reply.location("refunds", id.0) })
}

/// `GET /orders/{id}/refunds`
pub(crate) async fn of_order(call: &Call<'_>) -> Result<Reply, Failure> {
    let order = OrderId(call.id(write::MISSING)?);
    let freshness = call.ready_to_read().await?;
    // Refuses orders of others.
    read::one(call, order, freshness).await?;
    let (position, refunded, found) = call.app.handle.read(|state| {
        let (ids, refunded) = state.refunds_of(order);
        let found: Vec<_> =
            ids.into_iter().filter_map(|id| Some((id, look_up(state, id)?))).collect();
        (state.position(), refunded, found)
    });
    let mut refunds = Vec::with_capacity(found.len());
    for (id, found) in found {
        refunds.push(view(&*whole(call, id, found).await?));
    }
    let body = OrderRefunds {
        order_id: order.0,
        refunded: refunded.to_string(),
        refunded_minor: refunded.0,
        refunds,
    };
    Ok(reply::of(200, &Envelope::new(body)).at(position).fresh(freshness))
}

/// `GET /refunds/{id}`
pub(crate) async fn get(call: &Call<'_>) -> Result<Reply, Failure> {
    let id = RefundId(call.id(MISSING)?);
    let freshness = call.ready_to_read().await?;
    let (position, found) = call.app.handle.read(|state| (state.position(), look_up(state, id)));
    let missing = || Failure::not_found(MISSING).seen(position, freshness);
    let refund = whole(call, id, found.ok_or_else(missing)?).await?;
    if call.is_foreign(refund.facts.user) {
        return Err(missing());
    }
    let reply = reply::of(200, &Envelope::new(view(&refund))).at(position);
    Ok(reply.version(refund.version.0).fresh(freshness))
}

/// The wire type of a refund.
fn view(refund: &Refund) -> wire::Refund {
    let line = |line: &Line| wire::RefundLine {
        line: line.line,
        quantity: line.quantity.0.into(),
        restock: line.restock,
    };
    wire::Refund {
        id: refund.id.0,
        order_id: refund.order.0,
        status: match refund.status {
            Status::Requested => wire::RefundStatus::Requested,
            Status::Succeeded => wire::RefundStatus::Succeeded,
            Status::Failed => wire::RefundStatus::Failed,
        },
        amount: refund.amount.to_string(),
        amount_minor: refund.amount.0,
        lines: refund.lines.iter().map(line).collect(),
        reason: refund.reason.to_string(),
        actor: refund.actor.to_string(),
        failure_reason: refund.failure_reason.as_deref().map(str::to_owned),
        idempotency_key: refund.key.as_deref().map(str::to_owned),
        unanswered: refund.task.map_or(0, |task| task.unanswered),
        trace_id: refund.trace.to_string(),
        created_at: views::moment(refund.created_at),
        updated_at: views::moment(refund.updated_at),
    }
}

/// What a request asks for.
#[derive(Debug)]
struct Wanted {
    amount: Option<engine::money::Money>,
    lines: Vec<Line>,
    reason: Box<str>,
    actor: Box<str>,
    key: Option<Box<str>>,
}

fn read_request(fields: &Fields<'_, '_>, header_key: Option<&str>) -> Result<Wanted, Failure> {
    let mut errors = Errors::default();
    let known = ["amount", "lines", "reason", "actor", "idempotency_key"];
    fields.check_names(&known, &mut errors);
    let key = idempotency_key(header_key, fields.key(&mut errors))?.map(Box::from);
    let amount = fields.amount("amount", &mut errors);
    if amount.is_some_and(|amount| amount.0 < 1) {
        fields.fault("amount", "must be at least 0.01.", &mut errors);
    }
    let lines = read_lines(fields, &mut errors);
    let reason = fields.required_text("reason", REASON_BYTES_MAX, &mut errors);
    let actor = fields.required_text("actor", REASON_BYTES_MAX, &mut errors);
    let wanted = match (reason, actor) {
        (Some(reason), Some(actor)) => Some(Wanted { amount, lines, reason, actor, key }),
        _ => None,
    };
    errors.finish(wanted)
}

fn read_lines(fields: &Fields<'_, '_>, errors: &mut Errors) -> Vec<Line> {
    let elements = match fields.optional("lines") {
        None => return Vec::new(),
        Some(Value::Array(elements)) if elements.is_empty() => {
            // Without the field, all that is left goes back. Nobody means that by no lines.
            fields.fault("lines", "must have at least 1 item.", errors);
            return Vec::new();
        }
        Some(Value::Array(elements)) if elements.len() <= LINES_MAX => elements,
        Some(Value::Array(_)) => {
            fields.fault("lines", &format!("must not have more than {LINES_MAX} items."), errors);
            return Vec::new();
        }
        Some(_) => {
            fields.fault("lines", "must be an array.", errors);
            return Vec::new();
        }
    };
    let read = |(index, element): (usize, &Value<'_>)| match element {
        Value::Object(line) => {
            let fields = fields.element(line, "lines", index);
            fields.check_names(&["line", "quantity", "restock"], errors);
            let number = fields.required_integer("line", 1..=LINES_MAX as u64, errors);
            let units = 1..=u64::from(Quantity::MAX.0);
            let quantity = fields.required_integer("quantity", units, errors);
            let restock = match fields.optional("restock") {
                None => false,
                Some(Value::Bool(restock)) => *restock,
                Some(_) => {
                    fields.fault("restock", "must be true or false.", errors);
                    false
                }
            };
            let line = u32::try_from(number?).ok()?;
            Some(Line { line, quantity: Quantity(u32::try_from(quantity?).ok()?), restock })
        }
        _ => {
            fields.fault(&format!("lines.{index}"), "must be an object.", errors);
            None
        }
    };
    elements.iter().enumerate().filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use client::wire::ErrorCode;
    use engine::money::Money;

    use super::*;
    use crate::request::fields::Handling;

    fn read(body: &str) -> Result<Wanted, Failure> {
        let object = json::parse(body.as_bytes())?;
        read_request(&Fields::of(&object, Handling::Lenient), None)
    }

    #[test]
    fn a_request_is_for_an_amount_for_lines_or_for_all() {
        let all = read(r#"{"reason":"returned","actor":"ann"}"#).unwrap();
        assert!(all.amount.is_none() && all.lines.is_empty() && all.key.is_none());
        let body = r#"{"reason":"r","actor":"ann","amount":"9.99","idempotency_key":"rma-9",
            "lines":[{"line":2,"quantity":3,"restock":true},{"line":1,"quantity":1}]}"#;
        let some = read(body).unwrap();
        assert_eq!((some.amount, some.key.as_deref()), (Some(Money(999)), Some("rma-9")));
        let second = Line { line: 1, quantity: Quantity(1), restock: false };
        assert_eq!(some.lines[1], second);
        for wrong in [
            r#""amount":"0""#,
            r#""amount":"-1""#,
            r#""lines":{}"#,
            r#""lines":[]"#,
            r#""lines":[1]"#,
            r#""lines":[{"line":0,"quantity":1}]"#,
            r#""lines":[{"line":1,"quantity":0}]"#,
            r#""lines":[{"line":1}]"#,
            r#""lines":[{"line":1,"quantity":1,"restock":1}]"#,
            r#""lines":[{"line":1,"quantity":"2"}]"#,
        ] {
            let body = format!(r#"{{"actor":"ann","reason":"r",{wrong}}}"#);
            let failure = read(&body).expect_err(wrong);
            assert_eq!(failure.code(), ErrorCode::ValidationError, "{wrong}");
        }
    }
}
