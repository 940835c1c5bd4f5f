//! Where a cluster comes from, as far as it decides anything: which clusters went before it, and
//! whether its payments wait.
//!
//! A cluster that was restored or forced has all rows of the one before it, but goes on alone. What
//! that one did later is unknown here: it may have given out the same order ids again, and may have
//! asked the gateway about them. So orders of the new cluster are told apart by an *epoch*, which
//! is part of the gateway's key, and a restored copy asks the gateway nothing until it is told to.

use bincode::{Decode, Encode};

use crate::ids::OrderId;

/// The most beginnings that are told apart; after so many the newest ones count as one.
pub(crate) const BEGUN_MAX: usize = 1024;

/// The row. Its default is a cluster that was founded and never left off; it is stored and hashed
/// only when it is another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Lineage {
    /// No payment task is due.
    pub(crate) payments_paused: bool,
    /// The first order of each cluster after the first, ascending.
    pub(crate) begun: Vec<OrderId>,
}

impl Lineage {
    /// Begins a new cluster, whose first order will be this one.
    pub(crate) fn begin(&mut self, next_order: OrderId, pause_payments: bool) {
        self.payments_paused |= pause_payments;
        if self.begun.len() < BEGUN_MAX {
            self.begun.push(next_order);
        }
    }

    /// How many clusters had begun when this order was placed, the first one not counted.
    pub(crate) fn epoch(&self, order: OrderId) -> u32 {
        let begun = self.begun.partition_point(|first| *first <= order);
        u32::try_from(begun).expect("they are bounded")
    }

    /// Whether there is anything to tell.
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
        // Forced twice before an order was placed.
        lineage.begin(OrderId(10), true);
        lineage.begin(OrderId(20), false);
        assert!(lineage.payments_paused, "it takes a command to go on");
        let epochs = [1, 9, 10, 19, 20].map(|id| lineage.epoch(OrderId(id)));
        assert_eq!(epochs, [0, 0, 2, 2, 3]);
        for _ in 0..2 * BEGUN_MAX {
            lineage.begin(OrderId(30), false);
        }
        assert_eq!(lineage.begun.len(), BEGUN_MAX);
    }
}
