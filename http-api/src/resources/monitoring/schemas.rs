//! The shapes of what monitors read.

use client::wire;
use serde_json::{Value, json};

use crate::describe::words::{nullable, object, schema, text, words};

/// All of them.
pub(crate) fn all() -> Value {
    let part = || words("`standby`: fit, but at work elsewhere.", wire::ServiceState::ALL);
    json!({
        "Health": object("Whether a node is fit for work.", &[], json!({
            "status": words("`degraded` comes with 503.", wire::HealthStatus::ALL),
            "services": object("The parts behind that judgement.", &[], json!({
                "storage": part(), "raft": part(), "quorum": part(), "worker": part(),
            })),
            "node_id": schema("Id"),
            "leader_id": nullable(schema("Id")),
            "timestamp": schema("Moment"),
        })),
        "Probe": object("", &["reason"], json!({
            "status": words("`degraded` comes with 503.", wire::HealthStatus::ALL),
            "reason": text("Why not."),
        })),
        "Test": object("", &[], json!({
            "message": text("A friendly line."),
            "timestamp": schema("Moment"),
        })),
    })
}
