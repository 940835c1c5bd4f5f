//! Links to the peers: one outgoing connection to each, one incoming from each.
//!
//! Links lose messages when a queue is full or a connection breaks; raft and the request ids are
//! made for that. Nothing is believed before the hello named this cluster, this node and a known
//! incarnation.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use engine::ids::NodeId;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::config::Peer;
use crate::core::Input;
use crate::message::{self, FRAME_HEADER_BYTES, HELLO_BYTES, Hello, PeerMessage};
use crate::shared::Shared;

/// A hello, or a connection, that takes longer has failed.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(3);
/// A frame that cannot be written within this means a dead peer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// Idle links carry an empty frame so often, which also keeps the clocks compared.
const IDLE: Duration = Duration::from_secs(1);
/// A link that carries nothing for so long is dead.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// Waits between attempts to connect.
const RECONNECT_MIN: Duration = Duration::from_millis(50);
const RECONNECT_MAX: Duration = Duration::from_secs(1);
/// Bytes of messages gathered into one frame.
const FRAME_BYTES_TARGET: usize = 4 << 20;
/// Incoming connections at once: every peer has one, and may be opening another.
const CONNECTIONS_MAX: usize = 64;

/// Wakes the link to a peer when that peer has connected to us.
type Seen = Arc<BTreeMap<NodeId, Notify>>;

/// Sends to the peers. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Links {
    queues: BTreeMap<NodeId, mpsc::Sender<PeerMessage>>,
}

impl Links {
    /// Puts a message into the peer's queue. When that is full the message is lost.
    pub(crate) fn send(&self, to: NodeId, message: PeerMessage, shared: &Shared) {
        if let Some(queue) = self.queues.get(&to)
            && queue.try_send(message).is_err()
        {
            shared.counters.peer_messages_dropped.add(1);
        }
    }
}

/// Starts links to all peers and the listener for theirs. The tasks end when `tasks` is dropped.
pub(crate) fn start(
    shared: &Arc<Shared>,
    listener: TcpListener,
    queue_messages: usize,
    tasks: &mut JoinSet<()>,
) -> Links {
    let mut queues = BTreeMap::new();
    let members = shared.identity.members();
    let seen: Seen = Arc::new(members.iter().map(|peer| (peer.id, Notify::new())).collect());
    for peer in members {
        if peer.id == shared.node() {
            continue;
        }
        let (sender, receiver) = mpsc::channel(queue_messages);
        queues.insert(peer.id, sender);
        tasks.spawn(keep_link(Arc::clone(shared), peer, receiver, Arc::clone(&seen)));
    }
    tasks.spawn(accept(Arc::clone(shared), listener, seen));
    Links { queues }
}

/// Connects, sends until the connection breaks, and connects again.
async fn keep_link(
    shared: Arc<Shared>,
    peer: Peer,
    mut queue: mpsc::Receiver<PeerMessage>,
    seen: Seen,
) {
    let mut wait = RECONNECT_MIN;
    loop {
        match timeout(HANDSHAKE_TIMEOUT, connect(&shared, &peer)).await {
            Ok(Ok(stream)) => {
                wait = RECONNECT_MIN;
                tracing::debug!(node = shared.node().0, peer = peer.id.0, "link is up");
                let Err(error) = feed(&shared, stream, &mut queue).await else { return };
                tracing::debug!(node = shared.node().0, peer = peer.id.0, %error, "link broke");
            }
            Ok(Err(error)) => {
                tracing::debug!(node = shared.node().0, peer = peer.id.0, %error, "no link");
            }
            Err(_) => tracing::debug!(node = shared.node().0, peer = peer.id.0, "no link in time"),
        }
        // raft probes a peer that is told to be out of reach instead of streaming to it.
        shared.send(Input::Unreachable(peer.id));
        while queue.try_recv().is_ok() {}
        // A peer that is back connects to us first; then there is no point in waiting longer.
        let back = seen.get(&peer.id).expect("every member has its entry").notified();
        let _ = timeout(wait.mul_f64(0.5 + rand::random::<f64>() / 2.0), back).await;
        wait = (wait * 2).min(RECONNECT_MAX);
    }
}

