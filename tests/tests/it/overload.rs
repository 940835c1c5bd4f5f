//! Overload: nodes refuse the excess quickly and clearly and serve the rest. Nothing grows without
//! bound, and refusals end with the overload.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tests::load::Load;
use tests::raw::{Connection, Reply};
use tests::shop::{self, ORDERS, PRODUCTS};
use tests::{Cluster, Options, wait};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

/// The offered load, as a multiple of the measured capacity.
const TIMES: u64 = 5;

/// How long the overload lasts.
const OFFERED: Duration = Duration::from_secs(6);

/// How long one of several measurements takes.
const WINDOW: Duration = Duration::from_secs(3);

/// How long a request may take: longer than any node answers.
const ANSWERED: Duration = Duration::from_secs(15);

/// The number of requests by status and code.
#[derive(Default)]
struct Tally {
    answers: BTreeMap<String, u64>,
    slowest: Duration,
    slowest_refusal: Duration,
}

impl Tally {
    fn add(&mut self, other: Self) {
        for (answer, count) in other.answers {
            *self.answers.entry(answer).or_default() += count;
        }
        self.slowest = self.slowest.max(other.slowest);
        self.slowest_refusal = self.slowest_refusal.max(other.slowest_refusal);
    }

    fn of(&self, answer: &str) -> u64 {
        self.answers.get(answer).copied().unwrap_or(0)
    }
}

