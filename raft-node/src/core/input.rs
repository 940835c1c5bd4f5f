//! What can happen to a core, as data.

use std::sync::Arc;

use ::engine::ids::{NodeId, Timestamp};

use super::space::Space;
use crate::members::Ask;
use crate::message::PeerMessage;
use crate::snapshot::Meta;

/// A moment, measured by the surroundings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds since the node started. Never runs backwards.
    pub mono_ms: u64,
    /// Wall clock in milliseconds since the Unix epoch. It may be wrong and may jump.
    pub wall_ms: u64,
}

/// Identifies a read that waits for its barrier.
pub type ReadTicket = u64;

/// An event that a core reacts to.
#[derive(Debug)]
pub enum Input {
    /// The time of a tick has passed.
    Tick,
    /// Messages from a peer.
    Peer {
        /// The sender, as the connection's hello proved.
        from: NodeId,
        /// The highest level that the sender speaks, as the connection's hello says.
        speaks: u32,
        /// The sender's wall clock at sending.
        wall_ms: u64,
        /// The messages.
        messages: Vec<PeerMessage>,
    },
    /// A client of this node wants a command to be replicated.
    Propose(Request),
    /// A client of this node wants a read barrier.
    Read {
        /// Returned in [`super::actions::Actions::reads_ready`] or
        /// [`super::actions::Actions::reads_failed`].
        ticket: ReadTicket,
        /// The reader's deadline, on the monotonic clock.
        deadline_ms: u64,
    },
    /// The append with this number, and all before it, are on disk.
    Persisted(u64),
    /// The memory of this number, and all before it, are on disk; see [`super::Keep`].
    Kept(u64),
    /// The replica applied up to this index.
    Applied {
        /// The index.
        index: u64,
        /// The replicated clock after it.
        clock: Timestamp,
        /// The cluster's level after it.
        level: u32,
        /// This node's requests that were answered by it.
        answered: Vec<u64>,
    },
    /// The earliest deadline in the state. An idle leader proposes a tick when it is due.
    NextDeadline(Option<Timestamp>),
    /// A new snapshot is published, with the index of an older one that is kept, or 0.
    SnapshotTaken(Box<Meta>, u64),
    /// The snapshot of this index is damaged.
    SnapshotLost(u64),
    /// A part of a snapshot was given to the link to a peer, or there is no such file.
    PartSent {
        /// The peer.
        to: NodeId,
        /// The snapshot's index.
        index: u64,
        /// Where the part begins.
        offset: u64,
        /// Whether the file is there.
        ok: bool,
    },
    /// This much of a snapshot is here from an earlier transfer.
    PartialFound {
        /// The sender.
        from: NodeId,
        /// The snapshot's index.
        index: u64,
        /// Where the first missing part begins.
        offset: u64,
    },
    /// A received part of the snapshot of this index was written, or writing failed.
    PartWritten(u64, bool),
    /// The received snapshot of this index was verified and made into a state, or that failed.
    SnapshotPrepared(u64, bool),
    /// The link to a peer broke.
    Unreachable(NodeId),
    /// Transfer leadership to this node, or to the most advanced one.
    TransferLeader(Option<NodeId>),
    /// The number of the oldest write to the checkpoint that is under way, before each tick.
    StoreWaits(Option<u64>),
    /// The disk space of this node was judged again.
    Space(Space),
    /// Whether the memory of this node is nearly used up was judged again.
    MemoryFull(bool),
    /// An operator of this node requests a change of members or leadership.
    Ask {
        /// Returned in [`super::actions::Actions::verdicts`].
        ticket: u64,
        /// The request.
        ask: Ask,
        /// The operator's deadline, on the monotonic clock.
        deadline_ms: u64,
    },
    /// This node's own membership says that it was removed from the cluster.
    Removed,
    /// A peer says so.
    RemovedBy(NodeId),
}

/// A command that a client of this node wants replicated.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its sequence number in this boot.
    pub seq: u64,
    /// The encoded envelope.
    pub envelope: Arc<[u8]>,
    /// Whether its command may add rows. Such requests leave a part of the queue to others.
    pub adds_rows: bool,
    /// The client's deadline, on the monotonic clock.
    pub deadline_ms: u64,
}
