//! The payload of one raft entry: a clock and encoded commands.
//!
//! The node that takes a request encodes its command once, with its request id and trace: the
//! bytes of an [`Envelope`](crate::command::Envelope). Forwarding and ordering copy those bytes,
//! so the leader decodes nothing.
//!
//! ```text
//! version u8 | clock u64 | count u32 | count × ( length u32 | envelope )
//! ```
//! All integers are little-endian.

use crate::codec::Error;
use crate::ids::{Position, Timestamp};

/// The version written today.
pub const VERSION: u8 = 1;

const HEADER_BYTES: usize = 1 + 8 + 4;

/// Collects encoded envelopes into the payload of one entry.
#[derive(Debug)]
pub struct Builder {
    bytes: Vec<u8>,
    count: u32,
}

impl Builder {
    /// An entry without commands, under the leader's clock.
    pub fn new(clock: Timestamp) -> Builder {
        let mut bytes = Vec::with_capacity(4096);
        bytes.push(VERSION);
        bytes.extend_from_slice(&clock.0.to_le_bytes());
        bytes.extend_from_slice(&0_u32.to_le_bytes());
        Builder { bytes, count: 0 }
    }

    /// Adds one encoded envelope.
    ///
    /// # Panics
    /// When the entry already contains [`Position::COMMANDS_PER_ENTRY_MAX`] envelopes.
    pub fn push(&mut self, envelope: &[u8]) {
        assert!(u64::from(self.count) < Position::COMMANDS_PER_ENTRY_MAX, "entry is full");
        let length = u32::try_from(envelope.len()).expect("an envelope is far below 4 GiB");
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(envelope);
        self.count += 1;
    }

    /// How many envelopes it contains.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Its size so far, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The finished payload.
    pub fn finish(mut self) -> Vec<u8> {
        self.bytes[9..HEADER_BYTES].copy_from_slice(&self.count.to_le_bytes());
        self.bytes
    }
}

/// A payload read back: the clock, and the envelopes, still encoded.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The leader's clock when it made the entry.
    pub clock: Timestamp,
    /// The encoded envelopes in order; the command of the n-th has position `(index, n)`.
    pub envelopes: Vec<&'a [u8]>,
}

impl<'a> Entry<'a> {
    /// Reads a payload.
    ///
    /// # Errors
    /// When the version is unknown, a length does not fit, or bytes are left over.
    pub fn parse(bytes: &'a [u8]) -> Result<Entry<'a>, Error> {
        let malformed = |what: &str| Error::Malformed(what.into());
        let (&version, rest) = bytes.split_first().ok_or_else(|| malformed("empty entry"))?;
        if version != VERSION {
            return Err(Error::UnknownVersion(version));
        }
        let (clock, rest) =
            rest.split_first_chunk::<8>().ok_or_else(|| malformed("entry without clock"))?;
        let (count, mut rest) =
            rest.split_first_chunk::<4>().ok_or_else(|| malformed("entry without count"))?;
        let count = u32::from_le_bytes(*count) as usize;
        // Each envelope takes at least the bytes of its length, so a higher count is wrong.
        if count > rest.len() / 4 {
            return Err(malformed("entry counts more commands than it can contain"));
        }
        let mut envelopes = Vec::with_capacity(count);
        for _ in 0..count {
            let (length, tail) =
                rest.split_first_chunk::<4>().ok_or_else(|| malformed("command without length"))?;
            let length = u32::from_le_bytes(*length) as usize;
            if length > tail.len() {
                return Err(malformed("command longer than its entry"));
            }
            let (envelope, tail) = tail.split_at(length);
            envelopes.push(envelope);
            rest = tail;
        }
        if !rest.is_empty() {
            return Err(malformed("bytes after the last command"));
        }
        Ok(Entry { clock: Timestamp(u64::from_le_bytes(*clock)), envelopes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_survives_the_round_trip_and_no_prefix_of_it_parses() {
        let mut builder = Builder::new(Timestamp(77));
        builder.push(b"first");
        builder.push(b"");
        builder.push(b"third");
        assert_eq!(builder.count(), 3);
        let bytes = builder.finish();
        let entry = Entry::parse(&bytes).expect("well formed");
        assert_eq!(entry.clock, Timestamp(77));
        assert_eq!(entry.envelopes, vec![&b"first"[..], b"", b"third"]);
        for length in 0..bytes.len() {
            assert!(Entry::parse(&bytes[..length]).is_err(), "{length} bytes");
        }
    }
}
