//! One request, from its parsed head to its answer.
//!
//! Everything that holds for all requests is here: the trace id, the checks before a handler is
//! asked, the headers on every answer, the metrics and the access log. Nothing about orders or
//! products is.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bytes::Bytes;
use client::wire::{self, ErrorCode};
use engine::command::Command;
use engine::ids::{OrderId, Position};
use engine::order::Order;
use engine::outcome::Outcome;
use engine::trace::TraceId;
use hyper::body::Body;
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, HeaderName, HeaderValue, TRANSFER_ENCODING,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Request, Version};
use raft_node::{Applied, Handle};
use tokio::sync::{Semaphore, SemaphorePermit, watch};

use crate::docs;
use crate::error::Failure;
use crate::events::Feed;
use crate::extract::{self, BodyLimits};
use crate::handlers;
use crate::json;
use crate::limit::{Limiter, Standing};
use crate::metrics::Metrics;
use crate::openapi;
use crate::query::{self, Query};
use crate::reply::{self, POSITION, Reply, ReplyExt};
use crate::routes::{Found, Route, Router, UNMATCHED};
use crate::settings::Settings;
use crate::trace;
use crate::validate::{Errors, ID_MAX};

const TRACE_ID: HeaderName = HeaderName::from_static(wire::TRACE_ID);
const REPLAYED: HeaderName = HeaderName::from_static(wire::IDEMPOTENT_REPLAYED);
const CONSISTENCY: HeaderName = HeaderName::from_static(wire::CONSISTENCY);

/// What all requests of a server share.
pub(crate) struct App {
    pub(crate) handle: Handle,
    pub(crate) settings: Settings,
    pub(crate) router: Router,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) feed: Arc<Feed>,
    /// Becomes true when the server stops.
    pub(crate) stopped: watch::Receiver<bool>,
    pub(crate) limiter: Option<Limiter>,
    /// Room for the bodies of batches, in bytes.
    pub(crate) batch_room: Semaphore,
    /// The right to read a backup.
    pub(crate) backups: Arc<Semaphore>,
    /// The highest position that an answer gave, for answers that looked at nothing.
    pub(crate) position: AtomicU64,
}

/// A request whose body has arrived, on its way to its handler.
pub(crate) struct Call<'a> {
    pub(crate) app: &'a App,
    pub(crate) method: &'a Method,
    pub(crate) version: Version,
    pub(crate) headers: &'a HeaderMap,
    /// The variable part of the path, as it was sent; empty where there is none.
    pub(crate) argument: &'a str,
    pub(crate) query: Option<&'a str>,
    /// The body; empty for routes that read none.
    pub(crate) body: Bytes,
    pub(crate) trace: &'a TraceId,
    /// The answer must reflect this position.
    pub(crate) min_position: Option<Position>,
    /// When the answer must be out.
    pub(crate) deadline: tokio::time::Instant,
}

/// How fresh a read must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// It sees every write that was acknowledged before it began.
    Linearizable,
    /// It sees what this node has applied.
    Stale,
}

/// Answers one request. `doubtful` says that its head gave both a length and an encoding.
pub(crate) async fn respond<B>(
    app: &App,
    request: Request<B>,
    address: IpAddr,
    doubtful: bool,
) -> Reply
where
    B: Body<Data = Bytes> + Unpin,
{
    let started = Instant::now();
    let (head, body) = request.into_parts();
    let trace = trace::of(&head.headers);
    let found = app.router.find(&head.method, head.uri.path());
    let label = match &found {
        Found::Route { pattern, .. } | Found::OtherMethod { pattern, .. } => pattern,
        Found::Nothing => UNMATCHED,
    };
    let is_counted = found.route().is_none_or(Route::is_counted);
    let limiter = app.limiter.as_ref().filter(|_| is_counted);
    let mut standing = limiter.map(|limiter| limiter.take(address, started));
    let result = match check_head(app, &head, doubtful) {
        Ok(()) => answer(app, &head, body, found, &trace, standing).await,
        Err(failure) => Err(failure),
    };
    let mut reply = result.unwrap_or_else(|failure| failure.into_reply(&trace));
    if let (Some(limiter), Some(standing)) = (limiter, &mut standing) {
        if reply.headers().contains_key(REPLAYED) {
            limiter.give_back(address, standing);
        }
        standing.write(reply.headers_mut());
    }
    finish(app, &mut reply, &trace);

    let status = reply.status().as_u16();
    let took = started.elapsed();
    app.metrics.answered(&head.method, label, status, took);
    tracing::debug!(
        target: "http_api::access",
        method = %head.method,
        route = label,
        status,
        micros = took.as_micros() as u64,
        trace_id = %trace,
        "answered"
    );
    reply
}

