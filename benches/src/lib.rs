//! Shared fixtures of the benches: orders to place, a shop to place them in, nodes to replicate
//! them.
//!
//! The fixtures only build inputs. The benches decide what is measured, and how.

pub mod cluster;
pub mod shop;
