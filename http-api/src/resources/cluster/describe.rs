//! What the OpenAPI document says of the cluster.

use client::wire::ErrorCode;
use serde_json::{Value, json};

use super::examples;
use crate::answer::download;
use crate::describe::operation::Operation;
use crate::describe::parameters::READS;

pub(crate) fn get() -> Operation {
    Operation::new("getCluster", "Read the cluster")
        .text("The cluster as this node sees it, without a quorum too.")
        .lists("The cluster.", "ClusterAnswer", examples::cluster())
}

pub(crate) fn take_snapshot() -> Operation {
    Operation::new("takeSnapshot", "Take a snapshot")
        .text(
            "Of what this node has applied up to now, whether it leads or not; nodes take them \
             by themselves as their logs grow. One that is there already will do. Needs no \
             quorum and is safe to repeat.",
        )
        .lists("It is there.", "SnapshotAnswer", examples::snapshot())
        .refuses(&[ErrorCode::CommitTimeout, ErrorCode::NoLeader, ErrorCode::InternalError])
}

pub(crate) fn backup() -> Operation {
    Operation::new("getBackup", "Read a backup")
        .text(
            "A file with everything that was acknowledged before the request, as it was at one \
             index, with checksums: what `holdfast restore` takes. It is made of a snapshot, \
             which may take its time, while orders go on. With `consistency=stale` it needs no \
             quorum and holds what this node has. A body shorter than its length was cut off.",
        )
        .takes(&READS)
        .answers(200, "The file.", &["X-Consistency"], Some((download::CONTENT_TYPE, file())))
        .looks()
        .refuses(&[ErrorCode::ValidationError])
}

/// The content of a file that is not text.
fn file() -> Value {
    json!({"schema": {"type": "string", "format": "binary"}})
}

pub(crate) fn set_payments() -> Operation {
    Operation::new("setPayments", "Pause or resume payments")
        .text(
            "While they are paused the gateway is asked for nothing, on no node; results that \
             were on their way are recorded. A cluster that was restored from a backup begins \
             with its payments paused.",
        )
        .body("PaymentsRequest", json!({"paused": false}))
        .lists("They are as wanted.", "ClusterAnswer", examples::cluster())
        .writes()
}

pub(crate) fn add_member() -> Operation {
    Operation::new("addMember", "Add a node")
        .text(
            "The node becomes a learner and gets its vote by itself once it has caught up. \
             Asking again is safe. The node itself is started with `--join`, which asks this.",
        )
        .body("MemberRequest", examples::member_request())
        .lists("It is a member.", "MemberAddedAnswer", examples::member_added())
        .writes()
        .refuses(&[
            ErrorCode::ChangeInProgress,
            ErrorCode::QuorumAtRisk,
            ErrorCode::MemberConflict,
            ErrorCode::UnknownMember,
        ])
}

pub(crate) fn remove_member() -> Operation {
    Operation::new("removeMember", "Remove a member for good")
        .text(
            "Its id is never used again. The leader hands leadership over before it is removed. \
             Asking again is safe.",
        )
        .takes(&["MemberId"])
        .lists("It is no member any more.", "ClusterAnswer", examples::cluster())
        .writes()
        .refuses(&[
            ErrorCode::NotFound,
            ErrorCode::ChangeInProgress,
            ErrorCode::QuorumAtRisk,
            ErrorCode::MemberConflict,
            ErrorCode::UnknownMember,
            ErrorCode::CannotLead,
        ])
}

pub(crate) fn transfer_leader() -> Operation {
    Operation::new("transferLeader", "Hand leadership over")
        .text(
            "To the voter named, or to the best one. Writes wait meanwhile. The body may be \
             left out.",
        )
        .optional_body("TransferRequest", json!({"to": 2}))
        .lists("It leads.", "ClusterAnswer", examples::cluster())
        .writes()
        .refuses(&[ErrorCode::UnknownMember, ErrorCode::CannotLead])
}
