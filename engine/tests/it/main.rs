//! The engine from outside: commands in, outcomes, events and rows out.

mod common;

mod audit;
mod batches;
mod checkpoint;
mod clusters;
mod events;
mod holds;
mod image;
mod keys;
mod level;
mod limits;
mod orders;
mod payments;
mod products;
mod properties;
mod quota;
mod refunds;
mod sales;
mod scripts;
mod store;
mod tokens;
mod webhooks;

/// Other threads read the state, write what was frozen and use the stores.
#[test]
fn shared_types_are_send_and_sync() {
    fn shared<T: Send + Sync>() {}
    shared::<engine::state::State>();
    shared::<engine::checkpoint::Frozen>();
    shared::<engine::store::sled::SledStore>();
    shared::<engine::store::memory::MemoryStore>();
}
