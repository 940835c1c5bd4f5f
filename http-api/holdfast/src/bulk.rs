//! Bulk work on files: what `import`, `export` and `orders batch` share.
//!
//! Files are read row by row. A row that cannot be read is reported with its line and does not
//! affect others. There are two formats: CSV with a header, and one JSON object per line.

pub(crate) mod batch;
mod catalogue;
mod cell;
pub(crate) mod export;
pub(crate) mod import;
mod orders;
mod parts;
mod policy;
mod products;
mod references;
mod rows;
mod sheet;
mod source;
mod summary;
mod whole;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use clap::ValueEnum;
use client::wire::OrderRequest;
use indicatif::ProgressBar;

use crate::exit::CliError;
use crate::progress;
use rows::Body;
use sheet::Sheet;
use source::TextLines;

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
    let source = source::text(source)?;
    match format {
        Format::Csv => {
            let rows = Sheet::open(source, T::COLUMNS)?;
            if !rows.ignored.is_empty() {
                eprintln!("note: ignoring the columns {}", rows.ignored.join(", "));
            }
            Ok(Box::new(rows.map(|row| {
                let (number, cells) = row?;
                Ok(Line { number, body: cells.and_then(|cells| T::from_cells(&cells)) })
            })))
        }
        Format::Ndjson => Ok(Box::new(TextLines::new(source).map(|line| {
            let (number, text) = line?;
            Ok(Line { number, body: T::from_json(&text) })
        }))),
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
    use client::wire::OrderLineRequest;

    use super::rows::ImportedProduct;
    use super::*;

    fn read<T: Body + 'static>(text: &str, format: Format) -> Vec<(u64, Result<T, String>)> {
        let lines = lines::<T>(std::io::Cursor::new(text.to_owned()), format).unwrap();
        lines.map(|line| line.unwrap()).map(|line| (line.number, line.body)).collect()
    }

    #[test]
    fn bad_lines_have_numbers_and_do_not_affect_others() {
        let text = "\u{feff}{\"name\":\"a\",\"price\":1.50,\"stock\":1}\n\n{\r\n  \n\
                    {\"name\":\"b\",\"price\":\"2\",\"stock\":2,\"sku\":null,\"held\":3}";
        let rows = read::<ImportedProduct>(text, Format::Ndjson);
        assert_eq!(rows.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [1, 3, 5]);
        assert_eq!(rows[0].1.as_ref().unwrap().request.price, "1.50");
        assert!(rows[1].1.as_ref().unwrap_err().contains("EOF"), "{:?}", rows[1].1);
        assert_eq!(rows[2].1.as_ref().unwrap().request.sku, None);

        let text = "stock, name ,price,sku,max_per_user\n5,\"Hub, \"\"USB\"\"\",9.99,H-1,\n\
                    x,Bad,1,,\n1,Short\n\n7,\"La\nst\",1,,2\n8,End,1,,";
        let rows = read::<ImportedProduct>(text, Format::Csv);
        let first = &rows[0].1.as_ref().unwrap().request;
        assert_eq!((&*first.name, first.sku.as_deref()), ("Hub, \"USB\"", Some("H-1")));
        assert_eq!(first.max_per_user, None);
        let wrong = |at: usize| rows[at].1.as_ref().unwrap_err().clone();
        assert!(wrong(1).contains("stock: \"x\" is not a whole number"), "{}", wrong(1));
        assert!(wrong(2).contains("2 fields, but the header has 5"), "{}", wrong(2));
        assert_eq!(rows[3].1.as_ref().unwrap().request.max_per_user, Some(2));
        assert_eq!(rows.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [2, 3, 4, 6, 8]);
    }

    #[test]
    fn a_header_must_have_the_required_columns() {
        let text = std::io::Cursor::new("name,stock\na,1\n");
        let Err(CliError::Usage(text)) = lines::<ImportedProduct>(text, Format::Csv) else {
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
