//! Events over three real processes: the same on every node, resumed on any node without a gap or a
//! duplicate, 410 after retention removed them, and cheap for idle subscribers.

use std::collections::HashSet;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use client::wire::{ErrorCode, Event};
use client::{Client, EventQuery, EventStream};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tests::load::Load;
use tests::shop::{self, ORDERS};
use tests::{Call, Caller, Cluster, Options, cluster, wait};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::Message;

/// Stock of the products: more than the clients buy.
const STOCK: u64 = 10_000_000;

/// The longest wait for one event.
const PATIENCE: Duration = Duration::from_secs(30);

fn client(caller: &Caller) -> Client {
    Client::builder().base_urls(caller.urls()).deadline(PATIENCE).build().expect("URLs")
}

/// A stream that uses one node only.
fn from_node(caller: &Caller, node: u64, query: &EventQuery) -> EventStream {
    let index = usize::try_from(node - 1).expect("few nodes");
    client(caller).pinned(index).expect("a node").events(query)
}

fn after(id: &str) -> EventQuery {
    EventQuery { after: Some(id.to_owned()), ..EventQuery::default() }
}

async fn next(stream: &mut EventStream) -> Event {
    let event = timeout(PATIENCE, stream.next()).await.expect("an event in time");
    event.unwrap_or_else(|error| panic!("{error}: {:?}", error.report()))
}

/// Events up to the one with this id.
async fn up_to(stream: &mut EventStream, last: &str) -> Vec<Event> {
    let mut events = Vec::new();
    while events.last().is_none_or(|event: &Event| event.id != last) {
        events.push(next(stream).await);
    }
    events
}

/// Places `count` orders that stay open, in one batch.
async fn place_batch(caller: &Caller, node: u64, product: u64, count: u64) {
    let order = json!({
        "items": [{"product_id": product, "quantity": 1}], "payment_method": "none", "user_id": 7,
    });
    let orders: Vec<_> = (0..count).map(|_| order.clone()).collect();
    let body = json!({"atomic": false, "orders": orders});
    caller.ask(node, &Call::post(format!("{ORDERS}/batch"), &body)).await.expect(200);
}

/// The number of events by kind that follows from the current orders.
async fn expected_counts(caller: &Caller, node: u64) -> Vec<(&'static str, u64)> {
    let mut counts = Vec::new();
    for (kind, query) in [
        ("order.placed", ""),
        ("order.paid", "status=PAID"),
        ("order.failed", "status=FAILED"),
        ("order.cancelled", "status=CANCELLED"),
    ] {
        counts.push((kind, shop::order_total(caller, node, query).await));
    }
    counts
}

