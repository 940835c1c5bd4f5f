//! The door for fuzzers: reads any bytes as a stored row of every kind.
//!
//! Only tests and the feature `fuzzing` compile it. Stored rows are private to the crate, so a
//! fuzzer outside needs one function that knows all kinds.

use std::fmt::Debug;

use bincode::{Decode, Encode};

use super::ledgers::Block;
use super::rows::{Meta, ProductRow, SINGLE_SEGMENTS};
use crate::adjustment::Adjustment;
use crate::audit;
use crate::auth::Token;
use crate::codec::{self, ROW_VERSION};
use crate::fence::Fence;
use crate::hold::Hold;
use crate::keyed::Kept;
use crate::keys::ShortMeanings;
use crate::lineage::Lineage;
use crate::order::Order;
use crate::packed::{EventRows, LedgerRows, PackedEvents, PackedLedger};
use crate::payment_keys::KeyScheme;
use crate::record::Chunk;
use crate::refund::Refund;
use crate::tokens::Head;
use crate::user::User;
use crate::webhook::Webhook;

/// Reads `bytes` as a row of each kind; returns the kinds as which they can be read.
///
/// # Panics
/// When a row that was read is written back and then read differently: a bug of the codec.
pub fn row(bytes: &[u8]) -> Vec<&'static str> {
    let kinds = [
        ("meta", meta(bytes)),
        ("lineage", plain::<Lineage>(bytes)),
        ("payment keys", plain::<KeyScheme>(bytes)),
        ("short meanings", plain::<ShortMeanings>(bytes)),
        ("orders", plain::<Chunk<Order>>(bytes)),
        ("summed orders", summed::<Chunk<Order>>(bytes)),
        ("summed holds", summed::<Chunk<Hold>>(bytes)),
        ("summed webhooks", summed::<Chunk<Webhook>>(bytes)),
        ("summed adjustments", summed::<Chunk<Adjustment>>(bytes)),
        ("summed fences", summed::<Chunk<Fence>>(bytes)),
        ("summed refunds", summed::<Chunk<Refund>>(bytes)),
        ("tokens", plain::<Head>(bytes)),
        ("token", plain::<Token>(bytes)),
        ("audit", plain::<audit::Row>(bytes)),
        ("keyed", plain::<Vec<Kept>>(bytes)),
        ("user", plain::<User>(bytes)),
        ("product", codec::decode_row::<ProductRow<LedgerRows>>(ROW_VERSION, bytes).is_ok()),
        ("products", codec::decode_row::<Vec<ProductRow<LedgerRows>>>(ROW_VERSION, bytes).is_ok()),
        ("ledger", ledger(bytes)),
        ("ledgers", codec::decode_summed_row::<Block>(bytes).is_ok()),
        ("events", events(bytes)),
    ];
    kinds.into_iter().filter(|(_, is_read)| *is_read).map(|(kind, _)| kind).collect()
}

/// The row of an older format has fewer fields, and is written back in the newest format.
fn meta(bytes: &[u8]) -> bool {
    match codec::decode_row::<Meta>(ROW_VERSION, bytes) {
        Ok(meta) if meta.format > SINGLE_SEGMENTS => plain::<Meta>(bytes),
        other => other.is_ok(),
    }
}

fn plain<T: Encode + Decode<()> + PartialEq + Debug>(bytes: &[u8]) -> bool {
    let Ok(value) = codec::decode_row::<T>(ROW_VERSION, bytes) else { return false };
    let written = codec::encode_row(ROW_VERSION, &value);
    assert!(written.len() <= bytes.len(), "the encoding has the shortest form");
    assert_eq!(codec::decode_row::<T>(ROW_VERSION, &written).as_ref(), Ok(&value));
    true
}

fn summed<T: Encode + Decode<()> + PartialEq + Debug>(bytes: &[u8]) -> bool {
    let Ok((Some(sum), value)) = codec::decode_summed_row::<T>(bytes) else { return false };
    assert_eq!(codec::row_sum(bytes), Ok(Some(sum)));
    let written = codec::encode_summed_row(sum, &value);
    assert!(written.len() <= bytes.len(), "the encoding has the shortest form");
    assert_eq!(codec::decode_summed_row::<T>(&written), Ok((Some(sum), value)));
    true
}

/// Ledger rows and events are written by a packer, so reading the packed form closes the circle.
fn ledger(bytes: &[u8]) -> bool {
    let Ok(rows) = codec::decode_row::<LedgerRows>(ROW_VERSION, bytes) else { return false };
    let mut packed = PackedLedger::default();
    for row in &rows.0 {
        packed.push(row, 0);
    }
    assert!(packed.iter().eq(rows.0.iter().copied()), "packed rows come back as they were");
    let written = codec::encode_row(ROW_VERSION, &packed);
    assert_eq!(codec::decode_row::<LedgerRows>(ROW_VERSION, &written), Ok(rows));
    true
}

fn events(bytes: &[u8]) -> bool {
    let Ok(rows) = codec::decode_row::<EventRows>(ROW_VERSION, bytes) else { return false };
    let mut packed = PackedEvents::default();
    for event in &rows.0 {
        packed.push(event);
    }
    let written = codec::encode_row(ROW_VERSION, &packed);
    assert_eq!(codec::decode_row::<EventRows>(ROW_VERSION, &written), Ok(rows));
    true
}
