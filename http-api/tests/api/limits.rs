//! Limits: slow clients, many connections, shutdown.

use std::time::{Duration, Instant};

use http_api::{Server, Settings};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::harness::{Fixture, order, read_all, settings};

fn hasty() -> Settings {
    let short = Duration::from_millis(300);
    Settings {
        header_timeout: short,
        body_timeout: short,
        write_timeout: short,
        idle_timeout: Duration::from_millis(1200),
        ..settings()
    }
}

async fn connect(fixture: &Fixture) -> TcpStream {
    TcpStream::connect(fixture.address).await.unwrap()
}

/// Begins an order of `length` bytes, and waits until the server asks for them.
async fn begin(fixture: &Fixture, length: usize) -> TcpStream {
    let mut stream = connect(fixture).await;
    let head =
        "POST /api/v1/orders HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    let head = format!("{head}Expect: 100-continue\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).await.unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_heads_and_bodies_are_timed_out_and_delay_nobody() {
    let fixture = Fixture::with(hasty()).await;
    let product = fixture.product("1.00", 10).await;
    let before = fixture.look().await;
    let started = Instant::now();
    // One byte at a time, for longer than a head may take.
    let mut head = connect(&fixture).await;
    let dripping = async {
        for byte in b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX: yyyyyyyyyyyyyyy".chunks(1) {
            if head.write_all(byte).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        read_all(&mut head, Duration::from_secs(5)).await
    };
    let body = async {
        let mut stream = connect(&fixture).await;
        let head =
            "POST /api/v1/orders HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
        stream.write_all(format!("{head}Content-Length: 100\r\n\r\n{{").as_bytes()).await.unwrap();
        read_all(&mut stream, Duration::from_secs(5)).await
    };
    // A slow body is no better.
    let drops = async {
        let mut stream = connect(&fixture).await;
        let head =
            "POST /api/v1/orders HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
        stream.write_all(format!("{head}Content-Length: 100\r\n\r\n").as_bytes()).await.unwrap();
        for _ in 0..80 {
            if stream.write_all(b" ").await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        read_all(&mut stream, Duration::from_secs(5)).await
    };
    let others = async {
        for _ in 0..20 {
            let asked = Instant::now();
            fixture.get("/livez").await.expect(200);
            assert!(asked.elapsed() < Duration::from_millis(250), "{:?}", asked.elapsed());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let (head, body, drops, ()) = tokio::join!(dripping, body, drops, others);
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    for raw in [&head, &body, &drops] {
        assert_eq!((raw.status(), raw.closed), (Some(408), true), "{raw:?}");
        assert!(raw.text.contains("\"request_timeout\""), "{raw:?}");
        assert!(raw.text.contains("x-trace-id: "), "{raw:?}");
    }
    assert_eq!(fixture.look().await, before);
    // A client that is slow but within the timeouts is served.
    let mut slow = connect(&fixture).await;
    let text = order(product, 1).to_string();
    let head = format!(
        "POST /api/v1/orders HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        text.len()
    );
    for piece in [head.as_str(), &text[..5], &text[5..]] {
        slow.write_all(piece.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(80)).await;
    }
    assert_eq!(read_all(&mut slow, Duration::from_secs(5)).await.status(), Some(201));
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_live_longer_than_heads_and_end() {
    let fixture = Fixture::with(hasty()).await;
    let mut stream = connect(&fixture).await;
    for _ in 0..2 {
        // Longer than a head may take, shorter than a connection may be idle.
        tokio::time::sleep(Duration::from_millis(600)).await;
        stream.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        let mut piece = [0; 2048];
        let length = stream.read(&mut piece).await.unwrap();
        assert!(piece[..length].starts_with(b"HTTP/1.1 200"));
    }
    let idle = Instant::now();
    let raw = read_all(&mut stream, Duration::from_secs(10)).await;
    assert!(raw.closed && raw.text.is_empty(), "{raw:?}");
    assert!(idle.elapsed() > Duration::from_millis(900), "{:?}", idle.elapsed());
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unread_answer_does_not_keep_its_connection() {
    let fixture = Fixture::with(hasty()).await;
    let name = "x".repeat(255);
    for _ in 0..40 {
        let body = json!({"name": name, "price": "1", "stock": 1});
        fixture.post("/api/v1/products", &body).await.expect(201);
    }
    // A small receive window, so that buffers cannot hold all answers.
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(fixture.address).await.unwrap();
    let ask =
        "GET /api/v1/products?consistency=stale HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(2_000);
    let write = tokio::time::timeout(Duration::from_secs(10), stream.write_all(ask.as_bytes()));
    let _ = write.await.expect("the server takes the requests or closes");
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    // Reading now gets the buffered bytes and then the end, far fewer than all answers.
    let raw = read_all(&mut stream, Duration::from_secs(5)).await;
    assert!(raw.closed, "still open");
    assert!(raw.text.matches("HTTP/1.1 200").count() < 2_000);
    fixture.get("/livez").await.expect(200);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_beyond_the_limit_are_refused_and_seats_come_back() {
    let settings = Settings { connections_per_address_max: 20, ..settings() };
    let fixture = Fixture::with(settings).await;
    // Another address than that of the fixture, whose own connections may still be closing.
    let connect = async || {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        socket.connect(fixture.address).await.unwrap()
    };
    let mut idle = Vec::new();
    for _ in 0..20 {
        idle.push(connect().await);
    }
    let mut extra = connect().await;
    let raw = read_all(&mut extra, Duration::from_secs(5)).await;
    assert_eq!((raw.status(), raw.closed), (Some(503), true), "{raw:?}");
    assert!(raw.text.contains("\"overloaded\"") && raw.text.contains("retry-after: 1"), "{raw:?}");
    idle.truncate(15);
    let served = async || {
        let mut stream = connect().await;
        let ask = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(ask).await.is_ok()
            && read_all(&mut stream, Duration::from_secs(5)).await.status() == Some(200)
    };
    fixture.until("served again", served).await;
    drop(idle);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stops_finishes_what_runs() {
    let fixture = Fixture::start().await;
    let product = fixture.product("1.00", 10).await;
    let address = fixture.address;
    let body = order(product, 1).to_string();
    let mut running = begin(&fixture, body.len()).await;
    running.write_all(&body.as_bytes()[..5]).await.unwrap();
    let mut idle = connect(&fixture).await;
    idle.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut piece = [0; 2048];
    let length = idle.read(&mut piece).await.unwrap();
    assert!(piece[..length].starts_with(b"HTTP/1.1 200"));
    let stopping = tokio::spawn(fixture.stop_server(Duration::from_secs(5)));
    // The idle connection closes at once, new ones are refused, the request still gets its answer.
    assert!(read_all(&mut idle, Duration::from_secs(5)).await.closed);
    let refused = tokio::time::timeout(Duration::from_secs(5), async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    refused.await.expect("the listener is gone");
    running.write_all(&body.as_bytes()[5..]).await.unwrap();
    let raw = read_all(&mut running, Duration::from_secs(5)).await;
    assert_eq!((raw.status(), raw.closed), (Some(201), true), "{raw:?}");
    stopping.await.unwrap().stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_does_not_wait_for_ever_to_stop() {
    let fixture = Fixture::start().await;
    let mut stuck = begin(&fixture, 9).await;
    stuck.write_all(b"{").await.unwrap();
    let asked = Instant::now();
    let node = fixture.stop_server(Duration::from_millis(200)).await;
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    assert!(read_all(&mut stuck, Duration::from_secs(5)).await.closed);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_settings_are_refused() {
    let fixture = Fixture::start().await;
    let settings = Settings { request_timeout: Duration::ZERO, ..settings() };
    let error =
        Server::bind("127.0.0.1:0".parse().unwrap(), fixture.handle.clone(), settings).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    assert!(error.to_string().contains("request_timeout"), "{error}");
    let taken = Server::bind(fixture.address, fixture.handle.clone(), Settings::default()).await;
    assert_eq!(taken.unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
    fixture.stop().await;
}

/// Sends all but the last bytes of a body, and keeps the connection.
async fn stall(fixture: &Fixture, path: &str, sent: usize, announced: usize) -> TcpStream {
    let mut stream = connect(fixture).await;
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {announced}\r\n\r\n"
    );
    let body = " ".repeat(sent);
    stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_count_as_they_arrive_and_kinds_do_not_keep_each_other_out() {
    let settings = Settings {
        batch_bytes_max: 20 << 10,
        body_bytes_max: 4 << 10,
        bodies_in_flight_bytes_max: 40 << 10,
        ..settings()
    };
    let fixture = Fixture::with(settings).await;
    let product = fixture.product("1.00", 10).await;
    let batch = json!({"orders": [order(product, 1)], "x": "y".repeat(2 << 10)});
    let place = async || fixture.post("/api/v1/orders/batch", &batch).await;
    // Much is announced and nothing sent: that keeps nobody out.
    let mut open = Vec::new();
    for _ in 0..8 {
        open.push(stall(&fixture, "/api/v1/orders/batch", 0, 20 << 10).await);
    }
    place().await.expect(200);
    // All but a byte is sent: no other batch fits, but orders and operators do.
    let full = stall(&fixture, "/api/v1/orders/batch", (20 << 10) - 1, 20 << 10).await;
    let refused = async || place().await.status == 503;
    fixture.until("the share of batches is used up", refused).await;
    place().await.problem(503, "overloaded");
    fixture.post("/api/v1/orders", &order(product, 1)).await.expect(201);
    let mut orders = Vec::new();
    for _ in 0..4 {
        orders.push(stall(&fixture, "/api/v1/orders", (4 << 10) - 1, 4 << 10).await);
    }
    let refused = async || fixture.post("/api/v1/orders", &order(product, 1)).await.status == 503;
    fixture.until("the share of orders is used up", refused).await;
    let token = json!({"owner": "ops", "scopes": ["cluster:read"]});
    fixture.post("/api/v1/auth/tokens", &token).await.expect(201);
    drop((full, orders));
    let taken = async || place().await.status == 200;
    fixture.until("what was given up is free again", taken).await;
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_get_through_on_their_port_and_have_it_alone() {
    let mut fixture = Fixture::start().await;
    let any = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let listen = async || tokio::net::TcpListener::bind(any).await.unwrap();
    let (public, admin) = (listen().await, listen().await);
    let addresses = (public.local_addr().unwrap(), admin.local_addr().unwrap());
    let settings = Settings { connections_max: 3, ..settings() };
    let handle = fixture.handle.clone();
    let server = Server::from_listeners(public, Some(admin), handle, settings).unwrap();
    let mut ask = async |address, method: &str, path: &str| {
        fixture.address = address;
        let text =
            format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        fixture.raw(text.as_bytes()).await.status().unwrap_or(0)
    };
    for path in
        ["/api/v1/cluster", "/api/cluster", "/metrics", "/api/v1/audit", "/api/v1/auth/mode"]
    {
        assert_eq!(ask(addresses.0, "GET", path).await, 404, "{path}");
        // A method that the path lacks is no hint either.
        assert_eq!(ask(addresses.0, "PATCH", path).await, 404, "{path}");
        assert_eq!(ask(addresses.1, "GET", path).await, 200, "{path}");
        assert_eq!(ask(addresses.1, "PATCH", path).await, 405, "{path}");
    }
    for address in [addresses.0, addresses.1] {
        assert_eq!(ask(address, "GET", "/api/v1/products").await, 200);
    }
    // All seats of clients are taken.
    let mut seats = Vec::new();
    for _ in 0..3 {
        seats.push(TcpStream::connect(addresses.0).await.unwrap());
    }
    let until = tokio::time::Instant::now() + Duration::from_secs(10);
    while ask(addresses.0, "GET", "/livez").await != 503 {
        assert!(tokio::time::Instant::now() < until, "the seats are never full");
    }
    assert_eq!(ask(addresses.1, "GET", "/api/v1/cluster").await, 200);
    drop(seats);
    server.shutdown(Duration::from_secs(5)).await;
    fixture.stop().await;
}
