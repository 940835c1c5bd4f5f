//! The retained events, so that subscribers can continue where they stopped.
//!
//! Events lie in chunks of a fixed number, counted from the first event ever, so chunks are the
//! same on all nodes. The newest chunks are in memory; a checkpoint has all retained ones. Each
//! node decides how many it retains, and for how long: that decides no outcome, so the digest
//! covers only how many events there have been.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use bincode::{Decode, Encode};

use crate::chunks::{EVICTED_AT_ONCE, EVICTED_PER_NEW};
use crate::event::{Event, EventId, EventPage};
use crate::ids::Timestamp;
use crate::packed::{CHUNK_EVENTS, PackedEvents, Span};

/// How many events are retained by default.
const KEPT_MAX: u64 = 1 << 22;
/// How long events are retained by default: a week.
const KEPT_MS_MAX: u64 = 7 * 24 * 3600 * 1000;
/// How many full chunks stay in memory by default: about a hundred thousand events.
pub(crate) const RESIDENT_CHUNKS_MAX: usize = 400;
/// The most chunks that one checkpoint removes from the store.
const REMOVED_MAX: u64 = 1024;

/// The events of a chunk, shared with a freeze.
pub(crate) type SharedEvents = Arc<PackedEvents>;

#[derive(Debug)]
struct Slot {
    span: Span,
    /// Absent when only the store has them.
    events: Option<SharedEvents>,
}

/// What a checkpoint records about the events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Extent {
    /// How many events there have been.
    pub(crate) told: u64,
    /// The number of the first retained chunk.
    pub(crate) first: u64,
    /// The newest removed event.
    pub(crate) gone: EventId,
}

impl Extent {
    /// The numbers of the full retained chunks.
    pub(crate) fn full(&self) -> Range<u64> {
        self.first..self.told / CHUNK_EVENTS as u64
    }

    /// How many events the last, partial chunk has.
    pub(crate) fn tail(&self) -> usize {
        (self.told % CHUNK_EVENTS as u64) as usize
    }
}

/// What a freeze takes of the events.
#[derive(Debug)]
pub(crate) struct FrozenEvents {
    /// Full chunks that no synced checkpoint holds, with their numbers.
    pub(crate) full: Vec<(u64, SharedEvents)>,
    /// The partial chunk; empty when there is none.
    pub(crate) tail: PackedEvents,
    /// Whether the store's partial chunk is out of date.
    pub(crate) tail_changed: bool,
    /// Numbers of chunks to remove.
    pub(crate) removed: Range<u64>,
}

/// The retained events.
#[derive(Debug)]
pub(crate) struct Events {
    extent: Extent,
    /// The full retained chunks, oldest first.
    full: VecDeque<Slot>,
    tail: PackedEvents,
    kept_max: u64,
    kept_ms_max: u64,
    resident_max: usize,
    /// While set, removed chunks stay in the store.
    keep_old: bool,
    /// Full chunks in memory: the newest ones, and those that no synced checkpoint has.
    resident: usize,
    /// How far a synced checkpoint has full chunks, events of the partial one, and removals; and
    /// the same for the last freeze.
    stored: Progress,
    frozen: Progress,
}

#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    full: u64,
    told: u64,
    removed: u64,
}

impl Default for Events {
    fn default() -> Events {
        Events {
            extent: Extent::default(),
            full: VecDeque::new(),
            tail: PackedEvents::default(),
            kept_max: KEPT_MAX,
            kept_ms_max: KEPT_MS_MAX,
            resident_max: RESIDENT_CHUNKS_MAX,
            keep_old: false,
            resident: 0,
            stored: Progress::default(),
            frozen: Progress::default(),
        }
    }
}

impl Events {
    /// What a checkpoint records about them.
    pub(crate) fn extent(&self) -> Extent {
        self.extent
    }

    /// The newest event; the newest removed one when none is retained.
    pub(crate) fn last(&self) -> EventId {
        let newest = self.tail.span().or(self.full.back().map(|slot| slot.span));
        newest.map_or(self.extent.gone, |span| span.last)
    }

