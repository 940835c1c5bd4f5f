//! The harness of the end-to-end tests: clusters of real `holdfast` processes on loopback.
//!
//! It starts, kills, pauses and restarts processes, sends plain HTTP to any node, and has the
//! checks with which every test ends. It asserts on bytes and statuses as any client sees them,
//! so it shares no type with the server. Tests that need retries use the `client` crate.
//!
//! The modules of `tests/tests/it/`: `smoke` and `products` (one request after the other),
//! `lists`, `transitions`, `races` and `races_failover` (many at once, and with the leader
//! killed), `ramp` (load), `holds` and `webhooks` (holds and results of payments),
//! `payment_holes` (orders that no stranger decides), `failover` (kills, pauses, stops),
//! `payments`, `gateway` (a payment service over HTTP), `damage` and `identity` (lost, damaged or
//! foreign data), `formats` (data that earlier versions wrote), `members` (nodes that join, leave
//! and are replaced), `full_disk` and `power_cut` (disks of their own, as root),
//! `failed_sync`, `stalled_disk`, `put_back` (a directory put back from an older copy),
//! `moved` (other addresses),
//! `few_files` (open files run short), `catch_up` (a snapshot under load), `overload`,
//! `events` (streams and WebSockets), `bad_input` and `bad_http`, `operations` (probes, metrics,
//! `holdfast dev`),
//! `batches`, `stock`, `bulk` (files), and `scenarios` (load scripts of older systems). The
//! binary `tidy` checks rules of the sources.
//!
//! `docs/RELIABILITY.md` names the tests behind each promise.
//!
//! At most two clusters run at a time, over all test processes; tests that measure time run alone.
//! `HOLDFAST_TEST_SEED` repeats random choices, `HOLDFAST_TEST_BINARY` tests a given file.
//!
//! Absences: no test sleeps for a fixed time. Every wait polls a state under a deadline
//! ([`wait::until`]), and every port, directory and process belongs to the [`Cluster`] that made
//! it and ends with it. When a test fails, the cluster prints the end of each node's log, where
//! data and logs were kept, and the seed that repeats the random choices.

pub mod answer;
mod binary;
pub mod caller;
pub mod cluster;
pub mod damage;
pub mod disks;
pub mod fixture;
pub mod imports;
pub mod killing;
pub mod load;
pub mod moment;
mod node;
pub mod payment_service;
mod ports;
pub mod raw;
pub mod seed;
pub mod shims;
pub mod shop;
mod slot;
pub mod wait;

pub use answer::Answer;
pub use caller::{Call, Caller, NoAnswer};
pub use cluster::{Cluster, Options};
pub use killing::Killing;
pub use seed::Seed;
