//! How chunks of rows are packed.
//!
//! Orders make up nearly all of a store. Consecutive ones differ little in time and place, so each
//! number is stored as its distance from the one before ([`crate::packed`]). What follows from the
//! rest is left out: an order's id from its chunk, the start of a move from the end of the one
//! before.

use bincode::de::Decoder;
use bincode::enc::Encoder;
use bincode::error::{DecodeError, EncodeError};
use bincode::{Decode, Encode};

use crate::adjustment::Adjustment;
use crate::chunks::{Chunk, Record};
use crate::fence::Fence;
use crate::hold::Hold;
use crate::ids::{HoldId, OrderId, Position, Timestamp, UserId};
use crate::money::Money;
use crate::order::{Cause, HistoryRow, Items, Order, PaymentMethod, PaymentTask, Status};
use crate::packed::Last;
use crate::trace::TraceId;
use crate::webhook::Webhook;

/// Where the orders of a chunk stand, one after the other.
#[derive(Default)]
struct Walk {
    created: Last,
    placed: Last,
}

impl Encode for Chunk<Order> {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        let first = self.rows.first().map_or(0, |order| order.id.0);
        (first, self.rows.len() as u64).encode(encoder)?;
        let mut walk = Walk::default();
        self.rows.iter().try_for_each(|order| encode_order(order, &mut walk, encoder))
    }
}

bincode::impl_borrow_decode!(Chunk<Order>);

impl<C> Decode<C> for Chunk<Order> {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Chunk<Order>, DecodeError> {
        let (first, count) = <(u64, u64)>::decode(decoder)?;
        if count > Order::CHUNK || first > u64::MAX - Order::CHUNK {
            return Err(DecodeError::Other("more orders than a chunk holds"));
        }
        let mut walk = Walk::default();
        let mut rows = Vec::with_capacity(Order::CHUNK as usize);
        for id in first..first + count {
            rows.push(decode_order(OrderId(id), &mut walk, decoder)?);
        }
        Ok(Chunk { rows })
    }
}

/// What an order stores as it is.
type Plain<'a> = (
    Option<UserId>,
    Option<(HoldId, bool)>,
    Status,
    PaymentMethod,
    &'a Items,
    Money,
    &'a Option<Box<str>>,
    &'a Option<Box<str>>,
    &'a Option<Box<str>>,
    &'a TraceId,
    Option<PaymentTask>,
);

/// The same, read back.
type Read = (
    Option<UserId>,
    Option<(HoldId, bool)>,
    Status,
    PaymentMethod,
    Items,
    Money,
    Option<Box<str>>,
    Option<Box<str>>,
    Option<Box<str>>,
    TraceId,
    Option<PaymentTask>,
);

fn encode_order<E: Encoder>(
    order: &Order,
    walk: &mut Walk,
    encoder: &mut E,
) -> Result<(), EncodeError> {
    let plain: Plain<'_> = (
        order.user,
        order.hold.map(|hold| (hold, order.user_of_hold)),
        order.status,
        order.payment_method,
        &order.items,
        order.total,
        &order.key,
        &order.metadata,
        &order.failure_reason,
        &order.trace,
        order.task,
    );
    plain.encode(encoder)?;
    let created = walk.created.step(order.created_at.0);
    let mut at = Last(order.created_at.0);
    let deadline = order.payment_deadline.map(|deadline| Last(order.created_at.0).step(deadline.0));
    (created, deadline, order.history.len() as u64).encode(encoder)?;
    let mut position = Last(walk.placed.0);
    for (n, row) in order.history.iter().enumerate() {
        let moved = position.step(row.position.0);
        if n == 0 {
            walk.placed = Last(row.position.0);
        }
        (moved, at.step(row.at.0), row.to, &row.cause, &row.trace).encode(encoder)?;
    }
    (position.step(order.version.0), at.step(order.updated_at.0)).encode(encoder)
}

fn decode_order<D: Decoder>(
    id: OrderId,
    walk: &mut Walk,
    decoder: &mut D,
) -> Result<Order, DecodeError> {
    let read = Read::decode(decoder)?;
    let (user, hold, status, payment_method, items, total, key, metadata, reason, trace, task) =
        read;
    let (created, deadline, moves) = <(i64, Option<i64>, u64)>::decode(decoder)?;
    let created_at = Timestamp(walk.created.follow(created));
    let payment_deadline = deadline.map(|distance| Timestamp(Last(created_at.0).follow(distance)));
    let mut at = Last(created_at.0);
    let mut position = Last(walk.placed.0);
    // Not trusted with an allocation: an order moves at most three times.
    let mut history = Vec::with_capacity(3);
    let mut from = None;
    for n in 0..moves {
        let (moved, passed, to, cause, trace) =
            <(i64, i64, Status, Cause, Option<TraceId>)>::decode(decoder)?;
        let position = Position(position.follow(moved));
        if n == 0 {
            walk.placed = Last(position.0);
        }
        history.push(HistoryRow {
            position,
            from,
            to,
            at: Timestamp(at.follow(passed)),
            cause,
            trace,
        });
        from = Some(to);
    }
    let (version, updated_at) = <(i64, i64)>::decode(decoder)?;
    Ok(Order {
        id,
        user,
        hold: hold.map(|(hold, _)| hold),
        user_of_hold: hold.is_some_and(|(_, user_of_hold)| user_of_hold),
        status,
        payment_method,
        items,
        total,
        key,
        metadata,
        failure_reason: reason,
        trace,
        created_at,
        updated_at: Timestamp(at.follow(updated_at)),
        version: Position(position.follow(version)),
        task,
        payment_deadline,
        history,
    })
}

