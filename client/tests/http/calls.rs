//! Whole calls against a server that follows a script.

use std::time::{Duration, Instant};

use tokio::net::TcpStream;

use crate::support::{Seen, Server, Step, answer, dead_url, reply};
use client::wire::{
    CancelRequest, ErrorCode, HealthStatus, Order, OrderAnswer, OrderRequest, OrderStatus, Outcome,
    Problem, ProductPatch, ProductRequest, PurchaseRequest,
};
use client::{Builder, Cause, Client, Error, Invalid, OrderQuery, Paging, ProductQuery};

const ORDER: &str = include_str!("../goldens/order.json");
const PURCHASE: &str = include_str!("../goldens/purchase.json");

/// Short waits to keep the tests fast, and otherwise the default settings.
fn builder() -> Builder {
    Client::builder().backoff(Duration::from_millis(5), Duration::from_millis(20))
}

fn client(server: &Server) -> Client {
    builder().base_url(server.url()).build().unwrap()
}

fn request() -> OrderRequest {
    OrderRequest::of([(1, 2), (2, 1)])
}

fn order() -> Order {
    serde_json::from_str::<OrderAnswer>(ORDER).unwrap().data
}

fn created() -> Step {
    reply(201, ORDER, &[("Content-Type", "application/json"), ("X-Position", "4711")])
}

fn replayed() -> Step {
    reply(200, ORDER, &[("Idempotent-Replayed", "true"), ("X-Position", "4712")])
}

fn problem(code: ErrorCode) -> Step {
    problem_with(code, &[])
}

fn problem_with(code: ErrorCode, headers: &[(&str, &str)]) -> Step {
    let body = serde_json::to_string(&Problem::new(code, "words", "t-1")).unwrap();
    let mut all = vec![("Content-Type", "application/problem+json")];
    all.extend_from_slice(headers);
    reply(code.status(), &body, &all)
}

/// The idempotency keys in the headers of all requests so far.
fn keys(server: &Server) -> Vec<String> {
    let key = |seen: &Seen| seen.header("idempotency-key").unwrap().to_owned();
    server.seen().iter().map(key).collect()
}

#[tokio::test]
async fn an_order_is_placed_under_a_new_key() {
    let server = Server::start([created()]).await;
    let answer = client(&server).create_order(&request()).await.unwrap();
    assert_eq!(answer.data, order());
    assert_eq!(answer.receipt.status, 201);
    assert_eq!(answer.receipt.attempts, 1);
    assert_eq!(answer.receipt.position, Some(4711));
    assert_eq!(answer.receipt.url, server.url());
    assert!(!answer.receipt.replayed);

    let seen = &server.seen()[0];
    assert_eq!((seen.method.as_str(), seen.path.as_str()), ("POST", "/api/v1/orders"));
    assert_eq!(seen.header("content-type"), Some("application/json"));
    assert_eq!(seen.header("x-trace-id"), Some(answer.receipt.trace_id.as_str()));
    assert_eq!(seen.header("idempotency-key"), answer.receipt.idempotency_key.as_deref());
    assert_eq!(seen.header("idempotency-key").unwrap().len(), 36);
    assert_eq!(serde_json::from_str::<OrderRequest>(&seen.body).unwrap(), request());
}

