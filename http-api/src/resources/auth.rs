//! Credentials: the tokens of the cluster, and whether it asks for them.

pub(crate) mod audit;
mod describe;
mod examples;
mod handle;
mod schemas;

use engine::auth::Scope;

use crate::endpoint::{BodyKind, Endpoint, Resource, endpoints};

pub(crate) static RESOURCE: Resource = Resource {
    name: "Credentials",
    about: "Tokens with their scopes, whether requests need one, and who administered what.",
    schemas: schemas::all,
};

endpoints! {
    Session: Endpoint::get("/api/v1/session", describe::session).known() => handle::session,
    Mode: Endpoint::get("/api/v1/auth/mode", describe::mode).needs(Scope::AuthAdmin)
        => handle::mode,
    SetMode: Endpoint::put("/api/v1/auth/mode", describe::set_mode)
        .keyed_apart()
        .needs(Scope::AuthAdmin)
        => handle::set_mode,
    Tokens: Endpoint::get("/api/v1/auth/tokens", describe::tokens).needs(Scope::AuthAdmin)
        => handle::tokens,
    Create: Endpoint::post("/api/v1/auth/tokens", BodyKind::Json, describe::create)
        .needs(Scope::AuthAdmin)
        => handle::create,
    Audit: Endpoint::get("/api/v1/audit", describe::audit).needs(Scope::ClusterRead)
        => audit::list,
    Revoke: Endpoint::delete("/api/v1/auth/tokens/{id}", describe::revoke)
        .keyed_apart()
        .needs(Scope::AuthAdmin)
        => handle::revoke,
}
