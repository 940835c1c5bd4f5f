//! What `holdfast import` reads of CSV and NDJSON files.
//!
//! The binary has no library, so its reader is compiled here from its own files. Two models judge
//! it: a split at line ends and separators, which is right where there are no quotes, and a count
//! of letters, which is right everywhere.

#[path = "../../../http-api/holdfast/src/bulk/sheet.rs"]
mod sheet;
#[path = "../../../http-api/holdfast/src/bulk/source.rs"]
mod source;

use std::io::Cursor;

use sheet::{Columns, Sheet};
use source::TextLines;

const COLUMNS: Columns =
    Columns { required: &["sku", "name", "price", "stock"], optional: &["max_per_user"] };

const SEPARATORS: [char; 4] = [',', ';', '\t', '|'];

/// The bytes as a file, as the rows below a right heading, and as such rows without quotes. Each
/// record is taken or reported, and no letter of a record that is taken is lost. Returns whether
/// the bytes have a right heading of their own.
pub fn csv(bytes: &[u8]) -> bool {
    check_text_lines(bytes);
    check_below_heading(bytes);
    let without_quotes: Vec<u8> = bytes.iter().copied().filter(|byte| *byte != b'"').collect();
    check_without_quotes(&without_quotes);
    let Some(table) = read(bytes) else { return false };
    if table.is_whole {
        check_letters(&lines(bytes), &table.rows);
    }
    true
}

/// A row: the number of its first line from 1, and its cells in the order of [`COLUMNS`], empty
/// ones included. None if the reader reports the row.
type Row = (usize, Option<Vec<String>>);

struct Table {
    /// No column is ignored.
    is_whole: bool,
    rows: Vec<Row>,
}

/// Reads a file. Returns none if the reader refuses it as a whole.
fn read(file: &[u8]) -> Option<Table> {
    let text = source::text(Cursor::new(file)).ok()?;
    let sheet = Sheet::open(text, COLUMNS).ok()?;
    let mut table = Table { is_whole: sheet.ignored.is_empty(), rows: Vec::new() };
    for row in sheet {
        let (number, cells) = row.expect("a small file in memory can be read");
        let cells = cells.ok().map(|cells| {
            let names = COLUMNS.required.iter().chain(COLUMNS.optional);
            names.map(|name| cells.get(name).unwrap_or_default().to_owned()).collect()
        });
        table.rows.push((usize::try_from(number).expect("few lines"), cells));
    }
    Some(table)
}

/// The file that has these bytes below a right heading, and its separator: the first one that the
/// bytes have.
fn below_heading(bytes: &[u8]) -> (Vec<u8>, char) {
    let has = |separator: &&char| bytes.contains(&(**separator as u8));
    let separator = *SEPARATORS.iter().find(has).unwrap_or(&SEPARATORS[0]);
    let mut file = COLUMNS.required.join(&separator.to_string()).into_bytes();
    file.push(b'\n');
    file.extend_from_slice(bytes);
    (file, separator)
}

fn check_below_heading(bytes: &[u8]) {
    let (file, _) = below_heading(bytes);
    let Some(table) = read(&file) else {
        assert!(file.iter().take(64).any(|byte| *byte == 0), "refused a right heading");
        return;
    };
    assert!(table.is_whole, "the heading has known columns only");
    let lines = lines(&file);
    let first = table.rows.first().map_or(lines.len() + 1, |(number, _)| *number);
    let skipped = lines[1..first - 1].iter().all(|line| letters(line).is_empty());
    assert!(skipped, "a record before line {first} is neither taken nor reported");
    check_letters(&lines, &table.rows);
}

/// Without quotes each line is a record.
fn check_without_quotes(bytes: &[u8]) {
    let (file, separator) = below_heading(bytes);
    let Some(table) = read(&file) else { return };
    let width = COLUMNS.required.len();
    let mut expected: Vec<Row> = Vec::new();
    for (number, line) in (1..).zip(lines(&file)).skip(1) {
        let Ok(text) = std::str::from_utf8(line) else {
            expected.push((number, None));
            continue;
        };
        let mut fields: Vec<String> =
            text.split(separator).map(|field| field.trim().to_owned()).collect();
        if fields.iter().all(String::is_empty) {
            continue;
        }
        let fits = fields.len() >= width && fields[width..].iter().all(String::is_empty);
        fields.truncate(width);
        fields.push(String::new());
        expected.push((number, fits.then_some(fields)));
    }
    assert_eq!(table.rows, expected);
}

/// Each row that is taken has the letters of its lines, which end where the next row begins.
fn check_letters(lines: &[&[u8]], rows: &[Row]) {
    let nexts = rows.iter().skip(1).map(|(number, _)| *number);
    for ((number, cells), next) in rows.iter().zip(nexts.chain([lines.len() + 1])) {
        assert!(*number < next, "line {number} comes before line {next}");
        if let Some(cells) = cells {
            let written = letters(&lines[number - 1..next - 1].concat());
            assert_eq!(letters(cells.concat().as_bytes()), written, "line {number}");
        }
    }
}

/// The characters that are neither space, nor quotes, nor separators, in their order by code.
fn letters(bytes: &[u8]) -> Vec<char> {
    let text = String::from_utf8_lossy(bytes);
    let is_letter =
        |char: &char| !char.is_whitespace() && *char != '"' && !SEPARATORS.contains(char);
    let mut letters: Vec<char> = text.chars().filter(is_letter).collect();
    letters.sort_unstable();
    letters
}

/// The lines without their ends, which are `\n`, `\r` or `\r\n`.
fn lines(file: &[u8]) -> Vec<&[u8]> {
    let mut lines = Vec::new();
    let mut rest = file;
    while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')) {
        lines.push(&rest[..end]);
        rest = &rest[end + if rest[end..].starts_with(b"\r\n") { 2 } else { 1 }..];
    }
    lines.push(rest);
    lines
}

/// The reader of NDJSON passes on every line that is not blank, under its number.
fn check_text_lines(bytes: &[u8]) {
    let read = TextLines::new(bytes).map(|line| line.expect("short lines in memory can be read"));
    let read: Vec<(u64, Vec<u8>)> = read
        .map(|(number, mut text)| {
            text.pop_if(|last| matches!(last, b'\r' | b'\n'));
            (number, text)
        })
        .collect();
    let is_blank = |line: &[u8]| line.iter().all(u8::is_ascii_whitespace);
    let expected = (1..).zip(lines(bytes)).filter(|(_, line)| !is_blank(line));
    let expected: Vec<(u64, Vec<u8>)> =
        expected.map(|(number, line)| (number, line.to_vec())).collect();
    assert_eq!(read, expected);
}