#[tokio::test]
async fn the_callers_key_is_used_and_two_calls_get_two_keys() {
    let server = Server::start([created(), created(), created()]).await;
    let client = client(&server);
    let mut with_key = request();
    with_key.idempotency_key = Some("mine é".to_owned());
    let answer = client.create_order(&with_key).await.unwrap();
    assert_eq!(answer.receipt.idempotency_key.as_deref(), Some("mine é"));
    let seen = &server.seen()[0];
    assert_eq!(seen.header("idempotency-key"), None);
    assert!(seen.body.contains(r#""idempotency_key":"mine é""#), "{}", seen.body);

    client.create_order(&request()).await.unwrap();
    client.create_order(&request()).await.unwrap();
    let keys = server.seen()[1..]
        .iter()
        .map(|seen| seen.header("idempotency-key").unwrap().to_owned())
        .collect::<Vec<_>>();
    assert_ne!(keys[0], keys[1]);
}

#[tokio::test]
async fn a_request_that_was_not_applied_is_retried_under_its_key() {
    let steps = [problem(ErrorCode::NoLeader), problem(ErrorCode::Overloaded), created()];
    let server = Server::start(steps).await;
    let answer = client(&server).create_order(&request()).await.unwrap();
    assert_eq!(answer.receipt.attempts, 3);
    let keys = keys(&server);
    assert_eq!(keys.len(), 3);
    assert!(keys.iter().all(|key| *key == keys[0]));
    let traces = server.seen().iter().map(|seen| seen.headers["x-trace-id"].clone()).collect();
    let traces: Vec<String> = traces;
    assert!(traces.iter().all(|trace| *trace == traces[0]), "one trace id for the whole call");
}

#[tokio::test]
async fn a_retry_under_the_same_key_resolves_an_unknown_outcome() {
    let cut = || {
        let mut bytes = answer(201, ORDER, &[]);
        bytes.truncate(bytes.len() - 10);
        Step::BytesThenClose(bytes)
    };
    for (name, doubtful) in [
        ("reset", Step::Reset),
        ("closed", Step::BytesThenClose(vec![])),
        ("cut in the head", Step::BytesThenClose(b"HTTP/1.1 201 Cre".to_vec())),
        ("cut in the body", cut()),
        ("commit timeout", problem(ErrorCode::CommitTimeout)),
        ("garbage", reply(201, "<html>", &[])),
        ("no http", Step::BytesThenClose(b"\x00\x01\x02 hello\r\n\r\n".to_vec())),
        ("a success without its flag", reply(201, &ORDER.replacen("true", "false", 1), &[])),
        ("a proxy's error", reply(502, "Bad Gateway", &[])),
    ] {
        let server = Server::start([doubtful, replayed()]).await;
        let answer = client(&server).create_order(&request()).await.expect(name);
        assert!(answer.receipt.replayed, "{name}");
        assert_eq!(answer.receipt.attempts, 2, "{name}");
        let keys = keys(&server);
        assert_eq!(keys.len(), 2, "{name}");
        assert_eq!(keys[0], keys[1], "{name}");
    }
}

#[tokio::test]
async fn another_node_resolves_the_unknown_outcome_of_a_timeout() {
    let silent = Server::start([Step::Stall]).await;
    let other = Server::start([replayed(), created()]).await;
    let client = builder()
        .base_urls([silent.url(), other.url()])
        .attempt_timeout(Duration::from_millis(100))
        .build()
        .unwrap();
    let answer = client.create_order(&request()).await.unwrap();
    assert_eq!((answer.receipt.attempts, answer.receipt.url), (2, other.url()));
    assert_eq!(keys(&silent), keys(&other));

    let answer = client.create_order(&request()).await.unwrap();
    assert_eq!(answer.receipt.attempts, 1, "the client stays with the node that works");
}

#[tokio::test]
async fn a_refusal_is_returned_at_once() {
    let server = Server::start([problem(ErrorCode::InsufficientStock)]).await;
    let other = Server::start([]).await;
    let client = builder().base_urls([server.url(), other.url()]).build().unwrap();
    let error = client.create_order(&request()).await.unwrap_err();
    assert!(matches!(error, Error::Rejected(_)), "{error:?}");
    assert_eq!(error.code(), Some(ErrorCode::InsufficientStock));
    assert_eq!(error.problem().unwrap().detail, "words");
    assert_eq!(error.report().unwrap().attempts, 1);
    assert_eq!(error.report().unwrap().idempotency_key.as_ref(), Some(&keys(&server)[0]));
    assert_eq!((server.seen().len(), other.seen().len()), (1, 0));
    assert_eq!(error.to_string(), "the request was rejected after 1 attempt");
    let source = std::error::Error::source(&error).unwrap();
    assert_eq!(source.to_string(), "409 insufficient_stock: words");
}

#[tokio::test]
async fn a_refusal_after_an_unknown_outcome_is_unknown() {
    let server = Server::start([Step::Reset, problem(ErrorCode::InsufficientStock)]).await;
    let error = client(&server).create_order(&request()).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::Unknown);
    assert_eq!(error.code(), Some(ErrorCode::InsufficientStock), "the last word is kept");
    assert_eq!(error.report().unwrap().attempts, 2);

    let server = Server::start([Step::Reset, problem(ErrorCode::KeyFenced)]).await;
    let error = client(&server).create_order(&request()).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::Rejected, "a fenced key binds the first attempt too");
}

