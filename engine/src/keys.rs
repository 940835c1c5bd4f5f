//! Idempotency keys: what each key made, and from which request.
//!
//! The index identifies a key by a hash of its scope and text, so a long key costs as much as a
//! short one. Keys are not stored by themselves: each is in the row that it made, and is restored
//! from there.

mod name;
mod table;

use smallvec::SmallVec;
use xxhash_rust::xxh3::xxh3_64;

use crate::adjustment::{Adjustment, Change};
use crate::hold::Hold;
use crate::ids::{HoldId, OrderId, ProductId, UserId};
use crate::money::Money;
use crate::order::{Line, Order, PaymentMethod};
use crate::refund::{self, Refund};
use crate::webhook::Report;

pub(crate) use self::name::{KeyHash, Scope, Used};

use self::table::Table;

/// The longest idempotency key, in characters.
pub(crate) const KEY_CHARS_MAX: usize = 255;

/// The index of all used keys.
///
/// It is only looked up and added to, never iterated, so its order does not matter.
#[derive(Debug, Default)]
pub(crate) struct Keys(Table);

impl Keys {
    /// What the key was used for, if it was used.
    pub(crate) fn get(&self, key: KeyHash) -> Option<Used> {
        self.0.get(key)
    }

    /// Prefetches what a lookup of the key reads.
    pub(crate) fn fetch(&self, key: KeyHash) {
        std::hint::black_box(self.0.fetch(key));
    }

    /// Records a key's use. False when it was used before, which the caller must have ruled out.
    pub(crate) fn insert(&mut self, key: KeyHash, used: Used) -> bool {
        self.0.insert(key, used).is_none()
    }

    /// How many keys were used.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
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

/// Collects what makes two requests the same. Settings and the key itself are not part of it.
///
/// Passed by reference from step to step, because it is large enough for an order of several lines.
#[derive(Default)]
struct Meaning(SmallVec<[u8; 256]>);

impl Meaning {
    fn number(&mut self, number: u64) -> &mut Meaning {
        self.0.extend_from_slice(&number.to_le_bytes());
        self
    }

    fn option(&mut self, number: Option<u64>) -> &mut Meaning {
        self.number(u64::from(number.is_some())).number(number.unwrap_or_default())
    }

    fn text(&mut self, text: Option<&str>) -> &mut Meaning {
        let with_length = self.option(text.map(|text| text.len() as u64));
        with_length.0.extend_from_slice(text.unwrap_or_default().as_bytes());
        with_length
    }

    fn lines(&mut self, lines: impl ExactSizeIterator<Item = Line>) -> &mut Meaning {
        let count = self.number(lines.len() as u64);
        lines.fold(count, |meaning, line| {
            meaning.number(line.product.0).number(u64::from(line.quantity.0))
        })
    }

    /// Two different requests have the same with a probability of one in four billion.
    fn fingerprint(&self) -> u32 {
        xxh3_64(&self.0) as u32
    }
}

/// The meaning of a request for an order: who asks for what or takes which hold over, paid how.
pub(crate) fn of_order(
    user: Option<UserId>,
    hold: Option<HoldId>,
    lines: impl ExactSizeIterator<Item = Line>,
    payment_method: PaymentMethod,
    metadata: Option<&str>,
) -> u32 {
    let payment_method = match payment_method {
        PaymentMethod::Mock => 0,
        PaymentMethod::Webhook => 1,
        PaymentMethod::None => 2,
        PaymentMethod::Gateway => 3,
    };
    Meaning::default()
        .option(user.map(|user| user.0))
        .option(hold.map(|hold| hold.0))
        .lines(lines)
        .number(payment_method)
        .text(metadata)
        .fingerprint()
}

/// The meaning of the request that made an order, taken back from its row.
pub(crate) fn of_order_row(order: &Order) -> u32 {
    let user = order.user.filter(|_| !order.user_of_hold);
    // The lines of an order from a hold are the hold's; the request named none.
    let items = if order.hold.is_none() { &order.items[..] } else { &[] };
    let lines = items.iter().map(|item| Line { product: item.product, quantity: item.quantity });
    of_order(user, order.hold, lines, order.payment_method, order.metadata.as_deref())
}

/// The meaning of a request for a hold: who wants what for how long.
pub(crate) fn of_hold(user: Option<UserId>, lines: &[Line], ttl_ms: u64) -> u32 {
    Meaning::default()
        .option(user.map(|user| user.0))
        .lines(lines.iter().copied())
        .number(ttl_ms)
        .fingerprint()
}

/// The meaning of the request that made a hold, taken back from its row.
pub(crate) fn of_hold_row(hold: &Hold) -> u32 {
    of_hold(hold.user, &hold.lines, hold.ttl_ms)
}

/// The meaning of a report of a payment. Its payload is the provider's own business and may differ
/// from one delivery to the next.
pub(crate) fn of_webhook(order: OrderId, report: Report, amount: Option<Money>) -> u32 {
    let report = match report {
        Report::Succeeded => 0,
        Report::Failed => 1,
    };
    Meaning::default()
        .number(order.0)
        .number(report)
        .option(amount.map(|amount| amount.0.cast_unsigned()))
        .fingerprint()
}

/// The meaning of a request to adjust a stock.
pub(crate) fn of_adjustment(
    product: ProductId,
    change: Change,
    expected: Option<i64>,
    reason: &str,
) -> u32 {
    let (kind, units) = match change {
        Change::By(units) => (0, units),
        Change::To(units) => (1, units),
    };
    Meaning::default()
        .number(product.0)
        .number(kind)
        .number(units.cast_unsigned())
        .option(expected.map(i64::cast_unsigned))
        .text(Some(reason))
        .fingerprint()
}

/// The meaning of the request that made an adjustment, taken back from its row.
pub(crate) fn of_adjustment_row(row: &Adjustment) -> u32 {
    of_adjustment(row.product, row.change, row.expected, &row.reason)
}

/// The meaning of a request for a refund. Reason and actor may differ.
pub(crate) fn of_refund(order: OrderId, amount: Option<Money>, lines: &[refund::Line]) -> u32 {
    let mut meaning = Meaning::default();
    let count = meaning
        .number(order.0)
        .option(amount.map(|amount| amount.0.cast_unsigned()))
        .number(lines.len() as u64);
    lines.iter().fold(count, |meaning, line| {
        let numbers = [line.line, line.quantity.0, u32::from(line.restock)];
        numbers.into_iter().fold(meaning, |meaning, number| meaning.number(u64::from(number)))
    });
    meaning.fingerprint()
}

/// The meaning of the request that made a refund, taken back from its row.
pub(crate) fn of_refund_row(refund: &Refund) -> u32 {
    of_refund(refund.order, refund.named_amount, &refund.lines)
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

    #[test]
    fn neighbouring_texts_do_not_run_together() {
        let meaning = |one, other| Meaning::default().text(one).text(other).fingerprint();
        assert_ne!(meaning(Some("ab"), Some("c")), meaning(Some("a"), Some("bc")));
        assert_ne!(meaning(None, Some("")), meaning(Some(""), None));
    }
}
