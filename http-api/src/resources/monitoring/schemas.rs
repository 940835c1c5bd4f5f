//! Schemas of what monitors read.

use client::wire;
use serde_json::{Value, json};

use crate::describe::shapes::Shapes;
use crate::log_filter::{FILTER_BYTES_MAX, SECONDS_MAX};

/// All of them.
pub(crate) fn all() -> Value {
    let answers = Shapes::answers()
        .of::<wire::HealthStatus>()
        .of::<wire::ServiceState>()
        .of::<wire::Services>()
        .of::<wire::Health>()
        .of::<wire::Probe>()
        .of::<wire::Test>()
        .of::<wire::LogFilter>()
        .envelope::<wire::LogFilter>("LogFilterAnswer");
    let requests = Shapes::requests()
        .of::<wire::LogFilterRequest>()
        .with("LogFilterRequest.filter", json!({"minLength": 1, "maxLength": FILTER_BYTES_MAX}))
        .with("LogFilterRequest.seconds", json!({"minimum": 1, "maximum": SECONDS_MAX}));
    answers.and(requests)
}