fn assert_in_order(events: &[Event]) {
    let place = |event: &Event| -> (u64, u32) {
        let (position, n) = event.id.split_once('.').expect("a position and a number");
        (position.parse().expect("a position"), n.parse().expect("a number"))
    };
    assert!(events.is_sorted_by(|one, next| place(one) < place(next)), "order or doubles");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_resume_on_other_nodes_without_gap_or_duplicate() {
    let options = Options::new("streams_resume_on_other_nodes_without_gap_or_duplicate").alone();
    let mut cluster = options.start().await;
    let caller = cluster.caller().clone();
    let mut random = cluster.random(1);
    let product = shop::create_product(&caller, &mut random, "3.00", STOCK).await;
    let load = Load::start(&caller, cluster.seed(), product, "mock", 8);

    // One subscriber knows all nodes and picks one by itself.
    let all = client(&caller);
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let following = tokio::spawn(async move {
        let mut stream = all.events(&after("0.0"));
        loop {
            let event = stream.next().await.expect("some node answers");
            if tell.send(event).is_err() {
                return;
            }
        }
    });
    // Another moves from node to node; each node is killed while it streams.
    let mut by_hand: Vec<Event> = Vec::new();
    for node in [1, 2, 3, 1] {
        let last = by_hand.last().map_or("0.0".to_owned(), |event| event.id.clone());
        let mut stream = from_node(&caller, node, &after(&last));
        for _ in 0..150 {
            by_hand.push(next(&mut stream).await);
        }
        cluster.kill(node);
        load.progress(20).await;
        cluster.restart(node);
        cluster.wait_node_ready(node).await;
    }
    load.stop().await;
    shop::all_settled(&caller, 1).await;
    cluster.agree().await;

    // The state tells how many events there must be, and so which one is the last.
    let counts = expected_counts(&caller, 1).await;
    let wanted: u64 = counts.iter().map(|(_, count)| count).sum();
    let mut stream = from_node(&caller, 1, &after("0.0"));
    let mut events: Vec<Event> = Vec::new();
    let mut found = 0;
    while found < wanted {
        let event = next(&mut stream).await;
        found += u64::from(counts.iter().any(|(kind, _)| event.event_type == *kind));
        events.push(event);
    }
    assert_in_order(&events);
    for (kind, count) in &counts {
        let found = events.iter().filter(|event| event.event_type == *kind).count() as u64;
        assert_eq!(found, *count, "{kind}");
    }
    let placed = events.iter().filter(|event| event.event_type == "order.placed");
    let orders: HashSet<_> = placed.map(|event| event.order_id).collect();
    assert_eq!(orders.len() as u64, counts[0].1, "each order is placed once");

    let last = events.last().expect("there were events").id.clone();
    for node in [2, 3] {
        let same = up_to(&mut from_node(&caller, node, &after("0.0")), &last).await;
        assert!(same == events, "node {node} tells something else");
    }
    let mut rest = from_node(&caller, 3, &after(&by_hand.last().expect("events").id));
    by_hand.extend(up_to(&mut rest, &last).await);
    assert!(by_hand == events, "{} of {} by hand", by_hand.len(), events.len());
    let mut automatic: Vec<Event> = Vec::new();
    while automatic.last().is_none_or(|event| event.id != last) {
        let event = timeout(PATIENCE, told.recv()).await.expect("in time");
        automatic.push(event.expect("it goes on"));
    }
    following.abort();
    assert!(automatic == events, "{} of {} by itself", automatic.len(), events.len());
    assert_filters(&caller, product, &events).await;
    assert_command_line(&caller, &events);
}

/// Checks that a filtered stream equals the filtered whole stream.
async fn assert_filters(caller: &Caller, product: u64, events: &[Event]) {
    let ends = |event: &&Event| matches!(&*event.event_type, "order.paid" | "order.failed");
    let wanted: Vec<_> = events.iter().filter(ends).cloned().collect();
    let types = vec!["order.paid".to_owned(), "order.failed".to_owned()];
    let query = EventQuery { types, product_id: Some(product), ..after("0.0") };
    let mut stream = from_node(caller, 2, &query);
    let found = up_to(&mut stream, &wanted.last().expect("orders ended").id).await;
    assert!(found == wanted, "{} of {}", found.len(), wanted.len());
}

/// Checks that the command line shows the same events.
fn assert_command_line(caller: &Caller, events: &[Event]) {
    let mut command = cluster::holdfast();
    command.args(["events", "--json", "--types", "order.*", "--url", &caller.urls()[1]]);
    let output = command.output().expect("the binary runs");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let shown: Vec<Event> =
        text.lines().map(|line| serde_json::from_str(line).expect("an event")).collect();
    let wanted = events.iter().filter(|event| event.event_type.starts_with("order."));
    assert!(shown.iter().eq(wanted), "{} events shown", shown.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_waits_for_an_id_that_it_has_not_reached_and_refuses_a_foreign_one() {
    let cluster =
        Cluster::start("a_node_waits_for_an_id_that_it_has_not_reached_and_refuses_a_foreign_one")
            .await;
    let caller = cluster.caller();
    let mut random = cluster.random(1);
    let product = shop::create_product(caller, &mut random, "1.00", STOCK).await;
    for round in 0..30_u64 {
        // The next node is asked to continue after an id that it may not have applied yet.
        let (here, there) = (1 + round % 3, 1 + (round + 1) % 3);
        let order = shop::place(&shop::order(product, 1, "none"));
        let placed = caller.ask(here, &order).await.expect(201);
        let id = format!("{}.0", placed.position());
        let mut stream = from_node(caller, there, &after(&id));
        stream.open().await.expect("the node waits until it knows the id");
        let later = caller.ask(there, &order).await.expect(201);
        assert_eq!(next(&mut stream).await.order_id, Some(shop::id(&later.data())));
    }
    let mut stream = from_node(caller, 1, &after("9007199254740991.0"));
    let error = stream.open().await.expect_err("nobody gave that id out");
    let code = error.report().and_then(|report| report.cause.code());
    assert_eq!(code, Some(ErrorCode::ValidationError), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn removed_events_are_410_on_every_node_and_after_a_restart() {
    let options = Options::new("removed_events_are_410_on_every_node_and_after_a_restart")
        .flag("--event-retention-count", "600");
    let mut cluster = options.start().await;
    let mut random = cluster.random(1);
    let product = shop::create_product(cluster.caller(), &mut random, "1.00", STOCK).await;
    let first = next(&mut from_node(cluster.caller(), 1, &after("0.0"))).await.id;
    for node in [1, 2, 3] {
        place_batch(cluster.caller(), node, product, 500).await;
    }
    cluster.agree().await;
    let gone = async |cluster: &Cluster, node| {
        let path = format!("/api/v1/events?after={first}");
        let problem = cluster.caller().get(node, &path).await.problem(410, "events_gone");
        let detail = problem["detail"].as_str().expect("words").to_owned();
        let floor = detail.strip_prefix("Events up to ").and_then(|rest| rest.split(' ').next());
        floor.expect("the floor").to_owned()
    };
    let mut floors = Vec::new();
    for node in [1, 2, 3] {
        floors.push(gone(&cluster, node).await);
    }
    assert!(floors.iter().all(|floor| *floor == floors[0]), "{floors:?}");
    cluster.kill_all();
    cluster.restart_all();
    cluster.wait_ready().await;
    for node in [1, 2, 3] {
        assert_eq!(gone(&cluster, node).await, floors[0], "node {node}");
        // Every later event is there, also those on disk.
        let mut stream = from_node(cluster.caller(), node, &after(&floors[0]));
        let mut events = Vec::new();
        while events.last().is_none_or(|event: &Event| event.order_id != Some(1500)) {
            events.push(next(&mut stream).await);
        }
        assert_in_order(&events);
        assert!((600..1112).contains(&events.len()), "{} events", events.len());
    }
}

/// Opens a stream from the given local address, and reads the head of the answer.
async fn listen(from: IpAddr, node: SocketAddr, query: &str, buffer: Option<u32>) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    if let Some(bytes) = buffer {
        socket.set_recv_buffer_size(bytes).expect("a small buffer");
    }
    socket.bind(SocketAddr::new(from, 0)).expect("a loopback address");
    let mut stream = socket.connect(node).await.expect("a connection");
    let head = format!("GET /api/v1/events{query} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    stream.write_all(head.as_bytes()).await.expect("the request goes out");
    let mut piece = [0; 15];
    timeout(PATIENCE, stream.read_exact(&mut piece)).await.expect("in time").expect("a head");
    assert_eq!(&piece, b"HTTP/1.1 200 OK");
    stream
}

/// Processor time that a process has used so far.
fn processor_time(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("a process");
    let fields: Vec<&str> = stat.rsplit(')').next().expect("a name").split_whitespace().collect();
    let number = |at: usize| fields[at].parse::<u64>().expect("a number of ticks");
    let ticks = number(11) + number(12);
    Duration::from_millis(ticks * 10)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_idle_subscribers_cost_little() {
    const SUBSCRIBERS: u64 = 1_000;
    let cluster = Options::new("a_thousand_idle_subscribers_cost_little").alone().start().await;
    let caller = cluster.caller();
    let mut random = cluster.random(1);
    let product = shop::create_product(caller, &mut random, "1.00", STOCK).await;
    let node = cluster.follower().await;
    let pid = cluster.pid(node);
    let (memory, time, from) = (cluster.memory_kib(node), processor_time(pid), Instant::now());
    tokio::time::sleep(Duration::from_secs(4)).await;
    let alone =
        processor_time(pid).saturating_sub(time).as_secs_f64() / from.elapsed().as_secs_f64();

    let mut listeners = Vec::new();
    for number in 0..SUBSCRIBERS {
        let from = IpAddr::from([127, 0, 1, u8::try_from(number % 10).expect("below 10") + 1]);
        let query = format!("?user_id={}", 1 + number % 2);
        listeners.push(listen(from, caller.address(node), &query, None).await);
    }
    let each_kib = cluster.memory_kib(node).saturating_sub(memory) as f64 / SUBSCRIBERS as f64;
    let (time, from) = (processor_time(pid), Instant::now());
    tokio::time::sleep(Duration::from_secs(8)).await;
    let idle =
        processor_time(pid).saturating_sub(time).as_secs_f64() / from.elapsed().as_secs_f64();
    println!("a subscriber takes {each_kib:.1} KiB; {idle:.3} of a core with, {alone:.3} without");
    assert!(each_kib < 64.0, "{each_kib} KiB each");
    assert!(idle < alone + 0.25, "{idle} of a core where {alone} was used before");

    // Every matching subscriber soon receives the event of an order.
    let mut order = shop::order(product, 1, "none");
    order["user_id"] = json!(2);
    caller.ask(node, &shop::place(&order)).await.expect(201);
    let placed = Instant::now();
    let mut heard = 0;
    for (number, listener) in listeners.iter_mut().enumerate() {
        if number % 2 == 1 {
            wait_for(listener, b"event: order.placed").await;
            heard += 1;
        }
    }
    println!("{heard} subscribers heard within {:?}", placed.elapsed());
    assert!(placed.elapsed() < Duration::from_secs(5), "{:?}", placed.elapsed());
}

/// Reads until these bytes have arrived.
async fn wait_for(stream: &mut TcpStream, bytes: &[u8]) {
    let (mut text, mut piece) = (Vec::new(), [0; 4096]);
    while !text.windows(bytes.len()).any(|window| window == bytes) {
        let read = timeout(PATIENCE, stream.read(&mut piece)).await.expect("in time");
        let length = read.expect("an open stream");
        assert!(length > 0, "the stream ended: {}", String::from_utf8_lossy(&text));
        text.extend_from_slice(&piece[..length]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_that_does_not_read_is_disconnected_and_others_miss_nothing() {
    let cluster =
        Cluster::start("a_subscriber_that_does_not_read_is_disconnected_and_others_miss_nothing")
            .await;
    let caller = cluster.caller();
    let mut random = cluster.random(1);
    let product = shop::create_product(caller, &mut random, "1.00", STOCK).await;
    let own = IpAddr::from([127, 0, 0, 1]);
    let _lazy = listen(own, caller.address(1), "", Some(4096)).await;
    let mut eager = from_node(caller, 1, &EventQuery::default());
    eager.open().await.expect("a stream");
    let reading = tokio::spawn(async move {
        let mut orders = Vec::new();
        while orders.len() < 20_000 {
            orders.extend(next(&mut eager).await.order_id);
        }
        orders
    });
    for _ in 0..20 {
        place_batch(caller, 2, product, 1_000).await;
    }
    let orders = reading.await.expect("the other one goes on");
    assert!(orders.iter().copied().eq(1..=20_000), "no gap and no double");
    wait::until("the lazy one is cut off", Duration::from_secs(60), async || {
        let metrics = caller.get(1, "/metrics").await.expect(200).text();
        let line = "event_subscribers_cut_off_total{transport=\"sse\"} 1";
        if metrics.contains(line) { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await;
    caller.get(1, "/livez").await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_on_any_node_tells_users_how_their_orders_end() {
    let cluster = Cluster::start("a_websocket_on_any_node").await;
    let caller = cluster.caller();
    let mut random = cluster.random(1);
    let product = shop::create_product(caller, &mut random, "2.50", STOCK).await;
    for node in [1, 2, 3] {
        let stream = TcpStream::connect(caller.address(node)).await.expect("a connection");
        let opened = tokio_tungstenite::client_async("ws://localhost/api/v1/ws", stream).await;
        let (mut socket, _) = opened.expect("a WebSocket");
        let say = json!({"subscribe": format!("private-orders.{node}")});
        socket.send(Message::text(say.to_string())).await.expect("it goes out");
        let mut hear = async || loop {
            let message = timeout(PATIENCE, socket.next()).await.expect("in time");
            if let Message::Text(text) = message.expect("open").expect("a message") {
                return serde_json::from_str::<Value>(&text).expect("JSON");
            }
        };
        assert_eq!(hear().await["event"], "subscribed");
        let mut order = shop::order(product, 2, "none");
        order["user_id"] = json!(node);
        // Placed and cancelled on another node.
        let elsewhere = 1 + node % 3;
        let placed = caller.ask(elsewhere, &shop::place(&order)).await.expect(201);
        let id = shop::id(&placed.data());
        caller.ask(elsewhere, &shop::cancel(id)).await.expect(200);
        let frame = hear().await;
        assert_eq!(frame["event"], "OrderCancelled", "{frame}");
        assert_eq!(frame["channel"], format!("private-orders.{node}"));
        assert_eq!(
            (&frame["data"]["order_id"], &frame["data"]["status"]),
            (&json!(id), &json!("CANCELLED"))
        );

        order["payment_method"] = json!("mock");
        let placed = caller.ask(elsewhere, &shop::place(&order)).await.expect(201);
        let frame = hear().await;
        let order = shop::settled(caller, node, shop::id(&placed.data())).await;
        let name = if order["status"] == "PAID" { "OrderPaid" } else { "OrderFailed" };
        assert_eq!(frame["event"], name, "{frame}");
        assert_eq!(frame["data"]["order_id"], order["id"], "{frame}");
        assert_eq!(frame["data"]["total_amount"], "5.00", "{frame}");
    }
}
