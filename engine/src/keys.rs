//! Idempotency keys: what each key made, and from which request.
//!
//! The index identifies a key by a hash of its scope and text, so a long key costs as much as a
//! short one. Keys are not stored by themselves: each is in the row that it made, and is restored
//! from there.

mod meaning;
mod name;
mod rule;
mod table;

use crate::ids::UserId;
use crate::secret::Secret;

pub(crate) use self::meaning::{
    Meaning, of_adjustment, of_adjustment_row, of_hold, of_hold_row, of_order, of_order_row,
    of_refund, of_refund_row, of_webhook,
};
pub(crate) use self::name::{KeyHash, Scope, Used};
pub(crate) use self::rule::{Rule, ShortMeanings};

use self::rule::Places;
use self::table::Table;

/// The longest idempotency key, in characters.
pub(crate) const KEY_CHARS_MAX: usize = 255;

/// The index of all used keys.
///
/// It is only looked up and added to, never iterated, so its order does not matter.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    rule: Rule,
    table: Table,
    /// Keys from before the cluster was raised to level 1, whose places anybody can compute. Empty
    /// once the state was read from a checkpoint. No key is in both tables.
    old: Table,
}

impl Keys {
    /// No keys yet, of a cluster at level 1 or above.
    pub(crate) fn keyed(secret: &Secret, short: ShortMeanings) -> Keys {
        let table = Table::new(Places::keyed(secret));
        Keys { rule: Rule::keyed(secret, short), table, old: Table::default() }
    }

    /// Begins level 1. These rows were made before.
    pub(crate) fn raise(&mut self, secret: &Secret, short: ShortMeanings) {
        let old = std::mem::replace(self, Keys::keyed(secret, short));
        self.old = old.table;
    }

    /// How meanings are compared.
    pub(crate) fn rule(&self) -> Rule {
        self.rule
    }

    /// What a row is found by that a request of this meaning made.
    pub(crate) fn used(&self, scope: Scope, id: u64, meaning: &Meaning) -> Used {
        Used { id, fingerprint: self.rule.fingerprint(scope, id, meaning) }
    }

    /// Whether a request of this meaning is the one that used the key.
    pub(crate) fn is_same(&self, scope: Scope, used: Used, meaning: &Meaning) -> bool {
        self.rule.fingerprint(scope, used.id, meaning) == used.fingerprint
    }

    /// What the key was used for, if it was used.
    pub(crate) fn get(&self, key: KeyHash) -> Option<Used> {
        self.table.get(key).or_else(|| self.old.get(key))
    }

    /// Prefetches what a lookup of the key reads.
    pub(crate) fn fetch(&self, key: KeyHash) {
        std::hint::black_box(self.table.fetch(key) ^ self.old.fetch(key));
    }

    /// Records a key's use. False when it was used before, which the caller must have ruled out.
    pub(crate) fn insert(&mut self, key: KeyHash, used: Used) -> bool {
        if self.old.get(key).is_some() {
            return self.old.insert(key, used).is_none();
        }
        self.table.insert(key, used).is_none()
    }

    /// How many keys were used.
    pub(crate) fn len(&self) -> usize {
        self.table.len() + self.old.len()
    }
}

/// What stands before the key of a sender that is limited to a user. No key that a client sends has
/// this character, so no other sender can name the key.
const OWNER: char = '\0';

/// The key of a sender that is limited to a user, apart from equal keys of all others.
pub fn owned(user: UserId, key: &str) -> Box<str> {
    format!("{OWNER}{user}{OWNER}{key}").into()
}

/// A key as its sender knows it.
pub fn plain(key: &str) -> &str {
    let owned = key.strip_prefix(OWNER).and_then(|rest| rest.split_once(OWNER));
    owned.map_or(key, |(_, plain)| plain)
}

/// Whether a text is a valid idempotency key: 1 to [`KEY_CHARS_MAX`] characters, none of them a
/// control character. What stands before it for its owner does not count.
pub(crate) fn is_key(text: &str) -> bool {
    let text = plain(text);
    // A character has at most four bytes; the cheap check comes first.
    (1..=4 * KEY_CHARS_MAX).contains(&text.len())
        && text.chars().count() <= KEY_CHARS_MAX
        && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_text_is_another_key_in_another_scope() {
        assert_ne!(KeyHash::of(Scope::Order, "k"), KeyHash::of(Scope::Hold, "k"));
        assert_eq!(KeyHash::of(Scope::Order, "k"), KeyHash::of(Scope::Order, "k"));
    }

    #[test]
    fn a_key_is_printable_and_of_bounded_length() {
        assert!(
            is_key("k")
                && is_key(&"é".repeat(255))
                && is_key(&"😀".repeat(255))
                && is_key(&"k".repeat(255))
        );
        assert!(
            !is_key("")
                && !is_key(&"é".repeat(256))
                && !is_key(&"k".repeat(256))
                && !is_key("a\nb")
                && !is_key("\u{7f}")
        );
    }

    /// Chosen keys: their names share the lowest bits, which are their place without a secret.
    fn crowded(count: u128) -> impl Iterator<Item = KeyHash> {
        (0..count).map(|number| KeyHash(number << 32 | 0x1234))
    }

    #[test]
    fn chosen_keys_crowd_no_place_from_level_1_on() {
        let secret = Secret([7; 32]);
        let used = |id| Used { id, fingerprint: id };
        let mut keys = Keys::default();
        for (id, key) in (1..).zip(crowded(2_000)) {
            assert!(keys.insert(key, used(id)));
        }
        assert_eq!(keys.table.longest(), 2_000, "level 0 can be crowded");
        keys.raise(&secret, ShortMeanings::default());
        for (id, key) in (1..).zip(crowded(18_000)) {
            assert_eq!(keys.insert(key, used(id)), id > 2_000, "key {id}");
        }
        assert!(crowded(18_000).zip(1..).all(|(key, id)| keys.get(key) == Some(used(id))));
        assert_eq!(keys.len(), 18_000);
        assert!(keys.table.longest() < 60, "{}", keys.table.longest());
    }

    #[test]
    fn rows_from_before_level_1_keep_short_meanings() {
        let short = ShortMeanings { holds: 5, ..ShortMeanings::default() };
        let before = Keys::default();
        let after = Keys::keyed(&Secret([7; 32]), short);
        let meaning = of_hold(None, &[], Some(1));
        for id in [5, 6] {
            let used = before.used(Scope::Hold, id, &meaning);
            assert_eq!(after.is_same(Scope::Hold, used, &meaning), id == 5);
        }
        assert!(after.used(Scope::Refund, 5, &meaning).fingerprint > u64::from(u32::MAX));
    }
}
