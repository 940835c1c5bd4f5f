//! Calls about holds and payment webhooks, against a server that follows a script.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use client::wire::{
    ErrorCode, ExtendRequest, HoldRequest, HoldStatus, OrderRequest, OrderStatus, PaymentResult,
    Problem, WebhookRequest, WebhookResult,
};
use client::{Client, Error};

use crate::support::{Server, Step, reply};

const HOLD: &str = include_str!("../goldens/hold.json");
const ORDER: &str = include_str!("../goldens/order.json");
const WEBHOOK: &str = include_str!("../goldens/webhook.json");

fn client(server: &Server) -> Client {
    let client = Client::builder().backoff(Duration::from_millis(5), Duration::from_millis(20));
    client.base_url(server.url()).build().unwrap()
}

fn problem(code: ErrorCode) -> Step {
    let body = serde_json::to_string(&Problem::new(code, "words", "t-1")).unwrap();
    reply(code.status(), &body, &[("Content-Type", "application/problem+json")])
}

fn lines(server: &Server) -> Vec<String> {
    server.seen().iter().map(|seen| format!("{} {}", seen.method, seen.path)).collect()
}

#[tokio::test]
async fn a_hold_is_made_once_under_one_key() {
    let replayed = reply(200, HOLD, &[("Idempotent-Replayed", "true")]);
    let steps = [problem(ErrorCode::NoLeader), Step::Reset, replayed];
    let server = Server::start(steps).await;
    let answer = client(&server).create_hold(&HoldRequest::of([(1, 2)])).await.unwrap();
    assert_eq!((answer.hold_id, answer.status), (3, HoldStatus::Active));
    assert!(answer.receipt.replayed && answer.receipt.attempts == 3);
    let seen = server.seen();
    let key = answer.receipt.idempotency_key.as_deref();
    assert!(key.is_some() && seen.iter().all(|seen| seen.header("idempotency-key") == key));
    assert_eq!(lines(&server), ["POST /api/v1/holds"; 3]);
}

#[tokio::test]
async fn holds_are_read_extended_released_and_turned_into_orders() {
    let (found, nothing, order) =
        (reply(200, HOLD, &[]), reply(204, "", &[]), reply(201, ORDER, &[]));
    let server = Server::start([found.clone(), found, nothing, order]).await;
    let client = client(&server);
    assert_eq!(client.hold(3).await.unwrap().items.len(), 1);
    let extension = ExtendRequest { ttl_seconds: 60 };
    client.extend_hold(3, &extension).await.unwrap();
    assert_eq!(client.release_hold(3).await.unwrap().receipt.status, 204);
    client.create_order(&OrderRequest::from_hold(3)).await.unwrap();
    let expected = [
        "GET /api/v1/holds/3",
        "POST /api/v1/holds/3/extend",
        "DELETE /api/v1/holds/3",
        "POST /api/v1/orders",
    ];
    assert_eq!(lines(&server), expected);
    let seen = server.seen();
    assert_eq!(seen[1].body, r#"{"ttl_seconds":60}"#);
    assert_eq!(seen[3].body, r#"{"hold_id":3}"#);
    assert!(seen[3].header("idempotency-key").is_some());
}

#[tokio::test]
async fn releasing_and_extending_are_repeated_in_doubt() {
    let server = Server::start([Step::Reset, reply(204, "", &[])]).await;
    assert_eq!(client(&server).release_hold(3).await.unwrap().receipt.attempts, 2);
    let server = Server::start([Step::Reset, reply(200, HOLD, &[])]).await;
    let extension = ExtendRequest { ttl_seconds: 60 };
    assert_eq!(client(&server).extend_hold(3, &extension).await.unwrap().receipt.attempts, 2);
    // A hold that an order took over was not released by the attempt before.
    let server = Server::start([Step::Reset, problem(ErrorCode::HoldConsumed)]).await;
    let error = client(&server).release_hold(3).await.unwrap_err();
    assert!(matches!(error, Error::Rejected(_)), "{error:?}");
    // But that attempt may have extended it before it was released by somebody else.
    let server = Server::start([Step::Reset, problem(ErrorCode::HoldReleased)]).await;
    let error = client(&server).extend_hold(3, &extension).await.unwrap_err();
    assert!(matches!(error, Error::Unknown(_)), "{error:?}");
}

#[tokio::test]
async fn a_webhook_goes_signed_and_the_same_every_time() {
    let server = Server::start([problem(ErrorCode::Overloaded), reply(200, WEBHOOK, &[])]).await;
    let request = WebhookRequest::new("payment-1", 7, PaymentResult::Success);
    let secrets = ["the secret of last year", "the secret of this year"];
    let answer = client(&server).send_webhook(&request, &secrets).await.unwrap();
    assert_eq!(answer.order_status, Some(OrderStatus::Paid));
    assert_eq!(answer.receipt.idempotency_key.as_deref(), Some("payment-1"));
    let seen = server.seen();
    let signature = seen[1].header("holdfast-signature").unwrap();
    assert_eq!(seen[0].header("holdfast-signature"), Some(signature));
    let moment = signature.strip_prefix("t=").and_then(|rest| rest.split(',').next()).unwrap();
    let moment: u64 = moment.parse().unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    assert!(now.abs_diff(moment) < 60, "{moment} is not {now}");
    let expected = client::signature(&secrets, moment, seen[1].body.as_bytes());
    assert_eq!(Some(signature), expected.as_deref());
    assert_eq!(seen[1].header("idempotency-key"), None, "the key is in the body");
}

#[tokio::test]
async fn without_a_secret_a_webhook_goes_unsigned() {
    let unmatched = r#"{"success":true,"data":{"order_id":9,"order_status":null,
        "result":"unmatched","conflict":null,"duplicate":false,"parked":false}}"#;
    let server = Server::start([reply(200, unmatched, &[])]).await;
    let request = WebhookRequest::new("payment-1", 9, PaymentResult::Failure);
    let answer = client(&server).send_webhook(&request, &[]).await.unwrap();
    assert_eq!((answer.result, answer.order_status), (WebhookResult::Unmatched, None));
    assert_eq!(server.seen()[0].header("holdfast-signature"), None);
}

#[tokio::test]
async fn a_key_of_another_result_is_certain_even_after_doubt() {
    let server = Server::start([Step::Reset, problem(ErrorCode::IdempotencyKeyReused)]).await;
    let request = WebhookRequest::new("payment-1", 7, PaymentResult::Failure);
    let error = client(&server).send_webhook(&request, &[]).await.unwrap_err();
    assert!(matches!(error, Error::Rejected(_)), "{error:?}");
    assert_eq!(error.code(), Some(ErrorCode::IdempotencyKeyReused));
}
