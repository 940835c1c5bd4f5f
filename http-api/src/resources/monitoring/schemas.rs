//! Schemas of what monitors read.

use client::wire;
use serde_json::Value;

use crate::describe::shapes::Shapes;

/// All of them.
pub(crate) fn all() -> Value {
    let answers = Shapes::answers()
        .of::<wire::HealthStatus>()
        .of::<wire::ServiceState>()
        .of::<wire::Services>()
        .of::<wire::Health>()
        .of::<wire::Probe>()
        .of::<wire::Test>();
    answers.and(Shapes::requests())
}
