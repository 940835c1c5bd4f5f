//! The trace id that follows a request from its header into the log, the payment step and events.

use std::fmt;

use bincode::{Decode, Encode};

/// A caller's trace id, or one made for it.
///
/// UUIDs, by far the most common, are kept in 16 bytes; any other text as it came.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub enum TraceId {
    /// A UUID in its hyphenated lower-case form.
    Uuid([u8; 16]),
    /// 1 to [`TraceId::TEXT_BYTES_MAX`] printable ASCII characters.
    Text(Box<str>),
}

impl TraceId {
    /// The longest text that is kept.
    pub const TEXT_BYTES_MAX: usize = 128;

    /// A trace id for work that no request asked for.
    pub const NONE: TraceId = TraceId::Uuid([0; 16]);

    /// Takes a caller's text. `None` when it is empty, too long or not printable ASCII.
    pub fn parse(text: &str) -> Option<TraceId> {
        if let Some(bytes) = parse_uuid(text.as_bytes()) {
            return Some(TraceId::Uuid(bytes));
        }
        let printable = text.bytes().all(|byte| byte.is_ascii_graphic());
        (!text.is_empty() && text.len() <= TraceId::TEXT_BYTES_MAX && printable)
            .then(|| TraceId::Text(text.into()))
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TraceId::Text(text) => f.write_str(text),
            TraceId::Uuid(bytes) => {
                // Written in one piece: every answer and log line carries one.
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

/// Reads the hyphenated lower-case form only, so that printing gives back the same text.
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

    #[test]
    fn every_accepted_text_prints_as_it_came() {
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
