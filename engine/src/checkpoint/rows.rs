//! The stored rows and their keys.
//!
//! Keys are one letter and big-endian numbers, so that rows of a kind lie together in the order of
//! their numbers. Values are versioned and checksummed rows of [`crate::codec`].

use bincode::de::Decoder;
use bincode::enc::Encoder;
use bincode::error::{DecodeError, EncodeError};
use bincode::{Decode, Encode};

use crate::adjustment::Adjustment;
use crate::codec;
use crate::digest::RowHasher;
use crate::events::Extent;
use crate::fence::Fence;
use crate::hold::Hold;
use crate::ids::{Position, Timestamp};
use crate::order::Order;
use crate::packed::InChunk;
use crate::product::Product;
use crate::record::Chunk;
use crate::refund::Refund;
use crate::sessions::Sessions;
use crate::state::hash_counts;
use crate::totals::Totals;
use crate::webhook::Webhook;

/// The version of the layout as a whole at level 0. Older ones can still be read.
pub(crate) const FORMAT: u32 = 3;

/// The version with a row for the level, from level 1 on. A build before levels refuses it by name.
/// Version 4 has the rows of 3: it stands for a log with envelopes of version 2.
pub(crate) const LEVELS: u32 = 5;

/// The version with refunds, which counts them in the row that publishes; from level 1 on.
pub(crate) const REFUNDS: u32 = 6;

/// The first format: each product had a row of its own.
pub(crate) const SINGLE_PRODUCTS: u32 = 1;

/// The last format in which each ledger segment had a row of its own, and all checkpoints wrote a
/// chunk under the same key. Such rows stay until they are replaced.
pub(crate) const SINGLE_SEGMENTS: u32 = 2;

/// Whether this build knows the format.
pub(crate) fn is_known(format: u32) -> bool {
    (SINGLE_PRODUCTS..=FORMAT).contains(&format) || matches!(format, LEVELS | REFUNDS)
}

/// The row that publishes a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Meta {
    pub(crate) format: u32,
    pub(crate) applied_index: u64,
    pub(crate) applied_term: u64,
    pub(crate) position: Position,
    pub(crate) clock: Timestamp,
    /// How many of each there are; the next id is this number + 1.
    pub(crate) orders: u64,
    pub(crate) holds: u64,
    pub(crate) webhooks: u64,
    pub(crate) adjustments: u64,
    pub(crate) fences: u64,
    pub(crate) events: Extent,
    pub(crate) products: u64,
    pub(crate) users: u64,
    pub(crate) totals: Totals,
    pub(crate) sessions: Sessions,
    pub(crate) digest: u64,
    /// The number of the next block of products; 0 in format 1.
    pub(crate) blocks: u64,
    /// The number of the next block of ledger segments; 0 in formats 1 and 2.
    pub(crate) ledger_blocks: u64,
    /// The number of this checkpoint, from 1; 0 in formats 1 and 2.
    pub(crate) checkpoint: u64,
    /// How many refunds there are; 0 in formats before [`REFUNDS`].
    pub(crate) refunds: u64,
}

bincode::impl_borrow_decode!(Meta);

impl Encode for Meta {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        self.format.encode(encoder)?;
        self.applied_index.encode(encoder)?;
        self.applied_term.encode(encoder)?;
        self.position.encode(encoder)?;
        self.clock.encode(encoder)?;
        self.orders.encode(encoder)?;
        self.holds.encode(encoder)?;
        self.webhooks.encode(encoder)?;
        self.adjustments.encode(encoder)?;
        self.fences.encode(encoder)?;
        self.events.encode(encoder)?;
        self.products.encode(encoder)?;
        self.users.encode(encoder)?;
        self.totals.encode(encoder)?;
        self.sessions.encode(encoder)?;
        self.digest.encode(encoder)?;
        self.blocks.encode(encoder)?;
        self.ledger_blocks.encode(encoder)?;
        self.checkpoint.encode(encoder)?;
        match self.format >= REFUNDS {
            true => self.refunds.encode(encoder),
            false => Ok(()),
        }
    }
}

