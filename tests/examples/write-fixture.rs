//! Writes the fixture of a format: `cargo run -p tests --example write-fixture -- format-1`.
//!
//! It makes a data directory, a backup and a record of what was served from them, and packs the
//! three into `tests/fixtures/NAME/data.tar.gz`. A fixture that is there is never written again: it
//! stands for what nodes of that version left behind.

#[tokio::main]
async fn main() {
    let names: Vec<_> = std::env::args().skip(1).collect();
    match &names[..] {
        [name] => tests::fixture::write(name).await,
        _ => panic!("give the name of the format, such as format-1"),
    }
}
