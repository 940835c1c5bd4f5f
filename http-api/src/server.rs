//! The listener and its connections: their number, their timeouts and their end.
//!
//! This file does not know what a request means. The HTTP library itself answers bytes that are not
//! a request (a broken request line, a broken header, headers over their limits) with 400, 414 or
//! 431, without a body and without the headers of this API, and closes the connection.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use client::wire::{self, ErrorCode, Problem};
use hyper::Request;
use hyper::body::Incoming;
use hyper::header::TRANSFER_ENCODING;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use parking_lot::Mutex;
use raft_node::Handle;
use raft_node::tls::stream::Stream;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch as signal};
use tokio::task::{JoinHandle, JoinSet};

use crate::answer::reply::Body;
use crate::auth::Gate;
use crate::bodies::Bodies;
use crate::call::{App, Documents};
use crate::docs;
use crate::events::Feed;
use crate::events::socket::{self, Upgrade};
use crate::limit::Limits;
use crate::metrics::{Metrics, Transport};
use crate::openapi;
use crate::origin::Origins;
use crate::parse::Parser;
use crate::proxy::Proxies;
use crate::request::trace;
use crate::routes::Router;
use crate::service::{self, Ends, Service};
use crate::settings::Settings;
use crate::tls;
use crate::watch::{self, Late, Phase, Watch, Watched};

/// TLS handshakes that may be under way; more wait.
const HANDSHAKES_MAX: usize = 64;
/// How long a connection may take until it speaks TLS.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(3);

/// Connections that a port of operators serves at a time.
const ADMIN_CONNECTIONS_MAX: usize = 64;

/// The pause after a failed accept, for example for lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A REST server that runs on the runtime it was bound on.
///
/// Dropping it without [`Server::shutdown`] stops accepting and aborts running requests.
#[derive(Debug)]
pub struct Server {
    local_addr: SocketAddr,
    stop: signal::Sender<bool>,
    /// A task for each port.
    accept: Vec<JoinHandle<JoinSet<()>>>,
    /// Reads new events for all subscribers.
    filling: JoinHandle<()>,
}

impl Server {
    /// Listens on `addr` (port 0 takes any free one) and answers requests over `handle`.
    ///
    /// # Errors
    /// When a setting is out of its bounds (`InvalidInput`), or the address cannot be bound.
    pub async fn bind(addr: SocketAddr, handle: Handle, settings: Settings) -> io::Result<Server> {
        Server::from_listener(TcpListener::bind(addr).await?, handle, settings)
    }

    /// Answers requests over `handle` on an open port. Must be called on a runtime.
    ///
    /// # Errors
    /// When a setting is out of its bounds (`InvalidInput`), or the port has no address.
    pub fn from_listener(
        listener: TcpListener,
        handle: Handle,
        settings: Settings,
    ) -> io::Result<Server> {
        Server::from_listeners(listener, None, handle, settings)
    }