async fn connect(shared: &Shared, peer: &Peer) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(&peer.raft_addr).await?;
    stream.set_nodelay(true)?;
    stream.write_all(&own_hello(shared, peer.id).encode()).await?;
    let hello = read_hello(&mut stream).await?;
    if hello.from != peer.id {
        return Err(io::Error::other(format!("node {} answers there", hello.from)));
    }
    check_hello(shared, &hello)?;
    Ok(stream)
}

/// Sends what is queued, many messages to a frame. Returns only when the node stops.
async fn feed(
    shared: &Shared,
    mut stream: TcpStream,
    queue: &mut mpsc::Receiver<PeerMessage>,
) -> io::Result<()> {
    let mut messages = Vec::new();
    let mut bytes = Vec::new();
    loop {
        match timeout(IDLE, queue.recv()).await {
            Ok(None) => return Ok(()),
            Ok(Some(message)) => messages.push(message),
            Err(_) => {}
        }
        let mut size: usize = messages.iter().map(message::size_hint).sum();
        while size < FRAME_BYTES_TARGET
            && let Ok(message) = queue.try_recv()
        {
            size += message::size_hint(&message);
            messages.push(message);
        }
        message::encode_frame(shared.now().wall_ms, &messages, &mut bytes);
        messages.clear();
        timeout(WRITE_TIMEOUT, stream.write_all(&bytes)).await??;
        bytes.clear();
        bytes.shrink_to(FRAME_BYTES_TARGET);
    }
}

async fn accept(shared: Arc<Shared>, listener: TcpListener, seen: Seen) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut links = JoinSet::new();
    loop {
        while links.try_join_next().is_some() {}
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(node = shared.node().0, %error, "a peer could not be accepted");
                sleep(RECONNECT_MIN).await;
                continue;
            }
        };
        // Over the limit the connection is closed at once; a real peer comes again.
        let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else { continue };
        let (shared, seen) = (Arc::clone(&shared), Arc::clone(&seen));
        links.spawn(async move {
            let _permit = permit;
            if let Err(error) = receive(&shared, stream, &seen).await {
                tracing::debug!(node = shared.node().0, %error, "a peer's link ended");
            }
        });
    }
}

async fn receive(shared: &Shared, mut stream: TcpStream, seen: &Seen) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let hello = timeout(HANDSHAKE_TIMEOUT, read_hello(&mut stream)).await??;
    check_hello(shared, &hello).inspect_err(|error| {
        tracing::warn!(node = shared.node().0, peer = hello.from.0, %error, "a peer was refused");
    })?;
    stream.write_all(&own_hello(shared, hello.from).encode()).await?;
    if let Some(link) = seen.get(&hello.from) {
        link.notify_one();
    }
    let mut stream = BufReader::with_capacity(64 << 10, stream);
    let mut body = Vec::new();
    loop {
        let mut header = [0; FRAME_HEADER_BYTES];
        timeout(SILENCE_MAX, stream.read_exact(&mut header)).await??;
        let (length, crc) = message::decode_frame_header(header).map_err(io::Error::other)?;
        body.resize(length, 0);
        timeout(SILENCE_MAX, stream.read_exact(&mut body)).await??;
        let (wall_ms, messages) = message::decode_frame(&body, crc).map_err(io::Error::other)?;
        shared.send_from_peer(Input::Peer { from: hello.from, wall_ms, messages });
        body.shrink_to(FRAME_BYTES_TARGET);
    }
}

fn own_hello(shared: &Shared, to: NodeId) -> Hello {
    Hello {
        cluster: shared.identity.cluster(),
        from: shared.node(),
        to,
        incarnation: shared.identity.incarnation(),
    }
}

async fn read_hello(stream: &mut TcpStream) -> io::Result<Hello> {
    let mut bytes = [0; HELLO_BYTES];
    stream.read_exact(&mut bytes).await?;
    Hello::decode(&bytes).map_err(io::Error::other)
}

fn check_hello(shared: &Shared, hello: &Hello) -> io::Result<()> {
    if hello.cluster != shared.identity.cluster() {
        return Err(io::Error::other("the peer belongs to another cluster"));
    }
    if hello.to != shared.node() {
        return Err(io::Error::other(format!("the peer wants node {}", hello.to)));
    }
    if !shared.identity.meet(hello.from, hello.incarnation).map_err(io::Error::other)? {
        return Err(io::Error::other(format!(
            "node {} comes with a data directory that this cluster does not know: a wiped node \
             must join as a new member",
            hello.from
        )));
    }
    Ok(())
}
