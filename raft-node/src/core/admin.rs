//! Requests of this node's operators, as data; `members` decides.

use std::collections::BTreeSet;

use engine::ids::NodeId;

use crate::members::{Ask, Change};

/// Requests of this node's operators, and what the leader does about them.
#[derive(Debug, Default)]
pub(super) struct Admin {
    pub(super) open: Vec<Open>,
    /// The last change that this leader proposed for an operator.
    pub(super) proposed: Option<Change>,
    /// This node was removed.
    pub(super) removed: bool,
    /// The voters that say so.
    pub(super) removed_by: BTreeSet<NodeId>,
}

/// A request without a verdict.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) ticket: u64,
    pub(super) ask: Ask,
    pub(super) deadline_ms: u64,
    /// When it was last sent to a leader, if ever.
    pub(super) asked_at_ms: Option<u64>,
}
