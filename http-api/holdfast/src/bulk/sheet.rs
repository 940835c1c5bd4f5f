//! Reads CSV as spreadsheets write it: any separator, any line end, headings in any case.
//!
//! The csv crate alone finds records and fields. It accepts a quote that is never closed, and text
//! after a closing quote; both hide the lines that follow. So each record is compared with the
//! bytes that it was read from, and any difference is an error of that line.

use std::collections::BTreeMap;
use std::io::{Cursor, Error, ErrorKind, Read};

use csv::{ByteRecord, Reader, ReaderBuilder};

use super::source::LINE_BYTES_MAX;
use crate::exit::CliError;

/// The separators that are recognised. The first one wins a tie.
const SEPARATORS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// Most bytes of the file in which its heading is looked for.
const HEADING_BYTES_MAX: u64 = 1 << 16;

/// Size of the csv reader's buffer, in bytes.
const BUFFER_BYTES: usize = 1 << 13;

/// The columns of a kind of row, by their names in lower case.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Columns {
    /// A file must have these.
    pub(crate) required: &'static [&'static str],
    /// A file may have these; others are ignored.
    pub(crate) optional: &'static [&'static str],
}

impl Columns {
    /// The known column with this heading: `Max per order` is `max_per_order`.
    fn known(&self, heading: &str) -> Option<&'static str> {
        let name = heading.trim().to_lowercase().replace([' ', '-'], "_");
        self.required.iter().chain(self.optional).find(|known| **known == name).copied()
    }
}

/// The cells of a row that are not empty, by column.
#[derive(Debug, Default)]
pub(crate) struct Cells(BTreeMap<&'static str, String>);

impl Cells {
    /// The text of a cell; none if it is empty.
    pub(crate) fn get(&self, column: &str) -> Option<&str> {
        self.0.get(column).map(String::as_str)
    }
}

/// A row: the number of its first line from 1, and its cells or the reason why it cannot be read.
pub(crate) type Row = (u64, Result<Cells, String>);

/// The rows of a file that are not blank.
pub(crate) struct Sheet<R> {
    reader: Reader<Tee<R>>,
    record: ByteRecord,
    separator: u8,
    /// The known column of each field.
    columns: Vec<Option<&'static str>>,
    /// The headings that are not known columns, by number if empty. Their cells are not read.
    pub(crate) ignored: Vec<String>,
    lines: LineCounter,
}

impl<R: Read> Sheet<R> {
    /// Finds the separator and reads the heading. `source` has no byte order mark.
    ///
    /// # Errors
    /// A required column is missing, a column is there twice, or the file cannot be read.
    pub(crate) fn open(
        mut source: R,
        columns: Columns,
    ) -> Result<Sheet<impl Read + use<R>>, CliError> {
        let mut start = Vec::new();
        source.by_ref().take(HEADING_BYTES_MAX).read_to_end(&mut start).map_err(cannot)?;
        let mut lines = LineCounter::default();
        let named = named_separator(&start);
        if let Some((_, length)) = named {
            start.drain(..length).for_each(|byte| lines.pass(byte));
        }
        let separator = match named {
            Some((separator, _)) => separator,
            None => likely_separator(&start, columns),
        };
        let reader = reader(Tee::new(Cursor::new(start).chain(source)), separator);
        let record = ByteRecord::new();
        let mut sheet =
            Sheet { reader, record, separator, columns: Vec::new(), ignored: Vec::new(), lines };
        let (number, fields) = match sheet.read()? {
            Some(row) => row,
            None => (1, Ok(Vec::new())),
        };
        let headings =
            fields.map_err(|wrong| CliError::Usage(format!("line {number}: {wrong}")))?;
        sheet.columns = assign(&headings, columns, separator)?;
        let unknown = (1..).zip(headings).zip(&sheet.columns).filter(|(_, known)| known.is_none());
        let name = |((number, heading), _): ((usize, String), _)| match heading.is_empty() {
            true => format!("{number} (no heading)"),
            false => heading,
        };
        sheet.ignored = unknown.map(name).collect();
        Ok(sheet)
    }

    /// The next row: its first line, and its fields.
    #[expect(clippy::type_complexity, reason = "a row or the end, a fault of the row or the file")]
    fn read(&mut self) -> Result<Option<(u64, Result<Vec<String>, String>)>, CliError> {
        let before = self.reader.position().byte();
        let found = self.reader.read_byte_record(&mut self.record);
        let found = found.map_err(|error| match error.into_kind() {
            csv::ErrorKind::Io(error) if error.kind() == ErrorKind::FileTooLarge => {
                let number = self.lines.number();
                CliError::Usage(format!(
                    "the row that begins at line {number} or after it is longer than \
                     {LINE_BYTES_MAX} bytes: look for a quote there that is not closed"
                ))
            }
            csv::ErrorKind::Io(error) => cannot(error),
            other => CliError::Failed(format!("cannot read the file: {other:?}")),
        })?;
        let length = self.reader.position().byte().saturating_sub(before);
        let raw = self.reader.get_mut().release(length);
        // Line ends before the record belong to blank lines, and to the record before.
        let blank = raw.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        raw[..blank].iter().for_each(|byte| self.lines.pass(*byte));
        let number = self.lines.number();
        raw[blank..].iter().for_each(|byte| self.lines.pass(*byte));
        if !found {
            return Ok(None);
        }
        let fields = fields(&self.record, &raw[blank..], self.separator);
        Ok(Some((number, fields.map_err(|fault| fault.words(self.lines.number())))))
    }

    fn cells(&self, fields: Vec<String>) -> Result<Cells, String> {
        let (has, wants) = (fields.len(), self.columns.len());
        let is_empty = |field: &String| field.is_empty();
        if has < wants || !fields[wants..].iter().all(is_empty) {
            return Err(format!("it has {has} fields, but the header has {wants}"));
        }
        let named = self.columns.iter().zip(fields);
        let named = named.filter_map(|(column, field)| Some(((*column)?, field)));
        Ok(Cells(named.filter(|(_, field)| !field.is_empty()).collect()))
    }
}

impl<R: Read> Iterator for Sheet<R> {
    type Item = Result<Row, CliError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (number, fields) = match self.read() {
                Ok(Some(row)) => row,
                Ok(None) => return None,
                Err(error) => return Some(Err(error)),
            };
            // Spreadsheets write an empty row as separators alone.
            let is_blank =
                fields.as_ref().is_ok_and(|fields| fields.iter().all(|it| it.is_empty()));
            if !is_blank {
                return Some(Ok((number, fields.and_then(|fields| self.cells(fields)))));
            }
        }
    }
}

