//! The cost of an order, part by part: encoding, applying, checkpointing, replicating, and the
//! whole path over HTTP.
//!
//! Every bench reports elements per second, and an element is an order, so that the parts can be
//! compared and added up. Absolute numbers depend on the machine; compare within one run.

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
