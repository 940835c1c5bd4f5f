//! What a core asks its surroundings to do, as data.

use ::engine::ids::NodeId;
use raft::eraftpb::{Entry, HardState};

use super::input::ReadTicket;
use crate::members::{Membership, Verdict};
use crate::message::PeerMessage;

/// An append to this node's log.
#[derive(Clone, Debug)]
pub struct Append {
    /// Comes back in [`Input::Persisted`].
    pub number: u64,
    /// A snapshot that takes the place of the log, before the entries are written. The state that
    /// was prepared for it takes the place of the state, durably and before the log is touched;
    /// then [`Input::Persisted`] and [`Input::Applied`] tell its index.
    pub install: Option<Install>,
    /// Entries, which may replace a suffix.
    pub entries: Vec<Entry>,
    /// Hard state, if it changed.
    pub hard_state: Option<HardState>,
    /// Memberships that took effect, to be kept with it.
    pub members: Vec<Membership>,
}

/// Why a request of this node got no outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoOutcome {
    /// It never left this node: certainly not applied.
    NoLeader,
    /// Too much waits already; it never left this node.
    Overloaded,
    /// This node's disk, or those of too many others, are short of space; no leader took it.
    StorageFull,
    /// It left, and nothing is known of it.
    Unknown,
}

/// What the surroundings have to do, in this order.
#[derive(Debug, Default)]
pub struct Actions {
    /// Send at once.
    pub send: Vec<(NodeId, PeerMessage)>,
    /// Append and sync in order, then report each number.
    pub appends: Vec<Append>,
    /// Apply in order, then report.
    pub apply: Vec<Entry>,
    /// These requests failed.
    pub failed: Vec<(u64, NoOutcome)>,
    /// These reads may be served once the state has reached the index.
    pub reads_ready: Vec<(u64, Vec<ReadTicket>)>,
    /// These reads got no barrier in time.
    pub reads_failed: Vec<ReadTicket>,
    /// The membership changed to this.
    pub members: Option<Membership>,
    /// What operators of this node are told; an ask without a leader's verdict fails.
    pub verdicts: Vec<(u64, Result<Verdict, NoOutcome>)>,
    /// What is to be done with snapshot files and the beginning of the log.
    pub files: Vec<FileTask>,
}

/// A snapshot that takes the place of the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Install {
    /// The index up to which it holds everything.
    pub index: u64,
    /// The term of the entry at that index.
    pub term: u64,
    /// The members at that index.
    pub members: Membership,
}

/// What is to be done with snapshot files, in this order, beside everything else.
#[derive(Clone, Debug, PartialEq)]
pub enum FileTask {
    /// Send a part of a snapshot to a peer. If there is no such file, nothing.
    Send {
        /// To whom.
        to: NodeId,
        /// Of which snapshot.
        index: u64,
        /// From where on.
        offset: u64,
    },
    /// Write a part that arrived; the first one begins a new file. Then report
    /// [`super::input::Input::PartWritten`].
    Write {
        /// Of which snapshot.
        index: u64,
        /// From where on.
        offset: u64,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// Everything was written: check it, make a state of it, and report
    /// [`super::input::Input::SnapshotPrepared`].
    Prepare {
        /// Of which snapshot.
        index: u64,
        /// The term that it must be of.
        term: u64,
    },
    /// What was prepared is not needed.
    Forget,
    /// Cut the log after this entry.
    Compact {
        /// The last index that is cut off.
        index: u64,
        /// Its term.
        term: u64,
    },
    /// Take a snapshot: somebody needs one that is newer than those that are there.
    Take,
}
