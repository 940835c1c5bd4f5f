//! Orders by the moment at which something is due for them: payment tasks, payment deadlines.

use std::collections::BTreeSet;
use std::ops::Bound;

use crate::ids::{OrderId, Timestamp};

/// An ordered index of (moment, order).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Schedule {
    entries: BTreeSet<(Timestamp, OrderId)>,
}

impl Schedule {
    /// Adds an entry that is not there yet.
    pub(crate) fn insert(&mut self, due: Timestamp, order: OrderId) {
        let new = self.entries.insert((due, order));
        debug_assert!(new, "order {order} is scheduled once");
    }

    /// Removes an entry that is there.
    pub(crate) fn remove(&mut self, due: Timestamp, order: OrderId) {
        let found = self.entries.remove(&(due, order));
        debug_assert!(found, "order {order} was scheduled at {due:?}");
    }

    /// The earliest entry.
    pub(crate) fn first(&self) -> Option<(Timestamp, OrderId)> {
        self.entries.first().copied()
    }

    /// The entries due at `now`, earliest first.
    pub(crate) fn due(&self, now: Timestamp) -> impl Iterator<Item = OrderId> {
        let end = Bound::Included((now, OrderId(u64::MAX)));
        self.entries.range((Bound::Unbounded, end)).map(|&(_, order)| order)
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether exactly this entry is there.
    pub(crate) fn contains(&self, due: Timestamp, order: OrderId) -> bool {
        self.entries.contains(&(due, order))
    }
}
