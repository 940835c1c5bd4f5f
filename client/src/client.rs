//! The client itself: what its clones share and what each of them carries.

mod batches;
mod events;
mod holds;
mod nodes;
mod orders;
mod payments;
mod products;
mod stock;
mod users;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::HeaderMap;
use hyper::header::{ACCEPT, HeaderName, HeaderValue};
use uuid::Uuid;

use crate::answer::Answer;
use crate::builder::Builder;
use crate::call::Call;
use crate::decode::Decode;
use crate::endpoints::Endpoints;
use crate::error::{Error, Invalid};
use crate::retry::Backoff;
use crate::transport::Transport;
use crate::wire;

/// The longest trace id.
const TRACE_ID_BYTES_MAX: usize = 128;

/// A client of one cluster.
///
/// Cloning is cheap; all clones share connections and what is known about the nodes. Methods
/// such as [`Client::stale`] and [`Client::with_trace_id`] give a clone whose calls differ in one
/// respect, and leave the original as it was.
///
/// Every call ends within its deadline: with an [`Answer`], or with an [`Error`] that says what
/// is known about the effect. Dropping the future of a call gives up waiting for it; a write that
/// was on its way may still take effect.
#[derive(Debug, Clone)]
pub struct Client {
    inner: Arc<Inner>,
    scope: Scope,
}

/// How fresh a read must be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Consistency {
    /// It reflects every write that was acknowledged before it was sent.
    #[default]
    Linearizable,
    /// It is answered from the node's own state at once, whatever that may lack.
    Stale,
}

/// What all clones share.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) endpoints: Endpoints,
    pub(crate) transport: Transport,
    pub(crate) deadline: Duration,
    pub(crate) attempt_timeout: Duration,
    pub(crate) attempts_max: u32,
    pub(crate) backoff: Backoff,
}

/// What one clone carries.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scope {
    pub(crate) consistency: Consistency,
    pub(crate) trace_id: Option<Arc<str>>,
    pub(crate) deadline: Option<Duration>,
    pub(crate) attempts_max: Option<u32>,
    pub(crate) pinned: Option<usize>,
    session: Option<Arc<AtomicU64>>,
}

impl Scope {
    /// The headers that every call begins with, and its trace id. Whatever cannot be sent is found
    /// here, so that no attempt can fail for that reason.
    ///
    /// # Errors
    /// When the trace id is not 1 to 128 visible ASCII characters.
    pub(crate) fn headers(&self, accept: &'static str) -> Result<(HeaderMap, String), Invalid> {
        let trace_id = self.trace_id.as_ref().map(|id| id.to_string());
        let trace_id = trace_id.unwrap_or_else(|| Uuid::new_v4().to_string());
        let visible = trace_id.bytes().all(|byte| byte.is_ascii_graphic());
        if !visible || !(1..=TRACE_ID_BYTES_MAX).contains(&trace_id.len()) {
            return Err(Invalid::TraceId);
        }
        let value = HeaderValue::from_str(&trace_id).map_err(|_| Invalid::TraceId)?;
        let mut headers = HeaderMap::with_capacity(8);
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        headers.insert(HeaderName::from_static(wire::TRACE_ID), value);
        Ok((headers, trace_id))
    }

    /// Says how fresh a read must be.
    pub(crate) fn freshness(&self, headers: &mut HeaderMap) {
        if self.consistency == Consistency::Stale {
            let name = HeaderName::from_static(wire::CONSISTENCY);
            headers.insert(name, HeaderValue::from_static(wire::CONSISTENCY_STALE));
        }
        if let Some(position) = self.position() {
            headers.insert(HeaderName::from_static(wire::MIN_POSITION), position.into());
        }
    }

    /// The position that reads must reflect, if the session has seen any.
    pub(crate) fn position(&self) -> Option<u64> {
        let position = self.session.as_ref()?.load(Ordering::Relaxed);
        (position > 0).then_some(position)
    }

    /// Notes the position of an answer.
    pub(crate) fn observe(&self, position: u64) {
        if let Some(session) = &self.session {
            session.fetch_max(position, Ordering::Relaxed);
        }
    }
}

impl Client {
    /// A builder with the default settings and no base URL.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn new(inner: Arc<Inner>) -> Self {
        Self { inner, scope: Scope::default() }
    }

    /// The base URLs, in the order they were given, without a slash at their end.
    #[must_use]
    pub fn base_urls(&self) -> &[String] {
        self.inner.endpoints.urls()
    }

    /// A clone that only asks the base URL number `index`, counted from 0; nothing when there is
    /// none of that number.
    #[must_use]
    pub fn pinned(&self, index: usize) -> Option<Self> {
        (index < self.base_urls().len()).then(|| self.scoped(|scope| scope.pinned = Some(index)))
    }

    /// A clone whose reads are answered from the local state of whichever node is asked.
    #[must_use]
    pub fn stale(&self) -> Self {
        self.with_consistency(Consistency::Stale)
    }

    /// A clone whose reads are as fresh as `consistency` says.
    #[must_use]
    pub fn with_consistency(&self, consistency: Consistency) -> Self {
        self.scoped(|scope| scope.consistency = consistency)
    }

    /// A clone whose calls carry this trace id, 1 to 128 visible ASCII characters. Without it
    /// each call makes its own.
    #[must_use]
    pub fn with_trace_id(&self, trace_id: &str) -> Self {
        self.scoped(|scope| scope.trace_id = Some(trace_id.into()))
    }

    /// A clone with another time for a whole call, brought within 1 ms to 1 h.
    #[must_use]
    pub fn with_deadline(&self, deadline: Duration) -> Self {
        let deadline = deadline.clamp(Duration::from_millis(1), Duration::from_secs(3600));
        self.scoped(|scope| scope.deadline = Some(deadline))
    }

    /// A clone with another bound on the attempts of a call, brought within 1 to 100. With 1
    /// nothing is retried, so each error is that of the only attempt.
    #[must_use]
    pub fn with_attempts_max(&self, attempts: u32) -> Self {
        self.scoped(|scope| scope.attempts_max = Some(attempts.clamp(1, 100)))
    }

    /// A clone that begins a session: its reads, stale ones too and from any node, reflect at
    /// least what its own earlier answers reflected.
    ///
    /// Clones of the session share it.
    #[must_use]
    pub fn session(&self) -> Self {
        self.session_from(0)
    }

    /// A clone that begins a session at `position`, such as [`Client::position`] of another
    /// process.
    #[must_use]
    pub fn session_from(&self, position: u64) -> Self {
        self.scoped(|scope| scope.session = Some(Arc::new(AtomicU64::new(position))))
    }

    /// The highest position that the session has seen; nothing outside of a session or before
    /// its first answer.
    #[must_use]
    pub fn position(&self) -> Option<u64> {
        self.scope.position()
    }

    fn scoped(&self, change: impl FnOnce(&mut Scope)) -> Self {
        let mut client = self.clone();
        change(&mut client.scope);
        client
    }

    async fn run<T>(&self, call: Call, decode: Decode<T>) -> Result<Answer<T>, Error> {
        call.run(&self.inner, &self.scope, decode).await
    }
}
