//! The format of snapshot files.
//!
//! ```text
//! file   magic [6] | version u16 | blocks
//! block  length u32 | crc u32 | number u32 | kind u8 | body
//! header the membership, position and digest of the state     (block 0)
//! rows   × ( key length u16 | value length u32 | key | value )
//! end    rows u64 | bytes before it u64 | hash of all of them u64
//! ```
//! All integers are little-endian. `length` counts the bytes after the checksum, which covers them.
//! A file without its end block was truncated; nothing follows the end block. Blocks hold about 256
//! KiB of rows, or one larger row.

use std::io::{Read, Write};

use bincode::{Decode, Encode};
use engine::codec;
use engine::ids::Timestamp;
use xxhash_rust::xxh3::Xxh3;

/// The version of the format written today. Other versions are refused.
pub const VERSION: u16 = 1;
/// The bytes of the last block.
pub const END_BYTES: usize = BLOCK_HEAD + 5 + 24;

const MAGIC: [u8; 6] = *b"HFSNAP";
/// Length and checksum.
const BLOCK_HEAD: usize = 8;
/// Bytes of rows gathered into one block.
const BLOCK_BYTES: usize = 256 << 10;
/// The largest block: a guard against random lengths.
const BLOCK_BYTES_MAX: usize = codec::VALUE_BYTES_MAX + (1 << 20);
/// The version of the header's encoding. The first version had no cluster name.
const HEADER_VERSION: u8 = 2;
/// The version before, which can still be read.
const HEADER_NAMELESS: u8 = 1;

const KIND_HEADER: u8 = 1;
const KIND_ROWS: u8 = 2;
const KIND_END: u8 = 3;

/// Why a file is not a valid snapshot.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("cannot be read at byte {offset}: {source}")]
    Io {
        /// Where.
        offset: u64,
        /// What the system said.
        source: std::io::Error,
    },
    /// A version that this build does not know wrote it.
    #[error("has the unknown format version {0}")]
    UnknownVersion(u16),
    /// It differs from what was written.
    #[error("is damaged at byte {offset}: {what}")]
    Damaged {
        /// Where.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// The visitor stopped.
    #[error("was not read to its end")]
    Stopped,
}

/// The header of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Header {
    /// The cluster, as in the hello between nodes.
    pub cluster: [u8; 16],
    /// It holds everything up to this index.
    pub index: u64,
    /// The term of the entry at that index.
    pub term: u64,
    /// The replicated clock at that index.
    pub clock: Timestamp,
    /// The digest of the state at that index.
    pub digest: u64,
    /// The membership at that index, in its own encoding.
    pub members: Vec<u8>,
    /// The cluster's name; empty in files of versions that did not store it.
    pub cluster_name: String,
}

/// The header of files without a name.
#[derive(Encode, Decode)]
struct Nameless {
    cluster: [u8; 16],
    index: u64,
    term: u64,
    clock: Timestamp,
    digest: u64,
    members: Vec<u8>,
}

impl Header {
    fn decode(bytes: &[u8]) -> Result<Header, codec::Error> {
        match codec::decode_row(HEADER_VERSION, bytes) {
            Err(codec::Error::UnknownVersion(HEADER_NAMELESS)) => {}
            decoded => return decoded,
        }
        let Nameless { cluster, index, term, clock, digest, members } =
            codec::decode_row(HEADER_NAMELESS, bytes)?;
        let cluster_name = String::new();
        Ok(Header { cluster, index, term, clock, digest, members, cluster_name })
    }
}

/// Writes a file from its beginning to its end.
pub struct Writer<W> {
    output: W,
    hash: Xxh3,
    bytes: u64,
    blocks: u32,
    rows: u64,
    waiting: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn new(output: W, header: &Header) -> std::io::Result<Writer<W>> {
        let (hash, waiting) = (Xxh3::new(), Vec::new());
        let mut writer = Writer { output, hash, bytes: 0, blocks: 0, rows: 0, waiting };
        writer.put(&MAGIC)?;
        writer.put(&VERSION.to_le_bytes())?;
        writer.block(KIND_HEADER, &codec::encode_row(HEADER_VERSION, header))?;
        Ok(writer)
    }

