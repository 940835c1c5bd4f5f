//! Bulk work on files: what `import`, `export` and `orders batch` share.
//!
//! Files are read line by line. A line that cannot be read is reported with its number and does not
//! affect others. There are two formats: CSV with a header, and one JSON object per line.

pub(crate) mod batch;
pub(crate) mod export;
pub(crate) mod import;
mod orders;
mod products;
mod summary;

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use clap::ValueEnum;
use client::wire::{OrderLineRequest, OrderRequest, ProductRequest};
use indicatif::ProgressBar;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::exit::CliError;
use crate::progress;

/// Longest line, in bytes: as much as the largest body of a request.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// The format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Columns under a header
    Csv,
    /// One JSON object per line
    Ndjson,
}

impl Format {
    /// The format given by flag, else the one of the file's extension.
    fn of(given: Option<Format>, path: &Path) -> Result<Format, CliError> {
        let end = path.extension().and_then(|end| end.to_str()).map(str::to_ascii_lowercase);
        match (given, end.as_deref()) {
            (Some(format), _) => Ok(format),
            (None, Some("csv")) => Ok(Format::Csv),
            (None, Some("ndjson" | "jsonl")) => Ok(Format::Ndjson),
            (None, _) => Err(CliError::Usage(format!(
                "cannot tell the format of {} from its name: give --format csv or ndjson",
                path.display()
            ))),
        }
    }
}

/// The kind of rows in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum What {
    /// Products
    Products,
    /// Orders
    Orders,
}

/// A request body that can be read from a file.
pub(crate) trait Body: DeserializeOwned {
    /// The row of a CSV file that holds it.
    type Row: DeserializeOwned + Into<Self>;
    /// Columns that a CSV file must have.
    const REQUIRED: &'static [&'static str];
    /// Columns that it may have; others are ignored.
    const OPTIONAL: &'static [&'static str];
}

/// A product in a CSV file.
#[derive(Debug, Deserialize)]
pub(crate) struct ProductRow {
    name: String,
    price: String,
    stock: u64,
    sku: Option<String>,
    max_per_order: Option<u64>,
    max_per_user: Option<u64>,
    low_stock_threshold: Option<u64>,
}

impl From<ProductRow> for ProductRequest {
    fn from(row: ProductRow) -> ProductRequest {
        ProductRequest {
            name: row.name,
            price: row.price,
            stock: row.stock,
            sku: row.sku,
            max_per_order: row.max_per_order,
            max_per_user: row.max_per_user,
            low_stock_threshold: row.low_stock_threshold,
        }
    }
}

impl Body for ProductRequest {
    type Row = ProductRow;
    const REQUIRED: &'static [&'static str] = &["name", "price", "stock"];
    const OPTIONAL: &'static [&'static str] =
        &["sku", "max_per_order", "max_per_user", "low_stock_threshold"];
}

/// An order of one line in a CSV file.
#[derive(Debug, Deserialize)]
pub(crate) struct OrderRow {
    product_id: u64,
    quantity: u64,
    user_id: Option<u64>,
    payment_method: Option<client::wire::PaymentMethod>,
    idempotency_key: Option<String>,
}

impl From<OrderRow> for OrderRequest {
    fn from(row: OrderRow) -> OrderRequest {
        OrderRequest {
            user_id: row.user_id,
            items: vec![OrderLineRequest { product_id: row.product_id, quantity: row.quantity }],
            payment_method: row.payment_method,
            idempotency_key: row.idempotency_key,
            ..OrderRequest::default()
        }
    }
}

impl Body for OrderRequest {
    type Row = OrderRow;
    const REQUIRED: &'static [&'static str] = &["product_id", "quantity"];
    const OPTIONAL: &'static [&'static str] = &["user_id", "payment_method", "idempotency_key"];
}

/// A line of a file: its number from 1, and its body or the reason why it cannot be read.
pub(crate) struct Line<T> {
    pub(crate) number: u64,
    pub(crate) body: Result<T, String>,
}

/// The lines of a file that are not blank.
pub(crate) type Lines<T> = Box<dyn Iterator<Item = Result<Line<T>, CliError>>>;

/// Reads request bodies from a file.
pub(crate) fn lines<T: Body + 'static>(
    source: impl Read + 'static,
    format: Format,
) -> Result<Lines<T>, CliError> {
    let mut records = Records { source: BufReader::new(source), number: 0, format };
    match format {
        Format::Csv => {
            let header = read_header::<T>(&mut records)?;
            let body = move |text: &[u8]| {
                let record = split(text)?;
                if record.len() != header.len() {
                    let (has, wants) = (record.len(), header.len());
                    return Err(format!("it has {has} fields, but the header has {wants}"));
                }
                let row: Result<T::Row, _> = record.deserialize(Some(&header));
                row.map(Into::into).map_err(|error| words(&error))
            };
            Ok(Box::new(records.map(move |record| line(record, &body))))
        }
        Format::Ndjson => {
            let body =
                |text: &[u8]| serde_json::from_slice(text).map_err(|error| error.to_string());
            Ok(Box::new(records.map(move |record| line(record, body))))
        }
    }
}

