//! The context of a request: what all requests share, and what a handler needs to answer one.
//!
//! A handler reads its [`Call`], asks the node through it, and returns a reply or a failure. This
//! file does not know any handler.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use client::wire;
use engine::command::Command;
use engine::hold::Status;
use engine::ids::{OrderId, Position, UserId};
use engine::keys;
use engine::order::Order;
use engine::outcome::{Outcome, Rejection};
use engine::state::Lookup;
use engine::trace::TraceId;
use hyper::{HeaderMap, Method, Version};
use raft_node::{Applied, Handle, Rehearsal};
use tokio::sync::{Semaphore, watch};

use crate::auth::{Gate, Principal, customers};
use crate::bodies::Bodies;
use crate::bounds::ID_MAX;
use crate::events::Feed;
use crate::failure::Failure;
use crate::freshness::Freshness;
use crate::limit::Limits;
use crate::metrics::Metrics;
use crate::origin::Origins;
use crate::parse::Parser;
use crate::request::extract;
use crate::request::fields::{Errors, Fields};
use crate::request::json::Object;
use crate::request::keyed::Key;
use crate::request::query::{self, Query};
use crate::settings::Settings;

/// State that all requests of a server share.
pub(crate) struct App {
    pub(crate) handle: Handle,
    pub(crate) settings: Settings,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) feed: Arc<Feed>,
    /// Becomes true when the server stops.
    pub(crate) stopped: watch::Receiver<bool>,
    pub(crate) origins: Origins,
    pub(crate) gate: Gate,
    pub(crate) limits: Limits,
    /// Bytes that are left for the bodies of requests.
    pub(crate) bodies: Bodies,
    /// Handles requests with large bodies.
    pub(crate) parser: Parser,
    /// Permits for TLS handshakes.
    pub(crate) handshakes: Semaphore,
    /// Permits to read backups.
    pub(crate) backups: Arc<Semaphore>,
    pub(crate) documents: Documents,
    /// The highest position in any answer, for answers that do not read the state.
    pub(crate) position: AtomicU64,
}

/// A request with its whole body, for a handler.
pub(crate) struct Call<'a> {
    pub(crate) app: &'a App,
    pub(crate) method: &'a Method,
    pub(crate) version: Version,
    pub(crate) headers: &'a HeaderMap,
    /// The variable part of the path, as it was sent; empty if the path has none.
    pub(crate) argument: &'a str,
    pub(crate) query: Option<&'a str>,
    /// The body; empty for endpoints that read none.
    pub(crate) body: Bytes,
    pub(crate) trace: &'a TraceId,
    /// Its idempotency key, if the row that it makes does not keep it.
    pub(crate) key: Option<Key>,
    /// Whether that key had executed the command before.
    pub(crate) is_repeated: AtomicBool,
    /// Who sent it.
    pub(crate) principal: Principal,
    /// The answer must reflect this position.
    pub(crate) min_position: Option<Position>,
    /// When the answer must be ready.
    pub(crate) deadline: tokio::time::Instant,
}

/// The documents about the API. They describe every endpoint, so `server`, which knows all
/// endpoints, puts them here. Each function makes its text once.
pub(crate) struct Documents {
    /// The OpenAPI document as JSON, as generators of clients understand it.
    pub(crate) openapi: fn() -> Bytes,
    /// The same with all rules.
    pub(crate) strict: fn() -> Bytes,
    /// The strict one as an HTML page.
    pub(crate) page: fn() -> Bytes,
    /// The page about the problem with a name.
    pub(crate) problem: fn(&str) -> Option<Bytes>,
}

