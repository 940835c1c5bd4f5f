//! Histories, checkers and faults for real Holdfast clusters.
//!
//! The crate controls clusters from outside, over the same HTTP API as everyone else. It records
//! requests and answers, and judges that record. It never imports the engine or the node: a checker
//! that shares code with the system shares its bugs.

pub mod checker;
pub mod cluster;
pub mod config;
pub mod disks;
mod dump;
pub mod gaps;
pub mod history;
pub mod http;
pub mod nemesis;
pub mod net;
pub mod report;
pub mod run;
pub mod simulated;
pub mod summary;
pub mod workload;
