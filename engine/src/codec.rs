//! The one place that encodes and decodes values.
//!
//! Commands and rows are bincode (variable-length integers) behind a version byte; rows also carry
//! a checksum. Nothing else in the workspace calls bincode for stored or replicated data, so the
//! encoding can be replaced here. Decoding never panics, and never allocates more than the input
//! justifies, whatever the bytes.

use bincode::config::{Config as _, Configuration, Fixint, Limit, LittleEndian, Varint};
use bincode::de::DecoderImpl;
use bincode::de::read::SliceReader;
use bincode::enc::write::Writer;
use bincode::enc::{Encoder, EncoderImpl};
use bincode::error::{DecodeError, EncodeError};
use bincode::{Decode, Encode};

/// The largest value that is decoded; guards against absurd lengths.
pub const VALUE_BYTES_MAX: usize = 64 << 20;

type Config = Configuration<LittleEndian, Varint, Limit<VALUE_BYTES_MAX>>;

const CONFIG: Config = bincode::config::standard().with_limit::<VALUE_BYTES_MAX>();

/// Says [`Layout::First`] to an encoder. bincode hands no context to encoders, but they know their
/// configuration, and only decoders obey its limit.
const FIRST_LAYOUT: Configuration<LittleEndian, Varint, Limit<1>> = CONFIG.with_limit::<1>();

/// The layout of an encoded command; see [`crate::layout`]. A struct that has a field which is
/// [`Added`](crate::layout::Added), and whatever contains it, derives `Decode` with
/// `#[bincode(decode_context = "Layout")]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Versions 1 and 2: without the actor and without added fields.
    First,
    /// Version 3: with all of them.
    Third,
}

/// The version of rows that contain only their value.
pub(crate) const ROW_VERSION: u8 = 1;

/// The version of rows that contain their share of the digest before their value.
const SUMMED_VERSION: u8 = 2;

/// Why bytes cannot be decoded.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A version that this build does not know wrote the value. It is refused, not guessed.
    #[error("unknown format version {0}")]
    UnknownVersion(u8),
    /// The checksum does not match: the bytes are damaged.
    #[error("checksum mismatch: stored {stored:08x}, computed {computed:08x}")]
    Checksum {
        /// The checksum in the row.
        stored: u32,
        /// The checksum of its bytes.
        computed: u32,
    },
    /// The bytes end early, continue too long, or encode no value.
    #[error("malformed value: {0}")]
    Malformed(String),
}

/// Integers of fixed length: more bytes, but faster to encode. For hashing only.
const FIXED: Configuration<LittleEndian, Fixint, Limit<VALUE_BYTES_MAX>> =
    CONFIG.with_fixed_int_encoding();

/// A vector to which bincode appends.
pub(crate) struct End<'a>(&'a mut Vec<u8>);

impl Writer for End<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

/// Appends the encoding of `value` to `out`, without version or checksum.
pub fn encode_into<T: Encode>(value: &T, out: &mut Vec<u8>) {
    bincode::encode_into_writer(value, End(out), CONFIG)
        .expect("encoding into memory fails only on values that bincode cannot express");
}

/// The layout that an encoder writes.
pub(crate) fn layout_of<E: Encoder>(encoder: &E) -> Layout {
    match encoder.config().limit() == FIRST_LAYOUT.limit() {
        true => Layout::First,
        false => Layout::Third,
    }
}

/// Appends the encoding of `value` in this layout to `out`.
pub(crate) fn encode_as<T: Encode>(layout: Layout, value: &T, out: &mut Vec<u8>) {
    match layout {
        Layout::First => bincode::encode_into_writer(value, End(out), FIRST_LAYOUT)
            .expect("encoding into memory fails only on values that bincode cannot express"),
        Layout::Third => encode_into(value, out),
    }
}

/// Decodes a value in this layout. It must fill `bytes` exactly.
///
/// # Errors
/// [`Error::Malformed`] for anything else.
pub(crate) fn decode_as<T: Decode<Layout>>(layout: Layout, bytes: &[u8]) -> Result<T, Error> {
    exactly(bytes, bincode::decode_from_slice_with_context(bytes, CONFIG, layout))
}

/// Appends an encoding of `value` that is never read back, for hashing.
pub(crate) fn encode_for_hash<T: Encode>(value: &T, out: &mut Vec<u8>) {
    bincode::encode_into_writer(value, End(out), FIXED)
        .expect("encoding into memory fails only on values that bincode cannot express");
}