    /// Adds a row.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn row(&mut self, key: &[u8], value: &[u8]) -> std::io::Result<()> {
        let too_long = |_| std::io::Error::other("a row is too long");
        let key_length = u16::try_from(key.len()).map_err(too_long)?;
        let length = u32::try_from(value.len()).map_err(too_long)?;
        let bytes = 6 + key.len() + value.len();
        if !self.waiting.is_empty() && self.waiting.len() + bytes > BLOCK_BYTES {
            self.flush()?;
        }
        self.waiting.extend_from_slice(&key_length.to_le_bytes());
        self.waiting.extend_from_slice(&length.to_le_bytes());
        self.waiting.extend_from_slice(key);
        self.waiting.extend_from_slice(value);
        self.rows += 1;
        Ok(())
    }

    /// Ends the file and returns its size. The caller syncs it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(mut self) -> std::io::Result<u64> {
        self.flush()?;
        let mut end = Vec::with_capacity(24);
        for number in [self.rows, self.bytes, self.hash.digest()] {
            end.extend_from_slice(&number.to_le_bytes());
        }
        self.block(KIND_END, &end)?;
        self.output.flush()?;
        Ok(self.bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let rows = std::mem::take(&mut self.waiting);
        self.block(KIND_ROWS, &rows)
    }

    fn block(&mut self, kind: u8, body: &[u8]) -> std::io::Result<()> {
        let length = u32::try_from(body.len() + 5).map_err(std::io::Error::other)?;
        let mut crc = crc32fast::Hasher::new();
        let number = self.blocks.to_le_bytes();
        for part in [&number[..], &[kind], body] {
            crc.update(part);
        }
        self.blocks += 1;
        self.put(&length.to_le_bytes())?;
        self.put(&crc.finalize().to_le_bytes())?;
        self.put(&number)?;
        self.put(&[kind])?;
        self.put(body)
    }

    fn put(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        self.output.write_all(bytes)
    }
}

/// Reads a file from its beginning to its end.
pub struct Reader<R> {
    input: R,
    hash: Xxh3,
    offset: u64,
    blocks: u32,
    body: Vec<u8>,
}