impl<C> Decode<C> for Meta {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Meta, DecodeError> {
        let format = Decode::decode(decoder)?;
        Ok(Meta {
            format,
            applied_index: Decode::decode(decoder)?,
            applied_term: Decode::decode(decoder)?,
            position: Decode::decode(decoder)?,
            clock: Decode::decode(decoder)?,
            orders: Decode::decode(decoder)?,
            holds: Decode::decode(decoder)?,
            webhooks: Decode::decode(decoder)?,
            adjustments: Decode::decode(decoder)?,
            fences: Decode::decode(decoder)?,
            events: Decode::decode(decoder)?,
            products: Decode::decode(decoder)?,
            users: Decode::decode(decoder)?,
            totals: Decode::decode(decoder)?,
            sessions: Decode::decode(decoder)?,
            digest: Decode::decode(decoder)?,
            blocks: if format <= SINGLE_PRODUCTS { 0 } else { Decode::decode(decoder)? },
            ledger_blocks: if format <= SINGLE_SEGMENTS { 0 } else { Decode::decode(decoder)? },
            checkpoint: if format <= SINGLE_SEGMENTS { 0 } else { Decode::decode(decoder)? },
            refunds: if format < REFUNDS { 0 } else { Decode::decode(decoder)? },
        })
    }
}

impl Meta {
    /// Its share of the digest.
    pub(crate) fn hash(&self, hasher: &mut RowHasher) -> u64 {
        let counts = (
            self.orders,
            self.holds,
            self.webhooks,
            self.products,
            self.adjustments,
            self.fences,
            self.events.told,
            self.users,
        );
        hash_counts(hasher, self.clock, counts, &self.totals, &self.sessions)
    }
}

/// A kind of row that is stored in chunks.
pub(crate) trait Stored: InChunk {
    /// The letter of sealed chunks: full, and all rows final.
    const SEALED: u8;
    /// The letter of chunks with open rows or free ids.
    const OPEN: u8;
    /// The name of a row in errors.
    const NAME: &'static str;

    /// How many rows the checkpoint publishes.
    fn published(meta: &Meta) -> u64;

    /// Reads a stored chunk, and its share of the digest.
    fn unpack(bytes: &[u8]) -> Result<(Option<u64>, Chunk<Self>), codec::Error> {
        codec::decode_summed_row(bytes)
    }

    /// Whether a sealed row by this checkpoint may count. Formats without checkpoint numbers may
    /// have only staged it, unless all ids of the chunk are in use.
    fn counts_sealed(meta: &Meta, chunk: u64, checkpoint: u64) -> bool {
        match checkpoint {
            0 => chunk < Self::published(meta) / Self::CHUNK,
            _ => checkpoint <= meta.checkpoint,
        }
    }

    /// How many chunks there are; the last one may be partial.
    fn chunks(meta: &Meta) -> u64 {
        Self::published(meta).div_ceil(Self::CHUNK)
    }

    /// How many rows a chunk has.
    fn rows_in(meta: &Meta, chunk: u64) -> u64 {
        let before = chunk.saturating_mul(Self::CHUNK);
        Self::published(meta).saturating_sub(before).min(Self::CHUNK)
    }
}

/// Defines how a kind of rows is stored: its name, its letters, and the field of [`Meta`] that
/// counts it.
macro_rules! stored {
    ($row:ty, $name:literal, $sealed:literal, $open:literal, $count:ident) => {
        impl Stored for $row {
            const SEALED: u8 = $sealed;
            const OPEN: u8 = $open;
            const NAME: &'static str = $name;

            fn published(meta: &Meta) -> u64 {
                meta.$count
            }
        }
    };
}

stored!(Order, "order", b'S', b'M', orders);
stored!(Hold, "hold", b'H', b'h', holds);
stored!(Webhook, "webhook", b'W', b'w', webhooks);
stored!(Adjustment, "adjustment", b'A', b'a', adjustments);
stored!(Fence, "fence", b'F', b'f', fences);
stored!(Refund, "refund", b'R', b'r', refunds);

/// A product with the ledger rows after its last full segment, `L`, since both change together.
/// They are packed when written, and [`LedgerRows`](crate::packed::LedgerRows) when read.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct ProductRow<L> {
    pub(crate) product: Product,
    pub(crate) tail: L,
}

/// The keys of the rows.
pub(crate) mod key {
    use std::fmt::Write;

    use crate::ids::{LocationId, ProductId, TokenId, UserId};

