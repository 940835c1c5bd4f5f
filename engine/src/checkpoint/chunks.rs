//! Reading stored chunks of rows: each chunk once, by ascending number, from the row that counts.
//!
//! Each checkpoint writes a chunk under its own key, which ends with the checkpoint's number. Of
//! these rows, that of the latest published checkpoint counts. Formats 1 and 2 had one key for an
//! open chunk and one for a sealed chunk, of which the open one counted; they are read as those of
//! checkpoint 0.

use std::collections::BTreeMap;

use crate::checkpoint::ahead::{Give, ReadAhead};
use crate::checkpoint::dead::Key;
use crate::checkpoint::read::{Error, inconsistent, read_row, row_error, scan_keys};
use crate::checkpoint::rows::{Meta, Stored, key};
use crate::digest::RowHasher;
use crate::record::Chunk;
use crate::store::{self, CheckpointStore};

/// A chunk that was read and checked.
pub(super) struct ReadChunk<R, P> {
    /// Its rows.
    pub(super) rows: Vec<R>,
    /// Each row's share of the digest.
    pub(super) hashes: Vec<u64>,
    /// What `prepare` made of each row.
    pub(super) prepared: Vec<P>,
    /// The checkpoint that wrote it, unless it was sealed.
    pub(super) open: Option<u64>,
}

/// What else a store contains.
#[derive(Debug, Default)]
pub(super) struct Leftovers {
    /// Rows that do not count: replaced, or of a checkpoint that was never published.
    pub(super) dead: Vec<Key>,
    /// The latest checkpoint that wrote any row.
    pub(super) latest: u64,
}

/// Reads all rows of a kind that the checkpoint publishes, and calls `prepare` with each.
///
/// # Errors
/// When the store cannot be read, a row is damaged or missing, or `visit` fails.
pub(super) fn read_chunks<R: Stored + Send, P: Send>(
    store: &dyn CheckpointStore,
    meta: &Meta,
    ahead: &impl ReadAhead,
    prepare: impl Fn(&R) -> P + Send,
    visit: impl FnMut(ReadChunk<R, P>) -> Result<(), Error>,
) -> Result<Leftovers, Error> {
    let mut leftovers = Leftovers::default();
    let make = |give: Give<'_, ReadChunk<R, P>>| {
        let leftovers = &mut leftovers;
        let hasher = RowHasher::default();
        Reading { meta, prepare, hasher, next: 0, leftovers, give }.read(store)
    };
    ahead.run(make, visit)?;
    Ok(leftovers)
}

/// The row of an open chunk, and the checkpoint that wrote it.
struct Open {
    checkpoint: u64,
    bytes: Vec<u8>,
}

struct Reading<'a, R, P, F> {
    meta: &'a Meta,
    prepare: F,
    hasher: RowHasher,
    /// The number of the next chunk.
    next: u64,
    leftovers: &'a mut Leftovers,
    give: Give<'a, ReadChunk<R, P>>,
}

