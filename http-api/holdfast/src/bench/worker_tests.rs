//! Runs against a small server that answers from a list.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::bench::distribution::Distribution;

const CREATED: &str = "HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\n{}";
const SOLD_OUT: &str = "HTTP/1.1 409 Conflict\r\ncontent-length: 8\r\n\r\nsold out";
const CLOSING: &str = "HTTP/1.1 201 Created\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}";

/// The reaction of the server to a request.
#[derive(Debug, Clone, Copy)]
enum Reaction {
    Answer(&'static str),
    Hang,
    HangUp,
}

/// Starts a server on its own thread that reacts to request `n` with entry `n` of the list, or with
/// the last one.
fn server(reactions: Vec<Reaction>) -> SocketAddr {
    let reactions: Arc<[Reaction]> = reactions.into();
    let (send, receive) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            send.send(listener.local_addr().unwrap()).unwrap();
            let count = Arc::new(AtomicU64::new(0));
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, Arc::clone(&reactions), Arc::clone(&count)));
            }
        });
    });
    receive.recv().unwrap()
}

async fn serve(
    mut stream: tokio::net::TcpStream,
    reactions: Arc<[Reaction]>,
    count: Arc<AtomicU64>,
) {
    let mut buffer = vec![0; 4096];
    // A request is small and written in one call, so one read on loopback gets it.
    while let Ok(1..) = stream.read(&mut buffer).await {
        let number = count.fetch_add(1, Ordering::Relaxed) as usize;
        match reactions[number.min(reactions.len() - 1)] {
            Reaction::Answer(text) => stream.write_all(text.as_bytes()).await.unwrap(),
            Reaction::Hang => std::future::pending().await,
            Reaction::HangUp => return,
        }
    }
}

fn plan(address: SocketAddr, total: u64, run_ms: u64) -> Plan {
    let start = Instant::now();
    let at = |ms| start + Duration::from_millis(ms);
    Plan {
        targets: vec![Target { host: address.to_string(), address }],
        shape: Shape {
            run: "t".into(),
            keys: true,
            users: true,
            payment: "mock",
            batch: 1,
            token: None,
        },
        products: vec![1, 2, 3],
        sampler: Sampler::new(Distribution::Uniform, 3),
        reads: 0,
        users: 10,
        pace: Pace::Closed,
        times: Times { start, measured_from: start, end: at(run_ms), give_up: at(run_ms + 300) },
        total,
        wanted: 201,
        given_out: AtomicU64::new(0),
        sent: AtomicU64::new(0),
        stopped: AtomicBool::new(false),
    }
}

#[test]
fn a_stopped_run_ends_early_and_keeps_its_figures() {
    for is_open in [false, true] {
        let address = server(vec![Reaction::Answer(CREATED)]);
        let mut plan = plan(address, u64::MAX, 60_000);
        if is_open {
            let schedule = Schedule::new(plan.times.start, 1000);
            plan.pace = Pace::Open { schedule, permits: Arc::new(Semaphore::new(5)) };
        }
        let plan = Arc::new(plan);
        let stopper = Arc::clone(&plan);
        let stop = std::thread::spawn(move || {
            while stopper.sent.load(Ordering::Relaxed) == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
            stopper.stop();
        });
        let started = Instant::now();
        let stats = run(&plan, (0..2).collect()).unwrap();
        stop.join().unwrap();
        assert!(started.elapsed() < Duration::from_secs(30), "ended by itself");
        assert!(stats.answered() > 0);
    }
}

#[test]
fn a_closed_loop_sends_the_given_number_of_requests() {
    let address = server(vec![Reaction::Answer(CREATED), Reaction::Answer(SOLD_OUT)]);
    let plan = Arc::new(plan(address, 100, 10_000));
    let stats = run(&plan, (0..4).collect()).unwrap();
    assert_eq!(stats.with_status(201), 1);
    assert_eq!(stats.with_status(409), 99);
    assert_eq!(stats.in_time, 1);
    assert_eq!(stats.quotes[&409], "sold out");
    assert_eq!((stats.broken, stats.malformed, stats.unanswered), (0, 0, 0));
    assert_eq!(stats.latency_us.len(), 100);
    assert_eq!(plan.sent.load(Ordering::Relaxed), 100);
}

