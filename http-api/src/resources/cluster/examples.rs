//! Examples of the cluster, its members and snapshots.

use client::wire;
use serde_json::Value;

use crate::describe::examples::value;

/// A cluster of one.
pub(crate) fn cluster() -> Value {
    value(&wire::Envelope::new(wire::Cluster {
        cluster_id: "9c1b0e6f".to_owned(),
        node_id: 1,
        leader_id: Some(1),
        term: 2,
        commit_index: 4711,
        applied_index: 4711,
        digest: "00c0ffee00c0ffee".to_owned(),
        level: 1,
        level_newest: 1,
        payments_paused: false,
        rebuilt_from: None,
        next_member_id: 2,
        warnings: Vec::new(),
        node: Some(wire::NodeState {
            version: "0.1.0".to_owned(),
            uptime_seconds: 86_400,
            disk_free_bytes: 53_687_091_200,
            disk_reserve_bytes: Some(268_435_456),
            memory_bytes: Some(268_435_456),
            memory_limit_bytes: Some(2_147_483_648),
            files_open: Some(120),
            files_max: Some(1_048_576),
        }),
        insecure: Vec::new(),
        unsafe_settings: Vec::new(),
        log_entries_left: Some(8_589_929_880),
        members: vec![wire::Member {
            id: 1,
            role: wire::MemberRole::Leader,
            raft_addr: "127.0.0.1:9080".to_owned(),
            http_addr: Some("127.0.0.1:8080".to_owned()),
            replaces: None,
            match_index: Some(4711),
            lag: Some(0),
            healthy: true,
            last_contact_ms: None,
            level_newest: Some(1),
            version: Some("0.1.0".to_owned()),
            uptime_seconds: Some(86_400),
        }],
    }))
}

/// A node that is to join.
pub(crate) fn member_request() -> Value {
    value(&wire::MemberRequest {
        id: 4,
        raft_addr: "10.0.0.4:9080".to_owned(),
        http_addr: Some("10.0.0.4:8080".to_owned()),
        speaks: Some(1),
        ..wire::MemberRequest::default()
    })
}

/// The answer to a change of members.
pub(crate) fn member_added() -> Value {
    let member = |id: u64, role, match_index, lag| wire::Member {
        id,
        role,
        raft_addr: format!("10.0.0.{id}:9080"),
        http_addr: Some(format!("10.0.0.{id}:8080")),
        replaces: None,
        match_index: Some(match_index),
        lag: Some(lag),
        healthy: true,
        last_contact_ms: Some(12),
        level_newest: Some(1),
        version: None,
        uptime_seconds: None,
    };
    value(&wire::Envelope::new(wire::MemberAdded {
        cluster_id: "9c1b0e6f00c0ffee9c1b0e6f00c0ffee".to_owned(),
        cluster_name: "holdfast".to_owned(),
        founders: vec![wire::Founder {
            id: 1,
            raft_addr: "10.0.0.1:9080".to_owned(),
            http_addr: Some("10.0.0.1:8080".to_owned()),
        }],
        incarnations: vec![wire::KnownIncarnation {
            id: 1,
            incarnation: "00c0ffee00c0ffee".to_owned(),
        }],
        members: vec![
            member(1, wire::MemberRole::Leader, 4711, 0),
            member(4, wire::MemberRole::Learner, 0, 4711),
        ],
    }))
}

/// A snapshot that was taken.
pub(crate) fn snapshot() -> Value {
    value(&wire::Envelope::new(wire::Snapshot {
        index: 4711,
        term: 2,
        bytes: 183_000,
        digest: "00c0ffee00c0ffee".to_owned(),
    }))
}
