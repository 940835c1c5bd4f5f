//! Subscribes to events: as a stream, or over a WebSocket.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use client::wire::ErrorCode;
use engine::event::EventId;
use engine::ids::Position;
use hyper::header::{
    CONNECTION, HeaderName, HeaderValue, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::{HeaderMap, Method, StatusCode, Version};
use raft_node::EventsError;

use crate::answer::reply::{self, Reply, ReplyExt};
use crate::bounds::ID_MAX;
use crate::call::Call;
use crate::events::socket::{self, Upgrade};
use crate::events::stream::EventStream;
use crate::events::{Filter, Subscription};
use crate::failure::Failure;
use crate::request::fields::Errors;
use crate::request::query::{self, Query};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The heartbeats that a subscriber may ask for. More would cost more than they tell.
pub(super) const HEARTBEAT_SECONDS: RangeInclusive<u64> = 1..=60;

/// `GET /events`
pub(crate) async fn stream(call: &Call<'_>) -> Result<Reply, Failure> {
    let query = call.query()?;
    let mut errors = Errors::default();
    let filter = Filter::read(&query, &mut errors);
    let after = read_after(call.headers, &query, &mut errors);
    let heartbeat = query.integer("heartbeat_seconds", HEARTBEAT_SECONDS, &mut errors);
    errors.check()?;
    call.listed_user(filter.user())?;
    let filter = filter.bound_to(call.principal.user);
    if let Some(position) = call.min_position {
        let reached = call.app.handle.wait_for(position, call.deadline).await;
        reached.map_err(|error| Failure::read(&error, call.trace))?;
    }
    let start = match after {
        Some(id) => {
            await_event(call, id).await?;
            id
        }
        None => call.app.handle.read(|state| state.last_event()),
    };
    let subscription = subscribe(call, start)?;
    if after.is_some() {
        // Checked after subscribing: events that are removed later end the stream.
        let kept = call.app.handle.events_after(start, 1).await;
        kept.map_err(|error| lost(call, error))?;
    }
    let app = call.app;
    let heartbeat = heartbeat.map_or(app.settings.event_heartbeat, Duration::from_secs);
    let metrics = Arc::clone(&app.metrics);
    let (mut stopped, ended) = (app.stopped.clone(), app.gate.clone().ended(call.principal));
    let end = Box::pin(async move {
        tokio::select! {
            _ = stopped.wait_for(|stop| *stop) => {}
            () = ended => {}
        }
    });
    let body = EventStream::new(subscription, start, filter, heartbeat, metrics, end);
    Ok(reply::events(body).at(app.handle.read(|state| state.position())))
}

/// `GET /ws`
pub(crate) async fn socket(call: &Call<'_>) -> Result<Reply, Failure> {
    let key = handshake(call).ok_or_else(|| {
        let text = "This path speaks WebSocket, version 13: ask for it with Upgrade, Connection, \
                    Sec-WebSocket-Key and Sec-WebSocket-Version.";
        Failure::new(ErrorCode::UpgradeRequired, text)
    })?;
    let start = call.app.handle.read(|state| state.last_event());
    let subscription = subscribe(call, start)?;
    let mut reply = reply::empty(StatusCode::SWITCHING_PROTOCOLS)
        .with(UPGRADE, "websocket")
        .with(CONNECTION, "Upgrade")
        .at(start.position);
    let headers = reply.headers_mut();
    headers.insert(socket::ACCEPT, socket::accept(key));
    reply.extensions_mut().insert(Upgrade::new(subscription, call.principal));
    Ok(reply)
}

/// The key of a valid WebSocket handshake.
fn handshake<'h>(call: &Call<'h>) -> Option<&'h HeaderValue> {
    let lists = |name: HeaderName, word: &str| {
        let values = call.headers.get_all(name).into_iter().filter_map(|it| it.to_str().ok());
        values.flat_map(|it| it.split(',')).any(|it| it.trim().eq_ignore_ascii_case(word))
    };
    let asked = *call.method == Method::GET
        && call.version == Version::HTTP_11
        && lists(UPGRADE, "websocket")
        && lists(CONNECTION, "upgrade")
        && lists(SEC_WEBSOCKET_VERSION, "13");
    let mut keys = call.headers.get_all(SEC_WEBSOCKET_KEY).into_iter();
    let key = keys.next().filter(|key| socket::is_key(key.as_bytes()));
    key.filter(|_| asked && keys.next().is_none())
}

/// Takes a place among the subscribers.
fn subscribe(call: &Call<'_>, after: EventId) -> Result<Subscription, Failure> {
    let subscription = call.app.feed.subscribe(&call.app.handle, after);
    subscription.ok_or_else(|| {
        let text = "There are too many subscribers to events on this node; ask another one.";
        Failure::new(ErrorCode::Overloaded, text)
    })
}

/// Where to resume: the header of a browser that reconnects, else the parameter.
fn read_after(headers: &HeaderMap, query: &Query<'_>, errors: &mut Errors) -> Option<EventId> {
    const REST: &str = "must be the id of an event, such as 4939841539.0.";
    let read = |text: &str| {
        let id: Option<EventId> = text.parse().ok();
        id.filter(|id| id.position.0 <= ID_MAX)
    };
    let parameter = query.text("after", errors).map(|text| {
        let id = read(text);
        if id.is_none() {
            query::fault("after", REST, errors);
        }
        id.unwrap_or_default()
    });
    let mut given = headers.get_all(LAST_EVENT_ID).into_iter().filter(|value| !value.is_empty());
    let header = given.next().map(|value| {
        let id = value.to_str().ok().and_then(read).filter(|_| given.next().is_none());
        if id.is_none() {
            errors.add("Last-Event-ID".to_owned(), format!("The Last-Event-ID header {REST}"));
        }
        id.unwrap_or_default()
    });
    header.or(parameter)
}

/// Waits until this node has applied the entry of an event. An id beyond everything that was
/// acknowledged belongs to no event.
async fn await_event(call: &Call<'_>, id: EventId) -> Result<(), Failure> {
    let handle = &call.app.handle;
    let reached = || {
        let applied = handle.read(|state| state.position());
        (id.position <= applied || id.position.index() <= applied.index(), applied)
    };
    if reached().0 {
        return Ok(());
    }
    let barrier = handle.barrier(call.deadline).await;
    barrier.map_err(|error| Failure::read(&error, call.trace))?;
    match reached() {
        (true, _) => Ok(()),
        (false, applied) => Err(unheard_of(applied)),
    }
}

fn unheard_of(applied: Position) -> Failure {
    Failure::field("after", "No event has this id yet.").at(applied)
}

fn lost(call: &Call<'_>, error: EventsError) -> Failure {
    match error {
        EventsError::Gone { floor } => Failure::new(
            ErrorCode::EventsGone,
            format!(
                "Events up to {floor} are no longer kept. Read the state anew, and go on from now \
                 or after {floor}."
            ),
        ),
        EventsError::Storage(cause) => Failure::internal(call.trace, &cause),
    }
}
