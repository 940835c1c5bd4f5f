//! Reading stored ledger segments: from shared blocks, and from rows of their own, which older
//! formats wrote.

use bincode::Decode;
use bincode::de::Decoder;
use bincode::error::DecodeError;

use crate::checkpoint::ahead::{Give, ReadAhead};
use crate::checkpoint::dead::Key;
use crate::checkpoint::products::ReadProduct;
use crate::checkpoint::read::{Error, decode, inconsistent, scan};
use crate::checkpoint::rows::{Meta, key};
use crate::codec;
use crate::digest::ledger_hash;
use crate::ids::ProductId;
use crate::ledger::{self, SEGMENT_ROWS};
use crate::packed::LedgerRows;
use crate::product::Counters;
use crate::products::{BLOCK_SEGMENTS, LOCATION, LedgerHome, StoredLedger};
use crate::store::{self, CheckpointStore};

/// The stored ledger segments of all products.
pub(super) struct ReadLedgers {
    /// By product id − 1.
    pub(super) ledgers: Vec<StoredLedger>,
    /// Their share of the digest.
    pub(super) sum: u64,
    /// Rows that were never published.
    pub(super) leftovers: Vec<Key>,
}

/// What a segment contains, once its rows were checked.
struct Found {
    product: ProductId,
    number: u64,
    home: LedgerHome,
    /// The counters before its first row and after its last one.
    before: Counters,
    after: Counters,
    sum: u64,
}

/// Reads and checks the segments of all products.
///
/// # Errors
/// When the store cannot be read, or a segment is damaged, missing, or does not continue the one
/// before it.
pub(super) fn read_ledgers(
    store: &dyn CheckpointStore,
    meta: &Meta,
    products: &[ReadProduct],
    ahead: &impl ReadAhead,
) -> Result<ReadLedgers, Error> {
    let mut read = ReadLedgers {
        ledgers: vec![StoredLedger::default(); products.len()],
        sum: 0,
        leftovers: Vec::new(),
    };
    let mut unpublished = Vec::new();
    let published = |id: ProductId| {
        let at = usize::try_from(id.0.wrapping_sub(1)).unwrap_or(usize::MAX);
        let rows = products.get(at).map_or(0, |row| row.product.ledger_rows);
        (at, rows / SEGMENT_ROWS as u64)
    };
    ahead.run(
        |give| {
            each_single(store, give)?;
            each_block(store, meta, &mut unpublished, give)
        },
        |segments: Vec<Found>| {
            segments.into_iter().try_for_each(|found| read.take(found, published))
        },
    )?;
    read.leftovers.append(&mut unpublished);
    for (row, ledger) in products.iter().zip(&read.ledgers) {
        let (id, found) = (row.product.id, ledger.homes.len() as u64);
        let (_, all) = published(id);
        if found != all {
            return Err(inconsistent(format!("product {id}: {found} of {all} segments")));
        }
    }
    Ok(read)
}

impl ReadLedgers {
    fn take(
        &mut self,
        found: Found,
        published: impl Fn(ProductId) -> (usize, u64),
    ) -> Result<(), Error> {
        let Found { product, number, home, before, after, sum } = found;
        let (at, segments) = published(product);
        // A single row of an unknown product, or beyond every published count, was left by a crash.
        // Blocks count as a whole.
        if number >= segments && home == LedgerHome::OWN_ROW {
            self.leftovers.push(key::segment(LOCATION, product, number));
            return Ok(());
        }
        let ledger = self.ledgers.get_mut(at).filter(|ledger| {
            number < segments && ledger.homes.len() as u64 == number && ledger.after == before
        });
        let Some(ledger) = ledger else {
            let what = format!("ledger segment {number} of product {product}");
            return Err(inconsistent(what));
        };
        ledger.homes.push(home);
        ledger.after = after;
        self.sum = self.sum.wrapping_add(sum);
        Ok(())
    }
}

/// Passes on the segments that have rows of their own, product by product.
fn each_single(store: &dyn CheckpointStore, give: Give<'_, Vec<Found>>) -> Result<(), Error> {
    scan(store, key::SEGMENT, |[location, id, number], key, bytes| {
        let LedgerRows(rows) = decode(key, bytes)?;
        if location != LOCATION.0 {
            return Err(inconsistent(format!("ledger segment {}", key::name(key))));
        }
        give(vec![look_at(ProductId(id), number, &rows, LedgerHome::OWN_ROW)?])
    })
}