async fn answer<B>(
    app: &App,
    head: &Parts,
    body: B,
    found: Found<'_>,
    trace: &TraceId,
    standing: Option<Standing>,
) -> Result<Reply, Failure>
where
    B: Body<Data = Bytes> + Unpin,
{
    // Of what is over the limit, only what repeats an earlier request under its key is answered,
    // and the key may stand in the body.
    let over = standing.filter(|standing| !standing.allowed);
    if let Some(Standing { reset_s, .. }) = over
        && !found.route().is_some_and(Route::takes_key)
    {
        return Err(Failure::too_many_requests(reset_s));
    }
    let (route, argument) = match found {
        Found::Route { route, argument, .. } => (route, argument),
        Found::OtherMethod { allow, .. } => return Err(Failure::method_not_allowed(allow)),
        Found::Nothing => return Err(Failure::not_found("There is no such path.")),
    };
    if route.answers_json() {
        extract::accepts_json(&head.headers)?;
    }
    let min_position = extract::min_position(&head.headers)?;
    let (timeout, lines) = (app.settings.body_timeout, route.is_bulk());
    let Settings { body_bytes_max, batch_bytes_max, .. } = app.settings;
    let bytes_max = if route.is_bulk() { batch_bytes_max } else { body_bytes_max };
    let _room = if route.is_bulk() { Some(room_for(app, &body, bytes_max)?) } else { None };
    let body = if route.reads_body() {
        extract::json_body(&head.headers, body, BodyLimits { bytes_max, timeout, lines }).await?
    } else {
        Bytes::new()
    };
    if let Some(Standing { reset_s, .. }) = over
        && !is_repeated(app, route, &head.headers, &body)
    {
        return Err(Failure::too_many_requests(reset_s));
    }
    let deadline = tokio::time::Instant::now() + app.settings.request_timeout;
    let query = head.uri.query();
    let headers = &head.headers;
    let (method, version) = (&head.method, head.version);
    let call = Call {
        app,
        method,
        version,
        headers,
        argument,
        query,
        body,
        trace,
        min_position,
        deadline,
    };
    dispatch(route, &call).await
}

/// Keeps room for a large body until its request is answered: many of them at once must not use up
/// the memory of the node.
fn room_for<'a, B: Body>(
    app: &'a App,
    body: &B,
    bytes_max: usize,
) -> Result<SemaphorePermit<'a>, Failure> {
    let announced = body.size_hint().exact().and_then(|bytes| usize::try_from(bytes).ok());
    let bytes = announced.unwrap_or(bytes_max).min(bytes_max);
    app.batch_room.try_acquire_many(u32::try_from(bytes).unwrap_or(u32::MAX)).map_err(|_| {
        Failure::new(ErrorCode::Overloaded, "Too many large requests are worked on.").closing()
    })
}

/// Whether the key of a request was used already for what the route makes, as far as this node has
/// heard.
fn is_repeated(app: &App, route: Route, headers: &HeaderMap, body: &[u8]) -> bool {
    let body = json::parse(body).ok();
    let Some(key) = extract::any_key(headers, body.as_ref()) else { return false };
    app.handle.read(|state| match route {
        Route::AdjustStock => state.adjustment_by_key(key).is_some(),
        Route::CreateHold => state.hold_by_key(key).is_some(),
        Route::PaymentWebhook => state.webhook_by_key(key).is_some(),
        _ => state.order_by_key(key).is_some(),
    })
}

/// What must be right whatever the path.
fn check_head(app: &App, head: &Parts, doubtful: bool) -> Result<(), Failure> {
    let mut encodings = head.headers.get_all(TRANSFER_ENCODING).iter();
    // Where a body ends must not be a matter of opinion between us and a proxy before us.
    let chunked = match (encodings.next(), encodings.next()) {
        (None, _) => true,
        (Some(only), None) => only.as_bytes().eq_ignore_ascii_case(b"chunked"),
        _ => false,
    };
    if doubtful || !chunked {
        return Err(Failure::malformed("It is not clear where the body ends.").closing());
    }
    let mut hosts = head.headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(_), None) => {}
        (None, _) if head.version < Version::HTTP_11 => {}
        _ => return Err(Failure::malformed("A request has exactly one Host header.").closing()),
    }
    let target_bytes = head.uri.path().len() + head.uri.query().map_or(0, str::len);
    if target_bytes > app.settings.target_bytes_max {
        let detail = "The path and query are longer than this server reads.";
        return Err(Failure::new(ErrorCode::UriTooLong, detail));
    }
    Ok(())
}

