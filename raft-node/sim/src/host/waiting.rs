//! The waiters at a node.

use engine::command::Command;
use engine::ids::Timestamp;
use raft_node::payment::ProposalId;

use crate::ask::Look;

/// A waiter for the outcome of a command.
#[derive(Clone, Copy, Debug)]
pub(super) enum Waiter {
    Client {
        client: usize,
        attempt: u64,
    },
    /// This node's payment worker.
    Payments(ProposalId),
}

/// What a client waits for, other than the outcome of a command.
#[derive(Clone, Debug)]
pub(super) enum Purpose {
    Show {
        what: Look,
        linearizable: bool,
    },
    /// Orders or a hold that may be refused without an entry.
    Refuse {
        command: Box<Command>,
        /// The leader's clock, once it is known.
        now: Option<Timestamp>,
        /// The replicated clock when the request arrived.
        asked: Timestamp,
    },
}

/// A client that waits to read.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    pub(super) client: usize,
    pub(super) attempt: u64,
    pub(super) purpose: Purpose,
    pub(super) deadline_ms: u64,
}
