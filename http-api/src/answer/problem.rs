//! Turns a failure into an answer: a problem of RFC 9457, with the headers of its code.
//!
//! [`crate::failure`] chooses the code; `client::wire` says what follows from a code.

use std::borrow::Cow;

use client::wire::{self, ErrorCode, Problem};
use engine::trace::TraceId;
use hyper::header::{
    ALLOW, CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER, UPGRADE, WWW_AUTHENTICATE,
};

use crate::answer::reply::{self, Reply, ReplyExt};
use crate::answer::views;
use crate::failure::{Details, Failure, opening};

/// The value of `WWW-Authenticate` in a 401 for a signature.
const SIGNATURE_CHALLENGE: &str = "Holdfast-Signature realm=\"payments\"";
/// The same for a token.
const TOKEN_CHALLENGE: &str = "Bearer realm=\"holdfast\"";

/// Makes the answer to a request that failed.
pub(crate) fn reply(failure: Failure, trace: &TraceId) -> Reply {
    let details = failure.into_details();
    let Details { code, detail, word, errors, results, shortages, allow, .. } = details;
    let Details { seen, retry_after_s, order, close, opens, totals, .. } = details;
    let allowed_at = details.allowed_at;
    let mut problem = Problem::new(code, detail, trace.to_string());
    problem.error = word.map_or(problem.error, Cow::Borrowed);
    problem.errors = errors;
    problem.results = results;
    problem.shortages = shortages;
    problem.retry_after = retry_after_s;
    problem.order_id = order.map(|id| id.0);
    problem.clock = opens.map(|(_, clock)| views::moment(clock));
    (problem.opens_at, problem.retry_after_ms) = opening(opens);
    problem.allowed_at = allowed_at.map(views::moment);
    if let Some((expected, actual, items)) = totals {
        problem.expected = Some(expected.to_string());
        problem.actual = Some(actual.to_string());
        problem.items = Some(items.iter().map(views::priced_line).collect());
    }
    let mut reply = reply::of(problem.status, &problem);
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(wire::PROBLEM_JSON));
    if let Some(seconds) = problem.retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Some(allow) = allow {
        headers.insert(ALLOW, allow);
    }
    if code == ErrorCode::UpgradeRequired {
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    }
    let challenge = match code {
        ErrorCode::InvalidSignature => Some(SIGNATURE_CHALLENGE),
        ErrorCode::Unauthorized => Some(TOKEN_CHALLENGE),
        _ => None,
    };
    if let Some(challenge) = challenge {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    if close {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    match seen {
        Some((position, freshness)) => reply.at(position).fresh(freshness),
        None => reply,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use client::wire::Outcome;
    use engine::ids::{HoldId, OrderId, Position, ProductId};
    use engine::outcome::{Rejection, Shortage};
    use http_body_util::BodyExt;
    use raft_node::{ProposeError, ReadError};

    use super::*;
    use crate::freshness::Freshness;

    fn trace() -> TraceId {
        TraceId::parse("550e8400-e29b-41d4-a716-446655440000").unwrap()
    }

    async fn text(reply: Reply) -> String {
        let body = reply.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(body.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn problems_have_the_documented_json() {
        let also = Shortage { product: ProductId(2), requested: 1, available: 0 };
        let rejection = Rejection::InsufficientStock {
            product: ProductId(5),
            requested: 10,
            available: 3,
            also: [also].into(),
        };
        let reply = reply(Failure::rejected(&rejection), &trace());
        assert_eq!(reply.status(), 409);
        assert_eq!(reply.headers()[CONTENT_TYPE], "application/problem+json");
        let detail = "Insufficient stock for product ID 5. Requested: 10, available: 3. (and 1 more product)";
        let golden = concat!(
            r#"{"type":"/problems/insufficient-stock","title":"Insufficient stock","status":409,"#,
            r#""detail":"DETAIL","success":false,"message":"DETAIL","#,
            r#""error":"insufficient_stock","error_code":"INSUFFICIENT_STOCK","#,
            r#""outcome":"rejected","retryable":false,"errors":null,"#,
            r#""shortages":[{"product_id":5,"requested":10,"available":3},"#,
            r#"{"product_id":2,"requested":1,"available":0}],"#,
            r#""trace_id":"550e8400-e29b-41d4-a716-446655440000"}"#,
        );
        assert_eq!(text(reply).await, golden.replace("DETAIL", detail));
    }

    #[tokio::test]
    async fn validation_lists_every_field() {
        let errors = BTreeMap::from([
            ("items".to_owned(), vec!["The items field is required.".to_owned()]),
            ("user_id".to_owned(), vec!["A.".to_owned(), "B.".to_owned()]),
        ]);
        let reply = reply(Failure::validation(errors), &trace());
        assert_eq!(reply.status(), 422);
        let text = text(reply).await;
        assert!(text.contains(r#""message":"The items field is required. (and 2 more errors)""#));
        assert!(text.contains(
            r#""errors":{"items":["The items field is required."],"user_id":["A.","B."]}"#
        ));
    }

    #[tokio::test]
    async fn a_batch_is_refused_with_409_and_names_the_orders_at_fault() {
        let lacking = Rejection::InsufficientStock {
            product: ProductId(5),
            requested: 10,
            available: 3,
            also: Box::default(),
        };
        let missing = Rejection::ProductNotFound(ProductId(9));
        for (items, code) in [
            (vec![(1, lacking.clone()), (2, missing.clone())], ErrorCode::InsufficientStock),
            (vec![(2, missing), (3, lacking)], ErrorCode::BatchRejected),
            (vec![(0, Rejection::KeyReused)], ErrorCode::BatchRejected),
            (vec![(0, Rejection::TooManyOpenOrders)], ErrorCode::Overloaded),
        ] {
            let failure = Failure::rejected(&Rejection::BatchRefused { items: items.into() });
            assert_eq!(failure.code(), code);
            assert_eq!(
                failure.code().status(),
                if code == ErrorCode::Overloaded { 503 } else { 409 }
            );
            let text = text(reply(failure, &trace())).await;
            assert!(text.contains("\"results\":[{\"index\":"), "{text}");
        }
    }

    #[tokio::test]
    async fn the_conflicting_order_is_named() {
        let (hold, order) = (HoldId(3), OrderId(7));
        let consumed = Rejection::HoldConsumed { hold, order };
        let consumed = text(reply(Failure::rejected(&consumed), &trace())).await;
        assert!(consumed.contains(r#""order_id":7,"trace_id""#), "{consumed}");
    }

    #[test]
    fn only_a_write_that_timed_out_is_unknown() {
        for (error, status, outcome) in [
            (ProposeError::NoLeader, 503, Outcome::NotApplied),
            (ProposeError::Overloaded, 503, Outcome::NotApplied),
            (ProposeError::StorageFull, 503, Outcome::NotApplied),
            (ProposeError::MemoryFull, 503, Outcome::NotApplied),
            (ProposeError::ShareFull("users"), 503, Outcome::NotApplied),
            (ProposeError::Stalled, 503, Outcome::NotApplied),
            (ProposeError::Stopping, 503, Outcome::NotApplied),
            (ProposeError::TimedOut, 504, Outcome::Unknown),
        ] {
            let failure = Failure::from(error);
            assert_eq!(failure.code().status(), status);
            assert_eq!(failure.code().outcome(), outcome);
            let reply = reply(failure, &trace());
            assert_eq!(reply.headers().contains_key(RETRY_AFTER), status == 503);
        }
    }

    #[test]
    fn a_failure_of_a_lookup_has_its_position() {
        let header = |failure: Failure, name: &str| {
            let reply = reply(failure, &trace());
            reply.headers().get(name).map(|value| value.to_str().unwrap().to_owned())
        };
        let missing = || Failure::not_found("Order not found.");
        assert_eq!(header(missing(), wire::POSITION), None);
        assert_eq!(header(missing().at(Position(7)), wire::POSITION).as_deref(), Some("7"));
        assert_eq!(header(missing().at(Position(7)), wire::CONSISTENCY), None);
        let stale = || missing().seen(Position(7), Freshness::Stale);
        assert_eq!(header(stale(), wire::POSITION).as_deref(), Some("7"));
        assert_eq!(header(stale(), wire::CONSISTENCY).as_deref(), Some("stale"));
    }

    #[tokio::test]
    async fn causes_of_internal_errors_are_not_sent() {
        let failure = Failure::read(&ReadError::Storage("/secret/path: broken".into()), &trace());
        let reply = reply(failure, &trace());
        assert_eq!(reply.status(), 500);
        assert!(!text(reply).await.contains("secret"));
    }
}