async fn dispatch(route: Route, call: &Call<'_>) -> Result<Reply, Failure> {
    match route {
        Route::CreateOrder => handlers::orders::create(call).await,
        Route::Purchase => handlers::orders::purchase(call).await,
        Route::PlaceBatch => handlers::batches::place(call).await,
        Route::CancelOrder => handlers::orders::cancel(call).await,
        Route::FenceKey => handlers::orders::fence(call).await,
        Route::ListOrders => handlers::order_reads::list(call).await,
        Route::GetOrder => handlers::order_reads::get(call).await,
        Route::OrderEvents => handlers::order_reads::events(call).await,
        Route::OrderByKey => handlers::order_reads::by_key(call).await,
        Route::CreateHold => handlers::holds::create(call).await,
        Route::GetHold => handlers::holds::get(call).await,
        Route::ReleaseHold => handlers::holds::release(call).await,
        Route::ExtendHold => handlers::holds::extend(call).await,
        Route::PaymentWebhook => handlers::payments::webhook(call).await,
        Route::ListProducts => handlers::products::list(call).await,
        Route::CreateProduct => handlers::products::create(call).await,
        Route::GetProduct => handlers::products::get(call).await,
        Route::ReplaceProduct => handlers::products::replace(call).await,
        Route::PatchProduct => handlers::products::patch(call).await,
        Route::ArchiveProduct => handlers::products::archive(call).await,
        Route::AdjustStock => handlers::stock::adjust(call).await,
        Route::Ledger => handlers::stock::ledger(call).await,
        Route::CreateUser => handlers::users::create(call).await,
        Route::GetUser => handlers::users::get(call).await,
        Route::OrderProcessed => handlers::tasks::order_processed(call).await,
        Route::Events => handlers::events::stream(call).await,
        Route::Socket => handlers::events::socket(call),
        Route::Cluster => Ok(handlers::cluster::get(call)),
        Route::TakeSnapshot => handlers::snapshots::take(call).await,
        Route::Backup => handlers::backups::get(call).await,
        Route::SetPayments => handlers::backups::set_payments(call).await,
        Route::AddMember => handlers::cluster::add(call).await,
        Route::RemoveMember => handlers::cluster::remove(call).await,
        Route::TransferLeader => handlers::cluster::transfer(call).await,
        Route::Health => Ok(handlers::health::health(call)),
        Route::Live => Ok(handlers::health::live()),
        Route::Ready => Ok(handlers::health::ready(call)),
        Route::Metrics => Ok(handlers::health::metrics(call)),
        Route::Test => Ok(handlers::health::test()),
        Route::OpenApi => Ok(reply::text(openapi::text(), wire::JSON)),
        Route::Docs => Ok(reply::text(docs::text(), docs::CONTENT_TYPE)
            .with(CONTENT_SECURITY_POLICY, docs::POLICY)),
    }
}

/// The headers of every answer.
fn finish(app: &App, reply: &mut Reply, trace: &TraceId) {
    let headers = reply.headers_mut();
    let own = headers.get(POSITION).and_then(|value| value.to_str().ok()?.parse().ok());
    match own {
        Some(position) => drop(app.position.fetch_max(position, Ordering::Relaxed)),
        // The state is not touched for this: a probe must not wait for it.
        None => {
            let position = app.position.load(Ordering::Relaxed);
            headers.insert(POSITION, HeaderValue::from(position));
        }
    }
    let trace = HeaderValue::try_from(trace.to_string()).expect("trace ids are printable ASCII");
    headers.insert(TRACE_ID, trace);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

impl<'a> Call<'a> {
    /// The id in the path. What is no id names nothing.
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

    /// Reads the freshness alone, for routes without other parameters, and waits for it.
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
            // What a read without a barrier is like: the jepsen crate has to find it.
            return Ok(());
        }
        if freshness == Freshness::Linearizable {
            self.app.handle.barrier(self.deadline).await.map_err(failed)?;
        }
        if let Some(position) = self.min_position {
            self.app.handle.wait_for(position, self.deadline).await.map_err(failed)?;
        }
        Ok(())
    }

    /// Replicates a command and waits for its outcome.
    pub(crate) async fn propose(&self, command: Command) -> Result<Applied, Failure> {
        let handle = &self.app.handle;
        Ok(handle.propose(command, self.trace.clone(), self.deadline).await?)
    }

    /// The row of one order that exists.
    pub(crate) async fn stored_order(&self, id: OrderId) -> Result<Order, Failure> {
        let orders = self.app.handle.orders(&[id]).await;
        let found = orders.map_err(|error| Failure::read(&error, self.trace))?.pop();
        found.ok_or_else(|| Failure::internal(self.trace, &format!("order {id} has no row")))
    }
}

/// The header of an answer that may be stale. Which position it reflects stands in another.
pub(crate) fn mark(reply: Reply, freshness: Freshness) -> Reply {
    match freshness {
        Freshness::Linearizable => reply,
        Freshness::Stale => reply.with(CONSISTENCY, wire::CONSISTENCY_STALE),
    }
}

/// The answer to an outcome that the command cannot have, or that says nothing about its effect.
/// The command went through the log, so its effect is in doubt.
pub(crate) fn unexpected(call: &Call<'_>, outcome: &Outcome) -> Failure {
    tracing::error!(trace_id = %call.trace, ?outcome, "an outcome that does not fit the command");
    Failure::unknown()
}
