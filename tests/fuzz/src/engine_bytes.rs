//! What the engine reads: entries of the log, commands in them, rows of checkpoints.

use engine::checkpoint::fuzzing;
use engine::command::{Envelope, Rules, VERSION};
use engine::entry::{Builder, Entry};

/// An entry has one spelling: what is read is written as the same bytes.
pub fn entry(bytes: &[u8]) -> bool {
    let Ok(entry) = Entry::parse(bytes) else { return false };
    let mut builder = Builder::new(entry.clock);
    for envelope in &entry.envelopes {
        builder.push(envelope);
    }
    assert_eq!(builder.finish(), bytes);
    true
}

/// A command is written in the shortest form of its layout, which reads as the same command.
pub fn command(bytes: &[u8]) -> bool {
    let Ok((rules, envelope)) = Envelope::decode(bytes) else { return false };
    // The layout of level 0 can say all that was read from it.
    let written = envelope.encode_at(u32::from(bytes[0] == VERSION));
    assert!(written.len() <= bytes.len(), "{envelope:?} grew from {} bytes", bytes.len());
    let (_, read) = Envelope::decode(&written).expect("it was just written");
    assert_eq!(read, envelope);
    let newest = Envelope::decode(&envelope.encode());
    assert_eq!(newest, Ok((Rules::NoParking, envelope)), "read under {rules:?}");
    true
}

/// Rows of every kind, as stored and with the right checksum.
pub fn row(bytes: &[u8]) -> bool {
    let is_read = !fuzzing::row(bytes).is_empty();
    let mut mended = bytes.to_vec();
    let Some((sum, rest)) = mended.split_first_chunk_mut::<4>() else { return is_read };
    *sum = crc32fast::hash(rest).to_le_bytes();
    is_read | !fuzzing::row(&mended).is_empty()
}