/// Packs the chunks of rows that are too few to be worth more than leaving nothing out.
macro_rules! plain_chunks {
    ($($row:ty),*) => {$(
        impl Encode for Chunk<$row> {
            fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
                self.rows.encode(encoder)
            }
        }

        bincode::impl_borrow_decode!(Chunk<$row>);

        impl<C> Decode<C> for Chunk<$row> {
            fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
                let rows = Vec::<$row>::decode(decoder)?;
                match rows.len() as u64 <= <$row>::CHUNK {
                    true => Ok(Chunk { rows }),
                    false => Err(DecodeError::Other("more rows than a chunk holds")),
                }
            }
        }
    )*};
}

plain_chunks!(Hold, Webhook, Adjustment, Fence);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codec::{decode_row, encode_row};
    use crate::order::Claim;
    use crate::orders::tests::sample;

    fn moved(order: &mut Order, to: Status, position: u64, at: u64) {
        let from = order.history.last().map(|row| row.to);
        let trace = Some(TraceId::Text("moved".into()));
        let (position, at) = (Position(position), Timestamp(at));
        let cause = Cause::PaymentClaimed;
        order.history.push(HistoryRow { position, from, to, at, cause, trace });
    }

    #[test]
    fn a_chunk_comes_back_as_it_was() {
        let mut orders = vec![sample(65), sample(66), sample(67)];
        moved(&mut orders[0], Status::Processing, 5 << 20, 1_700_000_000_500);
        moved(&mut orders[0], Status::Paid, 7 << 20, 1_700_000_000_900);
        orders[0].version = Position(7 << 20);
        orders[1].task = Some(PaymentTask {
            attempt: 2,
            attempts_max: 3,
            unanswered: 1,
            due: Timestamp(9),
            claim: Some(Claim { node: crate::ids::NodeId(3), lease_until: Timestamp(8) }),
        });
        orders[1].hold = Some(HoldId(4));
        orders[2].hold = Some(HoldId(5));
        orders[2].user_of_hold = true;
        orders[2].payment_deadline = Some(Timestamp(u64::MAX));
        orders[2].history.clear();
        let chunk = Chunk { rows: orders };
        let row = encode_row(1, &chunk);
        assert_eq!(decode_row::<Chunk<Order>>(1, &row), Ok(chunk));
        let empty = Chunk::<Order> { rows: Vec::new() };
        assert_eq!(decode_row::<Chunk<Order>>(1, &encode_row(1, &empty)), Ok(empty));
    }

    #[test]
    fn consecutive_orders_take_few_bytes() {
        let orders: Vec<Order> = (1..=64)
            .map(|id| {
                let mut order = sample(id);
                (order.metadata, order.key) = (None, None);
                order.trace = TraceId::Uuid([9; 16]);
                order
            })
            .collect();
        let bytes = encode_row(1, &Chunk { rows: orders }).len();
        assert!(bytes < 64 * 50, "{bytes}");
    }

    #[test]
    fn what_is_too_much_for_a_row_is_refused() {
        assert!(decode_row::<Chunk<Order>>(1, &encode_row(1, &(1_u64, 65_u64))).is_err());
        assert!(decode_row::<Chunk<Order>>(1, &encode_row(1, &(u64::MAX, 1_u64))).is_err());
    }

    proptest! {
        #[test]
        fn times_and_places_come_back_as_they_were(
            numbers in prop::collection::vec((any::<u64>(), any::<u64>(), any::<u64>()), 1..=64),
        ) {
            let orders = (1..)
                .zip(numbers)
                .map(|(id, (created, updated, position))| {
                    let mut order = sample(id);
                    order.created_at = Timestamp(created);
                    order.updated_at = Timestamp(updated);
                    order.history[0].position = Position(position);
                    moved(&mut order, Status::Processing, updated, position);
                    order.version = Position(created);
                    order
                })
                .collect();
            let chunk = Chunk { rows: orders };
            prop_assert_eq!(decode_row::<Chunk<Order>>(1, &encode_row(1, &chunk)), Ok(chunk));
        }
    }
}
