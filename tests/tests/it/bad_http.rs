//! Bad input below the handlers: requests that are not HTTP, too big, too slow, or incomplete.
//!
//! The HTTP library refuses some by itself, without a body; the server refuses the others with the
//! documented body. The answer is a 4xx (or 505) or a closed connection. The state does not change,
//! and the server serves other clients meanwhile.

use std::time::{Duration, Instant};

use serde_json::json;
use tests::raw::{self, Connection, Reply};
use tests::shop::{self, ORDERS, PRODUCTS};
use tests::{Answer, Call, Cluster, wait};
use tokio::task::JoinSet;

/// How long an answer to bad input may take when nothing has to time out first.
const SOON: Duration = Duration::from_secs(5);

/// A cluster with one product.
async fn cluster(test: &str) -> (Cluster, u64) {
    let cluster = Cluster::start(test).await;
    let product = shop::create_product(cluster.caller(), &mut cluster.random(1), "1.00", 100).await;
    (cluster, product)
}

/// Checks that no request made an order and every node still works.
async fn assert_untouched(cluster: &Cluster, product: u64) {
    let caller = cluster.caller();
    for node in caller.all() {
        assert_eq!(shop::order_total(caller, node, "").await, 0, "node {node}");
        assert_eq!(shop::product(caller, node, product).await["stock"], 100, "node {node}");
    }
    let place = shop::place(&shop::order(product, 1, "none"));
    caller.ask(1, &place).await.expect(201);
    cluster.agree().await;
}

