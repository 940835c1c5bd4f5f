//! The timeouts of one connection: what it waits for, and since when.
//!
//! The HTTP library reads and writes; this file records when bytes pass through the socket, so that
//! the hot path sets no timers. The connection's task checks the record at intervals.
//!
//! It also keeps the bytes of the request head: the library accepts a head with both a length and
//! chunks, and hides the length. The server refuses such a head.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::{Read, ReadBufCursor, Write};
use parking_lot::Mutex;
use raft_node::tls::stream::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::settings::Settings;

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Phase {
    /// Nothing of the next request has arrived.
    Idle,
    /// Part of a head has arrived.
    Head,
    /// A request is being answered; its own timeouts apply.
    Busy,
    /// A stream or a download is being sent.
    Streaming,
}

/// Why a connection times out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Late {
    /// It was idle for too long.
    Idle,
    /// A head took too long.
    Head,
    /// The client did not read for too long.
    Write,
}

/// The record of one connection. All times are in milliseconds since it was accepted, plus one, so
/// that 0 can mean "not".
#[derive(Debug)]
pub(crate) struct Watch {
    accepted: Instant,
    phase: AtomicU8,
    since_ms: AtomicU64,
    blocked_since_ms: AtomicU64,
    /// When the last piece of a download began to go out; 0 when none does.
    piece_since_ms: AtomicU64,
    /// What arrived since the connection was idle, up to [`HEAD_BYTES_KEPT`].
    head: Mutex<Vec<u8>>,
}

/// Longer heads are refused anyway, unless the limit is set higher.
const HEAD_BYTES_KEPT: usize = 16 << 10;

// One task writes and reads the record; the atomics only make it shareable.
const RELAXED: Ordering = Ordering::Relaxed;

impl Watch {
    /// A record for a new connection.
    pub(crate) fn new() -> Watch {
        Watch {
            accepted: Instant::now(),
            phase: AtomicU8::new(Phase::Idle as u8),
            since_ms: AtomicU64::new(1),
            blocked_since_ms: AtomicU64::new(0),
            piece_since_ms: AtomicU64::new(0),
            head: Mutex::new(Vec::new()),
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.accepted.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1
    }

    /// Records a new phase.
    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, RELAXED);
        self.since_ms.store(self.now_ms(), RELAXED);
    }

    /// Whether a stream or a download is being sent.
    pub(crate) fn is_streaming(&self) -> bool {
        self.is(Phase::Streaming)
    }

    fn is(&self, phase: Phase) -> bool {
        self.phase.load(RELAXED) == phase as u8
    }

    fn arrived(&self, bytes: &[u8]) {
        if self.is(Phase::Busy) || self.is(Phase::Streaming) {
            return;
        }
        let mut head = self.head.lock();
        if self.is(Phase::Idle) {
            head.clear();
            self.enter(Phase::Head);
        }
        let kept = bytes.len().min(HEAD_BYTES_KEPT - head.len());
        head.extend_from_slice(&bytes[..kept]);
    }

    /// Records that a request begins, and drops its head. With `asked`, returns whether the head
    /// has a length; false for heads that arrived while an earlier request was answered, because
    /// they are not recorded.
    pub(crate) fn begin(&self, asked: bool) -> bool {
        self.enter(Phase::Busy);
        let mut head = self.head.lock();
        let gave = asked && gives_length(&head);
        head.clear();
        gave
    }

    fn blocked(&self) {
        if self.blocked_since_ms.load(RELAXED) == 0 {
            self.blocked_since_ms.store(self.now_ms(), RELAXED);
        }
    }

    fn moving(&self) {
        self.blocked_since_ms.store(0, RELAXED);
    }

    /// Whether part of an answer waits for the socket.
    pub(crate) fn is_writing(&self) -> bool {
        self.blocked_since_ms.load(RELAXED) > 0
    }

    /// The timeout that the connection has exceeded, if any.
    pub(crate) fn late(&self, settings: &Settings) -> Option<Late> {
        let now = self.now_ms();
        let over =
            |since: u64, limit: Duration| u128::from(now - since.min(now)) >= limit.as_millis();
        let blocked = self.blocked_since_ms.load(RELAXED);
        let since = self.since_ms.load(RELAXED);
        let piece = self.piece_since_ms.load(RELAXED);
        let is_slow = |since: u64| since > 0 && over(since, settings.write_timeout);
        if is_slow(blocked) || is_slow(piece) {
            Some(Late::Write)
        } else if self.is(Phase::Head) && over(since, settings.header_timeout) {
            Some(Late::Head)
        } else if self.is(Phase::Idle) && over(since, settings.idle_timeout) {
            Some(Late::Idle)
        } else {
            None
        }
    }
}

