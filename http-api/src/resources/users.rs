//! Users: a name and an address that orders may refer to.

mod describe;
mod examples;
mod handle;
mod schemas;

use engine::auth::Scope;

use crate::endpoint::{BodyKind, Endpoint, Resource, endpoints};

pub(crate) static RESOURCE: Resource =
    Resource { name: "Users", about: "Users that orders may name.", schemas: schemas::all };

endpoints! {
    Create: Endpoint::post("/api/v1/users", BodyKind::Json, describe::create)
        .keyed_apart()
        .needs(Scope::UsersWrite) => handle::create,
    Get: Endpoint::get("/api/v1/users/{id}", describe::get).needs(Scope::UsersRead) => handle::get,
}
