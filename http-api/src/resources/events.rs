//! Events, as a stream or over a WebSocket. [`crate::events`] delivers them.

mod describe;
mod handle;

use engine::auth::Scope;

use crate::endpoint::{Endpoint, Resource, endpoints};
use crate::origin::Exposure;

pub(crate) static RESOURCE: Resource = Resource {
    name: "Events",
    about: "Events as they happen, as a stream or over a WebSocket.",
    schemas: describe::schemas,
};

endpoints! {
    Stream: Endpoint::get("/api/v1/events", describe::stream).own_format()
        .exposes(Exposure::Guarded)
        .needs(Scope::EventsRead)
        => handle::stream,
    Socket: Endpoint::get("/api/v1/ws", describe::socket).own_format()
        .exposes(Exposure::Socket)
        .channels(Scope::EventsRead)
        => handle::socket,
}
