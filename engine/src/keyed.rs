//! Idempotency keys of commands whose rows have no place for a key: what each key did.
//!
//! Orders, holds, adjustments, refunds and payment reports keep their keys in their rows, for as
//! long as these live. All other commands share this table. It remembers the newest
//! [`KEPT_MAX`] keys, so it is bounded however many requests there are. It stores hashes, never the
//! text of a key.
//!
//! Its rows are a ring: a key that is forgotten leaves its place to the one that replaces it, so a
//! checkpoint only ever replaces rows.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bincode::{Decode, Encode};

use crate::auth::Mode;
use crate::digest::{RowHasher, Table};
use crate::ids::{HoldId, OrderId, ProductId, TokenId, UserId};
use crate::outcome::Outcome;

/// The most keys that are remembered. The oldest is forgotten for a new one.
pub const KEPT_MAX: u64 = 1 << 17;

/// How many keys one stored row has.
const ROW_KEYS: u64 = 64;

/// What a command under a key did: enough to answer again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum Did {
    CancelOrder(OrderId),
    ReleaseHold(HoldId),
    ExtendHold(HoldId),
    CreateProduct(ProductId),
    UpdateProduct(ProductId),
    ArchiveProduct(ProductId),
    CreateUser(UserId),
    SettleOrder(OrderId),
    RecheckPayment(OrderId),
    SetAuth(Mode),
    RevokeToken(TokenId),
    SetPayments,
}

impl Did {
    /// What a command did that was accepted, if it may have a key.
    pub(crate) fn of(outcome: &Outcome) -> Option<Did> {
        Some(match *outcome {
            Outcome::Cancelled { order, .. } => Did::CancelOrder(order),
            Outcome::HoldReleased { hold, .. } => Did::ReleaseHold(hold),
            Outcome::HoldExtended(hold) => Did::ExtendHold(hold),
            Outcome::ProductCreated(product) => Did::CreateProduct(product),
            Outcome::ProductUpdated(product) => Did::UpdateProduct(product),
            Outcome::ProductArchived(product) => Did::ArchiveProduct(product),
            Outcome::UserCreated(user) => Did::CreateUser(user),
            Outcome::OrderSettled { order, .. } => Did::SettleOrder(order),
            Outcome::PaymentRechecked(order) => Did::RecheckPayment(order),
            Outcome::AuthSet { mode, .. } => Did::SetAuth(mode),
            Outcome::TokenRevoked { token, .. } => Did::RevokeToken(token),
            Outcome::PaymentsSet => Did::SetPayments,
            _ => return None,
        })
    }

    /// The outcome of the same request when it comes again. It changes nothing, as if the first had
    /// done all of it.
    pub(crate) fn outcome(self) -> Outcome {
        let already = true;
        match self {
            Did::CancelOrder(order) => Outcome::Cancelled { order, already },
            Did::ReleaseHold(hold) => Outcome::HoldReleased { hold, already },
            Did::ExtendHold(hold) => Outcome::HoldExtended(hold),
            Did::CreateProduct(product) => Outcome::ProductCreated(product),
            Did::UpdateProduct(product) => Outcome::ProductUpdated(product),
            Did::ArchiveProduct(product) => Outcome::ProductArchived(product),
            Did::CreateUser(user) => Outcome::UserCreated(user),
            Did::SettleOrder(order) => Outcome::OrderSettled { order, already },
            Did::RecheckPayment(order) => Outcome::PaymentRechecked(order),
            Did::SetAuth(mode) => Outcome::AuthSet { mode, already },
            Did::RevokeToken(token) => Outcome::TokenRevoked { token, already },
            Did::SetPayments => Outcome::PaymentsSet,
        }
    }
}

/// A key that was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Kept {
    /// Counts the keys that were ever used, from 1.
    pub(crate) number: u64,
    /// Which key it is; see [`crate::command::Keyed::name`].
    pub(crate) name: u128,
    /// What its request meant.
    pub(crate) meaning: u128,
    /// What it did.
    pub(crate) did: Did,
}

