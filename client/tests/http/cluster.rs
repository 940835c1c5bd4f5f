//! Backups and the pause of payments: calls against a server that follows a script.

use std::time::Duration;

use crate::support::{Server, Step, answer, dead_url, reply};
use client::wire::{ErrorCode, Outcome, PaymentsRequest, Problem};
use client::{Backup, Builder, Cause, Client, Error, Invalid};

const CLUSTER: &str = include_str!("../goldens/cluster.json");

fn builder() -> Builder {
    Client::builder().backoff(Duration::from_millis(5), Duration::from_millis(20))
}

fn client(server: &Server) -> Client {
    builder().base_url(server.url()).build().unwrap()
}

fn problem(code: ErrorCode) -> Step {
    let body = serde_json::to_string(&Problem::new(code, "words", "t")).unwrap();
    reply(code.status(), &body, &[("Content-Type", "application/problem+json")])
}

/// All of a backup, piece by piece.
async fn whole(mut backup: Backup) -> Result<String, Error> {
    let mut bytes = Vec::new();
    while let Some(piece) = backup.next().await? {
        bytes.extend_from_slice(&piece);
    }
    Ok(String::from_utf8(bytes).unwrap())
}

#[tokio::test]
async fn payments_wait_or_go_on_however_often_it_has_to_be_asked() {
    // A connection that breaks and an unknown outcome: asking again does no harm.
    let steps = [Step::Reset, problem(ErrorCode::CommitTimeout), reply(200, CLUSTER, &[])];
    let server = Server::start(steps).await;
    let answer = client(&server).set_payments(true).await.unwrap();
    assert_eq!((answer.data.node_id, answer.receipt.attempts), (2, 3));
    for seen in server.seen() {
        assert_eq!((&*seen.method, &*seen.path), ("POST", "/api/v1/cluster/payments"));
        let asked: PaymentsRequest = serde_json::from_str(&seen.body).unwrap();
        assert!(asked.paused, "{}", seen.body);
        assert_eq!(seen.header("idempotency-key"), None);
    }
    let server = Server::start([reply(200, CLUSTER, &[])]).await;
    client(&server).set_payments(false).await.unwrap();
    assert!(server.seen()[0].body.contains("false"));

    let steps = [problem(ErrorCode::CommitTimeout), problem(ErrorCode::CommitTimeout)];
    let server = Server::start(steps).await;
    let client = client(&server).with_attempts_max(2);
    let error = client.set_payments(true).await.unwrap_err();
    assert!(matches!(error, Error::Unknown(_)), "{error}: it may have happened");
}

#[tokio::test]
async fn a_backup_comes_in_pieces_from_the_first_node_that_has_one() {
    let busy = Server::start([problem(ErrorCode::Overloaded)]).await;
    let text = "backup ".repeat(20_000);
    let server = Server::start([reply(200, &text, &[])]).await;
    let urls = [dead_url().await, busy.url(), server.url()];
    let client = builder().base_urls(urls).build().unwrap();
    let backup = client.stale().backup().await.unwrap();
    assert_eq!((backup.bytes(), backup.url()), (text.len() as u64, &*server.url()));
    assert_eq!(whole(backup).await.unwrap(), text);
    let seen = &server.seen()[0];
    assert_eq!((&*seen.method, &*seen.path), ("GET", "/api/v1/cluster/backup"));
    assert_eq!(seen.header("x-consistency"), Some("stale"));
    assert_eq!(busy.seen().len(), 1, "it was asked before");
}

#[tokio::test]
async fn a_backup_that_ends_early_is_none() {
    let cut_off = |bytes: usize| {
        let mut all = answer(200, &"backup ".repeat(1_000), &[]);
        all.truncate(all.len() - bytes);
        Step::BytesThenClose(all)
    };
    let server = Server::start([cut_off(1), cut_off(7_000)]).await;
    for _ in 0..2 {
        let backup = client(&server).backup().await.unwrap();
        assert_eq!(backup.bytes(), 7_000, "as many as its length said");
        let error = whole(backup).await.unwrap_err();
        let report = error.report().expect("a call was made");
        assert!(matches!(report.cause, Cause::Broken { .. }), "{report:?}");
    }
}

#[tokio::test]
async fn without_a_node_that_has_a_backup_the_last_answer_is_told() {
    let server = Server::start([problem(ErrorCode::NoLeader), problem(ErrorCode::NoLeader)]).await;
    let error = client(&server).with_attempts_max(2).backup().await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::NoLeader));
    assert_eq!(error.report().map(|report| report.attempts), Some(2));
    assert_eq!(ErrorCode::NoLeader.outcome(), Outcome::NotApplied);
    // What cannot be sent is found before anybody is asked, as in every other call.
    let client_of_all = client(&server).with_trace_id(&"x".repeat(129));
    assert!(matches!(client_of_all.backup().await, Err(Error::Invalid(Invalid::TraceId))));
    // What will not come right by asking again is told at once.
    let server = Server::start([problem(ErrorCode::NotFound)]).await;
    let error = client(&server).backup().await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::NotFound));
    assert_eq!(server.seen().len(), 1);
}
