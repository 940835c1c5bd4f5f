//! Holds: units set aside until a deadline.

pub(crate) mod describe;
mod examples;
mod handle;
mod schemas;

use engine::auth::Scope;

use crate::endpoint::{BodyKind, Endpoint, Resource, endpoints};

pub(crate) static RESOURCE: Resource =
    Resource { name: "Holds", about: "Units set aside until a deadline.", schemas: schemas::all };

endpoints! {
    List: Endpoint::get("/api/v1/holds", describe::list).needs(Scope::OrdersRead) => handle::list,
    Create: Endpoint::post("/api/v1/holds", BodyKind::Json, describe::create)
        .keyed(|state, key| state.hold_by_key(key).is_some())
        .needs(Scope::OrdersWrite)
        => handle::create,
    Get: Endpoint::get("/api/v1/holds/{id}", describe::get).needs(Scope::OrdersRead) => handle::get,
    Release: Endpoint::delete("/api/v1/holds/{id}", describe::release)
        .keyed_apart()
        .needs(Scope::OrdersWrite) => handle::release,
    Extend: Endpoint::post("/api/v1/holds/{id}/extend", BodyKind::Json, describe::extend)
        .keyed_apart()
        .needs(Scope::OrdersWrite)
        => handle::extend,
}
