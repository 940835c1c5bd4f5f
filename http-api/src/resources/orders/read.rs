//! Reads orders: one, its history, by key.

use std::borrow::Cow;

use client::wire::{ByKey, Envelope, KeyState};
use engine::fence;
use engine::ids::{OrderId, Position};
use engine::order::Order;
use engine::state::{OrderLookup, State};

use super::write::MISSING;
use crate::answer::reply::{self, Reply, ReplyExt};
use crate::answer::rows;
use crate::answer::views;
use crate::call::Call;
use crate::failure::Failure;
use crate::freshness::Freshness;
use crate::request::fields::{is_key, key_invalid};
use crate::request::query::percent_decode;

/// An order found in the state.
pub(super) enum Found {
    /// It is in memory.
    Row(Box<Order>),
    /// It is final, and its row is in the checkpoint store.
    Stored,
}

pub(super) fn look_up(state: &State, id: OrderId) -> Option<Found> {
    match state.order(id) {
        OrderLookup::Absent => None,
        OrderLookup::Resident(order) => Some(Found::Row(Box::new(order.into_owned()))),
        OrderLookup::Stored => Some(Found::Stored),
    }
}

/// `GET /orders/{id}`
pub(crate) async fn get(call: &Call<'_>) -> Result<Reply, Failure> {
    let id = OrderId(call.id(MISSING)?);
    let freshness = call.ready_to_read().await?;
    let (position, order) = one(call, id, freshness).await?;
    let reply = reply::json(200, rows::answer(&order)).at(position).version(order.version.0);
    Ok(reply.fresh(freshness))
}

/// `GET /orders/{id}/events`
pub(crate) async fn events(call: &Call<'_>) -> Result<Reply, Failure> {
    let id = OrderId(call.id(MISSING)?);
    let freshness = call.ready_to_read().await?;
    let (position, order) = one(call, id, freshness).await?;
    let reply = reply::of(200, &Envelope::new(views::history(&order))).at(position);
    Ok(reply.fresh(freshness))
}

/// Reads one order, with the position at which it was found.
pub(crate) async fn one(
    call: &Call<'_>,
    id: OrderId,
    freshness: Freshness,
) -> Result<(Position, Box<Order>), Failure> {
    let (position, found) = call.app.handle.read(|state| (state.position(), look_up(state, id)));
    let missing = || Failure::not_found(MISSING).seen(position, freshness);
    let order = whole(call, id, found.ok_or_else(missing)?).await?;
    if call.is_foreign(order.user) {
        return Err(missing());
    }
    Ok((position, order))
}

/// The row of an order that was found. A stored order is final, so it has not changed since.
async fn whole(call: &Call<'_>, id: OrderId, found: Found) -> Result<Box<Order>, Failure> {
    match found {
        Found::Row(order) => Ok(order),
        Found::Stored => Ok(Box::new(call.stored_order(id).await?)),
    }
}

/// `GET /orders/by-reference/{reference}`
pub(crate) async fn by_reference(call: &Call<'_>) -> Result<Reply, Failure> {
    let reference: Cow<'_, str> = percent_decode(call.argument)?;
    let freshness = call.ready_to_read().await?;
    let (position, id) =
        call.app.handle.read(|state| (state.position(), state.order_by_reference(&reference)));
    let id = id.ok_or_else(|| Failure::not_found(MISSING).seen(position, freshness))?;
    let (position, order) = one(call, id, freshness).await?;
    let reply = reply::json(200, rows::answer(&order)).at(position).version(order.version.0);
    Ok(reply.fresh(freshness))
}

/// `GET /orders/by-key/{key}`
pub(crate) async fn by_key(call: &Call<'_>) -> Result<Reply, Failure> {
    let key: Cow<'_, str> = percent_decode(call.argument)?;
    if !is_key(&key) {
        return Err(key_invalid());
    }
    let key = call.owned_key(key);
    let freshness = call.ready_to_read().await?;
    let (position, known, found) = call.app.handle.read(|state| {
        let known = state.key_state(&key);
        let found = match known {
            fence::KeyState::Applied(id) => look_up(state, id).map(|found| (id, found)),
            fence::KeyState::Fenced | fence::KeyState::Unused => None,
        };
        (state.position(), known, found)
    });
    let body = match found {
        None if known == fence::KeyState::Fenced => ByKey { state: KeyState::Fenced, order: None },
        None => ByKey { state: KeyState::Unused, order: None },
        Some((id, found)) => {
            let order = views::order(&*whole(call, id, found).await?);
            ByKey { state: KeyState::Applied, order: Some(order) }
        }
    };
    Ok(reply::of(200, &Envelope::new(body)).at(position).fresh(freshness))
}