/// Whether a head has a `Content-Length` line; bytes may follow the head.
fn gives_length(head: &[u8]) -> bool {
    let name = b"content-length";
    head.split(|byte| *byte == b'\n')
        .take_while(|line| !matches!(line, [] | [b'\r']))
        .any(|line| line.get(..name.len()).is_some_and(|it| it.eq_ignore_ascii_case(name)))
}

/// How often to check a [`Watch`]: often enough that no timeout is exceeded by more than a quarter
/// of the shortest.
pub(crate) fn interval(settings: &Settings) -> Duration {
    let shortest = settings.header_timeout.min(settings.idle_timeout).min(settings.write_timeout);
    (shortest / 4).max(Duration::from_millis(1))
}

/// The most bytes of one read.
const READ_BYTES: usize = 8 << 10;

/// A socket whose traffic is recorded.
#[derive(Debug)]
pub(crate) struct Watched {
    socket: Stream,
    watch: Arc<Watch>,
}

/// Marks a connection as streaming until this is dropped: it may be silent for long.
#[derive(Debug)]
pub(crate) struct Streaming(Arc<Watch>);

impl Streaming {
    /// Marks the connection.
    pub(crate) fn begin(watch: &Arc<Watch>) -> Streaming {
        watch.enter(Phase::Streaming);
        Streaming(Arc::clone(watch))
    }
}

impl Streaming {
    /// Records that the next piece of a download goes out, which must not take longer than a write
    /// may be blocked: a client that takes a few bytes now and then must not keep its place.
    pub(crate) fn begins_piece(&self) {
        self.0.piece_since_ms.store(self.0.now_ms(), RELAXED);
    }
}

impl Drop for Streaming {
    fn drop(&mut self) {
        self.0.piece_since_ms.store(0, RELAXED);
        self.0.enter(Phase::Idle);
    }
}

impl Watched {
    /// Watches a socket.
    pub(crate) fn new(socket: Stream, watch: Arc<Watch>) -> Watched {
        Watched { socket, watch }
    }

    /// The socket, once the HTTP library is done with it.
    pub(crate) fn into_socket(self) -> Stream {
        self.socket
    }

    fn note_write<T>(&self, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match result {
            Poll::Pending => self.watch.blocked(),
            Poll::Ready(_) => self.watch.moving(),
        }
        result
    }
}

impl Read for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut target: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut space = [const { MaybeUninit::uninit() }; READ_BYTES];
        let length = space.len().min(target.remaining());
        let mut read = ReadBuf::uninit(&mut space[..length]);
        let result = Pin::new(&mut self.socket).poll_read(cx, &mut read);
        let bytes = read.filled();
        if !bytes.is_empty() {
            self.watch.arrived(bytes);
            target.put_slice(bytes);
        }
        result
    }
}

