//! The payload of one raft entry: a clock and a batch of encoded commands.
//!
//! Commands are encoded once, by the node that took the request. Forwarding and batching only copy
//! those bytes, so the leader never decodes what it orders.
//!
//! ```text
//! version u8 | clock u64 | count u32 | count × ( length u32 | command bytes )
//! ```
//! All integers are little-endian.

use crate::codec::Error;
use crate::ids::{Position, Timestamp};

/// The version written today.
pub const VERSION: u8 = 1;

const HEADER_BYTES: usize = 1 + 8 + 4;

/// Collects encoded commands into the payload of one entry.
#[derive(Debug)]
pub struct Builder {
    bytes: Vec<u8>,
    count: u32,
}

impl Builder {
    /// An empty batch under the leader's clock.
    pub fn new(clock: Timestamp) -> Builder {
        let mut bytes = Vec::with_capacity(4096);
        bytes.push(VERSION);
        bytes.extend_from_slice(&clock.0.to_le_bytes());
        bytes.extend_from_slice(&0_u32.to_le_bytes());
        Builder { bytes, count: 0 }
    }

    /// Adds one encoded command.
    ///
    /// # Panics
    /// When the entry already holds [`Position::COMMANDS_PER_ENTRY_MAX`] commands.
    pub fn push(&mut self, command: &[u8]) {
        assert!(u64::from(self.count) < Position::COMMANDS_PER_ENTRY_MAX, "entry is full");
        let length = u32::try_from(command.len()).expect("a command is bounded far below 4 GiB");
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(command);
        self.count += 1;
    }

    /// How many commands it holds.
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

/// A payload read back: the clock and the commands, still encoded.
#[derive(Debug, PartialEq, Eq)]
pub struct Batch<'a> {
    /// The leader's clock when it made the entry.
    pub clock: Timestamp,
    /// The commands in order; the n-th has position `(index, n)`.
    pub commands: Vec<&'a [u8]>,
}

impl<'a> Batch<'a> {
    /// Reads a payload.
    ///
    /// # Errors
    /// When the version is unknown, a length does not fit or bytes are left over.
    pub fn parse(bytes: &'a [u8]) -> Result<Batch<'a>, Error> {
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
        // Each command takes at least its length, so a count beyond that is noise.
        if count > rest.len() / 4 || count as u64 > Position::COMMANDS_PER_ENTRY_MAX {
            return Err(malformed("entry counts more commands than it can hold"));
        }
        let mut commands = Vec::with_capacity(count);
        for _ in 0..count {
            let (length, tail) =
                rest.split_first_chunk::<4>().ok_or_else(|| malformed("command without length"))?;
            let length = u32::from_le_bytes(*length) as usize;
            if length > tail.len() {
                return Err(malformed("command longer than its entry"));
            }
            let (command, tail) = tail.split_at(length);
            commands.push(command);
            rest = tail;
        }
        if !rest.is_empty() {
            return Err(malformed("bytes after the last command"));
        }
        Ok(Batch { clock: Timestamp(u64::from_le_bytes(*clock)), commands })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_survives_the_round_trip() {
        let mut builder = Builder::new(Timestamp(77));
        builder.push(b"first");
        builder.push(b"");
        builder.push(b"third");
        assert_eq!(builder.count(), 3);
        let bytes = builder.finish();
        let batch = Batch::parse(&bytes).expect("well formed");
        assert_eq!(batch.clock, Timestamp(77));
        assert_eq!(batch.commands, vec![&b"first"[..], b"", b"third"]);
        for cut in 0..bytes.len() {
            assert!(Batch::parse(&bytes[..cut]).is_err(), "cut {cut}");
        }
    }
}
