//! How many units of a product each user has taken: held, ordered and not returned, or paid.
//!
//! It counts only products that have, or once had, a limit per user, from the command that first
//! set one ([`Product::counted_since`](crate::product::Product::counted_since)). So it never
//! subtracts units that it did not add. A second table of this type has the units in active holds,
//! of all products. Nothing here is stored: the counts are restored from the rows of orders and
//! holds.

use std::collections::BTreeMap;

use crate::ids::{ProductId, UserId};

/// Units by product and user; users with none have no entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    units: BTreeMap<(ProductId, UserId), u64>,
}

impl Taken {
    /// How many units the user has.
    pub(crate) fn get(&self, product: ProductId, user: UserId) -> u64 {
        self.units.get(&(product, user)).copied().unwrap_or(0)
    }

    /// Adds units that the user took.
    pub(crate) fn add(&mut self, product: ProductId, user: UserId, units: u64) {
        *self.units.entry((product, user)).or_default() += units;
    }

    /// Subtracts units that the user returned, which must have been counted.
    pub(crate) fn give_back(&mut self, product: ProductId, user: UserId, units: u64) {
        let taken = self.units.get_mut(&(product, user)).expect("returned units were taken");
        *taken = taken.checked_sub(units).expect("no more is returned than was taken");
        if *taken == 0 {
            self.units.remove(&(product, user));
        }
    }

    /// Whether no count here exceeds the same count in `other`.
    pub(crate) fn is_within(&self, other: &Taken) -> bool {
        self.units.iter().all(|(&(product, user), units)| *units <= other.get(product, user))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_who_returned_everything_has_no_entry() {
        let (product, user) = (ProductId(1), UserId(2));
        let mut taken = Taken::default();
        taken.add(product, user, 3);
        taken.give_back(product, user, 1);
        assert_eq!((taken.get(product, user), taken.get(product, UserId(3))), (2, 0));
        assert!(Taken::default().is_within(&taken) && !taken.is_within(&Taken::default()));
        taken.give_back(product, user, 2);
        assert_eq!(taken, Taken::default());
    }
}
