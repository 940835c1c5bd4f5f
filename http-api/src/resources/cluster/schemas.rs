//! Schemas of the cluster, its members and snapshots.

use client::wire;
use raft_node::members::ADDRESS_BYTES_MAX;
use serde_json::{Value, json};

use super::members::LEVEL_MAX;
use crate::describe::shapes::Shapes;

/// A port from 1 to 65535, zeros before it allowed.
const PORT: &str = "0*([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]\
                    |6553[0-5])";

/// All of them.
pub(crate) fn all() -> Value {
    requests().and(answers())
}

fn requests() -> Shapes {
    let address = || {
        json!({
            "minLength": 3,
            "maxLength": ADDRESS_BYTES_MAX,
            "pattern": format!(r"^[^\s\u0000-\u001f\u007f-\u009f]+:{PORT}$"),
        })
    };
    Shapes::requests()
        .of::<wire::MemberRequest>()
        .with("MemberRequest.raft_addr", address())
        .with("MemberRequest.http_addr", address())
        .with("MemberRequest.incarnation", json!({"pattern": "^[0-9a-fA-F]{16}$"}))
        .with("MemberRequest.speaks", json!({"minimum": 0, "maximum": LEVEL_MAX}))
        .of::<wire::PaymentsRequest>()
        .of::<wire::LevelRequest>()
        .with("LevelRequest.to", json!({"minimum": 1, "maximum": LEVEL_MAX}))
        .of::<wire::TransferRequest>()
}

fn answers() -> Shapes {
    let number = || json!({"pattern": "^[0-9a-f]{16}$"});
    let some = || json!({"minItems": 1});
    Shapes::answers()
        .of::<wire::MemberRole>()
        .of::<wire::Member>()
        .of::<wire::NodeState>()
        .of::<wire::Cluster>()
        .with("Cluster.digest", number())
        .with("Cluster.members", some())
        .of::<wire::Founder>()
        .of::<wire::KnownIncarnation>()
        .with("KnownIncarnation.incarnation", number())
        .of::<wire::MemberAdded>()
        .with("MemberAdded.founders", some())
        .with("MemberAdded.members", some())
        .of::<wire::Snapshot>()
        .with("Snapshot.digest", number())
        .envelope::<wire::Cluster>("ClusterAnswer")
        .envelope::<wire::Snapshot>("SnapshotAnswer")
        .envelope::<wire::MemberAdded>("MemberAddedAnswer")
}