impl<R: Stored, P, F: Fn(&R) -> P> Reading<'_, R, P, F> {
    fn read(&mut self, store: &dyn CheckpointStore) -> Result<(), Error> {
        let mut open: BTreeMap<u64, Open> = BTreeMap::new();
        scan(store, &[R::OPEN], |number, checkpoint, key, bytes| {
            self.leftovers.latest = self.leftovers.latest.max(checkpoint);
            if checkpoint > self.meta.checkpoint {
                self.leftovers.dead.push(key.to_vec());
                return Ok(());
            }
            // The rows of a chunk come by ascending checkpoint.
            let found = Open { checkpoint, bytes: bytes.to_vec() };
            if let Some(before) = open.insert(number, found) {
                self.leftovers.dead.push(key::chunk(R::OPEN, number, before.checkpoint));
            }
            Ok(())
        })?;
        scan(store, &[R::SEALED], |number, checkpoint, key, bytes| {
            self.leftovers.latest = self.leftovers.latest.max(checkpoint);
            // Never published, or replaced, or stored twice, which makes no difference.
            let replaced = open.get(&number).is_some_and(|open| open.checkpoint >= checkpoint);
            if replaced || number < self.next || !R::counts_sealed(self.meta, number, checkpoint) {
                self.leftovers.dead.push(key.to_vec());
                return Ok(());
            }
            if let Some(before) = open.remove(&number) {
                self.leftovers.dead.push(key::chunk(R::OPEN, number, before.checkpoint));
            }
            self.take_open(&mut open, number)?;
            let (sum, chunk) = R::unpack(bytes).map_err(row_error(key))?;
            self.take(sum, chunk, None)
        })?;
        self.take_open(&mut open, R::chunks(self.meta))?;
        match open.first_key_value() {
            None => Ok(()),
            Some((number, _)) => Err(inconsistent(format!(
                "{} chunk {number} was written by a later checkpoint",
                R::NAME
            ))),
        }
    }

    /// Takes the open chunks up to `end`, whose numbers have no sealed one.
    fn take_open(&mut self, open: &mut BTreeMap<u64, Open>, end: u64) -> Result<(), Error> {
        while self.next < end {
            let (name, next) = (R::NAME, self.next);
            let missing = || inconsistent(format!("{name} chunk {next} is missing"));
            let Open { checkpoint, bytes } = open.remove(&next).ok_or_else(missing)?;
            let key = key::chunk(R::OPEN, next, checkpoint);
            let (sum, chunk) = R::unpack(&bytes).map_err(row_error(&key))?;
            self.take(sum, chunk, Some(checkpoint))?;
        }
        Ok(())
    }

    /// Checks the next chunk and passes it on.
    fn take(
        &mut self,
        sum: Option<u64>,
        Chunk { rows }: Chunk<R>,
        open: Option<u64>,
    ) -> Result<(), Error> {
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
        (self.give)(ReadChunk { rows, hashes, prepared, open })
    }
}

/// Visits the rows of chunks under a prefix, with the number of the chunk, the checkpoint that
/// wrote it, key and value.
pub(super) fn scan(
    store: &dyn CheckpointStore,
    prefix: &[u8],
    mut visit: impl FnMut(u64, u64, &[u8], &[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    scan_keys(store, prefix, |key, bytes| match key::chunk_numbers(key) {
        Some((number, checkpoint)) => visit(number, checkpoint, key, bytes),
        None => Err(inconsistent(format!("unknown key {}", key::name(key)))),
    })
}

/// Reads the chunk with this number from the row that counts, if there is one.
///
/// # Errors
/// When the store cannot be read or the row is damaged.
pub(super) fn read_chunk<R: Stored>(
    store: &dyn CheckpointStore,
    number: u64,
) -> Result<Option<Chunk<R>>, store::Error> {
    let mut before = None;
    loop {
        let Some(meta) = read_row::<Meta>(store, key::META)? else { return Ok(None) };
        let found = find::<R>(store, &meta, number)?;
        // The row that counted may have been replaced and removed meanwhile.
        if found.is_some() || before == Some(meta.checkpoint) {
            return Ok(found);
        }
        before = Some(meta.checkpoint);
    }
}

fn find<R: Stored>(
    store: &dyn CheckpointStore,
    meta: &Meta,
    number: u64,
) -> Result<Option<Chunk<R>>, store::Error> {
    let mut newest: Option<(u64, Key, Vec<u8>)> = None;
    for letter in [R::OPEN, R::SEALED] {
        store.scan(&key::chunk(letter, number, 0), &mut |key, bytes| {
            let Some((_, checkpoint)) = key::chunk_numbers(key) else { return Ok(()) };
            let counts = match letter == R::SEALED {
                true => R::counts_sealed(meta, number, checkpoint),
                false => checkpoint <= meta.checkpoint,
            };
            // Of two rows of formats without checkpoint numbers, the open chunk counts.
            if counts && newest.as_ref().is_none_or(|(latest, ..)| *latest < checkpoint) {
                newest = Some((checkpoint, key.to_vec(), bytes.to_vec()));
            }
            Ok(())
        })?;
    }
    let Some((_, key, bytes)) = newest else { return Ok(None) };
    let damaged = |source| store::Error::Damaged { key: key::name(&key), source };
    R::unpack(&bytes).map(|(_, chunk)| Some(chunk)).map_err(damaged)
}
