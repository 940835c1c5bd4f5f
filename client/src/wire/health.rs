//! Health and probes. These bodies stand alone, without an envelope: monitors read them.

use serde::{Deserialize, Serialize};

use super::word::words;

words! {
    /// Whether a node can work. `degraded` comes with 503.
    HealthStatus {
        /// Everything that the node needs is there; the answer is 200.
        Ok = "ok",
        /// Something is missing; the answer is 503.
        Degraded = "degraded",
    }
}

words! {
    /// The state of one part of a node. `standby`: it works, but another node does its work now.
    ServiceState {
        /// At work.
        Ok = "ok",
        /// Fit, but its work is done elsewhere, as for the payment worker of a follower.
        Standby = "standby",
        /// Not working.
        Down = "down",
    }
}

/// The body of `GET /health`, with status 200 or 503.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Health {
    /// Whether the node is fit for work.
    pub status: HealthStatus,
    /// The parts behind that judgement.
    pub services: Services,
    /// The node that answers.
    pub node_id: u64,
    /// The leader as the node knows it; null when it knows none.
    pub leader_id: Option<u64>,
    /// What an operator should look at, as sentences; the node still works.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// When the node answered, on its own clock.
    pub timestamp: String,
}

/// The parts of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Services {
    /// The checkpoints of the state.
    pub storage: ServiceState,
    /// The replication thread and its log.
    pub raft: ServiceState,
    /// Whether a leader with a majority is known.
    pub quorum: ServiceState,
    /// The payment worker.
    pub worker: ServiceState,
}

/// The body of `GET /livez` and `GET /readyz`, with status 200 or 503.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Probe {
    /// `ok` with 200, `degraded` with 503.
    pub status: HealthStatus,
    /// Why not, in words; absent with 200.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The body of `GET /api/test`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Test {
    /// A friendly line.
    pub message: String,
    /// When the node answered, on its own clock.
    pub timestamp: String,
}

/// The body of `PUT /admin/log-filter`. Without a filter, the configured one comes back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LogFilterRequest {
    /// Levels by module, as in `info,raft_node=debug`. At most 1024 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// After how many seconds the configured filter comes back, 1 to 3600; 600 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
}

/// The filter of a node's log lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LogFilter {
    /// The filter that is in effect.
    pub filter: String,
    /// The filter that the node was started with.
    pub configured: String,
    /// When the configured filter comes back, in seconds; null if it is in effect.
    pub seconds_left: Option<u64>,
}
