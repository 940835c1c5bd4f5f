//! Refunds of paid orders.

mod describe;
mod examples;
mod handle;
mod schemas;

use engine::auth::Scope;

use crate::endpoint::{BodyKind, Endpoint, Resource, endpoints};

pub(crate) static RESOURCE: Resource = Resource {
    name: "Refunds",
    about: "Money and units of paid orders that go back.",
    schemas: schemas::all,
};

endpoints! {
    Request: Endpoint::post("/api/v1/orders/{id}/refunds", BodyKind::Json, describe::request)
        .keyed(|state, key| state.refund_by_key(key).is_some())
        .needs(Scope::PaymentsAdmin)
        => handle::request,
    OfOrder: Endpoint::get("/api/v1/orders/{id}/refunds", describe::of_order)
        .needs(Scope::OrdersRead)
        => handle::of_order,
    Get: Endpoint::get("/api/v1/refunds/{id}", describe::get)
        .needs(Scope::OrdersRead)
        => handle::get,
}
