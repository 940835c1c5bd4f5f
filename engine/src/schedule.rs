//! An index by due time: payment tasks, payment deadlines, deadlines of holds.
//!
//! Many entries are due at the same moment, since the clock stands still within an entry and tasks
//! are claimed together. So each moment has one list. Removed ids are only marked, until they are
//! more than half of the list.

use std::collections::BTreeMap;
use std::fmt::Display;

use crate::ids::Timestamp;

/// An ordered index of (moment, id).
#[derive(Clone, Debug)]
pub(crate) struct Schedule<T> {
    moments: BTreeMap<Timestamp, Moment<T>>,
    len: usize,
}

/// The ids due at one moment; never empty.
#[derive(Clone, Debug)]
struct Moment<T> {
    /// Ascending, including the removed ones.
    ids: Vec<T>,
    /// Whether each of them was removed.
    left: Vec<bool>,
    here: usize,
}

/// Lists of at least this length are compacted.
const SWEPT_FROM: usize = 64;

impl<T> Default for Schedule<T> {
    fn default() -> Schedule<T> {
        Schedule { moments: BTreeMap::new(), len: 0 }
    }
}

impl<T: Copy + Ord + Display + Into<u64>> Schedule<T> {
    /// Adds an entry, which must be new.
    pub(crate) fn insert(&mut self, due: Timestamp, id: T) {
        let new = self.moments.entry(due).or_default().insert(id);
        debug_assert!(new, "{id} is scheduled once");
        self.len += usize::from(new);
    }

    /// Removes an entry, which must exist.
    pub(crate) fn remove(&mut self, due: Timestamp, id: T) {
        let Some(moment) = self.moments.get_mut(&due) else {
            debug_assert!(false, "{id} was scheduled at {due:?}");
            return;
        };
        let found = moment.remove(id);
        debug_assert!(found, "{id} was scheduled at {due:?}");
        self.len -= usize::from(found);
        if moment.here == 0 {
            self.moments.remove(&due);
        }
    }

    /// The earliest moment.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.moments.first_key_value().map(|(due, _)| *due)
    }

    /// The entries due at `now`, earliest first.
    pub(crate) fn due(&self, now: Timestamp) -> impl Iterator<Item = T> {
        self.moments.range(..=now).flat_map(|(_, moment)| moment.iter())
    }

    /// The same with their moments, and only after the entry `after`.
    pub(crate) fn due_after(
        &self,
        now: Timestamp,
        after: Option<(Timestamp, T)>,
    ) -> impl Iterator<Item = (Timestamp, T)> {
        let start = after.map_or(Timestamp(0), |(due, _)| due);
        // `after` may be later than `now`.
        let moments = self.moments.range(start..=now.max(start));
        let moments = moments.take_while(move |(due, _)| **due <= now);
        moments.flat_map(move |(due, moment)| {
            let passed = after.filter(|(last, _)| last == due).map(|(_, id)| id);
            let begin = passed.map_or(0, |id| moment.ids.partition_point(|other| *other <= id));
            moment.iter_from(begin).map(|id| (*due, id))
        })
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Whether exactly this entry exists.
    pub(crate) fn contains(&self, due: Timestamp, id: T) -> bool {
        self.moments.get(&due).is_some_and(|moment| moment.place(id).is_some())
    }
}

impl<T> Default for Moment<T> {
    fn default() -> Moment<T> {
        Moment { ids: Vec::new(), left: Vec::new(), here: 0 }
    }
}

impl<T: Copy + Ord + Into<u64>> Moment<T> {
    fn insert(&mut self, id: T) -> bool {
        // Nearly always the end: ids ascend with time, and tasks that are claimed together are in
        // order.
        let at = match self.ids.last() {
            Some(last) if id <= *last => self.ids.partition_point(|other| *other < id),
            _ => self.ids.len(),
        };
        if self.ids.get(at) != Some(&id) {
            self.ids.insert(at, id);
            self.left.insert(at, false);
        } else if !std::mem::take(&mut self.left[at]) {
            return false;
        }
        self.here += 1;
        true
    }

    fn remove(&mut self, id: T) -> bool {
        let Some(at) = self.place(id) else { return false };
        self.left[at] = true;
        self.here -= 1;
        // Removes marked ids now and then; they must not stay until the last id leaves.
        if self.ids.len() >= SWEPT_FROM && self.here < self.ids.len() / 2 {
            self.ids = self.iter().collect();
            self.left = vec![false; self.ids.len()];
        }
        true
    }

    /// The index of an id that was not removed.
    fn place(&self, id: T) -> Option<usize> {
        // Mostly there are no gaps, since tasks that are claimed together were placed together.
        let gapless = id.into().checked_sub((*self.ids.first()?).into())? as usize;
        let at = match self.ids.get(gapless) {
            Some(there) if *there == id => gapless,
            _ => self.ids.binary_search(&id).ok()?,
        };
        (!self.left[at]).then_some(at)
    }

    fn iter(&self) -> impl Iterator<Item = T> {
        self.iter_from(0)
    }

    fn iter_from(&self, begin: usize) -> impl Iterator<Item = T> {
        let all = self.ids[begin..].iter().zip(&self.left[begin..]);
        all.filter(|(_, left)| !**left).map(|(id, _)| *id)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::ids::OrderId;

    proptest! {
        #[test]
        fn a_schedule_is_an_ordered_set(
            steps in prop::collection::vec((0_u64..3, 1_u64..140, any::<bool>()), 0..400),
        ) {
            let (mut schedule, mut set) = (Schedule::default(), BTreeSet::new());
            for (due, id, leaves) in steps {
                let entry @ (due, id) = (Timestamp(due), OrderId(id));
                prop_assert_eq!(schedule.contains(due, id), set.contains(&entry));
                if leaves && set.remove(&entry) {
                    schedule.remove(due, id);
                } else if !leaves && set.insert(entry) {
                    schedule.insert(due, id);
                }
                prop_assert_eq!(schedule.len(), set.len());
                prop_assert_eq!(schedule.next(), set.first().map(|(due, _)| *due));
            }
            for now in 0..3 {
                let due: Vec<_> = schedule.due(Timestamp(now)).collect();
                let wanted = set.iter().filter(|(due, _)| due.0 <= now).map(|(_, id)| *id);
                prop_assert_eq!(due, wanted.collect::<Vec<_>>());
                for after in [(0, 0), (0, 70), (1, 1), (2, 139), (3, 0)] {
                    let after = (Timestamp(after.0), OrderId(after.1));
                    let due: Vec<_> = schedule.due_after(Timestamp(now), Some(after)).collect();
                    let wanted = set.iter().filter(|entry| entry.0.0 <= now && **entry > after);
                    prop_assert_eq!(due, wanted.copied().collect::<Vec<_>>());
                }
            }
        }
    }
}
