//! Web pages: under which names the server answers, what pages of other origins get, and CORS.

use http_api::Settings;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::contract::contract;
use crate::harness::{Answer, Call, Fixture, order, read_all, settings};

const EVIL: &str = "https://evil.example";
const SHOP: &str = "https://shop.example";

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// The paths whose `GET` counts as unsafe.
const GUARDED: [&str; 3] = ["/api/v1/events", "/api/v1/ws", "/api/v1/cluster/backup"];

/// Every documented path under both of its names, and paths beside them.
fn targets() -> Vec<String> {
    let mut targets = Vec::new();
    for pattern in contract().document["paths"].as_object().unwrap().keys() {
        let target = pattern.replace("{id}", "1").replace("{key}", "k");
        if let Some(rest) = target.strip_prefix("/api/v1") {
            targets.push(format!("/api{rest}"));
        }
        targets.push(format!("{target}/"));
        targets.push(format!("{target}/more"));
        targets.push(target);
    }
    targets.extend(["/", "/api", "/none"].map(str::to_owned));
    targets
}

fn is_guarded(target: &str) -> bool {
    GUARDED.iter().any(|path| *path == target || path.replace("/v1", "") == target)
}

/// A body that would be accepted, so that only the page is a reason to refuse.
fn call(method: &str, target: &str) -> Call {
    let call = match (method, target.ends_with("/orders")) {
        ("POST", true) => Call::json(method, target, &order(1, 1)),
        ("POST" | "PUT" | "PATCH", _) => Call::json(method, target, &json!({"paused": true})),
        _ => Call::new(method, target),
    };
    match target.ends_with("/ws") {
        true => call
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        false => call,
    }
}

#[tokio::test]
async fn a_page_under_another_name_gets_nothing_from_any_path() {
    let fixture = Fixture::start().await;
    fixture.product("1.00", 5).await;
    let before = fixture.look().await;
    for target in targets() {
        for method in METHODS {
            // As a page sends it whose name was rebound to this address: all of one origin.
            for host in ["evil.example", "evil.example:8080", "192.0.2.9"] {
                let call = call(method, &target)
                    .header("host", host)
                    .header("origin", &format!("http://{host}"))
                    .header("sec-fetch-site", "same-origin");
                let answer = fixture.send(call).await;
                assert_eq!(answer.status, 421, "{method} {target} as {host}");
                if method != "HEAD" {
                    answer.problem(421, "misdirected_request");
                }
            }
        }
    }
    assert_eq!(fixture.look().await, before);
    fixture.stop().await;
}

#[tokio::test]
async fn a_page_of_another_origin_changes_nothing_and_reads_no_events() {
    let fixture = Fixture::start().await;
    let product = fixture.product("1.00", 5).await;
    fixture.post("/api/v1/orders", &order(product, 1)).await.expect(201);
    let before = fixture.look().await;
    let foreign: [&[(&str, &str)]; 5] = [
        &[("origin", EVIL)],
        &[("origin", "null")],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site"), ("origin", "http://localhost:3000")],
        &[("sec-fetch-site", "cross-site"), ("origin", EVIL)],
    ];
    for target in targets() {
        for method in METHODS {
            let reads = ["GET", "HEAD"].contains(&method);
            let is_safe = method == "OPTIONS" || (reads && !is_guarded(&target));
            for headers in foreign {
                let mut call = call(method, &target);
                for (name, value) in headers {
                    call = call.header(if *name == "origin" { "origin" } else { name }, value);
                }
                let answer = fixture.send(call).await;
                assert_eq!(answer.status == 403, !is_safe, "{method} {target} {headers:?}");
                assert!(answer.header("access-control-allow-origin").is_none());
            }
        }
    }
    assert_eq!(fixture.look().await, before);
    fixture.stop().await;
}

#[tokio::test]
async fn programs_and_pages_of_the_node_itself_are_not_affected() {
    let fixture = Fixture::start().await;
    let product = fixture.product("1.00", 9).await;
    let own = fixture.address.to_string();
    let http = format!("http://{own}");
    for headers in [
        &[("host", &*own)][..],
        &[("host", &*own), ("origin", &*http)],
        &[("host", &*own), ("origin", &*http), ("sec-fetch-site", "same-origin")],
        &[("host", "localhost"), ("sec-fetch-site", "none")],
        &[("host", "[::1]:8080")],
    ] {
        let mut call = Call::json("POST", "/api/v1/orders", &order(product, 1));
        let mut backup = Call::new("GET", "/api/v1/cluster/backup");
        for (name, value) in headers {
            call = call.header(name, value);
            backup = backup.header(name, value);
        }
        fixture.send(call).await.expect(201);
        assert_eq!(fixture.send(backup).await.status, 200, "{headers:?}");
    }
    let mut stream = TcpStream::connect(fixture.address).await.unwrap();
    stream.write_all(b"GET /livez HTTP/1.0\r\n\r\n").await.unwrap();
    let old = read_all(&mut stream, std::time::Duration::from_secs(2)).await;
    assert!(old.text.starts_with("HTTP/1.0 200"), "HTTP/1.0 has no Host: {}", old.text);
    fixture.stop().await;
}

