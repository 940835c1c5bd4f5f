//! Commands that run nodes, and what they share: a running node, joining a cluster, and rebuilding
//! a node whose data is damaged.

pub(crate) mod dev;
mod files;
pub(crate) mod join;
pub(crate) mod rebuild;
pub(crate) mod running;
mod security;
pub(crate) mod serve;
