//! Bugs planted on purpose. The simulation has to find each of them, or it is not good enough.
//!
//! Most are planted where a simulated node touches its disk, its clock or its clients. The few that
//! sit deeper ask [`is_planted`], and are compiled only with the feature `simulation`.

use std::cell::Cell;
use std::collections::BTreeSet;

use engine::planted;

use crate::payment::Answer;

/// A planted bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// An append is reported durable before it is synced.
    ReportBeforeSync,
    /// Acknowledgements and votes do not wait for the sync.
    AcknowledgeBeforeSync,
    /// The vote is not written with the hard state.
    VoteNotPersisted,
    /// Entries that replace a longer suffix leave the rest of it behind.
    OldTailKept,
    /// Linearizable reads are served without asking the leader.
    ReadWithoutBarrier,
    /// Linearizable reads are served before the index of their barrier is applied.
    ReadBeforeApplied,
    /// An order is refused for lack of stock by a state that may be old.
    SoldOutWithoutBarrier,
    /// A request that was sent is called not applied when its time is over.
    UnknownCalledNotApplied,
    /// Each node expires deadlines by its own clock.
    ExpireByLocalClock,
    /// One node drops the last command of each batch.
    LastOfBatchDropped,
    /// Each try of a payment attempt has a key of its own.
    KeyPerTry,
    /// Each call about a refund has a key of its own.
    RefundKeyPerTry,
    /// Earlier refunds of an order do not count against its total.
    RefundsNotCounted,
    /// A refund brings twice the units back.
    RestockTwice,
    /// An operator settles a payment while a worker calls the provider about it.
    SettleIgnoresLease,
    /// A key that the provider has not seen counts as declined.
    UnseenIsDeclined,
    /// A payment that is decided later counts as paid.
    PendingIsPaid,
    /// A checkpoint publishes before what it refers to is staged.
    PublishBeforeStage,
    /// A checkpoint writes its applied index apart from its rows.
    AppliedIndexApart,
    /// A log that is read back after a kill is relied on without being synced.
    OpenedWithoutSync,
    /// A failed payment does not give the units of its order back.
    ReleaseLost,
    /// Opening a checkpoint forgets the idempotency keys of its orders.
    KeysForgotten,
    /// A request that reaches the log twice is executed twice.
    SessionsForgotten,
    /// The digest covers what happens to be in memory.
    DigestOfMemory,
    /// A learner is promoted before it has caught up.
    PromotedTooSoon,
    /// A checkpoint publishes before what it refers to is synced.
    PublishBeforeSync,
    /// An atomic batch places the orders that can be placed.
    BatchInPart,
    /// Deadlines count from the millisecond after.
    DeadlineLate,
    /// A checkpoint removes one chunk of events too many.
    EventsRemovedEarly,
    /// Payments are claimed while they are paused.
    PauseIgnored,
    /// A report of a payment waits for an order that does not exist yet, and decides it.
    ParkedById,
    /// Reports that wait for their order go on waiting in a restored copy.
    ParkedSurvivesRestore,
    /// Who is limited to a user may change the orders and holds of others.
    OwnerIgnored,
    /// A command under a key of its own is executed each time that it comes.
    KeyedForgotten,
    /// Revoking a token answers as if it was revoked, and it still counts.
    RevocationLost,
    /// The audit leaves out what was refused.
    RefusalsNotRecorded,
    /// The log is cut as far as it was applied, whatever the snapshots hold.
    CompactedPastSnapshot,
    /// A snapshot that arrives counts without its last part.
    SnapshotWithoutLastPart,
    /// A part of a snapshot that arrives twice is written twice.
    PartWrittenTwice,
    /// Parts of a snapshot are written as they arrive, whatever is missing before them.
    PartsOutOfOrder,
    /// A snapshot that is being sent is removed when newer ones are taken.
    SentSnapshotRemoved,
    /// A replacement takes effect at once, without a joint phase.
    JointPhaseSkipped,
    /// A node that lost its disk is believed under its old id.
    WipedNodeBelieved,
    /// A leader whose disk hangs goes on leading, since its heartbeats do not wait for the disk.
    StalledLeads,
    /// An entry that was handed out by its index is lost when it is read back.
    ReadBackLoses,
    /// The leader's clock takes every gap at once.
    ClockStepAtOnce,
    /// A node hears its peers before they told what they remember of it.
    PutBackBelieved,
    /// Nobody minds the address that a peer says it has now.
    MovedNotHeard,
    /// See [`planted::Bug::SaleOpensLate`].
    SaleOpensLate,
    /// See [`planted::Bug::FrozenPriceLost`].
    FrozenPriceLost,
    /// See [`planted::Bug::ShortMeaningsForgotten`].
    ShortMeaningsForgotten,
    /// See [`planted::Bug::ReferenceForgotten`].
    ReferenceForgotten,
    /// See [`planted::Bug::ClosedByLeaderClock`].
    ClosedByLeaderClock,
    /// See [`planted::Bug::WindowEarly`].
    WindowEarly,
}