impl<'a> Call<'a> {
    /// The id in the path. Anything else is 404.
    pub(crate) fn id(&self, missing: &'static str) -> Result<u64, Failure> {
        let digits = self.argument;
        let plain = !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit());
        let id = if plain { digits.parse().ok() } else { None };
        id.filter(|id| *id <= ID_MAX).ok_or_else(|| Failure::not_found(missing))
    }

    /// The query of the request.
    pub(crate) fn query(&self) -> Result<Query<'a>, Failure> {
        Query::parse(self.query)
    }

    /// The fields of a body, handled as the caller prefers.
    pub(crate) fn fields<'o, 'b>(&self, object: &'o Object<'b>) -> Fields<'o, 'b> {
        Fields::of(object, extract::handling(self.headers))
    }

    /// How fresh the caller wants the answer.
    pub(crate) fn freshness(&self, query: &Query<'_>, errors: &mut Errors) -> Freshness {
        let parameter = query.text("consistency", errors).map(str::as_bytes);
        let mut freshness = Freshness::Linearizable;
        for word in [parameter, extract::consistency(self.headers)].into_iter().flatten() {
            if word == wire::CONSISTENCY_STALE.as_bytes() {
                freshness = Freshness::Stale;
            } else {
                query::fault("consistency", "must be stale or left out.", errors);
            }
        }
        freshness
    }

    /// Reads the freshness and waits for it, for endpoints without other parameters.
    pub(crate) async fn ready_to_read(&self) -> Result<Freshness, Failure> {
        let query = self.query()?;
        let mut errors = Errors::default();
        let freshness = self.freshness(&query, &mut errors);
        errors.check()?;
        self.wait_until_fresh(freshness).await?;
        Ok(freshness)
    }

    /// Waits until the local state is as fresh as the caller wants it.
    pub(crate) async fn wait_until_fresh(&self, freshness: Freshness) -> Result<(), Failure> {
        let failed = |error| Failure::read(&error, self.trace);
        #[cfg(feature = "planted-bugs")]
        if std::env::var_os("HOLDFAST_PLANTED_BUG").is_some_and(|bug| bug == "stale-reads") {
            // Skips the barrier, so that the jepsen crate has a stale read to find.
            return Ok(());
        }
        if freshness == Freshness::Linearizable {
            self.app.handle.barrier(self.deadline).await.map_err(failed)?;
        }
        if let Some(position) = self.min_position {
            self.app.handle.wait_for(position, self.deadline).await.map_err(failed)?;
        }
        // What was applied meanwhile may have revoked the token.
        self.app.gate.look_again(&self.principal)
    }

    /// An idempotency key as the state knows it: those of customers are apart.
    pub(crate) fn owned_key<'k>(&self, key: Cow<'k, str>) -> Cow<'k, str> {
        match self.principal.user {
            Some(user) => Cow::Owned(keys::owned(user, &key).into()),
            None => key,
        }
    }

    /// Whether the caller must not learn that a row of this user exists.
    pub(crate) fn is_foreign(&self, owner: Option<UserId>) -> bool {
        self.principal.user.is_some() && owner != self.principal.user
    }

    /// How a hold of the caller ended, if that is why it is refused as unknown. Apply has not the
    /// users of all holds that have ended, so it calls those of customers unknown.
    pub(crate) async fn own_end(&self, rejection: &Rejection) -> Option<Rejection> {
        let Rejection::HoldNotFound(id) = *rejection else { return None };
        let user = self.principal.user?;
        let handle = &self.app.handle;
        let found = handle.read(|state| match state.hold(id) {
            Lookup::Absent => None,
            Lookup::Resident(hold) => Some(Some(hold.into_owned())),
            Lookup::Stored => Some(None),
        });
        let hold = match found? {
            Some(hold) => hold,
            None => handle.stored_hold(id).await.ok()??,
        };
        match hold.status {
            _ if hold.user != Some(user) => None,
            Status::Active => None,
            Status::Expired => Some(Rejection::HoldExpired(id)),
            Status::Released => Some(Rejection::HoldReleased(id)),
            Status::Consumed(order) => Some(Rejection::HoldConsumed { hold: id, order }),
        }
    }

    /// The user whose rows the caller may list: the one that it asked for, or the one that it is
    /// limited to.
    pub(crate) fn listed_user(&self, asked: Option<UserId>) -> Result<Option<UserId>, Failure> {
        match self.principal.user {
            Some(user) if asked.is_some_and(|asked| asked != user) => Err(customers::other_user()),
            Some(user) => Ok(Some(user)),
            None => Ok(asked),
        }
    }

    /// Makes sure that the token of the caller was not revoked anywhere before this request. For
    /// changes that are no commands, which apply would check.
    pub(crate) async fn confirm(&self) -> Result<(), Failure> {
        match self.principal.token() {
            Some(_) => self.wait_until_fresh(Freshness::Linearizable).await,
            None => Ok(()),
        }
    }

    /// Replicates a command, under the key of the request if it has one, and waits for its outcome.
    pub(crate) async fn propose(&self, mut command: Command) -> Result<Applied, Failure> {
        let handle = &self.app.handle;
        if let Some(user) = self.principal.user {
            customers::bind(&mut command, user)?;
        }
        if let Some(key) = self.key {
            command = key.wrap(command)?;
        }
        let (actor, trace) = (self.principal.actor, self.trace.clone());
        let mut applied = handle.propose_as(actor, command, trace, self.deadline).await?;
        if self.key.is_some()
            && let Outcome::Repeated(did) = applied.outcome
        {
            applied.outcome = *did;
            self.is_repeated.store(true, Ordering::Relaxed);
        }
        Ok(applied)
    }

    /// Whether the key of the request had executed the command that was just proposed.
    pub(crate) fn is_repeated(&self) -> bool {
        self.is_repeated.load(Ordering::Relaxed)
    }

    /// Whether the key of the request has executed a command, as far as this node knows.
    pub(crate) fn is_key_known(&self) -> bool {
        self.key.is_some_and(|key| self.app.handle.read(|state| state.is_keyed(key.name)))
    }

    /// Says what an order, a batch or a hold would come to, without doing it.
    pub(crate) async fn rehearse(&self, mut command: Command) -> Result<Rehearsal, Failure> {
        if let Some(user) = self.principal.user {
            customers::bind(&mut command, user)?;
        }
        let handle = &self.app.handle;
        let found = handle.rehearse(self.principal.actor, &command, self.deadline).await;
        let found = found.map_err(|error| Failure::read(&error, self.trace))?;
        // What was applied meanwhile may have revoked the token.
        self.app.gate.look_again(&self.principal)?;
        Ok(found)
    }

    /// Reads the row of an order that exists.
    pub(crate) async fn stored_order(&self, id: OrderId) -> Result<Order, Failure> {
        let orders = self.app.handle.orders(&[id]).await;
        let found = orders.map_err(|error| Failure::read(&error, self.trace))?.pop();
        found.ok_or_else(|| Failure::internal(self.trace, &format!("order {id} has no row")))
    }
}

/// The answer to an outcome that the command cannot have, or that says nothing about its effect.
/// The command went through the log, so its effect is unknown.
pub(crate) fn unexpected(call: &Call<'_>, outcome: &Outcome) -> Failure {
    tracing::error!(trace_id = %call.trace, ?outcome, "the outcome does not fit the command");
    Failure::unknown()
}
