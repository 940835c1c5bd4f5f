//! Monitoring: health, liveness, readiness, metrics and log filter of the node that is asked.

mod describe;
mod examples;
mod handle;
mod log_filter;
mod schemas;

use engine::auth::Scope;

use crate::endpoint::{Endpoint, Resource, endpoints};

pub(crate) static RESOURCE: Resource = Resource {
    name: "Monitoring",
    about: "Health, metrics and log filter of a node. Health and metrics are never rate limited.",
    schemas: schemas::all,
};

endpoints! {
    Health: Endpoint::get("/api/v1/health", describe::health).uncounted().open() => handle::health,
    Test: Endpoint::get("/api/v1/test", describe::test).open() => handle::test,
    BareHealth: Endpoint::get("/health", describe::bare_health).uncounted()
        .open() => handle::health,
    Live: Endpoint::get("/livez", describe::live).uncounted().open() => handle::live,
    Ready: Endpoint::get("/readyz", describe::ready).uncounted().open() => handle::ready,
    Metrics: Endpoint::get("/metrics", describe::metrics).uncounted().own_format()
        .needs(Scope::MetricsRead)
        => handle::metrics,
    LogFilter: Endpoint::get("/api/v1/admin/log-filter", describe::log_filter)
        .needs(Scope::ClusterRead)
        => log_filter::get,
    SetLogFilter: Endpoint::put("/api/v1/admin/log-filter", describe::set_log_filter)
        .needs(Scope::ClusterAdmin)
        => log_filter::set,
}
