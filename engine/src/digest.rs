//! The digest: one number that is equal on nodes whose rows are equal.
//!
//! It is the wrapping sum of the hashes of all rows, so a row can be replaced without rehashing the
//! others. Unlike an exclusive or, a sum does not lose rows that occur in pairs. It covers what is
//! replicated (orders, holds, payment reports, products, ledger, adjustments, users, clock, next
//! ids, totals, sessions; keys through their rows), and nothing that may differ between nodes, such
//! as what is in memory.

use bincode::Encode;
use xxhash_rust::xxh3::xxh3_64;

use crate::codec;
use crate::ids::{LocationId, ProductId};
use crate::ledger;

/// The kinds of rows, so that equal bytes in two tables have different hashes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Table {
    /// Clock, next ids, totals and sessions.
    Meta = 1,
    /// Orders by id.
    Order = 2,
    /// Products by id.
    Product = 3,
    /// Ledger rows by location, product and number.
    Ledger = 4,
    /// Users by id.
    User = 5,
    /// Holds by id.
    Hold = 6,
    /// Reports of payments by id.
    Webhook = 7,
    /// Adjustments by id.
    Adjustment = 8,
    /// Fenced keys by number.
    Fence = 9,
    /// The cluster's lineage, unless it is the default.
    Lineage = 10,
    /// The cluster's level, unless it is 0.
    Level = 11,
    /// Tokens by id.
    Token = 12,
    /// Whether credentials are required, and how many tokens there were.
    Auth = 13,
    /// Which orders have payment keys of the old kind, unless it is none.
    KeyScheme = 14,
    /// Refunds by id.
    Refund = 15,
    /// Which rows have short meanings, unless it is none.
    ShortMeanings = 16,
    /// Rows of the audit by their places.
    Audit = 17,
    /// Idempotency keys of commands whose rows have none, by number.
    Keyed = 20,
}

/// Hashes rows, reusing one buffer.
#[derive(Debug, Default)]
pub(crate) struct RowHasher {
    bytes: Vec<u8>,
}

impl RowHasher {
    /// The hash of a row under its key.
    pub(crate) fn hash<T: Encode>(&mut self, table: Table, key: u64, row: &T) -> u64 {
        self.bytes.clear();
        self.bytes.push(table as u8);
        self.bytes.extend_from_slice(&key.to_le_bytes());
        codec::encode_for_hash(row, &mut self.bytes);
        xxh3_64(&self.bytes)
    }
}

/// The hash of a ledger row. These rows are the most frequent, so their numbers are copied side by
/// side instead of encoded.
pub(crate) fn ledger_hash(
    location: LocationId,
    product: ProductId,
    number: u64,
    row: &ledger::Row,
) -> u64 {
    let (kind, reference) = match row.cause {
        ledger::Cause::Created => (0, 0),
        ledger::Cause::Order(id) => (1, id.0),
        ledger::Cause::Sale(id) => (2, id.0),
        ledger::Cause::Release(id) => (3, id.0),
        ledger::Cause::Cancel(id) => (4, id.0),
        ledger::Cause::Adjustment(id) => (5, id.map_or(0, |id| id.0)),
        ledger::Cause::Hold(id) => (6, id.0),
        ledger::Cause::HoldRelease(id) => (7, id.0),
        ledger::Cause::HoldExpire(id) => (8, id.0),
        ledger::Cause::HoldConsume(id) => (9, id.0),
        ledger::Cause::Return(id) => (10, id.0),
    };
    let numbers = [
        Table::Ledger as u64,
        location.0,
        product.0,
        number,
        row.position.0,
        row.at.0,
        kind,
        reference,
        row.on_hand as u64,
        row.held as u64,
        row.reserved as u64,
        row.sold as u64,
        row.after.on_hand as u64,
        row.after.held as u64,
        row.after.reserved as u64,
        row.after.sold as u64,
    ];
    let mut bytes = [0; 128];
    for (place, number) in bytes.chunks_exact_mut(8).zip(numbers) {
        place.copy_from_slice(&number.to_le_bytes());
    }
    xxh3_64(&bytes)
}
