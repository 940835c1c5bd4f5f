//! The state on disk and back.
//!
//! A checkpoint is taken in three steps. [`State::freeze`] takes what changed since the last one,
//! between two entries and without touching the disk; applying goes on. [`Frozen::write`] brings it
//! to a [`CheckpointStore`], on whatever thread the caller likes. [`State::release`] tells the
//! state that it is there, so that rows may leave memory.
//!
//! Writing goes in this order: rows that no checkpoint counts any more are discarded, and those of
//! this one are staged, which nobody sees; both are synced; one small transaction publishes them
//! together with the applied index; that is synced too. A crash anywhere leaves the last published
//! checkpoint, for a row counts only when a published one says so:
//!
//! - every checkpoint has a number, and of a chunk's rows the one of the latest checkpoint counts
//!   that is not above the published number;
//! - a block of products counts when its number is below the published next one, and of a product
//!   that is in several blocks the row in the highest counts;
//! - a block of ledger segments counts when its number is below the published next one;
//! - a user counts when its id is below the published next id;
//! - a full chunk of events counts when its number is between the published first and next ones.
//!
//! Nothing here decides when to checkpoint, and nothing repairs what it finds: a store that does
//! not open is set aside by the caller.

pub mod ahead;
mod chunks;
pub(crate) mod dead;
pub mod freeze;
pub mod image;
mod ledgers;
pub mod open;
mod products;
mod read;
mod rows;

use crate::adjustment::Adjustment;
use crate::event::Event;
use crate::hold::Hold;
use crate::ids::{AdjustmentId, HoldId, OrderId, ProductId, WebhookId};
use crate::ledger;
use crate::order::Order;
use crate::packed::EventRows;
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

/// Reads the report of a payment from the store, for those that [`State::webhook`] reports as
/// stored.
///
/// # Errors
/// When the store cannot be read or the row is damaged.
pub fn read_webhook(store: &dyn CheckpointStore, id: WebhookId) -> Result<Option<Webhook>, Error> {
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

/// Reads a stored chunk of events, which [`State::events_after`] tells of: 256 events, or none when
/// the last checkpoint does not keep it.
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

/// Reads a stored segment of a product's ledger from where [`State::ledger_homes`] says that it is:
/// 32 rows, the first of which has the number 32 times that of the segment.
///
/// # Errors
/// When the store cannot be read, or the row is damaged or not there.
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
    /// The highest index that a published checkpoint in the store holds, without opening the rest.
    ///
    /// # Errors
    /// When the store cannot be read or the row is damaged.
    pub fn checkpoint_index(store: &dyn CheckpointStore) -> Result<Option<u64>, Error> {
        let meta: Option<Meta> = read_row(store, key::META)?;
        Ok(meta.map(|meta| meta.applied_index))
    }
}