    /// Serves on a bound port, and operators on one of their own: it has few seats, which no flood
    /// of clients takes, and their endpoints are nowhere else.
    ///
    /// # Errors
    /// As [`Server::from_listener`].
    pub fn from_listeners(
        listener: TcpListener,
        admin: Option<TcpListener>,
        handle: Handle,
        settings: Settings,
    ) -> io::Result<Server> {
        settings.validate().map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let local_addr = listener.local_addr()?;
        let (stop, stopped) = signal::channel(false);
        let feed = Feed::new(settings.event_subscribers_max);
        let filling = tokio::spawn(Arc::clone(&feed).run(handle.clone()));
        let app = App {
            metrics: Arc::new(Metrics::new(handle.clone(), Arc::clone(&feed), &settings)),
            gate: Gate::new(
                settings.root_token.clone(),
                settings.customers.clone(),
                !settings.socket_apps.is_empty(),
                handle.clone(),
            ),
            handle,
            origins: Origins::new(&settings.http_hosts, &settings.cors_origins),
            limits: Limits::new(&settings),
            position: AtomicU64::new(0),
            bodies: Bodies::new(settings.bodies_in_flight_bytes_max),
            parser: Parser::start()?,
            backups: Arc::new(Semaphore::new(settings.backups_max)),
            handshakes: Semaphore::new(HANDSHAKES_MAX),
            settings,
            feed,
            stopped: stopped.clone(),
            documents: Documents {
                openapi: openapi::plain,
                strict: openapi::strict,
                page: docs::text,
                problem: docs::problem,
            },
        };
        let service = Arc::new(Service { router: Router::new(), app });
        let Settings { connections_max, connections_per_address_max, .. } = service.app.settings;
        let clients =
            Port { connections_max, connections_per_address_max, hides_admin: admin.is_some() };
        let operators = Port {
            connections_max: ADMIN_CONNECTIONS_MAX,
            connections_per_address_max: ADMIN_CONNECTIONS_MAX,
            hides_admin: false,
        };
        let ports = [(Some(listener), clients), (admin, operators)];
        let accept = ports.into_iter().filter_map(|(listener, port)| {
            Some(tokio::spawn(accept(listener?, port, service.clone(), stopped.clone())))
        });
        let accept = accept.collect();
        Ok(Server { local_addr, stop, accept, filling })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Stops accepting, lets running requests finish for at most `grace`, then closes the remaining
    /// connections.
    pub async fn shutdown(mut self, grace: Duration) {
        let _ = self.stop.send(true);
        let mut connections = JoinSet::new();
        for accept in &mut self.accept {
            let Ok(mut open) = accept.await else { continue };
            connections.spawn(async move { while open.join_next().await.is_some() {} });
        }
        let all_done = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(grace, all_done).await.is_err() {
            tracing::warn!(
                left = connections.len(),
                "connections were closed before they finished"
            );
            connections.shutdown().await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accept.iter().for_each(JoinHandle::abort);
        self.filling.abort();
    }
}

/// Accepts until the server stops; returns the open connections.
async fn accept(
    listener: TcpListener,
    port: Port,
    service: Arc<Service>,
    stopped: signal::Receiver<bool>,
) -> JoinSet<()> {
    let seats = Arc::new(Seats::default());
    let mut connections = JoinSet::new();
    let mut stopping = stopped.clone();
    loop {
        let accepted = tokio::select! {
            // Without a sender there is no server left.
            _ = stopping.wait_for(|stop| *stop) => return connections,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let (socket, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        match Seat::take(&seats, address.ip(), port, &service.app.settings.proxies) {
            Some(seat) => {
                let (service, stopped) = (service.clone(), stopped.clone());
                connections.spawn(connection(socket, service, stopped, seat, port.hides_admin));
            }
            // A client that expects TLS cannot read an answer without it.
            None if service.app.settings.tls.is_some() => {}
            None => refuse(&socket, ErrorCode::Overloaded, "There are too many connections."),
        }
    }
}

/// What holds for the connections of a port.
#[derive(Clone, Copy, Debug)]
struct Port {
    connections_max: usize,
    connections_per_address_max: usize,
    /// Whether operators have another one.
    hides_admin: bool,
}

/// The number of connections, in total and by address.
#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

type Seats = Mutex<Taken>;

/// A connection's place under the limits, freed when it ends.
#[derive(Debug)]
struct Seat {
    seats: Arc<Seats>,
    address: IpAddr,
}

impl Seat {
    fn take(seats: &Arc<Seats>, address: IpAddr, port: Port, proxies: &Proxies) -> Option<Seat> {
        let mut taken = seats.lock();
        let here = taken.by_address.get(&address).copied().unwrap_or(0);
        // All clients behind a trusted proxy come from its address.
        let is_alone = !proxies.trusts(address);
        let has_most = is_alone && here >= port.connections_per_address_max;
        if taken.all >= port.connections_max || has_most {
            return None;
        }
        taken.all += 1;
        taken.by_address.insert(address, here + 1);
        Some(Seat { seats: seats.clone(), address })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.lock();
        taken.all -= 1;
        // Addresses without connections must not accumulate.
        match taken.by_address.get_mut(&self.address) {
            Some(here) if *here > 1 => *here -= 1,
            _ => drop(taken.by_address.remove(&self.address)),
        }
    }
}

/// Serves one connection to its end.
async fn connection(
    socket: TcpStream,
    service: Arc<Service>,
    mut stopped: signal::Receiver<bool>,
    seat: Seat,
    hides_admin: bool,
) {
    // An address that is unknown belongs to a connection that is gone.
    let Ok(own) = socket.local_addr() else { return };
    let ends = Ends { client: seat.address, own: own.ip(), hides_admin };
    // Answers are small; waiting to fill a packet only adds latency.
    let _ = socket.set_nodelay(true);
    let opened = tokio::time::timeout(HANDSHAKE_TIMEOUT, open(&service.app, socket)).await;
    let Ok(Some(socket)) = opened else { return };
    let watch = Arc::new(Watch::new());
    let upgrade: Arc<Mutex<Option<Upgrade>>> = Arc::default();
    let app = &service.app;
    let respond = service_fn(|request: Request<Incoming>| {
        let (service, watch, upgrade) = (service.clone(), watch.clone(), upgrade.clone());
        async move {
            let has_ambiguous_length =
                watch.begin(request.headers().contains_key(TRANSFER_ENCODING));
            let mut reply = service::respond(&service, request, ends, has_ambiguous_length).await;
            *upgrade.lock() = reply.extensions_mut().remove::<Upgrade>();
            match reply.body_mut() {
                Body::Whole(_) => watch.enter(Phase::Idle),
                Body::Events(stream) => stream.goes_out_on(&watch),
                Body::File(download) => download.goes_out_on(&watch),
            }
            Ok::<_, Infallible>(reply)
        }
    });
    let io = Watched::new(socket, watch.clone());
    let mut http = http1::Builder::new();
    http.keep_alive(true)
        // A client that closes its sending side after a whole request still gets the answer, and a
        // client that leaves does not cancel a request halfway.
        .half_close(true)
        // Sends each answer before it reads the next request, so that a client that never reads
        // cannot fill our memory with answers.
        .pipeline_flush(false)
        // Sends head and body in one buffer: copying a few hundred bytes costs less than a vectored
        // write.
        .writev(false)
        .max_headers(app.settings.headers_max)
        .max_buf_size(app.settings.header_bytes_max)
        // The watch times heads, because idle connections get a longer timeout.
        .header_read_timeout(None);
    let mut serving = http.serve_connection(io, respond);

    let interval = watch::interval(&app.settings);
    let mut look = std::pin::pin!(tokio::time::sleep(interval));
    let mut stop = std::pin::pin!(stopped.wait_for(|stop| *stop));
    let mut stopping = false;
    let late = loop {
        tokio::select! {
            biased;
            result = &mut serving => {
                if let Err(error) = result {
                    tracing::debug!(%error, "a connection ended early");
                    return;
                }
                break None;
            }
            _ = &mut stop, if !stopping => {
                stopping = true;
                Pin::new(&mut serving).graceful_shutdown();
            }
            () = &mut look => {
                if let Some(late) = watch.late(&app.settings) {
                    break Some(late);
                }
                look.as_mut().reset(tokio::time::Instant::now() + interval);
            }
        }
    };
    let Some(late) = late else {
        // The library is done; after an upgrade it has sent the 101.
        let upgrade = upgrade.lock().take();
        if let Some(upgrade) = upgrade {
            let parts = serving.into_parts();
            let context = socket::Context {
                settings: &app.settings,
                metrics: &app.metrics,
                gate: &app.gate,
                stopped: &app.stopped,
            };
            socket::run(context, parts.io.into_socket(), &parts.read_buf, upgrade).await;
        }
        return;
    };
    if late == Late::Write && watch.is_streaming() {
        app.metrics.cut_off(Transport::Sse);
    }
    tracing::debug!(?late, "a connection timed out");
    // Not while an earlier answer is being written, and not where the client expects TLS.
    if late == Late::Head
        && !watch.is_writing()
        && let Stream::Plain(socket) = serving.into_parts().io.into_socket()
    {
        refuse(&socket, ErrorCode::RequestTimeout, "The request did not arrive in time.");
    }
}

/// Brings a connection to where requests can be read. With a certificate, a client that does not
/// speak TLS is told so.
async fn open(app: &App, socket: TcpStream) -> Option<Stream> {
    let Some(tls) = &app.settings.tls else { return Some(Stream::Plain(socket)) };
    if !tls::begins_with_tls(&socket).await.ok()? {
        let detail = "This port speaks TLS: send the request to https://.";
        refuse(&socket, ErrorCode::MalformedRequest, detail);
        return None;
    }
    // The semaphore is never closed.
    let _permit = app.handshakes.acquire().await.ok()?;
    tls.accept(socket).await.inspect_err(|error| tracing::debug!(%error, "a handshake failed")).ok()
}

/// Answers without a request, as far as the socket takes the bytes at once.
fn refuse(socket: &TcpStream, code: ErrorCode, detail: &'static str) {
    let trace = trace::new().to_string();
    let problem = Problem::new(code, detail, trace.as_str());
    let body = serde_json::to_vec(&problem).expect("problems have string keys");
    let head = format!(
        "HTTP/1.1 {} {}\r\ncontent-type: {}\r\n{}: {trace}\r\ncontent-length: {}\r\n\
         x-content-type-options: nosniff\r\nx-frame-options: DENY\r\ncache-control: no-store\r\n\
         {}connection: close\r\n\r\n",
        code.status(),
        code.title(),
        wire::PROBLEM_JSON,
        wire::TRACE_ID,
        body.len(),
        if code.status() == 503 { "retry-after: 1\r\n" } else { "" },
    );
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(&body);
    // A client that does not take a few hundred bytes at once gets none.
    let _ = socket.try_write(&bytes);
}

/// Checks at compile time that a connection can move between threads.
const _: fn() = || {
    fn is_send(_: &(impl Future<Output = ()> + Send)) {}
    let _ = |socket, service, stopped, seat| {
        is_send(&connection(socket, service, stopped, seat, false))
    };
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seats_are_bounded_in_all_and_by_address_and_come_back() {
        let port = Port { connections_max: 3, connections_per_address_max: 2, hides_admin: false };
        let seats = Arc::new(Seats::default());
        let address = |last| IpAddr::from([127, 0, 0, last]);
        let take = |last| Seat::take(&seats, address(last), port, &Proxies::default());
        let first = take(1).expect("a free seat");
        let _second = take(1).expect("a free seat");
        assert!(take(1).is_none(), "no third one for this address");
        let third = take(2).expect("a free seat");
        assert!(take(2).is_none(), "no fourth one in all");
        drop(first);
        let _again = take(1).expect("the seat that came back");
        drop(third);
        assert_eq!(seats.lock().by_address.get(&address(2)), None);
        assert_eq!(seats.lock().all, 2);
    }
}