impl Write for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.note_write(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.socket).poll_write_vectored(cx, pieces);
        self.note_write(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(header_ms: u64, idle_ms: u64, write_ms: u64) -> Settings {
        Settings {
            header_timeout: Duration::from_millis(header_ms),
            idle_timeout: Duration::from_millis(idle_ms),
            write_timeout: Duration::from_millis(write_ms),
            ..Settings::default()
        }
    }

    #[test]
    fn each_phase_has_its_own_limit() {
        let watch = Watch::new();
        std::thread::sleep(Duration::from_millis(3));
        assert_eq!(watch.late(&settings(1, 10_000, 1)), None);
        assert_eq!(watch.late(&settings(10_000, 2, 10_000)), Some(Late::Idle));
        watch.arrived(b"GET");
        std::thread::sleep(Duration::from_millis(3));
        assert_eq!(watch.late(&settings(2, 10_000, 1)), Some(Late::Head));
        watch.enter(Phase::Busy);
        std::thread::sleep(Duration::from_millis(3));
        assert_eq!(watch.late(&settings(1, 1, 1)), None);
        watch.blocked();
        std::thread::sleep(Duration::from_millis(3));
        assert_eq!(watch.late(&settings(1, 1, 2)), Some(Late::Write));
        assert!(watch.is_writing());
        watch.moving();
        assert!(!watch.is_writing());
        assert_eq!(watch.late(&settings(1, 1, 2)), None);
    }

    #[test]
    fn a_piece_of_a_download_has_the_time_of_a_write_though_bytes_move() {
        let watch = Arc::new(Watch::new());
        let streaming = Streaming::begin(&watch);
        std::thread::sleep(Duration::from_millis(3));
        assert_eq!(watch.late(&settings(1, 1, 2)), None, "the file is read");
        streaming.begins_piece();
        watch.moving();
        assert_eq!(watch.late(&settings(1, 1, 1_000)), None);
        std::thread::sleep(Duration::from_millis(3));
        watch.moving();
        assert_eq!(watch.late(&settings(1, 1, 2)), Some(Late::Write));
        streaming.begins_piece();
        assert_eq!(watch.late(&settings(1, 1, 1_000)), None);
        drop(streaming);
        std::thread::sleep(Duration::from_millis(3));
        assert_eq!(watch.late(&settings(1, 10_000, 2)), None);
    }

    #[test]
    fn a_head_begins_with_its_first_byte_and_not_with_later_ones() {
        let watch = Watch::new();
        watch.arrived(b"GET");
        std::thread::sleep(Duration::from_millis(3));
        watch.arrived(b"GET");
        assert_eq!(watch.late(&settings(2, 10_000, 10_000)), Some(Late::Head));
    }

    #[test]
    fn a_length_is_found_in_the_first_head_only() {
        for (bytes, gave) in [
            (&b"POST / HTTP/1.1\r\nhost: a\r\nContent-LENGTH: 5\r\n\r\n"[..], true),
            (b"POST / HTTP/1.1\nTransfer-Encoding: chunked\n\nContent-Length: 5\n\n", false),
            (b"POST / HTTP/1.1\r\nX-Content-Length: 5\r\n\r\n", false),
        ] {
            let watch = Watch::new();
            for piece in bytes.chunks(7) {
                watch.arrived(piece);
            }
            assert_eq!(watch.begin(true), gave, "{}", String::from_utf8_lossy(bytes));
            assert!(!watch.begin(true), "a head is judged once");
            watch.arrived(b"content-length: 1\r\n");
            watch.enter(Phase::Idle);
            watch.arrived(b"GET / HTTP/1.1\r\n\r\n");
            assert!(!watch.begin(true), "what arrived before it is not part of a head");
            assert!(!watch.begin(false));
        }
        let watch = Watch::new();
        watch.arrived(&[b'x'; 3 * HEAD_BYTES_KEPT]);
        assert_eq!(watch.head.lock().len(), HEAD_BYTES_KEPT);
    }

    #[test]
    fn the_watch_is_checked_often_enough() {
        assert_eq!(interval(&settings(400, 1000, 1000)), Duration::from_millis(100));
        assert_eq!(interval(&settings(1, 1, 1)), Duration::from_millis(1));
    }
}
