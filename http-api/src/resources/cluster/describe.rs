//! What the OpenAPI document says about the cluster.

use client::wire::ErrorCode;
use serde_json::{Value, json};

use super::examples;
use crate::answer::download;
use crate::describe::operation::Operation;
use crate::describe::parameters::READS;

pub(crate) fn get() -> Operation {
    Operation::new("getCluster", "Read the cluster")
        .text("The cluster as this node sees it; needs no quorum.")
        .lists("The cluster.", "ClusterAnswer", examples::cluster())
}

pub(crate) fn take_snapshot() -> Operation {
    Operation::new("takeSnapshot", "Take a snapshot")
        .text(
            "Takes a snapshot of what this node has applied so far, whether it leads or not. \
             Nodes also take snapshots by themselves as their logs grow. A current snapshot is \
             used again. Needs no quorum and is safe to repeat.",
        )
        .lists("The snapshot.", "SnapshotAnswer", examples::snapshot())
        .refuses(&[ErrorCode::CommitTimeout, ErrorCode::NoLeader, ErrorCode::InternalError])
}

pub(crate) fn backup() -> Operation {
    Operation::new("getBackup", "Read a backup")
        .text(
            "A file with everything that was acknowledged before the request, as it was at one \
             index, with checksums: the input of `holdfast restore`. It is made from a snapshot, \
             which may take time, while orders go on. With `consistency=stale` it needs no quorum \
             and holds what this node has. A body shorter than its announced length is \
             incomplete.",
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
            "While payments are paused, no node calls the gateway; results that are already on \
             their way are recorded. A cluster that was restored from a backup starts with paused \
             payments.",
        )
        .body("PaymentsRequest", json!({"paused": false}))
        .lists("Payments are paused or running as requested.", "ClusterAnswer", examples::cluster())
        .writes()
}

pub(crate) fn raise_level() -> Operation {
    Operation::new("raiseLevel", "Raise the level")
        .text(
            "The level says which rules the cluster uses. It can be raised once every member was \
             heard and runs a build that speaks it. There is no way back: older builds cannot \
             join, nor read the data. Repeating the call is safe. The body is optional.",
        )
        .optional_body("LevelRequest", json!({"to": 1}))
        .lists("The cluster is at this level or above.", "ClusterAnswer", examples::cluster())
        .writes()
        .refuses(&[ErrorCode::LevelConflict])
}

pub(crate) fn add_member() -> Operation {
    Operation::new("addMember", "Add a node")
        .text(
            "The node becomes a learner and gets its vote once it has caught up. Repeating the \
             call is safe. Start the node itself with `--join`, which makes this call.",
        )
        .body("MemberRequest", examples::member_request())
        .lists("The node is a member.", "MemberAddedAnswer", examples::member_added())
        .writes()
        .refuses(&[
            ErrorCode::ChangeInProgress,
            ErrorCode::QuorumAtRisk,
            ErrorCode::MemberConflict,
            ErrorCode::UnknownMember,
            ErrorCode::LevelConflict,
        ])
}

pub(crate) fn remove_member() -> Operation {
    Operation::new("removeMember", "Remove a member")
        .text(
            "The id is never used again. A leader hands leadership over before it is removed. \
             Repeating the call is safe.",
        )
        .takes(&["MemberId"])
        .lists("The node is no longer a member.", "ClusterAnswer", examples::cluster())
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
            "To the given voter, or to the best one. Writes wait meanwhile. The body is optional.",
        )
        .optional_body("TransferRequest", json!({"to": 2}))
        .lists("The voter leads.", "ClusterAnswer", examples::cluster())
        .writes()
        .refuses(&[ErrorCode::UnknownMember, ErrorCode::CannotLead])
}

pub(crate) fn accept_clock() -> Operation {
    Operation::new("acceptClock", "Accept the clocks of the nodes")
        .text(
            "The cluster's clock takes no gap of more than a day by itself, because all deadlines \
             in it would come at once. This says that the clocks of the machines are right; the \
             cluster's clock takes the gap within a minute. Without a gap nothing changes. Safe to \
             repeat.",
        )
        .lists("The clocks are accepted.", "ClusterAnswer", examples::cluster())
        .writes()
}