    /// Adds the newest event.
    pub(crate) fn push(&mut self, event: &Event) {
        debug_assert!(self.last() < event.id(), "events come in order");
        self.tail.push(event);
        self.extent.told += 1;
        if self.tail.len() == CHUNK_EVENTS {
            let next = self.tail.following();
            let full = std::mem::replace(&mut self.tail, next);
            let span = full.span().expect("the chunk is full");
            self.full.push_back(Slot { span, events: Some(Arc::new(full)) });
            self.resident += 1;
            self.evict(EVICTED_PER_NEW);
        }
    }

    /// Drops whole chunks that are too many or too old.
    pub(crate) fn trim(&mut self, now: Timestamp) {
        let chunks_max = usize::try_from(self.kept_max / CHUNK_EVENTS as u64).unwrap_or(usize::MAX);
        while let Some(slot) = self.full.front() {
            let old = slot.span.last_at.plus_ms(self.kept_ms_max) < now;
            if self.full.len() <= chunks_max && !old {
                break;
            }
            let slot = self.full.pop_front().expect("there is a first");
            self.resident -= usize::from(slot.events.is_some());
            self.extent.gone = slot.span.last;
            self.extent.first += 1;
        }
    }

    /// The events after `id`, at most `limit`.
    pub(crate) fn after(&self, id: EventId, limit: usize) -> EventPage {
        if id < self.extent.gone {
            return EventPage::Gone { floor: self.extent.gone };
        }
        let mut found = Vec::new();
        let at = self.full.partition_point(|slot| slot.span.last <= id);
        for (slot, chunk) in self.full.range(at..).zip(self.extent.first + at as u64..) {
            match &slot.events {
                _ if found.len() >= limit => break,
                Some(events) => take_after(events, id, limit, &mut found),
                None if found.is_empty() => return EventPage::Stored { chunk },
                // A page ends where the next chunk is only in the store.
                None => return EventPage::Events(found),
            }
        }
        take_after(&self.tail, id, limit, &mut found);
        EventPage::Events(found)
    }

    /// Sets how many events are retained and for how long. The newest chunk always is.
    pub(crate) fn set_retention(&mut self, kept_max: u64, kept_ms_max: u64) {
        (self.kept_max, self.kept_ms_max) = (kept_max, kept_ms_max);
    }

    /// Sets how many full chunks may stay in memory, beyond those that must.
    pub(crate) fn set_resident_chunks_max(&mut self, chunks: usize) {
        self.resident_max = chunks;
        self.evict(usize::MAX);
    }

    /// While set, freezes remove no chunks from the store.
    pub(crate) fn keep_old(&mut self, keep: bool) {
        self.keep_old = keep;
    }

    /// Evicts some more chunks from memory; true when there may be more.
    pub(crate) fn evict_some(&mut self) -> bool {
        let before = self.resident;
        self.evict(EVICTED_AT_ONCE);
        before - self.resident == EVICTED_AT_ONCE
    }

    /// Evicts the oldest chunks that a synced checkpoint has, at most `at_most`.
    fn evict(&mut self, at_most: usize) {
        if self.resident <= self.resident_max {
            return;
        }
        // Those in memory are the newest, so the number of the first one follows from their count.
        let begin = self.full.len() - self.resident;
        let stored = self.stored.full.saturating_sub(self.extent.first) as usize;
        let end = stored.min(self.full.len() - self.resident_max.min(self.full.len()));
        let end = end.max(begin).min(begin.saturating_add(at_most));
        for slot in self.full.range_mut(begin..end) {
            slot.events = None;
            self.resident -= 1;
        }
    }

