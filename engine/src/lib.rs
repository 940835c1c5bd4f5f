//! The deterministic state machine of Holdfast.
//!
//! Commands go in; outcomes and events come out. The same entries produce the same state on every
//! node. This crate reads no clock, no random source and no configuration. It starts no threads,
//! and knows neither raft nor HTTP. Time enters only through [`entry::Entry::clock`]; every setting
//! that decides an outcome is a field of the command.
//!
//! Reading order: [`ids`], [`money`], [`order`], [`hold`], [`webhook`], [`product`] and
//! [`adjustment`] are the vocabulary. [`command`], [`entry`], [`outcome`] and [`event`] are input
//! and output. [`state`] contains the rows, [`apply`] changes them, [`query`] and [`invariants`]
//! read them. [`checkpoint`] and [`store`] write the state to disk and read it back.

pub mod actor;
pub mod adjustment;
pub mod audit;
pub mod auth;
pub mod codec;
pub mod command;
pub mod entry;
pub mod event;
pub mod fence;
pub mod few;
pub mod hold;
pub mod ids;
pub mod layout;
pub mod ledger;
pub mod level;
pub mod money;
pub mod order;
pub mod outcome;
pub mod payment_keys;
pub mod product;
pub mod refund;
pub mod sale;
pub mod secret;
pub mod trace;
pub mod user;
pub mod webhook;

pub mod apply;
pub mod checkpoint;
pub mod invariants;
pub mod query;
pub mod quota;
pub mod state;
pub mod store;
pub mod totals;

#[cfg(feature = "planted-bugs")]
pub mod planted;

mod chunks;
mod digest;
mod events;
mod holds;
pub mod keyed;
pub mod keys;
mod lineage;
mod orders;
mod packed;
mod postings;
mod products;
mod record;
mod refunds;
mod rolling;
mod scan;
mod schedule;
mod sessions;
mod statuses;
mod taken;
mod tasks;
pub mod tokens;
mod users;
mod webhooks;

pub use checkpoint::open;
