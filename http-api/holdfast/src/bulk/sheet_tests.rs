//! Files as spreadsheets write them. Each file of `tests/corpus` has a row in the table.

use std::path::Path;

use super::super::source;
use super::*;

const COLUMNS: Columns =
    Columns { required: &["sku", "name", "price", "stock"], optional: &["max_per_user"] };

/// The rows of a file, each as `line: sku|name|price|stock|max_per_user`, or `line! reason`.
fn read(bytes: &[u8]) -> Result<Vec<String>, String> {
    let text = source::text(Cursor::new(bytes.to_vec())).map_err(|error| error.to_string())?;
    let sheet = Sheet::open(text, COLUMNS).map_err(|error| error.to_string())?;
    let mut rows = Vec::new();
    for row in sheet {
        let (number, cells) = row.map_err(|error| error.to_string())?;
        rows.push(match cells {
            Ok(cells) => {
                let names = COLUMNS.required.iter().chain(COLUMNS.optional);
                let cells: Vec<_> = names.filter_map(|name| cells.get(name)).collect();
                format!("{number}: {}", cells.join("|"))
            }
            Err(wrong) => format!("{number}! {wrong}"),
        });
    }
    Ok(rows)
}

/// Files whose rows are all read: the line of the first of three rows, and their text.
const PLAIN: [&str; 3] = ["A-1|Pipe|199|5", "A-2|Pad|9.50|10", "A-3|Cable|4|20"];

/// What a file gives.
enum Gives {
    /// The rows of [`PLAIN`], from this line on.
    PlainFrom(u64),
    /// These rows; a reason may be shortened to its beginning.
    Rows(&'static [&'static str]),
    /// An error with these words.
    Refused(&'static str),
}

use Gives::{PlainFrom, Refused, Rows};

const CORPUS: &[(&str, Gives)] = &[
    ("excel-en.csv", PlainFrom(2)),
    ("excel-de.csv", Rows(&["2: A-1|Röhre|199,00|5", "3: A-2|Gerät|9,50|10"])),
    ("excel-fr.csv", Rows(&["2: A-1|Tuyau, long|199|5", "3: A-2|Câble|9,50|10"])),
    ("excel-mac-cr.csv", PlainFrom(2)),
    ("excel-utf8-bom.csv", PlainFrom(2)),
    ("excel-ansi.csv", Rows(&["2! field 2 is not UTF-8", "3: A-2|Pad|9.50|10"])),
    ("excel-unicode.txt.csv", Refused("UTF-16")),
    ("excel-trailing.csv", PlainFrom(2)),
    ("excel-sep.csv", PlainFrom(3)),
    ("excel-workbook.csv", Refused(".xlsx")),
    ("excel-old-workbook.csv", Refused(".xls")),
    ("excel-barcode.csv", Rows(&["2: 4.00638E+12|Milk|1.09|5", "3: 0012345678905|Tea|2|1"])),
    ("excel-dates.csv", Rows(&["2: 01.03.2024|Diary|5|1", "3: 2024-03-01|Diary|5|1"])),
    ("excel-blank-rows.csv", Rows(&["3: A-1|Pipe|199|5", "6: A-2|Pad|9.50|10"])),
    ("excel-thousands.csv", Rows(&["2: A-1|Pipe|1,199.00|1,000"])),
    ("libreoffice.csv", PlainFrom(2)),
    ("libreoffice-quoted.csv", Rows(&["2: A-1|Pipe 3/4\"|199|5", "3: A-2|Pad|9.50|10"])),
    ("libreoffice-tabs.csv", PlainFrom(2)),
    ("libreoffice-newline.csv", Rows(&["2: A-1|Pipe\nlong|199|5", "4: A-2|Pad|9.50|10"])),
    ("numbers.csv", PlainFrom(2)),
    ("numbers-title.csv", Refused("lacks the columns")),
    ("google-sheets.csv", Rows(&["2: A-1|Pipe, 3/4 \"|199|5", "3: A-2|Pad|9.50|10"])),
    ("google-formulas.csv", Rows(&["2: '-40|'=1+1|199|5", "3: A-2|'@home|9.50|10"])),
    ("pandas.csv", Rows(&["2: A-1|Pipe|199.0|5.0", "3: A-2|Pad|9.5|100.0000"])),
    (
        "quote-in-field.csv",
        Rows(&["2: R1|Pipe 3/4\" copper|199|5", "3: R2|Pad|9|10", "4: R3|Cable|4|20"]),
    ),
    (
        "quote-open.csv",
        Rows(&["2: R1|Pipe|199|5", "3! the quote that opens field 2 is not closed"]),
    ),
    ("quote-astray.csv", Rows(&["2! field 2 has text outside of its quotes", "4: R3|Cable|4|20"])),
    ("quote-after-space.csv", Rows(&["2! field 2 has text outside", "3: R2|Pad|9|10"])),
    ("mixed-line-ends.csv", PlainFrom(2)),
    ("cr-below-crlf.csv", PlainFrom(2)),
    ("pipes.csv", PlainFrom(2)),
    ("no-last-line-end.csv", PlainFrom(2)),
    (
        "short-and-long-rows.csv",
        Rows(&["2! it has 2 fields", "3! it has 5 fields", "4: A-3|Cable|4|20"]),
    ),
    ("headings.csv", Rows(&["2: A-1|Pipe|199|5|2"])),
    ("heading-twice.csv", Refused("twice")),
    ("empty.csv", Refused("lacks the columns sku, name, price, stock")),
];

