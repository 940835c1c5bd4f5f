//! Orders: placing, reading and cancelling them, their keys, batches, and the task hook.

mod batch;
mod describe;
pub(crate) mod dry_run;
pub(crate) mod examples;
pub(crate) mod list;
pub(crate) mod read;
pub(crate) mod schemas;
mod task;
pub(crate) mod write;

use engine::auth::Scope;
use engine::state::State;

use crate::endpoint::{BodyKind, Endpoint, Resource, endpoints};

pub(crate) static RESOURCE: Resource = Resource {
    name: "Orders",
    about: "Placing, reading and cancelling orders.",
    schemas: schemas::all,
};

fn made_order(state: &State, key: &str) -> bool {
    state.order_by_key(key).is_some()
}

endpoints! {
    List: Endpoint::get("/api/v1/orders", describe::list).needs(Scope::OrdersRead) => list::list,
    Create: Endpoint::post("/api/v1/orders", BodyKind::Json, describe::create)
        .keyed(made_order)
        .needs(Scope::OrdersWrite)
        => write::create,
    Purchase: Endpoint::post("/api/v1/orders/purchase", BodyKind::Json, describe::purchase)
        .keyed(made_order)
        .needs(Scope::OrdersWrite)
        => write::purchase,
    PlaceBatch: Endpoint::post("/api/v1/orders/batch", BodyKind::Bulk, describe::batch)
        .needs(Scope::OrdersWrite)
        => batch::place,
    ByKey: Endpoint::get("/api/v1/orders/by-key/{key}", describe::by_key)
        .needs(Scope::OrdersRead) => read::by_key,
    ByReference: Endpoint::get(
        "/api/v1/orders/by-reference/{reference}",
        describe::by_reference,
    )
        .needs(Scope::OrdersRead) => read::by_reference,
    FenceKey: Endpoint::post("/api/v1/orders/by-key/{key}/fence", BodyKind::None, describe::fence)
        .needs(Scope::OrdersWrite)
        => write::fence,
    Get: Endpoint::get("/api/v1/orders/{id}", describe::get).needs(Scope::OrdersRead) => read::get,
    Cancel: Endpoint::post("/api/v1/orders/{id}/cancel", BodyKind::Json, describe::cancel)
        .keyed_apart()
        .needs(Scope::OrdersWrite)
        => write::cancel,
    History: Endpoint::get("/api/v1/orders/{id}/events", describe::history)
        .needs(Scope::OrdersRead) => read::events,
    Processed: Endpoint::post("/api/v1/tasks/order-processed", BodyKind::Json, describe::processed)
        .needs(Scope::Tasks)
        => task::order_processed,
}
