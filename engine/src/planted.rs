//! Bugs planted on purpose, to prove that the simulation finds such bugs.
//!
//! This module exists only with the feature `planted-bugs`. A bug is planted only for the thread
//! that plants it. No build for users has the feature.

use std::cell::Cell;

/// How late [`Bug::SaleOpensLate`] is, in milliseconds: some entries come meanwhile.
pub(crate) const SALE_LATE_MS: u64 = 100;

/// A bug in applying or in reading a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// A failed payment does not return the units of its order.
    ReleaseLost,
    /// Opening a checkpoint forgets the idempotency keys of its orders.
    KeysForgotten,
    /// A request that reaches the log twice is executed twice.
    SessionsForgotten,
    /// The digest depends on what is in memory.
    DigestOfMemory,
    /// An atomic batch places the orders that can be placed.
    BatchInPart,
    /// Deadlines pass a millisecond late.
    DeadlineLate,
    /// A checkpoint removes one chunk of events too many.
    EventsRemovedEarly,
    /// Payments are claimed while they are paused.
    PauseIgnored,
    /// A report waits for an order that does not exist yet, and decides the order that gets its id.
    ParkedById,
    /// Earlier refunds of an order do not count against its total.
    RefundsNotCounted,
    /// A refund brings twice the units back.
    RestockTwice,
    /// An operator settles a payment while a worker calls the gateway about it.
    SettleIgnoresLease,
    /// Reports that wait for their order do so in a copy of the cluster, too, and decide there.
    ParkedSurvivesRestore,
    /// A token that is limited to a user may change the orders and holds of others.
    OwnerIgnored,
    /// A command under a key of its own is executed each time that it comes.
    KeyedForgotten,
    /// Revoking a token answers as if it was revoked, and it still counts.
    RevocationLost,
    /// The audit leaves out what was refused.
    RefusalsNotRecorded,
    /// The sale of a product opens 100 ms late, and says that it does not.
    SaleOpensLate,
    /// Opening a checkpoint forgets the prices of holds.
    FrozenPriceLost,
    /// Keys from before level 1 are compared as if they were newer.
    ShortMeaningsForgotten,
    /// A sale that is over by the leader's clock alone is refused without an entry.
    ClosedByLeaderClock,
    /// Units leave the window of a limit after a second.
    WindowEarly,
    /// Opening a checkpoint forgets the references of orders.
    ReferenceForgotten,
}

thread_local! {
    static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
}

/// Plants a bug for this thread; `None` removes it.
pub fn plant(bug: Option<Bug>) {
    PLANTED.set(bug);
}

pub(crate) fn is_planted(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}
