//! Commands that run nodes, and what they share: a node with its server, a node that joins, and one
//! that gets its data anew from the others.

pub(crate) mod dev;
pub(crate) mod join;
pub(crate) mod rebuild;
pub(crate) mod running;
pub(crate) mod serve;