/// A key's share of the digest.
pub(crate) fn hash_kept(hasher: &mut RowHasher, kept: &Kept) -> u64 {
    hasher.hash(Table::Keyed, kept.number, kept)
}

/// The stored row of a key.
fn row_of(number: u64) -> u64 {
    (number - 1) % KEPT_MAX / ROW_KEYS
}

/// The table.
#[derive(Debug, Default)]
pub(crate) struct KeyedResults {
    /// The newest keys, oldest first. Their numbers have no gap.
    kept: VecDeque<Kept>,
    numbers: BTreeMap<u128, u64>,
    /// The last number.
    used: u64,
    /// Rows that changed since the last freeze, and those that it took.
    changed: BTreeSet<u64>,
    frozen: BTreeSet<u64>,
    sum: u64,
}

impl KeyedResults {
    /// How many keys are remembered.
    pub(crate) fn len(&self) -> usize {
        self.kept.len()
    }

    /// What this key did, if it was used and is remembered.
    pub(crate) fn get(&self, name: u128) -> Option<&Kept> {
        self.by_number(*self.numbers.get(&name)?)
    }

    fn by_number(&self, number: u64) -> Option<&Kept> {
        let first = self.kept.front()?.number;
        self.kept.get(usize::try_from(number.checked_sub(first)?).ok()?)
    }

    /// Remembers what a key did that is not remembered yet.
    pub(crate) fn push(&mut self, name: u128, meaning: u128, did: Did, hasher: &mut RowHasher) {
        if self.kept.len() as u64 == KEPT_MAX
            && let Some(oldest) = self.kept.pop_front()
        {
            self.numbers.remove(&oldest.name);
            self.sum = self.sum.wrapping_sub(hash_kept(hasher, &oldest));
        }
        self.used += 1;
        let kept = Kept { number: self.used, name, meaning, did };
        self.changed.insert(row_of(kept.number));
        self.insert(kept, hasher);
    }

    fn insert(&mut self, kept: Kept, hasher: &mut RowHasher) {
        self.sum = self.sum.wrapping_add(hash_kept(hasher, &kept));
        let before = self.numbers.insert(kept.name, kept.number);
        assert!(before.is_none(), "a key is remembered once");
        self.kept.push_back(kept);
    }

    /// Restores what a checkpoint has. `None` when it contradicts itself.
    pub(crate) fn restore(mut rows: Vec<Kept>, hasher: &mut RowHasher) -> Option<KeyedResults> {
        rows.sort_unstable_by_key(|kept| kept.number);
        let (first, last) = match (rows.first(), rows.last()) {
            (Some(first), Some(last)) => (first.number, last.number),
            _ => return Some(KeyedResults::default()),
        };
        let is_whole = first == last.saturating_sub(KEPT_MAX) + 1;
        if !is_whole || rows.windows(2).any(|pair| pair[0].number + 1 != pair[1].number) {
            return None;
        }
        let mut restored = KeyedResults { used: last, ..KeyedResults::default() };
        for kept in rows {
            if restored.numbers.contains_key(&kept.name) {
                return None;
            }
            restored.insert(kept, hasher);
        }
        Some(restored)
    }

    /// The share of the digest.
    pub(crate) fn digest(&self) -> u64 {
        self.sum
    }

    /// Takes the rows that no synced checkpoint has.
    pub(crate) fn take_dirty(&mut self) -> Vec<(u64, Vec<Kept>)> {
        self.frozen.append(&mut self.changed);
        self.frozen.iter().map(|row| (*row, self.row(*row))).collect()
    }

    /// Records that what the last freeze took is stored.
    pub(crate) fn release(&mut self) {
        self.frozen.clear();
    }

    /// The keys of a stored row: of each place the newest number.
    fn row(&self, row: u64) -> Vec<Kept> {
        let newest = |place: u64| {
            let rounds = self.used.checked_sub(place + 1)? / KEPT_MAX;
            self.by_number(place + 1 + rounds * KEPT_MAX).copied()
        };
        (row * ROW_KEYS..(row + 1) * ROW_KEYS).filter_map(newest).collect()
    }

