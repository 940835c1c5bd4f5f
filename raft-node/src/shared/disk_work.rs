//! Which operations of the disk are under way, so that one that does not end is noticed.
//!
//! It only counts. `core/stall.rs` decides what follows from it while the node runs, and
//! [`crate::driver`] when a node that stops waits for nothing any more.

use std::collections::BTreeSet;

use parking_lot::Mutex;

/// Operations of one kind.
#[derive(Debug, Default)]
pub(crate) struct DiskWork(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    begun: u64,
    ended: u64,
    under_way: BTreeSet<u64>,
}

/// An operation that is under way until this is dropped.
#[derive(Debug)]
pub(crate) struct Operation<'a> {
    work: &'a DiskWork,
    number: u64,
}

impl DiskWork {
    /// Begins an operation.
    pub(crate) fn begin(&self) -> Operation<'_> {
        let mut counts = self.0.lock();
        counts.begun += 1;
        let number = counts.begun;
        counts.under_way.insert(number);
        Operation { work: self, number }
    }

    /// The number of the oldest operation that is under way.
    pub(crate) fn oldest(&self) -> Option<u64> {
        self.0.lock().under_way.first().copied()
    }

    /// How many operations have ended.
    pub(crate) fn ended(&self) -> u64 {
        self.0.lock().ended
    }
}

impl Drop for Operation<'_> {
    fn drop(&mut self) {
        let mut counts = self.work.0.lock();
        counts.under_way.remove(&self.number);
        counts.ended += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_operation_is_that_which_began_first() {
        let work = DiskWork::default();
        assert_eq!((work.oldest(), work.ended()), (None, 0));
        let first = work.begin();
        let second = work.begin();
        assert_eq!(work.oldest(), Some(1));
        drop(first);
        assert_eq!((work.oldest(), work.ended()), (Some(2), 1));
        drop(second);
        assert_eq!((work.oldest(), work.ended()), (None, 2));
    }
}