#[test]
fn a_closed_loop_ends_on_time() {
    let address = server(vec![Reaction::Answer(CREATED)]);
    let plan = Arc::new(plan(address, u64::MAX, 100));
    let stats = run(&plan, vec![0, 1]).unwrap();
    assert!(stats.with_status(201) > 2, "{stats:?}");
    assert_eq!(stats.answered(), plan.sent.load(Ordering::Relaxed));
}

#[test]
fn the_warmup_is_not_measured() {
    let address = server(vec![Reaction::Answer(CREATED)]);
    let mut plan = plan(address, 50, 10_000);
    plan.times.measured_from = plan.times.end;
    let stats = run(&Arc::new(plan), vec![0]).unwrap();
    assert_eq!(stats.answered(), 0);
    assert_eq!(stats.latency_us.len(), 0);
}

#[test]
fn broken_connections_are_counted_and_reopened() {
    let ok = Reaction::Answer(CREATED);
    let address = server(vec![ok, Reaction::HangUp, ok, Reaction::Answer(CLOSING), ok]);
    let plan = Arc::new(plan(address, 10, 10_000));
    let stats = run(&plan, vec![0]).unwrap();
    assert_eq!(stats.with_status(201), 9);
    assert_eq!((stats.broken, stats.malformed, stats.unanswered), (1, 0, 0));
    assert_eq!(stats.reconnects, 2);
}

#[test]
fn requests_to_a_hanging_server_count_as_unanswered() {
    let address = server(vec![Reaction::Answer(CREATED), Reaction::Hang]);
    let plan = Arc::new(plan(address, 1_000, 50));
    let stats = run(&plan, vec![0, 1]).unwrap();
    assert_eq!(stats.with_status(201), 1);
    assert_eq!(stats.unanswered, 2);
}

#[test]
fn an_open_loop_counts_latency_from_when_a_request_was_due() {
    // Every request was due about a second ago, so its latency is at least a second.
    let address = server(vec![Reaction::Answer(CREATED)]);
    let mut plan = plan(address, 20, 10_000);
    let start = Instant::now() - Duration::from_secs(1);
    let permits = Arc::new(Semaphore::new(20));
    plan.times.measured_from = start;
    plan.pace = Pace::Open { schedule: Schedule::new(start, 1_000), permits };
    let stats = run(&Arc::new(plan), vec![0]).unwrap();
    assert_eq!(stats.with_status(201), 20);
    assert!(stats.latency_us.min() >= 980_000, "{}", stats.latency_us.min());
}

#[test]
fn scatter_is_even() {
    let mut counts = [0_u32; 10];
    for number in 0..10_000 {
        counts[scatter(number) as usize % 10] += 1;
    }
    assert!(counts.iter().all(|count| (800..1200).contains(count)), "{counts:?}");
}

#[test]
fn reads_are_a_share_of_the_requests_with_their_own_counts() {
    const FOUND: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
    let address = server(vec![Reaction::Answer(FOUND)]);
    let mut plan = plan(address, 1_000, 10_000);
    (plan.reads, plan.wanted) = (30, 200);
    let stats = run(&Arc::new(plan), (0..4).collect()).unwrap();
    assert_eq!(stats.reads + stats.orders, 1_000);
    assert!((230..370).contains(&stats.reads), "{}", stats.reads);
    assert_eq!((stats.read_latency_us.len(), stats.latency_us.len()), (stats.reads, stats.orders));
}

#[test]
fn the_orders_of_a_batch_count_one_by_one() {
    const RESULTS: &str = "HTTP/1.1 200 OK\r\ncontent-length: 42\r\n\r\n\
        [{\"status\":201,},{\"status\":409,},\"padded\"]";
    let address = server(vec![Reaction::Answer(RESULTS)]);
    let mut plan = plan(address, 10, 10_000);
    plan.shape.batch = 2;
    let stats = run(&Arc::new(plan), vec![0]).unwrap();
    assert_eq!((stats.orders, stats.in_time, stats.with_status(200)), (10, 10, 10));
    assert!(stats.quotes[&200].contains("409"), "a refusal is quoted");
}
