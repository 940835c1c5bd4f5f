//! What the OpenAPI document says about monitoring.

use client::wire::{ErrorCode, HealthStatus};

use super::examples;
use crate::describe::operation::Operation;
use crate::describe::words::text_content;
use crate::metrics::CONTENT_TYPE;

pub(crate) fn health() -> Operation {
    health_as("getHealth")
}

/// The same without a path prefix. Each operation needs its own name.
pub(crate) fn bare_health() -> Operation {
    health_as("getHealthWithPrefix")
}

fn health_as(id: &'static str) -> Operation {
    Operation::new(id, "Check whether the node can work")
        .text("Storage, replication, quorum and worker of this node. Needs no quorum.")
        .states("Health", examples::health)
}

pub(crate) fn test() -> Operation {
    Operation::new("getTest", "Test the address").text("Shows that the address is right.").lists(
        "The line.",
        "Test",
        examples::test(),
    )
}

pub(crate) fn live() -> Operation {
    Operation::new("getLiveness", "Check whether the process answers")
        .text("The process answers; nothing else is checked.")
        .lists("The process answers.", "Probe", examples::probe(HealthStatus::Ok))
}

pub(crate) fn ready() -> Operation {
    Operation::new("getReadiness", "Check whether the node is ready for requests")
        .text(
            "Ready once a leader is known and the node has applied what was committed when it \
             started.",
        )
        .states("Probe", examples::probe)
}

pub(crate) fn metrics() -> Operation {
    Operation::new("getMetrics", "Read the metrics")
        .text(
            "In the OpenMetrics format. Business counters are replicated: read them from one \
             node, never add them up.",
        )
        .answers(200, "The metrics.", &[], text_content(CONTENT_TYPE))
        .refuses(&[ErrorCode::InternalError])
}

pub(crate) fn log_filter() -> Operation {
    Operation::new("getLogFilter", "Read the log filter")
        .text("The filter of the log lines of the node that is asked.")
        .lists("The filter.", "LogFilterAnswer", examples::log_filter())
        .refuses(&[ErrorCode::NotFound])
}

pub(crate) fn set_log_filter() -> Operation {
    Operation::new("setLogFilter", "Change the log filter")
        .text(
            "Changes which lines the node that is asked writes, for ten minutes or as long as the \
             body says. Then the configured filter comes back, as it does without `filter`. \
             Needs no quorum and is safe to repeat.",
        )
        .optional_body("LogFilterRequest", examples::log_filter_request())
        .lists("The filter.", "LogFilterAnswer", examples::log_filter())
        .refuses(&[ErrorCode::NotFound, ErrorCode::NoLeader, ErrorCode::StaleRead])
        .refuses(&[ErrorCode::Overloaded, ErrorCode::InternalError])
}
