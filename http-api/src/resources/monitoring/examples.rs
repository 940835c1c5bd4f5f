//! Examples of what monitors read.

use client::wire;
use serde_json::Value;

use crate::describe::examples::{MOMENT, value};

/// The health of a node.
pub(crate) fn health(status: wire::HealthStatus) -> Value {
    let well = status == wire::HealthStatus::Ok;
    let state = if well { wire::ServiceState::Ok } else { wire::ServiceState::Down };
    value(&wire::Health {
        status,
        services: wire::Services {
            storage: wire::ServiceState::Ok,
            raft: state,
            quorum: state,
            worker: wire::ServiceState::Standby,
        },
        node_id: 1,
        leader_id: well.then_some(2),
        warnings: Vec::new(),
        timestamp: MOMENT.to_owned(),
    })
}

/// A probe.
pub(crate) fn probe(status: wire::HealthStatus) -> Value {
    let well = status == wire::HealthStatus::Ok;
    value(&wire::Probe { status, reason: (!well).then(|| "no leader is known".to_owned()) })
}

/// The friendly line.
pub(crate) fn test() -> Value {
    value(&wire::Test { message: "API is working!".to_owned(), timestamp: MOMENT.to_owned() })
}

/// The filter of log lines, changed for a while.
pub(crate) fn log_filter() -> Value {
    value(&wire::Envelope::new(wire::LogFilter {
        filter: "info,raft_node=debug".to_owned(),
        configured: "info".to_owned(),
        seconds_left: Some(600),
    }))
}

/// A change of that filter.
pub(crate) fn log_filter_request() -> Value {
    value(&wire::LogFilterRequest {
        filter: Some("info,raft_node=debug".to_owned()),
        seconds: Some(600),
    })
}
