//! The cluster: its nodes and leader, snapshots, backups, and whether payments wait.

mod backups;
mod describe;
mod examples;
mod level;
mod members;
mod schemas;
mod snapshots;

use engine::auth::Scope;

use crate::endpoint::{BodyKind, Endpoint, Resource, endpoints};
use crate::origin::Exposure;

pub(crate) static RESOURCE: Resource = Resource {
    name: "Cluster",
    about: "Nodes, snapshots, backups, payments and level of the cluster.",
    schemas: schemas::all,
};

endpoints! {
    Get: Endpoint::get("/api/v1/cluster", describe::get).needs(Scope::ClusterRead) => members::get,
    TakeSnapshot:
        Endpoint::post("/api/v1/cluster/snapshot", BodyKind::None, describe::take_snapshot)
        .needs(Scope::ClusterAdmin)
        => snapshots::take,
    Backup: Endpoint::get("/api/v1/cluster/backup", describe::backup).own_format()
        .exposes(Exposure::Guarded)
        .needs(Scope::Backup)
        => backups::get,
    SetPayments:
        Endpoint::post("/api/v1/cluster/payments", BodyKind::Json, describe::set_payments)
        .keyed_apart()
        .needs(Scope::ClusterAdmin)
        => backups::set_payments,
    RaiseLevel:
        Endpoint::post("/api/v1/cluster/level", BodyKind::Json, describe::raise_level)
        .needs(Scope::ClusterAdmin)
        => level::raise,
    AddMember: Endpoint::post("/api/v1/cluster/members", BodyKind::Json, describe::add_member)
        .needs(Scope::ClusterJoin)
        => members::add,
    RemoveMember: Endpoint::delete("/api/v1/cluster/members/{id}", describe::remove_member)
        .needs(Scope::ClusterAdmin)
        => members::remove,
    TransferLeader:
        Endpoint::post("/api/v1/cluster/transfer-leader", BodyKind::Json, describe::transfer_leader)
        .needs(Scope::ClusterAdmin)
        => members::transfer,
    AcceptClock:
        Endpoint::post("/api/v1/cluster/accept-clock", BodyKind::None, describe::accept_clock)
        .needs(Scope::ClusterAdmin)
        => members::accept_clock,
}
