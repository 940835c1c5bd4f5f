//! What each operation does: fields in, a command or a read, an answer out.

pub(crate) mod backups;
pub(crate) mod batches;
pub(crate) mod cluster;
pub(crate) mod events;
pub(crate) mod health;
pub(crate) mod holds;
pub(crate) mod order_reads;
pub(crate) mod orders;
pub(crate) mod payments;
pub(crate) mod products;
pub(crate) mod snapshots;
pub(crate) mod stock;
pub(crate) mod tasks;
pub(crate) mod users;
