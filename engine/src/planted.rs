//! Bugs planted on purpose, so that the simulation can prove that it finds such bugs.
//!
//! This module exists only with the feature `planted-bugs`, and a bug is planted for the thread
//! that asks for it only. No build that serves users has the feature.

use std::cell::Cell;

/// A bug in applying or in reading a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// A failed payment does not give the units of its order back.
    ReleaseLost,
    /// Opening a checkpoint forgets the idempotency keys of its orders.
    KeysForgotten,
    /// A request that reaches the log twice is carried out twice.
    SessionsForgotten,
    /// The digest covers what happens to be in memory.
    DigestOfMemory,
    /// An atomic batch places the orders that can be placed.
    BatchInPart,
    /// Deadlines count from the millisecond after.
    DeadlineLate,
    /// A checkpoint removes one chunk of events too many.
    EventsRemovedEarly,
    /// Payments are claimed while they are paused.
    PauseIgnored,
}

thread_local! {
    static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
}

/// Plants a bug for this thread, or none.
pub fn plant(bug: Option<Bug>) {
    PLANTED.set(bug);
}

pub(crate) fn is_planted(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}
