//! Why a node does not do what its caller asks for.

use engine::event::EventId;

use crate::core::NoOutcome;

/// Why a command got no outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// No leader was known by the deadline. Certainly not applied.
    #[error("no leader")]
    NoLeader,
    /// Too much waits already. Certainly not applied.
    #[error("overloaded")]
    Overloaded,
    /// The disk of this node, or of too many others, lacks space. Certainly not applied.
    #[error("short of disk space")]
    StorageFull,
    /// The memory of this node, or of too many others, is nearly used up. Certainly not applied.
    #[error("short of memory")]
    MemoryFull,
    /// Rows of this kind use up their share of this node's memory. Certainly not applied.
    #[error("{0} use up their share of the memory")]
    ShareFull(&'static str),
    /// The disk of this node does not answer. Certainly not applied.
    #[error("the disk does not answer")]
    Stalled,
    /// The cluster's level is too low for the command. Certainly not applied.
    #[error("the cluster is at level {level}, and this needs level {needed}")]
    LevelTooLow {
        /// The level that it needs.
        needed: u32,
        /// The cluster's.
        level: u32,
    },
    /// The node stops. Certainly not applied.
    #[error("the node stops")]
    Stopping,
    /// It was sent, and its outcome is unknown: it may still be applied.
    #[error("the outcome is not known")]
    TimedOut,
}

impl From<NoOutcome> for ProposeError {
    fn from(failure: NoOutcome) -> ProposeError {
        match failure {
            NoOutcome::NoLeader => ProposeError::NoLeader,
            NoOutcome::Overloaded => ProposeError::Overloaded,
            NoOutcome::StorageFull => ProposeError::StorageFull,
            NoOutcome::Stalled => ProposeError::Stalled,
            NoOutcome::Unknown => ProposeError::TimedOut,
        }
    }
}

/// Why a read cannot be answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// This node cannot answer freshly enough in time.
    #[error("not fresh enough in time")]
    NotInTime,
    /// Too many reads wait already.
    #[error("overloaded")]
    Overloaded,
    /// The node stops.
    #[error("the node stops")]
    Stopping,
    /// An old row could not be read from the checkpoint.
    #[error("{0}")]
    Storage(String),
}

/// Why events cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventsError {
    /// Some of them are no longer stored.
    #[error("events up to {floor} are gone")]
    Gone {
        /// The newest removed event. Reading can go on after it.
        floor: EventId,
    },
    /// A stored row could not be read.
    #[error("{0}")]
    Storage(String),
}

/// Why there is no snapshot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// It is not finished in time. It may finish later.
    #[error("not finished in time")]
    NotInTime,
    /// The node stops.
    #[error("the node stops")]
    Stopping,
    /// It could not be taken.
    #[error("{0}")]
    Failed(String),
}
