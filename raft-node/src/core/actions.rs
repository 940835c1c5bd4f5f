//! What a core asks its surroundings to do, as data.

use std::collections::BTreeSet;

use ::engine::ids::{NodeId, Timestamp};
use raft::eraftpb::{Entry, HardState};

use super::input::ReadTicket;
use crate::members::{Membership, Verdict};
use crate::memory::Memory;
use crate::message::PeerMessage;

/// An append to this node's log.
#[derive(Clone, Debug)]
pub struct Append {
    /// Reported back in [`super::input::Input::Persisted`].
    pub number: u64,
    /// A snapshot that replaces the log before the entries are written. The prepared state replaces
    /// the old one first, durably, before the log is touched. [`super::input::Input::Persisted`]
    /// and [`super::input::Input::Applied`] then report its index.
    pub install: Option<Install>,
    /// Entries. They may replace a suffix.
    pub entries: Vec<Entry>,
    /// Hard state, if it changed.
    pub hard_state: Option<HardState>,
    /// Memberships that took effect, stored with the append.
    pub members: Vec<Membership>,
    /// What this node remembers of its peers, if that is to be written now. Such an append may have
    /// the number of the one before it.
    pub keep: Option<Keep>,
}

/// What a node remembers of its peers, to be written and synced, then reported in
/// [`super::input::Input::Kept`].
#[derive(Clone, Debug)]
pub struct Keep {
    /// Later ones have higher numbers.
    pub number: u64,
    /// The memory.
    pub memory: Memory,
}

/// Why a request of this node got no outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoOutcome {
    /// It never left this node. Certainly not applied.
    NoLeader,
    /// Too much waits already. It never left this node.
    Overloaded,
    /// The disk of this node, or of too many others, lacks space. No leader took it.
    StorageFull,
    /// The disk of this node does not answer. It never left this node.
    Stalled,
    /// It left this node, and its outcome is unknown.
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
    pub apply: Vec<Apply>,
    /// These requests got no outcome.
    pub failed: Vec<(u64, NoOutcome)>,
    /// These reads have their barrier.
    pub reads_ready: Vec<ReadsReady>,
    /// These reads got no barrier in time.
    pub reads_failed: Vec<ReadTicket>,
    /// The membership changed to this.
    pub members: Option<Membership>,
    /// Answers to this node's operators. An ask without a verdict of a leader fails.
    pub verdicts: Vec<(u64, Result<Verdict, NoOutcome>)>,
    /// Tasks for snapshot files and the front of the log.
    pub files: Vec<FileTask>,
    /// The snapshots that are being sent, if they changed. Their files must not be removed from
    /// here on.
    pub held: Option<BTreeSet<u64>>,
    /// This node has lost entries that it acknowledged. It stops, and nothing else here is done.
    pub rolled_back: Option<RolledBack>,
}

/// Reads that have their barrier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadsReady {
    /// They may be served once the state has reached this index.
    pub index: u64,
    /// The clock of the leader at a moment after they were asked for. `None` if that node does not
    /// say it, or does not know the time yet.
    pub leader_clock: Option<Timestamp>,
    /// The reads.
    pub tickets: Vec<ReadTicket>,
}

/// What to apply next. Entries follow those that were handed out before.
#[derive(Clone, Debug)]
pub enum Apply {
    /// These entries.
    Entries(Vec<Entry>),
    /// The entries of the log up to this index.
    UpTo(u64),
}

/// How a peer knows that the data of this node is older than what it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RolledBack {
    /// Entries that this node acknowledged are not in its log any more.
    #[error(
        "RolledBack: this node acknowledged entries up to index {acknowledged} in term {term}, as \
         node {peer} knows, but its log ends at {last_index} or has others: its data was put back \
         from an older copy, or its disk lost it"
    )]
    Entries {
        /// The peer that said so.
        peer: NodeId,
        /// The highest committed index that this node acknowledged, as that peer knows.
        acknowledged: u64,
        /// The term of that entry, or of the peer that leads.
        term: u64,
        /// The last index of this log.
        last_index: u64,
    },
    /// The node was started more often than its data says.
    #[error(
        "RolledBack: node {peer} knows a boot {remembered} of this node that its data does not know, \
         which counts boot {own} now: its data was put back from an older copy"
    )]
    Boot {
        /// The peer that said so.
        peer: NodeId,
        /// The boot that it remembers.
        remembered: u64,
        /// The boot of this process.
        own: u64,
    },
}

/// Why a message does not reach raft.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// Peers do not send messages of this kind.
    Kind,
    /// It names another sender or addressee than its connection, or is in another node's name.
    Address,
    /// Its term cannot be.
    Term,
    /// It commits or acknowledges what the log does not have.
    BeyondLog,
    /// A follower rejects entries and says that it lacks what it acknowledged before.
    BelowAcknowledged,
    /// Its entries do not follow each other, or a read barrier has none or several.
    Entries,
    /// It is larger than any that is sent.
    Size,
    /// A forwarded command does not decode, or only a leader proposes it.
    Command,
}

impl Why {
    /// Its name in metrics and log lines.
    pub fn as_str(self) -> &'static str {
        match self {
            Why::Kind => "kind",
            Why::Address => "address",
            Why::Term => "term",
            Why::BeyondLog => "beyond_log",
            Why::BelowAcknowledged => "below_acknowledged",
            Why::Entries => "entries",
            Why::Size => "size",
            Why::Command => "command",
        }
    }
}

/// A snapshot that replaces the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Install {
    /// The snapshot holds everything up to this index.
    pub index: u64,
    /// The term of the entry at that index.
    pub term: u64,
    /// The members at that index.
    pub members: Membership,
}

/// A task for snapshot files. They run in this order, beside everything else.
#[derive(Clone, Debug, PartialEq)]
pub enum FileTask {
    /// Send a part of a snapshot to a peer, then report [`super::input::Input::PartSent`].
    Send {
        /// The peer.
        to: NodeId,
        /// The snapshot's index.
        index: u64,
        /// Where the part begins.
        offset: u64,
    },
    /// Read all of a snapshot that a peer could not use. If it is damaged, move it aside and report
    /// [`super::input::Input::SnapshotLost`].
    Verify {
        /// The snapshot's index.
        index: u64,
    },
    /// Begin to receive a file, or continue one that is here in part, then report
    /// [`super::input::Input::PartialFound`], or [`super::input::Input::PartWritten`] if it fails.
    Begin {
        /// The sender.
        from: NodeId,
        /// The snapshot's index.
        index: u64,
        /// Its term.
        term: u64,
    },
    /// Write a part that arrived, then report [`super::input::Input::PartWritten`].
    Write {
        /// The snapshot's index.
        index: u64,
        /// Where the part begins.
        offset: u64,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// Verify the complete file, make a state of it, and report
    /// [`super::input::Input::SnapshotPrepared`].
    Prepare {
        /// The snapshot's index.
        index: u64,
        /// The expected term.
        term: u64,
    },
    /// Drop the prepared state.
    Forget,
    /// Truncate the log at the front.
    Compact {
        /// The last truncated index.
        index: u64,
        /// Its term.
        term: u64,
    },
    /// Take a snapshot: a peer needs a newer one than there is.
    Take,
}
