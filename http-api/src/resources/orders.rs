//! Orders: placing, reading and cancelling them, their keys, batches, and the task hook.

mod batch;
mod describe;
pub(crate) mod examples;
mod list;
mod read;
pub(crate) mod schemas;
mod task;
pub(crate) mod write;

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
    List: Endpoint::get("/api/v1/orders", describe::list) => list::list,
    Create: Endpoint::post("/api/v1/orders", BodyKind::Json, describe::create).keyed(made_order)
        => write::create,
    Purchase: Endpoint::post("/api/v1/orders/purchase", BodyKind::Json, describe::purchase)
        .keyed(made_order)
        => write::purchase,
    PlaceBatch: Endpoint::post("/api/v1/orders/batch", BodyKind::Bulk, describe::batch)
        => batch::place,
    ByKey: Endpoint::get("/api/v1/orders/by-key/{key}", describe::by_key) => read::by_key,
    FenceKey: Endpoint::post("/api/v1/orders/by-key/{key}/fence", BodyKind::None, describe::fence)
        => write::fence,
    Get: Endpoint::get("/api/v1/orders/{id}", describe::get) => read::get,
    Cancel: Endpoint::post("/api/v1/orders/{id}/cancel", BodyKind::Json, describe::cancel)
        => write::cancel,
    History: Endpoint::get("/api/v1/orders/{id}/events", describe::history) => read::events,
    Processed: Endpoint::post("/api/v1/tasks/order-processed", BodyKind::Json, describe::processed)
        => task::order_processed,
}
