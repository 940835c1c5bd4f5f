//! Chunks of rows as a store has them.
//!
//! A chunk whose rows are all final is kept as the bytes that a checkpoint writes: a fraction of
//! the rows' own size, and encoded only once. Each row can be decoded without the ones before it.

use std::marker::PhantomData;

use bincode::de::{BorrowDecoder, Decoder};
use bincode::enc::Encoder;
use bincode::error::{DecodeError, EncodeError};
use bincode::{BorrowDecode, Decode, Encode};

use crate::adjustment::Adjustment;
use crate::codec;
use crate::fence::Fence;
use crate::hold::Hold;
use crate::record::{Chunk, Record};
use crate::refund::Refund;
use crate::webhook::Webhook;

/// A row whose encoding may depend on the rows before it in its chunk.
pub(crate) trait InChunk: Record {
    /// The state that the encoding of the next row depends on.
    type Walk: Copy + std::fmt::Debug + Default;

    /// Writes the id of the first row and the number of rows.
    fn encode_head<E: Encoder>(first: u64, count: u64, encoder: &mut E) -> Result<(), EncodeError>;

    /// Reads them back.
    fn decode_head<D: Decoder<Context = ()>>(decoder: &mut D) -> Result<(u64, u64), DecodeError>;

    /// Writes the next row.
    fn encode_next<E: Encoder>(
        &self,
        walk: &mut Self::Walk,
        encoder: &mut E,
    ) -> Result<(), EncodeError>;

    /// Reads the next row, which has this id.
    fn decode_next<D: Decoder<Context = ()>>(
        id: u64,
        walk: &mut Self::Walk,
        decoder: &mut D,
    ) -> Result<Self, DecodeError>;
}

impl<R: InChunk> Encode for Chunk<R> {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        R::encode_head(self.first(), self.rows.len() as u64, encoder)?;
        let mut walk = R::Walk::default();
        self.rows.iter().try_for_each(|row| row.encode_next(&mut walk, encoder))
    }
}

impl<'de, R: InChunk> BorrowDecode<'de, ()> for Chunk<R> {
    fn borrow_decode<D: BorrowDecoder<'de, Context = ()>>(
        decoder: &mut D,
    ) -> Result<Chunk<R>, DecodeError> {
        Chunk::decode(decoder)
    }
}

impl<R: InChunk> Decode<()> for Chunk<R> {
    fn decode<D: Decoder<Context = ()>>(decoder: &mut D) -> Result<Chunk<R>, DecodeError> {
        let (first, count) = R::decode_head(decoder)?;
        if count > R::CHUNK {
            return Err(DecodeError::Other("more rows than a chunk may have"));
        }
        let mut walk = R::Walk::default();
        let mut rows = Vec::with_capacity(R::CHUNK as usize);
        for id in first..first + count {
            rows.push(R::decode_next(id, &mut walk, decoder)?);
        }
        Ok(Chunk { rows })
    }
}

/// Why encoding into memory cannot fail.
const ENCODED: &str = "rows contain nothing that cannot be encoded";

/// A chunk as a store has it.
#[derive(Debug)]
pub(crate) struct PackedChunk<R: InChunk> {
    first: u64,
    bytes: Box<[u8]>,
    /// Where each row begins, and the state before it.
    places: Box<[(u32, R::Walk)]>,
    rows: PhantomData<R>,
}

impl<R: InChunk> PackedChunk<R> {
    /// Packs a chunk whose share of the digest is `sum`.
    pub(crate) fn of(chunk: &Chunk<R>, sum: u64) -> PackedChunk<R> {
        let first = chunk.first();
        let mut places = Vec::with_capacity(chunk.rows.len());
        let mut walk = R::Walk::default();
        let mut bytes = codec::begin_summed_row(sum);
        R::encode_head(first, chunk.rows.len() as u64, &mut codec::encoder(&mut bytes))
            .expect(ENCODED);
        for row in &chunk.rows {
            let at = u32::try_from(bytes.len()).expect("a chunk is far below 4 GiB");
            places.push((at, walk));
            row.encode_next(&mut walk, &mut codec::encoder(&mut bytes)).expect(ENCODED);
        }
        codec::end_row(&mut bytes);
        PackedChunk { first, bytes: bytes.into(), places: places.into(), rows: PhantomData }
    }

    /// The stored bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many rows it has.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// The row at an index below [`PackedChunk::len`].
    pub(crate) fn get(&self, at: usize) -> R {
        let (begin, mut walk) = self.places[at];
        let mut decoder = codec::decoder(&self.bytes[begin as usize..]);
        R::decode_next(self.first + at as u64, &mut walk, &mut decoder)
            .expect("what was encoded can be decoded")
    }
}

/// Rows that are encoded by themselves: there are too few of them to save more.
macro_rules! plain {
    ($($row:ty),*) => {$(
        impl InChunk for $row {
            type Walk = ();

            fn encode_head<E: Encoder>(
                _: u64,
                count: u64,
                encoder: &mut E,
            ) -> Result<(), EncodeError> {
                count.encode(encoder)
            }

            fn decode_head<D: Decoder<Context = ()>>(
                decoder: &mut D,
            ) -> Result<(u64, u64), DecodeError> {
                // Each row contains its own id.
                Ok((0, u64::decode(decoder)?))
            }

            fn encode_next<E: Encoder>(
                &self,
                (): &mut (),
                encoder: &mut E,
            ) -> Result<(), EncodeError> {
                self.encode(encoder)
            }

            fn decode_next<D: Decoder<Context = ()>>(
                _: u64,
                (): &mut (),
                decoder: &mut D,
            ) -> Result<$row, DecodeError> {
                <$row>::decode(decoder)
            }
        }
    )*};
}

plain!(Hold, Webhook, Adjustment, Fence, Refund);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Position, Timestamp};
    use crate::order::Order;
    use crate::orders::tests::sample;
    use crate::trace::TraceId;

    fn packed_is_what_a_store_has<R: InChunk>(rows: Vec<R>) {
        let chunk = Chunk { rows };
        let packed = PackedChunk::of(&chunk, 7);
        assert_eq!(packed.bytes(), codec::encode_summed_row(7, &chunk));
        assert_eq!(packed.len(), chunk.rows.len());
        for (at, row) in chunk.rows.iter().enumerate() {
            assert_eq!(&packed.get(at), row, "row {at}");
        }
        assert_eq!(codec::decode_summed_row(packed.bytes()), Ok((Some(7), chunk)));
    }

    fn fence(id: u64) -> Fence {
        let key = format!("key-{id}").into();
        Fence { id, key, trace: TraceId::NONE, position: Position(id), at: Timestamp(id * id) }
    }

    #[test]
    fn every_row_of_a_packed_chunk_can_be_decoded_alone() {
        packed_is_what_a_store_has((65..=128).map(sample).collect::<Vec<Order>>());
        packed_is_what_a_store_has((1..=64).map(fence).collect());
    }
}
