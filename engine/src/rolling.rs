//! Units that users took of products with a limit that rolls: two in 28 days, say.
//!
//! Exact times decide, not buckets. The product says from when units count and for how long
//! ([`Product::window_counts`](crate::product::Product::window_counts)). What counts no more is
//! removed when its user takes units again, so a list is never longer than the limit. Nothing here
//! is stored: it is restored from the rows of orders and holds.

use std::collections::BTreeMap;

use crate::ids::{HoldId, OrderId, Position, ProductId, Timestamp, UserId};

/// What took units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    /// An order.
    Order(OrderId),
    /// A hold.
    Hold(HoldId),
}

/// Where and when something took units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Origin {
    /// When.
    pub(crate) at: Timestamp,
    /// The command.
    pub(crate) position: Position,
    /// What.
    pub(crate) source: Source,
}

/// Units by product and user. Users without any have no entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rolling {
    units: BTreeMap<(ProductId, UserId), Vec<(Origin, u64)>>,
}

impl Rolling {
    /// How many units of the user count.
    pub(crate) fn taken(
        &self,
        product: ProductId,
        user: UserId,
        counts: impl Fn(&Origin) -> bool,
    ) -> u64 {
        self.counting(product, user, counts).map(|(_, units)| units).sum()
    }

    /// The origin of the units that have to stop counting, the oldest first, until `units` have.
    /// `None` when fewer count.
    pub(crate) fn last_of(
        &self,
        product: ProductId,
        user: UserId,
        units: u64,
        counts: impl Fn(&Origin) -> bool,
    ) -> Option<Origin> {
        let mut oldest: Vec<(Origin, u64)> = self.counting(product, user, counts).collect();
        oldest.sort_unstable();
        let mut sum = 0;
        let enough = oldest.into_iter().find(|(_, taken)| {
            sum += taken;
            sum >= units
        });
        enough.map(|(origin, _)| origin)
    }

    fn counting(
        &self,
        product: ProductId,
        user: UserId,
        counts: impl Fn(&Origin) -> bool,
    ) -> impl Iterator<Item = (Origin, u64)> {
        let all = self.units.get(&(product, user)).into_iter().flatten().copied();
        all.filter(move |(origin, _)| counts(origin))
    }

    /// Adds units that the user took, and removes those that count no more.
    pub(crate) fn add(
        &mut self,
        product: ProductId,
        user: UserId,
        origin: Origin,
        units: u64,
        counts: impl Fn(&Origin) -> bool,
    ) {
        let all = self.units.entry((product, user)).or_default();
        all.retain(|(other, _)| counts(other));
        all.push((origin, units));
    }

    /// Subtracts units that came back. Nothing happens if they count no more.
    pub(crate) fn give_back(
        &mut self,
        product: ProductId,
        user: UserId,
        source: Source,
        units: u64,
    ) {
        let Some(all) = self.units.get_mut(&(product, user)) else { return };
        let Some(at) = all.iter().position(|(origin, _)| origin.source == source) else { return };
        let left = &mut all[at].1;
        *left = left.checked_sub(units).expect("no more comes back than was taken");
        if *left == 0 {
            all.remove(at);
        }
        if all.is_empty() {
            self.units.remove(&(product, user));
        }
    }

    /// The same without what counts no more, each list by time.
    pub(crate) fn current(&self, counts: impl Fn(ProductId, &Origin) -> bool) -> Rolling {
        let mut units = self.units.clone();
        units.retain(|(product, _), all| {
            all.retain(|(origin, _)| counts(*product, origin));
            all.sort_unstable();
            !all.is_empty()
        });
        Rolling { units }
    }

    /// Whether everything here is also in `other`.
    pub(crate) fn is_within(&self, other: &Rolling) -> bool {
        self.units.iter().all(|(who, all)| {
            let others = other.units.get(who);
            all.iter().all(|(origin, units)| {
                let same = |(other, more): &&(Origin, u64)| other == origin && more >= units;
                others.is_some_and(|others| others.iter().find(same).is_some())
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_stop_counting_and_come_back_once() {
        let (product, user) = (ProductId(1), UserId(2));
        let order = |id| Source::Order(OrderId(id));
        let origin = |at, source| Origin { at: Timestamp(at), position: Position(at), source };
        let since = |at| move |origin: &Origin| origin.at >= Timestamp(at);
        let mut rolling = Rolling::default();
        rolling.add(product, user, origin(5, order(1)), 2, since(0));
        rolling.add(product, user, origin(7, Source::Hold(HoldId(1))), 1, since(0));
        assert_eq!(rolling.taken(product, user, since(0)), 3);
        assert_eq!(rolling.taken(product, user, since(6)), 1);
        let last = |units| rolling.last_of(product, user, units, since(0)).map(|it| it.at.0);
        assert_eq!([1, 2, 3, 4].map(last), [Some(5), Some(5), Some(7), None]);
        rolling.give_back(product, user, order(1), 1);
        assert_eq!(rolling.taken(product, user, since(0)), 2);
        // Adding removes what counts no more, and that cannot come back.
        rolling.add(product, user, origin(9, order(2)), 4, since(6));
        rolling.give_back(product, user, order(1), 1);
        assert_eq!(rolling.taken(product, user, since(0)), 5);
        assert_eq!(
            rolling.current(|_, it| it.at >= Timestamp(8)).taken(product, user, since(0)),
            4
        );
        assert!(rolling.current(|_, _| false) == Rolling::default());
        assert!(Rolling::default().is_within(&rolling) && !rolling.is_within(&Rolling::default()));
        rolling.give_back(product, user, order(2), 4);
        rolling.give_back(product, user, Source::Hold(HoldId(1)), 1);
        assert_eq!(rolling, Rolling::default());
    }
}
