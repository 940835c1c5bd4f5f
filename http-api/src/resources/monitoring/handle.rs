//! Answers monitors: health, liveness, readiness, metrics. Nothing here waits.

use client::wire::{Health, HealthStatus, Probe, ServiceState, Services, Test};
use raft_node::Health as NodeHealth;

use crate::answer::reply::{self, Reply};
use crate::answer::views;
use crate::call::Call;
use crate::failure::Failure;
use crate::metrics::CONTENT_TYPE;

/// `GET /health`
pub(crate) async fn health(call: &Call<'_>) -> Result<Reply, Failure> {
    let health = health_of(&call.app.handle.health(), call.app.handle.warnings());
    let code = if health.status == HealthStatus::Ok { 200 } else { 503 };
    Ok(reply::of(code, &health))
}

fn health_of(status: &NodeHealth, warnings: Vec<String>) -> Health {
    let state = |works| if works { ServiceState::Ok } else { ServiceState::Down };
    // Payments run on the leader only; elsewhere the worker waits.
    let leads = status.leader_id == Some(status.node_id);
    let worker = match (status.worker_ok, leads) {
        (true, true) => ServiceState::Ok,
        (true, false) => ServiceState::Standby,
        (false, _) => ServiceState::Down,
    };
    let services = Services {
        storage: state(status.storage_ok && status.disk_has_room && status.disk_answers),
        raft: state(status.leader_id.is_some()),
        quorum: state(status.quorum),
        worker,
    };
    let parts = [services.storage, services.raft, services.quorum, services.worker];
    let well = parts.iter().all(|part| *part != ServiceState::Down);
    Health {
        status: if well { HealthStatus::Ok } else { HealthStatus::Degraded },
        services,
        node_id: status.node_id.0,
        leader_id: status.leader_id.map(|id| id.0),
        warnings,
        timestamp: views::now(),
    }
}

/// `GET /livez`: the answer itself shows that the process is alive.
pub(crate) async fn live(_: &Call<'_>) -> Result<Reply, Failure> {
    Ok(reply::of(200, &Probe { status: HealthStatus::Ok, reason: None }))
}

/// `GET /readyz`
pub(crate) async fn ready(call: &Call<'_>) -> Result<Reply, Failure> {
    let status = call.app.handle.health();
    if status.ready {
        return Ok(reply::of(200, &Probe { status: HealthStatus::Ok, reason: None }));
    }
    let reason = if let Some(unwanted) = status.unwanted {
        unwanted
    } else if status.leader_id.is_none() {
        "no leader is known"
    } else if !status.disk_answers {
        "the disk does not answer: this node takes no writes and should not lead"
    } else if !status.disk_has_room {
        "the disk is short of space: writes are refused, reads go on"
    } else {
        "the node has not yet applied what was committed when it started"
    };
    let probe = Probe { status: HealthStatus::Degraded, reason: Some(reason.to_owned()) };
    Ok(reply::of(503, &probe))
}

/// `GET /metrics`
pub(crate) async fn metrics(call: &Call<'_>) -> Result<Reply, Failure> {
    match call.app.metrics.text() {
        Ok(text) => Ok(reply::text(text, CONTENT_TYPE)),
        Err(error) => Err(Failure::internal(call.trace, &error)),
    }
}

/// `GET /api/test`
pub(crate) async fn test(_: &Call<'_>) -> Result<Reply, Failure> {
    let message = "API is working!".to_owned();
    Ok(reply::of(200, &Test { message, timestamp: views::now() }))
}

#[cfg(test)]
mod tests {
    use engine::ids::NodeId;

    use super::*;

    fn status() -> NodeHealth {
        NodeHealth {
            node_id: NodeId(1),
            leader_id: Some(NodeId(1)),
            ready: true,
            quorum: true,
            storage_ok: true,
            disk_has_room: true,
            disk_answers: true,
            worker_ok: true,
            unwanted: None,
        }
    }

    #[test]
    fn any_part_that_is_down_degrades_the_node() {
        assert_eq!(health_of(&status(), Vec::new()).status, HealthStatus::Ok);
        let warned = health_of(&status(), vec!["a warning".to_owned()]);
        assert_eq!(warned.status, HealthStatus::Ok, "a warning degrades nothing");
        let follower = NodeHealth { leader_id: Some(NodeId(2)), ..status() };
        assert_eq!(health_of(&follower, Vec::new()).services.worker, ServiceState::Standby);
        assert_eq!(health_of(&follower, Vec::new()).status, HealthStatus::Ok);
        for broken in [
            NodeHealth { leader_id: None, ..status() },
            NodeHealth { quorum: false, ..status() },
            NodeHealth { storage_ok: false, ..status() },
            NodeHealth { disk_has_room: false, ..status() },
            NodeHealth { disk_answers: false, ..status() },
            NodeHealth { worker_ok: false, ..status() },
        ] {
            assert_eq!(health_of(&broken, Vec::new()).status, HealthStatus::Degraded);
        }
    }
}
