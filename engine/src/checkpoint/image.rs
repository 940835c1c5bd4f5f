//! The published checkpoint as a stream of rows, and a store filled from such a stream: the
//! contents of snapshot files.
//!
//! Reading has two parts, because the store is written meanwhile. [`Image::begin`] visits the rows
//! that the next checkpoint may replace, so nothing may be published meanwhile; they are few,
//! bounded by products, open orders and the like. [`Image::finish`] visits the rows that never
//! change, however many, while checkpoints continue; only chunks of events are ever removed, and
//! [`State::keep_old_events`] prevents that.
//!
//! Rows contain their share of the digest, and rows without one are decoded and hashed on the way.
//! So a complete stream is known to have the digest of the state. Nothing here knows files or
//! framing.

use std::collections::{BTreeMap, BTreeSet};

use crate::adjustment::Adjustment;
use crate::audit;
use crate::auth::Token;
use crate::checkpoint::chunks;
use crate::checkpoint::freeze::Stage;
use crate::checkpoint::ledgers;
use crate::checkpoint::products::{ReadProduct, read_products};
use crate::checkpoint::read::{
    Error, decode, inconsistent, read_auth, read_level, read_meta, row_error, row_sum, scan,
};
use crate::checkpoint::rows::{Meta, Stored, key};
use crate::codec::{self, ROW_VERSION};
use crate::digest::{RowHasher, Table};
use crate::fence::Fence;
use crate::hold::Hold;
use crate::ids::{ProductId, Timestamp};
use crate::keyed::{Kept, hash_kept};
use crate::keys::ShortMeanings;
use crate::ledger::SEGMENT_ROWS;
use crate::lineage::Lineage;
use crate::order::Order;
use crate::packed::{EventRows, LedgerRows, Span};
use crate::payment_keys::KeyScheme;
use crate::refund::Refund;
use crate::state::{State, hash_key_scheme, hash_level, hash_lineage, hash_short_meanings};
use crate::store::{self, CheckpointStore};
use crate::tokens::hash_token;
use crate::user::User;
use crate::webhook::Webhook;

/// Receives a row's key and value.
pub type Visit<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> Result<(), store::Error>;

/// A published checkpoint whose changeable rows were read.
#[derive(Debug)]
pub struct Image {
    meta: Meta,
    meta_row: Vec<u8>,
    /// How many full ledger segments each product has.
    segments: Vec<u64>,
    /// Numbers of the chunks that were open, by the letter of their kind.
    open: BTreeMap<u8, BTreeSet<u64>>,
    hasher: RowHasher,
    sum: u64,
}

impl Image {
    /// Reads the row that publishes the checkpoint. `None` when nothing was ever published.
    ///
    /// # Errors
    /// When the store cannot be read or the row is damaged.
    pub fn open(store: &dyn CheckpointStore) -> Result<Option<Image>, Error> {
        let Some(meta_row) = store.get(key::META)? else { return Ok(None) };
        let meta = read_meta(&meta_row)?;
        Ok(Some(Image {
            meta,
            meta_row,
            segments: Vec::new(),
            open: BTreeMap::new(),
            hasher: RowHasher::default(),
            sum: 0,
        }))
    }

