//! What requests mean: two that mean the same under one key are one request.

use smallvec::SmallVec;
use xxhash_rust::xxh3::xxh3_64;

use crate::adjustment::{Adjustment, Change};
use crate::hold::Hold;
use crate::ids::{HoldId, OrderId, ProductId, UserId};
use crate::money::Money;
use crate::order::{Line, Order, PaymentMethod};
use crate::refund::{self, Refund};
use crate::webhook::Report;

/// What makes two requests the same. Settings and the key itself are not part of it.
#[derive(Debug, Default)]
pub(crate) struct Meaning(SmallVec<[u8; 256]>);

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

    /// The hash of level 0. Anybody can compute it, and finds two requests that share one within
    /// seconds.
    pub(super) fn short(&self) -> u64 {
        xxh3_64(&self.0) & u64::from(u32::MAX)
    }

    /// The hash from level 1 on. Who does not know the secret cannot look for two requests that
    /// share one.
    pub(super) fn keyed(&self, secret: &[u8; 32]) -> u64 {
        let hash = blake3::keyed_hash(secret, &self.0);
        let (first, _) = hash.as_bytes().split_first_chunk::<8>().expect("a hash has 32 bytes");
        u64::from_le_bytes(*first)
    }
}

/// The meaning of a request for an order: who asks for what or takes which hold over, paid how.
pub(crate) fn of_order(
    user: Option<UserId>,
    hold: Option<HoldId>,
    lines: impl ExactSizeIterator<Item = Line>,
    payment_method: PaymentMethod,
    metadata: Option<&str>,
    reference: Option<&str>,
) -> Meaning {
    let payment_method = match payment_method {
        PaymentMethod::Mock => 0,
        PaymentMethod::Webhook => 1,
        PaymentMethod::None => 2,
        PaymentMethod::Gateway => 3,
    };
    let mut meaning = Meaning::default();
    meaning
        .option(user.map(|user| user.0))
        .option(hold.map(|hold| hold.0))
        .lines(lines)
        .number(payment_method)
        .text(metadata);
    // Without one, the meaning is as before orders had any.
    if reference.is_some() {
        meaning.text(reference);
    }
    meaning
}

/// The meaning of the request that made an order, taken back from its row.
pub(crate) fn of_order_row(order: &Order) -> Meaning {
    let user = order.user.filter(|_| !order.user_of_hold);
    // The lines of an order from a hold are the hold's; the request named none.
    let items = if order.hold.is_none() { &order.items[..] } else { &[] };
    let lines = items.iter().map(|item| Line { product: item.product, quantity: item.quantity });
    let (metadata, reference) = (order.metadata.as_deref(), order.reference.as_deref());
    of_order(user, order.hold, lines, order.payment_method, metadata, reference)
}

/// The meaning of a request for a hold: who wants what for how long. `ttl_ms` is `None` when the
/// client left it to the server.
pub(crate) fn of_hold(user: Option<UserId>, lines: &[Line], ttl_ms: Option<u64>) -> Meaning {
    let mut meaning = Meaning::default();
    let named = meaning.option(user.map(|user| user.0)).lines(lines.iter().copied());
    match ttl_ms {
        Some(ttl_ms) => named.number(ttl_ms),
        // Longer than a number, so it is no number.
        None => named.option(None),
    };
    meaning
}

/// The meaning of the request that made a hold, taken back from its row.
pub(crate) fn of_hold_row(hold: &Hold) -> Meaning {
    of_hold(hold.user, &hold.lines, (!hold.ttl_is_default).then_some(hold.ttl_ms))
}

/// The meaning of a report of a payment. Its payload is the provider's own business and may differ
/// from one delivery to the next.
pub(crate) fn of_webhook(order: OrderId, report: Report, amount: Option<Money>) -> Meaning {
    let report = match report {
        Report::Succeeded => 0,
        Report::Failed => 1,
    };
    let mut meaning = Meaning::default();
    meaning.number(order.0).number(report).option(amount.map(|amount| amount.0.cast_unsigned()));
    meaning
}

/// The meaning of a request to adjust a stock.
pub(crate) fn of_adjustment(
    product: ProductId,
    change: Change,
    expected: Option<i64>,
    reason: &str,
) -> Meaning {
    let (kind, units) = match change {
        Change::By(units) => (0, units),
        Change::To(units) => (1, units),
    };
    let mut meaning = Meaning::default();
    meaning
        .number(product.0)
        .number(kind)
        .number(units.cast_unsigned())
        .option(expected.map(i64::cast_unsigned))
        .text(Some(reason));
    meaning
}

/// The meaning of the request that made an adjustment, taken back from its row.
pub(crate) fn of_adjustment_row(row: &Adjustment) -> Meaning {
    of_adjustment(row.product, row.change, row.expected, &row.reason)
}

/// The meaning of a request for a refund. Reason and actor may differ.
pub(crate) fn of_refund(order: OrderId, amount: Option<Money>, lines: &[refund::Line]) -> Meaning {
    let mut meaning = Meaning::default();
    meaning
        .number(order.0)
        .option(amount.map(|amount| amount.0.cast_unsigned()))
        .number(lines.len() as u64);
    for line in lines {
        meaning
            .number(u64::from(line.line))
            .number(u64::from(line.quantity.0))
            .number(u64::from(line.restock));
    }
    meaning
}

/// The meaning of the request that made a refund, taken back from its row.
pub(crate) fn of_refund_row(refund: &Refund) -> Meaning {
    of_refund(refund.order, refund.named_amount, &refund.lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Quantity;

    #[test]
    fn neighbouring_texts_do_not_run_together() {
        let meaning = |one, other| {
            let mut meaning = Meaning::default();
            meaning.text(one).text(other);
            meaning.short()
        };
        assert_ne!(meaning(Some("ab"), Some("c")), meaning(Some("a"), Some("bc")));
        assert_ne!(meaning(None, Some("")), meaning(Some(""), None));
    }

    #[test]
    fn a_time_to_live_that_is_left_to_the_server_is_none_that_a_client_can_name() {
        let lines = [Line { product: ProductId(1), quantity: Quantity(1) }];
        let keyed = |ttl_ms| of_hold(None, &lines, ttl_ms).keyed(&[7; 32]);
        assert!([0, 1, u64::MAX].iter().all(|named| keyed(Some(*named)) != keyed(None)));
    }

    #[test]
    fn requests_that_share_a_short_hash_have_different_keyed_ones() {
        let refund = |amount| of_refund(OrderId(1), Some(Money(amount)), &[]);
        let mut seen = std::collections::BTreeMap::new();
        // Among n requests n²/2^33 pairs share one.
        let pair = (1..400_000).find_map(|amount| {
            let before = seen.insert(refund(amount).short(), amount)?;
            Some((refund(before), refund(amount)))
        });
        let (one, other) = pair.expect("18 pairs on average");
        assert_eq!(one.short(), other.short());
        assert_ne!(one.keyed(&[7; 32]), other.keyed(&[7; 32]));
        assert_ne!(one.keyed(&[7; 32]), one.keyed(&[8; 32]), "the secret matters");
    }
}
