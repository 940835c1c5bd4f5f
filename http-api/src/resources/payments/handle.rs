//! Takes results from payment providers.

use client::wire::{Envelope, PaymentResult, WebhookReceipt, WebhookResult};
use engine::actor::Actor;
use engine::auth::Mode;
use engine::command::{Command, PaymentWebhook};
use engine::ids::OrderId;
use engine::outcome::Outcome;
use engine::webhook::{Fate, PAYLOAD_BYTES_MAX, Report};

use crate::answer::reply::{self, Reply, ReplyExt};
use crate::answer::views;
use crate::call::{Call, unexpected};
use crate::failure::Failure;
use crate::request::extract;
use crate::request::fields::{Errors, Fields, NOT_A_STRING, idempotency_key};
use crate::request::json::{self, Value};
use crate::request::signature;
use crate::settings::Settings;

/// `POST /payments/webhook`
pub(crate) async fn webhook(call: &Call<'_>) -> Result<Reply, Failure> {
    // Comes first: nothing in an unsigned body is trusted.
    // Who has a token with the scope needs no signature.
    if call.principal.actor == Actor::Nobody {
        let is_open = call.app.gate.mode() != Mode::Required;
        signature::check(&call.app.settings, call.headers, &call.body, is_open)
            .inspect_err(|_| call.app.metrics.signature_refused())?;
    }
    let header_key = extract::idempotency_key(call.headers)?;
    let object = json::parse(&call.body)?;
    let command = read_report(&call.fields(&object), header_key.as_deref(), &call.app.settings)?;
    let (key, report) = (command.key.clone(), command.report);
    let order = command.order;
    let log = |result: &str| {
        tracing::info!(
            event = "payment.webhook",
            result,
            order_id = order.0,
            status = report.as_str(),
            idempotency_key = %key,
            trace_id = %call.trace,
        );
    };
    let applied = call.propose(Command::PaymentWebhook(command)).await?;
    let (fate, status, duplicate) = match &applied.outcome {
        Outcome::Reported { fate, status, duplicate, .. } => (*fate, *status, *duplicate),
        Outcome::Rejected(rejection) => {
            return Err(Failure::rejected(rejection).at(applied.position));
        }
        other => return Err(unexpected(call, other)),
    };
    let (result, conflict) = match fate {
        Fate::Applied if duplicate => (WebhookResult::Duplicate, None),
        Fate::Applied => (WebhookResult::Applied, None),
        Fate::Conflict(conflict) => (WebhookResult::Conflict, Some(views::conflict(conflict))),
        // Nothing that this build writes is parked.
        Fate::Unmatched | Fate::Parked => (WebhookResult::Unmatched, None),
    };
    log(if duplicate { WebhookResult::Duplicate } else { result }.as_str());
    let (order_status, parked) = (status.map(views::status), fate == Fate::Parked);
    let receipt =
        WebhookReceipt { order_id: order.0, order_status, result, conflict, duplicate, parked };
    let reply = reply::of(200, &Envelope::new(receipt)).at(applied.position);
    Ok(if duplicate { reply.replayed() } else { reply })
}

fn read_report(
    fields: &Fields<'_, '_>,
    header_key: Option<&str>,
    settings: &Settings,
) -> Result<PaymentWebhook, Failure> {
    let mut errors = Errors::default();
    let known = ["idempotency_key", "order_id", "status", "amount", "payload"];
    fields.check_names(&known, &mut errors);
    let field_key = fields.key(&mut errors);
    let key = idempotency_key(header_key, field_key)?;
    // A signature does not cover headers: someone who has seen a signed request could send it again
    // with another key.
    if key.is_none() || !settings.webhook_secrets.is_empty() {
        fields.required("idempotency_key", &mut errors);
    }
    let order = fields.required("order_id", &mut errors).and(fields.id("order_id", &mut errors));
    let report = read_result(fields, &mut errors);
    let amount = fields.amount("amount", &mut errors);
    let payload = read_payload(fields, &mut errors);
    let command = match (key, order, report) {
        (Some(key), Some(order), Some(report)) => Some(PaymentWebhook {
            key: key.into(),
            order: OrderId(order),
            report,
            amount,
            payload,
            // No report waits for its order any more.
            park_ms: 0,
            parked_max: 0,
        }),
        _ => None,
    };
    errors.finish(command)
}

