//! Reads of a node's state and checkpoint, compared with the model.

use engine::checkpoint::{self, CheckpointStore};
use engine::fence::KeyState;
use engine::ids::{AdjustmentId, HoldId, OrderId, Position, ProductId, UserId};
use engine::ledger;
use engine::order::Status;
use engine::query::{OrderFilter, Page};
use engine::state::{Lookup, State};
use engine::webhook::Fate;
use engine_model::Key;

use crate::ask::Look;
use crate::oracle::{Oracle, end_of, equal};

/// Compares everything that a node holds, in memory or in its checkpoint, with the model.
pub(crate) fn check_all(
    oracle: &Oracle,
    state: &State,
    store: &dyn CheckpointStore,
) -> Result<(), String> {
    state.check_invariants().map_err(|violation| violation.to_string())?;
    let model = &oracle.model;
    let see = |what: Look| look(oracle, state, store, &what).map(|_| ());
    for id in 1..=model.orders.len() as u64 + 1 {
        see(Look::Order(OrderId(id)))?;
    }
    for id in (1..=model.products.len() as u64 + 1).map(ProductId) {
        see(Look::Product(id))?;
        see(Look::Ledger { product: id, from: 0, limit: usize::MAX })?;
    }
    for id in 1..=model.holds.len() as u64 + 1 {
        see(Look::Hold(HoldId(id)))?;
    }
    for told in &model.reports {
        see(Look::Report(told.key.clone()))?;
    }
    let parked = model.reports.iter().filter(|told| *told.fate.now() == Fate::Parked).count();
    equal("parked reports", state.parked_webhooks(), parked as u64)?;
    equal("payments wait", state.payments_paused(), model.payments_paused)?;
    for key in model.keys.keys() {
        see(Look::Key(key.clone()))?;
    }
    for id in (1..=model.users.len() as u64 + 1).map(UserId) {
        let found = state.user(id).map(|user| (&user.name, &user.email));
        let known = model.users.get(id.0 as usize - 1).map(|(name, email)| (name, email));
        equal(&format!("user {id}"), found, known)?;
    }
    oracle.check_totals(state)
}

/// Reads a node's state and checkpoint, and compares that with the model at the same position.
/// Returns the number of rows that were read from the checkpoint.
///
/// # Errors
/// When they differ.
pub(crate) fn look(
    oracle: &Oracle,
    state: &State,
    store: &dyn CheckpointStore,
    what: &Look,
) -> Result<u64, String> {
    let at = end_of(state.applied_index());
    match what {
        Look::Order(id) => look_at_order(oracle, state, store, *id, at),
        Look::Hold(id) => look_at_hold(oracle, state, store, *id, at),
        Look::Product(id) => {
            let known = oracle.model.product(*id).and_then(|versions| versions.at(at));
            match (state.product(*id), known.filter(|product| !product.archived)) {
                (Some(product), Some(_)) => oracle.check_product(product, at)?,
                (None, None) => {}
                (found, known) => {
                    return Err(format!("product {id} at {at}: {found:?}, by the model {known:?}"));
                }
            }
            Ok(0)
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
                true => Ok(0),
                false => Err(format!("key {key} at {at}: {found:?}, by the model {known:?}")),
            }
        }
        Look::Report(key) => look_at_report(oracle, state, store, key, at),
        Look::Ledger { product, from, limit } => {
            look_at_ledger(oracle, state, store, *product, *from, *limit)
        }
        Look::List(filter, page) => look_at_list(oracle, state, filter, *page).map(|()| 0),
        Look::Catalogue => look_at_catalogue(oracle, state).map(|()| 0),
    }
}

fn look_at_order(
    oracle: &Oracle,
    state: &State,
    store: &dyn CheckpointStore,
    id: OrderId,
    at: Position,
) -> Result<u64, String> {
    let known = oracle.model.order(id).and_then(|order| order.progress.at(at));
    let status: Option<Status> = state.order_status(id);
    if status != known.map(|progress| progress.status) {
        return Err(format!("order {id} at {at}: {status:?}, by the model {known:?}"));
    }
    let reference = oracle.model.order(id).and_then(|order| order.request.reference.as_deref());
    if let Some(reference) = reference.filter(|_| status.is_some()) {
        let found = state.order_by_reference(reference);
        if found != Some(id) {
            return Err(format!("{reference} at {at} leads to {found:?} and is of order {id}"));
        }
    }
    match state.order(id) {
        Lookup::Absent => Ok(0),
        Lookup::Resident(order) => oracle.check_order(&order, at).map(|()| 0),
        Lookup::Stored => match checkpoint::read_order(store, id) {
            Ok(Some(order)) => oracle.check_order(&order, at).map(|()| 1),
            other => Err(format!("order {id} is stored, but: {other:?}")),
        },
    }
}

