//! Packed ledger rows of one product.
//!
//! The counters after a movement follow from those before it, so they are omitted.

use bincode::de::Decoder;
use bincode::enc::Encoder;
use bincode::enc::write::Writer;
use bincode::error::{DecodeError, EncodeError};
use bincode::{Decode, Encode};

use crate::codec;
use crate::ids::{Position, Timestamp};
use crate::ledger::{Cause, Delta, Row, SEGMENT_ROWS};
use crate::packed::Last;
use crate::product::Counters;

/// The encoding of a row: the distances of its position and time, its cause, and the changes of
/// `on_hand`, `held`, `reserved` and `sold`.
type Stored = ((i64, i64), Cause, i64, i64, i64, i64);

/// Consecutive rows of one product; more can be added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PackedLedger {
    /// The counters before the first row.
    before: Counters,
    rows: usize,
    position: Last,
    at: Last,
    /// The rows' share of the digest.
    sum: u64,
    bytes: Vec<u8>,
}

impl PackedLedger {
    /// Adds the newest row, whose share of the digest is `hash`.
    pub(crate) fn push(&mut self, row: &Row, hash: u64) {
        if self.rows == 0 {
            self.before = shifted(row.after, row.delta(), i64::wrapping_sub);
        }
        self.rows += 1;
        self.sum = self.sum.wrapping_add(hash);
        let moved = (self.position.step(row.position.0), self.at.step(row.at.0));
        let stored: Stored = (moved, row.cause, row.on_hand, row.held, row.reserved, row.sold);
        codec::encode_into(&stored, &mut self.bytes);
    }

    /// An empty run to follow this one, with as much capacity as this one used.
    pub(crate) fn following(&self) -> PackedLedger {
        PackedLedger { bytes: Vec::with_capacity(self.bytes.len()), ..PackedLedger::default() }
    }

    /// How many rows there are.
    pub(crate) fn len(&self) -> usize {
        self.rows
    }

    /// The rows' share of the digest.
    pub(crate) fn sum(&self) -> u64 {
        self.sum
    }

    /// The byte after which the next row goes; reading it prefetches that place.
    pub(crate) fn newest_byte(&self) -> u8 {
        self.bytes.last().copied().unwrap_or_default()
    }

    /// The counters before the first row, if there is one.
    pub(crate) fn before(&self) -> Option<Counters> {
        (self.rows > 0).then_some(self.before)
    }

    /// The rows, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Row> {
        let mut bytes = &self.bytes[..];
        let mut walk = Walk::from(self.before);
        (0..self.rows).map(move |_| walk.row(codec::decode_next(&mut bytes)))
    }
}

impl Encode for PackedLedger {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        (self.rows as u64, self.before).encode(encoder)?;
        encoder.writer().write(&self.bytes)
    }
}

/// The same rows, decoded: at most a full segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LedgerRows(pub(crate) Vec<Row>);

bincode::impl_borrow_decode!(LedgerRows);

impl<C> Decode<C> for LedgerRows {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<LedgerRows, DecodeError> {
        let (count, before) = <(u64, Counters)>::decode(decoder)?;
        if count > SEGMENT_ROWS as u64 {
            return Err(DecodeError::Other("more rows than a segment may have"));
        }
        let mut walk = Walk::from(before);
        let rows = (0..count).map(|_| Stored::decode(decoder).map(|stored| walk.row(stored)));
        Ok(LedgerRows(rows.collect::<Result<_, _>>()?))
    }
}

/// The state of decoding.
struct Walk {
    position: Last,
    at: Last,
    after: Counters,
}

impl From<Counters> for Walk {
    fn from(before: Counters) -> Walk {
        Walk { position: Last::default(), at: Last::default(), after: before }
    }
}

impl Walk {
    fn row(&mut self, stored: Stored) -> Row {
        let ((moved, passed), cause, on_hand, held, reserved, sold) = stored;
        let delta = Delta { on_hand, held, reserved, sold };
        self.after = shifted(self.after, delta, i64::wrapping_add);
        Row {
            position: Position(self.position.follow(moved)),
            at: Timestamp(self.at.follow(passed)),
            cause,
            on_hand,
            held,
            reserved,
            sold,
            after: self.after,
        }
    }
}

/// The counters after a change. It wraps; callers check the result.
fn shifted(counters: Counters, delta: Delta, shift: fn(i64, i64) -> i64) -> Counters {
    Counters {
        on_hand: shift(counters.on_hand, delta.on_hand),
        held: shift(counters.held, delta.held),
        reserved: shift(counters.reserved, delta.reserved),
        sold: shift(counters.sold, delta.sold),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codec::{decode_row, encode_row};
    use crate::ids::OrderId;

    #[test]
    fn more_rows_than_a_segment_may_have_are_refused() {
        let rows = (33_u64, Counters::default());
        assert!(decode_row::<LedgerRows>(1, &encode_row(1, &rows)).is_err());
    }

    proptest! {
        #[test]
        fn rows_come_back_as_they_were(
            before in (any::<i64>(), any::<i64>(), any::<i64>(), any::<i64>()),
            moves in prop::collection::vec(
                (any::<u64>(), any::<u64>(), any::<i64>(), any::<i64>(), any::<u64>()),
                0..=32,
            ),
        ) {
            let (on_hand, held, reserved, sold) = before;
            let mut after = Counters { on_hand, held, reserved, sold };
            let (mut rows, mut packed) = (Vec::new(), PackedLedger::default());
            for (position, at, on_hand, reserved, order) in moves {
                let delta = Delta { on_hand, reserved, ..Delta::default() };
                after = shifted(after, delta, i64::wrapping_add);
                let cause = Cause::Order(OrderId(order));
                let (position, at) = (Position(position), Timestamp(at));
                let (held, sold) = (0, 0);
                rows.push(Row { position, at, cause, on_hand, held, reserved, sold, after });
                packed.push(rows.last().expect("one was added"), 1);
            }
            prop_assert_eq!(packed.len(), rows.len());
            prop_assert_eq!(packed.iter().collect::<Vec<_>>(), rows.clone());
            let row = encode_row(1, &packed);
            prop_assert_eq!(decode_row::<LedgerRows>(1, &row), Ok(LedgerRows(rows)));
        }
    }
}
