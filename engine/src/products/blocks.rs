//! Which stored block has the newest row of each product.
//!
//! A store writes few large values fast and many small ones slowly. So the products that changed
//! since the last checkpoint are written together, [`BLOCK_ROWS`] to a block. A block never
//! changes: a product that changes again is written into a newer one, and its row in the older
//! block is dead. A block without living rows is removed. To keep dead rows from outnumbering the
//! living by much, the oldest blocks are given up in time: their living rows are written again with
//! what changed. (Log-structured storage: Rosenblum and Ousterhout, 1992.)

use std::collections::VecDeque;

use crate::ids::ProductId;

/// The most rows in a block. Even when each product has the longest name and ledger, the block
/// stays far below the size from which the store keeps values apart.
pub(crate) const BLOCK_ROWS: usize = 32;

/// Dead rows that are always allowed.
const DEAD_ROWS_MIN: usize = 4096;

/// The most rows of format 1 that one checkpoint removes.
const REMOVED_SINGLE_MAX: usize = 1024;

/// A stored block.
#[derive(Debug)]
struct Block {
    number: u64,
    /// The products of its rows, ascending.
    ids: Vec<ProductId>,
    /// How many of its rows are the newest of their products.
    living: usize,
}

/// What a freeze takes of the products.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FrozenBlocks {
    /// New blocks by number, with the products of their rows.
    pub(crate) written: Vec<(u64, Vec<ProductId>)>,
    /// Numbers of blocks to remove.
    pub(crate) removed: Vec<u64>,
    /// Products whose rows of format 1 are to be removed.
    pub(crate) removed_single: Vec<ProductId>,
    /// The number of the next block.
    pub(crate) next: u64,
}

/// All blocks that a store has, or will have once the last freeze is written.
#[derive(Debug)]
pub(crate) struct Blocks {
    /// By ascending number.
    kept: VecDeque<Block>,
    /// The block of each product's newest row, by id − 1; 0 while there is none.
    homes: Vec<u64>,
    /// Rows in all kept blocks, dead ones included.
    rows: usize,
    /// The number of the next block, from 1.
    next: u64,
    /// Blocks that are not kept but may still be stored.
    dropped: Vec<u64>,
    /// Products whose rows of format 1 are still stored.
    single: Vec<ProductId>,
    /// How many of them the last freeze took.
    single_taken: usize,
}

impl Default for Blocks {
    fn default() -> Blocks {
        Blocks {
            kept: VecDeque::new(),
            homes: Vec::new(),
            rows: 0,
            next: 1,
            dropped: Vec::new(),
            single: Vec::new(),
            single_taken: 0,
        }
    }
}

impl Blocks {
    /// Puts the changed products into new blocks, and adds the living rows of blocks that are given
    /// up.
    pub(crate) fn freeze(&mut self, mut changed: Vec<ProductId>, products: usize) -> FrozenBlocks {
        self.homes.resize(products, 0);
        for &id in &changed {
            self.leave(id);
        }
        // Changed products come on top of the kept rows.
        while self.rows + changed.len() > 2 * products + DEAD_ROWS_MIN
            && let Some(oldest) = self.kept.pop_front()
        {
            let living = oldest.ids.iter().filter(|id| self.home(**id) == oldest.number);
            let living: Vec<ProductId> = living.copied().collect();
            living.iter().for_each(|id| self.homes[id.0 as usize - 1] = 0);
            changed.extend(living);
            self.rows -= oldest.ids.len();
            self.dropped.push(oldest.number);
        }
        let (rows, dropped) = (&mut self.rows, &mut self.dropped);
        self.kept.retain(|block| {
            if block.living == 0 {
                *rows -= block.ids.len();
                dropped.push(block.number);
            }
            block.living > 0
        });
        changed.sort_unstable();
        let first = self.next;
        for ids in changed.chunks(BLOCK_ROWS) {
            self.keep(self.next, ids.to_vec());
        }
        self.single_taken = self.single.len().min(REMOVED_SINGLE_MAX);
        let new = self.kept.iter().skip_while(|block| block.number < first);
        FrozenBlocks {
            written: new.map(|block| (block.number, block.ids.clone())).collect(),
            removed: self.dropped.clone(),
            removed_single: self.single[self.single.len() - self.single_taken..].to_vec(),
            next: self.next,
        }
    }

    /// Records that a synced checkpoint has what the last freeze took.
    pub(crate) fn release(&mut self) {
        self.dropped.clear();
        self.single.truncate(self.single.len() - std::mem::take(&mut self.single_taken));
    }

