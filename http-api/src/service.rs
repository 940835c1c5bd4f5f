//! One request, from its parsed head to its answer.
//!
//! This file does what holds for all requests: the trace id, the checks before the handler, the
//! headers of every answer, the metrics and the access log. It knows no resource.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::answer::compress::compress;
use crate::answer::problem;
use crate::answer::reply::{self, POSITION, REPLAYED, Reply, ReplyExt};
use crate::auth::Principal;
use crate::bodies;
use crate::call::{App, Call};
use crate::endpoint::{BodyKind, Endpoint, is_admin};
use crate::failure::Failure;
use crate::limit::{Counted, Who};
use crate::origin::{Exposure, Origins};
use crate::parse::{LARGE_BYTES, Unfinished};
use crate::request::extract::{self, BodyLimits};
use crate::request::query::Query;
use crate::request::{json, keyed, trace};
use crate::routes::{self, Found, Route, Router, UNMATCHED};
use crate::settings::Settings;
use bytes::Bytes;
use client::wire::{self, ErrorCode};
use engine::ids::{Position, UserId};
use engine::keys;
use engine::trace::TraceId;
use hyper::body::Body;
use hyper::header::{
    CACHE_CONTROL, HOST, HeaderName, HeaderValue, LOCATION, ORIGIN, TRANSFER_ENCODING,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Request, StatusCode, Version};

const TRACE_ID: HeaderName = HeaderName::from_static(wire::TRACE_ID);

/// How long a request without valid credentials may wait until this node is up to date.
const CONFIRM: Duration = Duration::from_millis(500);

/// The endpoints, and what their handlers share.
pub(crate) struct Service {
    pub(crate) router: Router,
    pub(crate) app: App,
}

/// The addresses of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends {
    pub(crate) client: IpAddr,
    /// The address of this machine that the client connected to.
    pub(crate) own: IpAddr,
    /// Whether operators have another port: their endpoints are not here.
    pub(crate) hides_admin: bool,
}