/// Decodes a value that must fill `bytes` exactly.
///
/// # Errors
/// [`Error::Malformed`] for anything else.
pub fn decode<T: Decode<()>>(bytes: &[u8]) -> Result<T, Error> {
    exactly(bytes, bincode::decode_from_slice(bytes, CONFIG))
}

/// The value, if it took all of `bytes`.
fn exactly<T>(bytes: &[u8], read: Result<(T, usize), DecodeError>) -> Result<T, Error> {
    let (value, used) = read.map_err(|error| Error::Malformed(error.to_string()))?;
    if used != bytes.len() {
        return Err(Error::Malformed(format!("{} bytes left over", bytes.len() - used)));
    }
    Ok(value)
}

/// Decodes the value at the start of bytes that this process encoded, and moves past it.
///
/// # Panics
/// When there is no such value.
pub(crate) fn decode_next<T: Decode<()>>(bytes: &mut &[u8]) -> T {
    let (value, used) =
        bincode::decode_from_slice(bytes, CONFIG).expect("what was encoded can be decoded");
    *bytes = &bytes[used..];
    value
}

/// Encodes a value behind its version byte.
pub fn encode_versioned<T: Encode>(version: u8, value: &T) -> Vec<u8> {
    let mut out = Vec::with_capacity(128);
    out.push(version);
    encode_into(value, &mut out);
    out
}

/// Decodes what [`encode_versioned`] wrote.
///
/// # Errors
/// [`Error::UnknownVersion`] when the version differs, else as [`decode`].
pub fn decode_versioned<T: Decode<()>>(version: u8, bytes: &[u8]) -> Result<T, Error> {
    match bytes.split_first() {
        Some((&found, rest)) if found == version => decode(rest),
        Some((&found, _)) => Err(Error::UnknownVersion(found)),
        None => Err(Error::Malformed("empty".into())),
    }
}

/// Encodes a stored row: CRC-32 of the rest, version, value.
pub fn encode_row<T: Encode>(version: u8, value: &T) -> Vec<u8> {
    let mut out = begin_row(version);
    encode_into(value, &mut out);
    end_row(&mut out);
    out
}

/// Begins a stored row. The caller appends its value.
pub(crate) fn begin_row(version: u8) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    out.extend_from_slice(&[0, 0, 0, 0, version]);
    out
}

/// Begins a stored row that contains its share of the digest.
pub(crate) fn begin_summed_row(sum: u64) -> Vec<u8> {
    let mut out = begin_row(SUMMED_VERSION);
    out.extend_from_slice(&sum.to_le_bytes());
    out
}

/// Encodes a stored row that contains its share of the digest.
pub(crate) fn encode_summed_row<T: Encode>(sum: u64, value: &T) -> Vec<u8> {
    let mut out = begin_summed_row(sum);
    encode_into(value, &mut out);
    end_row(&mut out);
    out
}

/// Ends a stored row by filling in its checksum.
pub(crate) fn end_row(row: &mut [u8]) {
    let sum = crc32fast::hash(&row[4..]);
    row[..4].copy_from_slice(&sum.to_le_bytes());
}

/// Encodes values one after the other, appending to `out`.
pub(crate) fn encoder(out: &mut Vec<u8>) -> EncoderImpl<End<'_>, Config> {
    EncoderImpl::new(End(out), CONFIG)
}

/// Decodes values one after the other from bytes that this process encoded.
pub(crate) fn decoder(bytes: &[u8]) -> DecoderImpl<SliceReader<'_>, Config, ()> {
    DecoderImpl::new(SliceReader::new(bytes), CONFIG, ())
}

/// Decodes what [`encode_row`] wrote.
///
/// # Errors
/// [`Error::Checksum`] when the bytes are damaged, else as [`decode_versioned`].
pub fn decode_row<T: Decode<()>>(version: u8, bytes: &[u8]) -> Result<T, Error> {
    decode_versioned(version, checked(bytes)?)
}

/// Decodes what [`encode_summed_row`] wrote, with the sum, or what [`encode_row`] wrote before rows
/// had sums.
///
/// # Errors
/// As [`decode_row`].
pub(crate) fn decode_summed_row<T: Decode<()>>(bytes: &[u8]) -> Result<(Option<u64>, T), Error> {
    let (sum, value) = summed(checked(bytes)?)?;
    Ok((sum, decode(value)?))
}

