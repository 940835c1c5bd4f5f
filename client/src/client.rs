//! The client itself: how it is built, and how its clones differ.

mod auth;
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
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use crate::answer::Answer;
use crate::builder::{BuildError, Builder};
use crate::call::Call;
use crate::decode::Decode;
use crate::error::Error;
use crate::scope::{Consistency, Inner, Scope};

/// A client of one cluster.
///
/// Cloning is cheap; all clones share connections and what is known about the nodes. Methods such
/// as [`Client::stale`] and [`Client::with_trace_id`] return a clone whose calls differ in one
/// respect, and leave the original as it was.
///
/// Every call ends within its deadline: with an [`Answer`], or with an [`Error`] that says what is
/// known about the effect. Dropping the future of a call stops waiting for it; a write that was
/// already sent may still take effect.
#[derive(Debug, Clone)]
pub struct Client {
    inner: Arc<Inner>,
    scope: Scope,
}

impl Builder {
    /// Makes the client. No connection is made before the first call.
    ///
    /// # Errors
    /// When a base URL or a setting is not usable.
    pub fn build(self) -> Result<Client, BuildError> {
        Ok(Client { inner: Arc::new(self.into_inner()?), scope: Scope::default() })
    }
}

impl Client {
    /// A builder with the default settings and no base URL.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The base URLs, in the given order, without a slash at the end.
    #[must_use]
    pub fn base_urls(&self) -> &[String] {
        self.inner.endpoints.urls()
    }

    /// A clone that asks only the base URL with this index, from 0; `None` when there is no such
    /// URL.
    #[must_use]
    pub fn pinned(&self, index: usize) -> Option<Self> {
        (index < self.base_urls().len()).then(|| self.scoped(|scope| scope.pinned = Some(index)))
    }

    /// A clone whose reads are answered from the local state of whichever node is asked.
    #[must_use]
    pub fn stale(&self) -> Self {
        self.with_consistency(Consistency::Stale)
    }

    /// A clone whose reads are as fresh as `consistency` requires.
    #[must_use]
    pub fn with_consistency(&self, consistency: Consistency) -> Self {
        self.scoped(|scope| scope.consistency = consistency)
    }

    /// A clone whose calls have this trace id, 1 to 128 visible ASCII characters. Without it each
    /// call generates its own.
    #[must_use]
    pub fn with_trace_id(&self, trace_id: &str) -> Self {
        self.scoped(|scope| scope.trace_id = Some(trace_id.into()))
    }

    /// A clone with another deadline for each call, clamped to 1 ms to 1 h.
    #[must_use]
    pub fn with_deadline(&self, deadline: Duration) -> Self {
        let deadline = deadline.clamp(Duration::from_millis(1), Duration::from_secs(3600));
        self.scoped(|scope| scope.deadline = Some(deadline))
    }

    /// A clone with another maximum of attempts per call, clamped to 1 to 100. With 1 it never
    /// retries, so each error is that of the only attempt.
    #[must_use]
    pub fn with_attempts_max(&self, attempts: u32) -> Self {
        self.scoped(|scope| scope.attempts_max = Some(attempts.clamp(1, 100)))
    }

    /// A clone that begins a session: its reads, even stale ones and from any node, reflect at
    /// least what its earlier answers reflected.
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

    /// The highest position that the session has seen; `None` outside of a session or before its
    /// first answer.
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
