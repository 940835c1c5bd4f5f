//! Streams of events, against servers that follow a script.

use std::time::{Duration, Instant};

use client::{Client, EventQuery};

use crate::support::{Server, Step};

/// The head of an answer that is a stream, and its first blocks. The stream stays open.
fn stream(blocks: &str) -> Step {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
    Step::Bytes(format!("{head}{blocks}").into_bytes())
}

fn event(id: &str) -> String {
    let data = format!(
        r#"{{"id":"{id}","type":"order.paid","timestamp":"2026-02-23T10:00:00Z","trace_id":"t"}}"#
    );
    format!("id: {id}\nevent: order.paid\ndata: {data}\n\n")
}

#[tokio::test]
async fn comments_and_an_event_before_the_place_of_a_stream_cost_no_event() {
    let blocks = format!(": through a proxy\n\nretry: 1000\n\n{}{}", event("7.0"), event("8.0"));
    let server = Server::start([stream(&blocks)]).await;
    let client = Client::builder().base_url(server.url()).build().unwrap();
    let mut events = client.events(&EventQuery::default());
    events.open().await.unwrap();
    assert_eq!(events.last_id(), Some("7.0"));
    assert_eq!(events.next().await.unwrap().id, "7.0");
    assert_eq!(events.next().await.unwrap().id, "8.0");
    assert_eq!(server.seen().len(), 1, "the stream was opened once");
}

#[tokio::test]
async fn a_stream_that_falls_silent_goes_on_at_the_next_node() {
    let silent = Server::start([stream(&format!("id: 6.0\n\n{}", event("7.0")))]).await;
    let lively = Server::start([stream(&event("8.0"))]).await;
    let silence = Duration::from_secs(3);
    let client = Client::builder().base_urls([silent.url(), lively.url()]).event_silence(silence);
    let mut events = client.build().unwrap().events(&EventQuery::default());
    assert_eq!(events.next().await.unwrap().id, "7.0");
    let began = Instant::now();
    assert_eq!(events.next().await.unwrap().id, "8.0");
    assert!(began.elapsed() >= silence, "{:?}", began.elapsed());
    let seen = lively.seen();
    assert_eq!(seen[0].path, "/api/v1/events?heartbeat_seconds=1");
    assert_eq!(seen[0].header("last-event-id"), Some("7.0"));
}
