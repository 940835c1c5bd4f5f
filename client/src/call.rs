//! A call: one request of the caller with all its attempts, until it succeeds, is rejected, or runs
//! out of time or attempts.

use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, IF_MATCH};
use hyper::{HeaderMap, Method, Request};
use serde::Serialize;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::answer::{self, Answer, Receipt};
use crate::attempt::{Cause, FailedAttempt};
use crate::decode::Decode;
use crate::error::{Error, Invalid, Report};
use crate::retry::{self, Repeat, Situation};
use crate::scope::{Inner, Scope};
use crate::transport::Answered;
use crate::wire::{self, Outcome};

/// The longest path with its query, without the base URL; every server accepts this much.
const PATH_BYTES_MAX: usize = 7 * 1024;

/// The media types that every request accepts.
const ACCEPTED: &str = "application/json, application/problem+json";

/// What to send, the same in every attempt.
#[derive(Debug)]
pub(crate) struct Call {
    method: Method,
    path: String,
    body: Bytes,
    repeat: Repeat,
    key: Option<String>,
    key_header: bool,
    if_match: Option<u64>,
    signature: Option<String>,
    also_answers: Option<u16>,
}

impl Call {
    /// A read of `path`.
    pub(crate) fn read(path: impl Into<String>) -> Self {
        Self {
            method: Method::GET,
            path: path.into(),
            body: Bytes::new(),
            repeat: Repeat::Read,
            key: None,
            key_header: false,
            if_match: None,
            signature: None,
            also_answers: None,
        }
    }

    /// A write to `path`; `repeat` says what a second request does.
    pub(crate) fn write(method: Method, path: impl Into<String>, repeat: Repeat) -> Self {
        Self { method, repeat, ..Self::read(path) }
    }

    /// Sets `body` as the JSON body.
    pub(crate) fn json(mut self, body: &impl Serialize) -> Result<Self, Invalid> {
        let body = serde_json::to_vec(body).map_err(|error| Invalid::Body(error.to_string()))?;
        self.body = body.into();
        Ok(self)
    }

    /// Sends the call under an idempotency key: the caller's, which is in the body already, or a
    /// new one.
    ///
    /// All attempts have the same key, so together they take effect at most once.
    pub(crate) fn keyed(mut self, key: Option<&str>) -> Result<Self, Invalid> {
        self.repeat = Repeat::Keyed;
        match key {
            // The server decides which characters it accepts; here only the length is checked.
            Some(key) if key.is_empty() || key.chars().count() > 255 => {
                return Err(Invalid::IdempotencyKey);
            }
            Some(key) => self.key = Some(key.to_owned()),
            None => {
                self.key = Some(Uuid::new_v4().to_string());
                self.key_header = true;
            }
        }
        Ok(self)
    }

    /// Makes a replacement conditional on the row's version.
    ///
    /// After an unknown outcome it can no longer be retried safely: the second request would be
    /// refused because the first succeeded.
    pub(crate) fn if_match(mut self, version: Option<u64>) -> Self {
        if version.is_some() {
            self.if_match = version;
            self.repeat = Repeat::Once;
        }
        self
    }

    /// The body as it will be sent.
    pub(crate) fn body(&self) -> &[u8] {
        &self.body
    }

    /// Adds the signature of the body.
    pub(crate) fn signed(mut self, signature: Option<String>) -> Self {
        self.signature = signature;
        self
    }

    /// Treats `status` as an answer too, when its body is not a problem.
    pub(crate) const fn also_answers(mut self, status: u16) -> Self {
        self.also_answers = Some(status);
        self
    }

    /// Executes the call.
    pub(crate) async fn run<T>(
        self,
        inner: &Inner,
        scope: &Scope,
        decode: Decode<T>,
    ) -> Result<Answer<T>, Error> {
        let (headers, trace_id) = self.headers(scope)?;
        let start = Instant::now();
        let deadline = start + scope.deadline.unwrap_or(inner.deadline);
        let mut index = scope.pinned.unwrap_or_else(|| inner.endpoints.first(start));
        let mut doubt = false;
        let mut attempts = 0;
        loop {
            attempts += 1;
            let url = &inner.endpoints.urls()[index];
            let result = self.attempt(inner, &headers, url, deadline).await;
            let result = result.and_then(|answered| self.judge(answered, scope, url, decode));
            let failure = match result {
                Ok((data, status, headers)) => {
                    inner.endpoints.works(index);
                    let receipt = Receipt {
                        status,
                        replayed: answer::replayed(&headers),
                        position: answer::position(&headers),
                        trace_id: echoed(&headers).unwrap_or(trace_id),
                        idempotency_key: self.key,
                        attempts,
                        url: url.clone(),
                    };
                    return Ok(Answer { data, receipt });
                }
                Err(failure) => failure,
            };
            let now = Instant::now();
            note(inner, index, &failure, now);
            let situation = Situation {
                repeat: self.repeat,
                attempts,
                attempts_max: scope.attempts_max.unwrap_or(inner.attempts_max),
                endpoints: if scope.pinned.is_some() { 1 } else { inner.endpoints.urls().len() },
                left: deadline.saturating_duration_since(now),
                unit: rand::random(),
            };
            let Some(wait) = retry::after(&failure, &situation, &inner.backoff) else {
                let outcome = retry::outcome(self.repeat, &failure, doubt);
                let report = Report {
                    cause: failure.cause,
                    attempts,
                    elapsed: now.saturating_duration_since(start),
                    idempotency_key: self.key,
                    trace_id,
                };
                return Err(report.into_error(outcome));
            };
            doubt |= failure.outcome == Outcome::Unknown;
            if !wait.is_zero() {
                sleep(wait).await;
            }
            if scope.pinned.is_none() {
                index = inner.endpoints.next_after(index, Instant::now());
            }
        }
    }

