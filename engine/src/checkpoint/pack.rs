//! How the two kinds of rows that make up nearly all of a store are packed.
//!
//! Consecutive orders and ledger rows differ little in time and place, so each number is stored as
//! its distance from the one before, in one to three bytes instead of nine. Distances wrap around:
//! any value comes back as it was, whether or not it grows. What follows from the rest is left out:
//! an order's id from its chunk, the start of a move from the end of the one before, the counters
//! after a movement from those before it.

use bincode::de::Decoder;
use bincode::enc::Encoder;
use bincode::error::{DecodeError, EncodeError};
use bincode::{Decode, Encode};
use smallvec::SmallVec;

use crate::adjustment::Adjustment;
use crate::chunks::{Chunk, Record};
use crate::event::{Event, Kind};
use crate::events::{CHUNK_EVENTS, Span};
use crate::fence::Fence;
use crate::hold::Hold;
use crate::ids::{HoldId, OrderId, Position, Timestamp, UserId};
use crate::ledger::{self, Row};
use crate::money::Money;
use crate::order::{Cause, HistoryRow, Items, Order, PaymentMethod, PaymentTask, Status};
use crate::product::Counters;
use crate::products::{Delta, SEGMENT_ROWS};
use crate::trace::TraceId;
use crate::webhook::Webhook;

/// The number that the next one is told apart from.
#[derive(Default)]
struct Last(u64);

impl Last {
    /// The signed distance to `next`, which takes the place of the last.
    fn step(&mut self, next: u64) -> i64 {
        let before = std::mem::replace(&mut self.0, next);
        next.wrapping_sub(before) as i64
    }

    /// The number at that distance, which takes the place of the last.
    fn follow(&mut self, distance: i64) -> u64 {
        self.0 = self.0.wrapping_add(distance as u64);
        self.0
    }
}

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

/// Consecutive ledger rows of one product, at most a full segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LedgerRows<R = Vec<Row>>(pub(crate) R);

impl<R: AsRef<[Row]>> Encode for LedgerRows<R> {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        let rows = self.0.as_ref();
        let before = rows
            .first()
            .map_or(Counters::default(), |row| shifted(row.after, row.delta(), i64::wrapping_sub));
        (rows.len() as u64, before).encode(encoder)?;
        let (mut position, mut at) = (Last::default(), Last::default());
        rows.iter().try_for_each(|row| {
            let moved = (position.step(row.position.0), at.step(row.at.0));
            (moved, row.cause, row.on_hand, row.held, row.reserved, row.sold).encode(encoder)
        })
    }
}

bincode::impl_borrow_decode!(LedgerRows);

impl<C> Decode<C> for LedgerRows {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<LedgerRows, DecodeError> {
        let (count, mut after) = <(u64, Counters)>::decode(decoder)?;
        if count > SEGMENT_ROWS as u64 {
            return Err(DecodeError::Other("more rows than a segment holds"));
        }
        let (mut position, mut at) = (Last::default(), Last::default());
        let mut rows: SmallVec<[Row; SEGMENT_ROWS]> = SmallVec::new();
        for _ in 0..count {
            let ((moved, passed), cause, on_hand, held, reserved, sold) =
                <((i64, i64), ledger::Cause, i64, i64, i64, i64)>::decode(decoder)?;
            let delta = Delta { on_hand, held, reserved, sold };
            after = shifted(after, delta, i64::wrapping_add);
            let (position, at) = (position.follow(moved), at.follow(passed));
            let (position, at) = (Position(position), Timestamp(at));
            rows.push(Row { position, at, cause, on_hand, held, reserved, sold, after });
        }
        Ok(LedgerRows(rows.into_vec()))
    }
}

/// The counters moved by a delta; whoever reads them checks that they make sense.
fn shifted(counters: Counters, delta: Delta, shift: fn(i64, i64) -> i64) -> Counters {
    Counters {
        on_hand: shift(counters.on_hand, delta.on_hand),
        held: shift(counters.held, delta.held),
        reserved: shift(counters.reserved, delta.reserved),
        sold: shift(counters.sold, delta.sold),
    }
}