/// Answers one request. `has_ambiguous_length` is true when its head has both a length and a
/// transfer encoding.
pub(crate) async fn respond<B>(
    service: &Arc<Service>,
    request: Request<B>,
    ends: Ends,
    has_ambiguous_length: bool,
) -> Reply
where
    B: Body<Data = Bytes> + Unpin,
{
    let Service { app, router } = &**service;
    let started = Instant::now();
    let (head, body) = request.into_parts();
    let trace = trace::of(&head.headers);
    let found = match router.find(&head.method, head.uri.path()) {
        Found::Endpoint { endpoint, .. } if ends.hides_admin && endpoint.is_admin() => {
            Found::Nothing
        }
        Found::OtherMethod { pattern, .. } if ends.hides_admin && is_admin(pattern) => {
            Found::Nothing
        }
        found => found,
    };
    let label = match &found {
        Found::Endpoint { endpoint, .. } => endpoint.path,
        Found::OtherMethod { pattern, .. } => pattern,
        Found::Nothing => UNMATCHED,
    };
    let is_preflight = Origins::is_preflight(&head);
    let is_counted = !is_preflight && found.endpoint().is_none_or(|endpoint| endpoint.is_counted);
    let client = app.settings.proxies.client(ends.client, &head.headers);
    let mut counted = Counted::new(&app.limits, is_counted);
    counted.take(Who::Address(client), started);
    let exposure = found.endpoint().map_or(Exposure::Usual, |endpoint| endpoint.exposure);
    let checked = check_head(app, &head, has_ambiguous_length)
        .and_then(|()| app.origins.check(&head, ends.own, exposure));
    let result = match (checked, found) {
        (Err(failure), _) => Err(failure),
        (Ok(()), Found::OtherMethod { allow, .. }) if is_preflight => preflight(app, &head, allow),
        (Ok(()), found) => answer(service, &head, body, found, &trace, &mut counted).await,
    };
    let mut reply = result.unwrap_or_else(|failure| problem::reply(failure, &trace));
    if reply.headers().contains_key(REPLAYED) {
        counted.give_back();
    }
    counted.write(reply.headers_mut());
    app.origins.mark(head.headers.get(ORIGIN), reply.headers_mut());
    finish(app, &mut reply, &trace);
    if head.method != Method::HEAD {
        reply = compress(&app.parser, &head.headers, reply).await;
    }

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

/// Answers the question of a browser whether a page may send a request.
fn preflight(app: &App, head: &Parts, allow: HeaderValue) -> Result<Reply, Failure> {
    let mut reply = reply::empty(StatusCode::NO_CONTENT);
    reply.headers_mut().extend(app.origins.preflight(&head.headers, allow)?);
    Ok(reply)
}

async fn answer<B>(
    service: &Arc<Service>,
    head: &Parts,
    body: B,
    found: Found<'_>,
    trace: &TraceId,
    counted: &mut Counted<'_>,
) -> Result<Reply, Failure>
where
    B: Body<Data = Bytes> + Unpin,
{
    let app = &service.app;
    // Over the limit, only retries with a known key are answered. The key may be in the body, so
    // the body is read first.
    if let Some(reset_s) = counted.over_s()
        && found.endpoint().is_none_or(|endpoint| endpoint.knows_key.is_none())
    {
        return Err(Failure::too_many_requests(reset_s));
    }
    let (route, endpoint, argument) = match found {
        Found::Endpoint { route, endpoint, argument } => (route, endpoint, argument),
        Found::OtherMethod { allow, .. } => return Err(Failure::method_not_allowed(allow)),
        Found::Nothing => return Err(Failure::not_found("There is no such path.")),
    };
    let (principal, is_anonymous) = admit(app, head, endpoint).await?;
    if is_anonymous {
        app.metrics.anonymous(endpoint.path);
    }
    if let Some(who) = Who::of(&principal) {
        counted.take(who, Instant::now());
    }
    let over_s = counted.over_s();
    if let Some(reset_s) = over_s.filter(|_| endpoint.knows_key.is_none()) {
        return Err(Failure::too_many_requests(reset_s));
    }
    if endpoint.answers_json {
        extract::accepts_json(&head.headers)?;
    }
    if let (Some(query), Some(known)) = (head.uri.query(), endpoint.query_parameters()) {
        Query::parse(Some(query))?.check_names(known)?;
    }
    let min_position = extract::min_position(&head.headers)?;
    let (timeout, lines) = (app.settings.body_timeout, endpoint.body == BodyKind::Bulk);
    let is_patch = endpoint.method == Method::PATCH;
    let also = if lines { Some(wire::NDJSON) } else { is_patch.then_some(wire::MERGE_PATCH) };
    let Settings { body_bytes_max, batch_bytes_max, .. } = app.settings;
    let bytes_max = if lines { batch_bytes_max } else { body_bytes_max };
    let limits = BodyLimits { bytes_max, timeout, also };
    let mut taken = app.bodies.begin(endpoint.share());
    let body = if endpoint.body != BodyKind::None {
        extract::json_body(&head.headers, body, limits, &mut taken).await?
    } else {
        Bytes::new()
    };
    let deadline = tokio::time::Instant::now() + app.settings.request_timeout;
    if body.len() <= LARGE_BYTES {
        let asked =
            Asked { route, endpoint, argument, body, principal, min_position, over_s, deadline };
        let result = handle(app, head, trace, asked).await;
        drop(taken);
        return result;
    }
    let (service, head, trace) = (Arc::clone(service), head.clone(), trace.clone());
    let argument = argument.to_owned();
    let work = async move {
        if tokio::time::Instant::now() >= deadline {
            return Err(bodies::too_many());
        }
        let argument = &argument;
        let asked =
            Asked { route, endpoint, argument, body, principal, min_position, over_s, deadline };
        let result = handle(&service.app, &head, &trace, asked).await;
        drop(taken);
        result
    };
    app.parser.run(work).await.unwrap_or_else(|unfinished| {
        Err(match unfinished {
            Unfinished::Full => bodies::too_many(),
            Unfinished::Lost => Failure::unknown(),
        })
    })
}

/// Finds out who sent a request. A token that this node does not know may be newer than what it has
/// applied, as may the mode, so it asks the cluster before it refuses.
async fn admit(app: &App, head: &Parts, endpoint: &Endpoint) -> Result<(Principal, bool), Failure> {
    let admitted = app.gate.admit(&head.headers, endpoint.access);
    match admitted {
        Err(failure) if failure.code() == ErrorCode::Unauthorized => {
            let soon = tokio::time::Instant::now() + CONFIRM;
            match app.handle.barrier(soon).await {
                Ok(()) => app.gate.admit(&head.headers, endpoint.access),
                Err(_) => Err(failure),
            }
        }
        admitted => admitted,
    }
}

/// A request whose head was checked, with its whole body.
struct Asked<'a> {
    route: Route,
    endpoint: &'static Endpoint,
    argument: &'a str,
    body: Bytes,
    principal: Principal,
    min_position: Option<Position>,
    /// Seconds until a client over its rate limit may send again.
    over_s: Option<u64>,
    deadline: tokio::time::Instant,
}

