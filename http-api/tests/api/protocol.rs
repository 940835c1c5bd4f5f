//! Raw requests that no HTTP library would send.

use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::harness::{Fixture, order, read_all};

const ORDERS: &str = "/api/v1/orders";

fn post(headers: &str, body: &str) -> String {
    format!(
        "POST {ORDERS} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{headers}\r\n{body}"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_http_is_refused_and_closed() {
    let fixture = Fixture::start().await;
    let product = fixture.product("1.00", 100).await;
    let before = fixture.look().await;
    let body = order(product, 1).to_string();
    let length = body.len();
    let chunked = "Transfer-Encoding: chunked\r\n";
    let chunks = format!("{length:x}\r\n{body}\r\n0\r\n\r\n");
    let framed = |headers: String, body: &str| post(&headers, body).into_bytes();
    let get = |headers: &str| format!("GET /livez HTTP/1.1\r\n{headers}\r\n").into_bytes();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        (
            "two lengths",
            framed(format!("Content-Length: {length}\r\nContent-Length: 5\r\n"), &body),
        ),
        ("length, then chunks", framed(format!("Content-Length: {length}\r\n{chunked}"), &chunks)),
        ("chunks, then length", framed(format!("{chunked}Content-Length: {length}\r\n"), &chunks)),
        ("x, chunked", framed("Transfer-Encoding: x, chunked\r\n".into(), &chunks)),
        ("chunked, x", framed("Transfer-Encoding: chunked, x\r\n".into(), &chunks)),
        ("chunked twice", framed(format!("{chunked}{chunked}"), &chunks)),
        ("negative length", framed("Content-Length: -1\r\n".into(), &body)),
        ("huge length", framed("Content-Length: 99999999999999999999\r\n".into(), &body)),
        ("bad chunk size", framed(chunked.into(), "xyz\r\n{}\r\n0\r\n\r\n")),
        ("chunk of 2^64", framed(chunked.into(), "10000000000000000\r\n{}\r\n0\r\n\r\n")),
        (
            "endless trailers",
            framed(
                chunked.into(),
                &format!("{length:x}\r\n{body}\r\n0\r\n{}", "a: b\r\n".repeat(20_000)),
            ),
        ),
        ("no host", get("")),
        ("two hosts", get("Host: localhost\r\nHost: b\r\n")),
        ("NUL in a header", get("Host: localhost\r\nX: a\0b\r\n")),
        ("bare CR in a header", get("Host: localhost\r\nX: a\rb\r\n")),
        ("bare LF in a header", get("Host: localhost\r\nX: a\nb\r\n")),
        ("space before the colon", get("Host: localhost\r\nX : b\r\n")),
        ("folded header", get("Host: localhost\r\nX: b\r\n c\r\n")),
        ("HTTP/0.9", b"GET /livez\r\n\r\n".to_vec()),
        ("HTTP/1.2", b"GET /livez HTTP/1.2\r\nHost: localhost\r\n\r\n".to_vec()),
        ("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec()),
        ("TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec()),
    ];
    for (name, bytes) in cases {
        let raw = fixture.raw(&bytes).await;
        assert!(raw.closed, "{name}: still open after {}", raw.text);
        assert!(matches!(raw.status(), None | Some(400 | 431)), "{name}: {}", raw.text);
        assert_eq!(raw.text.matches("HTTP/1.1").count(), raw.status().map_or(0, |_| 1), "{name}");
    }
    assert_eq!(fixture.look().await, before);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_bodies_are_refused_before_they_are_read() {
    let fixture = Fixture::start().await;
    let product = fixture.product("1.00", 100).await;
    let before = fixture.look().await;
    let announced = fixture.raw(post("Content-Length: 1048577\r\n", "").as_bytes()).await;
    assert_eq!((announced.status(), announced.closed), (Some(413), true), "{}", announced.text);
    assert!(announced.text.contains("payload_too_large"));
    let chunk = format!("8000\r\n{}\r\n", " ".repeat(0x8000));
    let grown =
        fixture.raw(post("Transfer-Encoding: chunked\r\n", &chunk.repeat(64)).as_bytes()).await;
    assert!(matches!(grown.status(), None | Some(413)), "{}", grown.text);
    assert!(grown.closed);
    // Refused at once, although the client waits for `100 Continue`.
    let waiting = fixture
        .raw(post("Expect: 100-continue\r\nContent-Length: 1048577\r\n", "").as_bytes())
        .await;
    assert_eq!(waiting.status(), Some(413));
    // A body of exactly the limit is accepted.
    let mut body = order(product, 1).to_string();
    body.push_str(&" ".repeat(1_048_576 - body.len()));
    let fits = fixture
        .raw(post("Content-Length: 1048576\r\nConnection: close\r\n", &body).as_bytes())
        .await;
    assert_eq!(fits.status(), Some(201), "{}", fits.text);
    fixture.raw(post("Content-Length: 2\r\nConnection: close\r\n", "{}").as_bytes()).await;

    let many: String = (0..1_000).map(|i| format!("X-{i}: y\r\n")).collect();
    let large = format!("X: {}\r\n", "y".repeat(64 << 10));
    for headers in [many, large] {
        let raw = fixture
            .raw(format!("GET /livez HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n").as_bytes())
            .await;
        assert!(matches!(raw.status(), None | Some(431)), "{}", raw.text);
        assert!(raw.closed);
    }
    let target =
        |length: usize| format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "y".repeat(length));
    let raw = fixture.raw(target(9 << 10).as_bytes()).await;
    assert_eq!(raw.status(), Some(414), "{}", raw.text);
    assert!(raw.text.contains("uri_too_long"));
    let raw = fixture.raw(target(64 << 10).as_bytes()).await;
    assert!(matches!(raw.status(), None | Some(414 | 431)), "{}", raw.text);
    let after = fixture.look().await;
    assert_ne!(after, before, "the order that fits");
    assert_eq!(after.1["data"].as_array().unwrap().len(), 1);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunks_and_pipelines_work() {
    let fixture = Fixture::start().await;
    let product = fixture.product("1.00", 100).await;
    let body = order(product, 1).to_string();
    let (head, tail) = body.split_at(10);
    let chunks = format!("a\r\n{head}\r\n{:x}\r\n{tail}\r\n0\r\n\r\n", tail.len());
    let sized = post(&format!("Content-Length: {}\r\n", body.len()), &body);
    let encoded = post("Transfer-Encoding: chunked\r\n", &chunks);
    let last = "GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    // A chunked request after one with a length: the length belongs to the first.
    let raw = fixture.raw([sized.as_str(), &encoded, &encoded, last].concat().as_bytes()).await;
    assert!(raw.closed);
    assert_eq!(raw.text.matches("HTTP/1.1 201").count(), 3, "{}", raw.text);
    assert_eq!(raw.text.matches("HTTP/1.1 200").count(), 1);
    let pipeline: String = (0..1_000)
        .map(|i| format!("GET /api/v1/orders/{}?consistency=stale HTTP/1.1\r\nHost: localhost\r\nX-Trace-Id: t{i}\r\n\r\n", 1 + i % 3))
        .collect();
    let raw = fixture.raw(format!("{pipeline}{last}").as_bytes()).await;
    let traces: Vec<_> =
        raw.text.lines().filter_map(|line| line.strip_prefix("x-trace-id: t")).collect();
    assert_eq!(traces, (0..1_000).map(|i| i.to_string()).collect::<Vec<_>>());
    assert!(raw.closed);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_cut_off_anywhere_makes_a_whole_order_or_none() {
    let fixture = Fixture::start().await;
    let product = fixture.product("1.00", 100).await;
    let body = order(product, 1).to_string();
    let whole = post(&format!("Content-Length: {}\r\n", body.len()), &body);
    for cut in (0..whole.len()).step_by(13) {
        let mut stream = TcpStream::connect(fixture.address).await.unwrap();
        stream.write_all(&whole.as_bytes()[..cut]).await.unwrap();
        stream.shutdown().await.unwrap();
        let raw = read_all(&mut stream, Duration::from_secs(5)).await;
        assert!(raw.closed && matches!(raw.status(), None | Some(400)), "{cut}: {}", raw.text);
    }
    let (_, orders) = fixture.look().await;
    assert_eq!(orders["data"], json!([]));
    // Gone before the answer.
    let mut stream = TcpStream::connect(fixture.address).await.unwrap();
    stream.write_all(whole.as_bytes()).await.unwrap();
    drop(stream);
    let there = async || fixture.look().await.1["data"].as_array().unwrap().len() == 1;
    fixture.until("placed", there).await;
    let view = fixture.get(&format!("/api/v1/products/{product}")).await.expect(200);
    assert_eq!(view["data"]["reserved"], 1);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_http_and_whole_addresses_are_understood() {
    let fixture = Fixture::start().await;
    let old = fixture.raw(b"GET /livez HTTP/1.0\r\n\r\n").await;
    assert!(old.text.starts_with("HTTP/1.0 200"), "{}", old.text);
    assert!(old.closed);
    let whole =
        b"GET http://localhost/livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert_eq!(fixture.raw(whole).await.status(), Some(200));
    let connect = b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let connect = fixture.raw(connect).await;
    assert_eq!(connect.status(), Some(405), "{}", connect.text);
    assert!(connect.text.to_lowercase().contains("\r\nallow: "));
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_answers_are_compressed_on_request_and_streams_never() {
    let fixture = Fixture::start().await;
    for _ in 0..8 {
        fixture.product("1", 1).await;
    }
    let ask = async |path: &str, accept: &str| {
        let head =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: {accept}\r\n\r\n");
        fixture.raw(head.as_bytes()).await.text.to_ascii_lowercase()
    };
    for (path, accept, coding) in [
        ("/api/v1/products", "gzip", Some("gzip")),
        ("/api/v1/products", "gzip, deflate, br, zstd", Some("zstd")),
        ("/openapi.json", "gzip", Some("gzip")),
        ("/api/v1/products", "br", None),
        ("/api/v1/products", "gzip;q=0", None),
        ("/api/v1/products/1", "gzip", None),
        ("/api/v1/events", "gzip", None),
    ] {
        let answer = ask(path, accept).await;
        assert!(answer.starts_with("http/1.1 200"), "{path}: {answer}");
        let found = answer.split("content-encoding: ").nth(1).and_then(|it| it.lines().next());
        assert_eq!(found, coding, "{path} {accept}");
        let varies = answer.contains("vary: accept-encoding");
        assert_eq!(varies, !path.ends_with("/1") && !path.ends_with("/events"), "{path}");
    }
    fixture.stop().await;
}
