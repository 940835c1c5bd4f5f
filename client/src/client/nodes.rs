//! The endpoints that speak about a node rather than about the shop.
//!
//! Each answers for the node that was asked; [`Client::pinned`] chooses it.

use super::Client;
use crate::answer::Answer;
use crate::call::Call;
use crate::decode;
use crate::error::Error;
use crate::wire::{Cluster, Health, Probe};

/// Nodes. Each method fails with an [`Error`] when no node could be asked.
impl Client {
    /// `GET /health`: the parts of a node. A degraded node is an answer too, with
    /// [`crate::Receipt::status`] 503.
    ///
    /// # Errors
    /// When no node could be asked.
    pub async fn health(&self) -> Result<Answer<Health>, Error> {
        self.run(Call::read("/health").also_answers(503), decode::bare).await
    }

    /// `GET /livez`: whether the process turns. A node that says no is an answer too.
    ///
    /// # Errors
    /// When no node could be asked.
    pub async fn livez(&self) -> Result<Answer<Probe>, Error> {
        self.run(Call::read("/livez").also_answers(503), decode::bare).await
    }

    /// `GET /readyz`: whether the node knows a leader and has caught up with what was committed
    /// when it started. A node that says no is an answer too.
    ///
    /// # Errors
    /// When no node could be asked.
    pub async fn readyz(&self) -> Result<Answer<Probe>, Error> {
        self.run(Call::read("/readyz").also_answers(503), decode::bare).await
    }

    /// `GET /cluster`: the members as the node sees them. It needs no quorum.
    ///
    /// # Errors
    /// When no node could be asked.
    pub async fn cluster(&self) -> Result<Answer<Cluster>, Error> {
        self.run(Call::read("/api/v1/cluster"), decode::envelope).await
    }
}