#[test]
fn each_file_of_the_corpus_gives_its_rows() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    for (name, gives) in CORPUS {
        let bytes = std::fs::read(dir.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let rows = read(&bytes);
        let expected: Vec<String> = match gives {
            Refused(words) => {
                let wrong = rows.unwrap_err();
                assert!(wrong.contains(words), "{name}: {wrong}");
                continue;
            }
            PlainFrom(first) => {
                let rows = (*first..).zip(PLAIN);
                rows.map(|(number, row)| format!("{number}: {row}")).collect()
            }
            Rows(rows) => rows.iter().map(|row| (*row).to_owned()).collect(),
        };
        let rows = rows.unwrap_or_else(|wrong| panic!("{name}: {wrong}"));
        let agree = rows.len() == expected.len()
            && rows.iter().zip(&expected).all(|(row, expected)| {
                let is_fault = expected.contains('!');
                row == expected || (is_fault && row.starts_with(expected.as_str()))
            });
        assert!(agree, "{name}: {rows:#?} is not {expected:#?}");
    }
    let files = std::fs::read_dir(&dir).unwrap().count();
    assert_eq!(files, CORPUS.len(), "each file of {} has a row here", dir.display());
}

#[test]
fn ignored_columns_are_named_even_without_a_heading() {
    let text = ",sku,name,color,price,stock,\n0,A,B,red,1,2,\n";
    let sheet = Sheet::open(Cursor::new(text), COLUMNS).unwrap();
    assert_eq!(sheet.ignored, ["1 (no heading)", "color"]);
}

#[test]
fn a_row_without_end_is_refused_by_its_line_and_not_kept_in_memory() {
    let mut text = b"sku,name,price,stock\nA,B,1,1\nC,\"".to_vec();
    text.extend(std::iter::repeat_n(b"x\n", 2 << 20).flatten());
    let wrong = read(&text).unwrap_err();
    assert!(wrong.contains("line 3 or after it is longer than 1048576 bytes"), "{wrong}");
}

#[test]
fn records_that_cross_the_buffer_are_compared_whole() {
    let name = "a \"\"b\"\", ".repeat(2000);
    let mut text = "sku,name,price,stock\n".to_owned();
    for number in 0..9 {
        text.push_str(&format!("S{number},\"{name}\",1,2\r\n"));
    }
    let rows = read(text.as_bytes()).unwrap();
    let name = "a \"b\", ".repeat(2000);
    let expected: Vec<_> =
        (0..9).map(|number| format!("{}: S{number}|{name}|1|2", number + 2)).collect();
    assert_eq!(rows, expected);
}

proptest::proptest! {
    /// Whatever the csv writer writes is read as it was, under each separator and line end.
    #[test]
    fn what_a_writer_wrote_is_read(
        table in proptest::collection::vec(
            proptest::collection::vec("[a-z\"',;\t|\r\n =é]{0,6}", 4), 0..6),
        separator in proptest::sample::select(&SEPARATORS[..]),
        end in proptest::sample::select(vec![
            csv::Terminator::CRLF, csv::Terminator::Any(b'\n'), csv::Terminator::Any(b'\r')]),
    ) {
        let mut writer = csv::WriterBuilder::new()
            .delimiter(separator)
            .terminator(end)
            .quote_style(csv::QuoteStyle::Always)
            .from_writer(Vec::new());
        writer.write_record(COLUMNS.required).unwrap();
        for row in &table {
            writer.write_record(row).unwrap();
        }
        let rows = read(&writer.into_inner().unwrap()).unwrap();
        let full = table.iter().filter(|row| row.iter().any(|cell| !cell.is_empty()));
        let cells = |row: &Vec<String>| {
            row.iter().filter(|cell| !cell.is_empty()).cloned().collect::<Vec<_>>().join("|")
        };
        let expected: Vec<_> = full.map(cells).collect();
        let rows: Vec<_> =
            rows.iter().map(|row| row.split_once(": ").expect("a row").1.to_owned()).collect();
        proptest::prop_assert_eq!(rows, expected);
    }

    /// No bytes make the reader panic or lose bytes: each line of a file that is read to its end
    /// is in a row or blank.
    #[test]
    fn any_bytes_are_read_to_their_end(
        bytes in proptest::collection::vec(
            proptest::sample::select(&b"a\",;\r\n \xff="[..]), 0..64),
    ) {
        let text = [b"sku,name,price,stock\n".as_slice(), &bytes].concat();
        let sheet = Sheet::open(Cursor::new(text.clone()), COLUMNS);
        let Ok(mut sheet) = sheet else { panic!("the heading is right") };
        let mut last = 1;
        for row in sheet.by_ref() {
            let Ok((number, _)) = row else { panic!("memory does not fail") };
            proptest::prop_assert!(number > last, "{} is not above {}", number, last);
            last = number;
        }
        let read = sheet.reader.position().byte();
        proptest::prop_assert_eq!(read, text.len() as u64);
    }
}
