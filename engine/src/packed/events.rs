//! Packed events.
//!
//! All events of one command have one trace id, so an event omits the trace id when it is that of
//! the event before.

use bincode::de::Decoder;
use bincode::enc::Encoder;
use bincode::enc::write::Writer;
use bincode::error::{DecodeError, EncodeError};
use bincode::{Decode, Encode};

use crate::codec;
use crate::event::{Event, EventId, Kind};
use crate::ids::{Position, Timestamp};
use crate::packed::Last;
use crate::trace::TraceId;

/// Events in one stored chunk.
pub(crate) const CHUNK_EVENTS: usize = 256;

/// The bounds of a chunk of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Span {
    pub(crate) first: EventId,
    pub(crate) last: EventId,
    /// The time of the last event.
    pub(crate) last_at: Timestamp,
}

impl Span {
    /// The span of events; `None` when there are none.
    pub(crate) fn of(events: &[Event]) -> Option<Span> {
        let (first, last) = (events.first()?, events.last()?);
        Some(Span { first: first.id(), last: last.id(), last_at: last.at })
    }
}

/// The encoding of an event: the distance of its position, its number, the distance of its time,
/// its trace id unless it is that of the event before, and its kind.
type Stored = ((i64, u32, i64), Option<TraceId>, Kind);

/// Consecutive events; more can be added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PackedEvents {
    span: Option<Span>,
    events: usize,
    position: Last,
    at: Last,
    /// The trace of the newest event.
    trace: Option<TraceId>,
    bytes: Vec<u8>,
}

impl PackedEvents {
    /// Adds the newest event.
    pub(crate) fn push(&mut self, event: &Event) {
        let id = event.id();
        let first = self.span.map_or(id, |span| span.first);
        self.span = Some(Span { first, last: id, last_at: event.at });
        self.events += 1;
        let other = Some(&event.trace).filter(|trace| self.trace.as_ref() != Some(*trace));
        let moved = (self.position.step(event.position.0), event.n, self.at.step(event.at.0));
        codec::encode_into(&(moved, other, &event.kind), &mut self.bytes);
        if other.is_some() {
            self.trace = Some(event.trace.clone());
        }
    }

    /// An empty run to follow this one, with as much capacity as this one used.
    pub(crate) fn following(&self) -> PackedEvents {
        PackedEvents { bytes: Vec::with_capacity(self.bytes.len()), ..PackedEvents::default() }
    }

    /// How many events there are.
    pub(crate) fn len(&self) -> usize {
        self.events
    }

    /// Their span, if there are any.
    pub(crate) fn span(&self) -> Option<Span> {
        self.span
    }

    /// The events after `id`, oldest first. Decodes all before it, too.
    pub(crate) fn after(&self, id: EventId) -> impl Iterator<Item = Event> {
        // Readers are nearly always up to date.
        let events = if self.span.is_some_and(|span| span.last > id) { self.events } else { 0 };
        let mut bytes = &self.bytes[..];
        let mut walk = Walk::default();
        let events = (0..events).map(move |_| {
            let event = walk.event(codec::decode_next(&mut bytes));
            event.expect("the first event was packed with its trace")
        });
        events.filter(move |event| event.id() > id)
    }
}

impl Encode for PackedEvents {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        (self.span, self.events as u64).encode(encoder)?;
        encoder.writer().write(&self.bytes)
    }
}

/// The same events, decoded: at most a full chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EventRows(pub(crate) Vec<Event>);

bincode::impl_borrow_decode!(EventRows);

impl<C> Decode<C> for EventRows {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<EventRows, DecodeError> {
        let (span, count) = <(Option<Span>, u64)>::decode(decoder)?;
        if count > CHUNK_EVENTS as u64 {
            return Err(DecodeError::Other("more events than a chunk may have"));
        }
        let mut walk = Walk::default();
        let events = (0..count).map(|_| walk.event(Stored::decode(decoder)?));
        let events: Vec<Event> = events.collect::<Result<_, _>>()?;
        match Span::of(&events) == span {
            true => Ok(EventRows(events)),
            false => Err(DecodeError::Other("the span is not that of the events")),
        }
    }
}

/// The state of decoding.
#[derive(Default)]
struct Walk {
    position: Last,
    at: Last,
    trace: Option<TraceId>,
}

impl Walk {
    fn event(&mut self, stored: Stored) -> Result<Event, DecodeError> {
        let ((moved, n, passed), trace, kind) = stored;
        let position = Position(self.position.follow(moved));
        let at = Timestamp(self.at.follow(passed));
        if trace.is_some() {
            self.trace = trace;
        }
        let trace = self.trace.clone().ok_or(DecodeError::Other("the first event has no trace"))?;
        Ok(Event { position, n, at, trace, kind })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codec::{decode_row, decode_row_start, encode_row};
    use crate::event::{HoldChange, OrderChange};
    use crate::ids::{AdjustmentId, HoldId, OrderId, ProductId, Quantity, UserId, WebhookId};
    use crate::money::Money;
    use crate::order::Line;
    use crate::webhook::{Conflict, Report};

    fn packed(events: &[Event]) -> PackedEvents {
        let mut packed = PackedEvents::default();
        events.iter().for_each(|event| packed.push(event));
        packed
    }

    #[test]
    fn every_kind_of_event_survives_the_round_trip() {
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
            let products = [product, ProductId(1)].into_iter().collect();
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
        let row = encode_row(1, &packed(&events));
        assert_eq!(decode_row::<EventRows>(1, &row), Ok(EventRows(events.clone())));
        let span = decode_row_start::<Option<Span>>(1, &row);
        assert_eq!(span, Ok(Span::of(&events)));
        assert!(decode_row_start::<Option<Span>>(2, &row).is_err(), "another version");
        for at in 0..row.len() {
            let mut damaged = row.clone();
            damaged[at] ^= 1;
            assert!(decode_row_start::<Option<Span>>(1, &damaged).is_err(), "byte {at}");
        }
        let empty = encode_row(1, &PackedEvents::default());
        assert_eq!(decode_row::<EventRows>(1, &empty), Ok(EventRows(Vec::new())));
        assert!(decode_row::<EventRows>(1, &encode_row(1, &(None::<Span>, 257_u64))).is_err());
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
            let mut events: Vec<Event> = places.into_iter().map(event).collect();
            let row = encode_row(1, &packed(&events));
            prop_assert_eq!(decode_row::<EventRows>(1, &row), Ok(EventRows(events.clone())));
            events.sort_by_key(Event::id);
            events.dedup_by_key(|event| event.id());
            let (packed, middle) = (packed(&events), events.len() / 2);
            let all: Vec<Event> = packed.after(EventId::default()).collect();
            let told = events.iter().filter(|event| event.id() > EventId::default());
            prop_assert_eq!(all, told.cloned().collect::<Vec<_>>());
            if let Some(event) = events.get(middle) {
                let rest: Vec<Event> = packed.after(event.id()).collect();
                prop_assert_eq!(&rest[..], &events[middle + 1..]);
            }
        }
    }
}
