//! Links to the peers: one outgoing and one incoming connection for each.
//!
//! Links follow the membership: a new member gets one, a former member loses it and is told so when
//! it connects. A member that says another address in its hello is dialled there first. A node that
//! is not known yet is answered under the address in its hello, since it may be a member of a
//! change that has not arrived here. Parts of snapshots have a connection of
//! their own, opened on demand: no heartbeat waits behind them, nor in the kernel's buffers. Links
//! lose messages when a queue is full or a connection breaks, which raft and the request ids
//! tolerate. Nothing is believed before the hello named this cluster, this node and the known
//! incarnation. With TLS, nothing is read before the handshake, and the certificate must be that
//! of the node that the hello names.

mod seats;
mod wire;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use engine::ids::NodeId;
use engine::level;
use parking_lot::{Mutex, RwLock};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout};

use crate::addresses::Addresses;
use crate::core::Input;
use crate::counters::Counter;
use crate::message::{
    self, FRAME_HEADER_BYTES, HELLO_HEAD_BYTES, Hello, HelloHead, HelloVerdict, PeerMessage,
};
use crate::shared::Shared;
use crate::tls::stream::Stream;
use seats::{Seat, Seats};
use wire::Route;

/// Timeout of a hello, and of opening a connection.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(3);
/// A frame that cannot be written within this time means a dead peer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// Interval between empty frames on idle links. They also keep the clocks compared.
const IDLE: Duration = Duration::from_secs(1);
/// A link that carries nothing for this long is dead.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// Pauses between attempts to connect.
const RECONNECT_MIN: Duration = Duration::from_millis(50);
const RECONNECT_MAX: Duration = Duration::from_secs(1);
/// Pause between the attempts of a node that was removed or is taken for another. Only a change
/// that it has not heard of can make it welcome.
const UNWANTED: Duration = Duration::from_secs(10);
/// Bytes of messages per frame.
const FRAME_BYTES_TARGET: usize = 4 << 20;
/// Parts of snapshots that wait for a link. A transfer has fewer under way.
const PARTS_QUEUED_MAX: usize = 32;
/// A connection for parts that carries none for this long is closed.
const PARTS_IDLE: Duration = Duration::from_secs(5);
/// Bytes of a frame that are read before memory for more is taken: what a peer announces costs
/// nothing until it arrives.
const READ_BYTES: usize = 64 << 10;
/// A link with TLS is opened again after this time, so that an expired certificate shows while the
/// others still work.
const RENEWED_AFTER: Duration = Duration::from_secs(24 * 3600);

/// State that the tasks of the links share.
struct Hub {
    /// Wakes the link to a peer when that peer connects to us.
    seen: Mutex<BTreeMap<NodeId, Arc<Notify>>>,
    /// Where peers say they are.
    addresses: watch::Sender<Addresses>,
}

impl Hub {
    fn seen(&self, peer: NodeId) -> Arc<Notify> {
        Arc::clone(self.seen.lock().entry(peer).or_default())
    }
}

/// A link to one peer.
struct Link {
    queue: mpsc::Sender<PeerMessage>,
    parts: mpsc::Sender<PeerMessage>,
    /// Where to reach it, the best address first.
    found_at: Arc<RwLock<Vec<String>>>,
    tasks: [AbortHandle; 2],
}

/// Sends messages to peers. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Links {
    links: Arc<RwLock<BTreeMap<NodeId, Link>>>,
}

impl Links {
    /// Puts a message into the peer's queue. Drops the message when the queue is full.
    pub(crate) fn send(&self, to: NodeId, message: PeerMessage, shared: &Shared) {
        let links = self.links.read();
        let Some(link) = links.get(&to) else { return };
        let queue = match message {
            PeerMessage::SnapshotPart { .. } => &link.parts,
            _ => &link.queue,
        };
        if queue.try_send(message).is_err() {
            shared.counters.peer_messages_dropped.add(1);
        }
    }
}

