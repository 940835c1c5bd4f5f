//! Reading the stored products: the newest row of each, from whichever block has it.

use bincode::Decode;

use crate::checkpoint::dead::Key;
use crate::checkpoint::read::{Error, decode, inconsistent, scan};
use crate::checkpoint::rows::{Meta, ProductRow, SINGLE_PRODUCTS, key};
use crate::ids::ProductId;
use crate::ledger::SEGMENT_ROWS;
use crate::packed::LedgerRows;
use crate::products::{BLOCK_ROWS, LOCATION};
use crate::store::CheckpointStore;

/// A product as it is decoded.
pub(super) type ReadProduct = ProductRow<LedgerRows>;

/// The products of a checkpoint.
pub(super) struct StoredProducts<T> {
    /// What `make` made of each product's newest row, by id − 1.
    pub(super) rows: Vec<T>,
    /// The blocks by ascending number, with the products of their rows; none in format 1.
    pub(super) blocks: Vec<(u64, Vec<ProductId>)>,
    /// Blocks that were never published.
    pub(super) leftovers: Vec<Key>,
}

/// Reads all products that the checkpoint publishes, each stored value once, and calls `make` with
/// their rows.
///
/// # Errors
/// When the store cannot be read, a row is damaged or missing, or the visitor fails.
pub(super) fn read_products<T>(
    store: &dyn CheckpointStore,
    meta: &Meta,
    mut make: impl FnMut(ReadProduct) -> T,
    mut visit: impl FnMut(&[u8], &[u8]) -> Result<(), Error>,
) -> Result<StoredProducts<T>, Error> {
    let mut newest: Vec<Option<T>> = Vec::new();
    let (mut blocks, mut leftovers) = (Vec::new(), Vec::new());
    let mut take = |row: ReadProduct, key: &[u8]| {
        let id = row.product.id;
        let tail = row.product.ledger_rows % SEGMENT_ROWS as u64;
        if !(1..=meta.products).contains(&id.0) || row.tail.0.len() as u64 != tail {
            return Err(inconsistent(format!("product row {}", key::name(key))));
        }
        let at = id.0 as usize - 1;
        if newest.len() <= at {
            newest.resize_with(at + 1, || None);
        }
        // Blocks are read by ascending number, so the last row is the newest.
        newest[at] = Some(make(row));
        Ok(id)
    };
    if meta.format == SINGLE_PRODUCTS {
        scan(store, key::PRODUCT, |[location, id], key, bytes| {
            let found = take(decode(key, bytes)?, key)?;
            match (location, id) == (LOCATION.0, found.0) {
                true => visit(key, bytes),
                false => Err(inconsistent(format!("product row {}", key::name(key)))),
            }
        })?;
    } else {
        scan(store, key::PRODUCTS, |[location, number], key, bytes| {
            // Staged and never published: left by a crash.
            if location == LOCATION.0 && number >= meta.blocks {
                leftovers.push(key.to_vec());
                return Ok(());
            }
            let Block(rows) = decode(key, bytes)?;
            let ids: Result<Vec<_>, _> = rows.into_iter().map(|row| take(row, key)).collect();
            let ids = ids?;
            if location != LOCATION.0 || !ids.is_sorted() {
                return Err(inconsistent(format!("block of products {}", key::name(key))));
            }
            blocks.push((number, ids));
            visit(key, bytes)
        })?;
    }
    let rows: Vec<T> = newest.into_iter().flatten().collect();
    match rows.len() as u64 == meta.products {
        true => Ok(StoredProducts { rows, blocks, leftovers }),
        false => Err(inconsistent(format!("{} products of {}", rows.len(), meta.products))),
    }
}

/// The rows of a block.
struct Block(Vec<ReadProduct>);

bincode::impl_borrow_decode!(Block);

impl<C> Decode<C> for Block {
    fn decode<D: bincode::de::Decoder<Context = C>>(
        decoder: &mut D,
    ) -> Result<Block, bincode::error::DecodeError> {
        let rows = Vec::<ReadProduct>::decode(decoder)?;
        match (1..=BLOCK_ROWS).contains(&rows.len()) {
            true => Ok(Block(rows)),
            false => Err(bincode::error::DecodeError::Other("a block of an impossible size")),
        }
    }
}

/// The products that still have a row of format 1, ascending.
pub(super) fn single_rows(store: &dyn CheckpointStore) -> Result<Vec<ProductId>, Error> {
    let mut ids = Vec::new();
    scan(store, key::PRODUCT, |[_, id], _, _| {
        ids.push(ProductId(id));
        Ok(())
    })?;
    Ok(ids)
}