    /// The row that publishes a checkpoint.
    pub(crate) const META: &[u8] = b"meta";
    /// Blocks of products with their last ledger rows, by location; no block ever changes.
    pub(crate) const PRODUCTS: u8 = b'B';
    /// Single products with their last ledger rows, by location, in format 1.
    pub(crate) const PRODUCT: u8 = b'P';
    /// Blocks of full ledger segments, by location; no block ever changes.
    pub(crate) const LEDGERS: u8 = b'J';
    /// Single ledger segments, by location and product, in formats 1 and 2.
    pub(crate) const SEGMENT: u8 = b'L';
    /// Users.
    pub(crate) const USER: u8 = b'U';
    /// Full chunks of events.
    pub(crate) const EVENTS: u8 = b'E';
    /// The partial chunk of events, unless it is empty.
    pub(crate) const EVENTS_TAIL: &[u8] = b"e";

    /// The cluster's lineage, unless it is the default.
    pub(crate) const LINEAGE: &[u8] = b"lineage";
    /// What is about all tokens, unless it is the default.
    pub(crate) const AUTH: &[u8] = b"tokens";
    /// Tokens.
    pub(crate) const TOKEN: u8 = b'T';
    /// Idempotency keys of commands whose rows have none, by their place in the ring.
    pub(crate) const KEYED: u8 = b'K';

    /// Rows of the audit, by place.
    pub(crate) const AUDIT: u8 = b'N';

    /// The cluster's level, unless it is 0.
    pub(crate) const LEVEL: &[u8] = b"level";
    /// Which orders have payment keys of the old kind, unless it is none.
    pub(crate) const KEY_SCHEME: &[u8] = b"payment keys";
    /// Which rows have short meanings, unless it is none.
    pub(crate) const SHORT_MEANINGS: &[u8] = b"short meanings";

    fn join<const N: usize>(kind: u8, numbers: [u64; N]) -> Vec<u8> {
        let mut key = Vec::with_capacity(1 + 8 * N);
        key.push(kind);
        for number in numbers {
            key.extend_from_slice(&number.to_be_bytes());
        }
        key
    }

    /// The numbers in a key, or `None` when it does not have exactly that many.
    pub(crate) fn numbers<const N: usize>(key: &[u8]) -> Option<[u64; N]> {
        let (_, rest) = key.split_first()?;
        if rest.len() != 8 * N {
            return None;
        }
        let mut numbers = [0; N];
        for (number, bytes) in numbers.iter_mut().zip(rest.as_chunks::<8>().0) {
            *number = u64::from_be_bytes(*bytes);
        }
        Some(numbers)
    }

    /// A chunk, under the letter of its kind, as a checkpoint wrote it; 0 stands for formats 1 and
    /// 2. The key of 0 is a prefix of all others.
    pub(crate) fn chunk(letter: u8, number: u64, checkpoint: u64) -> Vec<u8> {
        match checkpoint {
            0 => join(letter, [number]),
            _ => join(letter, [number, checkpoint]),
        }
    }

    /// The number of the chunk in a key, and of the checkpoint that wrote it.
    pub(crate) fn chunk_numbers(key: &[u8]) -> Option<(u64, u64)> {
        let older = numbers(key).map(|[number]| (number, 0));
        older.or_else(|| numbers(key).map(|[number, checkpoint]| (number, checkpoint)))
    }

    /// A full chunk of events.
    pub(crate) fn events(number: u64) -> Vec<u8> {
        join(EVENTS, [number])
    }

    pub(crate) fn products(location: LocationId, block: u64) -> Vec<u8> {
        join(PRODUCTS, [location.0, block])
    }

    pub(crate) fn product(location: LocationId, id: ProductId) -> Vec<u8> {
        join(PRODUCT, [location.0, id.0])
    }

    pub(crate) fn ledgers(location: LocationId, block: u64) -> Vec<u8> {
        join(LEDGERS, [location.0, block])
    }

    pub(crate) fn segment(location: LocationId, id: ProductId, number: u64) -> Vec<u8> {
        join(SEGMENT, [location.0, id.0, number])
    }

    pub(crate) fn user(id: UserId) -> Vec<u8> {
        join(USER, [id.0])
    }

    pub(crate) fn token(id: TokenId) -> Vec<u8> {
        join(TOKEN, [id.0])
    }

