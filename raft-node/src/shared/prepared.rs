//! Snapshots that parts of a node hand to each other: requested ones, and a received one.

use std::sync::Arc;

use engine::state::State;
use engine::store::sled::SledStore;
use tokio::sync::oneshot;

use crate::snapshot::Meta;

/// A waiter for a snapshot.
pub(crate) type Asker = oneshot::Sender<Result<Meta, String>>;

/// A received snapshot that was verified and made into a state beside the served one.
pub(crate) struct Prepared {
    pub(crate) meta: Meta,
    pub(crate) dir: String,
    pub(crate) store: Arc<SledStore>,
    pub(crate) state: State,
}