#[tokio::test]
async fn the_deadline_is_kept_whatever_the_server_does() {
    let trickle = Step::Bytes(b"HTTP/1.1 201 Created\r\nContent-Length: 9\r\n\r\nx".to_vec());
    for (name, step, outcome) in [
        ("silence", Step::Stall, Outcome::Unknown),
        ("half an answer", trickle, Outcome::Unknown),
        ("not applied", problem(ErrorCode::NoLeader), Outcome::NotApplied),
    ] {
        let server = Server::start(vec![step; 100]).await;
        let client = builder()
            .base_url(server.url())
            .deadline(Duration::from_millis(300))
            .attempt_timeout(Duration::from_secs(60))
            .attempts_max(100)
            .build()
            .unwrap();
        let start = Instant::now();
        let error = client.create_order(&request()).await.unwrap_err();
        let elapsed = start.elapsed();
        assert_eq!(error.outcome(), outcome, "{name}: {error:?}");
        assert!(elapsed < Duration::from_millis(1500), "{name}: {elapsed:?}");
        assert!(elapsed > Duration::from_millis(200), "{name}: {elapsed:?}");
    }
}

#[tokio::test]
async fn a_shorter_deadline_may_be_set_for_one_clone() {
    let server = Server::start([Step::Stall]).await;
    let hurried = client(&server).with_deadline(Duration::from_millis(100));
    let start = Instant::now();
    let error = hurried.order(7).await.unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(2));
    assert!(matches!(error.report().unwrap().cause, Cause::Timeout { .. }), "{error:?}");
}

#[tokio::test]
async fn attempts_are_bounded() {
    let server = Server::start(vec![problem(ErrorCode::Overloaded); 10]).await;
    let client = builder().base_url(server.url()).attempts_max(3).build().unwrap();
    let error = client.create_order(&request()).await.unwrap_err();
    assert!(matches!(error, Error::NotApplied(_)), "{error:?}");
    assert_eq!(error.report().unwrap().attempts, 3);
    assert_eq!(server.seen().len(), 3);
    assert_eq!(error.to_string(), "the request was not applied after 3 attempts");

    let error = client.with_attempts_max(1).create_order(&request()).await.unwrap_err();
    assert_eq!(error.report().unwrap().attempts, 1);
    assert_eq!(server.seen().len(), 4);
}

#[tokio::test]
async fn the_client_leaves_a_node_that_cannot_serve() {
    let first = Server::start([problem(ErrorCode::NoLeader)]).await;
    let second = Server::start([created(), created()]).await;
    let client = builder().base_urls([first.url(), second.url()]).build().unwrap();
    for attempts in [2, 1] {
        let answer = client.create_order(&request()).await.unwrap();
        assert_eq!((answer.receipt.attempts, answer.receipt.url), (attempts, second.url()));
    }
    assert_eq!(first.seen().len(), 1);
}

