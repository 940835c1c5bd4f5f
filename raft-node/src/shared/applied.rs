//! Waiters for the state to reach an index.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use engine::ids::Timestamp;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::error::ReadError;

/// The answer to a waiter: its index is reached, with the leader's clock if it came with the
/// barrier, or why it never hears of that.
pub(super) type Barrier = Result<Option<Timestamp>, ReadError>;

/// A waiter, and what it gets when its index is reached.
type Waiter = (oneshot::Sender<Barrier>, Option<Timestamp>);

/// Waiters for the state to reach an index.
pub(super) struct AppliedWaiters {
    reached: AtomicU64,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    by_index: BTreeMap<u64, Vec<Waiter>>,
    /// Waiters added since the last removal of those that gave up.
    added: usize,
}

/// Waiters that gave up are removed after this many new ones. An index far ahead may never be
/// reached, so otherwise they would stay for ever.
const ADDED_MAX: usize = 16_384;

impl AppliedWaiters {
    pub(super) fn new(reached: u64) -> AppliedWaiters {
        let waiting = Mutex::new(Waiting::default());
        AppliedWaiters { reached: AtomicU64::new(reached), waiting }
    }

    pub(super) fn wake_at(
        &self,
        index: u64,
        clock: Option<Timestamp>,
        sender: oneshot::Sender<Barrier>,
    ) {
        let mut waiting = self.waiting.lock();
        // Read under the lock that `reached` takes too, so no wake-up is missed.
        if self.reached.load(Ordering::Acquire) >= index {
            drop(waiting);
            let _ = sender.send(Ok(clock));
            return;
        }
        waiting.by_index.entry(index).or_default().push((sender, clock));
        waiting.added += 1;
        if waiting.added >= ADDED_MAX {
            waiting.added = 0;
            waiting.by_index.retain(|_, waiters| {
                waiters.retain(|(sender, _)| !sender.is_closed());
                !waiters.is_empty()
            });
        }
    }

    pub(super) fn reached(&self, index: u64) {
        let mut waiting = self.waiting.lock();
        self.reached.store(index, Ordering::Release);
        let later = waiting.by_index.split_off(&(index + 1));
        let due = std::mem::replace(&mut waiting.by_index, later);
        drop(waiting);
        for (sender, clock) in due.into_values().flatten() {
            let _ = sender.send(Ok(clock));
        }
    }

    pub(super) fn refuse_all(&self) {
        let waiting = std::mem::take(&mut self.waiting.lock().by_index);
        for (sender, _) in waiting.into_values().flatten() {
            let _ = sender.send(Err(ReadError::Stopping));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiter_wakes_exactly_when_its_index_is_reached() {
        let waiters = AppliedWaiters::new(5);
        let wait = |index| {
            let (sender, receiver) = oneshot::channel();
            waiters.wake_at(index, Some(Timestamp(index)), sender);
            receiver
        };
        let (mut now, mut seven, mut eight) = (wait(5), wait(7), wait(8));
        assert_eq!(now.try_recv().expect("already there"), Ok(Some(Timestamp(5))));
        waiters.reached(6);
        assert!(seven.try_recv().is_err());
        waiters.reached(7);
        assert_eq!(seven.try_recv().expect("reached"), Ok(Some(Timestamp(7))));
        assert!(eight.try_recv().is_err());
        waiters.refuse_all();
        assert_eq!(eight.try_recv().expect("refused"), Err(ReadError::Stopping));
    }

    #[test]
    fn waiters_that_gave_up_do_not_pile_up() {
        let waiters = AppliedWaiters::new(0);
        for index in 1..=3 * ADDED_MAX as u64 {
            let (sender, receiver) = oneshot::channel();
            waiters.wake_at(index, None, sender);
            drop(receiver);
        }
        assert!(waiters.waiting.lock().by_index.len() < ADDED_MAX);
    }
}