    pub(crate) fn audit(place: u64) -> Vec<u8> {
        join(AUDIT, [place])
    }

    pub(crate) fn keyed(row: u64) -> Vec<u8> {
        join(KEYED, [row])
    }

    /// A key in readable form: its letter and its numbers, else its bytes.
    pub(crate) fn name(key: &[u8]) -> String {
        match key {
            META => return "meta".into(),
            EVENTS_TAIL => return "newest events".into(),
            LINEAGE => return "lineage".into(),
            LEVEL => return "level".into(),
            AUTH => return "tokens".into(),
            KEY_SCHEME => return "payment keys".into(),
            SHORT_MEANINGS => return "short meanings".into(),
            _ => {}
        }
        let Some((kind, rest)) = key.split_first() else { return "without a key".into() };
        let mut name = char::from(*kind).escape_default().to_string();
        let (numbers, odd) = rest.as_chunks::<8>();
        for number in numbers {
            write!(name, "/{}", u64::from_be_bytes(*number))
                .expect("writing to a String cannot fail");
        }
        for byte in odd {
            write!(name, " {byte:02x}").expect("writing to a String cannot fail");
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::checkpoint::fuzzing::row;
    use crate::codec::{ROW_VERSION, encode_row, encode_summed_row};
    use crate::ids::{LocationId, ProductId};
    use crate::packed::PackedLedger;

    #[test]
    fn keys_sort_by_their_numbers_and_survive_the_round_trip() {
        let first = key::segment(LocationId(0), ProductId(2), 255);
        let second = key::segment(LocationId(0), ProductId(2), 256);
        let third = key::segment(LocationId(0), ProductId(3), 0);
        assert!(first < second && second < third);
        assert_eq!(key::numbers(&second), Some([0, 2, 256]));
        assert_eq!(key::numbers::<2>(&second), None);
        assert_eq!(key::name(&second), "L/0/2/256");
        assert_eq!(key::chunk_numbers(&key::chunk(b'S', 7, 9)), Some((7, 9)));
        assert_eq!(key::chunk_numbers(&key::chunk(b'S', 7, 0)), Some((7, 0)));
        assert_eq!(key::chunk_numbers(&second), None);
        assert_eq!(key::name(key::META), "meta");
        assert_eq!(key::name(b"\x07ab"), "\\u{7} 61 62");
    }

    /// A row with a correct checksum, so that its bytes reach the decoder.
    fn sealed(version: u8, body: &[u8]) -> Vec<u8> {
        let mut row = vec![0, 0, 0, 0, version];
        row.extend_from_slice(body);
        let sum = crc32fast::hash(&row[4..]);
        row[..4].copy_from_slice(&sum.to_le_bytes());
        row
    }

    fn sample_rows() -> Vec<Vec<u8>> {
        let chunk = Chunk { rows: vec![crate::orders::tests::sample(1)] };
        let meta = Meta {
            format: FORMAT,
            applied_index: 7,
            applied_term: 1,
            position: Position::new(7, 2),
            clock: Timestamp(1_700_000_000_000),
            orders: 1,
            holds: 0,
            webhooks: 0,
            adjustments: 0,
            fences: 0,
            events: Extent::default(),
            products: 1,
            users: 0,
            totals: Totals::default(),
            sessions: Sessions::default(),
            digest: 99,
            blocks: 1,
            ledger_blocks: 1,
            checkpoint: 1,
            refunds: 0,
        };
        let segment = Arc::new(PackedLedger::default());
        vec![
            encode_row(ROW_VERSION, &chunk),
            encode_row(ROW_VERSION, &meta),
            encode_summed_row(5, &chunk),
            encode_summed_row(5, &vec![(ProductId(1), 0_u64, segment)]),
        ]
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            row(&bytes);
            row(&sealed(1, &bytes));
            row(&sealed(2, &bytes));
        }

        #[test]
        fn mutated_rows_never_panic(
            which in 0_usize..4,
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
            cut in any::<prop::sample::Index>(),
        ) {
            let sample = sample_rows().swap_remove(which);
            let (version, mut body) = (sample[4], sample[5..].to_vec());
            for (at, byte) in changes {
                let at = at.index(body.len());
                body[at] = byte;
            }
            row(&sealed(version, &body));
            body.truncate(cut.index(body.len()));
            row(&sealed(version, &body));
        }
    }
}
