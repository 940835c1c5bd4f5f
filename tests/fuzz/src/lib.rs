//! What must hold of every decoder, whatever bytes it is given.
//!
//! Each function here is one fuzz target: it decodes any bytes and panics when a property fails,
//! and returns whether the decoder took the bytes. Properties go beyond "does not panic": what is
//! read is written back and must be read as the same, byte for byte where a format allows only one
//! spelling. Random changes rarely leave a checksum right, so targets of checked formats also read
//! the input with mended checksums.
//!
//! `make fuzz` runs every target under libFuzzer; `tests/replay.rs` runs every corpus file in
//! `cargo test`. `cargo run -p fuzz --example corpus` writes the corpora anew.

// No unit tests: those of the files that this crate shares with the binary run there.
#![cfg(not(test))]

mod csv_file;
mod engine_bytes;
#[expect(dead_code, reason = "the readers of the binary make only some of its errors")]
#[path = "../../../http-api/holdfast/src/exit.rs"]
mod exit;
mod peer_bytes;
mod snapshot_file;

/// A body and a query string of a request, read by the REST server.
pub use http_api::fuzzing::{body, query};

pub use csv_file::csv;
pub use engine_bytes::{command, entry, row};
pub use peer_bytes::frame;
pub use snapshot_file::snapshot;

/// A fuzz target: decodes the bytes, and returns whether the decoder took them.
pub type Target = fn(&[u8]) -> bool;

/// Every target by the name of its binary and of its folder in `corpus/`.
pub const TARGETS: &[(&str, Target)] = &[
    ("entry", entry),
    ("command", command),
    ("row", row),
    ("frame", frame),
    ("snapshot", snapshot),
    ("body", body),
    ("query", query),
    ("csv", csv),
];