    /// Reads what the next checkpoint may replace. Nothing may be published from [`Image::open`] on
    /// until this returns.
    ///
    /// # Errors
    /// When the store cannot be read, a row is damaged, or the visitor fails.
    pub fn begin(&mut self, store: &dyn CheckpointStore, visit: Visit<'_>) -> Result<(), Error> {
        self.read_products(store, visit)?;
        self.read_open::<Order>(store, visit)?;
        self.read_open::<Hold>(store, visit)?;
        self.read_open::<Webhook>(store, visit)?;
        self.read_open::<Refund>(store, visit)?;
        self.read_open::<Adjustment>(store, visit)?;
        self.read_open::<Fence>(store, visit)?;
        if let Some(row) = store.get(key::LINEAGE)? {
            visit(key::LINEAGE, &row)?;
            let lineage = decode::<Lineage>(key::LINEAGE, &row)?;
            self.sum = self.sum.wrapping_add(hash_lineage(&mut self.hasher, &lineage));
        }
        if let Some(row) = store.get(key::LEVEL)? {
            visit(key::LEVEL, &row)?;
            let level = read_level(store)?;
            self.sum = self.sum.wrapping_add(hash_level(&mut self.hasher, &level));
        }
        self.read_tokens(store, visit)?;
        self.read_audit(store, visit)?;
        self.read_keyed(store, visit)?;
        if let Some(row) = store.get(key::KEY_SCHEME)? {
            visit(key::KEY_SCHEME, &row)?;
            let scheme = decode::<KeyScheme>(key::KEY_SCHEME, &row)?;
            self.sum = self.sum.wrapping_add(hash_key_scheme(&mut self.hasher, &scheme));
        }
        if let Some(row) = store.get(key::SHORT_MEANINGS)? {
            visit(key::SHORT_MEANINGS, &row)?;
            let short = decode::<ShortMeanings>(key::SHORT_MEANINGS, &row)?;
            self.sum = self.sum.wrapping_add(hash_short_meanings(&mut self.hasher, short));
        }
        let tail = store.get(key::EVENTS_TAIL)?;
        let events = match &tail {
            None => 0,
            Some(row) => {
                visit(key::EVENTS_TAIL, row)?;
                decode::<EventRows>(key::EVENTS_TAIL, row)?.0.len()
            }
        };
        match events == self.meta.events.tail() {
            true => Ok(()),
            false => Err(inconsistent(format!("{events} newest events"))),
        }
    }

    /// The index up to which it has everything.
    pub fn applied_index(&self) -> u64 {
        self.meta.applied_index
    }

    /// The term of the entry at that index.
    pub fn applied_term(&self) -> u64 {
        self.meta.applied_term
    }

    /// The replicated clock at that index.
    pub fn clock(&self) -> Timestamp {
        self.meta.clock
    }

    /// The digest of the state at that index.
    pub fn digest(&self) -> u64 {
        self.meta.digest
    }

    /// Reads what never changes, and last the row that publishes all others.
    ///
    /// # Errors
    /// When the store cannot be read, a row is damaged or missing, or the visitor fails.
    pub fn finish(mut self, store: &dyn CheckpointStore, visit: Visit<'_>) -> Result<(), Error> {
        self.read_ledgers(store, visit)?;
        self.read_users(store, visit)?;
        self.read_sealed::<Order>(store, visit)?;
        self.read_sealed::<Hold>(store, visit)?;
        self.read_sealed::<Webhook>(store, visit)?;
        self.read_sealed::<Refund>(store, visit)?;
        self.read_sealed::<Adjustment>(store, visit)?;
        self.read_sealed::<Fence>(store, visit)?;
        self.read_events(store, visit)?;
        let computed = self.sum.wrapping_add(self.meta.hash(&mut self.hasher));
        if computed != self.meta.digest {
            return Err(Error::Digest { stored: self.meta.digest, computed });
        }
        Ok(visit(key::META, &self.meta_row)?)
    }

    fn read_products(
        &mut self,
        store: &dyn CheckpointStore,
        visit: Visit<'_>,
    ) -> Result<(), Error> {
        let hasher = &mut self.hasher;
        // If several blocks contain a product, only the newest row counts.
        let count = |ReadProduct { product, tail: LedgerRows(tail) }: ReadProduct| {
            let segments = product.ledger_rows / SEGMENT_ROWS as u64;
            let sum = hasher.hash(Table::Product, product.id.0, &product);
            let sum = sum.wrapping_add(ledgers::sum_of(product.id, segments, &tail));
            (sum, segments)
        };
        let visit = |key: &[u8], bytes: &[u8]| Ok(visit(key, bytes)?);
        for (sum, segments) in read_products(store, &self.meta, count, visit)?.rows {
            self.sum = self.sum.wrapping_add(sum);
            self.segments.push(segments);
        }
        Ok(())
    }