fn cannot(error: Error) -> CliError {
    CliError::because("cannot read the file", &error)
}

fn reader<S: Read>(source: S, separator: u8) -> Reader<S> {
    ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(separator)
        .buffer_capacity(BUFFER_BYTES)
        .from_reader(source)
}

/// The separator of a first line such as `sep=;`, and the length of that line in bytes.
fn named_separator(start: &[u8]) -> Option<(u8, usize)> {
    let end = start.iter().position(|byte| matches!(byte, b'\r' | b'\n'))?;
    let line = &start[..end];
    let quoted = line.strip_prefix(b"\"").and_then(|line| line.strip_suffix(b"\""));
    let line = quoted.unwrap_or(line);
    let [name @ .., separator] = line else { return None };
    let is_known = name.eq_ignore_ascii_case(b"sep=") && SEPARATORS.contains(separator);
    let both = start[end..].starts_with(b"\r\n");
    is_known.then_some((*separator, end + 1 + usize::from(both)))
}

/// The separator under which the heading has the most known columns.
fn likely_separator(start: &[u8], columns: Columns) -> u8 {
    let known = |separator: u8| {
        let mut record = ByteRecord::new();
        // A heading that cannot be read is reported when the file is.
        let _ = reader(start, separator).read_byte_record(&mut record);
        let headings = record.iter().filter_map(|field| std::str::from_utf8(field).ok());
        headings.filter(|heading| columns.known(heading).is_some()).count()
    };
    let mut best = (0, SEPARATORS[0]);
    for separator in SEPARATORS {
        let count = known(separator);
        if count > best.0 {
            best = (count, separator);
        }
    }
    best.1
}

/// Assigns a known column to each heading.
fn assign(
    headings: &[String],
    columns: Columns,
    separator: u8,
) -> Result<Vec<Option<&'static str>>, CliError> {
    let found: Vec<_> = headings.iter().map(|heading| columns.known(heading)).collect();
    let is_missing = |name: &&&str| !found.contains(&Some(**name));
    let missing: Vec<&str> = columns.required.iter().filter(is_missing).copied().collect();
    if !missing.is_empty() {
        return Err(CliError::Usage(format!(
            "the header lacks the columns {}: it has {:?}, separated by {:?}",
            missing.join(", "),
            headings.join(", "),
            char::from(separator)
        )));
    }
    let of = |name: &str| found.iter().flatten().filter(|it| **it == name).count();
    if let Some(twice) = found.iter().flatten().find(|name| of(name) > 1) {
        return Err(CliError::Usage(format!("the header has the column {twice} twice")));
    }
    // Trailing separators add columns without a name.
    let width = headings.iter().rposition(|heading| !heading.is_empty()).map_or(0, |at| at + 1);
    Ok(found.into_iter().take(width).collect())
}