/// Starts links to all peers and a listener for theirs, on `runtime`, which `listener` belongs to.
/// The tasks end when `tasks` is dropped.
pub(crate) fn start(
    shared: &Arc<Shared>,
    listener: TcpListener,
    queue_messages: usize,
    tasks: &mut JoinSet<()>,
    runtime: &Handle,
) -> Links {
    let links = Links::default();
    let addresses = watch::Sender::new(Addresses::new(&shared.listed));
    let hub = Arc::new(Hub { seen: Mutex::default(), addresses });
    let keeping = keep_links(Arc::clone(shared), links.clone(), queue_messages, Arc::clone(&hub));
    tasks.spawn_on(keeping, runtime);
    tasks.spawn_on(accept(Arc::clone(shared), listener, hub), runtime);
    links
}

/// Keeps one link to every member, and to nodes that came and may be members soon.
async fn keep_links(shared: Arc<Shared>, links: Links, queue_messages: usize, hub: Arc<Hub>) {
    let mut members = shared.members.subscribe();
    let mut addresses = hub.addresses.subscribe();
    let mut tasks = JoinSet::new();
    loop {
        let wanted = {
            let (members, addresses) = (members.borrow_and_update(), addresses.borrow_and_update());
            addresses.of_peers(&members, shared.node(), &shared.advertised.raft)
        };
        {
            let mut links = links.links.write();
            links.retain(|id, link| {
                match wanted.get(id) {
                    Some(addresses) => link.found_at.write().clone_from(addresses),
                    None => link.tasks.iter().for_each(AbortHandle::abort),
                }
                wanted.contains_key(id)
            });
            for (id, addresses) in wanted {
                if links.contains_key(&id) {
                    continue;
                }
                let (queue, receiver) = mpsc::channel(queue_messages);
                let found_at = Arc::new(RwLock::new(addresses));
                let kept = keep_link(
                    Arc::clone(&shared),
                    id,
                    Arc::clone(&found_at),
                    receiver,
                    hub.seen(id),
                );
                let (parts, part_queue) = mpsc::channel(PARTS_QUEUED_MAX);
                let sent = send_parts(Arc::clone(&shared), id, Arc::clone(&found_at), part_queue);
                let tasks = [tasks.spawn(kept), tasks.spawn(sent)];
                links.insert(id, Link { queue, parts, found_at, tasks });
            }
        }
        while tasks.try_join_next().is_some() {}
        let changed = tokio::select! {
            changed = members.changed() => changed,
            changed = addresses.changed() => changed,
        };
        if changed.is_err() {
            return;
        }
    }
}

/// Connects, sends until the connection breaks, and connects again.
async fn keep_link(
    shared: Arc<Shared>,
    peer: NodeId,
    found_at: Arc<RwLock<Vec<String>>>,
    mut queue: mpsc::Receiver<PeerMessage>,
    seen: Arc<Notify>,
) {
    let mut wait = RECONNECT_MIN;
    let (mut route, mut attempt) = (Route::default(), 0);
    loop {
        let raft_addr = nth(&found_at, attempt);
        let connected = connect(&shared, &mut route, peer, &raft_addr);
        // After a link that broke, the same address comes first again.
        attempt += 1;
        match timeout(HANDSHAKE_TIMEOUT, connected).await {
            Ok(Ok((stream, version))) => {
                attempt -= 1;
                wait = RECONNECT_MIN;
                tracing::debug!(node = shared.node().0, peer = peer.0, "link is up");
                let _counted = Counted::new(&shared, &stream);
                let _linked = Linked::new(&shared, peer);
                let Err(error) = feed(&shared, stream, version, &mut queue).await else { return };
                tracing::debug!(node = shared.node().0, peer = peer.0, %error, "link broke");
            }
            Ok(Err(error)) => {
                tracing::debug!(node = shared.node().0, peer = peer.0, %error, "no link");
            }
            Err(_) => tracing::debug!(
                node = shared.node().0,
                peer = peer.0,
                "a link was not accepted in time"
            ),
        }
        // raft probes an unreachable peer instead of streaming to it.
        shared.send(Input::Unreachable(peer));
        while queue.try_recv().is_ok() {}
        // A peer that is back connects to us first. Then there is no point in waiting longer.
        let back = seen.notified();
        let _ = timeout(wait.mul_f64(0.5 + rand::random::<f64>() / 2.0), back).await;
        wait = (wait * 2).min(RECONNECT_MAX);
        if shared.unwanted.lock().is_some() {
            sleep(UNWANTED).await;
        }
    }
}

