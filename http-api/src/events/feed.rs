//! The newest events of this node, read once for all subscribers.
//!
//! While there are subscribers, one task copies new events from the state into a ring. A subscriber
//! that is behind the ring reads by itself, from the state or from disk.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use engine::event::{EventId, EventPage};
use parking_lot::Mutex;
use raft_node::{EventsError, Handle};
use tokio::sync::{Notify, Semaphore, watch};

use super::render::Rendered;

/// Events in the ring: some megabytes with their texts.
const RING_EVENTS_MAX: usize = 8_192;
/// Events per read of the state, so that the applier never waits for long.
const PAGE_EVENTS_MAX: usize = 512;
/// Events per read for a subscriber that is behind.
const OWN_PAGE_EVENTS_MAX: usize = 128;
/// Subscribers that may read from disk at the same time.
const DISK_READERS_MAX: usize = 2;
/// The shortest time between two wake-ups of all subscribers, and what each subscriber adds to it:
/// with many subscribers, waking them is the cost.
const PAUSE: Duration = Duration::from_millis(2);
const PAUSE_EACH: Duration = Duration::from_micros(20);

/// Consecutive events.
#[derive(Debug)]
struct Page {
    /// The event before the first.
    after: EventId,
    last: EventId,
    events: Vec<Rendered>,
}

impl Page {
    /// Makes a page, unless there are no events.
    fn of(after: EventId, events: Vec<engine::event::Event>) -> Option<Arc<Page>> {
        let last = events.last()?.id();
        let events = events.into_iter().map(Rendered::new).collect();
        Some(Arc::new(Page { after, last, events }))
    }
}

/// The newest pages, each starting where the previous one ends.
#[derive(Debug, Default)]
struct Ring {
    pages: VecDeque<Arc<Page>>,
    events: usize,
    /// The last event in the ring.
    last: EventId,
}

impl Ring {
    fn push(&mut self, page: Arc<Page>) {
        self.last = page.last;
        self.events += page.events.len();
        self.pages.push_back(page);
        while self.events > RING_EVENTS_MAX
            && let Some(oldest) = self.pages.pop_front()
        {
            self.events -= oldest.events.len();
        }
    }

    /// Empties the ring; it continues after `last`.
    fn restart(&mut self, last: EventId) {
        *self = Ring { last, ..Ring::default() };
    }

    fn after(&self, id: EventId) -> Look {
        if id >= self.last {
            return Look::Nothing;
        }
        let at = self.pages.partition_point(|page| page.last <= id);
        match self.pages.get(at) {
            Some(page) if page.after <= id => Look::Page(Arc::clone(page)),
            _ => Look::Behind,
        }
    }
}

/// The events of the ring after a given one.
enum Look {
    Page(Arc<Page>),
    Nothing,
    /// The ring starts later.
    Behind,
}

/// Hands out events to a bounded number of subscribers.
#[derive(Debug)]
pub(crate) struct Feed {
    ring: Mutex<Ring>,
    /// Changes whenever the ring does.
    turned: watch::Sender<()>,
    /// Wakes the task that fills the ring when a subscriber arrives.
    wanted: Notify,
    disk: Semaphore,
    subscribers: AtomicUsize,
    subscribers_max: usize,
}

/// Why a subscription ends before the subscriber does.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The next events are no longer stored.
    Gone,
    /// The next events could not be read.
    Failed(EventsError),
}

impl Feed {
    /// A feed for at most `subscribers_max` subscribers. [`Feed::run`] fills it.
    pub(crate) fn new(subscribers_max: usize) -> Arc<Feed> {
        Arc::new(Feed {
            ring: Mutex::default(),
            turned: watch::Sender::new(()),
            wanted: Notify::new(),
            disk: Semaphore::new(DISK_READERS_MAX),
            subscribers: AtomicUsize::new(0),
            subscribers_max,
        })
    }

    /// The number of subscribers.
    pub(crate) fn subscribers(&self) -> usize {
        self.subscribers.load(Ordering::Relaxed)
    }

    /// Subscribes to the events after `after`; `None` when there are too many subscribers.
    pub(crate) fn subscribe(
        self: &Arc<Feed>,
        handle: &Handle,
        after: EventId,
    ) -> Option<Subscription> {
        let count = |count| (count < self.subscribers_max).then_some(count + 1);
        self.subscribers.fetch_update(Ordering::Relaxed, Ordering::Relaxed, count).ok()?;
        let (feed, handle) = (Arc::clone(self), handle.clone());
        let turned = self.turned.subscribe();
        self.wanted.notify_one();
        Some(Subscription { feed, handle, turned, cursor: after, hand: None })
    }

    /// Fills the ring while there are subscribers, until the node stops.
    pub(crate) async fn run(self: Arc<Feed>, handle: Handle) {
        let mut newest = handle.watch_events();
        loop {
            if self.subscribers() == 0 {
                self.ring.lock().restart(EventId::default());
                self.wanted.notified().await;
                continue;
            }
            newest.borrow_and_update();
            if self.turn(&handle) {
                self.turned.send_replace(());
                let many = u32::try_from(self.subscribers()).unwrap_or(u32::MAX);
                tokio::time::sleep(PAUSE + PAUSE_EACH.saturating_mul(many)).await;
                continue;
            }
            tokio::select! {
                changed = newest.changed() => if changed.is_err() {
                    return;
                },
                () = self.wanted.notified() => {}
            }
        }
    }

