//! Reads the log's files record by record, without the library that writes them.
//!
//! It changes nothing, goes on after places where the library would truncate, and names file and
//! offset. The offline check reads all files this way; a startup reads only the newest ones, before
//! the library does. The format is that of raft-engine 0.4.2, uncompressed:
//!
//! ```text
//! file    magic [53] | version u64 | alignment u64 (version 2)
//! record  length u56, compression u8 | footer offset u64 | entries, crc u32 | footer, crc u32
//! ```
//! Header integers are big-endian, checksums little-endian. From version 2 on, the footer's
//! checksum is combined with the low half of the file's number, so that a record of another file is
//! noticed.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

const MAGIC: &[u8] = b"RAFT-LOG-FILE-HEADER-9986AB3E47F320B394C8E84916EB0ED5";
const RECORD_HEADER_BYTES: u64 = 16;
const CRC_BYTES: usize = 4;
/// The largest plausible record: appends are far smaller.
const RECORD_BYTES_MAX: u64 = 1 << 30;

/// The content of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scan {
    /// The number of sound records from the beginning on.
    pub(crate) records: u64,
    /// The bytes of these records and the file's header.
    pub(crate) bytes: u64,
    /// Why reading stopped, unless the file ends there or holds only zeros from there on.
    pub(crate) broken: Option<String>,
}

/// The files of one kind in a log's directory with the numbers in their names, ascending.
///
/// # Errors
/// When the directory cannot be read.
pub(crate) fn files(dir: &Path, extension: &str) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let number = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
        if let Some(number) = number.filter(|_| path.extension().is_some_and(|of| of == extension))
        {
            found.push((number, path));
        }
    }
    found.sort();
    Ok(found)
}

/// Reads one file. `number` is the one in its name.
///
/// # Errors
/// When the file cannot be read. Damage of its content is in the result.
pub(crate) fn scan(path: &Path, number: u64) -> io::Result<Scan> {
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    let mut input = BufReader::with_capacity(1 << 20, file);
    let mut scan = Scan::default();
    let signature = match read_file_header(&mut input)? {
        Ok((signed, bytes)) => {
            scan.bytes = bytes;
            // The library too takes the low half of the number.
            if signed { number as u32 } else { 0 }
        }
        Err(_) if size == 0 => return Ok(scan),
        Err(reason) => {
            scan.broken = Some(reason);
            return Ok(scan);
        }
    };
    while scan.bytes < size {
        match read_record(&mut input, size - scan.bytes, signature)? {
            Record::Sound(bytes) => {
                scan.bytes += bytes;
                scan.records += 1;
            }
            Record::Hollow(_, reason) | Record::Broken(reason) => {
                if !only_zeros(path, scan.bytes)? {
                    scan.broken = Some(reason);
                }
                return Ok(scan);
            }
        }
    }
    Ok(scan)
}

/// Finds a place in this file where the library would truncate synced records, if there is one. The
/// library takes the first unreadable record for the torn end of the last write. But a sound record
/// after it was written only after all records before it were synced. A record with damaged entries
/// only is not truncated unless it is the last one; the reader of the entries notices.
///
/// # Errors
/// When the file cannot be read.
pub(crate) fn cut_wrongly(path: &Path, number: u64) -> io::Result<Option<(u64, String)>> {
    let bytes = std::fs::read(path)?;
    let mut input = &bytes[..];
    let mut at = 0;
    let mut signature = number as u32;
    let mut broken = match read_file_header(&mut input)? {
        Ok((signed, length)) => {
            at = usize::try_from(length).expect("a header is short");
            signature = if signed { signature } else { 0 };
            None
        }
        Err(reason) => Some(reason),
    };
    // The rest of the file is preallocated.
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    while at < end && broken.is_none() {
        match read_record(&mut &bytes[at..], (bytes.len() - at) as u64, signature)? {
            Record::Sound(length) | Record::Hollow(length, _) => {
                at += usize::try_from(length).expect("it is in memory");
            }
            Record::Broken(reason) => broken = Some(reason),
        }
    }
    let Some(reason) = broken else { return Ok(None) };
    for next in at + 1..end {
        let room = (bytes.len() - next) as u64;
        // Nearly every place where no record begins fails here.
        let Some(word) = bytes[next..].first_chunk::<8>() else { break };
        let length = u64::from_be_bytes(*word) >> 8;
        if word[7] != 0 || !(RECORD_HEADER_BYTES..=room).contains(&length) {
            continue;
        }
        if matches!(read_record(&mut &bytes[next..], room, signature)?, Record::Sound(_)) {
            let what = format!("{reason}, at byte {at}, though a sound one follows at byte {next}");
            return Ok(Some((at as u64, what)));
        }
    }
    Ok(None)
}

