//! Answers that no good server sends. The client may fail but not panic, hang or grow.

use std::time::{Duration, Instant};

use crate::support::{Server, Step, answer, reply};
use client::wire::{OrderRequest, Outcome};
use client::{Cause, Client};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const ORDER: &str = include_str!("../goldens/order.json");

fn client(server: &Server) -> Client {
    Client::builder()
        .base_url(server.url())
        .attempts_max(1)
        .response_bytes_max(64 * 1024)
        .deadline(Duration::from_secs(5))
        .build()
        .unwrap()
}

#[tokio::test]
async fn an_answer_over_the_bound_is_not_read_to_its_end() {
    let announced = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n{".to_vec();
    let mut chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..100 {
        chunked.extend_from_slice(b"1000\r\n");
        chunked.extend_from_slice(&[b' '; 0x1000]);
        chunked.extend_from_slice(b"\r\n");
    }
    for bytes in [announced, chunked] {
        let server = Server::start(vec![Step::Bytes(bytes); 3]).await;
        // It would be as long a second time, so it is not asked for again.
        let client = Client::builder()
            .base_url(server.url())
            .response_bytes_max(64 * 1024)
            .attempt_timeout(Duration::from_secs(5))
            .build()
            .unwrap();
        let error = client.order(7).await.unwrap_err();
        let cause = &error.report().unwrap().cause;
        assert!(matches!(cause, Cause::TooLarge { bytes_max: 65_536, .. }), "{cause:?}");
        assert_eq!(server.seen().len(), 1);
        assert_eq!(error.outcome(), Outcome::NotApplied, "a read is never in doubt");
        let error = client.create_order(&OrderRequest::of([(1, 1)])).await.unwrap_err();
        assert_eq!(error.outcome(), Outcome::Unknown);
    }
}

#[tokio::test]
async fn broken_heads_end_the_attempt() {
    let long_header = format!("HTTP/1.1 200 OK\r\nX-Long: {}\r\n\r\n", "x".repeat(1024 * 1024));
    let many_headers = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X-Many: 1\r\n".repeat(10_000));
    for bytes in [
        long_header.into_bytes(),
        many_headers.into_bytes(),
        b"HTTP/9.9 200 OK\r\n\r\n".to_vec(),
        b"HTTP/1.1 999999 OK\r\n\r\n".to_vec(),
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n".to_vec(),
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab".to_vec(),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n".to_vec(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        vec![0; 100_000],
        vec![0xff; 100_000],
    ] {
        let server = Server::start([Step::BytesThenClose(bytes.clone())]).await;
        let start = Instant::now();
        let error = client(&server).create_order(&OrderRequest::of([(1, 1)])).await.unwrap_err();
        let head = String::from_utf8_lossy(&bytes[..20.min(bytes.len())]).into_owned();
        assert_eq!(error.outcome(), Outcome::Unknown, "{head:?}: {error:?}");
        assert!(start.elapsed() < Duration::from_secs(4), "{head:?}");
    }
}

#[tokio::test]
async fn values_out_of_range_are_errors() {
    for (from, to) in [
        ("\"order_id\": 7", "\"order_id\": -7"),
        ("\"order_id\": 7", "\"order_id\": 1e400"),
        ("\"order_id\": 7", "\"order_id\": 18446744073709551616"),
        ("\"PENDING\"", "\"LOST\""),
        ("\"PENDING\"", "\"\\ud800\""),
        ("202997", "9223372036854775808"),
        ("\"items\": [", "\"items\": null, \"others\": ["),
    ] {
        assert!(ORDER.contains(from), "{from}");
        let body = ORDER.replacen(from, to, 1);
        let server = Server::start([reply(200, &body, &[])]).await;
        let error = client(&server).order(7).await.unwrap_err();
        let cause = &error.report().unwrap().cause;
        assert!(matches!(cause, Cause::Body { status: 200, .. }), "{to}: {cause:?}");
    }
}

/// Changes a few bytes of a good answer in many ways. Every call must end, as a success or as an
/// error; which of them it is depends on the bytes.
#[tokio::test]
async fn damaged_answers_never_panic_nor_hang() {
    const ROUNDS: u64 = 400;
    let good = answer(200, ORDER, &[("X-Position", "4711"), ("X-Trace-Id", "t-1")]);
    let mut steps = Vec::new();
    for seed in 0..ROUNDS {
        let mut random = StdRng::seed_from_u64(seed);
        let mut bytes = good.clone();
        for _ in 0..random.random_range(1..6) {
            let at = random.random_range(0..bytes.len());
            match random.random_range(0..4) {
                0 => bytes[at] ^= 1 << random.random_range(0..8),
                1 => bytes[at] = random.random(),
                2 => drop(bytes.remove(at)),
                _ => bytes.truncate(at.max(1)),
            }
        }
        steps.push(Step::BytesThenClose(bytes));
    }
    let server = Server::start(steps).await;
    let client = client(&server);
    let (mut read, mut failed) = (0, 0);
    for seed in 0..ROUNDS {
        let start = Instant::now();
        match client.order(7).await {
            Ok(_) => read += 1,
            Err(_) => failed += 1,
        }
        assert!(start.elapsed() < Duration::from_secs(4), "seed {seed}");
    }
    assert_eq!(server.seen().len() as u64, ROUNDS);
    assert!(failed > ROUNDS / 4 && read > 0, "{read} read, {failed} failed");
}