    /// Whether numbers, names and sum fit the keys.
    pub(crate) fn is_sound(&self) -> bool {
        let mut hasher = RowHasher::default();
        let sum = self
            .kept
            .iter()
            .fold(0_u64, |sum, kept| sum.wrapping_add(hash_kept(&mut hasher, kept)));
        let first = self.used - self.kept.len() as u64 + 1;
        sum == self.sum
            && self.kept.len() as u64 == self.used.min(KEPT_MAX)
            && self.numbers.len() == self.kept.len()
            && (first..).zip(&self.kept).all(|(number, kept)| {
                kept.number == number && self.numbers.get(&kept.name) == Some(&number)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(keys: u64) -> KeyedResults {
        let (mut table, mut hasher) = (KeyedResults::default(), RowHasher::default());
        for n in 1..=keys {
            table.push(u128::from(n) << 64, 7, Did::CreateUser(UserId(n)), &mut hasher);
        }
        table
    }

    fn stored(table: &mut KeyedResults, store: &mut BTreeMap<u64, Vec<Kept>>) -> usize {
        let rows = table.take_dirty();
        table.release();
        let count = rows.len();
        store.extend(rows);
        count
    }

    #[test]
    fn the_oldest_key_is_forgotten_and_the_ring_is_restored_at_any_place() {
        let mut store = BTreeMap::new();
        let mut table = filled(KEPT_MAX - 1);
        assert_eq!(stored(&mut table, &mut store) as u64, KEPT_MAX / ROW_KEYS);
        let mut hasher = RowHasher::default();
        for more in 0..130 {
            let number = KEPT_MAX + more;
            let did = Did::CreateProduct(ProductId(number));
            table.push(u128::from(number) << 64, 8, did, &mut hasher);
            assert_eq!(table.len() as u64, KEPT_MAX);
            assert_eq!(table.get(u128::from(more) << 64), None, "the oldest is forgotten");
            assert_eq!(table.get(u128::from(more + 1) << 64).unwrap().number, more + 1);
            assert_eq!(table.get(u128::from(number) << 64).unwrap().did, did);
            if more % 13 == 0 {
                assert!(stored(&mut table, &mut store) <= 2);
                let rows = store.values().flatten().copied().collect();
                let again = KeyedResults::restore(rows, &mut hasher).expect("it is whole");
                assert_eq!((again.digest(), again.used), (table.digest(), table.used));
            }
        }
        assert!(table.is_sound());
    }

    #[test]
    fn rows_that_contradict_each_other_are_refused() {
        let mut hasher = RowHasher::default();
        let all: Vec<Kept> = filled(5).kept.into();
        assert!(KeyedResults::restore(Vec::new(), &mut hasher).is_some());
        assert!(KeyedResults::restore(all.clone(), &mut hasher).is_some());
        for without in [0, 2] {
            let mut rows = all.clone();
            rows.remove(without);
            assert!(KeyedResults::restore(rows, &mut hasher).is_none(), "{without}");
        }
        let twice = [all.clone(), all.clone()].concat();
        assert!(KeyedResults::restore(twice, &mut hasher).is_none());
        let mut same = all;
        same[1].name = same[0].name;
        assert!(KeyedResults::restore(same, &mut hasher).is_none());
    }

    #[test]
    fn what_was_done_is_answered_again() {
        for did in [
            Did::CancelOrder(OrderId(1)),
            Did::ReleaseHold(HoldId(1)),
            Did::ExtendHold(HoldId(1)),
            Did::CreateProduct(ProductId(1)),
            Did::UpdateProduct(ProductId(1)),
            Did::ArchiveProduct(ProductId(1)),
            Did::CreateUser(UserId(1)),
            Did::SettleOrder(OrderId(1)),
            Did::RecheckPayment(OrderId(1)),
            Did::SetAuth(Mode::Optional),
            Did::RevokeToken(TokenId(1)),
            Did::SetPayments,
        ] {
            assert_eq!(Did::of(&did.outcome()), Some(did));
        }
        assert_eq!(Did::of(&Outcome::Ticked), None);
    }
}