fn read_result(fields: &Fields<'_, '_>, errors: &mut Errors) -> Option<Report> {
    let name = "status";
    let rest = match fields.required(name, errors)? {
        Value::Text(word) => match word.parse() {
            Ok(PaymentResult::Success) => return Some(Report::Succeeded),
            Ok(PaymentResult::Failure) => return Some(Report::Failed),
            Err(_) => "must be success or failure.",
        },
        _ => NOT_A_STRING,
    };
    fields.fault(name, rest, errors);
    None
}

fn read_payload(fields: &Fields<'_, '_>, errors: &mut Errors) -> Option<Box<str>> {
    let name = "payload";
    let text = json::canonical_value(fields.optional(name)?);
    if text.len() > PAYLOAD_BYTES_MAX {
        let rest = format!("must not be greater than {PAYLOAD_BYTES_MAX} bytes.");
        fields.fault(name, &rest, errors);
        return None;
    }
    Some(text.into_boxed_str())
}

#[cfg(test)]
mod tests {
    use client::wire::ErrorCode;
    use engine::money::Money;

    use super::*;
    use crate::request::fields::Handling;

    fn read(body: &str) -> Result<PaymentWebhook, Failure> {
        read_report(
            &Fields::of(&json::parse(body.as_bytes())?, Handling::Lenient),
            None,
            &Settings::default(),
        )
    }

    #[test]
    fn a_report_is_read_with_its_settings() {
        let body = r#"{"idempotency_key":"k","order_id":7,"status":"success","amount":1999.98,
            "payload":{"b":[1],"a":"x"},"note":"ignored"}"#;
        let report = read(body).unwrap();
        assert_eq!((&*report.key, report.order), ("k", OrderId(7)));
        assert_eq!((report.report, report.amount), (Report::Succeeded, Some(Money(199_998))));
        assert_eq!(report.payload.as_deref(), Some(r#"{"a":"x","b":[1]}"#));
        assert_eq!((report.park_ms, report.parked_max), (0, 0));
        let bare = r#"{"idempotency_key":"k","order_id":7,"status":"failure","amount":null}"#;
        let bare = read(bare).unwrap();
        assert_eq!((bare.report, bare.amount, bare.payload), (Report::Failed, None, None));
    }

    #[test]
    fn every_invalid_field_is_a_422_that_names_it() {
        let long = format!("\"{}\"", "x".repeat(4096));
        for (field, value) in [
            ("idempotency_key", "null"),
            ("idempotency_key", "1"),
            ("order_id", "null"),
            ("order_id", "0"),
            ("order_id", "\"7\""),
            ("order_id", "1.5"),
            ("status", "null"),
            ("status", "1"),
            ("status", "\"paid\""),
            ("status", "\"SUCCESS\""),
            ("amount", "-1"),
            ("amount", "0.001"),
            ("amount", "\"1,50\""),
            ("amount", "\"5 EUR\""),
            ("amount", "1e400"),
            ("amount", "100000000000000000"),
            ("amount", "true"),
            ("payload", &long),
        ] {
            let fields =
                [("idempotency_key", "\"k\""), ("order_id", "7"), ("status", "\"success\"")];
            let fields = fields.into_iter().filter(|(name, _)| *name != field);
            let fields: Vec<_> = fields
                .chain([(field, value)])
                .map(|(name, value)| format!("\"{name}\":{value}"))
                .collect();
            let failure = read(&format!("{{{}}}", fields.join(","))).unwrap_err();
            assert_eq!(failure.code(), ErrorCode::ValidationError, "{field} {value}");
            let text = format!("{failure:?}");
            assert!(text.contains(&format!("\"{field}\": [")), "{field}: {text}");
        }
    }

    #[test]
    fn an_invalid_key_is_reported_before_invalid_fields() {
        let code = |body: &str| read(body).unwrap_err().code();
        assert_eq!(code(r#"{"idempotency_key":""}"#), ErrorCode::IdempotencyKeyInvalid);
        assert_eq!(code("{}"), ErrorCode::ValidationError);
    }
}