/// Passes on the segments in blocks, block by block, and notes the blocks that were never
/// published.
fn each_block(
    store: &dyn CheckpointStore,
    meta: &Meta,
    unpublished: &mut Vec<Key>,
    give: Give<'_, Vec<Found>>,
) -> Result<(), Error> {
    scan(store, key::LEDGERS, |[location, number], key, bytes| {
        // Staged and never published: left by a crash.
        if number >= meta.ledger_blocks && location == LOCATION.0 {
            unpublished.push(key.to_vec());
            return Ok(());
        }
        let damaged = |source| Error::Row { key: key::name(key), source };
        let (said, Block(segments)) = codec::decode_summed_row(bytes).map_err(damaged)?;
        let home = LedgerHome::in_block(number);
        let look = |(product, number, LedgerRows(rows)): (ProductId, u64, LedgerRows)| {
            look_at(product, number, &rows, home)
        };
        let found = segments.into_iter().map(look).collect::<Result<Vec<_>, _>>()?;
        let sum = found.iter().fold(0_u64, |sum, found| sum.wrapping_add(found.sum));
        match location == LOCATION.0 && said == Some(sum) {
            true => give(found),
            false => Err(inconsistent(format!("block of ledgers {}", key::name(key)))),
        }
    })
}

/// Hashes the rows of a segment and checks that each continues the one before it.
fn look_at(
    product: ProductId,
    number: u64,
    rows: &[ledger::Row],
    home: LedgerHome,
) -> Result<Found, Error> {
    let wrong = || inconsistent(format!("ledger segment {number} of product {product}"));
    let first = rows.first().filter(|_| rows.len() == SEGMENT_ROWS).ok_or_else(wrong)?;
    let before = first.before().ok_or_else(wrong)?;
    let mut after = before;
    for row in rows {
        if row.delta().apply_to(after) != Some(row.after) {
            return Err(wrong());
        }
        after = row.after;
    }
    Ok(Found { product, number, home, before, after, sum: sum_of(product, number, rows) })
}

/// The rows' share of the digest.
pub(super) fn sum_of(product: ProductId, segment: u64, rows: &[ledger::Row]) -> u64 {
    let first = segment.wrapping_mul(SEGMENT_ROWS as u64);
    let hash = |(n, row)| ledger_hash(LOCATION, product, first.wrapping_add(n), row);
    (0..).zip(rows).map(hash).fold(0, u64::wrapping_add)
}

/// The segments of a block.
pub(super) struct Block(Vec<(ProductId, u64, LedgerRows)>);

bincode::impl_borrow_decode!(Block);

impl<C> Decode<C> for Block {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Block, DecodeError> {
        let segments = Vec::<(ProductId, u64, LedgerRows)>::decode(decoder)?;
        match (1..=BLOCK_SEGMENTS).contains(&segments.len()) {
            true => Ok(Block(segments)),
            false => Err(DecodeError::Other("a block of an impossible size")),
        }
    }
}

/// Reads one segment from its home.
///
/// # Errors
/// When the store cannot be read, or the row is damaged or missing.
pub(super) fn read_segment(
    store: &dyn CheckpointStore,
    id: ProductId,
    number: u64,
    home: LedgerHome,
) -> Result<Vec<ledger::Row>, store::Error> {
    let key = match home.block() {
        Some(block) => key::ledgers(LOCATION, block),
        None => key::segment(LOCATION, id, number),
    };
    let damaged = |source| store::Error::Damaged { key: key::name(&key), source };
    let missing = || {
        let what = format!("segment {number} of product {id} is missing");
        damaged(codec::Error::Malformed(what))
    };
    let bytes = store.get(&key)?.ok_or_else(missing)?;
    if home.block().is_none() {
        let LedgerRows(rows) = codec::decode_row(codec::ROW_VERSION, &bytes).map_err(damaged)?;
        return Ok(rows);
    }
    let (_, Block(segments)) = codec::decode_summed_row(&bytes).map_err(damaged)?;
    let found = segments.into_iter().find(|(of, at, _)| (*of, *at) == (id, number));
    found.map(|(_, _, LedgerRows(rows))| rows).ok_or_else(missing)
}