/// One of many connections: sends the next due request, independently of the others.
async fn offer(
    address: SocketAddr,
    product: u64,
    start: Instant,
    per_second: u64,
    next: Arc<AtomicU64>,
    time: Duration,
) -> Tally {
    let mut tally = Tally::default();
    let mut connection = Connection::open(address).await;
    let body = shop::order(product, 1, "none").to_string();
    let request = format!(
        "POST {ORDERS} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let due = start + Duration::from_nanos(number * 1_000_000_000 / per_second);
        if due >= start + time || start.elapsed() >= time {
            return tally;
        }
        sleep_until(due).await;
        let sent = Instant::now();
        connection.send(request.as_bytes()).await;
        let Reply::Answer(answer) = connection.answer(ANSWERED).await else {
            *tally.answers.entry("no answer".to_owned()).or_default() += 1;
            connection = Connection::open(address).await;
            continue;
        };
        let mut name = answer.status.to_string();
        if answer.status != 201 {
            let problem = answer.problem_of_any_kind();
            name = format!("{name} {}", problem["error"].as_str().unwrap_or_default());
        }
        if answer.status == 503 {
            assert!(answer.header("retry-after").is_some(), "{}", answer.text());
            tally.slowest_refusal = tally.slowest_refusal.max(sent.elapsed());
        }
        *tally.answers.entry(name).or_default() += 1;
        tally.slowest = tally.slowest.max(sent.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_times_too_much_is_refused_clearly_and_the_rest_goes_on() {
    let cluster = Options::new("five_times_too_much").alone();
    // A short queue, which three hundred requests at a time do not fit into, however quick it is.
    let cluster = cluster.flag("--queue-ms-max", "150").flag("--queue-max", "200").start().await;
    let mut random = cluster.random(1);
    let caller = cluster.caller();
    let product = shop::create_product(caller, &mut random, "1.00", 9_000_000).await;

    // The capacity: clients wait for each answer.
    let load = Load::start(caller, cluster.seed(), product, "none", 48);
    load.progress(200).await;
    let (before, begun) = (load.acknowledged(), Instant::now());
    tokio::time::sleep(Duration::from_secs(3)).await;
    let done = (load.acknowledged() - before) as f64 / begun.elapsed().as_secs_f64();
    load.stop().await;
    let memory = memory_mib(&cluster);

    let per_second = (done as u64).max(50) * TIMES;
    let (start, next) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let mut offers = JoinSet::new();
    for number in 0..900 {
        let address = caller.address(1 + number % 3);
        let next = Arc::clone(&next);
        offers.spawn(offer(address, product, start, per_second, next, OFFERED));
    }
    let tally = all(offers).await;
    let good = tally.of("201") as f64 / OFFERED.as_secs_f64();
    let grown = memory_mib(&cluster).saturating_sub(memory);
    println!(
        "done {done:.0}/s, offered {per_second}/s: good {good:.0}/s, slowest {:?}, slowest refusal \
         {:?}, memory +{grown} MiB, {:?}",
        tally.slowest, tally.slowest_refusal, tally.answers
    );
    // The clients use the same cores as the nodes, so the nodes place fewer orders than before. But
    // they must still place many.
    assert!(good > done * 0.25, "{good:.0} of {done:.0} a second");
    let asked: u64 = tally.answers.values().sum();
    let doubtful = asked - tally.of("201") - tally.of("503 overloaded");
    assert!(doubtful <= asked / 20, "{:?}", tally.answers);
    assert_eq!(tally.of("no answer"), 0);
    // If nearly all requests succeeded, the cluster was not overloaded.
    let too_much = good < per_second as f64 * 0.5;
    assert!(!too_much || tally.of("503 overloaded") > 0, "{:?}", tally.answers);
    assert!(tally.slowest_refusal < Duration::from_secs(3), "{:?}", tally.slowest_refusal);
    assert!(grown < 400, "memory grew by {grown} MiB");

    // The refusals end at once.
    let single = shop::place(&shop::order(product, 1, "none"));
    wait::until("a lone order was quick again", Duration::from_secs(30), async || {
        let asked = Instant::now();
        let answer = caller.ask(2, &single).await;
        let took = asked.elapsed();
        if answer.status == 201 && took < Duration::from_millis(500) {
            Ok(())
        } else {
            Err(format!("{} after {took:?}", answer.status))
        }
    })
    .await;
    cluster.agree().await;
}

/// The sum of the tallies of these clients.
async fn all(mut offers: JoinSet<Tally>) -> Tally {
    let mut tally = Tally::default();
    while let Some(seen) = offers.join_next().await {
        tally.add(seen.expect("no client panics"));
    }
    tally
}

/// Offers orders over `connections` connections, at most `per_second` a second.
async fn offered(cluster: &Cluster, product: u64, connections: u64, per_second: u64) -> Tally {
    let (start, next) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let mut offers = JoinSet::new();
    for number in 0..connections {
        let address = cluster.caller().address(1 + number % 3);
        offers.spawn(offer(address, product, start, per_second, Arc::clone(&next), WINDOW));
    }
    all(offers).await
}

/// The median of an odd number of values.
fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

/// Slow syncs and a bounded queue limit this cluster, as they do in production. The processors are
/// no fair limit, because the clients use the same ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_ten_times_the_capacity_goodput_stays_near_its_peak() {
    const QUEUE: u64 = 6;
    let options = Options::new("at_ten_times_the_capacity").alone();
    let options = options.sync_delay(Duration::from_millis(100));
    let cluster = options.flag("--queue-max", &QUEUE.to_string()).start().await;
    let mut random = cluster.random(1);
    let product = shop::create_product(cluster.caller(), &mut random, "1.00", 9_000_000).await;
    let (mut peaks, mut goods) = (Vec::new(), Vec::new());
    // Measured by turns, so that other work of the machine slows both down.
    for _ in 0..5 {
        // As many clients as fit into the queues; each waits for its answer.
        let tally = offered(&cluster, product, 3 * QUEUE, 1_000_000).await;
        let peak = tally.of("201") as f64 / WINDOW.as_secs_f64();
        let per_second = (peak as u64).max(10) * 10;
        let over = offered(&cluster, product, 300, per_second).await;
        let good = over.of("201") as f64 / WINDOW.as_secs_f64();
        let asked: u64 = over.answers.values().sum();
        println!("peak {peak:.0}/s, offered {per_second}/s: good {good:.0}/s, {:?}", over.answers);
        let doubtful = asked - over.of("201") - over.of("503 overloaded");
        assert!(doubtful <= asked / 20, "{:?}", over.answers);
        assert!(over.slowest_refusal < Duration::from_secs(2), "{:?}", over.slowest_refusal);
        let was_too_much = asked as f64 > 5.0 * peak * WINDOW.as_secs_f64();
        assert!(was_too_much, "only {asked} were offered of {per_second} a second");
        peaks.push(peak);
        goods.push(good);
    }
    let (peak, good) = (median(peaks), median(goods));
    assert!(good >= 0.8 * peak, "{good:.0}/s of {peak:.0}/s at its best");
    cluster.agree().await;
}

/// The memory of all nodes, in MiB.
fn memory_mib(cluster: &Cluster) -> u64 {
    cluster.active().into_iter().map(|node| cluster.memory_kib(node)).sum::<u64>() / 1024
}

/// Connects from one of the loopback addresses.
async fn connect_from(last: u8, to: SocketAddr) -> std::io::Result<tokio::net::TcpStream> {
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(IpAddr::from([127, 0, 0, last]), 0))?;
    socket.connect(to).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_idle_connections_and_floods_of_headers_delay_no_client() {
    let cluster =
        Options::new("ten_thousand_idle_connections_and_floods_of_headers_delay_no_client")
            .alone()
            .start()
            .await;
    let mut random = cluster.random(1);
    let product = shop::create_product(cluster.caller(), &mut random, "1.00", 1_000).await;
    let address = cluster.caller().address(1);
    let before = cluster.memory_kib(1) / 1024;

    // From one address, a tenth of them may stay; the others are refused.
    let (mut idle, mut refused) = (Vec::new(), 0);
    for _ in 0..10_000 {
        let stream = connect_from(77, address).await.expect("the port is open");
        let mut byte = [0];
        match stream.try_read(&mut byte) {
            Ok(_) => refused += 1,
            Err(_) => idle.push(stream),
        }
    }
    // Now the late refusals have arrived too.
    wait::until("the refused were told", wait::READY, async || {
        let mut byte = [0];
        let mut told = |stream: &tokio::net::TcpStream| stream.try_read(&mut byte).is_ok();
        refused += idle.extract_if(.., |stream| told(stream)).count();
        match (idle.len(), refused) {
            (1_000, 9_000) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;

    // Endless headers from another address.
    let mut floods = JoinSet::new();
    for _ in 0..20 {
        floods.spawn(async move {
            let stream = connect_from(78, address).await.expect("the port is open");
            let (mut answer, mut request) = stream.into_split();
            let line = "X-Flood: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n".repeat(40);
            let flood = async {
                use tokio::io::AsyncWriteExt as _;
                let head = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n";
                let mut sent = request.write_all(head).await;
                while sent.is_ok() {
                    sent = request.write_all(line.as_bytes()).await;
                }
            };
            let read = async {
                use tokio::io::AsyncReadExt as _;
                let mut text = Vec::new();
                let _ = answer.read_to_end(&mut text).await;
                String::from_utf8_lossy(&text).into_owned()
            };
            let ended = timeout(ANSWERED, async { tokio::join!(flood, read).1 }).await;
            ended.expect("a flood is ended")
        });
    }

    // Other clients meanwhile.
    let place = shop::place(&shop::order(product, 1, "none"));
    for _ in 0..50 {
        let asked = Instant::now();
        cluster.caller().ask(1, &place).await.expect(201);
        cluster.caller().get(1, &format!("{PRODUCTS}/{product}")).await.expect(200);
        assert!(asked.elapsed() < Duration::from_secs(2), "others wait: {:?}", asked.elapsed());
    }
    for text in floods.join_all().await {
        assert!(text.is_empty() || text.starts_with("HTTP/1.1 431 "), "{text}");
    }
    let grown = (cluster.memory_kib(1) / 1024).saturating_sub(before);
    println!("{} idle, {refused} refused, memory +{grown} MiB", idle.len());
    assert!(grown < 200, "memory grew by {grown} MiB");
    // Closed connections make room for new ones.
    drop(idle);
    wait::until("an address that was full can connect again", wait::READY, async || {
        let stream = connect_from(77, address).await.expect("the port is open");
        tokio::time::sleep(Duration::from_millis(50)).await;
        let mut byte = [0];
        if stream.try_read(&mut byte).is_err() { Ok(()) } else { Err("refused".to_owned()) }
    })
    .await;
    cluster.agree().await;
}