    /// Takes what no synced checkpoint has.
    pub(crate) fn freeze(&mut self) -> FrozenEvents {
        let end = self.extent.full().end;
        let begin = self.stored.full.max(self.extent.first);
        let full = (begin..end).map(|number| {
            let slot = &self.full[(number - self.extent.first) as usize];
            (number, slot.events.clone().expect("what is not stored is in memory"))
        });
        let removed = match self.keep_old {
            true => self.stored.removed,
            false => self.extent.first.min(self.stored.removed + REMOVED_MAX),
        };
        #[cfg(feature = "planted-bugs")]
        let removed = match crate::planted::is_planted(crate::planted::Bug::EventsRemovedEarly) {
            true if removed > 0 => (removed + 1).min(end),
            _ => removed,
        };
        let frozen = FrozenEvents {
            full: full.collect(),
            tail: self.tail.clone(),
            tail_changed: self.stored.told != self.extent.told,
            removed: self.stored.removed..removed,
        };
        self.frozen = Progress { full: end, told: self.extent.told, removed };
        frozen
    }

    /// Notes that a synced checkpoint has what the last freeze took.
    pub(crate) fn release(&mut self) {
        self.stored = self.frozen;
        self.evict(EVICTED_AT_ONCE);
    }

    /// Restores what a checkpoint has: the spans of its full chunks, the partial chunk, and the
    /// lowest number of a chunk that the store may have.
    pub(crate) fn restore(
        &mut self,
        extent: Extent,
        spans: impl Iterator<Item = Span>,
        tail: &[Event],
        lowest: u64,
    ) {
        self.extent = extent;
        self.full = spans.map(|span| Slot { span, events: None }).collect();
        self.tail = PackedEvents::default();
        tail.iter().for_each(|event| self.tail.push(event));
        self.resident = 0;
        let full = extent.full().end;
        self.stored = Progress { full, told: extent.told, removed: lowest.min(extent.first) };
    }

    /// Whether chunks and counts agree.
    pub(crate) fn is_sound(&self) -> bool {
        let in_memory = self.full.iter().rev().take_while(|slot| slot.events.is_some()).count();
        let spans = self.full.iter().map(|slot| slot.span).chain(self.tail.span());
        let mut before = self.extent.gone;
        let ascending = spans.into_iter().all(|span| {
            let fits = before < span.first && span.first <= span.last;
            before = span.last;
            fits
        });
        ascending
            && self.extent.full().count() == self.full.len()
            && self.extent.tail() == self.tail.len()
            && in_memory == self.resident
    }
}