/// A node whose kernel accepts no more connections: its queue is full, and nobody accepts from it.
#[tokio::test]
async fn a_timeout_before_anything_was_sent_means_not_applied() {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queued = Vec::new();
    while let Ok(connected) =
        tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(address)).await
    {
        queued.push(connected.unwrap());
        assert!(queued.len() < 100, "the queue never fills");
    }

    let client = builder()
        .base_url(format!("http://{address}"))
        .connect_timeout(Duration::from_secs(60))
        .attempt_timeout(Duration::from_millis(100))
        .attempts_max(1);
    let product = ProductRequest::default();
    let error = client.clone().build().unwrap().create_product(&product).await.unwrap_err();
    assert!(matches!(error, Error::NotApplied(_)), "{error:?}");
    assert!(matches!(error.report().unwrap().cause, Cause::Timeout { .. }), "{error:?}");

    let client = client.connect_timeout(Duration::from_millis(20));
    let error = client.build().unwrap().create_product(&product).await.unwrap_err();
    assert!(matches!(error, Error::NotApplied(_)), "{error:?}");
    assert!(matches!(error.report().unwrap().cause, Cause::Connect { .. }), "{error:?}");
}

/// A server that closes each connection after its answer must not make the outcome of a write
/// unknown.
#[tokio::test]
async fn a_connection_that_was_closed_while_idle_is_replaced() {
    let steps = vec![Step::BytesThenClose(answer(201, ORDER, &[])); 5];
    let server = Server::start(steps).await;
    let client = builder().base_url(server.url()).attempts_max(1).build().unwrap();
    for _ in 0..5 {
        client.create_order(&request()).await.unwrap();
        server.until_all_closed().await;
    }
    assert_eq!(server.connections(), 5);
}

#[tokio::test]
async fn the_client_leaves_an_unreachable_node() {
    let server = Server::start(vec![created(); 20]).await;
    let client = Client::builder()
        .base_urls([dead_url().await, dead_url().await, server.url()])
        .backoff(Duration::from_secs(60), Duration::from_secs(60))
        .build()
        .unwrap();
    let start = Instant::now();
    let answer = client.create_order(&request()).await.unwrap();
    assert_eq!(answer.receipt.attempts, 3);
    for _ in 0..19 {
        let answer = client.create_order(&request()).await.unwrap();
        assert_eq!(answer.receipt.attempts, 1, "the client stays with the node that works");
    }
    assert!(start.elapsed() < Duration::from_secs(30), "no back-off before an untried node");
    assert_eq!(server.connections(), 1, "the connection is used again");
}

#[tokio::test]
async fn without_any_node_nothing_is_applied() {
    let client =
        builder().base_urls([dead_url().await, dead_url().await]).attempts_max(4).build().unwrap();
    let product = ProductRequest::default();
    let error = client.create_product(&product).await.unwrap_err();
    assert!(matches!(error, Error::NotApplied(_)), "{error:?}");
    assert_eq!(error.report().unwrap().attempts, 4);
    assert!(matches!(error.report().unwrap().cause, Cause::Connect { .. }));
}

#[tokio::test]
async fn retry_after_is_honoured() {
    let steps = [problem_with(ErrorCode::NoLeader, &[("Retry-After", "1")]), created()];
    let server = Server::start(steps).await;
    client(&server).create_order(&request()).await.unwrap();
    let seen = server.seen();
    let waited = seen[1].at - seen[0].at;
    assert!(waited >= Duration::from_secs(1), "{waited:?}");
    assert!(waited < Duration::from_secs(3), "{waited:?}");
}

#[tokio::test]
async fn a_retry_after_beyond_the_deadline_ends_the_call() {
    let steps = [problem_with(ErrorCode::TooManyRequests, &[("Retry-After", "60")])];
    let server = Server::start(steps).await;
    let start = Instant::now();
    let error = client(&server).create_order(&request()).await.unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(2));
    assert!(matches!(error, Error::NotApplied(_)), "{error:?}");
    assert_eq!(error.code(), Some(ErrorCode::TooManyRequests));
}