/// Whether records are signed, and the header's length.
fn read_file_header(input: &mut impl Read) -> io::Result<Result<(bool, u64), String>> {
    let mut header = [0; MAGIC.len() + 8];
    if !fill(input, &mut header)? {
        return Ok(Err("the file's header is incomplete".into()));
    }
    let (magic, version) = header.split_at(MAGIC.len());
    if magic != MAGIC {
        return Ok(Err("the file's header is damaged".into()));
    }
    match u64::from_be_bytes(version.try_into().expect("eight bytes are eight bytes")) {
        1 => Ok(Ok((false, header.len() as u64))),
        2 => {
            let mut alignment = [0; 8];
            let whole = fill(input, &mut alignment)?;
            Ok(match (whole, u64::from_be_bytes(alignment)) {
                (true, 0) => Ok((true, header.len() as u64 + 8)),
                _ => Err("the file's header is damaged".into()),
            })
        }
        other => Ok(Err(format!("the file is of the unknown version {other}"))),
    }
}

/// The record, or the damage, at one place of a file.
enum Record {
    /// A sound record of this length.
    Sound(u64),
    /// A record of this length with damaged entries.
    Hollow(u64, String),
    /// No readable record.
    Broken(String),
}

/// Reads one record of at most `room` bytes.
fn read_record(input: &mut impl Read, room: u64, signature: u32) -> io::Result<Record> {
    let broken = |reason: &str| Ok(Record::Broken(reason.into()));
    let mut header = [0; RECORD_HEADER_BYTES as usize];
    if !fill(input, &mut header)? {
        return broken("a record's header is incomplete");
    }
    let number = |at: usize| {
        u64::from_be_bytes(header[at..at + 8].try_into().expect("eight bytes are eight bytes"))
    };
    let (length, compression, footer) = (number(0) >> 8, number(0) & 0xff, number(8));
    let sound = compression == 0
        && (RECORD_HEADER_BYTES..=length).contains(&footer)
        && length <= RECORD_BYTES_MAX;
    if !sound {
        return broken("a record's header is damaged");
    }
    if length > room {
        let reason = format!("a record of {length} bytes ends after {room}");
        return Ok(Record::Broken(reason));
    }
    let rest = usize::try_from(length - RECORD_HEADER_BYTES).expect("it was bounded");
    let mut body = vec![0; rest];
    if !fill(input, &mut body)? {
        return broken("a record is incomplete");
    }
    let (entries, footer) =
        body.split_at(usize::try_from(footer - RECORD_HEADER_BYTES).expect("it was bounded"));
    if !is_sound(footer, signature) {
        return broken("the checksum of a record's footer is wrong");
    }
    if !entries.is_empty() && !is_sound(entries, 0) {
        let reason = "the checksum of a record's entries is wrong";
        return Ok(Record::Hollow(length, reason.into()));
    }
    Ok(Record::Sound(length))
}

fn is_sound(bytes: &[u8], signature: u32) -> bool {
    match bytes.split_last_chunk::<CRC_BYTES>() {
        Some((covered, sum)) => crc32fast::hash(covered) == u32::from_le_bytes(*sum) ^ signature,
        None => false,
    }
}

/// Fills the buffer. Returns false if the input ends before.
fn fill(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match input.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// Returns whether a file holds only zeros from an offset on, as preallocated space does.
fn only_zeros(path: &Path, offset: u64) -> io::Result<bool> {
    let mut file = File::open(path)?;
    io::Seek::seek(&mut file, io::SeekFrom::Start(offset))?;
    let mut buffer = vec![0; 64 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(true),
            length if buffer[..length].iter().any(|byte| *byte != 0) => return Ok(false),
            _ => {}
        }
    }
}
