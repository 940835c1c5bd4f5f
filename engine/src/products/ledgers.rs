//! Which stored block has which full segment of a ledger.
//!
//! Segments of many products become full between two checkpoints. They are written together,
//! [`BLOCK_SEGMENTS`] to a block, one block after the other: a store appends few large values fast,
//! and inserts many small ones slowly. Blocks never change. When nobody reports a frozen block as
//! stored, the next freeze gives it up and takes its segments again; the publication of that freeze
//! removes it.

use std::sync::Arc;

use crate::ids::ProductId;
use crate::packed::PackedLedger;

/// The most segments in a block.
pub(crate) const BLOCK_SEGMENTS: usize = 16;

/// [`SEGMENT_ROWS`](crate::ledger::SEGMENT_ROWS) packed ledger rows.
pub(crate) type Segment = Arc<PackedLedger>;

/// Where a store has a ledger segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerHome(u64);

impl LedgerHome {
    /// A row of its own, as in formats 1 and 2.
    pub(crate) const OWN_ROW: LedgerHome = LedgerHome(0);

    /// The block with this number, from 1.
    pub(crate) fn in_block(number: u64) -> LedgerHome {
        LedgerHome(number)
    }

    /// The number of the block, unless it has a row of its own.
    pub(crate) fn block(self) -> Option<u64> {
        (self.0 > 0).then_some(self.0)
    }
}

/// A product's new segments: the number of the first one, and the home of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewHomes {
    pub(crate) product: ProductId,
    pub(crate) first: u64,
    pub(crate) homes: Vec<LedgerHome>,
}

/// A segment to be stored: its product, its number, its rows.
pub(crate) type FrozenSegment = (ProductId, u64, Segment);

/// What a freeze takes of the ledgers.
#[derive(Clone, Debug, Default)]
pub(crate) struct FrozenLedgers {
    /// New blocks by number.
    pub(crate) written: Vec<(u64, Vec<FrozenSegment>)>,
    /// Where the segments will be.
    pub(crate) homes: Vec<NewHomes>,
    /// Numbers of blocks to remove when this is published.
    pub(crate) removed: Vec<u64>,
    /// The number of the next block.
    pub(crate) next: u64,
}

/// The numbers of ledger blocks.
#[derive(Debug)]
pub(crate) struct LedgerBlocks {
    /// The number of the next block, from 1.
    next: u64,
    /// Blocks of the last freeze that nobody has reported as stored.
    in_flight: Vec<u64>,
}

impl Default for LedgerBlocks {
    fn default() -> LedgerBlocks {
        LedgerBlocks { next: 1, in_flight: Vec::new() }
    }
}

impl LedgerBlocks {
    /// Puts segments into new blocks. Those of one product must be consecutive.
    pub(crate) fn freeze(&mut self, segments: Vec<FrozenSegment>) -> FrozenLedgers {
        let removed = std::mem::take(&mut self.in_flight);
        let (mut written, mut homes) = (Vec::new(), Vec::<NewHomes>::new());
        let mut segments = segments.into_iter();
        while segments.len() > 0 {
            let (number, home) = (self.next, LedgerHome::in_block(self.next));
            let block: Vec<_> = segments.by_ref().take(BLOCK_SEGMENTS).collect();
            for &(product, first, _) in &block {
                match homes.last_mut().filter(|homes| homes.product == product) {
                    Some(found) => found.homes.push(home),
                    None => homes.push(NewHomes { product, first, homes: vec![home] }),
                }
            }
            self.in_flight.push(number);
            written.push((number, block));
            self.next += 1;
        }
        FrozenLedgers { written, homes, removed, next: self.next }
    }

    /// Records that a synced checkpoint has what the last freeze took.
    pub(crate) fn release(&mut self) {
        self.in_flight.clear();
    }

    /// Restores the number of the next block.
    pub(crate) fn restore(&mut self, next: u64) {
        self.next = next;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::packed::PackedLedger;

    fn segments(of: &[(u64, u64, u64)]) -> Vec<FrozenSegment> {
        let of_product = |&(id, first, count): &(u64, u64, u64)| {
            let segment = || Arc::new(PackedLedger::default());
            (first..first + count).map(move |number| (ProductId(id), number, segment()))
        };
        of.iter().flat_map(of_product).collect()
    }

    fn homes(frozen: &FrozenLedgers) -> Vec<(u64, u64, Vec<u64>)> {
        let numbers = |homes: &[LedgerHome]| homes.iter().filter_map(|home| home.block()).collect();
        let of = |new: &NewHomes| (new.product.0, new.first, numbers(&new.homes));
        frozen.homes.iter().map(of).collect()
    }

    #[test]
    fn products_share_blocks_and_may_have_several() {
        let mut blocks = LedgerBlocks::default();
        let frozen = blocks.freeze(segments(&[(1, 7, 10), (2, 0, 10), (9, 3, 1)]));
        let sizes: Vec<_> =
            frozen.written.iter().map(|(number, block)| (*number, block.len())).collect();
        assert_eq!(sizes, [(1, 16), (2, 5)]);
        let second = [vec![1; 6], vec![2; 4]].concat();
        assert_eq!(homes(&frozen), [(1, 7, vec![1; 10]), (2, 0, second), (9, 3, vec![2])]);
        assert_eq!((frozen.removed.len(), frozen.next), (0, 3));
        blocks.release();
        let frozen = blocks.freeze(segments(&[(2, 10, 1)]));
        assert_eq!((homes(&frozen), frozen.next), (vec![(2, 10, vec![3])], 4));
    }

    #[test]
    fn blocks_frozen_but_never_stored_are_removed() {
        let mut blocks = LedgerBlocks::default();
        blocks.restore(5);
        let first = blocks.freeze(segments(&[(1, 0, 17)]));
        assert_eq!((first.removed.len(), first.next), (0, 7));
        let second = blocks.freeze(segments(&[(1, 0, 18)]));
        assert_eq!((second.removed, second.next), (vec![5, 6], 9));
        blocks.release();
        let third = blocks.freeze(Vec::new());
        assert_eq!((third.removed.len(), third.next), (0, 9));
    }
}
