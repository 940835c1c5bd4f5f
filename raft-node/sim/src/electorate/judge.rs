//! Compares commits and promotions with the logs of the machines.

use engine::ids::NodeId;
use raft_node::simulation::Bug;

use super::Fresh;
use crate::host::{Host, place};
use crate::sim::Sim;

/// Judges the entries that were handed out for the first time since the last call.
pub(crate) fn judge(sim: &mut Sim, hosts: &[Host]) {
    for Fresh { index, term, promoted } in std::mem::take(&mut sim.electorate.fresh) {
        // A node whose disk was lost or damaged since may have been part of the majority.
        let has = |id: NodeId| {
            let host = &hosts[place(id)];
            host.wiped || host.is_lost() || host.log.is_synced(index, term)
        };
        let judged = sim.bug.is_none_or(|bug| bug == Bug::JointPhaseSkipped);
        if judged && !sim.electorate.deciding(index).any(|members| members.is_quorum(has)) {
            let voters = sim.electorate.deciding(index).next().map(|members| &members.voters);
            let what = format!("entry {index} is committed without a majority of {voters:?}");
            return sim.fail(what);
        }
        let judged = sim.bug.is_none_or(|bug| bug == Bug::PromotedTooSoon);
        if let Some(id) = promoted.filter(|_| judged) {
            let host = &hosts[place(id)];
            let synced = host.log.synced_index();
            let lag = sim.plan.core.promote_lag_entries_max;
            if !host.wiped && synced + lag + 1 < index {
                let what = format!("node {id} is promoted at {index}, its log ends at {synced}");
                return sim.fail(what);
            }
        }
    }
}
