//! Shared fixtures of the benches: orders to place, a shop to place them in, nodes to replicate
//! them.
//!
//! The fixtures only build inputs. What is measured, and how, stands in the benches themselves.

pub mod cluster;
pub mod shop;