/// Sends parts of snapshots over connections of their own. What cannot be sent is dropped: the peer
/// requests it again.
async fn send_parts(
    shared: Arc<Shared>,
    peer: NodeId,
    found_at: Arc<RwLock<Vec<String>>>,
    mut queue: mpsc::Receiver<PeerMessage>,
) {
    let (mut bytes, mut route, mut attempt) = (Vec::new(), Route::default(), 0);
    while let Some(first) = queue.recv().await {
        let raft_addr = nth(&found_at, attempt);
        let connected = connect(&shared, &mut route, peer, &raft_addr);
        let connected = timeout(HANDSHAKE_TIMEOUT, connected).await;
        let Ok(Ok((mut stream, _))) = connected else {
            attempt += 1;
            while queue.try_recv().is_ok() {}
            sleep(RECONNECT_MAX).await;
            continue;
        };
        let mut part = Some(first);
        while let Some(message) = part {
            message::encode_frame(shared.now().wall_ms, &[message], &mut bytes);
            let written = timeout(WRITE_TIMEOUT, send(&mut stream, &bytes)).await;
            bytes.clear();
            if !matches!(written, Ok(Ok(()))) {
                tracing::debug!(
                    node = shared.node().0,
                    peer = peer.0,
                    "parts of a snapshot cannot be sent"
                );
                break;
            }
            part = timeout(PARTS_IDLE, queue.recv()).await.ok().flatten();
        }
        bytes.shrink_to(0);
    }
}

/// Opens a connection. Returns it with the version of the protocol that both sides speak.
async fn connect(
    shared: &Shared,
    route: &mut Route,
    peer: NodeId,
    raft_addr: &str,
) -> io::Result<(Stream, u16)> {
    let mut stream = wire::dial(&shared.peer_security, route, peer, raft_addr).await?;
    let own = own_hello(shared, peer, HelloVerdict::Welcome);
    stream.write_all(&own.encode()).await?;
    stream.flush().await?;
    let (version, hello) = read_hello(&mut stream).await?;
    shared.heard_verdict(peer, hello.verdict);
    if hello.verdict != HelloVerdict::Welcome {
        return Err(io::Error::other(format!("node {peer} refuses: {:?}", hello.verdict)));
    }
    if hello.from != peer {
        return Err(io::Error::other(format!("node {} answers there", hello.from)));
    }
    match judge(shared, &hello)? {
        HelloVerdict::Welcome => Ok((stream, version)),
        verdict => Err(refused(&hello, verdict)),
    }
}

/// Sends queued messages, many to a frame. Returns only when the node stops.
async fn feed(
    shared: &Shared,
    mut stream: Stream,
    version: u16,
    queue: &mut mpsc::Receiver<PeerMessage>,
) -> io::Result<()> {
    let mut messages = Vec::new();
    let mut bytes = Vec::new();
    let ends = Instant::now() + RENEWED_AFTER.mul_f64(0.75 + rand::random::<f64>() / 2.0);
    loop {
        if stream.is_tls() && Instant::now() >= ends {
            return Err(io::Error::other("it is opened again, to check the certificates"));
        }
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
        messages.retain(|message: &PeerMessage| message.since() <= version);
        message::encode_frame(shared.now().wall_ms, &messages, &mut bytes);
        messages.clear();
        timeout(WRITE_TIMEOUT, send(&mut stream, &bytes)).await??;
        bytes.clear();
        bytes.shrink_to(FRAME_BYTES_TARGET);
    }
}

/// Writes everything, also what TLS keeps back.
async fn send(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}

/// The address to dial in an attempt: the same while links come up, else one after the other.
fn nth(found_at: &RwLock<Vec<String>>, attempt: usize) -> String {
    let found_at = found_at.read();
    found_at.get(attempt % found_at.len().max(1)).cloned().unwrap_or_default()
}

/// Shows the link to a peer while it is up.
struct Linked<'a>(&'a Shared, NodeId);

impl<'a> Linked<'a> {
    fn new(shared: &'a Shared, peer: NodeId) -> Linked<'a> {
        shared.linked.lock().insert(peer);
        Linked(shared, peer)
    }
}

impl Drop for Linked<'_> {
    fn drop(&mut self) {
        self.0.linked.lock().remove(&self.1);
    }
}

/// Counts a link while it is up.
struct Counted<'a>(&'a Counter);