    /// Sends the request once.
    async fn attempt(
        &self,
        inner: &Inner,
        headers: &HeaderMap,
        url: &str,
        deadline: Instant,
    ) -> Result<Answered, FailedAttempt> {
        let _slot = inner.transport.slot(deadline).await?;
        let mut request = Request::new(self.body.clone());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = format!("{url}{}", self.path)
            .parse()
            .expect("base URL and path were checked before the first attempt");
        *request.headers_mut() = headers.clone();
        inner.authorize(request.headers_mut());
        let left = deadline.saturating_duration_since(Instant::now());
        inner.transport.send(request, url, left.min(inner.attempt_timeout)).await
    }

    /// Distinguishes a success from a failed attempt.
    fn judge<T>(
        &self,
        answered: Answered,
        scope: &Scope,
        url: &str,
        decode: Decode<T>,
    ) -> Result<(T, u16, HeaderMap), FailedAttempt> {
        let Answered { status, headers, body } = answered;
        if let Some(position) = answer::position(&headers) {
            scope.observe(position);
        }
        let is_problem = headers.get(CONTENT_TYPE).is_some_and(|value| {
            value.to_str().is_ok_and(|value| value.trim_start().starts_with(wire::PROBLEM_JSON))
        });
        let success = (200..300).contains(&status) && !is_problem;
        if !success && (self.also_answers != Some(status) || is_problem) {
            return Err(FailedAttempt::from_answer(status, &headers, &body, url));
        }
        match decode(&body) {
            Ok(data) => Ok((data, status, headers)),
            // Something took the request and sent an unreadable answer: the request may have taken
            // effect.
            Err(source) => {
                let cause = Cause::Body { status, url: url.to_owned(), source };
                Err(FailedAttempt::on_the_way(Outcome::Unknown, cause))
            }
        }
    }

    /// The headers of every attempt, and the trace id in them.
    fn headers(&self, scope: &Scope) -> Result<(HeaderMap, String), Invalid> {
        if self.path.len() > PATH_BYTES_MAX {
            return Err(Invalid::Url(format!("its path is longer than {PATH_BYTES_MAX} bytes")));
        }
        let (mut headers, trace_id) = scope.headers(ACCEPTED)?;
        if !self.body.is_empty() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(wire::JSON));
            // A misspelt field must not be ignored.
            let strict = HeaderValue::from_static(wire::HANDLING_STRICT);
            headers.insert(HeaderName::from_static(wire::PREFER), strict);
        }
        if let Some(key) = self.key.as_ref().filter(|_| self.key_header) {
            headers.insert(HeaderName::from_static(wire::IDEMPOTENCY_KEY), visible(key));
        }
        if let Some(version) = self.if_match {
            headers.insert(IF_MATCH, visible(&format!("\"{version}\"")));
        }
        if let Some(signature) = &self.signature {
            headers.insert(HeaderName::from_static(wire::SIGNATURE), visible(signature));
        }
        if self.repeat == Repeat::Read {
            scope.freshness(&mut headers);
        }
        Ok((headers, trace_id))
    }
}

/// Makes a header of text that contains only visible ASCII.
fn visible(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("only visible ASCII is made a header")
}

/// The trace id in the server's answer.
fn echoed(headers: &HeaderMap) -> Option<String> {
    Some(headers.get(wire::TRACE_ID)?.to_str().ok()?.to_owned())
}

/// Records what a failed attempt says about the node.
fn note(inner: &Inner, index: usize, failure: &FailedAttempt, now: Instant) {
    match failure.cause {
        _ if failure.cause.is_unreachable() => inner.endpoints.failed(index, true, now),
        Cause::Busy { .. } => {}
        Cause::Problem(_) | Cause::TooLarge { .. } if failure.outcome == Outcome::Rejected => {
            inner.endpoints.works(index);
        }
        _ => inner.endpoints.failed(index, false, now),
    }
}
