//! What operators asked of this node, as data; `members` decides.

use crate::members::{Ask, Change};

/// What operators asked of this node, and what the leader does about it.
#[derive(Debug, Default)]
pub(super) struct Admin {
    pub(super) open: Vec<Open>,
    /// The last change that an operator asked for and this leader proposed.
    pub(super) proposed: Option<Change>,
    /// This node is no member any more.
    pub(super) removed: bool,
}

/// A question that has no verdict yet.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) ticket: u64,
    pub(super) ask: Ask,
    pub(super) deadline_ms: u64,
    /// When a leader was asked last, if ever.
    pub(super) asked_at_ms: Option<u64>,
}
