//! Subscribing to events: a stream from one node, resumed at another when it breaks.

use std::sync::Arc;

use bytes::{Buf, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{HeaderMap, Request};
use tokio::time::{Instant, sleep, timeout};

use crate::attempt::{Cause, FailedAttempt};
use crate::error::{Error, Invalid, Report};
use crate::query::EventQuery;
use crate::retry::{self, Repeat, Situation};
use crate::scope::{Inner, Scope};
use crate::wire::{Event, Outcome};

/// The longest block of a stream, in bytes.
const BLOCK_BYTES_MAX: usize = 256 * 1024;

/// Events as they happen, from whichever node answers.
///
/// When the stream breaks, the next call resumes it at another node after the last returned event,
/// so no event is missing and none is duplicated. It uses one connection, which does not count
/// towards [`crate::Builder::connections_max`]. Dropping it ends it.
#[derive(Debug)]
pub struct EventStream {
    inner: Arc<Inner>,
    scope: Scope,
    path: String,
    /// The last returned id, or where the stream began.
    last: Option<String>,
    /// The node to ask next.
    index: usize,
    open: Option<Open>,
    /// An event that came while the stream was opened.
    early: Option<Event>,
}

/// A stream from one node.
#[derive(Debug)]
struct Open {
    body: Incoming,
    text: BytesMut,
}

/// The fields of a block of a stream.
#[derive(Debug, Default, PartialEq)]
struct Block {
    id: Option<String>,
    data: String,
}

impl EventStream {
    pub(crate) fn new(inner: Arc<Inner>, scope: Scope, query: &EventQuery) -> Self {
        let index = scope.pinned.unwrap_or_else(|| inner.endpoints.first(Instant::now()));
        let (path, last) = (query.path(inner.event_silence), query.after.clone());
        Self { inner, scope, path, last, index, open: None, early: None }
    }

    /// The id to continue after: that of the last returned event, else that of the stream's
    /// beginning; `None` before it was opened, unless the query named one.
    ///
    /// It serves as [`EventQuery::after`] of a later stream, even in another process.
    #[must_use]
    pub fn last_id(&self) -> Option<&str> {
        self.last.as_deref()
    }

    /// Opens the stream, unless it is open. It returns all events from then on.
    ///
    /// # Errors
    /// As for [`EventStream::next`].
    pub async fn open(&mut self) -> Result<(), Error> {
        while self.open.is_none() {
            let open = self.connect().await?;
            self.open = Some(open);
            // The block with the id at which the stream begins comes first, though a proxy may add
            // comments before it.
            while self.last.is_none() && self.open.is_some() {
                match self.block().await {
                    Ok(event) => self.early = event,
                    Err(Broken) => self.broken(),
                }
            }
        }
        Ok(())
    }

    /// The next event; waits until there is one. It is cancel-safe: dropping the future loses no
    /// event.
    ///
    /// # Errors
    /// Rejected with `events_gone` when the next events are no longer retained, and with
    /// `validation_error` for an invalid query. When no node answers within the deadline of a call,
    /// the error of the last one; the next call tries again.
    #[allow(clippy::should_implement_trait, reason = "an iterator cannot wait")]
    pub async fn next(&mut self) -> Result<Event, Error> {
        loop {
            self.open().await?;
            if let Some(event) = self.early.take() {
                return Ok(event);
            }
            match self.block().await {
                Ok(Some(event)) => return Ok(event),
                Ok(None) => {}
                Err(Broken) => self.broken(),
            }
        }
    }

    /// Takes the next block of the open stream, and its event if it has one.
    async fn block(&mut self) -> Result<Option<Event>, Broken> {
        let open = self.open.as_mut().ok_or(Broken)?;
        let silence = self.inner.event_silence;
        let block = timeout(silence, open.block()).await.map_err(|_| Broken)??;
        let event = match block.data.is_empty() {
            true => None,
            // Never skip an unreadable event silently.
            false => Some(serde_json::from_str(&block.data).map_err(|_| Broken)?),
        };
        if block.id.is_some() {
            self.last = block.id;
        }
        Ok(event)
    }

    /// Drops a stream that has ended; another node is asked next.
    fn broken(&mut self) {
        self.open = None;
        if self.scope.pinned.is_none() {
            self.index = self.inner.endpoints.next_after(self.index, Instant::now());
        }
    }

    /// Asks one node after another for the stream.
    async fn connect(&mut self) -> Result<Open, Error> {
        let (headers, trace_id) = self.headers()?;
        let start = Instant::now();
        let deadline = start + self.scope.deadline.unwrap_or(self.inner.deadline);
        let mut attempts = 0;
        loop {
            attempts += 1;
            let url = &self.inner.endpoints.urls()[self.index];
            let failure = match self.attempt(&headers, url, deadline).await {
                Ok(body) => {
                    self.inner.endpoints.works(self.index);
                    return Ok(Open { body, text: BytesMut::new() });
                }
                Err(failure) => failure,
            };
            let now = Instant::now();
            let gone = Cause::is_unreachable(&failure.cause);
            if failure.outcome != Outcome::Rejected {
                self.inner.endpoints.failed(self.index, gone, now);
            }
            let situation = Situation {
                repeat: Repeat::Read,
                attempts,
                // A subscriber has nothing better to do than to retry until its deadline.
                attempts_max: u32::MAX,
                endpoints: self.inner.endpoints.urls().len(),
                left: deadline.saturating_duration_since(now),
                unit: rand::random(),
            };
            let Some(wait) = retry::after(&failure, &situation, &self.inner.backoff) else {
                let elapsed = now.saturating_duration_since(start);
                let (cause, idempotency_key) = (failure.cause, None);
                let report = Report { cause, attempts, elapsed, idempotency_key, trace_id };
                return Err(report.into_error(failure.outcome));
            };
            sleep(wait).await;
            self.broken();
        }
    }

    async fn attempt(
        &self,
        headers: &HeaderMap,
        url: &str,
        deadline: Instant,
    ) -> Result<Incoming, FailedAttempt> {
        let mut request = Request::new(());
        *request.uri_mut() = format!("{url}{}", self.path)
            .parse()
            .expect("base URL and path hold only what a URL may");
        *request.headers_mut() = headers.clone();
        self.inner.authorize(request.headers_mut());
        let left = deadline.saturating_duration_since(Instant::now());
        self.inner.transport.open(request, url, left.min(self.inner.attempt_timeout)).await
    }

    fn headers(&self) -> Result<(HeaderMap, String), Invalid> {
        let (mut headers, trace_id) = self.scope.headers("text/event-stream")?;
        if let Some(last) = &self.last {
            let value = HeaderValue::from_str(last).map_err(|_| Invalid::EventId)?;
            headers.insert(HeaderName::from_static("last-event-id"), value);
        }
        Ok((headers, trace_id))
    }
}

/// The stream ended, was silent for too long, or sent something unreadable.
#[derive(Debug, PartialEq)]
struct Broken;

impl Open {
    /// The next block with a field. It is cancel-safe.
    async fn block(&mut self) -> Result<Block, Broken> {
        loop {
            if let Some(block) = take_block(&mut self.text) {
                return Ok(block);
            }
            if self.text.len() > BLOCK_BYTES_MAX {
                return Err(Broken);
            }
            let frame = self.body.frame().await.ok_or(Broken)?.map_err(|_| Broken)?;
            if let Ok(bytes) = frame.into_data() {
                self.text.extend_from_slice(&bytes);
            }
        }
    }
}

/// Takes a whole block from the text, if there is one. Ignores comments and unknown fields.
fn take_block(text: &mut BytesMut) -> Option<Block> {
    let end = text.windows(2).position(|pair| pair == b"\n\n")?;
    let whole = text.split_to(end + 1);
    text.advance(1);
    let mut block = Block::default();
    for line in String::from_utf8_lossy(&whole).lines() {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => block.id = Some(value.to_owned()),
            "data" if block.data.is_empty() => value.clone_into(&mut block.data),
            "data" => {
                block.data.push('\n');
                block.data.push_str(value);
            }
            _ => {}
        }
    }
    Some(block)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_blocks_are_taken_one_by_one() {
        let mut text = BytesMut::from(
            &b": events\nretry: 1000\nid: 7.0\n\nid: 8.0\nevent: a\ndata: {\"x\":\ndata:1}\n\n: h\n\nid: 9"[..],
        );
        let block =
            |id: &str, data: &str| Some(Block { id: Some(id.to_owned()), data: data.to_owned() });
        assert_eq!(take_block(&mut text), block("7.0", ""));
        assert_eq!(take_block(&mut text), block("8.0", "{\"x\":\n1}"));
        assert_eq!(take_block(&mut text), Some(Block::default()));
        assert_eq!(take_block(&mut text), None);
        text.extend_from_slice(b".0\n\n");
        assert_eq!(take_block(&mut text), block("9.0", ""));
        assert!(text.is_empty());
    }
}