impl<'a> Counted<'a> {
    fn new(shared: &'a Shared, stream: &Stream) -> Counted<'a> {
        let counters = &shared.counters;
        let links =
            if stream.is_tls() { &counters.peer_links_tls } else { &counters.peer_links_plain };
        links.add(1);
        Counted(links)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.subtract(1);
    }
}

async fn accept(shared: Arc<Shared>, listener: TcpListener, hub: Arc<Hub>) {
    let seats = Arc::new(Seats::default());
    let mut links = JoinSet::new();
    loop {
        while links.try_join_next().is_some() {}
        let (stream, source) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(node = shared.node().0, %error, "a peer could not be accepted");
                sleep(RECONNECT_MIN).await;
                continue;
            }
        };
        if !wire::may_come_from(&shared.peer_security, source) {
            tracing::warn!(node = shared.node().0, %source, "a peer from another machine was refused");
            continue;
        }
        let (seat, lost) = seats.take();
        let (shared, hub) = (Arc::clone(&shared), Arc::clone(&hub));
        links.spawn(async move {
            let ended = tokio::select! {
                ended = receive(&shared, stream, seat, &hub) => ended,
                _ = lost => Err(io::Error::other("newer connections took its seat")),
            };
            if let Err(error) = ended {
                tracing::debug!(node = shared.node().0, %source, %error, "a peer's link ended");
            }
        });
    }
}

async fn receive(shared: &Shared, stream: TcpStream, mut seat: Seat, hub: &Hub) -> io::Result<()> {
    let welcomed = async {
        let mut stream = wire::accept(&shared.peer_security, stream).await?;
        let hello = welcome(shared, &mut stream, hub).await?;
        io::Result::Ok((stream, hello))
    };
    let (stream, hello) = timeout(HANDSHAKE_TIMEOUT, welcomed).await??;
    let is_member = shared.members.borrow().member(hello.from).is_some();
    if !seat.settle(hello.from, is_member) {
        return Err(io::Error::other("there are too many connections of nodes"));
    }
    hub.seen(hello.from).notify_one();
    let _counted = Counted::new(shared, &stream);
    let mut stream = BufReader::with_capacity(64 << 10, stream);
    let mut body = Vec::new();
    loop {
        let mut header = [0; FRAME_HEADER_BYTES];
        timeout(SILENCE_MAX, stream.read_exact(&mut header)).await??;
        let (length, crc) = message::decode_frame_header(header).map_err(io::Error::other)?;
        timeout(SILENCE_MAX, read_body(&mut stream, length, &mut body)).await??;
        // A member that was removed meanwhile has to connect again, and is told.
        if shared.members.borrow().was_removed(hello.from) {
            return Err(refused(&hello, HelloVerdict::Removed));
        }
        let (wall_ms, messages) = message::decode_frame(&body, crc).map_err(io::Error::other)?;
        let Hello { from, speaks, .. } = hello;
        shared.send_from_peer(Input::Peer { from, speaks, wall_ms, messages });
        body.shrink_to(FRAME_BYTES_TARGET);
    }
}

