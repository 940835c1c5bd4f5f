//! What can happen to a core, as data.

use std::sync::Arc;

use ::engine::ids::{NodeId, Timestamp};

use super::space::Space;
use crate::members::Ask;
use crate::message::PeerMessage;
use crate::snapshot::Meta;

/// A moment, as the surroundings measured it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds since the node started; never runs backwards.
    pub mono_ms: u64,
    /// Wall clock, milliseconds since the Unix epoch; may be wrong and may jump.
    pub wall_ms: u64,
}

/// Names a read that waits for its barrier.
pub type ReadTicket = u64;

/// What can happen to a node.
#[derive(Debug)]
pub enum Input {
    /// A tick's time has passed.
    Tick,
    /// A peer sent something.
    Peer {
        /// Who, as the connection's hello proved.
        from: NodeId,
        /// Its wall clock when it sent.
        wall_ms: u64,
        /// What.
        messages: Vec<PeerMessage>,
    },
    /// A client of this node asks for a command to be replicated.
    Propose(Request),
    /// A client of this node asks for a read barrier.
    Read {
        /// Comes back in [`Actions::reads_ready`] or [`Actions::reads_failed`].
        ticket: ReadTicket,
        /// When the reader stops waiting, on the monotonic clock.
        deadline_ms: u64,
    },
    /// The append of this number, and all before it, are on disk.
    Persisted(u64),
    /// The replica applied up to here.
    Applied {
        /// The index.
        index: u64,
        /// The replicated clock after it.
        clock: Timestamp,
        /// Requests of this node that were answered by it.
        answered: Vec<u64>,
    },
    /// The earliest deadline in the state: an idle leader proposes a tick when it is due.
    NextDeadline(Option<Timestamp>),
    /// A snapshot counts; so does an older one of this index, unless it is 0.
    SnapshotTaken(Box<Meta>, u64),
    /// The snapshot of this index was found damaged.
    SnapshotLost(u64),
    /// The part of the snapshot of this index that arrived was written, or could not be.
    PartWritten(u64, bool),
    /// The snapshot of this index that arrived was checked and made into a state, or could not be.
    SnapshotPrepared(u64, bool),
    /// The link to a peer broke.
    Unreachable(NodeId),
    /// Hand leadership to this node, or to the one that is furthest.
    TransferLeader(Option<NodeId>),
    /// The room on this node's disk was judged anew.
    Space(Space),
    /// An operator of this node's asks for something about members or leadership.
    Ask {
        /// Comes back in [`Actions::verdicts`].
        ticket: u64,
        /// What.
        ask: Ask,
        /// When the operator stops waiting, on the monotonic clock.
        deadline_ms: u64,
    },
    /// A peer says that this node was removed from the cluster.
    Removed,
}

/// A command that a client of this node wants replicated.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its sequence number in this boot.
    pub seq: u64,
    /// The encoded envelope.
    pub envelope: Arc<[u8]>,
    /// When the client stops waiting, on the monotonic clock.
    pub deadline_ms: u64,
}