fn line<T>(
    record: Result<(u64, Vec<u8>), CliError>,
    body: impl Fn(&[u8]) -> Result<T, String>,
) -> Result<Line<T>, CliError> {
    record.map(|(number, text)| Line { number, body: body(&text) })
}

/// The records of a file, each with the number of its first line. Skips blank lines.
struct Records<R> {
    source: BufReader<R>,
    number: u64,
    format: Format,
}

impl<R: Read> Iterator for Records<R> {
    type Item = Result<(u64, Vec<u8>), CliError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut text = Vec::new();
        let mut first = 0;
        loop {
            let room = (LINE_BYTES_MAX + 1).saturating_sub(text.len() as u64);
            let read = self.source.by_ref().take(room).read_until(b'\n', &mut text);
            let ended = match read {
                Ok(length) => length == 0,
                Err(error) => return Some(Err(CliError::because("cannot read the file", &error))),
            };
            if text.len() as u64 > LINE_BYTES_MAX {
                let line = if first > 0 { first } else { self.number + 1 };
                let text = format!(
                    "line {line} is longer than {LINE_BYTES_MAX} bytes, the most that one line may have"
                );
                return Some(Err(CliError::Usage(text)));
            }
            self.number += u64::from(!ended);
            if self.number == 1 && text.starts_with(b"\xef\xbb\xbf") {
                text.drain(..3);
            }
            if text.iter().all(u8::is_ascii_whitespace) {
                if ended {
                    return None;
                }
                text.clear();
                continue;
            }
            first = if first > 0 { first } else { self.number };
            // A line break inside quotes belongs to the record.
            let quotes = text.iter().filter(|byte| **byte == b'"').count();
            if ended || self.format == Format::Ndjson || quotes.is_multiple_of(2) {
                return Some(Ok((first, text)));
            }
        }
    }
}

/// Reads the header of a CSV file and checks that it has the required columns.
fn read_header<T: Body>(records: &mut Records<impl Read>) -> Result<csv::StringRecord, CliError> {
    let (_, text) = records.next().unwrap_or_else(|| Ok((1, Vec::new())))?;
    let header = split(&text).map_err(CliError::Usage)?;
    let is_missing = |name: &&&str| !header.iter().any(|it| it == **name);
    let missing: Vec<&str> = T::REQUIRED.iter().filter(is_missing).copied().collect();
    if !missing.is_empty() {
        let text = format!("the header lacks the columns {}", missing.join(", "));
        return Err(CliError::Usage(text));
    }
    let known = |name: &&str| T::REQUIRED.contains(name) || T::OPTIONAL.contains(name);
    let ignored: Vec<_> = header.iter().filter(|name| !known(name)).collect();
    if !ignored.is_empty() {
        eprintln!("note: ignoring the columns {}", ignored.join(", "));
    }
    Ok(header)
}

/// Splits a record into its fields.
fn split(text: &[u8]) -> Result<csv::StringRecord, String> {
    let mut builder = csv::ReaderBuilder::new();
    builder.has_headers(false).trim(csv::Trim::All).buffer_capacity(text.len().max(16));
    let mut record = csv::StringRecord::new();
    builder.from_reader(text).read_record(&mut record).map_err(|error| words(&error))?;
    Ok(record)
}

/// The reason of an error without the position, since the message names the line.
fn words(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::Deserialize { err, .. } => err.to_string(),
        csv::ErrorKind::Utf8 { err, .. } => err.to_string(),
        _ => error.to_string(),
    }
}

/// The prefix of the keys for orders without one. It is a hash of the file: sending the same file
/// again uses the same keys and places no order twice.
pub(crate) fn key_prefix(mut source: impl Read) -> Result<String, CliError> {
    let mut hasher = blake3::Hasher::new();
    let mut piece = vec![0; 1 << 16];
    loop {
        match source.read(&mut piece) {
            Ok(0) => break,
            Ok(length) => drop(hasher.update(&piece[..length])),
            Err(error) => return Err(CliError::because("cannot read the file", &error)),
        }
    }
    let hash = hasher.finalize().to_hex();
    Ok(format!("file-{}", &hash[..32]))
}