#[tokio::test]
async fn a_write_without_a_key_is_not_retried_after_an_unknown_outcome() {
    let server = Server::start([problem(ErrorCode::NoLeader), Step::Reset]).await;
    let error = client(&server).create_product(&ProductRequest::default()).await.unwrap_err();
    assert!(matches!(error, Error::Unknown(_)), "{error:?}");
    assert!(matches!(error.report().unwrap().cause, Cause::Broken { .. }));
    assert_eq!(server.seen().len(), 2, "not applied is repeated, doubt is not");

    for step in [Step::Reset, problem(ErrorCode::CommitTimeout), reply(200, "?", &[])] {
        let server = Server::start([step.clone()]).await;
        let error =
            client(&server).patch_product(1, &ProductPatch::default(), None).await.unwrap_err();
        assert!(matches!(error, Error::Unknown(_)), "{error:?}");
        let server = Server::start([Step::Reset]).await;
        let error = client(&server).archive_product(1, None).await.unwrap_err();
        assert!(matches!(error, Error::Unknown(_)), "{error:?}");
        assert_eq!(server.seen().len(), 1);
    }
}

#[tokio::test]
async fn a_replacement_is_repeated_in_doubt_unless_it_is_conditional() {
    let product = serde_json::from_str::<OrderAnswer>(PURCHASE).unwrap().data.product.unwrap();
    let body = format!(r#"{{"success":true,"data":{}}}"#, serde_json::to_string(&product).unwrap());
    let request = ProductRequest {
        name: "Wireless Mouse".to_owned(),
        price: "29.99".to_owned(),
        stock: 190,
        ..ProductRequest::default()
    };

    let server = Server::start([Step::Reset, reply(200, &body, &[])]).await;
    let answer = client(&server).replace_product(2, &request, None).await.unwrap();
    assert_eq!(answer.data, *product);
    assert_eq!(server.seen()[1].header("if-match"), None);

    let server = Server::start([Step::Reset]).await;
    let error = client(&server).replace_product(2, &request, Some(4711)).await.unwrap_err();
    assert!(matches!(error, Error::Unknown(_)), "{error:?}");
    assert_eq!(server.seen().len(), 1);
    assert_eq!(server.seen()[0].header("if-match"), Some("\"4711\""));
    assert_eq!((&*server.seen()[0].method, &*server.seen()[0].path), ("PUT", "/api/v1/products/2"));
}

#[tokio::test]
async fn a_cancel_is_repeated_in_doubt() {
    let server = Server::start([Step::Reset, reply(200, PURCHASE, &[])]).await;
    let reason = CancelRequest { reason: Some("changed my mind".to_owned()) };
    let answer = client(&server).cancel_order(8, &reason).await.unwrap();
    assert_eq!(answer.status, OrderStatus::Cancelled);
    assert_eq!(server.seen()[1].path, "/api/v1/orders/8/cancel");
    assert_eq!(server.seen()[1].body, r#"{"reason":"changed my mind"}"#);

    let steps = [Step::Reset, problem(ErrorCode::OrderNotCancellable)];
    let server = Server::start(steps).await;
    let error = client(&server).cancel_order(8, &CancelRequest::default()).await.unwrap_err();
    assert!(matches!(error, Error::Rejected(_)), "a final order answers for both: {error:?}");
}

#[tokio::test]
async fn a_purchase_answers_the_product_after_the_sale() {
    let server = Server::start([reply(201, PURCHASE, &[])]).await;
    let request = PurchaseRequest { product_id: 2, quantity: 1, ..PurchaseRequest::default() };
    let answer = client(&server).purchase(&request).await.unwrap();
    assert_eq!(answer.product.as_ref().map(|product| product.stock), Some(190));
    assert_eq!(server.seen()[0].path, "/api/v1/orders/purchase");
    assert_eq!(keys(&server).len(), 1);
}

#[tokio::test]
async fn reads_say_how_fresh_they_must_be() {
    let server = Server::start(vec![created(); 4]).await;
    let client = client(&server);
    client.order(7).await.unwrap();
    client.stale().order(7).await.unwrap();
    let session = client.session();
    assert_eq!(session.position(), None);
    session.create_order(&request()).await.unwrap();
    assert_eq!(session.position(), Some(4711));
    session.stale().order(7).await.unwrap();

    let seen = server.seen();
    let fresh =
        |index: usize| (seen[index].header("x-consistency"), seen[index].header("x-min-position"));
    assert_eq!(fresh(0), (None, None));
    assert_eq!(fresh(1), (Some("stale"), None));
    assert_eq!(fresh(2), (None, None));
    assert_eq!(fresh(3), (Some("stale"), Some("4711")));
    assert_eq!(client.position(), None, "the original began no session");
}

#[tokio::test]
async fn a_session_never_goes_back_and_ignores_positions_that_cannot_be() {
    let positions = ["9007199254740992", "-1", "abc", "", "5", "3"];
    let steps = positions.map(|position| reply(200, ORDER, &[("X-Position", position)]));
    let server = Server::start(steps).await;
    let session = client(&server).session_from(4);
    for expected in [4, 4, 4, 4, 5, 5] {
        session.order(7).await.unwrap();
        assert_eq!(session.position(), Some(expected));
    }
}

#[tokio::test]
async fn the_trace_id_of_the_caller_is_passed_on() {
    let server = Server::start([reply(200, ORDER, &[("X-Trace-Id", "t-9")])]).await;
    let answer = client(&server).with_trace_id("t-9").order(7).await.unwrap();
    assert_eq!(server.seen()[0].header("x-trace-id"), Some("t-9"));
    assert_eq!(answer.receipt.trace_id, "t-9");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let target = Server::start([created()]).await;
    let to = [("Location", target.url())];
    for status in [301, 302, 303, 307, 308] {
        let server = Server::start([reply(status, "", &[(to[0].0, &to[0].1)])]).await;
        let client = builder().base_url(server.url()).attempts_max(1).build().unwrap();
        let error = client.create_order(&request()).await.unwrap_err();
        let cause = &error.report().unwrap().cause;
        assert!(matches!(cause, Cause::Status { status: seen, .. } if *seen == status));
    }
    assert_eq!(target.seen().len(), 0);
}

#[tokio::test]
async fn a_degraded_node_is_an_answer_about_its_health() {
    let health = include_str!("../goldens/health.json");
    let probe = include_str!("../goldens/probe.json");
    let cluster = include_str!("../goldens/cluster.json");
    let server = Server::start([
        problem(ErrorCode::Overloaded),
        reply(503, health, &[]),
        reply(503, probe, &[]),
        reply(503, probe, &[]),
        reply(200, cluster, &[]),
    ])
    .await;
    let client = client(&server);
    let answer = client.health().await.unwrap();
    assert_eq!((answer.receipt.status, answer.status), (503, HealthStatus::Degraded));
    assert_eq!(answer.receipt.attempts, 2, "a problem is not a health report");
    assert_eq!(client.livez().await.unwrap().status, HealthStatus::Degraded);
    assert_eq!(client.readyz().await.unwrap().status, HealthStatus::Degraded);
    assert_eq!(client.cluster().await.unwrap().members.len(), 2);
    let paths = server.seen().iter().map(|seen| seen.path.clone()).collect::<Vec<_>>();
    assert_eq!(paths[1..], ["/health", "/livez", "/readyz", "/api/v1/cluster"]);
}

#[tokio::test]
async fn lists_histories_and_keys_are_read() {
    let server = Server::start([
        reply(200, include_str!("../goldens/order_list.json"), &[]),
        reply(200, include_str!("../goldens/product_list.json"), &[]),
        reply(200, include_str!("../goldens/history.json"), &[]),
        reply(200, include_str!("../goldens/by_key.json"), &[]),
        reply(204, "", &[]),
    ])
    .await;
    let client = client(&server);
    let query = OrderQuery {
        status: Some(OrderStatus::Paid),
        paging: Paging::Cursor { cursor: None, limit: 10 },
        ..OrderQuery::default()
    };
    assert_eq!(client.orders(&query).await.unwrap().data.meta.total, Some(0));
    let products = client.products(&ProductQuery::default()).await.unwrap();
    assert_eq!(products.data.meta.next_cursor.as_deref(), Some("NTA"));
    assert_eq!(client.order_history(7).await.unwrap().len(), 2);
    assert_eq!(client.stale().order_by_key("a/b").await.unwrap().order, None);
    assert_eq!(client.archive_product(3, None).await.unwrap().receipt.status, 204);
    let seen = server.seen();
    let lines = seen.iter().map(|seen| format!("{} {}", seen.method, seen.path));
    assert_eq!(
        lines.collect::<Vec<_>>(),
        [
            "GET /api/v1/orders?status=PAID&limit=10",
            "GET /api/v1/products",
            "GET /api/v1/orders/7/events",
            "GET /api/v1/orders/by-key/a%2Fb",
            "DELETE /api/v1/products/3",
        ]
    );
    assert_eq!(seen[3].header("x-consistency"), None, "a key is never looked up stale");
}

#[tokio::test]
async fn a_pinned_clone_asks_one_node_only() {
    let first = Server::start([]).await;
    let second = Server::start([problem(ErrorCode::NoLeader), created()]).await;
    let client = builder().base_urls([first.url(), second.url()]).build().unwrap();
    let answer = client.pinned(1).unwrap().order(7).await.unwrap();
    assert_eq!(answer.receipt.url, second.url());
    assert_eq!(first.seen().len(), 0);
    assert!(client.pinned(2).is_none());
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused_before_sending() {
    let server = Server::start([]).await;
    let client = client(&server);
    let mut bad = request();
    for key in [String::new(), "k".repeat(256)] {
        bad.idempotency_key = Some(key.clone());
        let error = client.create_order(&bad).await.unwrap_err();
        assert!(matches!(error, Error::Invalid(Invalid::IdempotencyKey)), "{error:?}");
        let error = client.order_by_key(&key).await.unwrap_err();
        assert!(matches!(error, Error::Invalid(Invalid::IdempotencyKey)), "{error:?}");
    }
    for trace_id in ["", "a b", "é", "a\r\nX-Other: 1", &"t".repeat(129)] {
        let error = client.with_trace_id(trace_id).order(7).await.unwrap_err();
        assert!(matches!(error, Error::Invalid(Invalid::TraceId)), "{trace_id:?}: {error:?}");
    }
    let query = ProductQuery { ids: (1..10_000).collect(), ..ProductQuery::default() };
    let error = client.products(&query).await.unwrap_err();
    assert!(matches!(error, Error::Invalid(Invalid::Url(_))), "{error:?}");
    assert_eq!(error.outcome(), Outcome::NotApplied);
    assert_eq!(server.seen().len(), 0);
}

#[tokio::test]
async fn connections_are_bounded_and_waiting_for_one_is_not_doubt() {
    let slow = Step::After(Duration::from_millis(30), Box::new(created()));
    let server = Server::start(vec![slow; 20]).await;
    let client = builder().base_url(server.url()).connections_max(3).build().unwrap();
    let calls = (0..20).map(|_| {
        let client = client.clone();
        tokio::spawn(async move { client.create_order(&request()).await })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap().unwrap();
    }
    assert_eq!(server.open_max(), 3);

    let server = Server::start(vec![Step::Stall; 2]).await;
    let client = builder()
        .base_url(server.url())
        .connections_max(1)
        .deadline(Duration::from_millis(500))
        .build()
        .unwrap();
    let patch = ProductPatch::default();
    let hurried = client.with_deadline(Duration::from_millis(100));
    let (sent, waiting) =
        tokio::join!(client.patch_product(1, &patch, None), hurried.patch_product(1, &patch, None));
    assert!(matches!(sent, Err(Error::Unknown(_))), "{sent:?}");
    assert!(matches!(waiting, Err(Error::NotApplied(_))), "{waiting:?}");
    assert_eq!(server.seen().len(), 1);
}
