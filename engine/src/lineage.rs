//! Which clusters this one comes from, and whether its payments are paused.
//!
//! A restored or forced cluster has all rows of the one before it and continues alone. It cannot
//! know what the old cluster did later: the old one may have assigned the same order ids again, and
//! may have called the gateway about them. So an *epoch* tells orders of the new cluster apart; it
//! is part of the gateway's key. A restored cluster calls no gateway until somebody resumes its
//! payments.

use bincode::{Decode, Encode};

use crate::ids::OrderId;

/// The most clusters that are told apart. After that the newest ones count as one.
pub(crate) const BEGUN_MAX: usize = 1024;

/// The row. The default means a newly founded cluster with payments; only other values are stored
/// and hashed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Lineage {
    /// No payment task is due while this is set.
    pub(crate) payments_paused: bool,
    /// The first order of each cluster after the first, ascending.
    pub(crate) begun: Vec<OrderId>,
}

impl Lineage {
    /// Begins a new cluster whose first order will be `next_order`.
    pub(crate) fn begin(&mut self, next_order: OrderId, pause_payments: bool) {
        self.payments_paused |= pause_payments;
        if self.begun.len() < BEGUN_MAX {
            self.begun.push(next_order);
        }
    }

    /// How many clusters had begun before this order was placed, the first one not counted.
    pub(crate) fn epoch(&self, order: OrderId) -> u32 {
        let begun = self.begun.partition_point(|first| *first <= order);
        u32::try_from(begun).expect("they are bounded")
    }

    /// The epoch of new orders.
    pub(crate) fn newest_epoch(&self) -> u32 {
        u32::try_from(self.begun.len()).expect("they are bounded")
    }

    /// Whether no cluster has begun since this epoch.
    pub(crate) fn is_newest(&self, epoch: u32) -> bool {
        epoch as usize == self.begun.len()
    }

    /// Whether this is the default.
    pub(crate) fn is_plain(&self) -> bool {
        *self == Lineage::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_belongs_to_the_cluster_that_placed_it() {
        let mut lineage = Lineage::default();
        assert!(lineage.is_plain());
        assert_eq!(lineage.epoch(OrderId(u64::MAX)), 0);
        lineage.begin(OrderId(10), false);
        // Forced twice before any order was placed.
        lineage.begin(OrderId(10), true);
        lineage.begin(OrderId(20), false);
        assert!(lineage.payments_paused, "only a command resumes payments");
        let epochs = [1, 9, 10, 19, 20].map(|id| lineage.epoch(OrderId(id)));
        assert_eq!(epochs, [0, 0, 2, 2, 3]);
        for _ in 0..2 * BEGUN_MAX {
            lineage.begin(OrderId(30), false);
        }
        assert_eq!(lineage.begun.len(), BEGUN_MAX);
    }
}
