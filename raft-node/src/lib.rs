//! Replication for Holdfast.
//!
//! [`core::Core`] decides. It is a synchronous struct around tikv's `RawNode` that takes inputs and
//! returns actions; it does no I/O, reads no clock and starts no thread. [`driver`] performs the
//! actions, with one thread or task per duty. The simulator (crate `raft-sim`) drives the same
//! core, the same [`replica`] and the same [`payment::worker::Worker`] from one seeded loop.
//!
//! Reading order: [`config`], [`message`], [`log`], [`core`], [`replica`], [`payment`], then the
//! driver's parts [`identity`], [`transport`], [`driver`], and last the front door, [`handle`].

pub mod config;
pub mod core;
pub mod disk;
pub mod driver;
pub mod handle;
pub mod identity;
pub mod log;
pub mod members;
pub mod message;
pub mod node;
pub mod payment;
#[cfg(feature = "simulation")]
mod planted;
pub mod rebuild;
pub mod recovery;
pub mod replica;
pub mod shared;
#[cfg(feature = "simulation")]
pub mod simulation;
pub mod snapshot;
mod sold_out;
mod spread;
pub mod transport;
pub mod verify;

pub use config::{Config, Join, Peer};
pub use handle::{
    Applied, Backup, EventsError, Handle, Health, LedgerEntry, LedgerPage, LedgerPlace, Member,
    ProposeError, ReadError, SnapshotError, Status,
};
pub use node::{Node, StartError};
pub use shared::Metrics;
pub use spread::Spread;