/// A whole, good order as bytes, with these header lines before its length.
fn order_bytes(product: u64, headers: &str) -> Vec<u8> {
    let body = shop::order(product, 1, "none").to_string();
    format!(
        "POST {ORDERS} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         {headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// The refusal in a reply; `None` when the server closed the connection without one.
#[track_caller]
fn refusal(what: &str, reply: Reply) -> Option<Answer> {
    match reply {
        Reply::Answer(answer) => {
            let refused = (400..500).contains(&answer.status) || answer.status == 505;
            assert!(refused, "{what}: {} {}", answer.status, answer.text());
            if !answer.body.is_empty() {
                answer.problem_of_any_kind();
            }
            Some(answer)
        }
        Reply::Closed => None,
        Reply::Silence => panic!("{what}: neither answered nor closed"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_are_not_http_are_refused() {
    let (cluster, product) = cluster("requests_that_are_not_http_are_refused").await;
    let address = cluster.caller().address(1);
    let json = shop::order(product, 1, "none").to_string();
    let length = json.len();
    let post = |headers: &str, body: &str| {
        format!(
            "POST {ORDERS} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             {headers}\r\n{body}"
        )
    };
    let chunked = "Transfer-Encoding: chunked\r\n";
    let chunk = format!("{length:x}\r\n{json}\r\n0\r\n\r\n");
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("HTTP/0.9", b"GET /livez\r\n\r\n".to_vec()),
        ("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()),
        ("HTTP/1.2", b"GET /livez HTTP/1.2\r\nHost: localhost\r\n\r\n".to_vec()),
        ("HTTP/9.9", b"GET /livez HTTP/9.9\r\nHost: localhost\r\n\r\n".to_vec()),
        ("TLS", [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", [7; 64].as_slice()].concat()),
        ("noise", vec![0xff; 300]),
        ("blank lines, then noise", b"\r\n\r\n\r\nxyz\r\n\r\n".to_vec()),
        ("no host", b"GET /livez HTTP/1.1\r\n\r\n".to_vec()),
        ("two hosts", b"GET /livez HTTP/1.1\r\nHost: localhost\r\nHost: b\r\n\r\n".to_vec()),
        ("NUL in a header", b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX: a\0b\r\n\r\n".to_vec()),
        (
            "bare CR in a header",
            b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX: a\rb\r\n\r\n".to_vec(),
        ),
        ("space before colon", b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX : b\r\n\r\n".to_vec()),
        ("header without colon", b"GET /livez HTTP/1.1\r\nHost: localhost\r\nXYZ\r\n\r\n".to_vec()),
        ("folded header", b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX: b\r\n c\r\n\r\n".to_vec()),
        ("space in the target", b"GET /liv ez HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec()),
        (
            "two lengths",
            post(&format!("Content-Length: {length}\r\nContent-Length: 5\r\n"), &json).into(),
        ),
        ("negative length", post("Content-Length: -5\r\n", &json).into()),
        ("no number", post("Content-Length: five\r\n", &json).into()),
        ("length 2^64", post("Content-Length: 18446744073709551616\r\n", &json).into()),
        (
            "length and chunks",
            post(&format!("Content-Length: {length}\r\n{chunked}"), &chunk).into(),
        ),
        ("unknown coding", post("Transfer-Encoding: x, chunked\r\n", &chunk).into()),
        ("chunked twice", post("Transfer-Encoding: chunked, chunked\r\n", &chunk).into()),
        ("coding without chunks", post("Transfer-Encoding: gzip\r\n", &json).into()),
        ("chunk size x", post(chunked, "xyz\r\n{}\r\n0\r\n\r\n").into()),
        ("chunk size 2^64", post(chunked, "10000000000000000\r\n{}\r\n0\r\n\r\n").into()),
        ("chunk size -1", post(chunked, "-1\r\n{}\r\n0\r\n\r\n").into()),
        ("chunk without end", post(chunked, &format!("2\r\n{{}}{json}\r\n0\r\n\r\n")).into()),
        (
            "endless trailers",
            post(chunked, &format!("{length:x}\r\n{json}\r\n0\r\n{}", "T: t\r\n".repeat(50_000)))
                .into(),
        ),
    ];
    for (what, bytes) in cases {
        let reply = raw::exchange(address, &bytes, SOON).await;
        if let Some(answer) = refusal(what, reply) {
            let status = answer.status;
            assert!(matches!(status, 400 | 431 | 505), "{what}: {status} {}", answer.text());
        }
    }
    assert_untouched(&cluster, product).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ambiguous_framing_closes_the_connection() {
    let (cluster, product) = cluster("ambiguous_framing_closes_the_connection").await;
    // The server must not take the rest of the ambiguous request for another request.
    let hidden = String::from_utf8(order_bytes(product, "")).expect("text");
    for headers in [
        format!("Content-Length: {}\r\nTransfer-Encoding: chunked\r\n", hidden.len() + 5),
        "Transfer-Encoding: chunked, x\r\n".to_owned(),
        "Content-Length: 5\r\nContent-Length: 0\r\n".to_owned(),
    ] {
        let bytes = format!(
            "POST {ORDERS} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             {headers}\r\n0\r\n\r\n{hidden}"
        );
        let mut connection = Connection::open(cluster.caller().address(2)).await;
        connection.send(bytes.as_bytes()).await;
        refusal(&headers, connection.answer(SOON).await);
        assert!(connection.is_closed_within(SOON).await, "{headers}: still open");
    }
    assert_untouched(&cluster, product).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn oversized_requests_are_refused_before_they_are_read() {
    let (cluster, product) = cluster("oversized_requests_are_refused_before_they_are_read").await;
    let address = cluster.caller().address(1);
    let head = |length: usize| {
        format!(
            "POST {ORDERS} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n"
        )
    };
    // Announced length: refused before the client sends a byte of the body.
    for length in [(1 << 20) + 1, 1 << 40] {
        let reply = raw::exchange(address, head(length).as_bytes(), SOON).await;
        let answer = refusal("announced", reply).expect("an answer");
        answer.problem(413, "payload_too_large");
    }
    // Unannounced length: refused while the body arrives, and the connection is closed.
    let mut connection = Connection::open(address).await;
    let chunked = "Transfer-Encoding: chunked\r\n\r\n";
    let start = head(0).replace("Content-Length: 0\r\n\r\n", chunked);
    connection.send(start.as_bytes()).await;
    let chunk = [b"10000\r\n".as_slice(), &[b' '; 0x1_0000], b"\r\n"].concat();
    for _ in 0..32 {
        connection.send(&chunk).await;
    }
    if let Some(answer) = refusal("chunked", connection.answer(SOON).await) {
        answer.problem(413, "payload_too_large");
    }
    assert!(connection.is_closed_within(SOON).await, "still open");
    // Exactly the limit is read: here it is good JSON, padded.
    let mut body = shop::order(product, 1_000, "none").to_string();
    body.push_str(&" ".repeat((1 << 20) - body.len()));
    let call = Call::new("POST", ORDERS).header("content-type", "application/json").body(body);
    cluster.caller().ask(1, &call).await.problem(409, "insufficient_stock");

    let get = |target: &str, headers: &str| {
        format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n").into_bytes()
    };
    let long = format!("{PRODUCTS}?ids={}", "1,".repeat(32 * 1024));
    let many: String = (0..1_000).map(|number| format!("X-{number}: v\r\n")).collect();
    let large = format!("X-Large: {}\r\n", "v".repeat(64 * 1024));
    for (what, bytes, statuses) in [
        ("target of 64 KiB", get(&long, ""), [414, 431]),
        ("1,000 headers", get(PRODUCTS, &many), [431, 431]),
        ("header of 64 KiB", get(PRODUCTS, &large), [431, 431]),
    ] {
        let reply = raw::exchange(address, &bytes, SOON).await;
        if let Some(answer) = refusal(what, reply) {
            assert!(statuses.contains(&answer.status), "{what}: {}", answer.status);
        }
    }
    let long = Call::get(format!("{PRODUCTS}?ids={}", "1,".repeat(5_000)));
    cluster.caller().ask(3, &long).await.problem(414, "uri_too_long");
    assert_untouched(&cluster, product).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_clients_are_disconnected_and_delay_no_others() {
    let (cluster, product) = cluster("slow_clients_are_disconnected_and_delay_no_others").await;
    let address = cluster.caller().address(1);
    let limit = Duration::from_secs(40);
    let order = order_bytes(product, "");
    let half = order.len() - 10;
    let cases: [(&str, &[u8]); 4] = [
        ("nothing at all", b""),
        ("half a request line", b"GET /liv"),
        ("half of the headers", b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-"),
        ("half of the body", &order[..half]),
    ];
    let start = Instant::now();
    let mut slow = JoinSet::new();
    for (what, bytes) in cases {
        let bytes = bytes.to_vec();
        slow.spawn(async move {
            let mut connection = Connection::open(address).await;
            connection.send(&bytes).await;
            // An idle connection may live for a minute; an incomplete request must end sooner.
            if bytes.is_empty() {
                return (what, None, start.elapsed());
            }
            let answer = refusal(what, connection.answer(limit).await);
            assert!(connection.is_closed_within(SOON).await, "{what}: still open");
            (what, answer, start.elapsed())
        });
    }
    // Many connections that send nothing.
    let mut idle = Vec::new();
    for _ in 0..400 {
        idle.push(Connection::open(address).await);
    }
    for _ in 0..50 {
        let begun = Instant::now();
        cluster.caller().get(1, &format!("{PRODUCTS}/{product}")).await.expect(200);
        assert!(begun.elapsed() < Duration::from_secs(1), "others wait: {:?}", begun.elapsed());
    }
    for (what, answer, after) in slow.join_all().await {
        let status = answer.map(|answer| answer.status);
        println!("{what}: {status:?} after {after:?}");
        assert!(matches!(status, None | Some(400 | 408)), "{what}: {status:?}");
    }
    // Shorter than announced, and the sender is done.
    let mut connection = Connection::open(address).await;
    connection.send(&order[..half]).await;
    connection.end().await;
    refusal("cut off", connection.answer(limit).await);
    drop(idle);
    assert_untouched(&cluster, product).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_disconnects_makes_a_whole_order_or_none() {
    let (cluster, product) = cluster("a_client_that_disconnects_makes_a_whole_order_or_none").await;
    let caller = cluster.caller();
    let mut tasks = JoinSet::new();
    for number in 0..60_usize {
        let address = caller.address(1 + number as u64 % 3);
        let bytes = order_bytes(product, &format!("Idempotency-Key: gone-{number}\r\n"));
        // From a few bytes to all of them; every fourth sends everything.
        let sent = if number % 4 == 0 { bytes.len() } else { bytes.len() * number / 60 };
        tasks.spawn(async move {
            let mut connection = Connection::open(address).await;
            connection.send(&bytes[..sent]).await;
            (number, sent == bytes.len())
        });
    }
    let sent = tasks.join_all().await;
    // Whole requests may still be on their way; in the end orders, keys and units agree.
    wait::until("orders, keys and units agreed", wait::READY, async || {
        let mut applied = 0;
        for (number, whole) in &sent {
            let path = format!("{ORDERS}/by-key/gone-{number}");
            let found = caller.get(2, &path).await.expect(200).data();
            assert!(found["state"] == "unused" || *whole, "request {number}: {found}");
            applied += u64::from(found["state"] == "applied");
        }
        let orders = shop::order_total(caller, 1, "").await;
        let reserved = shop::count(&shop::product(caller, 3, product).await, "reserved");
        if orders == applied && reserved == applied {
            Ok(())
        } else {
            Err(format!("{orders} orders, {applied} keys, {reserved} units"))
        }
    })
    .await;
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pipelined_requests_are_answered_in_order() {
    let (cluster, product) = cluster("pipelined_requests").await;
    // After this the node's own state has the product, so stale reads find it.
    shop::product(cluster.caller(), 3, product).await;
    let mut connection = Connection::open(cluster.caller().address(3)).await;
    let mut bytes = Vec::new();
    for number in 0..1_000 {
        let get = format!(
            "GET {PRODUCTS}/{product} HTTP/1.1\r\nHost: localhost\r\nX-Consistency: stale\r\n\
             X-Trace-Id: pipelined-{number}\r\n\r\n"
        );
        bytes.extend_from_slice(get.as_bytes());
    }
    connection.send(&bytes).await;
    for number in 0..1_000 {
        let Reply::Answer(answer) = connection.answer(Duration::from_secs(20)).await else {
            panic!("no answer to request {number}");
        };
        let expected = format!("pipelined-{number}");
        assert_eq!(answer.header("x-trace-id"), Some(expected.as_str()));
        assert_eq!(answer.expect(200).data()["id"], product);
    }
    assert_untouched(&cluster, product).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_request_is_told_so_before_its_body() {
    let (cluster, product) = cluster("a_refused_request_is_told_so").await;
    let address = cluster.caller().address(2);
    let head = |kind: &str| {
        format!(
            "POST {ORDERS} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n\
             Content-Length: 100\r\nExpect: 100-continue\r\n\r\n"
        )
    };
    let reply = raw::exchange(address, head("text/plain").as_bytes(), SOON).await;
    let answer = refusal("refused", reply).expect("an answer");
    answer.problem(415, "unsupported_media_type");
    // A good one is invited to go on.
    let mut connection = Connection::open(address).await;
    connection.send(head("application/json").as_bytes()).await;
    let Reply::Answer(go_on) = connection.answer(SOON).await else { panic!("no answer") };
    assert_eq!(go_on.status, 100);
    let mut body = json!({"items": [{"product_id": product, "quantity": 101}]}).to_string();
    body.push_str(&" ".repeat(100 - body.len()));
    connection.send(body.as_bytes()).await;
    let Reply::Answer(answer) = connection.answer(SOON).await else { panic!("no answer") };
    answer.problem(409, "insufficient_stock");
    assert_untouched(&cluster, product).await;
}
