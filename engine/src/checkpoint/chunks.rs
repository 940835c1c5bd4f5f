//! Reading the stored rows that live in chunks: each chunk once, by ascending number, from the open
//! row where there is one, else from the sealed one.

use std::collections::BTreeMap;

use crate::checkpoint::CheckpointStore;
use crate::checkpoint::ahead::{Give, ReadAhead};
use crate::checkpoint::open::{Error, inconsistent, scan};
use crate::checkpoint::rows::{Meta, Stored, key};
use crate::chunks::Chunk;
use crate::digest::RowHasher;

/// A chunk that was read and checked.
pub(super) struct ReadChunk<R, P> {
    /// Its rows.
    pub(super) rows: Vec<R>,
    /// What each of them adds to the digest.
    pub(super) hashes: Vec<u64>,
    /// What was made of each of them.
    pub(super) prepared: Vec<P>,
}

/// Reads all rows of a kind that the checkpoint publishes, and makes something of each.
///
/// # Errors
/// When the store cannot be read, a row is damaged or missing, or `visit` fails.
pub(super) fn read_chunks<R: Stored + Send, P: Send>(
    store: &dyn CheckpointStore,
    meta: &Meta,
    ahead: &impl ReadAhead,
    prepare: impl Fn(&R) -> P + Send,
    visit: impl FnMut(ReadChunk<R, P>) -> Result<(), Error>,
) -> Result<(), Error> {
    let make = |give: Give<'_, ReadChunk<R, P>>| {
        Reading { meta, prepare, hasher: RowHasher::default(), next: 0, give }.read(store)
    };
    ahead.run(make, visit)
}

/// A chunk as it is stored, and what it says that its rows add to the digest.
type Found<R> = (Option<u64>, Chunk<R>);

struct Reading<'a, R, P, F> {
    meta: &'a Meta,
    prepare: F,
    hasher: RowHasher,
    /// The number of the next chunk.
    next: u64,
    give: Give<'a, ReadChunk<R, P>>,
}

impl<R: Stored, P, F: Fn(&R) -> P> Reading<'_, R, P, F> {
    fn read(&mut self, store: &dyn CheckpointStore) -> Result<(), Error> {
        let mut open: BTreeMap<u64, Found<R>> = BTreeMap::new();
        scan(store, R::OPEN, |[number], key, bytes| {
            open.insert(number, unpack(key, bytes)?);
            Ok(())
        })?;
        scan(store, R::SEALED, |[number], key, bytes| {
            // Staged and never published, or its open chunk still counts: a leftover of a crash.
            if !R::publishes_sealed(self.meta, number) || open.contains_key(&number) {
                return Ok(());
            }
            self.take_open(&mut open, number)?;
            self.take(unpack(key, bytes)?)
        })?;
        self.take_open(&mut open, R::chunks(self.meta))?;
        match open.first_key_value() {
            None => Ok(()),
            Some((number, _)) => {
                Err(inconsistent(format!("{} chunk {number} is of the future", R::NAME)))
            }
        }
    }

    /// Takes over the open chunks up to `end`: there is no sealed one for these numbers.
    fn take_open(&mut self, open: &mut BTreeMap<u64, Found<R>>, end: u64) -> Result<(), Error> {
        while self.next < end {
            let (name, next) = (R::NAME, self.next);
            let missing = || inconsistent(format!("{name} chunk {next} is missing"));
            self.take(open.remove(&next).ok_or_else(missing)?)?;
        }
        Ok(())
    }

    /// Checks the next chunk and gives it.
    fn take(&mut self, (sum, Chunk { rows }): Found<R>) -> Result<(), Error> {
        let (name, number) = (R::NAME, self.next);
        let expected = R::rows_in(self.meta, number);
        if rows.len() as u64 != expected {
            let found = rows.len();
            let what = format!("{name} chunk {number} has {found} rows of {expected}");
            return Err(inconsistent(what));
        }
        let (mut hashes, mut total) = (Vec::with_capacity(R::CHUNK as usize), 0_u64);
        for (id, row) in (number * R::CHUNK + 1..).zip(&rows) {
            if row.id() != id {
                let other = row.id();
                return Err(inconsistent(format!("{name} {id} calls itself {other}")));
            }
            let hash = self.hasher.hash(R::TABLE, id, row);
            total = total.wrapping_add(hash);
            hashes.push(hash);
        }
        if sum.is_some_and(|sum| sum != total) {
            return Err(inconsistent(format!("{name} chunk {number} adds up to another sum")));
        }
        let prepared = rows.iter().map(&self.prepare).collect();
        self.next += 1;
        (self.give)(ReadChunk { rows, hashes, prepared })
    }
}

fn unpack<R: Stored>(key: &[u8], bytes: &[u8]) -> Result<Found<R>, Error> {
    R::unpack(bytes).map_err(|source| Error::Row { key: key::name(key), source })
}