    fn read_tokens(&mut self, store: &dyn CheckpointStore, visit: Visit<'_>) -> Result<(), Error> {
        if let Some(row) = store.get(key::AUTH)? {
            visit(key::AUTH, &row)?;
            self.sum = self.sum.wrapping_add(read_auth(store)?.hash(&mut self.hasher));
        }
        scan(store, key::TOKEN, |[_], key, bytes| {
            let token: Token = decode(key, bytes)?;
            self.sum = self.sum.wrapping_add(hash_token(&mut self.hasher, &token));
            Ok(visit(key, bytes)?)
        })
    }

    fn read_audit(&mut self, store: &dyn CheckpointStore, visit: Visit<'_>) -> Result<(), Error> {
        scan(store, key::AUDIT, |[_], key, bytes| {
            let row: audit::Row = decode(key, bytes)?;
            self.sum = self.sum.wrapping_add(row.hash(&mut self.hasher));
            Ok(visit(key, bytes)?)
        })
    }

    fn read_keyed(&mut self, store: &dyn CheckpointStore, visit: Visit<'_>) -> Result<(), Error> {
        scan(store, key::KEYED, |[_], key, bytes| {
            let keys: Vec<Kept> = decode(key, bytes)?;
            for kept in &keys {
                self.sum = self.sum.wrapping_add(hash_kept(&mut self.hasher, kept));
            }
            Ok(visit(key, bytes)?)
        })
    }

    /// Visits the ledger segments: those with rows of their own, and the blocks of all others.
    fn read_ledgers(&mut self, store: &dyn CheckpointStore, visit: Visit<'_>) -> Result<(), Error> {
        scan(store, key::SEGMENT, |[_, id, number], key, bytes| {
            let at = usize::try_from(id.wrapping_sub(1)).unwrap_or(usize::MAX);
            // Staged and never published: left by a crash.
            if self.segments.get(at).is_none_or(|published| number >= *published) {
                return Ok(());
            }
            let LedgerRows(rows) = decode(key, bytes)?;
            self.sum = self.sum.wrapping_add(ledgers::sum_of(ProductId(id), number, &rows));
            Ok(visit(key, bytes)?)
        })?;
        scan(store, key::LEDGERS, |[_, number], key, bytes| {
            // Later checkpoints add to what this one published.
            if number >= self.meta.ledger_blocks {
                return Ok(());
            }
            let sum = row_sum(key, bytes)?;
            let what = || inconsistent(format!("block of ledgers {}", key::name(key)));
            self.sum = self.sum.wrapping_add(sum.ok_or_else(what)?);
            Ok(visit(key, bytes)?)
        })
    }

    fn read_users(&mut self, store: &dyn CheckpointStore, visit: Visit<'_>) -> Result<(), Error> {
        scan(store, key::USER, |[id], key, bytes| {
            if id > self.meta.users {
                return Ok(());
            }
            let user: User = decode(key, bytes)?;
            self.sum = self.sum.wrapping_add(self.hasher.hash(Table::User, id, &user));
            Ok(visit(key, bytes)?)
        })
    }

    /// Adds a chunk to the digest. Most rows contain their share; the others are decoded.
    fn add_chunk<R: Stored>(&mut self, key: &[u8], bytes: &[u8]) -> Result<(), Error> {
        if let Some(sum) = row_sum(key, bytes)? {
            self.sum = self.sum.wrapping_add(sum);
            return Ok(());
        }
        let (_, chunk) = R::unpack(bytes).map_err(row_error(key))?;
        for row in &chunk.rows {
            self.sum = self.sum.wrapping_add(self.hasher.hash(R::TABLE, row.id(), row));
        }
        Ok(())
    }

    fn read_open<R: Stored>(
        &mut self,
        store: &dyn CheckpointStore,
        visit: Visit<'_>,
    ) -> Result<(), Error> {
        // The rows of a chunk are consecutive, by ascending checkpoint: the last one counts.
        let mut newest: Option<(u64, u64, Vec<u8>)> = None;
        chunks::scan(store, &[R::OPEN], |number, checkpoint, _, bytes| {
            if checkpoint > self.meta.checkpoint {
                return Ok(());
            }
            let before = newest.replace((number, checkpoint, bytes.to_vec()));
            match before.filter(|(before, ..)| *before != number) {
                Some(before) => self.count_open::<R>(store, before, visit),
                None => Ok(()),
            }
        })?;
        newest.map_or(Ok(()), |last| self.count_open::<R>(store, last, visit))
    }

