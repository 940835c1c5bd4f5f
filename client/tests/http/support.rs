//! A server that follows a script: one step for each request, over all connections.
//!
//! It speaks raw bytes on purpose. Most of what a client has to survive, such as a connection
//! that breaks in the middle of an answer, is what a proper HTTP server refuses to produce.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What to do with one request, after it was read as a whole.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Write these bytes and keep the connection open.
    Bytes(Vec<u8>),
    /// Write these bytes and close the connection.
    BytesThenClose(Vec<u8>),
    /// Break the connection without a word.
    Reset,
    /// Never answer.
    Stall,
    /// Wait, then go on with the other step.
    After(Duration, Box<Step>),
}

/// A request as the server saw it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: String,
    pub(crate) at: Instant,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// The running server; it ends when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Shared {
    steps: Mutex<VecDeque<Step>>,
    seen: Mutex<Vec<Seen>>,
    open: AtomicUsize,
    open_max: AtomicUsize,
    connections: AtomicUsize,
}

impl Server {
    /// Starts a server on a free port. A request after the last step is answered with status
    /// 418, which no test expects.
    pub(crate) async fn start(steps: impl IntoIterator<Item = Step>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            steps: Mutex::new(steps.into_iter().collect()),
            ..Shared::default()
        });
        let task = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self { address, shared, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All requests so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// Most connections that were open at once.
    pub(crate) fn open_max(&self) -> usize {
        self.shared.open_max.load(Ordering::SeqCst)
    }

    /// Waits until the server has closed its side of all connections.
    pub(crate) async fn until_all_closed(&self) {
        let closed = async {
            while self.shared.open.load(Ordering::SeqCst) > 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), closed).await.expect("closed in time");
    }

    /// Connections that were made.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A URL at which nobody listens.
pub(crate) async fn dead_url() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // Connections are tasks of this set, so that they end with the server.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { return };
        shared.connections.fetch_add(1, Ordering::SeqCst);
        let open = shared.open.fetch_add(1, Ordering::SeqCst) + 1;
        shared.open_max.fetch_max(open, Ordering::SeqCst);
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            serve(stream, &shared).await;
            shared.open.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

async fn serve(mut stream: TcpStream, shared: &Shared) {
    while let Some(seen) = read_request(&mut stream).await {
        shared.seen.lock().unwrap().push(seen);
        let step = shared.steps.lock().unwrap().pop_front();
        let mut step = step.unwrap_or_else(|| reply(418, "", &[]));
        while let Step::After(wait, next) = step {
            tokio::time::sleep(wait).await;
            step = *next;
        }
        match step {
            Step::Bytes(bytes) => {
                if stream.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            Step::BytesThenClose(bytes) => {
                let _ = stream.write_all(&bytes).await;
                return;
            }
            Step::Reset => {
                // Without lingering the kernel sends a reset instead of an orderly end.
                stream.set_zero_linger().unwrap();
                return;
            }
            Step::Stall => {
                // Ends when the client gives up.
                let _ = stream.read_u8().await;
                return;
            }
            Step::After(..) => unreachable!("the loop above ends with another step"),
        }
    }
}

/// Reads one request with its body; nothing at the end of the connection.
async fn read_request(stream: &mut TcpStream) -> Option<Seen> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..head_end].to_vec()).unwrap();
    let mut lines = head.lines();
    let mut words = lines.next().unwrap().split(' ');
    let method = words.next().unwrap().to_owned();
    let path = words.next().unwrap().to_owned();
    let headers: HashMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    while bytes.len() < head_end + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let body = String::from_utf8(bytes[head_end..head_end + length].to_vec()).unwrap();
    Some(Seen { method, path, headers, body, at: Instant::now() })
}

/// The bytes of an answer.
pub(crate) fn answer(status: u16, body: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status} Words\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    text.push_str(body);
    text.into_bytes()
}

/// A step that answers.
pub(crate) fn reply(status: u16, body: &str, headers: &[(&str, &str)]) -> Step {
    Step::Bytes(answer(status, body, headers))
}
