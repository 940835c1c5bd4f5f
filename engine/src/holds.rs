//! The holds: their rows in chunks, and the status of every hold permanently in memory, so that
//! refusing an order from a final hold never needs the disk.
//!
//! This module moves no units: [`crate::apply`] does that together with each change here.

use std::borrow::Cow;

use crate::chunks::{Chunks, FrozenChunks};
use crate::digest::{RowHasher, Table};
use crate::hold::{Hold, Status};
use crate::ids::{HoldId, OrderId, Timestamp};
use crate::orders::Lookup;
use crate::record::Record;
use crate::schedule::Schedule;

impl Record for Hold {
    const TABLE: Table = Table::Hold;
    const CHUNK: u64 = 64;
    // Final holds are seldom read, so some tens of thousands are enough.
    const RESIDENT_MAX: usize = 512;

    fn id(&self) -> u64 {
        self.id.0
    }

    fn is_open(&self) -> bool {
        !self.status.is_final()
    }
}

/// A status in one number, kept for every hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fate(u64);

impl Fate {
    fn of(status: Status) -> Fate {
        match status {
            Status::Active => Fate(0),
            Status::Expired => Fate(1),
            Status::Released => Fate(2),
            // There is no order 0, so the three constants above are free.
            Status::Consumed(order) => Fate(order.0 + 2),
        }
    }

    fn status(self) -> Status {
        match self.0 {
            0 => Status::Active,
            1 => Status::Expired,
            2 => Status::Released,
            order => Status::Consumed(OrderId(order - 2)),
        }
    }
}

/// All holds.
#[derive(Debug, Default)]
pub(crate) struct Holds {
    chunks: Chunks<Hold>,
    fates: Vec<Fate>,
    /// Active holds by their deadlines.
    deadlines: Schedule<HoldId>,
}

impl Holds {
    /// How many holds there have ever been.
    pub(crate) fn len(&self) -> u64 {
        self.chunks.len()
    }

    /// How many are active, including those past their deadline that were not swept yet.
    pub(crate) fn active(&self) -> u64 {
        self.deadlines.len() as u64
    }

    /// The hold's status.
    pub(crate) fn status(&self, id: HoldId) -> Option<Status> {
        let at = usize::try_from(id.0.checked_sub(1)?).ok()?;
        self.fates.get(at).map(|fate| fate.status())
    }

