//! Lists payments without a definite result, and takes an operator's decision about them.

use client::wire::{CursorMeta, ErrorCode, SettleOutcome, UnsettledList, UnsettledPayment};
use engine::command::{Command, RecheckPayment, SettleOrder, Settlement};
use engine::ids::{OrderId, Timestamp};
use engine::order::{Order, REASON_BYTES_MAX, Status};
use engine::outcome::{Outcome, Rejection};
use engine::query::{Listing, OrderFilter, Page};
use engine::state::{OrderLookup, State};
use raft_node::payment::Answer;

use crate::answer::reply::{self, Reply, ReplyExt};
use crate::answer::{rows, views};
use crate::bounds::{LIMIT_MAX, PER_PAGE};
use crate::call::{Call, unexpected};
use crate::failure::Failure;
use crate::request::fields::{Errors, Fields, NOT_A_STRING};
use crate::request::json::{self, Value};
use crate::request::keyed::Key;
use crate::request::query;
use crate::resources::orders::list::{read_cursor, write_cursor};
use crate::resources::orders::write::{MISSING, log_order};

/// The most orders, or blocks of them, that are looked at before the state is given back.
const STEPS: usize = 4096;
/// The most PROCESSING orders that one request looks at. With `has_more` the next one goes on.
const LOOKED_AT_MAX: u64 = 1_000;
/// Attempts are small numbers.
const ATTEMPT_MAX: u64 = u32::MAX as u64;

/// `GET /payments/unsettled`
pub(crate) async fn unsettled(call: &Call<'_>) -> Result<Reply, Failure> {
    let query = call.query()?;
    let mut errors = Errors::default();
    let freshness = call.freshness(&query, &mut errors);
    let limit = query.integer("limit", 1..=LIMIT_MAX, &mut errors).unwrap_or(PER_PAGE);
    let cursor = query.text("cursor", &mut errors).map(read_cursor);
    if matches!(cursor, Some(None)) {
        query::fault("cursor", "is not one that this API gave out.", &mut errors);
    }
    errors.check()?;
    call.wait_until_fresh(freshness).await?;
    let filter = OrderFilter { status: Some(Status::Processing), ..OrderFilter::default() };
    let page = Page::Before { id: cursor.flatten(), limit: LOOKED_AT_MAX };
    let mut listing = Listing::new(filter, page);
    let cluster = call.app.handle.cluster_name();
    let (position, data, next) = loop {
        let done = call.app.handle.read(|state| {
            if !state.list_some(&mut listing, STEPS) {
                return None;
            }
            let found = std::mem::take(&mut listing).into_page();
            let (mut data, mut last) = (Vec::new(), None);
            for id in &found.ids {
                if data.len() as u64 == limit {
                    break;
                }
                last = Some(*id);
                data.extend(payment(state, cluster, *id));
            }
            let has_more = found.has_more || last != found.ids.last().copied();
            Some((state.position(), data, last.filter(|_| has_more)))
        });
        match done {
            Some(done) => break done,
            None => tokio::task::yield_now().await,
        }
    };
    let meta = CursorMeta { next_cursor: next.map(write_cursor), has_more: next.is_some() };
    Ok(reply::of(200, &UnsettledList::new(data, meta)).at(position).fresh(freshness))
}

/// The payment of a PROCESSING order, if a call about it got no definite answer.
fn payment(state: &State, cluster: &str, id: OrderId) -> Option<UnsettledPayment> {
    let OrderLookup::Resident(order) = state.order(id) else { return None };
    let task = order.task.as_ref().filter(|_| order.status == Status::Processing)?;
    let in_flight = task.claim.is_some_and(|claim| claim.lease_until > state.clock());
    let is_lost = task.claim.is_some() && !in_flight;
    if task.unanswered == 0 && !is_lost {
        return None;
    }
    let keys = state.payment_keys();
    Some(UnsettledPayment {
        order_id: id.0,
        payment_method: views::payment_method(order.payment_method),
        payment_key: keys.attempt(cluster, state.payment_epoch(id), id, task.attempt),
        attempt: task.attempt,
        unanswered: task.unanswered,
        amount: order.total.to_string(),
        amount_minor: order.total.0,
        since: views::moment(began(&order)),
        next_at: views::moment(task.due),
        in_flight,
        trace_id: order.trace.to_string(),
    })
}