    /// Counts an open chunk, unless a later checkpoint sealed it.
    fn count_open<R: Stored>(
        &mut self,
        store: &dyn CheckpointStore,
        (number, open, bytes): (u64, u64, Vec<u8>),
        visit: Visit<'_>,
    ) -> Result<(), Error> {
        let mut sealed = false;
        chunks::scan(store, &key::chunk(R::SEALED, number, 0), |number, checkpoint, _, _| {
            sealed |= checkpoint > open && R::counts_sealed(&self.meta, number, checkpoint);
            Ok(())
        })?;
        if sealed {
            return Ok(());
        }
        let key = key::chunk(R::OPEN, number, open);
        self.add_chunk::<R>(&key, &bytes)?;
        self.open.entry(R::OPEN).or_default().insert(number);
        Ok(visit(&key, &bytes)?)
    }

    fn read_sealed<R: Stored>(
        &mut self,
        store: &dyn CheckpointStore,
        visit: Visit<'_>,
    ) -> Result<(), Error> {
        let open = self.open.remove(&R::OPEN).unwrap_or_default();
        let mut last = None;
        chunks::scan(store, &[R::SEALED], |number, checkpoint, key, bytes| {
            // Not published by this checkpoint, or sealed by a later one, or stored twice.
            if !R::counts_sealed(&self.meta, number, checkpoint)
                || open.contains(&number)
                || last == Some(number)
            {
                return Ok(());
            }
            last = Some(number);
            self.add_chunk::<R>(key, bytes)?;
            Ok(visit(key, bytes)?)
        })
    }

    /// The digest does not cover events, so their chunks are counted.
    fn read_events(&mut self, store: &dyn CheckpointStore, visit: Visit<'_>) -> Result<(), Error> {
        let published = self.meta.events.full();
        let mut found = 0;
        scan(store, key::EVENTS, |[number], key, bytes| {
            if !published.contains(&number) {
                return Ok(());
            }
            let _: Option<Span> =
                codec::decode_row_start(ROW_VERSION, bytes).map_err(row_error(key))?;
            found += 1;
            Ok(visit(key, bytes)?)
        })?;
        let all = published.count();
        match found == all {
            true => Ok(()),
            false => Err(inconsistent(format!("{found} event chunks of {all}"))),
        }
    }
}

/// Fills an empty store with the rows of an image.
///
/// Nothing of it is published before [`Fill::finish`]; [`State::open`] then checks all of it.
pub struct Fill<'a> {
    stage: Stage<'a>,
    meta: Option<Vec<u8>>,
}

impl<'a> Fill<'a> {
    /// Starts filling a store, which must be empty.
    pub fn new(store: &'a dyn CheckpointStore) -> Fill<'a> {
        Fill { stage: Stage::new(store), meta: None }
    }

    /// Adds a row.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn add(&mut self, key: &[u8], value: &[u8]) -> Result<(), store::Error> {
        if key == key::META {
            self.meta = Some(value.to_vec());
            return Ok(());
        }
        self.stage.add(key.to_vec(), value.to_vec())
    }

    /// Publishes all rows, durably.
    ///
    /// # Errors
    /// When the store cannot be written, or the row that publishes the others is missing.
    pub fn finish(self) -> Result<(), Error> {
        let store = self.stage.store();
        self.stage.finish()?;
        let meta = self.meta.ok_or_else(|| inconsistent("the image has no end"))?;
        store.sync()?;
        store.publish(vec![(key::META.to_vec(), Some(meta))])?;
        Ok(store.sync()?)
    }
}

impl State {
    /// While `keep` is set, checkpoints remove no old chunks of events from the store, so that an
    /// [`Image`] of an earlier one can still be read.
    pub fn keep_old_events(&mut self, keep: bool) {
        self.events.keep_old(keep);
    }
}
