//! Batches, stock and keys: calls against a server that follows a script.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::support::{Server, Step, reply};
use client::wire::{
    AdjustmentRequest, BatchRequest, BatchResult, Envelope, ErrorCode, KeyState, OrderAnswer,
    OrderRequest, Outcome, Problem, RefusedOrder,
};
use client::{Client, Error, Invalid, LedgerQuery};

fn client(server: &Server) -> Client {
    let builder = Client::builder().backoff(Duration::from_millis(5), Duration::from_millis(20));
    builder.base_url(server.url()).build().unwrap()
}

fn problem(code: ErrorCode) -> Step {
    let problem = Problem::new(code, "words", "t");
    let kind = [("Content-Type", "application/problem+json")];
    reply(code.status(), &serde_json::to_string(&problem).unwrap(), &kind)
}

/// The result of a refused order.
fn refused(index: u64, code: ErrorCode) -> BatchResult {
    BatchResult {
        index,
        status: code.status(),
        error: Some(code.as_str().into()),
        error_code: Some(code.upper().into()),
        message: Some(code.title().to_owned()),
        outcome: Some(code.outcome()),
        retryable: Some(code.is_retryable()),
        ..BatchResult::default()
    }
}

/// The result of an order that was placed, now or before.
fn placed(index: u64, status: u16) -> BatchResult {
    let answer: OrderAnswer = serde_json::from_str(include_str!("../goldens/order.json")).unwrap();
    BatchResult { index, status, order: Some(answer.data), ..BatchResult::default() }
}

fn results(results: &[BatchResult]) -> Step {
    reply(200, &serde_json::to_string(&Envelope::new(results)).unwrap(), &[])
}

#[tokio::test]
async fn every_body_is_sent_for_strict_handling() {
    let placed = include_str!("../goldens/order.json");
    let server = Server::start([reply(201, placed, &[]), reply(200, placed, &[])]).await;
    client(&server).create_order(&OrderRequest::of([(1, 1)])).await.unwrap();
    client(&server).order(7).await.unwrap();
    let preferred: Vec<_> =
        server.seen().iter().map(|seen| seen.header("prefer").map(str::to_owned)).collect();
    assert_eq!(preferred, [Some("handling=strict".to_owned()), None], "a read has no body");
}

#[tokio::test]
async fn only_retryable_orders_of_a_batch_are_sent_again_under_their_keys() {
    let server = Server::start([
        problem(ErrorCode::CommitTimeout),
        results(&[
            placed(0, 200),
            refused(1, ErrorCode::InsufficientStock),
            refused(2, ErrorCode::Overloaded),
            refused(3, ErrorCode::CommitTimeout),
        ]),
        results(&[placed(0, 201), refused(1, ErrorCode::InsufficientStock)]),
    ])
    .await;
    let client = client(&server);
    let mut orders = vec![OrderRequest::of([(1, 1)]); 4];
    orders[1].idempotency_key = Some("mine".to_owned());
    let answer = client.place_batch(&BatchRequest::of(orders)).await.unwrap();
    let told: Vec<(u64, u16)> =
        answer.data.iter().map(|result| (result.index, result.status)).collect();
    assert_eq!(told, [(0, 200), (1, 409), (2, 201), (3, 409)]);
    assert_eq!(answer.receipt.attempts, 3);
    let bodies: Vec<BatchRequest> =
        server.seen().iter().map(|seen| serde_json::from_str(&seen.body).unwrap()).collect();
    assert_eq!(bodies[0], bodies[1], "the very same again");
    assert_eq!(bodies[2].orders, bodies[0].orders[2..], "only those that may be placed yet");
    let keys: BTreeSet<_> =
        bodies[0].orders.iter().map(|order| order.idempotency_key.clone().unwrap()).collect();
    assert!(keys.len() == 4 && keys.contains("mine"), "{keys:?}");
}

#[tokio::test]
async fn results_of_a_batch_are_kept_when_a_retry_does_not_help() {
    let overloaded = [placed(0, 201), refused(1, ErrorCode::Overloaded)];
    let server = Server::start([results(&overloaded), problem(ErrorCode::ValidationError)]).await;
    let two = BatchRequest::of(vec![OrderRequest::of([(1, 1)]); 2]);
    let answer = client(&server).place_batch(&two).await.unwrap();
    assert_eq!(answer.data, overloaded);
    // An atomic batch is refused as a whole, and its problem names the orders.
    let mut refusal = Problem::new(ErrorCode::InsufficientStock, "words", "t");
    let refused = RefusedOrder {
        index: 1,
        status: 409,
        error: "insufficient_stock".into(),
        message: "words".to_owned(),
        shortages: None,
        opens_at: None,
        retry_after_ms: None,
    };
    refusal.results = Some(vec![refused]);
    let refusal = reply(409, &serde_json::to_string(&refusal).unwrap(), &[]);
    let server = Server::start([refusal]).await;
    let error = client(&server).place_batch(&two.clone().atomic()).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::InsufficientStock));
    assert_eq!(error.problem().unwrap().results.as_ref().unwrap()[0].index, 1);
    // Results that do not match the orders say nothing about any of them.
    for answer in [vec![placed(0, 201)], vec![placed(1, 201), placed(0, 201)]] {
        let server = Server::start([results(&answer)]).await;
        let error = client(&server).place_batch(&two).await.unwrap_err();
        assert_eq!(error.outcome(), Outcome::Unknown, "{error:?}");
    }
    for count in [0, 1001] {
        let batch = BatchRequest::of(vec![OrderRequest::of([(1, 1)]); count]);
        let error = client(&server).place_batch(&batch).await.unwrap_err();
        assert!(matches!(error, Error::Invalid(Invalid::Batch)), "{error:?}");
    }
}

#[tokio::test]
async fn stock_and_keys_have_their_paths() {
    let adjusted = include_str!("../goldens/adjustment.json");
    let fenced = r#"{"success": true, "data": {"state": "fenced"}}"#;
    let server = Server::start([
        problem(ErrorCode::CommitTimeout),
        reply(201, adjusted, &[]),
        reply(200, include_str!("../goldens/ledger.json"), &[]),
        Step::Reset,
        reply(200, fenced, &[]),
    ])
    .await;
    let client = client(&server);
    let request = AdjustmentRequest::by(-2, "broken").expecting(50);
    let adjustment = client.adjust_stock(1, &request).await.unwrap();
    assert_eq!((adjustment.delta, adjustment.stock), (-2, 48));
    assert!(adjustment.receipt.idempotency_key.is_some());
    let query = LedgerQuery { after: Some("7.1".to_owned()), limit: Some(2) };
    let ledger = client.ledger(1, &query).await.unwrap();
    assert_eq!(ledger.data.data[1].counters.stock, 48);
    let key = client.fence_key("a/b").await.unwrap();
    assert_eq!(key.state, KeyState::Fenced);
    let seen = server.seen();
    let lines: Vec<_> = seen.iter().map(|seen| format!("{} {}", seen.method, seen.path)).collect();
    assert_eq!(
        lines,
        [
            "POST /api/v1/products/1/adjustments",
            "POST /api/v1/products/1/adjustments",
            "GET /api/v1/products/1/ledger?after=7.1&limit=2",
            "POST /api/v1/orders/by-key/a%2Fb/fence",
            "POST /api/v1/orders/by-key/a%2Fb/fence",
        ]
    );
    assert!(seen[0].header("idempotency-key").is_some());
    assert_eq!(seen[0].header("idempotency-key"), seen[1].header("idempotency-key"));
    assert_eq!(seen[0].body, r#"{"delta":-2,"expected":50,"reason":"broken"}"#);
}
