//! Products: the catalogue and its stock.

mod describe;
pub(crate) mod examples;
mod handle;
mod schemas;
mod stock;

use engine::auth::Scope;

use crate::endpoint::{BodyKind, Endpoint, Resource, endpoints};

pub(crate) static RESOURCE: Resource = Resource {
    name: "Products",
    about: "The catalogue, its stock and its ledger.",
    schemas: schemas::all,
};

endpoints! {
    List: Endpoint::get("/api/v1/products", describe::list)
        .needs(Scope::CatalogRead) => handle::list,
    Create: Endpoint::post("/api/v1/products", BodyKind::Json, describe::create)
        .keyed_apart()
        .needs(Scope::CatalogWrite)
        => handle::create,
    Get: Endpoint::get("/api/v1/products/{id}", describe::get)
        .needs(Scope::CatalogRead) => handle::get,
    Replace: Endpoint::put("/api/v1/products/{id}", describe::replace)
        .keyed_apart()
        .needs(Scope::CatalogWrite) => handle::replace,
    Patch: Endpoint::patch("/api/v1/products/{id}", describe::patch)
        .keyed_apart()
        .needs(Scope::CatalogWrite) => handle::patch,
    Archive: Endpoint::delete("/api/v1/products/{id}", describe::archive)
        .keyed_apart()
        .needs(Scope::CatalogWrite) => handle::archive,
    AdjustStock:
        Endpoint::post("/api/v1/products/{id}/adjustments", BodyKind::Json, describe::adjust)
        .keyed(|state, key| state.adjustment_by_key(key).is_some())
        .needs(Scope::StockWrite)
        => stock::adjust,
    Ledger: Endpoint::get("/api/v1/products/{id}/ledger", describe::ledger)
        .needs(Scope::StockRead) => stock::ledger,
}
