//! How each command changes the state, one module per family.
//!
//! Every command is planned over everything it needs before anything is changed, so a refusal
//! leaves no trace and no half of a command is ever applied. A refusal is an
//! [`Outcome`](crate::outcome::Outcome) that all nodes share; an [`Error`] is trouble of one node,
//! which then stops.

mod batch;
mod clusters;
mod fences;
mod holds;
mod moves;
pub(crate) mod orders;
mod payments;
pub(crate) mod plan;
mod products;
mod stock;
mod users;
mod webhooks;

use crate::codec;
use crate::event::{Event, Kind, OrderChange};
use crate::ids::{OrderId, Position, Timestamp};
use crate::state::{Observer, State};
use crate::trace::TraceId;

/// Why this node cannot apply an entry. It must stop: going on would fork it from the others.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The entry is not above the last one, or beyond all positions.
    #[error("entry {index} cannot follow entry {applied}")]
    OutOfOrder {
        /// The entry's index.
        index: u64,
        /// The index applied last.
        applied: u64,
    },
    /// The entry is no batch.
    #[error("entry {index} cannot be decoded")]
    MalformedEntry {
        /// The entry's index.
        index: u64,
        /// What is wrong with its bytes.
        source: codec::Error,
    },
    /// A command in the entry is none.
    #[error("the command at position {position} cannot be decoded")]
    MalformedCommand {
        /// The command's place.
        position: Position,
        /// What is wrong with its bytes.
        source: codec::Error,
    },
}

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
