//! A stream of events as the body of an answer (`text/event-stream`).

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use engine::event::EventId;
use hyper::body::Frame;
use tokio::time::{Instant, sleep_until};

use super::feed::Ended;
use super::{Filter, Subscription};
use crate::metrics::{Metrics, Transport};
use crate::watch::{Streaming, Watch};

/// The content type of a stream of events.
pub(crate) const CONTENT_TYPE: &str = "text/event-stream";

/// How long a browser waits before it reconnects, in milliseconds.
const RETRY_MS: u32 = 1_000;
/// Bytes that are collected before the connection gets them.
const CHUNK_BYTES: usize = 16 << 10;

/// The body. It is only a place in the sequence: while the connection takes no bytes, nothing is
/// read.
pub(crate) struct EventStream {
    /// Makes the next piece and returns the source.
    next: Option<Next>,
    /// Marks the connection as busy with this stream.
    streaming: Option<Streaming>,
}

type Next = Pin<Box<dyn Future<Output = Option<(Source, Bytes)>> + Send>>;

struct Source {
    subscription: Subscription,
    filter: Filter,
    heartbeat: Duration,
    metrics: Arc<Metrics>,
    /// Ends when the stream must.
    end: End,
    due: Instant,
}

/// Ends when the server stops, or when the credentials of the subscriber no longer count.
pub(crate) type End = Pin<Box<dyn Future<Output = ()> + Send>>;

impl EventStream {
    /// A stream of the selected events after `start`, until `end`.
    pub(crate) fn new(
        subscription: Subscription,
        start: EventId,
        filter: Filter,
        heartbeat: Duration,
        metrics: Arc<Metrics>,
        end: End,
    ) -> EventStream {
        let due = Instant::now() + heartbeat;
        let source = Source { subscription, filter, heartbeat, metrics, end, due };
        // With this id a client can resume without a gap before the first event.
        let hello = format!(": events\nretry: {RETRY_MS}\nid: {start}\n\n");
        let next = std::future::ready(Some((source, hello.into())));
        EventStream { next: Some(Box::pin(next)), streaming: None }
    }

    /// Marks the connection as busy until the stream ends.
    pub(crate) fn goes_out_on(&mut self, watch: &Arc<Watch>) {
        self.streaming = Some(Streaming::begin(watch));
    }
}

impl Source {
    /// Waits for the next piece: events, or a heartbeat.
    async fn next(mut self) -> Option<(Source, Bytes)> {
        let mut piece = BytesMut::new();
        loop {
            let mut sent = 0;
            let mut seen = 0_u32;
            while piece.len() < CHUNK_BYTES
                && let Some(rendered) = self.subscription.pop()
            {
                seen += 1;
                if self.filter.wants(rendered) {
                    piece.extend_from_slice(rendered.text());
                    sent += 1;
                }
            }
            if sent > 0 {
                self.metrics.events_sent(Transport::Sse, sent);
                self.due = Instant::now() + self.heartbeat;
                return Some((self, piece.freeze()));
            }
            if seen > 0 {
                // Many events that are not selected must not block other tasks.
                tokio::task::yield_now().await;
            }
            tokio::select! {
                biased;
                () = &mut self.end => return None,
                () = sleep_until(self.due) => {
                    self.due = Instant::now() + self.heartbeat;
                    return Some((self, Bytes::from_static(b": heartbeat\n\n")));
                }
                waited = self.subscription.wait() => match waited {
                    Ok(()) => {}
                    // The client learns it when it reconnects.
                    Err(Ended::Gone) => return None,
                    Err(Ended::Failed(error)) => {
                        tracing::error!(%error, "a stream of events failed");
                        return None;
                    }
                },
            }
        }
    }
}

impl hyper::body::Body for EventStream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(next) = &mut self.next else { return Poll::Ready(None) };
        let Poll::Ready(piece) = next.as_mut().poll(cx) else { return Poll::Pending };
        let piece = piece.map(|(source, bytes)| {
            self.next = Some(Box::pin(source.next()));
            Ok(Frame::data(bytes))
        });
        if piece.is_none() {
            self.next = None;
        }
        Poll::Ready(piece)
    }
}