/// Calls the handler of a request.
async fn handle(
    app: &App,
    head: &Parts,
    trace: &TraceId,
    asked: Asked<'_>,
) -> Result<Reply, Failure> {
    let Asked { route, endpoint, argument, body, principal, min_position, over_s, deadline } =
        asked;
    if let Some(reset_s) = over_s
        && !is_repeated(app, endpoint, &head.headers, &body, principal.user)
    {
        return Err(Failure::too_many_requests(reset_s));
    }
    let key = match endpoint.is_keyed_apart {
        true => {
            let operation = (&endpoint.method, endpoint.path);
            keyed::read(operation, &head.headers, argument, &body, principal.user)?
        }
        false => None,
    };
    let call = Call {
        app,
        method: &head.method,
        version: head.version,
        headers: &head.headers,
        argument,
        query: head.uri.query(),
        body,
        trace,
        key,
        is_repeated: AtomicBool::new(false),
        principal,
        min_position,
        deadline,
    };
    let mut reply = routes::answer(route, &call).await?;
    if call.is_repeated() {
        if reply.status() == StatusCode::CREATED {
            *reply.status_mut() = StatusCode::OK;
            reply.headers_mut().remove(LOCATION);
        }
        reply = reply.replayed();
    }
    Ok(reply)
}

/// Whether the request is a retry: its key has made something before, as far as this node knows.
fn is_repeated(
    app: &App,
    endpoint: &Endpoint,
    headers: &HeaderMap,
    body: &[u8],
    user: Option<UserId>,
) -> bool {
    let Some(knows_key) = endpoint.knows_key else { return false };
    let body = json::parse(body).ok();
    let Some(key) = extract::any_key(headers, body.as_ref()) else { return false };
    let owned = user.map(|user| keys::owned(user, &key));
    app.handle.read(|state| knows_key(state, owned.as_deref().unwrap_or(&key)))
}

/// Checks what must be right for every path.
fn check_head(app: &App, head: &Parts, has_ambiguous_length: bool) -> Result<(), Failure> {
    let mut encodings = head.headers.get_all(TRANSFER_ENCODING).iter();
    // A proxy before this server must not see another end of the body than we do.
    let chunked = match (encodings.next(), encodings.next()) {
        (None, _) => true,
        (Some(only), None) => only.as_bytes().eq_ignore_ascii_case(b"chunked"),
        _ => false,
    };
    if has_ambiguous_length || !chunked {
        return Err(Failure::malformed("The end of the body is ambiguous: send either Content-Length or Transfer-Encoding: chunked.").closing());
    }
    let mut hosts = head.headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(_), None) => {}
        (None, _) if head.version < Version::HTTP_11 => {}
        _ => {
            return Err(
                Failure::malformed("A request must have exactly one Host header.").closing()
            );
        }
    }
    let target_bytes = head.uri.path().len() + head.uri.query().map_or(0, str::len);
    if target_bytes > app.settings.target_bytes_max {
        let detail = "The path and query are too long.";
        return Err(Failure::new(ErrorCode::UriTooLong, detail));
    }
    Ok(())
}

/// The headers of every answer.
fn finish(app: &App, reply: &mut Reply, trace: &TraceId) {
    let headers = reply.headers_mut();
    let own = headers.get(POSITION).and_then(|value| value.to_str().ok()?.parse().ok());
    match own {
        Some(position) => drop(app.position.fetch_max(position, Ordering::Relaxed)),
        // Does not read the state: a probe must not wait for it.
        None => {
            let position = app.position.load(Ordering::Relaxed);
            headers.insert(POSITION, HeaderValue::from(position));
        }
    }
    let trace = HeaderValue::try_from(trace.to_string()).expect("trace ids are printable ASCII");
    headers.insert(TRACE_ID, trace);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}