fn look_at_hold(
    oracle: &Oracle,
    state: &State,
    store: &dyn CheckpointStore,
    id: HoldId,
    at: Position,
) -> Result<u64, String> {
    let known = oracle.model.hold(id).and_then(|hold| hold.term.at(at));
    match (state.hold(id), known) {
        (Lookup::Absent, None) => Ok(0),
        (Lookup::Resident(hold), Some(_)) => oracle.check_hold(&hold, at).map(|()| 0),
        (Lookup::Stored, Some(_)) => match checkpoint::read_hold(store, id) {
            Ok(Some(hold)) => oracle.check_hold(&hold, at).map(|()| 1),
            other => Err(format!("hold {id} is stored, but: {other:?}")),
        },
        (found, known) => Err(format!("hold {id} at {at}: {found:?}, by the model {known:?}")),
    }
}

fn look_at_report(
    oracle: &Oracle,
    state: &State,
    store: &dyn CheckpointStore,
    key: &str,
    at: Position,
) -> Result<u64, String> {
    // A report that found no order in time may be sent again, and counts as another.
    let mut told = oracle.model.reports.iter();
    let known = told.rposition(|told| *told.key == *key && told.fate.at(at).is_some());
    let found = state.webhook_by_key(key);
    if found.map(|id| id.0) != known.map(|at| at as u64 + 1) {
        return Err(format!("report {key} at {at}: {found:?}, by the model {known:?}"));
    }
    let Some(id) = found else { return Ok(0) };
    match state.webhook(id) {
        Lookup::Resident(row) => oracle.check_report(&row, at).map(|()| 0),
        Lookup::Stored => match checkpoint::read_webhook(store, id) {
            Ok(Some(row)) => oracle.check_report(&row, at).map(|()| 1),
            other => Err(format!("report {id} is stored, but: {other:?}")),
        },
        Lookup::Absent => Err(format!("report {id} of {key} is not there")),
    }
}

/// Compares the movements of a product's units: none is missing or doubled, each has its cause and
/// the counters after it, and the deltas add up to the counters.
fn look_at_ledger(
    oracle: &Oracle,
    state: &State,
    store: &dyn CheckpointStore,
    id: ProductId,
    from: usize,
    limit: usize,
) -> Result<u64, String> {
    let at = end_of(state.applied_index());
    let Some(known) = (id.0 as usize).checked_sub(1).and_then(|at| oracle.model.ledgers.get(at))
    else {
        return match state.ledger(id).next() {
            None => Ok(0),
            Some(row) => Err(format!("product {id} does not exist and has {row:?}")),
        };
    };
    let known = &known[..known.partition_point(|row| row.position <= at)];
    let resident: Vec<(u64, ledger::Row)> = state.ledger(id).collect();
    let in_memory = resident.first().map_or(known.len() as u64, |(number, _)| *number);
    let mut before = match from.checked_sub(1).and_then(|last| known.get(last)) {
        None => [0; 4],
        Some(row) => row.after,
    };
    let homes = state.ledger_homes(id);
    let (mut segment, mut stored): (Option<(usize, Vec<ledger::Row>)>, _) = (None, 0);
    for (number, expected) in (0..).zip(known).skip(from).take(limit) {
        let row = match number >= in_memory {
            true => resident.get((number - in_memory) as usize).map(|(_, row)| *row),
            false => {
                let (at, within) = ((number / 32) as usize, (number % 32) as usize);
                if segment.as_ref().is_none_or(|(read, _)| *read != at) {
                    stored += 1;
                    let home = *homes
                        .get(at)
                        .ok_or_else(|| format!("segment {at} of the ledger of {id} is nowhere"))?;
                    let rows = checkpoint::read_ledger(store, id, at as u64, home)
                        .map_err(|error| format!("ledger of product {id}: {error}"))?;
                    segment = Some((at, rows));
                }
                segment.as_ref().and_then(|(_, rows)| rows.get(within).copied())
            }
        };
        let row = row.ok_or_else(|| format!("row {number} of the ledger of {id} is missing"))?;
        let stock = &row.after;
        let after = [stock.on_hand, stock.held, stock.reserved, stock.sold];
        let deltas = [row.on_hand, row.held, row.reserved, row.sold];
        let adds_up = (0..4).all(|n| before[n] + deltas[n] == after[n]);
        let same = (row.position, row.at, row.cause, after)
            == (expected.position, expected.at, expected.cause, expected.after);
        if !adds_up || !same {
            return Err(format!(
                "row {number} of the ledger of {id} is {row:?} after {before:?}, by the model \
                 {expected:?}"
            ));
        }
        before = after;
        if let Some(adjustment) = row.cause.adjustment() {
            stored += look_at_adjustment(oracle, state, store, adjustment)?;
        }
    }
    if in_memory + resident.len() as u64 != known.len() as u64 {
        let found = in_memory + resident.len() as u64;
        return Err(format!("the ledger of {id} has {found} rows at {at}, not {}", known.len()));
    }
    Ok(stored)
}

