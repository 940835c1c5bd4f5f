//! What the engine reads: entries of the log, commands in them, rows of checkpoints.

use engine::checkpoint::fuzzing;
use engine::command::{Envelope, Rules};
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

/// A command is written in the shortest form, which reads as the same command.
pub fn command(bytes: &[u8]) -> bool {
    let Ok((_, envelope)) = Envelope::decode(bytes) else { return false };
    let written = envelope.encode();
    assert!(written.len() <= bytes.len(), "{envelope:?} grew from {} bytes", bytes.len());
    let (rules, read) = Envelope::decode(&written).expect("it was just written");
    assert_eq!((rules, &read), (Rules::NoParking, &envelope));
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
