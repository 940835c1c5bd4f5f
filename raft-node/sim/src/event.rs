//! The events of a run, as data.

use engine::event::{Event as Told, EventId};
use engine::ids::{NodeId, RefundId};
use raft_node::payment::{Answer, Charge};

use crate::ask::{Ask, Reply};
use crate::net::Quality;
use crate::time::Time;

/// An event.
#[derive(Debug)]
pub(crate) enum Event {
    /// A frame arrives.
    Frame { from: NodeId, to: NodeId, bytes: Vec<u8> },
    /// A node learns that its link to a peer broke.
    LinkBroke { node: NodeId, peer: NodeId },
    /// A process of a node stops waiting for something. `life` distinguishes the processes of a
    /// node.
    Node { node: NodeId, life: u64, duty: Duty },
    /// A client's request arrives.
    Asked { node: NodeId, client: usize, attempt: u64, ask: Ask },
    /// An answer arrives at its client.
    Answered { client: usize, attempt: u64, reply: Reply },
    /// A client stops waiting for an answer.
    GivenUp { client: usize, attempt: u64 },
    /// A client continues.
    Act { client: usize },
    /// A subscriber asks for the next events.
    Follow { subscriber: usize },
    /// Its request arrives.
    Followed { node: NodeId, wanted: Wanted },
    /// Its answer arrives.
    Told { subscriber: usize, attempt: u64, heard: Heard },
    /// It stops waiting for one.
    Forsaken { subscriber: usize, attempt: u64 },
    /// A request arrives at the payment provider.
    ProviderAsked { call: Call },
    /// A stopped node starts.
    Restart { node: NodeId },
    /// A paused node goes on.
    Resume { node: NodeId },
    /// Compare the replicated clock with those of the nodes.
    WatchClocks,
    /// The operator continues.
    Operate,
    /// The schedule's next fault.
    Fault,
    /// A fault ends, or goes on to its next step.
    Mend(Mend),
    /// All faults end.
    Rest,
    /// Looks whether the cluster has come to rest.
    Settled,
}

impl Event {
    /// The numbers that stand for it in the trace's hash: its kind, and the node or client.
    pub(crate) fn kind(&self) -> (u64, u64) {
        match self {
            Event::Frame { from, to, .. } => (1, from.0 << 8 | to.0),
            Event::LinkBroke { node, peer } => (2, node.0 << 8 | peer.0),
            Event::Node { node, duty, .. } => (16 + duty.kind(), node.0),
            Event::Asked { node, client, .. } => (3, node.0 << 8 | *client as u64),
            Event::Answered { client, .. } => (4, *client as u64),
            Event::GivenUp { client, .. } => (5, *client as u64),
            Event::Act { client } => (6, *client as u64),
            Event::ProviderAsked { call } => (7, call.node.0),
            Event::Restart { node } => (8, node.0),
            Event::Resume { node } => (9, node.0),
            Event::Fault => (10, 0),
            Event::Mend(_) => (11, 0),
            Event::Rest => (12, 0),
            Event::Settled => (13, 0),
            Event::WatchClocks => (14, 0),
            Event::Operate => (15, 0),
            Event::Follow { subscriber } => (40, *subscriber as u64),
            Event::Followed { node, wanted } => (41, node.0 << 8 | wanted.subscriber as u64),
            Event::Told { subscriber, .. } => (42, *subscriber as u64),
            Event::Forsaken { subscriber, .. } => (43, *subscriber as u64),
        }
    }

    /// The node that has to be awake for it.
    pub(crate) fn needs(&self) -> Option<NodeId> {
        match self {
            Event::Frame { to, .. } => Some(*to),
            Event::LinkBroke { node, .. }
            | Event::Node { node, .. }
            | Event::Asked { node, .. }
            | Event::Followed { node, .. } => Some(*node),
            _ => None,
        }
    }
}

/// An event and its place in time; equal times go by the order of planning.
pub(crate) struct Planned {
    pub(crate) at: Time,
    pub(crate) seq: u64,
    pub(crate) event: Event,
}

impl PartialEq for Planned {
    fn eq(&self, other: &Planned) -> bool {
        (self.at, self.seq) == (other.at, other.seq)
    }
}

impl Eq for Planned {}

impl PartialOrd for Planned {
    fn partial_cmp(&self, other: &Planned) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Planned {
    fn cmp(&self, other: &Planned) -> std::cmp::Ordering {
        (self.at, self.seq).cmp(&(other.at, other.seq))
    }
}

/// Something that a process waits for.
#[derive(Debug)]
pub(crate) enum Duty {
    /// The core takes what is in its mailbox.
    Step,
    Tick,
    /// The log thread's write is done, and then its sync.
    Written,
    Synced,
    Apply,
    /// The checkpointer looks for changes, and then has written them.
    Freeze,
    Frozen,
    /// A snapshot is written to its end, and the next task about files is done.
    SnapshotWritten,
    FileTask,
    /// The payment task looks for work.
    Poll,
    /// A call was answered, or took too long.
    CallEnded {
        number: u64,
        charge: Charge,
        answer: Answer,
    },
    /// A call about a refund was answered, or took too long.
    RefundEnded {
        refund: RefundId,
        unanswered: u32,
        answer: Answer,
    },
    /// Links that carry nothing else carry an empty frame.
    KeepAlive,
    /// A chunk of events has been read from the disk.
    ReadEvents {
        wanted: Wanted,
        chunk: u64,
    },
}

impl Duty {
    /// Returns whether the duty is the end of something that the disk does.
    pub(crate) fn needs_disk(&self) -> bool {
        matches!(
            self,
            Duty::Written | Duty::Synced | Duty::Frozen | Duty::SnapshotWritten | Duty::FileTask
        )
    }

    pub(crate) fn kind(&self) -> u64 {
        match self {
            Duty::Step => 0,
            Duty::Tick => 1,
            Duty::Written => 2,
            Duty::Synced => 3,
            Duty::Apply => 4,
            Duty::Freeze => 5,
            Duty::Frozen => 6,
            Duty::Poll => 7,
            Duty::CallEnded { .. } => 8,
            Duty::KeepAlive => 9,
            Duty::ReadEvents { .. } => 10,
            Duty::SnapshotWritten => 11,
            Duty::FileTask => 12,
            Duty::RefundEnded { .. } => 13,
        }
    }
}

/// A call on its way to the provider.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) node: NodeId,
    pub(crate) life: u64,
    pub(crate) number: u64,
    pub(crate) charge: Charge,
}

/// How a fault ends or goes on.
#[derive(Debug)]
pub(crate) enum Mend {
    Links(Vec<(NodeId, NodeId)>),
    /// A flapping link: how many changes are left, and whether it is cut now.
    Flap {
        links: Vec<(NodeId, NodeId)>,
        left: u32,
        cut: bool,
    },
    Cut(Vec<(NodeId, NodeId)>),
    Quality(Box<Quality>),
    SlowDisk(NodeId),
    HungDisk(NodeId),
    FullDisk(NodeId),
    LowDisk(NodeId),
}

/// What a subscriber asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub(crate) subscriber: usize,
    pub(crate) attempt: u64,
    pub(crate) after: EventId,
    pub(crate) limit: usize,
}

/// The answer to a subscriber.
#[derive(Clone, Debug)]
pub(crate) enum Heard {
    Events(Vec<Told>),
    /// Some are gone; this is the newest of them, and how many there were.
    Gone {
        floor: EventId,
        gone: usize,
    },
    /// The node stopped, or nobody listens there.
    HungUp,
}
