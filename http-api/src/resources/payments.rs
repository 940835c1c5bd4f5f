//! Payments: where payment providers report their results.

mod describe;
mod examples;
mod handle;
mod schemas;

use engine::auth::Scope;

use crate::endpoint::{BodyKind, Endpoint, Resource, endpoints};

pub(crate) static RESOURCE: Resource = Resource {
    name: "Payments",
    about: "Results that payment providers report.",
    schemas: schemas::all,
};

endpoints! {
    Webhook: Endpoint::post("/api/v1/payments/webhook", BodyKind::Json, describe::webhook)
        .keyed(|state, key| state.webhook_by_key(key).is_some())
        .signed(Scope::PaymentsWebhook)
        => handle::webhook,
}
