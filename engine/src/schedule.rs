//! What is due by the moment at which it is: payment tasks, payment deadlines, the ends of holds.

use std::collections::BTreeSet;
use std::fmt::Display;

use crate::ids::Timestamp;

/// An ordered index of (moment, id).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Schedule<T> {
    entries: BTreeSet<(Timestamp, T)>,
}

impl<T> Default for Schedule<T> {
    fn default() -> Schedule<T> {
        Schedule { entries: BTreeSet::new() }
    }
}

impl<T: Copy + Ord + Display> Schedule<T> {
    /// Adds an entry that is not there yet.
    pub(crate) fn insert(&mut self, due: Timestamp, id: T) {
        let new = self.entries.insert((due, id));
        debug_assert!(new, "{id} is scheduled once");
    }

    /// Removes an entry that is there.
    pub(crate) fn remove(&mut self, due: Timestamp, id: T) {
        let found = self.entries.remove(&(due, id));
        debug_assert!(found, "{id} was scheduled at {due:?}");
    }

    /// The earliest moment.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.entries.first().map(|&(due, _)| due)
    }

    /// What is due at `now`, earliest first.
    pub(crate) fn due(&self, now: Timestamp) -> impl Iterator<Item = T> {
        self.entries.iter().take_while(move |(due, _)| *due <= now).map(|&(_, id)| id)
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether exactly this entry is there.
    pub(crate) fn contains(&self, due: Timestamp, id: T) -> bool {
        self.entries.contains(&(due, id))
    }
}
