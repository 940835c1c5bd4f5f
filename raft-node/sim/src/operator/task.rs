//! The operator's task, and the answers that it gets.

use engine::ids::NodeId;
use raft_node::members::{Ask, Change, Member};

/// Tickets from here on ask for a raise of the level, beside the task.
pub(crate) const RAISES: u64 = 1 << 32;

use crate::coverage::Coverage;
use crate::time::Time;

#[derive(Debug, Default)]
pub(crate) struct Operator {
    pub(crate) task: Option<Task>,
    pub(crate) tickets: u64,
    /// A removal was refused. A late copy of the request may still be granted.
    pub(crate) refused: bool,
}

#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) ask: Ask,
    pub(crate) since: Time,
    /// The first ticket that belongs to it.
    pub(crate) first: u64,
    pub(crate) of_leader: bool,
    /// Leadership has moved where it should be.
    pub(crate) moved: bool,
}

/// A member of simulated clusters, which have no addresses.
pub(crate) fn member(id: NodeId, replaces: Option<NodeId>) -> Member {
    Member { id, raft_addr: format!("n{id}"), http_addr: None, incarnation: None, replaces }
}

impl Operator {
    /// Takes a new leader.
    pub(crate) fn led_by(&mut self, leader: NodeId) {
        let Some(task) = &mut self.task else { return };
        if let Ask::Transfer { from, to } = task.ask {
            task.moved |= to.map_or(leader != from, |to| leader == to);
        }
    }

    /// Takes a node's answer to a request.
    pub(crate) fn told(&mut self, ticket: u64, refused: bool, cover: &mut Coverage) {
        if ticket >= RAISES {
            cover.raises_refused += u64::from(refused);
            return;
        }
        let Some(task) = self.task.as_ref().filter(|task| ticket > task.first) else { return };
        let replaces = matches!(&task.ask, Ask::Add { member, .. } if member.replaces.is_some());
        if refused {
            cover.changes_refused += 1;
            self.refused |= matches!(task.ask, Ask::Change(Change::Remove(_)));
            if !replaces {
                self.task = None;
            }
        } else if matches!(task.ask, Ask::Transfer { .. }) {
            cover.transfers_done += u64::from(task.moved);
            self.task = None;
        }
    }
}
