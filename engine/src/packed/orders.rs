//! Packed orders.
//!
//! Orders are nearly all of a store. Consecutive ones differ little in time and position, so each
//! number is stored as its distance from the one before. What follows from other fields is omitted:
//! an order's id follows from its chunk, the start of a move from the end of the one before.

use bincode::de::Decoder;
use bincode::enc::Encoder;
use bincode::error::{DecodeError, EncodeError};
use bincode::{Decode, Encode};

use crate::ids::{HoldId, OrderId, Position, Timestamp, UserId};
use crate::money::Money;
use crate::order::{
    self, Cause, History, HistoryRow, Items, Order, PaymentMethod, PaymentTask, Status,
};
use crate::packed::{InChunk, Last};
use crate::record::Record;
use crate::trace::TraceId;

/// The time and position of the order before.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Walk {
    created: Last,
    placed: Last,
}

impl InChunk for Order {
    type Walk = Walk;

    fn encode_head<E: Encoder>(first: u64, count: u64, encoder: &mut E) -> Result<(), EncodeError> {
        (first, count).encode(encoder)
    }

    fn decode_head<D: Decoder<Context = ()>>(decoder: &mut D) -> Result<(u64, u64), DecodeError> {
        let (first, count) = <(u64, u64)>::decode(decoder)?;
        match first <= u64::MAX - Order::CHUNK {
            true => Ok((first, count)),
            false => Err(DecodeError::Other("ids that no order can have")),
        }
    }

    fn encode_next<E: Encoder>(&self, walk: &mut Walk, encoder: &mut E) -> Result<(), EncodeError> {
        let plain: Plain<'_> = (
            self.user,
            self.hold.map(|hold| (hold, self.user_of_hold)),
            order::status_number(self),
            self.payment_method,
            &self.items,
            self.total,
            &self.key,
            &self.metadata,
            &self.failure_reason,
            &self.trace,
            self.task,
        );
        plain.encode(encoder)?;
        let created = walk.created.step(self.created_at.0);
        let mut at = Last(self.created_at.0);
        let deadline =
            self.payment_deadline.map(|deadline| Last(self.created_at.0).step(deadline.0));
        (created, deadline, self.history.len() as u64).encode(encoder)?;
        let mut position = Last(walk.placed.0);
        for (n, row) in self.history.iter().enumerate() {
            let moved = position.step(row.position.0);
            if n == 0 {
                walk.placed = Last(row.position.0);
            }
            (moved, at.step(row.at.0), row.to, &row.cause, &row.trace).encode(encoder)?;
        }
        (position.step(self.version.0), at.step(self.updated_at.0)).encode(encoder)?;
        self.reference.as_ref().map_or(Ok(()), |text| text.encode(encoder))
    }

    fn decode_next<D: Decoder<Context = ()>>(
        id: u64,
        walk: &mut Walk,
        decoder: &mut D,
    ) -> Result<Order, DecodeError> {
        let read = Read::decode(decoder)?;
        let (user, hold, status, payment_method, items, total, key, metadata, reason, trace, task) =
            read;
        let (status, has_reference) = order::read_status(status)?;
        let (created, deadline, moves) = <(i64, Option<i64>, u64)>::decode(decoder)?;
        let created_at = Timestamp(walk.created.follow(created));
        let payment_deadline =
            deadline.map(|distance| Timestamp(Last(created_at.0).follow(distance)));
        let mut at = Last(created_at.0);
        let mut position = Last(walk.placed.0);
        let mut history = History::new();
        let mut from = None;
        for n in 0..moves {
            let (moved, passed, to, cause, trace) =
                <(i64, i64, Status, Cause, Option<Box<TraceId>>)>::decode(decoder)?;
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
        let reference = has_reference.then(|| Decode::decode(decoder)).transpose()?;
        Ok(Order {
            id: OrderId(id),
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
            reference,
        })
    }
}

/// The fields that an order stores unchanged.
type Plain<'a> = (
    Option<UserId>,
    Option<(HoldId, bool)>,
    u32,
    PaymentMethod,
    &'a Items,
    Money,
    &'a Option<Box<str>>,
    &'a Option<Box<str>>,
    &'a Option<Box<str>>,
    &'a TraceId,
    Option<PaymentTask>,
);

/// The same, decoded.
type Read = (
    Option<UserId>,
    Option<(HoldId, bool)>,
    u32,
    PaymentMethod,
    Items,
    Money,
    Option<Box<str>>,
    Option<Box<str>>,
    Option<Box<str>>,
    TraceId,
    Option<PaymentTask>,
);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codec::{decode_row, encode_row};
    use crate::order::Claim;
    use crate::orders::tests::sample;
    use crate::record::Chunk;

    fn moved(order: &mut Order, to: Status, position: u64, at: u64) {
        let from = order.history.last().map(|row| row.to);
        let trace = Some(Box::new(TraceId::Text("moved".into())));
        let (position, at) = (Position(position), Timestamp(at));
        let cause = Cause::PaymentClaimed;
        order.history.push(HistoryRow { position, from, to, at, cause, trace });
    }

    #[test]
    fn a_chunk_survives_the_round_trip() {
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
        orders[2].history = History::new();
        orders[2].reference = Some("cart 7".into());
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
    fn values_out_of_bounds_are_refused() {
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
