//! One attempt: one request to one node, bounded in time, connections and bytes.
//!
//! This module knows HTTP and nothing about orders. It never follows a redirect, and never sends a
//! request again once a byte of it has been sent.

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

use crate::attempt::{Cause, FailedAttempt};
use crate::wire::Outcome;

/// Idle connections are dropped after this time, before the server drops them (60 s). A request on
/// a connection that the server is just closing would have an unknown outcome for no reason.
const IDLE: Duration = Duration::from_secs(30);

/// Bytes that hyper buffers while it reads the head of an answer: the bound on all headers.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// The most header lines in one answer.
const HEADERS_MAX: usize = 100;

/// What opens connections.
#[cfg(feature = "tls")]
pub(crate) type Connector = crate::secure::Secure;
#[cfg(not(feature = "tls"))]
pub(crate) type Connector = HttpConnector;

/// The settings of TLS. Without the feature there are none.
#[cfg(feature = "tls")]
pub(crate) type Tls = Option<Arc<rustls::ClientConfig>>;
#[cfg(not(feature = "tls"))]
pub(crate) type Tls = ();

/// The connection pool and its bounds.
#[derive(Debug)]
pub(crate) struct Transport {
    http: legacy::Client<Connector, Tracked>,
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
        tls: Tls,
    ) -> Self {
        let mut connector = HttpConnector::new();
        connector.enforce_http(true);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(connect_timeout));
        #[cfg(feature = "tls")]
        let connector = crate::secure::Secure::new(connector, tls, connect_timeout);
        #[cfg(not(feature = "tls"))]
        let () = tls;
        let http = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(connections_max)
            // Only ever retries a request of which no byte was written.
            .retry_canceled_requests(true)
            .http1_max_buf_size(HEAD_BYTES_MAX)
            .http1_max_headers(HEADERS_MAX)
            .build(connector);
        let slots = Semaphore::new(connections_max);
        Self { http, slots, connections_max, response_bytes_max }
    }

    /// Waits for a free connection slot until `deadline`.
    ///
    /// HTTP/1.1 carries one request per connection at a time, so bounding the concurrent requests
    /// bounds the connections in use.
    pub(crate) async fn slot(
        &self,
        deadline: Instant,
    ) -> Result<SemaphorePermit<'_>, FailedAttempt> {
        match timeout_at(deadline, self.slots.acquire()).await {
            // A slot that becomes free at the deadline is too late.
            Ok(permit) if Instant::now() < deadline => {
                Ok(permit.expect("the semaphore is never closed"))
            }
            _ => {
                let cause = Cause::Busy { connections_max: self.connections_max };
                Err(FailedAttempt::on_the_way(Outcome::NotApplied, cause))
            }
        }
    }

    /// Sends `request` to `url` and reads the whole answer, all within `within`.
    pub(crate) async fn send(
        &self,
        request: Request<Bytes>,
        url: &str,
        within: Duration,
    ) -> Result<Answered, FailedAttempt> {
        let begun = Arc::new(AtomicBool::new(false));
        // There is no body to watch, so the request counts as sent at once.
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
                    return FailedAttempt::on_the_way(Outcome::NotApplied, cause);
                }
                let cause = Cause::Broken { url: url.to_owned(), source: error.into() };
                FailedAttempt::on_the_way(outcome(), cause)
            })?;
            self.read(response, url).await
        });
        answer.await.unwrap_or_else(|_| {
            let cause = Cause::Timeout { url: url.to_owned(), after: within };
            Err(FailedAttempt::on_the_way(outcome(), cause))
        })
    }

    /// Sends a request whose answer has no end, and waits up to `within` for its head. It takes no
    /// slot.
    pub(crate) async fn open(
        &self,
        request: Request<()>,
        url: &str,
        within: Duration,
    ) -> Result<Incoming, FailedAttempt> {
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
                FailedAttempt::on_the_way(Outcome::NotApplied, cause)
            })?;
            if response.status() == 200 {
                return Ok(response.into_body());
            }
            let answered = self.read(response, url).await?;
            let Answered { status, headers, body } = answered;
            Err(FailedAttempt::from_answer(status, &headers, &body, url))
        });
        answer.await.unwrap_or_else(|_| {
            let cause = Cause::Timeout { url: url.to_owned(), after: within };
            Err(FailedAttempt::on_the_way(Outcome::NotApplied, cause))
        })
    }

    /// Reads the body of an answer, up to the bound.
    async fn read(
        &self,
        response: Response<Incoming>,
        url: &str,
    ) -> Result<Answered, FailedAttempt> {
        let (head, body) = response.into_parts();
        let bytes_max = self.response_bytes_max;
        // If the announced length is too large, reading is pointless.
        if body.size_hint().lower() > bytes_max as u64 {
            return Err(too_large(url, bytes_max));
        }
        let collected = Limited::new(body, bytes_max).collect().await.map_err(|source| {
            if source.is::<LengthLimitError>() {
                return too_large(url, bytes_max);
            }
            let cause = Cause::Broken { url: url.to_owned(), source };
            FailedAttempt::on_the_way(Outcome::Unknown, cause)
        })?;
        let body = collected.to_bytes();
        Ok(Answered { status: head.status.as_u16(), headers: head.headers, body })
    }
}

/// The failed attempt for an answer above the bound. The answer to a retry would be as long, so it
/// is not retried.
fn too_large(url: &str, bytes_max: usize) -> FailedAttempt {
    let cause = Cause::TooLarge { url: url.to_owned(), bytes_max };
    FailedAttempt { retryable: false, ..FailedAttempt::on_the_way(Outcome::Unknown, cause) }
}

/// A request body that records when the connection begins to read it.
///
/// Until then the server cannot have received a complete request. So a failed attempt certainly had
/// no effect, even when only a timeout revealed it.
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