/// When the payment of an order began.
fn began(order: &Order) -> Timestamp {
    let claimed = order.history.iter().find(|row| row.to == Status::Processing);
    claimed.map_or(order.updated_at, |row| row.at)
}

/// `POST /orders/{id}/settle`
pub(crate) async fn settle(call: &Call<'_>) -> Result<Reply, Failure> {
    let order = OrderId(call.id(MISSING)?);
    let object = json::parse(&call.body)?;
    let (command, force) = read_settlement(&call.fields(&object), order)?;
    let is_open =
        call.app.handle.read(|state| state.order_status(order)) == Some(Status::Processing);
    if command.outcome == Settlement::Failed && !force && is_open {
        confirm(call, order).await?;
    }
    let (actor, attempt) = (command.actor.clone(), command.attempt);
    let key = Key::of_settlement(order, &command.outcome);
    let mut applied = call.propose(key.wrap(Command::SettleOrder(command))?).await?;
    if let Outcome::Repeated(did) = applied.outcome {
        applied.outcome = *did;
    }
    let already = match &applied.outcome {
        Outcome::OrderSettled { already, .. } => *already,
        Outcome::Rejected(Rejection::KeyReused) => {
            let detail =
                "The order was settled before, with another outcome or another provider_ref.";
            return Err(Failure::new(ErrorCode::OrderNotProcessing, detail).at(applied.position));
        }
        Outcome::Rejected(rejection) => {
            return Err(Failure::rejected(rejection).at(applied.position));
        }
        other => return Err(unexpected(call, other)),
    };
    let row = match applied.order.take() {
        Some(row) => row,
        None => call.stored_order(order).await.map(Box::new).map_err(|_| Failure::unknown())?,
    };
    if !already {
        tracing::warn!(
            event = "payment.settled",
            order_id = order.0,
            attempt,
            %actor,
            status = row.status.as_str(),
            trace_id = %call.trace,
        );
    }
    Ok(reply::json(200, rows::answer(&row)).at(applied.position).version(row.version.0))
}

/// Makes the gateway confirm that the payment takes no money any more.
async fn confirm(call: &Call<'_>, order: OrderId) -> Result<(), Failure> {
    let refused = |why: &str| {
        let detail = format!(
            "{why} Look at the provider; if the customer was not charged, repeat the request with \
             `force`."
        );
        Err(Failure::new(ErrorCode::PaymentNotCancelled, detail))
    };
    match call.app.handle.cancel_payment(order).await {
        Some(Answer::Declined(_)) => Ok(()),
        Some(Answer::Succeeded) => Err(Failure::new(
            ErrorCode::PaymentNotCancelled,
            "The gateway says that it charged the customer; recheck the order instead.",
        )),
        Some(_) => refused("The gateway did not confirm that the payment is cancelled."),
        None => refused("This node's gateway does not know the payment."),
    }
}

/// `POST /orders/{id}/recheck`
pub(crate) async fn recheck(call: &Call<'_>) -> Result<Reply, Failure> {
    let order = OrderId(call.id(MISSING)?);
    let attempt = match call.body.is_empty() {
        true => None,
        false => {
            let object = json::parse(&call.body)?;
            let fields = call.fields(&object);
            let mut errors = Errors::default();
            fields.check_names(&["expected_attempt"], &mut errors);
            let attempt = fields.integer("expected_attempt", 1..=ATTEMPT_MAX, &mut errors);
            errors.check()?;
            attempt.map(|attempt| u32::try_from(attempt).unwrap_or(u32::MAX))
        }
    };
    let command = Command::RecheckPayment(RecheckPayment { order, attempt });
    let mut applied = call.propose(command).await?;
    match &applied.outcome {
        Outcome::PaymentRechecked(_) => {}
        Outcome::Rejected(rejection) => {
            return Err(Failure::rejected(rejection).at(applied.position));
        }
        other => return Err(unexpected(call, other)),
    }
    let row = applied.order.take().ok_or_else(Failure::unknown)?;
    log_order(call, "payment.rechecked", &row);
    Ok(reply::json(200, rows::answer(&row)).at(applied.position).version(row.version.0))
}

