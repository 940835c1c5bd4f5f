//! The orders of one user or one product: ascending ids in four bytes each.

/// An ascending list of order ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Postings {
    /// The low half of each id.
    low: Vec<u32>,
    /// Where the high half grows: `epochs[e]` counts the ids whose high half is at most `e`. Empty for
    /// the first four billion orders.
    epochs: Vec<usize>,
}

impl Postings {
    /// Adds an id above all others.
    pub(crate) fn push(&mut self, id: u64) {
        debug_assert!(self.is_empty() || self.get(self.len() - 1) < id, "ids come in order");
        while (self.epochs.len() as u64) < id >> 32 {
            self.epochs.push(self.low.len());
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

    /// The id at a place below [`Postings::len`].
    pub(crate) fn get(&self, at: usize) -> u64 {
        let epoch = self.epochs.partition_point(|&end| end <= at);
        (epoch as u64) << 32 | u64::from(self.low[at])
    }

    /// How many ids are below `id`.
    pub(crate) fn rank(&self, id: u64) -> usize {
        let epoch = (id >> 32) as usize;
        if epoch > self.epochs.len() {
            return self.low.len();
        }
        let start = if epoch == 0 { 0 } else { self.epochs[epoch - 1] };
        let end = self.epochs.get(epoch).copied().unwrap_or(self.low.len());
        start + self.low[start..end].partition_point(|&low| low < id as u32)
    }

    /// Whether `id` is in the list.
    pub(crate) fn contains(&self, id: u64) -> bool {
        let rank = self.rank(id);
        rank < self.len() && self.get(rank) == id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_keep_their_high_half() {
        let ids = [1, 7, u64::from(u32::MAX), 1 << 32, (1 << 32) + 7, 3 << 32, (3 << 32) + 1];
        let mut postings = Postings::default();
        for id in ids {
            postings.push(id);
        }
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
}
