//! Reading the ledger of a product and its adjustments, in memory and in the checkpoint.
//!
//! Ledger rows are numbered per product, but callers name them by place: the position of the
//! command and a line number, since one command may move a product's units more than once. Rows
//! ascend by place, so a binary search finds one.

use std::sync::Arc;

use engine::adjustment::Adjustment;
use engine::checkpoint::{self, LedgerHome};
use engine::ids::{AdjustmentId, Position, ProductId};
use engine::ledger::{Cause, Row};
use engine::state::{Lookup, State};
use engine::store;
use engine::store::sled::SledStore;

use super::Handle;
use crate::error::ReadError;

/// The place of a ledger row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LedgerPlace {
    /// The command that moved the units.
    pub position: Position,
    /// Which of the command's rows for this product, from 0. The highest number stands for the last
    /// one.
    pub line: u32,
}

/// A ledger row with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerEntry {
    /// Its place.
    pub place: LedgerPlace,
    /// The movement, its cause, and the counters after it.
    pub row: Row,
    /// The reason that a person gave for an adjustment.
    pub reason: Option<Box<str>>,
}

/// Consecutive rows of a ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerPage {
    /// The position of the state that was read.
    pub position: Position,
    /// The rows, oldest first.
    pub entries: Vec<LedgerEntry>,
    /// Whether more rows follow.
    pub has_more: bool,
}

/// The part of a ledger that the state knows.
struct Look {
    position: Position,
    /// The requested rows in memory, oldest first.
    rows: Vec<Row>,
    /// Where the rows before them are stored; empty when none of these is requested.
    stored: Arc<Vec<LedgerHome>>,
}

impl Handle {
    /// Reads at most `limit` rows of a product's ledger after a place. An archived product keeps
    /// its ledger. `None` when there is no such product.
    ///
    /// # Errors
    /// [`ReadError::Storage`] when a stored row cannot be read.
    pub async fn ledger(
        &self,
        product: ProductId,
        after: Option<LedgerPlace>,
        limit: usize,
    ) -> Result<Option<LedgerPage>, ReadError> {
        // The places that the state knows are places in its own store.
        let looked = self.read(|state| {
            let look = look(state, product, after, limit)?;
            Some((look, self.shared.store()))
        });
        let Some((look, store)) = looked else { return Ok(None) };
        let position = look.position;
        let rows = match look.stored.is_empty() {
            true => cut(look.rows.into_iter(), after, limit),
            false => {
                read(store, move |store| read_back(store, product, look, after, limit)).await?
            }
        };
        let has_more = rows.len() > limit;
        let mut entries: Vec<LedgerEntry> = rows
            .into_iter()
            .take(limit)
            .map(|(place, row)| LedgerEntry { place, row, reason: None })
            .collect();
        self.add_reasons(&mut entries).await?;
        Ok(Some(LedgerPage { position, entries, has_more }))
    }

    /// Reads an adjustment of stock, from the checkpoint if it is old. `None` when there is none.
    ///
    /// # Errors
    /// [`ReadError::Storage`] when a stored row cannot be read.
    pub async fn adjustment(&self, id: AdjustmentId) -> Result<Option<Adjustment>, ReadError> {
        let found = self.read(|state| match state.adjustment(id) {
            Lookup::Resident(adjustment) => Some(Some(adjustment.into_owned())),
            Lookup::Absent => Some(None),
            Lookup::Stored => None,
        });
        match found {
            Some(found) => Ok(found),
            None => {
                read(self.shared.store(), move |store| checkpoint::read_adjustment(store, id)).await
            }
        }
    }

    /// Adds the reasons of adjustments.
    async fn add_reasons(&self, entries: &mut [LedgerEntry]) -> Result<(), ReadError> {
        let mut stored = Vec::new();
        self.read(|state| {
            for (at, entry) in entries.iter_mut().enumerate() {
                let Cause::Adjustment(Some(id)) = entry.row.cause else { continue };
                match state.adjustment(id) {
                    Lookup::Resident(adjustment) => entry.reason = Some(adjustment.reason.clone()),
                    Lookup::Stored => stored.push((at, id)),
                    Lookup::Absent => {}
                }
            }
        });
        if stored.is_empty() {
            return Ok(());
        }
        let read = read(self.shared.store(), move |store| {
            let read = |(at, id)| Ok((at, checkpoint::read_adjustment(store, id)?));
            stored.into_iter().map(read).collect::<Result<Vec<_>, store::Error>>()
        });
        for (at, adjustment) in read.await? {
            entries[at].reason = adjustment.map(|adjustment| adjustment.reason);
        }
        Ok(())
    }
}

