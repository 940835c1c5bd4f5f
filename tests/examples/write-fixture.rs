//! Writes the fixture of a format: `cargo run -p tests --example write-fixture -- format-1`.
//!
//! It packs a data directory, a backup and the recorded answers into
//! `tests/fixtures/NAME/data.tar.gz`. Never write an existing fixture again: it holds what nodes of
//! that version wrote.

#[tokio::main]
async fn main() {
    let names: Vec<_> = std::env::args().skip(1).collect();
    match &names[..] {
        [name] => tests::fixture::write(name).await,
        _ => panic!("give the name of the format, such as format-1"),
    }
}