impl Bug {
    /// All of them.
    pub const ALL: [Bug; 54] = [
        Bug::ReportBeforeSync,
        Bug::AcknowledgeBeforeSync,
        Bug::VoteNotPersisted,
        Bug::OldTailKept,
        Bug::ReadWithoutBarrier,
        Bug::ReadBeforeApplied,
        Bug::SoldOutWithoutBarrier,
        Bug::UnknownCalledNotApplied,
        Bug::ExpireByLocalClock,
        Bug::LastOfBatchDropped,
        Bug::KeyPerTry,
        Bug::RefundKeyPerTry,
        Bug::RefundsNotCounted,
        Bug::RestockTwice,
        Bug::SettleIgnoresLease,
        Bug::UnseenIsDeclined,
        Bug::PendingIsPaid,
        Bug::PublishBeforeStage,
        Bug::AppliedIndexApart,
        Bug::OpenedWithoutSync,
        Bug::ReleaseLost,
        Bug::KeysForgotten,
        Bug::SessionsForgotten,
        Bug::DigestOfMemory,
        Bug::PublishBeforeSync,
        Bug::BatchInPart,
        Bug::DeadlineLate,
        Bug::EventsRemovedEarly,
        Bug::PauseIgnored,
        Bug::ParkedById,
        Bug::ParkedSurvivesRestore,
        Bug::OwnerIgnored,
        Bug::KeyedForgotten,
        Bug::RevocationLost,
        Bug::RefusalsNotRecorded,
        Bug::CompactedPastSnapshot,
        Bug::SnapshotWithoutLastPart,
        Bug::PartWrittenTwice,
        Bug::PartsOutOfOrder,
        Bug::SentSnapshotRemoved,
        Bug::PromotedTooSoon,
        Bug::JointPhaseSkipped,
        Bug::WipedNodeBelieved,
        Bug::StalledLeads,
        Bug::ReadBackLoses,
        Bug::ClockStepAtOnce,
        Bug::PutBackBelieved,
        Bug::MovedNotHeard,
        Bug::SaleOpensLate,
        Bug::FrozenPriceLost,
        Bug::ShortMeaningsForgotten,
        Bug::ReferenceForgotten,
        Bug::ClosedByLeaderClock,
        Bug::WindowEarly,
    ];
}

thread_local! {
    static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
}

/// Plants a bug for this thread, or none.
pub fn plant(bug: Option<Bug>) {
    PLANTED.set(bug);
    planted::plant(bug.and_then(|bug| match bug {
        Bug::ReleaseLost => Some(planted::Bug::ReleaseLost),
        Bug::KeysForgotten => Some(planted::Bug::KeysForgotten),
        Bug::SessionsForgotten => Some(planted::Bug::SessionsForgotten),
        Bug::DigestOfMemory => Some(planted::Bug::DigestOfMemory),
        Bug::BatchInPart => Some(planted::Bug::BatchInPart),
        Bug::DeadlineLate => Some(planted::Bug::DeadlineLate),
        Bug::EventsRemovedEarly => Some(planted::Bug::EventsRemovedEarly),
        Bug::RefundsNotCounted => Some(planted::Bug::RefundsNotCounted),
        Bug::RestockTwice => Some(planted::Bug::RestockTwice),
        Bug::SettleIgnoresLease => Some(planted::Bug::SettleIgnoresLease),
        Bug::PauseIgnored => Some(planted::Bug::PauseIgnored),
        Bug::ParkedById => Some(planted::Bug::ParkedById),
        Bug::ParkedSurvivesRestore => Some(planted::Bug::ParkedSurvivesRestore),
        Bug::OwnerIgnored => Some(planted::Bug::OwnerIgnored),
        Bug::KeyedForgotten => Some(planted::Bug::KeyedForgotten),
        Bug::RevocationLost => Some(planted::Bug::RevocationLost),
        Bug::RefusalsNotRecorded => Some(planted::Bug::RefusalsNotRecorded),
        Bug::SaleOpensLate => Some(planted::Bug::SaleOpensLate),
        Bug::FrozenPriceLost => Some(planted::Bug::FrozenPriceLost),
        Bug::ShortMeaningsForgotten => Some(planted::Bug::ShortMeaningsForgotten),
        Bug::ReferenceForgotten => Some(planted::Bug::ReferenceForgotten),
        Bug::ClosedByLeaderClock => Some(planted::Bug::ClosedByLeaderClock),
        Bug::WindowEarly => Some(planted::Bug::WindowEarly),
        _ => None,
    }));
}

/// Whether this bug is planted here and now.
pub(crate) fn is_planted(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}

/// How far the log is cut: as far as it should, unless a bug is planted.
pub(crate) fn compacted_too_far(target: u64, applied_index: u64) -> u64 {
    match is_planted(Bug::CompactedPastSnapshot) {
        true => applied_index,
        false => target,
    }
}

/// Whether a snapshot's file is taken for complete although its last part is missing.
pub(crate) fn without_last_part(end: u64, part: u64, size: u64) -> bool {
    is_planted(Bug::SnapshotWithoutLastPart) && end.saturating_add(part) >= size
}

/// Whether a part of a snapshot is written although it does not follow the part before.
pub(crate) fn writes_parts_anywhere() -> bool {
    is_planted(Bug::PartWrittenTwice) || is_planted(Bug::PartsOutOfOrder)
}

/// The snapshots that are being sent, which a planted bug forgets.
pub(crate) fn unless_forgotten(held: BTreeSet<u64>) -> BTreeSet<u64> {
    match is_planted(Bug::SentSnapshotRemoved) {
        true => BTreeSet::new(),
        false => held,
    }
}

/// The gateway's answer, which a planted bug takes for another.
pub(crate) fn misread(answer: Answer) -> Answer {
    match answer {
        Answer::Unseen if is_planted(Bug::UnseenIsDeclined) => Answer::Declined("unseen".into()),
        Answer::Pending { .. } if is_planted(Bug::PendingIsPaid) => Answer::Succeeded,
        answer => answer,
    }
}
