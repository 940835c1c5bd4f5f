//! The harness of the end-to-end tests: clusters of real `holdfast` processes on loopback.
//!
//! It owns starting, killing, pausing and restarting processes, plain HTTP to any node, and the
//! checks that every test ends with. It asserts on bytes and statuses as a stranger would see
//! them, so it shares no type with the server; tests that want a client which retries take the
//! `client` crate.
//!
//! Absences: no test waits for a time to pass. Every wait polls a state under a deadline
//! ([`wait::until`]), and every port, directory and process belongs to the [`Cluster`] that made
//! it and ends with it. When a test fails, the cluster prints the end of each node's log, where
//! data and logs were kept, and the seed that repeats the random choices.

pub mod answer;
mod binary;
pub mod caller;
pub mod cluster;
pub mod load;
mod node;
mod ports;
pub mod raw;
pub mod seed;
pub mod shop;
mod slot;
pub mod wait;

pub use answer::Answer;
pub use caller::{Call, Caller, NoAnswer};
pub use cluster::{Cluster, Options};
pub use seed::Seed;
