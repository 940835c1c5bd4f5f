//! Operations on events, members and nodes, and what monitors ask.

use client::wire::{self, ErrorCode, HealthStatus};
use serde_json::{Value, json};

use super::{CLUSTER, DOCUMENTS, EVENTS, MONITORING, Operation};
use crate::download;
use crate::events::stream;
use crate::metrics;
use crate::openapi::parameters::READS;
use crate::openapi::{events, examples};
use crate::routes::Route;

pub(super) fn event(route: Route) -> Operation {
    let of = |id, summary| Operation::new(route, id, EVENTS, summary);
    match route {
        Route::Events => of("streamEvents", "Follow what happens")
            .text(events::STREAM)
            .takes(&["EventUser", "EventProduct", "EventTypes", "After", "LastEventId"])
            .answers(200, "The stream.", &[], Some((stream::CONTENT_TYPE, events::stream())))
            .looks()
            .refuses(&[ErrorCode::ValidationError, ErrorCode::EventsGone]),
        _ => of("openSocket", "Follow the orders of users over a WebSocket")
            .text(events::SOCKET)
            .answers(101, "The WebSocket.", &["Upgrade", "Sec-WebSocket-Accept"], None)
            .refuses(&[ErrorCode::UpgradeRequired, ErrorCode::Overloaded]),
    }
}

/// The content of a file that is not text.
fn file() -> Value {
    json!({"schema": {"type": "string", "format": "binary"}})
}

pub(super) fn members(route: Route) -> Operation {
    let of = |id, summary| Operation::new(route, id, CLUSTER, summary);
    match route {
        Route::AddMember => of("addMember", "Add a node")
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
            ]),
        Route::RemoveMember => of("removeMember", "Remove a member for good")
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
            ]),
        _ => of("transferLeader", "Hand leadership over")
            .text(
                "To the voter named, or to the best one. Writes wait meanwhile. The body may be \
                 left out.",
            )
            .optional_body("TransferRequest", json!({"to": 2}))
            .lists("It leads.", "ClusterAnswer", examples::cluster())
            .writes()
            .refuses(&[ErrorCode::UnknownMember, ErrorCode::CannotLead]),
    }
}

pub(super) fn node(route: Route) -> Operation {
    let of = |id, tag, summary| Operation::new(route, id, tag, summary);
    let text = |kind| Some((kind, json!({"schema": {"type": "string"}})));
    match route {
        Route::Cluster => of("getCluster", CLUSTER, "Read the cluster")
            .text("The cluster as this node sees it, without a quorum too.")
            .lists("The cluster.", "ClusterAnswer", examples::cluster()),
        Route::TakeSnapshot => of("takeSnapshot", CLUSTER, "Take a snapshot")
            .text(
                "Of what this node has applied up to now, whether it leads or not; nodes take them \
                 by themselves as their logs grow. One that is there already will do. Needs no \
                 quorum and is safe to repeat.",
            )
            .lists("It is there.", "SnapshotAnswer", examples::snapshot())
            .refuses(&[ErrorCode::CommitTimeout, ErrorCode::NoLeader, ErrorCode::InternalError]),
        Route::Backup => of("getBackup", CLUSTER, "Read a backup")
            .text(
                "A file with everything that was acknowledged before the request, as it was at one \
                 index, with checksums: what `holdfast restore` takes. It is made of a snapshot, \
                 which may take its time, while orders go on. With `consistency=stale` it needs no \
                 quorum and holds what this node has. A body shorter than its length was cut off.",
            )
            .takes(&READS)
            .answers(200, "The file.", &["X-Consistency"], Some((download::CONTENT_TYPE, file())))
            .looks()
            .refuses(&[ErrorCode::ValidationError]),
        Route::SetPayments => of("setPayments", CLUSTER, "Pause or resume payments")
            .text(
                "While they are paused the gateway is asked for nothing, on no node; results that \
                 were on their way are recorded. A cluster that was restored from a backup begins \
                 with its payments paused.",
            )
            .body("PaymentsRequest", json!({"paused": false}))
            .lists("They are as wanted.", "ClusterAnswer", examples::cluster())
            .writes(),
        Route::Health => of("getHealth", MONITORING, "Whether the node is fit for work")
            .text("Storage, replication, quorum and worker of this node. Needs no quorum.")
            .states("Health", examples::health),
        Route::Live => of("getLiveness", MONITORING, "Whether the process answers")
            .text("That it answers is the answer.")
            .lists("It does.", "Probe", examples::probe(HealthStatus::Ok)),
        Route::Ready => of("getReadiness", MONITORING, "Whether to send requests here")
            .text(
                "Ready once a leader is known and the node has applied what was committed when it \
                 started.",
            )
            .states("Probe", examples::probe),
        Route::Metrics => of("getMetrics", MONITORING, "Read the metrics")
            .text(
                "In the format of OpenMetrics. Business counters are replicated: read them from one \
                 node, never add them up.",
            )
            .answers(200, "The metrics.", &[], text(metrics::CONTENT_TYPE))
            .refuses(&[ErrorCode::InternalError]),
        Route::OpenApi => of("getOpenApi", DOCUMENTS, "Read this document")
            .text("This document.")
            .answers(
                200,
                "The document.",
                &[],
                Some((wire::JSON, json!({"schema": {"type": "object"}}))),
            ),
        Route::Docs => of("getDocs", DOCUMENTS, "Read this document as a page")
            .text("The same for people. The page loads nothing else.")
            .answers(200, "The page.", &[], text(crate::docs::CONTENT_TYPE)),
        _ => of("getTest", MONITORING, "A friendly line")
            .text("Shows that the address is right.")
            .lists("The line.", "Test", examples::test()),
    }
}
