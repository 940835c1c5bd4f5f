//! What carrying a command out needs beside the state, and telling what happened.

use crate::event::{Event, Kind, OrderChange};
use crate::ids::{OrderId, Position, Timestamp};
use crate::state::{Observer, State};
use crate::trace::TraceId;

/// Of so many orders everything is looked at before the first of them is placed or changed, so that
/// the processor waits for all of it at once instead of for one thing after the other.
pub(crate) const FETCHED_AT_ONCE: usize = 16;

/// What a command's execution needs to know beside the state.
pub(crate) struct Context<'a> {
    /// The command's place.
    pub(crate) position: Position,
    /// The replicated clock.
    pub(crate) at: Timestamp,
    /// The trace id of its request.
    pub(crate) trace: &'a TraceId,
    /// How many events were told under this position.
    pub(crate) events: u32,
    /// Who is told.
    pub(crate) observer: &'a mut dyn Observer,
}

impl Context<'_> {
    /// The trace for an order's history: only where it is not the order's own.
    pub(crate) fn trace_beside(&self, own: &TraceId) -> Option<Box<TraceId>> {
        (self.trace != own && *self.trace != TraceId::NONE).then(|| Box::new(self.trace.clone()))
    }
}

impl State {
    /// Tells what happened, under the trace of this request.
    pub(crate) fn tell(&mut self, cx: &mut Context<'_>, kind: Kind) {
        let trace = cx.trace.clone();
        self.tell_for(cx, trace, kind);
    }

    /// Tells what happened, under the trace of the order or hold that it happened to.
    pub(crate) fn tell_for(&mut self, cx: &mut Context<'_>, trace: TraceId, kind: Kind) {
        let event = Event { position: cx.position, n: cx.events, at: cx.at, trace, kind };
        cx.events += 1;
        cx.observer.event(&event);
        self.events.push(&event);
    }

    /// Tells what happened to an order in memory, under the trace of the order.
    pub(crate) fn tell_order(&mut self, cx: &mut Context<'_>, id: OrderId, change: OrderChange) {
        let order = self.orders.resident(id).expect("an order that moves is in memory");
        let (user, total, products) = (order.user, order.total, order.products());
        let kind = Kind::Order { order: id, user, change, total, products };
        let trace = order.trace.clone();
        self.tell_for(cx, trace, kind);
    }
}
