//! Large bodies: a node parses them away from its connections and links.

use std::time::Duration;

use tests::raw::{Connection, Reply};
use tests::shop::{self, ORDERS};
use tests::{Call, Options};
use tokio::time::Instant;

/// How long junk arrives.
const JUNK: Duration = Duration::from_secs(12);
/// How long a probe may take. Parsing one body takes longer, most of all in a debug build.
const PROBE_MAX: Duration = Duration::from_millis(500);
const BODY_BYTES: usize = 16 << 20;

/// Sends one body of junk after the other on one connection, and returns how many were answered.
async fn send_junk(address: std::net::SocketAddr, until: Instant) -> u64 {
    let mut body = br#"{"orders":["#.to_vec();
    while body.len() < BODY_BYTES - 8 {
        body.extend_from_slice(b"[],");
    }
    body.extend_from_slice(b"0]}");
    let head = format!(
        "POST {ORDERS}/batch HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    let mut connection = Connection::open(address).await;
    let mut answered = 0;
    while Instant::now() < until {
        connection.send(head.as_bytes()).await;
        connection.send(&body).await;
        match connection.answer(Duration::from_secs(60)).await {
            Reply::Answer(answer) => assert_eq!(answer.status, 422, "{}", answer.text()),
            other => panic!("junk was not answered: {other:?}"),
        }
        answered += 1;
    }
    answered
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn junk_of_16_mib_neither_deposes_a_leader_nor_delays_other_clients() {
    let cluster =
        Options::new("junk_of_16_mib_neither_deposes_a_leader_nor_delays_other_clients").alone();
    let cluster = cluster.start().await;
    let mut random = cluster.random(1);
    let product = shop::create_product(cluster.caller(), &mut random, "1.00", 100_000).await;
    let leader = cluster.leader().await;
    let term = cluster.view(leader).await["term"].clone();

    let junk = tokio::spawn(send_junk(cluster.caller().address(leader), Instant::now() + JUNK));
    let (mut slowest, mut probes) = (Duration::ZERO, 0);
    let place = shop::place(&shop::order(product, 1, "none"));
    while !junk.is_finished() {
        let asked = Instant::now();
        cluster.caller().send(leader, &Call::get("/livez")).await.expect("an answer").expect(200);
        slowest = slowest.max(asked.elapsed());
        cluster.caller().ask(leader, &place).await.expect(201);
        probes += 1;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let answered = junk.await.expect("junk is answered");
    println!("{answered} bodies of junk, {probes} probes, the slowest took {slowest:?}");
    assert!(answered > 0 && probes > 20, "{answered} bodies, {probes} probes");
    assert!(slowest < PROBE_MAX, "the slowest probe took {slowest:?}");
    assert_eq!(cluster.view(leader).await["term"], term, "the term moved");
    assert_eq!(cluster.leader().await, leader);
    cluster.agree().await;
}