    /// Copies new events into the ring. Returns whether the ring changed.
    fn turn(&self, handle: &Handle) -> bool {
        let last = self.ring.lock().last;
        let (mut newest, mut pages) = (last, Vec::new());
        while pages.len() < RING_EVENTS_MAX / PAGE_EVENTS_MAX && last > EventId::default() {
            let page = handle.read(|state| state.events_after(newest, PAGE_EVENTS_MAX));
            match page {
                EventPage::Events(events) => {
                    let Some(page) = Page::of(newest, events) else { break };
                    newest = page.last;
                    pages.push(page);
                }
                // The ring is too far behind: subscribers that need those events read them by
                // themselves.
                EventPage::Stored { .. } | EventPage::Gone { .. } => {
                    pages.clear();
                    newest = EventId::default();
                    break;
                }
            }
        }
        if newest == EventId::default() {
            // With the first subscriber, the ring starts at the newest event.
            newest = handle.read(|state| state.last_event());
            self.ring.lock().restart(newest);
            return newest != last;
        }
        let mut ring = self.ring.lock();
        pages.into_iter().for_each(|page| ring.push(page));
        newest != last
    }
}

/// One subscriber's place. Dropping it frees the place.
pub(crate) struct Subscription {
    feed: Arc<Feed>,
    handle: Handle,
    turned: watch::Receiver<()>,
    /// The event that was taken last.
    cursor: EventId,
    /// The current page, and how many of its events were taken.
    hand: Option<(Arc<Page>, usize)>,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.feed.subscribers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription").field("cursor", &self.cursor).finish_non_exhaustive()
    }
}

impl Subscription {
    /// Takes the next event of the current page, without a filter.
    pub(crate) fn pop(&mut self) -> Option<&Rendered> {
        let (page, taken) = self.hand.as_mut()?;
        if *taken >= page.events.len() {
            self.hand = None;
            return None;
        }
        let at = *taken;
        *taken += 1;
        let (page, _) = self.hand.as_ref()?;
        let rendered = &page.events[at];
        self.cursor = rendered.event.id();
        Some(rendered)
    }

    /// Waits for a page. Cancelling it loses nothing.
    pub(crate) async fn wait(&mut self) -> Result<(), Ended> {
        while self.hand.is_none() {
            // Marked as seen before looking, so that a later change wakes this task.
            self.turned.borrow_and_update();
            let look = self.feed.ring.lock().after(self.cursor);
            let page = match look {
                Look::Page(page) => Some(page),
                Look::Nothing => None,
                Look::Behind => self.read_for_itself().await?,
            };
            match page {
                Some(page) => {
                    let first = page.events.partition_point(|it| it.event.id() <= self.cursor);
                    self.hand = Some((page, first));
                }
                // The feed outlives its subscriptions, so the sender exists.
                None => drop(self.turned.changed().await),
            }
        }
        Ok(())
    }

    async fn read_for_itself(&self) -> Result<Option<Arc<Page>>, Ended> {
        // Many subscribers that return after a week must not occupy all blocking threads.
        let _disk = self.feed.disk.acquire().await.expect("the semaphore is never closed");
        let found = self.handle.events_after(self.cursor, OWN_PAGE_EVENTS_MAX).await;
        match found {
            Ok(events) => Ok(Page::of(self.cursor, events)),
            Err(EventsError::Gone { .. }) => Err(Ended::Gone),
            Err(error) => Err(Ended::Failed(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use engine::event::Kind;
    use engine::ids::ProductId;

    use super::super::render::tests::event;
    use super::*;

    fn id(command: u64) -> EventId {
        event(command, Kind::SoldOut(ProductId(1))).id()
    }

    /// The page of the events from one command to before another.
    fn page(commands: std::ops::Range<u64>) -> Arc<Page> {
        let after = commands.start.checked_sub(1).map_or(EventId::default(), id);
        let events = commands.map(|command| event(command, Kind::SoldOut(ProductId(1))));
        Page::of(after, events.collect()).unwrap()
    }

    #[test]
    fn a_ring_returns_the_page_after_any_of_its_events() {
        let mut ring = Ring::default();
        ring.restart(id(9));
        assert!(matches!(ring.after(id(9)), Look::Nothing));
        assert!(matches!(ring.after(id(8)), Look::Behind));
        ring.push(page(10..20));
        ring.push(page(20..21));
        let first = |look| match look {
            Look::Page(page) => page.events[0].event.id(),
            Look::Nothing | Look::Behind => panic!("there is a page"),
        };
        assert_eq!(first(ring.after(id(9))), id(10));
        assert_eq!(first(ring.after(id(15))), id(10), "the reader skips what it has");
        assert_eq!(first(ring.after(id(19))), id(20));
        assert!(matches!(ring.after(id(20)), Look::Nothing));
        assert!(matches!(ring.after(id(25)), Look::Nothing));
        assert!(matches!(ring.after(id(5)), Look::Behind));
    }

    #[test]
    fn a_ring_is_bounded() {
        let mut ring = Ring::default();
        let size = PAGE_EVENTS_MAX as u64;
        for number in 0..100 {
            ring.push(page(number * size..(number + 1) * size));
        }
        assert_eq!(ring.events, RING_EVENTS_MAX);
        assert_eq!(ring.pages.len() * PAGE_EVENTS_MAX, RING_EVENTS_MAX);
        assert!(matches!(ring.after(id(0)), Look::Behind));
    }
}
