//! What an order costs, part by part: encoding, applying, checkpointing, replicating, and the
//! whole path over HTTP.
//!
//! Every bench reports elements per second, an element being an order, so that the parts can be
//! compared and added up. Absolute figures move from machine to machine; compare within one run.

mod apply;
mod checkpoint;
mod codec;
mod http;
mod replicate;

criterion::criterion_main!(
    codec::benches,
    apply::benches,
    checkpoint::benches,
    replicate::benches,
    http::benches
);
