//! The trace id, which follows a request from its header into the log, the payment and events.

use std::fmt;

use bincode::de::Decoder;
use bincode::de::read::Reader;
use bincode::enc::Encoder;
use bincode::enc::write::Writer;
use bincode::error::{DecodeError, EncodeError};
use bincode::{Decode, Encode};

/// A caller's trace id, or a generated one.
///
/// UUIDs, by far the most common, take 16 bytes; any other text is kept as it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TraceId {
    /// A UUID in its hyphenated lower-case form.
    Uuid([u8; 16]),
    /// 1 to [`TraceId::TEXT_BYTES_MAX`] printable ASCII characters.
    Text(Box<str>),
}

impl TraceId {
    /// The longest text that is accepted.
    pub const TEXT_BYTES_MAX: usize = 128;

    /// The trace id of work that no request asked for.
    pub const NONE: TraceId = TraceId::Uuid([0; 16]);

    /// Reads a caller's text. `None` when it is empty, too long or not printable ASCII.
    pub fn parse(text: &str) -> Option<TraceId> {
        if let Some(bytes) = parse_uuid(text.as_bytes()) {
            return Some(TraceId::Uuid(bytes));
        }
        let printable = text.bytes().all(|byte| byte.is_ascii_graphic());
        (!text.is_empty() && text.len() <= TraceId::TEXT_BYTES_MAX && printable)
            .then(|| TraceId::Text(text.into()))
    }
}

/// The numbers of the variants, as bincode derives them.
const UUID: u32 = 0;
const TEXT: u32 = 1;

// Written by hand because every order, event and history row has one, and derived code handles the
// bytes of a UUID one by one. The encoding is the same.
impl Encode for TraceId {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        match self {
            TraceId::Uuid(bytes) => {
                UUID.encode(encoder)?;
                encoder.writer().write(bytes)
            }
            TraceId::Text(text) => {
                TEXT.encode(encoder)?;
                text.encode(encoder)
            }
        }
    }
}

bincode::impl_borrow_decode!(TraceId);

impl<C> Decode<C> for TraceId {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<TraceId, DecodeError> {
        match u32::decode(decoder)? {
            UUID => {
                let mut bytes = [0; 16];
                decoder.claim_bytes_read(bytes.len())?;
                decoder.reader().read(&mut bytes)?;
                Ok(TraceId::Uuid(bytes))
            }
            TEXT => Ok(TraceId::Text(Decode::decode(decoder)?)),
            _ => Err(DecodeError::Other("unknown kind of trace id")),
        }
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TraceId::Text(text) => f.write_str(text),
            TraceId::Uuid(bytes) => {
                // One write instead of five: every answer and log line contains one.
                let mut text = [b'-'; 36];
                let mut at = 0;
                for (i, byte) in bytes.iter().enumerate() {
                    at += usize::from(matches!(i, 4 | 6 | 8 | 10));
                    text[at] = HEX_DIGITS[usize::from(byte >> 4)];
                    text[at + 1] = HEX_DIGITS[usize::from(byte & 0xf)];
                    at += 2;
                }
                f.write_str(str::from_utf8(&text).expect("hexadecimal digits and hyphens"))
            }
        }
    }
}

const HEX_DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Reads only the hyphenated lower-case form, so that printing returns the same text.
fn parse_uuid(text: &[u8]) -> Option<[u8; 16]> {
    if text.len() != 36 {
        return None;
    }
    let mut bytes = [0; 16];
    let mut at = 0;
    for (i, byte) in bytes.iter_mut().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            if text[at] != b'-' {
                return None;
            }
            at += 1;
        }
        *byte = nibble(text[at])? << 4 | nibble(text[at + 1])?;
        at += 2;
    }
    Some(bytes)
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec;

    #[test]
    fn the_encoding_equals_that_of_derived_code() {
        #[derive(Encode)]
        enum Derived {
            Uuid([u8; 16]),
            Text(Box<str>),
        }
        let uuid = *b"0123456789abcdef";
        for (trace, derived) in [
            (TraceId::Uuid(uuid), Derived::Uuid(uuid)),
            (TraceId::Text("abc".into()), Derived::Text("abc".into())),
        ] {
            let (mut one, mut other) = (Vec::new(), Vec::new());
            codec::encode_into(&trace, &mut one);
            codec::encode_into(&derived, &mut other);
            assert_eq!(one, other);
            assert_eq!(codec::decode::<TraceId>(&one), Ok(trace.clone()));
            for cut in 0..one.len() {
                assert!(codec::decode::<TraceId>(&one[..cut]).is_err());
            }
            codec::encode_for_hash(&trace, &mut one);
            codec::encode_for_hash(&derived, &mut other);
            assert_eq!(one, other);
        }
        assert!(codec::decode::<TraceId>(&[2]).is_err());
    }

    #[test]
    fn every_accepted_text_prints_unchanged() {
        for text in [
            "550e8400-e29b-41d4-a716-446655440000",
            "550E8400-E29B-41D4-A716-446655440000",
            "550e8400-e29b-41d4-a716-44665544000-",
            "4bf92f3577b34da6a3ce929d0e0e4736",
            "x",
        ] {
            assert_eq!(TraceId::parse(text).expect("accepted").to_string(), text);
        }
        for text in ["", "a b", "é", "a\nb", &"x".repeat(129)] {
            assert_eq!(TraceId::parse(text), None, "{text:?}");
        }
    }
}
