//! One attempt: one request to one node, bounded in time, connections and bytes.
//!
//! This module knows HTTP and nothing of orders. It never follows a redirect and never sends a
//! request a second time after a byte of it has gone out.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::{HeaderMap, Request, Response};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout, timeout_at};

use crate::failure::{Cause, Failure};
use crate::wire::Outcome;

/// Connections that lie idle are dropped after this time, before the server drops them (60 s):
/// a request on a connection that the server is just closing ends in doubt for no reason.
const IDLE: Duration = Duration::from_secs(30);

/// Bytes of answer that hyper buffers while reading the head, so the bound on all headers.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Header lines in one answer.
const HEADERS_MAX: usize = 100;

/// The connection pool and its bounds.
#[derive(Debug)]
pub(crate) struct Transport {
    http: legacy::Client<HttpConnector, Tracked>,
    slots: Semaphore,
    connections_max: usize,
    response_bytes_max: usize,
}

/// An answer whose body is complete.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Transport {
    /// A pool of at most `connections_max` connections that reads answers of at most
    /// `response_bytes_max` bytes.
    pub(crate) fn new(
        connections_max: usize,
        connect_timeout: Duration,
        response_bytes_max: usize,
    ) -> Self {
        let mut connector = HttpConnector::new();
        connector.enforce_http(true);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(connect_timeout));
        let http = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(connections_max)
            // Only ever repeats a request of which nothing was written.
            .retry_canceled_requests(true)
            .http1_max_buf_size(HEAD_BYTES_MAX)
            .http1_max_headers(HEADERS_MAX)
            .build(connector);
        let slots = Semaphore::new(connections_max);
        Self { http, slots, connections_max, response_bytes_max }
    }

    /// Waits for a free connection slot until `deadline`.
    ///
    /// HTTP/1.1 carries one request per connection at a time, so bounding the requests on their
    /// way bounds the connections in use.
    pub(crate) async fn slot(&self, deadline: Instant) -> Result<SemaphorePermit<'_>, Failure> {
        match timeout_at(deadline, self.slots.acquire()).await {
            // A slot that comes free at the deadline comes too late.
            Ok(permit) if Instant::now() < deadline => {
                Ok(permit.expect("the semaphore is never closed"))
            }
            _ => {
                let cause = Cause::Busy { connections_max: self.connections_max };
                Err(Failure::on_the_way(Outcome::NotApplied, cause))
            }
        }
    }

    /// Sends `request` to `url` and reads the whole answer within `within`.
    pub(crate) async fn send(
        &self,
        request: Request<Bytes>,
        url: &str,
        within: Duration,
    ) -> Result<Answered, Failure> {
        let begun = Arc::new(AtomicBool::new(false));
        // Without a body there is nothing to watch, so the request counts as sent at once.
        let watched = !request.body().is_empty();
        let request = request.map(|bytes| Tracked { bytes, begun: Arc::clone(&begun) });
        let outcome = || {
            if watched && !begun.load(Ordering::Acquire) {
                Outcome::NotApplied
            } else {
                Outcome::Unknown
            }
        };
        let answer = timeout(within, async {
            let response = self.http.request(request).await.map_err(|error| {
                if error.is_connect() {
                    let cause = Cause::Connect { url: url.to_owned(), source: error.into() };
                    return Failure::on_the_way(Outcome::NotApplied, cause);
                }
                let cause = Cause::Broken { url: url.to_owned(), source: error.into() };
                Failure::on_the_way(outcome(), cause)
            })?;
            self.read(response, url).await
        });
        answer.await.unwrap_or_else(|_| {
            let cause = Cause::Timeout { url: url.to_owned(), after: within };
            Err(Failure::on_the_way(outcome(), cause))
        })
    }

    /// Asks for an answer that has no end, within `within` for its head. It takes no slot.
    pub(crate) async fn open(
        &self,
        request: Request<()>,
        url: &str,
        within: Duration,
    ) -> Result<Incoming, Failure> {
        let unused = Arc::new(AtomicBool::new(false));
        let request = request.map(|()| Tracked { bytes: Bytes::new(), begun: unused });
        let answer = timeout(within, async {
            let response = self.http.request(request).await.map_err(|error| {
                let (url, connect) = (url.to_owned(), error.is_connect());
                let source = error.into();
                let cause = match connect {
                    true => Cause::Connect { url, source },
                    false => Cause::Broken { url, source },
                };
                Failure::on_the_way(Outcome::NotApplied, cause)
            })?;
            if response.status() == 200 {
                return Ok(response.into_body());
            }
            let answered = self.read(response, url).await?;
            let Answered { status, headers, body } = answered;
            Err(Failure::from_answer(status, &headers, &body, url))
        });
        answer.await.unwrap_or_else(|_| {
            let cause = Cause::Timeout { url: url.to_owned(), after: within };
            Err(Failure::on_the_way(Outcome::NotApplied, cause))
        })
    }

    /// Reads the body of an answer, up to the bound.
    async fn read(&self, response: Response<Incoming>, url: &str) -> Result<Answered, Failure> {
        let (head, body) = response.into_parts();
        let bytes_max = self.response_bytes_max;
        // A length that is announced need not be waited for.
        if body.size_hint().lower() > bytes_max as u64 {
            return Err(too_large(url, bytes_max));
        }
        let collected = Limited::new(body, bytes_max).collect().await.map_err(|source| {
            if source.is::<LengthLimitError>() {
                return too_large(url, bytes_max);
            }
            let cause = Cause::Broken { url: url.to_owned(), source };
            Failure::on_the_way(Outcome::Unknown, cause)
        })?;
        let body = collected.to_bytes();
        Ok(Answered { status: head.status.as_u16(), headers: head.headers, body })
    }
}

/// The failure of an answer over the bound. The same answer would be as long the next time, so
/// asking again is of no use.
fn too_large(url: &str, bytes_max: usize) -> Failure {
    let cause = Cause::TooLarge { url: url.to_owned(), bytes_max };
    Failure { retryable: false, ..Failure::on_the_way(Outcome::Unknown, cause) }
}

/// A request body that notes when the connection begins to take it.
///
/// Until then no complete request can have reached the server, so a failure certainly had no
/// effect, even when it was noticed only by a timeout.
#[derive(Debug)]
struct Tracked {
    bytes: Bytes,
    begun: Arc<AtomicBool>,
}

impl Body for Tracked {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.begun.store(true, Ordering::Release);
        let bytes = std::mem::take(&mut self.bytes);
        Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len() as u64)
    }
}