/// Gives an order without a key one of its file and line.
pub(crate) fn with_key(mut order: OrderRequest, prefix: &str, line: u64) -> OrderRequest {
    order.idempotency_key.get_or_insert_with(|| format!("{prefix}-{line}"));
    order
}

/// Opens a file, and a progress bar for the bytes read.
fn open(path: &Path) -> Result<(File, ProgressBar), CliError> {
    let cannot = |error| CliError::because(format_args!("cannot open {}", path.display()), &error);
    let file = File::open(path).map_err(cannot)?;
    let bytes = file.metadata().map_err(cannot)?.len();
    let bar = ProgressBar::new(bytes);
    bar.set_style(progress::style("{wide_bar} {bytes}/{total_bytes} {msg} {eta}"));
    Ok((file, bar))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: Body + 'static>(text: &str, format: Format) -> Vec<(u64, Result<T, String>)> {
        let lines = lines::<T>(std::io::Cursor::new(text.to_owned()), format).unwrap();
        lines.map(|line| line.unwrap()).map(|line| (line.number, line.body)).collect()
    }

    #[test]
    fn bad_lines_have_numbers_and_do_not_affect_others() {
        let text = "\u{feff}{\"name\":\"a\",\"price\":1.50,\"stock\":1}\n\n{\r\n  \n\
                    {\"name\":\"b\",\"price\":\"2\",\"stock\":2,\"sku\":null,\"held\":3}";
        let rows = read::<ProductRequest>(text, Format::Ndjson);
        assert_eq!(rows.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [1, 3, 5]);
        assert_eq!(rows[0].1.as_ref().unwrap().price, "1.50");
        assert!(rows[1].1.as_ref().unwrap_err().contains("EOF"), "{:?}", rows[1].1);
        assert_eq!(rows[2].1.as_ref().unwrap().sku, None);

        let text = "stock, name ,price,sku,max_per_user\n5,\"Hub, \"\"USB\"\"\",9.99,H-1,\n\
                    x,Bad,1,,\n1,Short\n\n7,\"La\nst\",1,,2\n8,End,1,,";
        let rows = read::<ProductRequest>(text, Format::Csv);
        let first = rows[0].1.as_ref().unwrap();
        assert_eq!((&*first.name, first.sku.as_deref()), ("Hub, \"USB\"", Some("H-1")));
        assert_eq!(first.max_per_user, None);
        let wrong = |at: usize| rows[at].1.as_ref().unwrap_err().clone();
        assert!(wrong(1).contains("invalid digit"), "{}", wrong(1));
        assert!(wrong(2).contains("2 fields, but the header has 5"), "{}", wrong(2));
        assert_eq!(rows[3].1.as_ref().unwrap().max_per_user, Some(2));
        assert_eq!(rows.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [2, 3, 4, 6, 8]);
    }

    #[test]
    fn a_header_must_have_the_required_columns() {
        let text = std::io::Cursor::new("name,stock\na,1\n");
        let Err(CliError::Usage(text)) = lines::<ProductRequest>(text, Format::Csv) else {
            panic!("accepted a header without a price")
        };
        assert!(text.contains("price"), "{text}");
    }

    #[test]
    fn csv_orders_get_keys_of_file_and_line() {
        let text =
            "product_id,quantity,user_id,payment_method,idempotency_key\n1,2,3,none,mine\n4,5,,,\n";
        let prefix = key_prefix(text.as_bytes()).unwrap();
        assert_eq!(prefix, key_prefix(text.as_bytes()).unwrap());
        assert_ne!(prefix, key_prefix("other".as_bytes()).unwrap());
        let rows = read::<OrderRequest>(text, Format::Csv).into_iter();
        let orders: Vec<_> =
            rows.map(|(number, body)| with_key(body.unwrap(), &prefix, number)).collect();
        assert_eq!((orders[0].user_id, orders[1].user_id), (Some(3), None));
        assert_eq!(orders[0].idempotency_key.as_deref(), Some("mine"));
        assert_eq!(orders[1].idempotency_key, Some(format!("{prefix}-3")));
        assert_eq!(orders[1].items, [OrderLineRequest { product_id: 4, quantity: 5 }]);
        assert!(prefix.len() < 64 && prefix.starts_with("file-"), "{prefix}");
    }

    #[test]
    fn the_extension_tells_the_format() {
        let of = |name: &str| Format::of(None, Path::new(name)).ok();
        assert_eq!(of("a.csv"), Some(Format::Csv));
        assert_eq!(of("a.NDJSON"), Some(Format::Ndjson));
        assert_eq!(of("a.jsonl"), Some(Format::Ndjson));
        assert_eq!(of("a.txt"), None);
        assert_eq!(Format::of(Some(Format::Csv), Path::new("a.txt")).ok(), Some(Format::Csv));
    }
}
