//! Replication for Holdfast.
//!
//! [`core::Core`] decides. It is a synchronous struct around tikv's `RawNode` that takes inputs and
//! returns actions; it does no I/O, reads no clock and starts no thread. [`driver`] performs the
//! actions, with one thread or task per duty. The simulator (crate `raft-sim`) drives the same
//! core, the same [`replica`] and the same [`payment::worker::Worker`] from one seeded loop.
//!
//! Reading order: [`config`], [`message`], [`log`], [`core`], [`replica`], [`payment`], then the
//! driver's parts [`directory`], [`transport`], [`driver`], and last the front door, [`handle`].

pub mod addresses;
mod causes;
pub mod config;
pub mod core;
mod counters;
pub mod directory;
pub mod driver;
mod error;
pub mod handle;
mod histogram;
mod invalid;
pub mod log;
pub mod members;
pub mod memory;
pub mod message;
pub mod node;
pub mod payment;
#[cfg(feature = "simulation")]
mod planted;
mod process_memory;
pub mod recovery;
mod refusals;
pub mod replica;
pub mod shared;
#[cfg(feature = "simulation")]
pub mod simulation;
pub mod snapshot;
pub mod tls;
pub mod transport;
pub mod verify;

pub use config::{Config, Join, Peer, PeerSecurity};
pub use error::{EventsError, ProposeError, ReadError, SnapshotError};
pub use handle::backup::Backup;
pub use handle::ledger::{LedgerEntry, LedgerPage, LedgerPlace};
pub use handle::metrics::{Metrics, Peer as PeerMetrics};
pub use handle::{Handle, Health, Member, Rehearsal, Status};
pub use histogram::Histogram;
pub use invalid::Invalid;
pub use node::Node;
pub use node::error::StartError;
pub use replica::Applied;
