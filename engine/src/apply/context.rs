//! What executing a command needs besides the state, and how it emits events.

use crate::command::Rules;
use crate::event::{Event, Kind, OrderChange};
use crate::ids::{OrderId, Position, Timestamp};
use crate::state::{Observer, State};
use crate::trace::TraceId;

/// Prefetch the rows of this many orders before the first of them is placed or changed, so that
/// cache misses overlap.
pub(crate) const FETCHED_AT_ONCE: usize = 16;

/// What executing a command needs besides the state.
pub(crate) struct Context<'a> {
    /// The command's position.
    pub(crate) position: Position,
    /// The replicated clock.
    pub(crate) at: Timestamp,
    /// The trace id of its request.
    pub(crate) trace: &'a TraceId,
    /// The rules that it was written under.
    pub(crate) rules: Rules,
    /// How many events this position has so far.
    pub(crate) events: u32,
    /// Receives the events.
    pub(crate) observer: &'a mut dyn Observer,
}

impl Context<'_> {
    /// Whether reports of payments wait for orders that do not exist yet, and decide them.
    pub(crate) fn parks(&self) -> bool {
        #[cfg(feature = "planted-bugs")]
        if crate::planted::is_planted(crate::planted::Bug::ParkedById) {
            return true;
        }
        self.rules == Rules::Parking
    }

    /// The trace id for an order's history, unless it is the order's own.
    pub(crate) fn trace_beside(&self, own: &TraceId) -> Option<Box<TraceId>> {
        (self.trace != own && *self.trace != TraceId::NONE).then(|| Box::new(self.trace.clone()))
    }
}

impl State {
    /// Emits an event under the trace id of this request.
    pub(crate) fn tell(&mut self, cx: &mut Context<'_>, kind: Kind) {
        let trace = cx.trace.clone();
        self.tell_for(cx, trace, kind);
    }

    /// Emits an event under the trace id of the order or hold that it concerns.
    pub(crate) fn tell_for(&mut self, cx: &mut Context<'_>, trace: TraceId, kind: Kind) {
        let event = Event { position: cx.position, n: cx.events, at: cx.at, trace, kind };
        cx.events += 1;
        cx.observer.event(&event);
        self.events.push(&event);
    }

    /// Emits an event about an order in memory, under the order's trace id.
    pub(crate) fn tell_order(&mut self, cx: &mut Context<'_>, id: OrderId, change: OrderChange) {
        let order = self.orders.resident(id).expect("an order that moves is in memory");
        let (user, total, products) = (order.user, order.total, order.products());
        let kind = Kind::Order { order: id, user, change, total, products };
        let trace = order.trace.clone();
        self.tell_for(cx, trace, kind);
    }
}