impl<R: Read> Reader<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// When it is not a snapshot, has another version, or is damaged.
    pub fn new(input: R) -> Result<(Reader<R>, Header), Error> {
        let hash = Xxh3::new();
        let mut reader = Reader { input, hash, offset: 0, blocks: 0, body: Vec::new() };
        let mut magic = [0; 8];
        reader.fill(&mut magic)?;
        if magic[..6] != MAGIC {
            return Err(Error::Damaged { offset: 0, what: "not a snapshot" });
        }
        let version = u16::from_le_bytes([magic[6], magic[7]]);
        if version != VERSION {
            return Err(Error::UnknownVersion(version));
        }
        reader.hash.update(&magic);
        let what = "no readable header";
        if reader.block()? != KIND_HEADER {
            return Err(Error::Damaged { offset: 8, what });
        }
        let header =
            Header::decode(&reader.body).map_err(|_| Error::Damaged { offset: 8, what })?;
        Ok((reader, header))
    }

    /// Reads all rows up to the end block and verifies it. Returns the size of the file. The
    /// visitor returns whether to go on.
    ///
    /// # Errors
    /// When the file is damaged or truncated, or the visitor stopped.
    pub fn rows(&mut self, visit: &mut dyn FnMut(&[u8], &[u8]) -> bool) -> Result<u64, Error> {
        let mut rows = 0;
        loop {
            let (before, hash) = (self.offset, self.hash.digest());
            match self.block()? {
                KIND_ROWS => rows += each_row(&self.body, before, visit)?,
                KIND_END => {
                    let expected = [rows, before, hash].map(u64::to_le_bytes).concat();
                    if self.body != expected {
                        return Err(Error::Damaged { offset: before, what: "another end" });
                    }
                    let mut more = [0];
                    return match self.input.read(&mut more) {
                        Ok(0) => Ok(self.offset),
                        Ok(_) => {
                            Err(Error::Damaged { offset: self.offset, what: "more after its end" })
                        }
                        Err(source) => Err(Error::Io { offset: self.offset, source }),
                    };
                }
                _ => return Err(Error::Damaged { offset: before, what: "unknown kind of block" }),
            }
        }
    }

    /// Reads on as far as blocks of rows are whole, and returns how many bytes those are: the rest
    /// of the file is missing or damaged, or is its end.
    pub fn sound_bytes(&mut self) -> u64 {
        loop {
            let before = self.offset;
            if !matches!(self.block(), Ok(KIND_ROWS)) {
                return before;
            }
        }
    }

    /// Reads the next block into the buffer and returns its kind.
    fn block(&mut self) -> Result<u8, Error> {
        let offset = self.offset;
        let damaged = |what| Error::Damaged { offset, what };
        let mut head = [0; BLOCK_HEAD];
        self.fill(&mut head)?;
        let [length, crc] = [0, 4].map(|at| {
            u32::from_le_bytes(head[at..at + 4].try_into().expect("four bytes are four bytes"))
        });
        let length = length as usize;
        if !(5..=BLOCK_BYTES_MAX).contains(&length) {
            return Err(damaged("a length that makes no sense"));
        }
        let mut body = std::mem::take(&mut self.body);
        body.resize(length, 0);
        self.fill(&mut body)?;
        if crc32fast::hash(&body) != crc {
            return Err(damaged("checksum mismatch"));
        }
        if body[..4] != self.blocks.to_le_bytes() {
            return Err(damaged("a block out of order"));
        }
        self.hash.update(&head);
        self.hash.update(&body);
        self.blocks += 1;
        let kind = body[4];
        body.drain(..5);
        self.body = body;
        Ok(kind)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        match self.input.read_exact(bytes) {
            Ok(()) => {
                self.offset += bytes.len() as u64;
                Ok(())
            }
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                Err(Error::Damaged { offset: self.offset, what: "truncated" })
            }
            Err(source) => Err(Error::Io { offset: self.offset, source }),
        }
    }
}

/// Reads only the last block of a file: was the file written to its end?
///
/// # Errors
/// When it is not the end of a file of this size.
pub fn check_end(block: &[u8], offset: u64) -> Result<(), Error> {
    let damaged = |what| Error::Damaged { offset, what };
    let (head, body) = block.split_at_checked(BLOCK_HEAD).ok_or_else(|| damaged("truncated"))?;
    if block.len() != END_BYTES || crc32fast::hash(body).to_le_bytes() != head[4..] {
        return Err(damaged("no end"));
    }
    let sound = body[4] == KIND_END && body[13..21] == offset.to_le_bytes();
    if sound { Ok(()) } else { Err(damaged("another end")) }
}

