//! The orders of one user or one product: ascending ids in four bytes each. Long lists also count
//! the orders of each block by status, so that any page of any status is found without a full scan.

use std::ops::Range;

use crate::ids::OrderId;
use crate::order::Status;
use crate::scan::Scan;
use crate::statuses::Statuses;

/// Ids that are counted together.
const BLOCK: usize = 1024;

/// Lists of at least this length have counts. Shorter ones are scanned in a few microseconds.
pub(crate) const COUNTED_FROM: usize = 4 * BLOCK;

/// An ascending list of order ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Postings {
    /// The low half of each id.
    low: Vec<u32>,
    /// Where the high half grows: `epochs[e]` counts the ids whose high half is at most `e`. Empty
    /// for the first four billion orders.
    epochs: Vec<usize>,
}

impl Postings {
    /// Adds an id, greater than all others.
    pub(crate) fn push(&mut self, id: u64) {
        debug_assert!(self.is_empty() || self.get(self.len() - 1) < id, "ids come in order");
        while (self.epochs.len() as u64) < id >> 32 {
            self.epochs.push(self.low.len());
        }
        if self.low.len() == self.low.capacity() {
            // Grows by a quarter instead of doubling: these lists contain every order twice.
            self.low.reserve_exact((self.low.len() / 4).max(4));
        }
        self.low.push(id as u32);
    }

    /// How many ids there are.
    pub(crate) fn len(&self) -> usize {
        self.low.len()
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.low.is_empty()
    }

    /// The id at an index below [`Postings::len`].
    pub(crate) fn get(&self, at: usize) -> u64 {
        let epoch = self.epochs.partition_point(|&end| end <= at);
        (epoch as u64) << 32 | u64::from(self.low[at])
    }

    /// The greatest id, or 0 when there is none.
    pub(crate) fn last(&self) -> u64 {
        self.len().checked_sub(1).map_or(0, |at| self.get(at))
    }

    /// How many ids are below `id`. Fastest near the end, where most lookups are.
    pub(crate) fn rank(&self, id: u64) -> usize {
        self.rank_below(id, self.len())
    }

    /// How many of the first `end` ids are below `id`: doubling steps back from `end`, then
    /// bisection.
    fn rank_below(&self, id: u64, end: usize) -> usize {
        let (mut low, mut high, mut step) = (end, end, 1);
        while low > 0 && self.get(low - 1) >= id {
            high = low - 1;
            low = high.saturating_sub(step);
            step *= 2;
        }
        while low < high {
            let middle = low + (high - low) / 2;
            if self.get(middle) < id {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// The block of [`BLOCK`] ids that contains a listed id. Mostly the last or the one before:
    /// orders move soon after they are placed.
    fn block(&self, id: OrderId) -> usize {
        let begins_above = |block: usize| self.get(block * BLOCK) > id.0;
        let mut last = self.len().div_ceil(BLOCK) - 1;
        for _ in 0..2 {
            if !begins_above(last) {
                return last;
            }
            last -= 1;
        }
        let (mut low, mut high) = (0, last);
        while low < high {
            let middle = high - (high - low) / 2;
            match begins_above(middle) {
                true => high = middle - 1,
                false => low = middle,
            }
        }
        low
    }

    /// Whether `id` is in the list.
    pub(crate) fn contains(&self, id: u64) -> bool {
        let rank = self.rank(id);
        rank < self.len() && self.get(rank) == id
    }

    /// The ids of the shorter list within `ids`, newest first, and whether each is in both lists.
    pub(crate) fn compare<'a>(
        &'a self,
        other: &'a Postings,
        ids: Range<u64>,
    ) -> impl Iterator<Item = (u64, bool)> + 'a {
        let (short, long) = if self.len() <= other.len() { (self, other) } else { (other, self) };
        let mut end = long.rank(ids.end);
        (short.rank(ids.start)..short.rank(ids.end)).rev().map(|at| short.get(at)).map(move |id| {
            let above = long.rank_below(id + 1, end);
            let found = above > 0 && long.get(above - 1) == id;
            end = above - usize::from(found);
            (id, found)
        })
    }
}

/// The number of orders per status in each block of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    blocks: Vec<[u16; 5]>,
}

impl Counts {
    /// Counts a whole list.
    pub(crate) fn of(list: &Postings, statuses: &Statuses) -> Counts {
        let mut counts = Counts::default();
        for at in 0..list.len() {
            let status = statuses.get(list.get(at) - 1).expect("a listed order exists");
            counts.push(at, status);
        }
        counts
    }

    /// Counts the id that was added at the end of the list.
    pub(crate) fn push(&mut self, at: usize, status: Status) {
        if at.is_multiple_of(BLOCK) {
            self.blocks.push([0; 5]);
        }
        self.blocks[at / BLOCK][status as usize] += 1;
    }

    /// Records that an order of the list moved.
    pub(crate) fn moved(&mut self, list: &Postings, id: OrderId, from: Status, to: Status) {
        let block = &mut self.blocks[list.block(id)];
        block[from as usize] -= 1;
        block[to as usize] += 1;
    }

    /// How many of the first `end` orders of the list have this status.
    fn count_below(&self, list: &Postings, statuses: &Statuses, end: usize, status: Status) -> u64 {
        let blocks = self.blocks[..end / BLOCK].iter();
        let counted: u64 = blocks.map(|block| u64::from(block[status as usize])).sum();
        counted + count(list, statuses, end / BLOCK * BLOCK..end, status)
    }
}

/// How many of these places in a list have an order with this status, by looking at each.
fn count(list: &Postings, statuses: &Statuses, places: Range<usize>, status: Status) -> u64 {
    places.filter(|at| statuses.get(list.get(*at) - 1) == Some(status)).count() as u64
}

