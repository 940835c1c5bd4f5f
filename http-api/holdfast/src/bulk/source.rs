//! The bytes of a file that is imported: its encoding, and its lines.

use std::io::{BufRead, BufReader, Chain, Cursor, Read};

use crate::exit::CliError;

/// Longest row, in bytes: as much as the largest body of a request.
pub(crate) const LINE_BYTES_MAX: u64 = 1 << 20;

/// How the bytes begin in files that are not UTF-8 text, and what such a file is.
const FOREIGN: [(&[u8], &str); 4] = [
    (b"\xff\xfe", "UTF-16 text (\"Unicode text\")"),
    (b"\xfe\xff", "UTF-16 text (\"Unicode text\")"),
    (b"PK\x03\x04", "a workbook such as .xlsx, .ods or .numbers"),
    (b"\xd0\xcf\x11\xe0", "a workbook of an older Excel (.xls)"),
];

/// Skips the byte order mark.
///
/// # Errors
/// The file is UTF-16 or a workbook; the error says so.
pub(crate) fn text<R: Read>(mut source: R) -> Result<Chain<Cursor<Vec<u8>>, R>, CliError> {
    let mut start = Vec::new();
    let read = source.by_ref().take(64).read_to_end(&mut start);
    read.map_err(|error| CliError::because("cannot read the file", &error))?;
    let foreign = FOREIGN.iter().find(|(bytes, _)| start.starts_with(bytes)).map(|(_, what)| *what);
    // UTF-16 without a mark has a zero in each pair of bytes.
    if let Some(what) = foreign.or(start.contains(&0).then_some("UTF-16 text or no text at all")) {
        return Err(CliError::Usage(format!(
            "the file is {what}: save it as \"CSV UTF-8\", or convert it with iconv -t UTF-8"
        )));
    }
    if start.starts_with(b"\xef\xbb\xbf") {
        start.drain(..3);
    }
    Ok(Cursor::new(start).chain(source))
}

/// The lines of a file that are not blank, each with its number. A line ends in `\n`, `\r` or
/// `\r\n`.
pub(crate) struct TextLines<R> {
    source: BufReader<R>,
    number: u64,
    after_return: bool,
}

impl<R: Read> TextLines<R> {
    pub(crate) fn new(source: R) -> TextLines<R> {
        TextLines { source: BufReader::new(source), number: 0, after_return: false }
    }

    /// Reads up to and with the end of a line. Returns whether the file goes on.
    fn read(&mut self, text: &mut Vec<u8>) -> std::io::Result<bool> {
        loop {
            let bytes = self.source.fill_buf()?;
            if bytes.is_empty() {
                return Ok(false);
            }
            // The second half of `\r\n`.
            if std::mem::take(&mut self.after_return) && bytes[0] == b'\n' {
                self.source.consume(1);
                continue;
            }
            let end = memchr::memchr2(b'\r', b'\n', bytes);
            let length = end.map_or(bytes.len(), |end| end + 1);
            text.extend_from_slice(&bytes[..length]);
            self.after_return = end.is_some_and(|end| bytes[end] == b'\r');
            self.source.consume(length);
            if end.is_some() || text.len() as u64 > LINE_BYTES_MAX {
                return Ok(true);
            }
        }
    }
}

impl<R: Read> Iterator for TextLines<R> {
    type Item = Result<(u64, Vec<u8>), CliError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut text = Vec::new();
        loop {
            text.clear();
            let goes_on = match self.read(&mut text) {
                Ok(goes_on) => goes_on,
                Err(error) => return Some(Err(CliError::because("cannot read the file", &error))),
            };
            self.number += 1;
            let number = self.number;
            if text.len() as u64 > LINE_BYTES_MAX {
                return Some(Err(CliError::Usage(format!(
                    "line {number} is longer than {LINE_BYTES_MAX} bytes, the most that one line \
                     may have"
                ))));
            }
            if !text.iter().all(u8::is_ascii_whitespace) {
                return Some(Ok((number, text)));
            }
            if !goes_on {
                return None;
            }
        }
    }
}