fn each_row(
    mut body: &[u8],
    offset: u64,
    visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
) -> Result<u64, Error> {
    let damaged = || Error::Damaged { offset, what: "a row is truncated" };
    let mut rows = 0;
    while !body.is_empty() {
        let (head, rest) = body.split_at_checked(6).ok_or_else(damaged)?;
        let key = usize::from(u16::from_le_bytes([head[0], head[1]]));
        let value = u32::from_le_bytes([head[2], head[3], head[4], head[5]]) as usize;
        let (key, rest) = rest.split_at_checked(key).ok_or_else(damaged)?;
        let (value, rest) = rest.split_at_checked(value).ok_or_else(damaged)?;
        if !visit(key, value) {
            return Err(Error::Stopped);
        }
        rows += 1;
        body = rest;
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            cluster: [7; 16],
            index: 42,
            term: 3,
            clock: Timestamp(5),
            digest: 99,
            members: vec![1, 2],
            cluster_name: "shop".into(),
        }
    }

    type Rows = Vec<(Vec<u8>, Vec<u8>)>;

    fn sample() -> (Rows, Vec<u8>) {
        let rows: Rows =
            (0..40_u8).map(|n| (vec![b'M', n], vec![n; usize::from(n) * 700])).collect();
        let mut file = Vec::new();
        let mut writer = Writer::new(&mut file, &header()).expect("written");
        for (key, value) in &rows {
            writer.row(key, value).expect("written");
        }
        let bytes = writer.finish().expect("written");
        assert_eq!(bytes, file.len() as u64);
        (rows, file)
    }

    fn read(file: &[u8]) -> Result<Rows, Error> {
        let (mut reader, found) = Reader::new(file)?;
        assert_eq!(found, header());
        let mut rows = Vec::new();
        let bytes = reader.rows(&mut |key, value| {
            rows.push((key.to_vec(), value.to_vec()));
            true
        })?;
        assert_eq!(bytes, file.len() as u64);
        Ok(rows)
    }

    #[test]
    fn a_file_survives_the_round_trip() {
        let (rows, file) = sample();
        assert!(file.len() > 2 * BLOCK_BYTES, "several blocks");
        assert_eq!(read(&file).expect("sound"), rows);
        let end = file.len() - END_BYTES;
        check_end(&file[end..], end as u64).expect("an end");
        assert!(check_end(&file[end..], end as u64 + 1).is_err());
        assert!(check_end(&file[end - 1..file.len() - 1], end as u64 - 1).is_err());
        assert!(check_end(&file[..3], 0).is_err());
    }

    #[test]
    fn no_damage_goes_unnoticed() {
        let (_, file) = sample();
        for at in (0..file.len()).step_by(997).chain(0..64).chain(file.len() - 64..file.len()) {
            let mut damaged = file.clone();
            damaged[at] ^= 1 << (at % 8);
            assert!(read_quietly(&damaged).is_err(), "byte {at}");
            assert!(read_quietly(&file[..at]).is_err(), "cut at {at}");
        }
        let longer = [&file[..], b"x"].concat();
        assert!(read_quietly(&longer).is_err());
    }

    #[test]
    fn a_missing_or_misplaced_block_is_noticed() {
        let (_, file) = sample();
        let mut blocks = Vec::new();
        let mut at = 8;
        while at < file.len() {
            let length = u32::from_le_bytes(file[at..at + 4].try_into().expect("four")) as usize;
            blocks.push(&file[at..at + BLOCK_HEAD + length]);
            at += BLOCK_HEAD + length;
        }
        assert!(blocks.len() > 4);
        let join = |blocks: &[&[u8]]| [&file[..8], &blocks.concat()].concat();
        assert_eq!(join(&blocks), file);
        let mut swapped = blocks.clone();
        swapped.swap(1, 2);
        assert!(read_quietly(&join(&swapped)).is_err());
        // The last block of rows is left out, and its end kept.
        blocks.remove(blocks.len() - 2);
        assert!(read_quietly(&join(&blocks)).is_err());
    }

    #[test]
    fn a_header_without_a_name_is_read() {
        let Header { cluster, index, term, clock, digest, members, .. } = header();
        let old = Nameless { cluster, index, term, clock, digest, members };
        let bytes = codec::encode_row(HEADER_NAMELESS, &old);
        let expected = Header { cluster_name: String::new(), ..header() };
        assert_eq!(Header::decode(&bytes), Ok(expected));
    }

    #[test]
    fn another_version_is_refused_by_its_name() {
        let (_, mut file) = sample();
        file[6] = 2;
        assert!(matches!(read_quietly(&file), Err(Error::UnknownVersion(2))));
    }

    fn read_quietly(file: &[u8]) -> Result<u64, Error> {
        let (mut reader, _) = Reader::new(file)?;
        reader.rows(&mut |_, _| true)
    }
}
