//! A backup as it arrives, piece by piece.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::Request;
use hyper::body::{Body, Incoming};
use tokio::time::{Instant, sleep, timeout};

use crate::attempt::{Cause, FailedAttempt};
use crate::error::{Error, Report};
use crate::retry::{self, Repeat, Situation};
use crate::scope::{Inner, Scope};
use crate::wire::Outcome;

const PATH: &str = "/api/v1/cluster/backup";

/// How long a node may take for its snapshot.
const SNAPSHOT_MAX: Duration = Duration::from_secs(600);

/// How long a node may send nothing once it has begun.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// A backup on its way from one node. Only the piece that the caller asked for is in memory.
#[derive(Debug)]
pub struct Backup {
    body: Incoming,
    url: String,
    trace_id: String,
    bytes: u64,
    received: u64,
    begun: Instant,
}

impl Backup {
    /// How many bytes it has.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The node that sends it.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The next piece; `None` after the last. The backup is complete only when this returns `None`.
    ///
    /// # Errors
    /// When the connection breaks or is silent for too long: request the backup again.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            let frame = match timeout(SILENCE_MAX, self.body.frame()).await {
                Err(_) => {
                    let cause = Cause::Timeout { url: self.url.clone(), after: SILENCE_MAX };
                    return Err(self.failed(cause));
                }
                Ok(Some(Err(source))) => return Err(self.broken(source.into())),
                Ok(Some(Ok(frame))) => frame,
                Ok(None) if self.received == self.bytes => return Ok(None),
                Ok(None) => return Err(self.broken("the backup ended early".into())),
            };
            if let Ok(piece) = frame.into_data() {
                self.received += piece.len() as u64;
                return Ok(Some(piece));
            }
        }
    }

    fn broken(&self, source: crate::attempt::Source) -> Error {
        self.failed(Cause::Broken { url: self.url.clone(), source })
    }

    fn failed(&self, cause: Cause) -> Error {
        let report = Report {
            cause,
            attempts: 1,
            elapsed: self.begun.elapsed(),
            idempotency_key: None,
            trace_id: self.trace_id.clone(),
        };
        report.into_error(Outcome::NotApplied)
    }

    /// Asks one node after another.
    pub(crate) async fn open(inner: &Arc<Inner>, scope: &Scope) -> Result<Backup, Error> {
        let (mut headers, trace_id) = scope.headers("application/octet-stream")?;
        scope.freshness(&mut headers);
        let begun = Instant::now();
        let deadline = begun + scope.deadline.unwrap_or(SNAPSHOT_MAX);
        let mut index = scope.pinned.unwrap_or_else(|| inner.endpoints.first(begun));
        let mut attempts = 0;
        loop {
            attempts += 1;
            let url = &inner.endpoints.urls()[index];
            let mut request = Request::new(());
            *request.uri_mut() =
                format!("{url}{PATH}").parse().expect("the base URL was checked before");
            *request.headers_mut() = headers.clone();
            inner.authorize(request.headers_mut());
            let left = deadline.saturating_duration_since(Instant::now());
            let failure = match inner.transport.open(request, url, left).await {
                Ok(body) => {
                    inner.endpoints.works(index);
                    let bytes = body.size_hint().lower();
                    let url = url.clone();
                    return Ok(Backup { body, url, trace_id, bytes, received: 0, begun });
                }
                Err(failure) => failure,
            };
            let now = Instant::now();
            inner.endpoints.failed(index, failure.cause.is_unreachable(), now);
            let wait = again(&failure, inner, scope, attempts, deadline, now);
            let Some(wait) = wait else {
                let elapsed = now.saturating_duration_since(begun);
                let (cause, idempotency_key) = (failure.cause, None);
                let report = Report { cause, attempts, elapsed, idempotency_key, trace_id };
                return Err(report.into_error(failure.outcome));
            };
            sleep(wait).await;
            if scope.pinned.is_none() {
                index = inner.endpoints.next_after(index, Instant::now());
            }
        }
    }
}

/// The wait before another attempt, if there is one.
fn again(
    failure: &FailedAttempt,
    inner: &Inner,
    scope: &Scope,
    attempts: u32,
    deadline: Instant,
    now: Instant,
) -> Option<Duration> {
    let situation = Situation {
        repeat: Repeat::Read,
        attempts,
        attempts_max: scope.attempts_max.unwrap_or(inner.attempts_max),
        endpoints: if scope.pinned.is_some() { 1 } else { inner.endpoints.urls().len() },
        left: deadline.saturating_duration_since(now),
        unit: rand::random(),
    };
    retry::after(failure, &situation, &inner.backoff)
}