    /// Restores the blocks of a store, by ascending number, the number of the next block, and which
    /// products still have a row of format 1.
    pub(crate) fn restore(
        &mut self,
        blocks: Vec<(u64, Vec<ProductId>)>,
        next: u64,
        single: Vec<ProductId>,
    ) {
        let products = blocks.iter().flat_map(|(_, ids)| ids).map(|id| id.0).max();
        self.homes = vec![0; products.unwrap_or(0) as usize];
        for (number, ids) in blocks {
            ids.iter().for_each(|id| self.leave(*id));
            self.keep(number, ids);
        }
        (self.next, self.single) = (next, single);
    }

    fn home(&self, id: ProductId) -> u64 {
        self.homes[id.0 as usize - 1]
    }

    /// Marks the product's newest row as dead.
    fn leave(&mut self, id: ProductId) {
        let home = std::mem::replace(&mut self.homes[id.0 as usize - 1], 0);
        if let Ok(at) = self.kept.binary_search_by_key(&home, |block| block.number) {
            self.kept[at].living -= 1;
        }
    }

    fn keep(&mut self, number: u64, ids: Vec<ProductId>) {
        ids.iter().for_each(|id| self.homes[id.0 as usize - 1] = number);
        self.rows += ids.len();
        self.next = number + 1;
        let living = ids.len();
        self.kept.push_back(Block { number, ids, living });
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// The contents of a store.
    type Stored = BTreeMap<u64, Vec<ProductId>>;

    fn write(stored: &mut Stored, frozen: &FrozenBlocks) {
        frozen.removed.iter().for_each(|number| drop(stored.remove(number)));
        stored.extend(frozen.written.iter().cloned());
        assert!(stored.keys().all(|number| *number < frozen.next));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn each_product_is_newest_in_one_block_and_dead_rows_are_bounded(
            rounds in prop::collection::vec(
                (prop::collection::btree_set(1_u64..=2_000, 0..2_000), any::<bool>()),
                1..12,
            ),
        ) {
            const PRODUCTS: usize = 2_000;
            let mut blocks = Blocks::default();
            let (mut stored, mut round_of) = (Stored::new(), BTreeMap::new());
            let mut written_at = BTreeMap::new();
            let all: Vec<ProductId> = (1..=PRODUCTS as u64).map(ProductId).collect();
            let rounds = rounds.into_iter().map(|(ids, reopen)| {
                (ids.into_iter().map(ProductId).collect::<Vec<_>>(), reopen)
            });
            let rounds = std::iter::once((all, false)).chain(rounds);
            for (round, (changed, reopen)) in rounds.enumerate()
            {
                round_of.extend(changed.iter().map(|id| (*id, round)));
                let frozen = blocks.freeze(changed, PRODUCTS);
                for (number, ids) in &frozen.written {
                    prop_assert!(ids.len() <= BLOCK_ROWS && !ids.is_empty());
                    written_at.extend(ids.iter().map(|id| ((*id, *number), round)));
                }
                write(&mut stored, &frozen);
                blocks.release();
                let rows: usize = stored.values().map(Vec::len).sum();
                prop_assert!(rows <= 2 * PRODUCTS + DEAD_ROWS_MIN + PRODUCTS, "{rows}");
                prop_assert_eq!(rows, blocks.rows);
                let mut newest = BTreeMap::new();
                for (number, ids) in &stored {
                    newest.extend(ids.iter().map(|id| (*id, *number)));
                }
                prop_assert_eq!(newest.len(), PRODUCTS);
                for (id, number) in newest {
                    prop_assert_eq!(blocks.home(id), number);
                    prop_assert!(written_at[&(id, number)] >= round_of[&id]);
                }
                if reopen {
                    blocks = Blocks::default();
                    let kept = stored.clone().into_iter().collect();
                    blocks.restore(kept, frozen.next, Vec::new());
                }
            }
        }
    }

    #[test]
    fn blocks_frozen_but_never_stored_are_removed_too() {
        let ids: Vec<ProductId> = (1..=40).map(ProductId).collect();
        let mut blocks = Blocks::default();
        let first = blocks.freeze(ids.clone(), 40);
        assert_eq!(first.written.len(), 2);
        let second = blocks.freeze(ids, 40);
        assert_eq!((second.removed, second.next), (vec![1, 2], 5));
        assert_eq!(blocks.freeze(Vec::new(), 40).removed, [1, 2], "not stored yet");
        blocks.release();
        assert_eq!(blocks.freeze(Vec::new(), 40).removed, []);
    }
}
