//! What a node reads of snapshot files and backups.

use raft_node::snapshot::format::{Header, Reader, Writer};
use xxhash_rust::xxh3::xxh3_64;

/// Magic and version before the first block.
const START_BYTES: usize = 8;
/// Length and checksum of a block.
const HEAD_BYTES: usize = 8;
/// Number and kind of a block.
const NUMBER_BYTES: usize = 5;
const KIND_ROWS: u8 = 2;
const KIND_END: u8 = 3;

/// A snapshot file, as written and with mended numbers, checksums and end. What is read is written
/// so that it reads as the same rows under the same header.
pub fn snapshot(bytes: &[u8]) -> bool {
    read_and_write(bytes) | read_and_write(&mended(bytes))
}

type Rows = Vec<(Vec<u8>, Vec<u8>)>;

fn read(bytes: &[u8]) -> Option<(Header, Rows)> {
    let (mut reader, header) = Reader::new(bytes).ok()?;
    let mut rows = Rows::new();
    let mut visit = |key: &[u8], value: &[u8]| {
        rows.push((key.to_vec(), value.to_vec()));
        true
    };
    let size = reader.rows(&mut visit).ok()?;
    assert_eq!(size, bytes.len() as u64, "a file is read to its end");
    Some((header, rows))
}

fn read_and_write(bytes: &[u8]) -> bool {
    let Some((header, rows)) = read(bytes) else { return false };
    let mut written = Vec::new();
    let mut writer = Writer::new(&mut written, &header).expect("memory takes everything");
    for (key, value) in &rows {
        writer.row(key, value).expect("a row that was read can be written");
    }
    writer.finish().expect("memory takes everything");
    assert_eq!(read(&written), Some((header, rows)));
    true
}

/// The file with the numbers, checksums and lengths that its blocks should have, and a right end.
fn mended(bytes: &[u8]) -> Vec<u8> {
    let Some((start, mut rest)) = bytes.split_at_checked(START_BYTES) else {
        return bytes.to_vec();
    };
    let mut file = start.to_vec();
    let (mut number, mut rows) = (0_u32, 0);
    while let Some((head, blocks)) = rest.split_at_checked(HEAD_BYTES) {
        let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let (block, after) =
            blocks.split_at(length.clamp(NUMBER_BYTES, usize::MAX).min(blocks.len()));
        rest = after;
        if block.len() < NUMBER_BYTES || block[4] == KIND_END {
            break;
        }
        if block[4] == KIND_ROWS {
            rows += count_rows(&block[NUMBER_BYTES..]);
        }
        let mut block = block.to_vec();
        if number == 0 {
            mend_row(&mut block[NUMBER_BYTES..]);
        }
        push_block(&mut file, number, &block[4..]);
        number += 1;
    }
    let mut end = vec![KIND_END];
    for value in [rows, file.len() as u64, xxh3_64(&file)] {
        end.extend_from_slice(&value.to_le_bytes());
    }
    push_block(&mut file, number, &end);
    file
}

fn push_block(file: &mut Vec<u8>, number: u32, kind_and_body: &[u8]) {
    let block = [&number.to_le_bytes(), kind_and_body].concat();
    let length = u32::try_from(block.len()).expect("inputs are small");
    file.extend_from_slice(&length.to_le_bytes());
    file.extend_from_slice(&crc32fast::hash(&block).to_le_bytes());
    file.extend_from_slice(&block);
}

/// The header is a row of its own, with a checksum inside of that of its block.
fn mend_row(row: &mut [u8]) {
    if let Some((sum, rest)) = row.split_first_chunk_mut::<4>() {
        *sum = crc32fast::hash(rest).to_le_bytes();
    }
}

/// The whole rows at the beginning of a block; the reader refuses a block with anything else.
fn count_rows(mut body: &[u8]) -> u64 {
    let mut rows = 0;
    while let Some((head, rest)) = body.split_at_checked(6) {
        let key = usize::from(u16::from_le_bytes([head[0], head[1]]));
        let value = u32::from_le_bytes([head[2], head[3], head[4], head[5]]) as usize;
        let Some((_, rest)) = rest.split_at_checked(key.saturating_add(value)) else { break };
        rows += 1;
        body = rest;
    }
    rows
}