/// The share of the digest that a row contains; `None` for rows written before there were sums.
/// Checks the checksum of the whole row.
///
/// # Errors
/// As [`decode_row`], except for the value.
pub(crate) fn row_sum(bytes: &[u8]) -> Result<Option<u64>, Error> {
    summed(checked(bytes)?).map(|(sum, _)| sum)
}

/// The sum in a row, if it has one, and the value after it.
fn summed(row: &[u8]) -> Result<(Option<u64>, &[u8]), Error> {
    match row.split_first() {
        Some((&ROW_VERSION, value)) => Ok((None, value)),
        Some((&SUMMED_VERSION, rest)) => match rest.split_first_chunk::<8>() {
            Some((sum, value)) => Ok((Some(u64::from_le_bytes(*sum)), value)),
            None => Err(Error::Malformed("shorter than its sum".into())),
        },
        Some((&found, _)) => Err(Error::UnknownVersion(found)),
        None => Err(Error::Malformed("no version".into())),
    }
}

/// The bytes after the checksum, if it is right.
fn checked(bytes: &[u8]) -> Result<&[u8], Error> {
    let Some((sum, rest)) = bytes.split_first_chunk::<4>() else {
        return Err(Error::Malformed("shorter than its checksum".into()));
    };
    let (stored, computed) = (u32::from_le_bytes(*sum), crc32fast::hash(rest));
    match stored == computed {
        true => Ok(rest),
        false => Err(Error::Checksum { stored, computed }),
    }
}

/// Decodes the beginning of what [`encode_row`] wrote and ignores the rest. Checks the checksum of
/// the whole row.
///
/// # Errors
/// As [`decode_row`], except for the rest.
pub(crate) fn decode_row_start<T: Decode<()>>(version: u8, bytes: &[u8]) -> Result<T, Error> {
    let rest = checked(bytes)?;
    match rest.split_first() {
        None => Err(Error::Malformed("no version".into())),
        Some((&found, _)) if found != version => Err(Error::UnknownVersion(found)),
        Some((_, value)) => bincode::decode_from_slice(value, CONFIG)
            .map(|(value, _)| value)
            .map_err(|error| Error::Malformed(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_survives_the_round_trip_and_shows_damage() {
        let row = encode_row(1, &(7_u64, "text".to_string()));
        assert_eq!(decode_row::<(u64, String)>(1, &row), Ok((7, "text".into())));
        assert_eq!(decode_row::<(u64, String)>(2, &row), Err(Error::UnknownVersion(1)));
        for bit in 0..row.len() * 8 {
            let mut damaged = row.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(decode_row::<(u64, String)>(1, &damaged).is_err(), "bit {bit}");
        }
        for cut in 0..row.len() {
            assert!(decode_row::<(u64, String)>(1, &row[..cut]).is_err(), "cut {cut}");
        }
    }

    #[test]
    fn a_row_has_its_sum_unless_it_predates_sums() {
        let row = encode_summed_row(u64::MAX - 1, &7_u64);
        assert_eq!(decode_summed_row::<u64>(&row), Ok((Some(u64::MAX - 1), 7)));
        assert_eq!(row_sum(&row), Ok(Some(u64::MAX - 1)));
        assert_eq!(decode_row::<u64>(ROW_VERSION, &row), Err(Error::UnknownVersion(2)));
        let plain = encode_row(ROW_VERSION, &7_u64);
        assert_eq!(decode_summed_row::<u64>(&plain), Ok((None, 7)));
        assert_eq!(row_sum(&plain), Ok(None));
        assert_eq!(row_sum(&encode_row(3, &7_u64)), Err(Error::UnknownVersion(3)));
        let mut damaged = row.clone();
        damaged[9] ^= 1;
        assert!(matches!(row_sum(&damaged), Err(Error::Checksum { .. })));
        let mut short = begin_row(SUMMED_VERSION);
        short.push(1);
        end_row(&mut short);
        assert!(row_sum(&short).is_err() && row_sum(&encode_row(1, &())[..4]).is_err());
    }

    #[test]
    fn an_absurd_length_is_refused() {
        // Variable-length marker for a 64-bit length, then an absurd length.
        let bytes = [253, 255, 255, 255, 255, 255, 255, 255, 127];
        assert!(decode::<Vec<u64>>(&bytes).is_err());
        assert!(decode::<String>(&bytes).is_err());
    }
}
