//! What clients ask of nodes and what they are answered, and reads compared with the model.

use engine::command::Command;
use engine::fence::KeyState;
use engine::ids::{HoldId, OrderId, Position, ProductId};
use engine::order::Status;
use engine::state::{Lookup, OrderFilter, Page, State};

use super::model::Key;
use super::oracle::{Oracle, end_of};
use crate::replica::Applied;

/// What a client asks of a node.
#[derive(Clone, Debug)]
pub(super) enum Ask {
    Command(Command),
    Read(Look, Freshness),
}

/// What a read looks at.
#[derive(Clone, Debug)]
pub(super) enum Look {
    Order(OrderId),
    Hold(HoldId),
    Product(ProductId),
    Key(Box<str>),
    /// How many orders of a product have a status, and the newest of them.
    List(OrderFilter),
    /// All products.
    Catalogue,
}

/// How fresh a read must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Freshness {
    Linearizable,
    Stale,
    /// At least as fresh as this position, which the client knows from an earlier answer.
    AtLeast(Position),
}

/// What a client is answered.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    Applied(Box<Applied>),
    /// The read shows the state after this index; what it shows has been checked.
    Read {
        index: u64,
    },
    /// Refused for lack of stock by the state after this index, without an entry.
    SoldOut {
        index: u64,
    },
    /// Certainly not applied.
    NotApplied,
    /// The outcome is not known.
    Unknown,
    /// Not fresh enough in time.
    ReadRefused,
    /// Nobody listens there.
    ConnectionRefused,
    /// The connection broke after the request was sent.
    ConnectionReset,
}

/// A row that has to be read from the checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stored {
    Order(OrderId),
    Hold(HoldId),
}

/// Looks at a node's state and compares what it shows with the model at the same place.
///
/// # Errors
/// When they differ.
pub(super) fn look(oracle: &Oracle, state: &State, what: &Look) -> Result<Option<Stored>, String> {
    let at = end_of(state.applied_index());
    match what {
        Look::Order(id) => look_at_order(oracle, state, *id, at),
        Look::Hold(id) => match (state.hold(*id), oracle.model.hold(*id)) {
            (Lookup::Resident(hold), Some(_)) => oracle.check_hold(hold, at).map(|()| None),
            (Lookup::Stored, Some(_)) => Ok(Some(Stored::Hold(*id))),
            (Lookup::Absent, known) if known.is_none_or(|hold| hold.term.at(at).is_none()) => {
                Ok(None)
            }
            (found, known) => Err(format!("hold {id} at {at}: {found:?}, by the model {known:?}")),
        },
        Look::Product(id) => {
            let known = oracle.model.product(*id).and_then(|versions| versions.at(at));
            match (state.product(*id), known.filter(|product| !product.archived)) {
                (Some(product), Some(_)) => oracle.check_product(product, at)?,
                (None, None) => {}
                (found, known) => {
                    return Err(format!("product {id} at {at}: {found:?}, by the model {known:?}"));
                }
            }
            Ok(None)
        }
        Look::Key(key) => {
            let known = oracle.model.keys.get(key).filter(|(since, _)| *since <= at);
            let known = match known {
                None => KeyState::Unused,
                Some((_, Key::Fenced)) => KeyState::Fenced,
                Some((_, Key::Made(order))) => KeyState::Applied(*order),
            };
            let found = state.key_state(key);
            match found == known {
                true => Ok(None),
                false => Err(format!("key {key} at {at}: {found:?}, by the model {known:?}")),
            }
        }
        Look::List(filter) => {
            let page = state.list_orders(filter, Page::Number { page: 1, per_page: 15 });
            let mut ids = listed(oracle, filter, at);
            let total = ids.len() as u64;
            let has_more = ids.len() > 15;
            ids.truncate(15);
            match (page.total, &page.ids, page.has_more) == (total, &ids, has_more) {
                true => Ok(None),
                false => {
                    Err(format!("{filter:?} at {at}: {page:?}, by the model {total}: {ids:?}"))
                }
            }
        }
        Look::Catalogue => {
            let mut found = state.products(ProductId(0));
            for (id, versions) in (1..).map(ProductId).zip(&oracle.model.products) {
                let Some(known) = versions.at(at).filter(|product| !product.archived) else {
                    continue;
                };
                match found.next() {
                    Some(product) if product.id == id => oracle.check_product(product, at)?,
                    other => {
                        return Err(format!("{other:?} is listed instead of {id} {known:?}"));
                    }
                }
            }
            match found.next() {
                None => Ok(None),
                Some(product) => Err(format!("{product:?} is listed and should not be")),
            }
        }
    }
}

fn look_at_order(
    oracle: &Oracle,
    state: &State,
    id: OrderId,
    at: Position,
) -> Result<Option<Stored>, String> {
    let known = oracle.model.order(id).and_then(|order| order.progress.at(at));
    let status: Option<Status> = state.order_status(id);
    if status != known.map(|progress| progress.status) {
        return Err(format!("order {id} at {at}: {status:?}, by the model {known:?}"));
    }
    match state.order(id) {
        Lookup::Absent => Ok(None),
        Lookup::Resident(order) => oracle.check_order(order, at).map(|()| None),
        Lookup::Stored => Ok(Some(Stored::Order(id))),
    }
}

/// The orders that match, newest first, by the model.
fn listed(oracle: &Oracle, filter: &OrderFilter, at: Position) -> Vec<OrderId> {
    let orders = oracle.model.orders.iter().enumerate().rev();
    let matching = orders.filter(|(_, order)| {
        let Some(progress) = order.progress.at(at) else { return false };
        filter.status.is_none_or(|status| progress.status == status)
            && filter.user.is_none_or(|user| order.user == Some(user))
            && filter
                .product
                .is_none_or(|product| order.lines.iter().any(|line| line.product == product))
    });
    matching.map(|(at, _)| OrderId(at as u64 + 1)).collect()
}