/// How many of these places in a list have an order with this status.
pub(crate) fn count_between(
    list: &Postings,
    counts: Option<&Counts>,
    statuses: &Statuses,
    places: Range<usize>,
    status: Status,
) -> u64 {
    let Some(counts) = counts else { return count(list, statuses, places, status) };
    let below = |end| counts.count_below(list, statuses, end, status);
    below(places.end).saturating_sub(below(places.start))
}

/// Finds the ids of orders in a list that have a status, newest first. The walk's indices are
/// places in the list. With counts it skips whole blocks.
pub(crate) fn newest(
    list: &Postings,
    counts: Option<&Counts>,
    statuses: &Statuses,
    status: Status,
    scan: &mut Scan,
) {
    while scan.step() {
        let end = scan.end as usize;
        if end.is_multiple_of(BLOCK)
            && let Some(counts) = counts
        {
            let count = u64::from(counts.blocks[end / BLOCK - 1][status as usize]);
            if scan.skip_block(BLOCK as u64, count) {
                continue;
            }
        }
        scan.end -= 1;
        let id = list.get(end - 1);
        if statuses.get(id - 1) == Some(status) {
            scan.take(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn list(ids: impl IntoIterator<Item = u64>) -> Postings {
        let mut postings = Postings::default();
        ids.into_iter().for_each(|id| postings.push(id));
        postings
    }

    #[test]
    fn ids_beyond_32_bits_are_exact() {
        let ids = [1, 7, u64::from(u32::MAX), 1 << 32, (1 << 32) + 7, 3 << 32, (3 << 32) + 1];
        let postings = list(ids);
        for (at, id) in ids.into_iter().enumerate() {
            assert_eq!(postings.get(at), id);
            assert_eq!(postings.rank(id), at, "{id}");
            assert_eq!(postings.rank(id + 1), at + 1, "{id}");
            assert!(postings.contains(id));
        }
        assert!(!postings.contains(2));
        assert!(!postings.contains(2 << 32));
        assert_eq!(postings.rank(u64::MAX), ids.len());
        assert_eq!(postings.rank(0), 0);
    }

    #[test]
    fn counted_and_scanned_lists_have_equal_pages() {
        let mut statuses = Statuses::default();
        let status = |id: u64| match id {
            0..5_000 => Status::Paid,
            _ if id.is_multiple_of(11) => Status::Failed,
            _ => Status::Cancelled,
        };
        for id in 1..=20_000 {
            statuses.push(status(id));
        }
        let every_third = list((1..=20_000).step_by(3));
        let counts = Counts::of(&every_third, &statuses);
        for wanted in Status::ALL {
            let all: Vec<u64> =
                (1..=20_000).step_by(3).filter(|id| status(*id) == wanted).collect();
            for end in [0, 1, 1023, 1024, 1025, 3000, every_third.len()] {
                for (start, skip) in [0, 1, 40, 1024, 1500, 9_999]
                    .map(|skip| (0, skip))
                    .into_iter()
                    .chain([(900, 3)])
                {
                    let places = start.min(end)..end;
                    let within: Vec<u64> = all
                        .iter()
                        .rev()
                        .copied()
                        .filter(|id| places.contains(&every_third.rank(*id)))
                        .collect();
                    let page: Vec<_> = within.iter().copied().skip(skip as usize).take(7).collect();
                    for counts in [Some(&counts), None] {
                        let total =
                            count_between(&every_third, counts, &statuses, places.clone(), wanted);
                        assert_eq!(total, within.len() as u64, "{wanted} {places:?}");
                        for steps in [1, usize::MAX] {
                            let (start, end) = (places.start as u64, places.end as u64);
                            let found = Vec::new();
                            let mut scan = Scan { start, end, skip, wanted: 7, steps, found };
                            newest(&every_third, counts, &statuses, wanted, &mut scan);
                            while !scan.is_done() {
                                scan.steps = steps;
                                newest(&every_third, counts, &statuses, wanted, &mut scan);
                            }
                            assert_eq!(scan.found, page, "{wanted} {places:?} {skip}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn the_block_of_any_id_is_found() {
        for len in [1, 2, 1023, 1024, 1025, 2048, 2049, 5_000] {
            let even = list((1..=len).map(|n| 2 * n));
            for at in (0..len as usize).filter(|at| at % 97 == 0 || at % 1024 < 3) {
                assert_eq!(even.block(OrderId(even.get(at))), at / BLOCK, "{at} of {len}");
            }
        }
    }

    proptest! {
        #[test]
        fn common_ids_are_those_of_both_sets(
            one in prop::collection::btree_set(1_u64..200, 0..80),
            two in prop::collection::btree_set(1_u64..200, 0..80),
        ) {
            let mut common: Vec<u64> = one.intersection(&two).copied().collect();
            common.reverse();
            let (one, two) = (list(one), list(two));
            for ids in [0..u64::MAX, 50..120, 50..51, 70..70] {
                let expected: Vec<u64> =
                    common.iter().copied().filter(|id| ids.contains(id)).collect();
                for (one, two) in [(&one, &two), (&two, &one)] {
                    let compared = one.compare(two, ids.clone());
                    let found: Vec<u64> =
                        compared.filter(|(_, common)| *common).map(|(id, _)| id).collect();
                    prop_assert_eq!(&found, &expected);
                }
            }
        }

        #[test]
        fn ranks_count_what_is_below(ids in prop::collection::btree_set(1_u64..500, 0..80)) {
            let postings = list(ids.iter().copied());
            for id in 0..502 {
                prop_assert_eq!(postings.rank(id), ids.range(..id).count());
            }
        }
    }
}