/// Why the bytes of a record are not what its fields say.
enum Fault {
    /// A quoted field has no closing quote, up to the end of the file.
    Open { field: usize },
    /// Text stands between a quote and the separator.
    Astray { field: usize },
    /// A field is not UTF-8.
    Encoding { field: usize },
}

impl Fault {
    /// Words for the user; `last` is the line where the record ends.
    fn words(&self, last: u64) -> String {
        match self {
            Fault::Open { field } => format!(
                "the quote that opens field {field} is not closed, so nothing was read up to line \
                 {last}, the end of the file"
            ),
            Fault::Astray { field } => format!(
                "field {field} has text outside of its quotes, so nothing was read up to line \
                 {last}: write a quote inside of quotes twice"
            ),
            Fault::Encoding { field } => format!(
                "field {field} is not UTF-8: save the file as \"CSV UTF-8\", or convert it with \
                 iconv -f WINDOWS-1252 -t UTF-8"
            ),
        }
    }
}

/// The fields of a record, after a check against its bytes. Trims fields without quotes.
fn fields(record: &ByteRecord, raw: &[u8], separator: u8) -> Result<Vec<String>, Fault> {
    let mut rest = raw;
    let mut fields = Vec::with_capacity(record.len());
    for (number, value) in (1..).zip(record) {
        if number > 1 {
            rest = rest.strip_prefix(&[separator]).ok_or(Fault::Astray { field: number - 1 })?;
        }
        let text = std::str::from_utf8(value).map_err(|_| Fault::Encoding { field: number })?;
        if let Some(quoted) = rest.strip_prefix(b"\"") {
            rest = after_quoted(quoted, value, number)?;
            fields.push(text.to_owned());
        } else {
            rest = rest.strip_prefix(value).ok_or(Fault::Astray { field: number })?;
            let text = text.trim();
            if text.starts_with('"') {
                return Err(Fault::Astray { field: number });
            }
            fields.push(text.to_owned());
        }
    }
    match rest.first() {
        None | Some(b'\r' | b'\n') => Ok(fields),
        Some(_) => Err(Fault::Astray { field: record.len() }),
    }
}

/// The text after a quoted field with this value; `rest` begins after its opening quote.
fn after_quoted<'a>(mut rest: &'a [u8], value: &[u8], field: usize) -> Result<&'a [u8], Fault> {
    for byte in value {
        let written: &[u8] = if *byte == b'"' { b"\"\"" } else { std::slice::from_ref(byte) };
        rest = rest.strip_prefix(written).ok_or(Fault::Astray { field })?;
    }
    match rest.strip_prefix(b"\"") {
        Some(rest) => Ok(rest),
        None if rest.is_empty() => Err(Fault::Open { field }),
        None => Err(Fault::Astray { field }),
    }
}

/// Counts lines that end in `\n`, `\r` or `\r\n`.
#[derive(Debug, Default)]
struct LineCounter {
    ended: u64,
    after_return: bool,
}

impl LineCounter {
    fn pass(&mut self, byte: u8) {
        self.ended += u64::from(byte == b'\r' || (byte == b'\n' && !self.after_return));
        self.after_return = byte == b'\r';
    }

    /// The number of the line that the next byte is on, from 1.
    fn number(&self) -> u64 {
        self.ended + 1
    }
}

/// Passes bytes on and keeps those of the current record, up to a bound.
struct Tee<R> {
    source: R,
    kept: Vec<u8>,
}

impl<R> Tee<R> {
    fn new(source: R) -> Tee<R> {
        Tee { source, kept: Vec::new() }
    }

    /// Hands out the oldest `length` bytes.
    fn release(&mut self, length: u64) -> Vec<u8> {
        let length = usize::try_from(length).unwrap_or(usize::MAX).min(self.kept.len());
        self.kept.drain(..length).collect()
    }
}

impl<R: Read> Read for Tee<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.kept.len() as u64 > LINE_BYTES_MAX {
            return Err(Error::from(ErrorKind::FileTooLarge));
        }
        let length = self.source.read(buffer)?;
        self.kept.extend_from_slice(&buffer[..length]);
        Ok(length)
    }
}

#[cfg(test)]
#[path = "sheet_tests.rs"]
mod tests;