    /// The hold's row, or where it is.
    pub(crate) fn lookup(&self, id: HoldId) -> Lookup<'_, Hold> {
        match self.chunks.get(id.0) {
            Some(hold) => Lookup::Resident(hold),
            None if self.status(id).is_some() => Lookup::Stored,
            None => Lookup::Absent,
        }
    }

    /// The hold's row, if it is in memory and not packed. Active holds always are.
    pub(crate) fn resident(&self, id: HoldId) -> Option<&Hold> {
        self.chunks.plain(id.0)
    }

    /// All rows in memory, by ascending id.
    pub(crate) fn residents(&self) -> impl Iterator<Item = Cow<'_, Hold>> {
        self.chunks.residents()
    }

    /// All active holds, by ascending id.
    pub(crate) fn active_holds(&self) -> impl Iterator<Item = &Hold> {
        self.chunks.open_rows()
    }

    /// The active holds with ids above `after`, ascending.
    pub(crate) fn active_after(&self, after: HoldId) -> impl Iterator<Item = &Hold> {
        self.chunks.open_rows_from(after.0.saturating_add(1))
    }

    /// When the next hold expires.
    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.next()
    }

    /// The active holds whose deadline passed by `now`, earliest first.
    pub(crate) fn due(&self, now: Timestamp) -> impl Iterator<Item = HoldId> {
        self.deadlines.due(now)
    }

    /// Adds an active hold under the next id.
    pub(crate) fn push(&mut self, hold: Hold) {
        assert!(!hold.status.is_final(), "a hold begins active");
        self.fates.push(Fate::of(hold.status));
        self.deadlines.insert(hold.expires_at, hold.id);
        self.chunks.push(hold);
    }

    /// Moves the deadline of an active hold and returns its row for the rest of the change.
    pub(crate) fn extend(&mut self, id: HoldId, expires_at: Timestamp) -> &mut Hold {
        let hold = self.chunks.change(id.0);
        self.deadlines.remove(hold.expires_at, id);
        self.deadlines.insert(expires_at, id);
        hold.expires_at = expires_at;
        hold
    }

    /// Ends an active hold and returns its row for the rest of the change.
    pub(crate) fn end(&mut self, id: HoldId, status: Status) -> &mut Hold {
        assert!(status.is_final(), "a hold ends in a final status");
        let fate = &mut self.fates[id.0 as usize - 1];
        assert!(fate.status() == Status::Active, "hold {id} ended as {:?} before", fate.status());
        *fate = Fate::of(status);
        self.chunks.close(id.0);
        let hold = self.chunks.change(id.0);
        self.deadlines.remove(hold.expires_at, id);
        hold.status = status;
        hold
    }

    /// Hashes the changed rows and returns the sum over all rows.
    pub(crate) fn digest(&mut self, hasher: &mut RowHasher) -> u64 {
        self.chunks.digest(hasher)
    }

    /// Holds changed since they were last hashed.
    pub(crate) fn touched(&self) -> usize {
        self.chunks.touched()
    }

    /// See [`Chunks::evict_some`].
    pub(crate) fn evict(&mut self) -> bool {
        self.chunks.evict_some()
    }

    /// See [`Chunks::hash_touched`].
    pub(crate) fn hash_touched(&mut self, rows: usize, hasher: &mut RowHasher) -> usize {
        self.chunks.hash_touched(rows, hasher)
    }

    /// See [`Chunks::take_dirty`].
    pub(crate) fn take_dirty(&mut self, checkpoint: u64) -> FrozenChunks<Hold> {
        self.chunks.take_dirty(checkpoint)
    }

    /// Records that a synced checkpoint has what the last freeze took.
    pub(crate) fn release(&mut self) {
        self.chunks.release();
    }

    /// Sets how many chunks may stay in memory, beyond those that must.
    pub(crate) fn set_resident_chunks_max(&mut self, chunks: usize) {
        self.chunks.set_resident_chunks_max(chunks);
    }

    /// Restores a stored chunk; see [`Chunks::restore`].
    pub(crate) fn restore(&mut self, holds: Vec<Hold>, hashes: Vec<u64>, open: Option<u64>) {
        for hold in &holds {
            self.fates.push(Fate::of(hold.status));
            if !hold.status.is_final() {
                self.deadlines.insert(hold.expires_at, hold.id);
            }
        }
        self.chunks.restore(holds, hashes, open);
    }

    /// Whether rows, statuses and deadlines agree.
    pub(crate) fn is_sound(&self) -> bool {
        let mut active = 0;
        let scheduled = self.chunks.open_rows().all(|hold| {
            active += 1;
            self.deadlines.contains(hold.expires_at, hold.id)
        });
        let fates = self.chunks.residents().all(|hold| self.status(hold.id) == Some(hold.status));
        let count = self.fates.iter().filter(|fate| fate.status() == Status::Active).count();
        scheduled
            && fates
            && active == self.deadlines.len()
            && active == count
            && self.fates.len() as u64 == self.chunks.len()
            && self.chunks.is_sound()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fate_contains_the_order_that_consumed_the_hold() {
        let statuses = [
            Status::Active,
            Status::Expired,
            Status::Released,
            Status::Consumed(OrderId(1)),
            Status::Consumed(OrderId(u64::MAX >> 1)),
        ];
        for status in statuses {
            assert_eq!(Fate::of(status).status(), status);
        }
    }
}
