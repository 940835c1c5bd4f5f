//! Snapshots that the parts of a node hand to each other: those asked for, and one that was received.

use std::sync::Arc;

use engine::state::State;
use engine::store::sled::SledStore;
use tokio::sync::oneshot;

use crate::snapshot::Meta;

/// Somebody who waits for a snapshot.
pub(crate) type Asker = oneshot::Sender<Result<Meta, String>>;

/// A snapshot that was received, checked and made into a state beside the one that is served.
pub(crate) struct Prepared {
    pub(crate) meta: Meta,
    pub(crate) dir: String,
    pub(crate) store: Arc<SledStore>,
    pub(crate) state: State,
}
