//! Histories: the requests to a cluster, its answers, and their times.
//!
//! This module defines the format of a recorded history, JSON lines of [`Event`]s, and pairs them
//! into [`Operation`]s. It judges nothing about the cluster: a well-formed history may say
//! anything.

mod operation;
mod pair;
mod read;
mod value;
mod write;

use serde_json::Value;

pub use operation::{
    Call, Dump, DumpHold, DumpOrder, Items, Move, Operation, Outcome, Reason, Reply, Status, Stock,
};
pub use pair::{Fault, History, PairError};
pub use read::{ReadError, read};
pub use value::ValueError;
pub use write::{Recorder, line};

/// Who did something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Process {
    /// A client, which sends one request after the other. Its number ends with its first unknown
    /// outcome.
    Client(u64),
    /// The part that causes faults.
    Nemesis,
}

/// Which part of an operation an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It begins.
    Invoke,
    /// It succeeded.
    Ok,
    /// It certainly had no effect.
    Fail,
    /// It is unknown whether it had an effect, or still may have. Of the nemesis: something
    /// happened.
    Info,
}

impl Kind {
    /// The word in the file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invoke => "invoke",
            Self::Ok => "ok",
            Self::Fail => "fail",
            Self::Info => "info",
        }
    }
}

/// One line of a history.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Who.
    pub process: Process,
    /// Which part of the operation.
    pub kind: Kind,
    /// The operation: `place_order`, `cancel` and so on; of the nemesis the name of a fault.
    pub f: String,
    /// The arguments of an invocation, the results of a success.
    pub value: Value,
    /// Why it failed or is unknown.
    pub error: Option<String>,
    /// Nanoseconds on one monotonic clock.
    pub time: u64,
    /// The node that was asked.
    pub node: Option<String>,
}
