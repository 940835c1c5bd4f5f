//! Histories: what was asked of a cluster, what it answered, and when.
//!
//! This module owns the format of a recorded history, JSON lines of [`Event`]s, and its pairing
//! into [`Operation`]s. It judges nothing about the cluster: a history that is well formed may
//! tell of anything.

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
    /// A client: one sequential caller. Its number ends with its first unknown outcome.
    Client(u64),
    /// What injects faults.
    Nemesis,
}

/// What an event says about an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It begins.
    Invoke,
    /// It succeeded.
    Ok,
    /// It certainly had no effect.
    Fail,
    /// Whether it had an effect, or may yet have one, is not known. Of the nemesis: something
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
    /// What: `place_order`, `cancel` and so on; of the nemesis the name of a fault.
    pub f: String,
    /// Arguments of an invocation, results of a success.
    pub value: Value,
    /// Why it failed or is unknown.
    pub error: Option<String>,
    /// Nanoseconds on one monotonic clock.
    pub time: u64,
    /// The node that was asked.
    pub node: Option<String>,
}
