//! The state on disk and back.
//!
//! A checkpoint has three steps. [`State::freeze`] takes what changed since the last one, between
//! two entries and without touching the disk; applying continues. [`Frozen::write`] writes it to a
//! [`CheckpointStore`], on any thread. [`State::release`] tells the state, so that it may evict
//! rows from memory.
//!
//! Writing has this order: discard rows that no checkpoint counts any more, and stage the new rows,
//! which nobody sees yet; sync both; publish the new rows together with the applied index in one
//! small transaction; sync that. After a crash anywhere, the last published checkpoint is intact,
//! for a row counts only when a published checkpoint says so:
//!
//! - Every checkpoint has a number. Of the rows of a chunk, the one of the latest checkpoint up to
//!   the published number counts.
//! - A block of products counts when its number is below the published next one. If several blocks
//!   contain a product, the row in the highest counts.
//! - A block of ledger segments counts when its number is below the published next one.
//! - A user counts when its id is below the published next id.
//! - A full chunk of events counts when its number is between the published first and next ones.
//!
//! Nothing here decides when to checkpoint, and nothing repairs damage: the caller sets a store
//! that does not open aside.

pub mod ahead;
mod chunks;
pub(crate) mod dead;
pub mod freeze;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod image;
mod ledgers;
pub mod open;
mod products;
mod read;
mod rows;

use crate::adjustment::Adjustment;
use crate::event::Event;
use crate::hold::Hold;
use crate::ids::{AdjustmentId, HoldId, OrderId, ProductId, RefundId, WebhookId};
use crate::ledger;
use crate::order::Order;
use crate::packed::EventRows;
use crate::refund::Refund;
use crate::state::State;
use crate::store::Error;
use crate::webhook::Webhook;

pub use self::freeze::{Frozen, Written};
pub use crate::products::LedgerHome;
pub use crate::store::{CheckpointStore, Row, Write};

use self::read::read_row;
use self::rows::{Meta, Stored, key};

/// Reads an order from the store, for orders that [`State::order`] reports as stored.
///
/// # Errors
/// When the store cannot be read or the order's row is damaged.
pub fn read_order(store: &dyn CheckpointStore, id: OrderId) -> Result<Option<Order>, Error> {
    read_chunked(store, id.0)
}

/// Reads a hold from the store, for holds that [`State::hold`] reports as stored.
///
/// # Errors
/// When the store cannot be read or the hold's row is damaged.
pub fn read_hold(store: &dyn CheckpointStore, id: HoldId) -> Result<Option<Hold>, Error> {
    read_chunked(store, id.0)
}

/// Reads a payment report from the store, for those that [`State::webhook`] reports as stored.
///
/// # Errors
/// When the store cannot be read or the row is damaged.
pub fn read_webhook(store: &dyn CheckpointStore, id: WebhookId) -> Result<Option<Webhook>, Error> {
    read_chunked(store, id.0)
}

/// Reads a refund from the store, for those that [`State::refund`] reports as stored.
///
/// # Errors
/// When the store cannot be read or the row is damaged.
pub fn read_refund(store: &dyn CheckpointStore, id: RefundId) -> Result<Option<Refund>, Error> {
    read_chunked(store, id.0)
}

/// Reads an adjustment from the store, for those that [`State::adjustment`] reports as stored.
///
/// # Errors
/// When the store cannot be read or the row is damaged.
pub fn read_adjustment(
    store: &dyn CheckpointStore,
    id: AdjustmentId,
) -> Result<Option<Adjustment>, Error> {
    read_chunked(store, id.0)
}

/// Reads a stored chunk of events, which [`State::events_after`] names: 256 events, or `None` when
/// the last checkpoint no longer has it.
///
/// # Errors
/// When the store cannot be read or the row is damaged.
pub fn read_events(store: &dyn CheckpointStore, chunk: u64) -> Result<Option<Vec<Event>>, Error> {
    let meta: Option<Meta> = read_row(store, key::META)?;
    if !meta.is_some_and(|meta| meta.events.full().contains(&chunk)) {
        return Ok(None);
    }
    let found: Option<EventRows> = read_row(store, &key::events(chunk))?;
    Ok(found.map(|EventRows(events)| events))
}

/// Reads a stored segment of a product's ledger from its home, which [`State::ledger_homes`] knows:
/// 32 rows, the first of which has the number `32 * segment`.
///
/// # Errors
/// When the store cannot be read, or the row is damaged or missing.
pub fn read_ledger(
    store: &dyn CheckpointStore,
    id: ProductId,
    segment: u64,
    home: LedgerHome,
) -> Result<Vec<ledger::Row>, Error> {
    ledgers::read_segment(store, id, segment, home)
}

/// Reads a row that lives in a chunk.
fn read_chunked<R: Stored>(store: &dyn CheckpointStore, id: u64) -> Result<Option<R>, Error> {
    let Some((number, at)) = R::place(id) else { return Ok(None) };
    let Some(mut chunk) = chunks::read_chunk::<R>(store, number)? else { return Ok(None) };
    if at >= chunk.rows.len() {
        return Ok(None);
    }
    Ok(Some(chunk.rows.swap_remove(at)).filter(|row| row.id() == id))
}

impl State {
    /// The index of the published checkpoint in the store. Reads only one row.
    ///
    /// # Errors
    /// When the store cannot be read or the row is damaged.
    pub fn checkpoint_index(store: &dyn CheckpointStore) -> Result<Option<u64>, Error> {
        let meta: Option<Meta> = read_row(store, key::META)?;
        Ok(meta.map(|meta| meta.applied_index))
    }
}
