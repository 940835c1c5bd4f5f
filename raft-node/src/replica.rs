//! The replica: applies committed entries to the state, and answers this node's own requests.
//!
//! Every node applies every entry. Only the node that took a request keeps its answer.

use engine::event::Event;
use engine::hold::Hold;
use engine::ids::{NodeId, OrderId, Position, RequestId, Timestamp};
use engine::order::Order;
use engine::outcome::Outcome;
use engine::product::Product;
use engine::state::{Lookup, Observer, OrderLookup, State, Unobserved};
use raft::eraftpb::{Entry, EntryType};

use crate::log::LogStore;

/// The answer to an applied request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Its position in the log.
    pub position: Position,
    /// The replicated clock at that position.
    pub clock: Timestamp,
    /// The outcome.
    pub outcome: Outcome,
    /// The order right after the command, if the outcome is about one and it is in memory.
    pub order: Option<Box<Order>>,
    /// The orders that a batch placed or repeated, in the batch's order, right after the command.
    /// Orders that are not in memory are left out.
    pub orders: Vec<Order>,
    /// The product right after the command, if the outcome is about one. For an order with one
    /// line, its product.
    pub product: Option<Box<Product>>,
    /// The hold right after the command, if the outcome is about one and it is in memory.
    pub hold: Option<Box<Hold>>,
}

/// The effects of some entries on one node.
#[derive(Debug)]
pub struct Effects {
    node: NodeId,
    boot: u64,
    keep_events: bool,
    /// Answers to this node's requests, with their sequence numbers.
    pub answers: Vec<(u64, Applied)>,
    /// Events in order, if they were requested.
    pub events: Vec<Event>,
    /// Commands that were applied.
    pub commands: u64,
    /// Commands, or whole entries, that could not be decoded.
    pub undecodable: u64,
    /// The first of them, and what is wrong with its bytes.
    pub first_undecodable: Option<(Position, String)>,
}

impl Effects {
    /// No effects yet. With `keep_events`, events are kept too.
    pub fn new(node: NodeId, boot: u64, keep_events: bool) -> Effects {
        Effects {
            node,
            boot,
            keep_events,
            answers: Vec::new(),
            events: Vec::new(),
            commands: 0,
            undecodable: 0,
            first_undecodable: None,
        }
    }
}

impl Observer for Effects {
    fn applied(&mut self, state: &State, position: Position, request: RequestId, outcome: Outcome) {
        self.commands += 1;
        if request.node != self.node || request.boot != self.boot {
            return;
        }
        let (order, product) = shown(state, &outcome);
        let (orders, hold) = (placed_together(state, &outcome), held(state, &outcome));
        let clock = state.clock();
        let applied = Applied { position, clock, outcome, order, orders, product, hold };
        self.answers.push((request.seq, applied));
    }

    fn event(&mut self, event: &Event) {
        if self.keep_events {
            self.events.push(event.clone());
        }
    }

    fn undecodable(&mut self, position: Position, error: &engine::codec::Error) {
        self.undecodable += 1;
        self.first_undecodable.get_or_insert_with(|| (position, error.to_string()));
    }
}

/// The rows in an answer.
fn shown(state: &State, outcome: &Outcome) -> (Option<Box<Order>>, Option<Box<Product>>) {
    let order = |id: OrderId| match state.order(id) {
        OrderLookup::Resident(order) => Some(Box::new(order.into_owned())),
        OrderLookup::Absent | OrderLookup::Stored => None,
    };
    let product = |id| state.product(id).cloned().map(Box::new);
    match outcome {
        Outcome::Repeated(outcome) => shown(state, outcome),
        Outcome::Placed(id) => {
            let order = order(*id);
            let sold = order.as_ref().and_then(|order| match &order.items[..] {
                [item] => product(item.product),
                _ => None,
            });
            (order, sold)
        }
        Outcome::Replayed(id)
        | Outcome::KeyApplied(id)
        | Outcome::Cancelled { order: id, .. }
        | Outcome::OrderSettled { order: id, .. }
        | Outcome::PaymentRechecked(id) => (order(*id), None),
        Outcome::ProductCreated(id) | Outcome::ProductUpdated(id) => (None, product(*id)),
        Outcome::StockAdjusted { product: id, .. }
        | Outcome::AdjustmentReplayed { product: id, .. } => (None, product(*id)),
        _ => (None, None),
    }
}

/// The rows in the answer to a batch.
fn placed_together(state: &State, outcome: &Outcome) -> Vec<Order> {
    let Outcome::Batch(outcomes) = outcome else { return Vec::new() };
    let mut orders = Vec::with_capacity(outcomes.len());
    orders.extend(outcomes.iter().filter_map(|outcome| match outcome {
        Outcome::Placed(id) | Outcome::Replayed(id) => match state.order(*id) {
            OrderLookup::Resident(order) => Some(order.into_owned()),
            OrderLookup::Absent | OrderLookup::Stored => None,
        },
        _ => None,
    }));
    orders
}

/// The hold in an answer.
fn held(state: &State, outcome: &Outcome) -> Option<Box<Hold>> {
    let id = match outcome {
        Outcome::HoldCreated(id) | Outcome::HoldReplayed(id) | Outcome::HoldExtended(id) => *id,
        Outcome::Repeated(outcome) => return held(state, outcome),
        _ => return None,
    };
    match state.hold(id) {
        Lookup::Resident(hold) => Some(Box::new(hold.into_owned())),
        Lookup::Absent | Lookup::Stored => None,
    }
}

/// Applies one committed entry, and tells the observer its effects.
///
/// # Errors
/// When the entry is not the next one, or needs a newer build. Going on would fork this replica, so
/// the caller stops the node.
pub fn apply(
    state: &mut State,
    entry: &Entry,
    observer: &mut dyn Observer,
) -> Result<(), engine::apply::Error> {
    // The membership is not part of the state, for which such an entry is empty.
    let data = match entry.get_entry_type() {
        EntryType::EntryNormal => &entry.data[..],
        EntryType::EntryConfChange | EntryType::EntryConfChangeV2 => &[],
    };
    state.apply(entry.index, entry.term, data, observer)
}

/// An entry that cannot be read back or applied. The state may have changed in part.
#[derive(Debug)]
pub(crate) struct NotApplied {
    pub(crate) index: u64,
    pub(crate) reason: String,
}

/// Applies the log's entries after the state's index, up to `last`. Nobody waits for their answers.
pub(crate) fn replay(state: &mut State, log: &dyn LogStore, last: u64) -> Result<(), NotApplied> {
    const BYTES_AT_ONCE: u64 = 8 << 20;
    while state.applied_index() < last {
        let next = state.applied_index() + 1;
        let entries = log.entries(next, last + 1, BYTES_AT_ONCE);
        let entries =
            entries.map_err(|error| NotApplied { index: next, reason: error.to_string() })?;
        for entry in entries {
            let applied = apply(state, &entry, &mut Unobserved);
            applied.map_err(|error| NotApplied {
                index: entry.index,
                reason: crate::causes::chain(&error),
            })?;
        }
    }
    Ok(())
}