/// Reads `length` bytes into an empty buffer, which grows as they arrive.
async fn read_body(
    stream: &mut (impl AsyncRead + Unpin),
    length: usize,
    body: &mut Vec<u8>,
) -> io::Result<()> {
    body.clear();
    while body.len() < length {
        let step = READ_BYTES.min(length - body.len());
        body.try_reserve(step).map_err(io::Error::other)?;
        if (&mut *stream).take(step as u64).read_buf(body).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}

/// Reads a peer's hello and answers it, with the reason if it is refused.
async fn welcome(shared: &Shared, stream: &mut Stream, hub: &Hub) -> io::Result<Hello> {
    let told = read_hello(stream).await;
    if let Ok((_, hello)) = &told
        && !wire::proves(stream, &shared.peer_security, hello.from)
    {
        let (node, from) = (shared.node().0, hello.from.0);
        tracing::warn!(node, from, "a peer was refused: its certificate is not that of this node");
        return Err(io::Error::other("the certificate is that of another node or cluster"));
    }
    let (to, verdict) = match &told {
        Ok((_, hello)) => (hello.from, judge(shared, hello)?),
        Err(error) if speaks_other_version(error) => (NodeId(0), HelloVerdict::Version),
        // This is not a peer, so it gets no answer.
        Err(_) => return told.map(|(_, hello)| hello),
    };
    let answer = own_hello(shared, to, verdict).encode();
    send(stream, &answer).await?;
    let (_, hello) = told.inspect_err(|error| {
        tracing::warn!(node = shared.node().0, %error, "a peer was refused");
    })?;
    if verdict == HelloVerdict::Cluster {
        shared.met_foreign(hello.from, Some(hello.cluster));
    }
    if verdict != HelloVerdict::Welcome {
        let error = refused(&hello, verdict);
        tracing::warn!(node = shared.node().0, peer = hello.from.0, %error, "a peer was refused");
        return Err(error);
    }
    let told = hub.addresses.send_if_modified(|it| it.told(hello.from, &hello.raft_addr));
    let moved = shared.members.borrow().member(hello.from).map(|member| member.raft_addr.clone());
    if let Some(was) = moved.filter(|was| told && *was != hello.raft_addr) {
        let (node, peer, now) = (shared.node().0, hello.from.0, &hello.raft_addr);
        tracing::warn!(node, peer, was, now, "a peer is at another address now");
    }
    Ok(hello)
}

/// What this node says of itself. A node of another cluster learns the verdict alone.
fn own_hello(shared: &Shared, to: NodeId, verdict: HelloVerdict) -> Hello {
    if matches!(verdict, HelloVerdict::Cluster | HelloVerdict::Version) {
        return Hello {
            verdict,
            cluster: Default::default(),
            from: shared.node(),
            to,
            incarnation: 0,
            speaks: level::NEWEST,
            raft_addr: String::new(),
        };
    }
    Hello {
        verdict,
        cluster: shared.identity.cluster(),
        from: shared.node(),
        to,
        incarnation: shared.identity.incarnation(),
        speaks: level::NEWEST,
        raft_addr: shared.advertised.raft.clone(),
    }
}

/// Reads a hello, and the version of the protocol to speak with its sender.
async fn read_hello(stream: &mut Stream) -> io::Result<(u16, Hello)> {
    let mut bytes = vec![0; HELLO_HEAD_BYTES];
    stream.read_exact(&mut bytes).await?;
    let head = bytes.first_chunk().expect("it was made that long");
    let head = HelloHead::decode(*head).map_err(io::Error::other)?;
    let version = head.version().map_err(io::Error::other)?;
    bytes.resize(HELLO_HEAD_BYTES + head.length, 0);
    stream.read_exact(&mut bytes[HELLO_HEAD_BYTES..]).await?;
    let hello = Hello::decode(&bytes).map_err(io::Error::other)?;
    Ok((version, hello))
}

fn speaks_other_version(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<message::Error>());
    matches!(inner, Some(message::Error::Versions { .. }))
}

/// Judges whether the sender of a hello may speak here.
fn judge(shared: &Shared, hello: &Hello) -> io::Result<HelloVerdict> {
    if hello.cluster != shared.identity.cluster() {
        return Ok(HelloVerdict::Cluster);
    }
    if hello.to != shared.node() {
        return Ok(HelloVerdict::Addressee);
    }
    let listed = {
        let members = shared.members.borrow();
        if members.was_removed(hello.from) {
            return Ok(HelloVerdict::Removed);
        }
        members.member(hello.from).and_then(|member| member.incarnation)
    };
    let known = match listed {
        Some(incarnation) => incarnation == hello.incarnation,
        None => shared.identity.meet(hello.from, hello.incarnation).map_err(io::Error::other)?,
    };
    Ok(if known { HelloVerdict::Welcome } else { HelloVerdict::Incarnation })
}

fn refused(hello: &Hello, verdict: HelloVerdict) -> io::Error {
    let from = hello.from;
    io::Error::other(match verdict {
        HelloVerdict::Welcome | HelloVerdict::Version => "it speaks another version".to_owned(),
        HelloVerdict::Cluster => "the peer belongs to another cluster".to_owned(),
        HelloVerdict::Addressee => format!("the peer wants node {}", hello.to),
        HelloVerdict::Incarnation => format!(
            "node {from} comes with a data directory that this cluster does not know: a wiped node \
             must join as a new member"
        ),
        HelloVerdict::Removed => format!("node {from} was removed from the cluster"),
    })
}