fn take_after(events: &PackedEvents, id: EventId, limit: usize, found: &mut Vec<Event>) {
    let room = limit.saturating_sub(found.len());
    found.extend(events.after(id).take(room));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Kind;
    use crate::ids::{Position, ProductId};
    use crate::trace::TraceId;

    fn event(number: u64) -> Event {
        // Three events per command.
        Event {
            position: Position::new(1 + number / 3, 0),
            n: (number % 3) as u32,
            at: Timestamp(number * 10),
            trace: TraceId::NONE,
            kind: Kind::SoldOut(ProductId(number)),
        }
    }

    fn told(numbers: Range<u64>) -> Events {
        let mut events = Events::default();
        numbers.for_each(|number| events.push(&event(number)));
        events
    }

    fn numbers(page: EventPage) -> Vec<u64> {
        let EventPage::Events(events) = page else { panic!("{page:?}") };
        let number = |event: &Event| match event.kind {
            Kind::SoldOut(ProductId(number)) => number,
            _ => panic!("{event:?}"),
        };
        events.iter().map(number).collect()
    }

    #[test]
    fn pages_have_no_gaps_and_no_duplicates() {
        let events = told(0..1000);
        for limit in [1, 7, 256, 5000] {
            let (mut id, mut seen) = (EventId::default(), Vec::new());
            loop {
                let page = events.after(id, limit);
                let EventPage::Events(found) = &page else { panic!("{page:?}") };
                let Some(last) = found.last() else { break };
                id = last.id();
                seen.extend(numbers(page));
            }
            assert_eq!(seen, (0..1000).collect::<Vec<_>>());
        }
        assert_eq!(events.last(), event(999).id());
        assert!(events.is_sound());
    }

    #[test]
    fn reading_can_continue_after_any_id() {
        let events = told(0..600);
        // Between two commands, like a position that caused no event.
        let id = EventId { position: Position::new(1, 7), n: 0 };
        assert_eq!(numbers(events.after(id, 2)), [3, 4]);
        let id = EventId { position: Position::new(1, 0), n: u32::MAX };
        assert_eq!(numbers(events.after(id, 1)), [3]);
        let future = EventId { position: Position::new(1 << 30, 0), n: 0 };
        assert_eq!(numbers(events.after(future, 9)), []);
    }

    #[test]
    fn excess_and_old_events_are_dropped_by_whole_chunks() {
        let mut events = told(0..1000);
        events.set_retention(600, u64::MAX);
        events.trim(Timestamp(0));
        // Two full chunks are retained, and the partial one.
        let floor = event(255).id();
        assert_eq!(events.after(EventId::default(), 1), EventPage::Gone { floor });
        assert_eq!(events.after(event(254).id(), 1), EventPage::Gone { floor });
        assert_eq!(numbers(events.after(floor, 2)), [256, 257]);
        events.set_retention(u64::MAX, 1000);
        events.trim(Timestamp(6110));
        assert_eq!(numbers(events.after(floor, 1)), [256], "the chunk ends at 5110");
        events.trim(Timestamp(6111));
        assert_eq!(events.after(floor, 1), EventPage::Gone { floor: event(511).id() });
        events.trim(Timestamp(u64::MAX));
        let floor = event(767).id();
        assert_eq!(events.after(EventId::default(), 1), EventPage::Gone { floor });
        assert_eq!(numbers(events.after(floor, 1)), [768], "the newest chunk stays");
        assert!(events.is_sound());
    }

    #[test]
    fn only_stored_chunks_leave_memory() {
        let mut events = told(0..1000);
        events.set_resident_chunks_max(1);
        assert_eq!(numbers(events.after(EventId::default(), 1)), [0]);
        let frozen = events.freeze();
        assert_eq!((frozen.full.len(), frozen.tail.len()), (3, 1000 - 768));
        (1000..1100).for_each(|number| events.push(&event(number)));
        events.release();
        assert!(events.is_sound());
        assert_eq!(events.after(EventId::default(), 9), EventPage::Stored { chunk: 0 });
        assert_eq!(events.after(event(300).id(), 9), EventPage::Stored { chunk: 1 });
        assert_eq!(events.after(event(511).id(), 9), EventPage::Stored { chunk: 2 });
        assert_eq!(numbers(events.after(event(767).id(), 2)), [768, 769]);
        let frozen = events.freeze();
        assert_eq!((frozen.full.len(), frozen.full[0].0), (1, 3), "only what is new");
        assert!(frozen.tail_changed);
        events.release();
        assert!(!events.freeze().tail_changed);
    }

    #[test]
    fn chunks_frozen_but_never_stored_are_frozen_again() {
        let mut events = told(0..600);
        assert_eq!(events.freeze().full.len(), 2);
        let again = events.freeze();
        assert_eq!((again.full.len(), again.tail_changed), (2, true));
        events.release();
        assert_eq!(events.freeze().full.len(), 0);
    }

    #[test]
    fn a_bounded_number_of_old_chunks_is_removed_from_the_store_at_once() {
        let chunks = 3 * REMOVED_MAX;
        let mut events = told(0..chunks * CHUNK_EVENTS as u64);
        events.freeze();
        events.release();
        events.set_retention(0, u64::MAX);
        events.trim(Timestamp(0));
        for round in 0..3 {
            let removed = events.freeze().removed;
            assert_eq!(removed, round * REMOVED_MAX..(round + 1) * REMOVED_MAX);
            assert_eq!(events.freeze().removed, removed, "not stored yet");
            events.release();
        }
        assert!(events.freeze().removed.is_empty());
    }
}