/// Checks the adjustment that a ledger row names.
fn look_at_adjustment(
    oracle: &Oracle,
    state: &State,
    store: &dyn CheckpointStore,
    id: AdjustmentId,
) -> Result<u64, String> {
    let (row, stored) = match state.adjustment(id) {
        Lookup::Resident(row) => (Some(row.into_owned()), 0),
        Lookup::Stored => {
            let read = checkpoint::read_adjustment(store, id);
            (read.map_err(|error| format!("adjustment {id}: {error}"))?, 1)
        }
        Lookup::Absent => (None, 0),
    };
    let found = row
        .as_ref()
        .map(|row| (row.product, row.change, row.expected, &row.reason, row.delta, row.position));
    let known =
        oracle.model.adjustments.get(id.0 as usize - 1).map(|row| {
            (row.product, row.change, row.expected, &row.reason, row.delta, row.position)
        });
    match found == known {
        true => Ok(stored),
        false => Err(format!("adjustment {id} is {found:?}, by the model {known:?}")),
    }
}

fn look_at_list(
    oracle: &Oracle,
    state: &State,
    filter: &OrderFilter,
    page: Page,
) -> Result<(), String> {
    let at = end_of(state.applied_index());
    let found = state.list_orders(filter, page);
    let ids = listed(oracle, filter, at);
    let total = matches!(page, Page::Number { .. }).then_some(ids.len() as u64);
    let (rest, limit): (Vec<OrderId>, u64) = match page {
        Page::Number { page, per_page } => {
            let skip = (page.max(1) - 1) * per_page;
            (ids.into_iter().skip(skip as usize).collect(), per_page)
        }
        Page::Before { id, limit } => {
            let below = |other: &OrderId| id.is_none_or(|id| other.0 < id.0);
            (ids.into_iter().filter(below).collect(), limit)
        }
    };
    let expected = &rest[..rest.len().min(limit as usize)];
    match (found.total, &found.ids[..], found.has_more)
        == (total, expected, expected.len() < rest.len())
    {
        true => Ok(()),
        false => Err(format!(
            "{filter:?} {page:?} at {at}: {found:?}, by the model {total:?}: {expected:?}"
        )),
    }
}

fn look_at_catalogue(oracle: &Oracle, state: &State) -> Result<(), String> {
    let at = end_of(state.applied_index());
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
        None => Ok(()),
        Some(product) => Err(format!("{product:?} is listed and should not be")),
    }
}

/// The matching orders of the model, newest first.
fn listed(oracle: &Oracle, filter: &OrderFilter, at: Position) -> Vec<OrderId> {
    let orders = oracle.model.orders.iter().enumerate().rev();
    let ids = filter.first.map_or(0, |id| id.0)..filter.below.map_or(u64::MAX, |id| id.0);
    let orders = orders.filter(|(at, _)| ids.contains(&(*at as u64 + 1)));
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