const SETTLE_FIELDS: [&str; 6] =
    ["outcome", "expected_attempt", "provider_ref", "reason", "actor", "force"];

/// Reads the body of a settlement, and whether the gateway need not confirm.
fn read_settlement(
    fields: &Fields<'_, '_>,
    order: OrderId,
) -> Result<(SettleOrder, bool), Failure> {
    let mut errors = Errors::default();
    fields.check_names(&SETTLE_FIELDS, &mut errors);
    let outcome = read_outcome(fields, &mut errors);
    let attempt = fields.required_integer("expected_attempt", 1..=ATTEMPT_MAX, &mut errors);
    let reason = fields.required_text("reason", REASON_BYTES_MAX, &mut errors);
    let actor = fields.required_text("actor", REASON_BYTES_MAX, &mut errors);
    let reference = match outcome {
        Some(SettleOutcome::Paid) => {
            fields.required_text("provider_ref", REASON_BYTES_MAX, &mut errors)
        }
        _ => fields.text("provider_ref", REASON_BYTES_MAX, &mut errors),
    };
    let force = match fields.optional("force") {
        None => false,
        Some(Value::Bool(force)) => *force,
        Some(_) => {
            fields.fault("force", "must be true or false.", &mut errors);
            false
        }
    };
    let outcome = match (outcome, reference) {
        (Some(SettleOutcome::Paid), Some(reference)) => Some(Settlement::Paid { reference }),
        (Some(SettleOutcome::Failed), _) => Some(Settlement::Failed),
        _ => None,
    };
    let command = match (outcome, attempt, reason, actor) {
        (Some(outcome), Some(attempt), Some(reason), Some(actor)) => {
            let attempt = u32::try_from(attempt).unwrap_or(u32::MAX);
            Some(SettleOrder { order, attempt, outcome, reason, actor })
        }
        _ => None,
    };
    Ok((errors.finish(command)?, force))
}

fn read_outcome(fields: &Fields<'_, '_>, errors: &mut Errors) -> Option<SettleOutcome> {
    let name = "outcome";
    let rest = match fields.required(name, errors)? {
        Value::Text(word) => match word.parse() {
            Ok(outcome) => return Some(outcome),
            Err(_) => "must be paid or failed.",
        },
        _ => NOT_A_STRING,
    };
    fields.fault(name, rest, errors);
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::fields::Handling;

    fn read(body: &str) -> Result<(SettleOrder, bool), Failure> {
        let object = json::parse(body.as_bytes())?;
        read_settlement(&Fields::of(&object, Handling::Lenient), OrderId(7))
    }

    #[test]
    fn a_paid_order_needs_a_reference() {
        let with = |more: &str| {
            read(&format!(r#"{{"expected_attempt":2,"reason":"r","actor":"ann"{more}}}"#))
        };
        let (paid, force) = with(r#","outcome":"paid","provider_ref":"pi_1""#).unwrap();
        assert_eq!((paid.order, paid.attempt, force), (OrderId(7), 2, false));
        assert_eq!(paid.outcome, Settlement::Paid { reference: "pi_1".into() });
        let (failed, force) = with(r#","outcome":"failed","force":true"#).unwrap();
        assert_eq!((failed.outcome, force), (Settlement::Failed, true));
        for wrong in [
            r#","outcome":"paid""#,
            r#","outcome":"PAID","provider_ref":"p""#,
            r#","outcome":"failed","force":"yes""#,
            r#","outcome":null"#,
            "",
        ] {
            assert_eq!(with(wrong).unwrap_err().code(), ErrorCode::ValidationError, "{wrong}");
        }
        assert!(read(r#"{"outcome":"failed","reason":"r","actor":"a"}"#).is_err());
        assert!(read(r#"{"outcome":"failed","expected_attempt":1,"actor":"a"}"#).is_err());
        assert!(read(r#"{"outcome":"failed","expected_attempt":1,"reason":"r"}"#).is_err());
    }
}
