//! Payments: where payment providers report their results, and operators decide about payments
//! without one.

mod describe;
mod examples;
mod handle;
mod schemas;
mod settle;

use engine::auth::Scope;

use crate::endpoint::{BodyKind, Endpoint, Resource, endpoints};

pub(crate) static RESOURCE: Resource = Resource {
    name: "Payments",
    about: "Results that payment providers report, and payments without a result.",
    schemas: schemas::all,
};

endpoints! {
    Webhook: Endpoint::post("/api/v1/payments/webhook", BodyKind::Json, describe::webhook)
        .keyed(|state, key| state.webhook_by_key(key).is_some())
        .signed(Scope::PaymentsWebhook)
        => handle::webhook,
    Unsettled: Endpoint::get("/api/v1/payments/unsettled", describe::unsettled)
        .needs(Scope::PaymentsAdmin)
        => settle::unsettled,
    Settle: Endpoint::post("/api/v1/orders/{id}/settle", BodyKind::Json, describe::settle)
        .needs(Scope::PaymentsAdmin)
        => settle::settle,
    Recheck: Endpoint::post("/api/v1/orders/{id}/recheck", BodyKind::Json, describe::recheck)
        .keyed_apart()
        .needs(Scope::PaymentsAdmin)
        => settle::recheck,
}
