//! The deterministic state machine of Holdfast.
//!
//! Commands go in, outcomes and events come out, and the same entries make the same state on every
//! node. This crate never reads a clock, a random source or configuration, starts no threads, and
//! knows neither raft nor HTTP. Time enters only through [`entry::Batch::clock`]; every setting
//! that decides an outcome travels in the command.
//!
//! Reading order: [`ids`], [`money`], [`order`], [`hold`], [`webhook`], [`product`] and
//! [`adjustment`] are the vocabulary; [`command`], [`entry`], [`outcome`] and [`event`] are what
//! goes in and comes out; [`state`] holds the rows and applies; [`query`] and [`invariants`] read
//! it; [`checkpoint`] and [`store`] bring it to disk and back.

pub mod adjustment;
pub mod codec;
pub mod command;
pub mod entry;
pub mod event;
pub mod fence;
pub mod few;
pub mod hold;
pub mod ids;
pub mod ledger;
pub mod money;
pub mod order;
pub mod outcome;
pub mod product;
pub mod trace;
pub mod user;
pub mod webhook;

pub mod apply;
pub mod checkpoint;
pub mod invariants;
pub mod query;
pub mod state;
pub mod store;
pub mod totals;

#[cfg(feature = "planted-bugs")]
pub mod planted;

mod chunks;
mod digest;
mod events;
mod holds;
mod keys;
mod lineage;
mod orders;
mod packed;
mod postings;
mod products;
mod record;
mod schedule;
mod sessions;
mod statuses;
mod taken;
mod users;
mod webhooks;

pub use checkpoint::open;