fn shop() -> Settings {
    Settings {
        http_hosts: vec!["api.shop.example".parse().unwrap()],
        cors_origins: vec![SHOP.parse().unwrap()],
        rate_limit_per_minute: 6,
        ..settings()
    }
}

fn is_readable(answer: &Answer) -> bool {
    assert_eq!(answer.header("vary"), Some("origin"));
    assert_eq!(answer.header("access-control-allow-credentials"), None);
    let exposed = answer.header("access-control-expose-headers");
    match answer.header("access-control-allow-origin") {
        Some(origin) => {
            assert_eq!(origin, SHOP);
            assert!(exposed.unwrap().contains("x-position"));
            true
        }
        None => {
            assert_eq!(exposed, None);
            false
        }
    }
}

#[tokio::test]
async fn pages_of_a_listed_origin_read_answers_and_errors() {
    let fixture = Fixture::with(shop()).await;
    let from = |call: Call, origin: &str| {
        call.header("host", "api.shop.example")
            .header("origin", origin)
            .header("sec-fetch-site", "same-site")
    };
    let send = async |call: Call, origin: &str| fixture.send(from(call, origin)).await;
    let product = json!({"name": "Widget", "price": "1.00", "stock": 5});
    let create = || Call::json("POST", "/api/v1/products", &product);
    let answer = send(create(), SHOP).await;
    assert_eq!((answer.status, is_readable(&answer)), (201, true));
    let missing = send(Call::new("GET", "/api/v1/orders/77"), SHOP).await;
    assert_eq!((missing.status, is_readable(&missing)), (404, true));
    let foreign = send(create(), EVIL).await;
    assert_eq!((foreign.status, is_readable(&foreign)), (403, false));
    let nowhere = send(Call::new("GET", "/nowhere"), SHOP).await;
    assert_eq!((nowhere.status, is_readable(&nowhere)), (404, true));
    // The fixture may have asked for the API document before.
    let mut answers = Vec::new();
    for _ in 0..6 {
        answers.push(send(create(), SHOP).await);
    }
    let too_many = answers.iter().find(|answer| answer.status == 429).expect("the limit is 6");
    assert!(is_readable(too_many));
    let ready = fixture.get("/readyz").await;
    assert_eq!((ready.status, is_readable(&ready)), (200, false), "caches are told");
    fixture.stop().await;
}

#[tokio::test]
async fn a_preflight_is_answered_for_every_path_and_for_listed_origins_only() {
    let fixture = Fixture::with(shop()).await;
    let ask = |target: &str, origin: &str| {
        Call::new("OPTIONS", target)
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "content-type, idempotency-key")
    };
    let paths = contract().document["paths"].as_object().unwrap();
    for (pattern, operations) in paths {
        let target = pattern.replace("{id}", "1").replace("{key}", "k");
        // More preflights than the rate limit: they are not counted.
        let answer = fixture.send(ask(&target, SHOP)).await;
        assert_eq!((answer.status, is_readable(&answer)), (204, true), "{target}");
        let methods = answer.header("access-control-allow-methods").unwrap();
        for method in operations.as_object().unwrap().keys() {
            assert!(methods.contains(&method.to_uppercase()), "{method} {target}: {methods}");
        }
        let headers = answer.header("access-control-allow-headers").unwrap();
        for name in ["authorization", "content-type", "idempotency-key", "x-min-position"] {
            assert!(headers.contains(name), "{name}");
        }
        assert_eq!(answer.header("access-control-max-age"), Some("600"));
        let foreign = fixture.send(ask(&target, EVIL)).await;
        assert_eq!((foreign.status, is_readable(&foreign)), (403, false), "{target}");
        assert!(foreign.header("access-control-allow-methods").is_none());
    }
    let rebound = ask("/api/v1/orders", SHOP).header("host", "evil.example");
    assert_eq!(fixture.send(rebound).await.status, 421);
    let plain = Call::new("OPTIONS", "/api/v1/orders").header("origin", SHOP);
    assert_eq!(fixture.send(plain).await.status, 405, "no preflight");
    fixture.stop().await;
}
