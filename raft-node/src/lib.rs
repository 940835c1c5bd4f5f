//! Replication for Holdfast.
//!
//! [`core::Core`] decides: a plain synchronous struct around tikv's `RawNode` that takes inputs and
//! returns actions, and does no I/O, reads no clock and starts no thread. The driver performs: one
//! thread or task per duty. The simulator drives the same core and the same same [`replica::Replica`] and the
//! same [`payment::worker::Worker`] from one seeded loop.
//!
//! Reading order: [`config`], [`message`], [`log`], [`core`], [`payment`], then the
//! driver's parts, starting with [`identity`].

pub mod config;
pub mod core;
pub mod identity;
pub mod log;
pub mod message;
pub mod payment;