/// Consecutive events behind their span, at most a full chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EventRows<E = Vec<Event>>(pub(crate) E);

impl<E: AsRef<[Event]>> Encode for EventRows<E> {
    fn encode<W: Encoder>(&self, encoder: &mut W) -> Result<(), EncodeError> {
        let events = self.0.as_ref();
        (Span::of(events), events.len() as u64).encode(encoder)?;
        let (mut position, mut at) = (Last::default(), Last::default());
        let mut trace = None;
        events.iter().try_for_each(|event| {
            // The steps of an order follow one another, and what one command tells has one trace.
            let other = Some(&event.trace).filter(|_| trace != Some(&event.trace));
            trace = Some(&event.trace);
            let moved = (position.step(event.position.0), event.n, at.step(event.at.0));
            (moved, other, &event.kind).encode(encoder)
        })
    }
}

bincode::impl_borrow_decode!(EventRows);

impl<C> Decode<C> for EventRows {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<EventRows, DecodeError> {
        let (span, count) = <(Option<Span>, u64)>::decode(decoder)?;
        if count > CHUNK_EVENTS as u64 {
            return Err(DecodeError::Other("more events than a chunk holds"));
        }
        let (mut position, mut at) = (Last::default(), Last::default());
        let mut events: Vec<Event> = Vec::new();
        for _ in 0..count {
            let ((moved, n, passed), trace, kind) =
                <((i64, u32, i64), Option<TraceId>, Kind)>::decode(decoder)?;
            let position = Position(position.follow(moved));
            let at = Timestamp(at.follow(passed));
            let trace = trace.or_else(|| events.last().map(|event| event.trace.clone()));
            let trace = trace.ok_or(DecodeError::Other("the first event has no trace"))?;
            events.push(Event { position, n, at, trace, kind });
        }
        match Span::of(&events) == span {
            true => Ok(EventRows(events)),
            false => Err(DecodeError::Other("the events are not of their span")),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codec::{decode_row, decode_row_start, encode_row};
    use crate::event::{HoldChange, OrderChange, ProductIds};
    use crate::ids::{AdjustmentId, ProductId, Quantity, WebhookId};
    use crate::order::{Claim, Line};
    use crate::orders::tests::sample;
    use crate::webhook::{Conflict, Report};

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
    fn every_kind_of_event_comes_back_as_it_was() {
        let (order, hold, product) = (OrderId(7), HoldId(8), ProductId(9));
        let (user, webhook) = (Some(UserId(3)), WebhookId(4));
        let (amount, report) = (Some(Money(-5)), Report::Failed);
        let changes = [
            OrderChange::Placed,
            OrderChange::Processing,
            OrderChange::Paid,
            OrderChange::Failed { reason: "no".into() },
            OrderChange::Cancelled { reason: Some("why".into()) },
            OrderChange::Cancelled { reason: None },
        ];
        let orders = changes.map(|change| {
            let products = ProductIds([product, ProductId(1)].into());
            Kind::Order { order, user, change, total: Money(1), products }
        });
        let changes = [
            HoldChange::Created,
            HoldChange::Extended,
            HoldChange::Consumed(order),
            HoldChange::Expired,
            HoldChange::Released,
        ];
        let holds = changes.map(|change| {
            let lines = [Line { product, quantity: Quantity(2) }].into();
            Kind::Hold { hold, user, lines, expires_at: Timestamp(u64::MAX), change }
        });
        let conflict = Conflict::Amount;
        let adjustment = AdjustmentId(2);
        let others = [
            Kind::OrderRejected { product, user: None },
            Kind::PaymentConflict { webhook, order, report, amount, conflict },
            Kind::PaymentUnmatched { webhook, order, report, amount: None },
            Kind::ProductCreated(product),
            Kind::ProductUpdated(product),
            Kind::ProductArchived(product),
            Kind::StockAdjusted { product, adjustment, delta: -3, available: 4 },
            Kind::SoldOut(product),
            Kind::LowStock { product, available: 1, threshold: 2 },
        ];
        let kinds = orders.into_iter().chain(holds).chain(others);
        let events: Vec<Event> = (0..)
            .zip(kinds)
            .map(|(n, kind)| Event {
                position: Position::new(5, u64::from(n) / 3),
                n,
                at: Timestamp(1_700_000_000_000),
                trace: if n % 4 < 2 { TraceId::NONE } else { TraceId::Text("t".into()) },
                kind,
            })
            .collect();
        let row = encode_row(1, &EventRows(&events));
        assert_eq!(decode_row::<EventRows>(1, &row), Ok(EventRows(events.clone())));
        let span = decode_row_start::<Option<Span>>(1, &row);
        assert_eq!(span, Ok(Span::of(&events)));
        assert!(decode_row_start::<Option<Span>>(2, &row).is_err(), "another version");
        for at in 0..row.len() {
            let mut damaged = row.clone();
            damaged[at] ^= 1;
            assert!(decode_row_start::<Option<Span>>(1, &damaged).is_err(), "byte {at}");
        }
        let empty = encode_row(1, &EventRows(&[]));
        assert_eq!(decode_row::<EventRows>(1, &empty), Ok(EventRows(Vec::new())));
        assert!(decode_row::<EventRows>(1, &encode_row(1, &(None::<Span>, 257_u64))).is_err());
    }

    #[test]
    fn what_is_too_much_for_a_row_is_refused() {
        assert!(decode_row::<Chunk<Order>>(1, &encode_row(1, &(1_u64, 65_u64))).is_err());
        assert!(decode_row::<Chunk<Order>>(1, &encode_row(1, &(u64::MAX, 1_u64))).is_err());
        let rows = (33_u64, Counters::default());
        assert!(decode_row::<LedgerRows>(1, &encode_row(1, &rows)).is_err());
    }

    proptest! {
        #[test]
        fn places_of_events_come_back_as_they_were(
            places in prop::collection::vec(
                (any::<u64>(), any::<u32>(), any::<u64>(), any::<bool>()),
                0..=256,
            ),
        ) {
            let event = |(position, n, at, traced)| Event {
                position: Position(position),
                n,
                at: Timestamp(at),
                trace: if traced { TraceId::Uuid([5; 16]) } else { TraceId::NONE },
                kind: Kind::SoldOut(ProductId(n.into())),
            };
            let events: Vec<Event> = places.into_iter().map(event).collect();
            let row = encode_row(1, &EventRows(&events));
            prop_assert_eq!(decode_row::<EventRows>(1, &row), Ok(EventRows(events)));
        }

        #[test]
        fn ledger_rows_come_back_as_they_were(
            before in (any::<i64>(), any::<i64>(), any::<i64>(), any::<i64>()),
            moves in prop::collection::vec(
                (any::<u64>(), any::<u64>(), any::<i64>(), any::<i64>(), any::<u64>()),
                0..=32,
            ),
        ) {
            let (on_hand, held, reserved, sold) = before;
            let mut after = Counters { on_hand, held, reserved, sold };
            let mut rows = Vec::new();
            for (position, at, on_hand, reserved, order) in moves {
                let delta = Delta { on_hand, reserved, ..Delta::default() };
                after = shifted(after, delta, i64::wrapping_add);
                let cause = ledger::Cause::Order(OrderId(order));
                let (position, at) = (Position(position), Timestamp(at));
                let (held, sold) = (0, 0);
                rows.push(Row { position, at, cause, on_hand, held, reserved, sold, after });
            }
            let row = encode_row(1, &LedgerRows(&rows));
            prop_assert_eq!(decode_row::<LedgerRows>(1, &row), Ok(LedgerRows(rows)));
        }

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