/// Reads from a checkpoint store, away from the runtime's threads.
async fn read<T: Send + 'static>(
    store: Arc<SledStore>,
    read: impl FnOnce(&SledStore) -> Result<T, store::Error> + Send + 'static,
) -> Result<T, ReadError> {
    let done = tokio::task::spawn_blocking(move || read(&store)).await;
    let failed = |error: &dyn std::fmt::Display| ReadError::Storage(error.to_string());
    done.map_err(|error| failed(&error))?.map_err(|error| failed(&error))
}

/// Reads the part in memory.
fn look(
    state: &State,
    product: ProductId,
    after: Option<LedgerPlace>,
    limit: usize,
) -> Option<Look> {
    state.ledger_rows(product)?;
    let mut rows = state.ledger(product).peekable();
    let first = rows.peek().map(|(_, row)| row.position);
    // A stored row may be needed unless the place lies behind the first row in memory.
    let behind = after.is_some_and(|after| first.is_some_and(|first| first < after.position));
    let stored = if behind { Arc::default() } else { state.ledger_homes(product) };
    let from = after.map_or(Position(0), |after| after.position);
    let wanted = limit.saturating_add(1);
    let mut taken = 0;
    let rows = rows
        .map(|(_, row)| row)
        .skip_while(|row| row.position < from)
        // Rows of the place's own command come on top of the limit: some are skipped.
        .take_while(|row| {
            taken += usize::from(row.position > from);
            taken <= wanted
        })
        .collect();
    Some(Look { position: state.position(), rows, stored })
}

/// Reads stored rows too.
fn read_back(
    store: &SledStore,
    product: ProductId,
    look: Look,
    after: Option<LedgerPlace>,
    limit: usize,
) -> Result<Vec<(LedgerPlace, Row)>, store::Error> {
    let homes = &look.stored;
    let segment = |at: usize| checkpoint::read_ledger(store, product, at as u64, homes[at]);
    let from = after.map_or(Position(0), |after| after.position);
    // The number of segments that begin before the place. The last of them may reach beyond it.
    let (mut low, mut high) = (0, homes.len());
    while low < high {
        let middle = low + (high - low) / 2;
        match segment(middle)?.first().is_some_and(|row| row.position < from) {
            true => low = middle + 1,
            false => high = middle,
        }
    }
    let mut rows = Vec::new();
    let mut beyond = 0;
    for at in low.saturating_sub(1)..homes.len() {
        for row in segment(at)? {
            beyond += usize::from(row.position > from);
            rows.push(row);
        }
        if beyond > limit {
            break;
        }
    }
    if beyond <= limit {
        rows.extend(look.rows);
    }
    let rows = rows.into_iter().skip_while(|row| row.position < from);
    Ok(cut(rows, after, limit))
}

/// The rows after the place, one more than `limit`, with their places. `rows` begins with the first
/// row of its command.
fn cut(
    rows: impl Iterator<Item = Row>,
    after: Option<LedgerPlace>,
    limit: usize,
) -> Vec<(LedgerPlace, Row)> {
    let mut last: Option<LedgerPlace> = None;
    let placed = rows.map(|row| {
        let line = match last {
            Some(last) if last.position == row.position => last.line + 1,
            _ => 0,
        };
        let place = LedgerPlace { position: row.position, line };
        last = Some(place);
        (place, row)
    });
    let wanted = placed.filter(|(place, _)| after.is_none_or(|after| *place > after));
    wanted.take(limit.saturating_add(1)).collect()
}

#[cfg(test)]
mod tests {
    use engine::ids::{OrderId, Timestamp};
    use engine::product::Counters;

    use super::*;

    fn row(position: u64) -> Row {
        Row {
            position: Position(position),
            at: Timestamp(1),
            cause: Cause::Order(OrderId(1)),
            on_hand: 0,
            held: 0,
            reserved: 1,
            sold: 0,
            after: Counters::default(),
        }
    }

    fn places(after: Option<(u64, u32)>, limit: usize) -> Vec<(u64, u32)> {
        let after = after.map(|(at, line)| LedgerPlace { position: Position(at), line });
        let from = after.map_or(0, |after| after.position.0);
        let rows = [3, 5, 5, 5, 9].map(row).into_iter().filter(|row| row.position.0 >= from);
        let cut = cut(rows, after, limit);
        cut.iter().map(|(place, _)| (place.position.0, place.line)).collect()
    }

    #[test]
    fn rows_of_one_command_have_line_numbers() {
        assert_eq!(places(None, 10), [(3, 0), (5, 0), (5, 1), (5, 2), (9, 0)]);
        assert_eq!(places(None, 1), [(3, 0), (5, 0)], "one more tells that more follow");
        assert_eq!(places(Some((5, 0)), 10), [(5, 1), (5, 2), (9, 0)]);
        assert_eq!(places(Some((5, u32::MAX)), 10), [(9, 0)]);
        assert_eq!(places(Some((4, 7)), 10), [(5, 0), (5, 1), (5, 2), (9, 0)]);
        assert_eq!(places(Some((9, 0)), 10), []);
    }
}
