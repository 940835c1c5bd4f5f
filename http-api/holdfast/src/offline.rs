//! Commands that work on the data of a stopped node. None of them asks a cluster.

pub(crate) mod recover;
pub(crate) mod restore;
pub(crate) mod verify;
