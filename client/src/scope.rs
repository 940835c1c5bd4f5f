//! What the clones of a client share, and what each of them carries.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::HeaderMap;
use hyper::header::{ACCEPT, AUTHORIZATION, HeaderName, HeaderValue};
use uuid::Uuid;

use crate::endpoints::Endpoints;
use crate::error::Invalid;
use crate::retry::Backoff;
use crate::transport::Transport;
use crate::wire;

/// The longest trace id, in bytes.
const TRACE_ID_BYTES_MAX: usize = 128;

/// How fresh a read must be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Consistency {
    /// It reflects every write that was acknowledged before the read was sent.
    #[default]
    Linearizable,
    /// The node answers at once from its own state, which may lag behind.
    Stale,
}

/// What all clones share.
#[derive(Debug)]
pub(crate) struct Inner {
    /// The value of `Authorization`, if there is a token.
    pub(crate) authorization: Option<HeaderValue>,
    pub(crate) endpoints: Endpoints,
    pub(crate) transport: Transport,
    pub(crate) deadline: Duration,
    pub(crate) attempt_timeout: Duration,
    pub(crate) attempts_max: u32,
    pub(crate) backoff: Backoff,
    /// How long a stream of events may send nothing.
    pub(crate) event_silence: Duration,
}

impl Inner {
    /// Adds the credentials, if there are any.
    pub(crate) fn authorize(&self, headers: &mut HeaderMap) {
        if let Some(authorization) = &self.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
    }
}

/// What each clone has of its own.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scope {
    pub(crate) consistency: Consistency,
    pub(crate) trace_id: Option<Arc<str>>,
    pub(crate) deadline: Option<Duration>,
    pub(crate) attempts_max: Option<u32>,
    pub(crate) pinned: Option<usize>,
    pub(crate) session: Option<Arc<AtomicU64>>,
}

impl Scope {
    /// The headers that every call begins with, and its trace id. It checks the trace id once, so
    /// that no attempt can fail for it.
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

    /// Adds the headers that say how fresh a read must be.
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

    /// Records the position of an answer.
    pub(crate) fn observe(&self, position: u64) {
        if let Some(session) = &self.session {
            session.fetch_max(position, Ordering::Relaxed);
        }
    }
}
