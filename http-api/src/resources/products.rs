//! Products: the catalogue and its stock.

mod describe;
pub(crate) mod examples;
mod handle;
mod schemas;
mod stock;

use crate::endpoint::{BodyKind, Endpoint, Resource, endpoints};

pub(crate) static RESOURCE: Resource = Resource {
    name: "Products",
    about: "The catalogue, its stock and its ledger.",
    schemas: schemas::all,
};

endpoints! {
    List: Endpoint::get("/api/v1/products", describe::list) => handle::list,
    Create: Endpoint::post("/api/v1/products", BodyKind::Json, describe::create)
        => handle::create,
    Get: Endpoint::get("/api/v1/products/{id}", describe::get) => handle::get,
    Replace: Endpoint::put("/api/v1/products/{id}", describe::replace) => handle::replace,
    Patch: Endpoint::patch("/api/v1/products/{id}", describe::patch) => handle::patch,
    Archive: Endpoint::delete("/api/v1/products/{id}", describe::archive) => handle::archive,
    AdjustStock:
        Endpoint::post("/api/v1/products/{id}/adjustments", BodyKind::Json, describe::adjust)
        .keyed(|state, key| state.adjustment_by_key(key).is_some())
        => stock::adjust,
    Ledger: Endpoint::get("/api/v1/products/{id}/ledger", describe::ledger) => stock::ledger,
}
