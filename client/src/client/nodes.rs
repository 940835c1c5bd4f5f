//! The endpoints that speak about a node rather than about the shop.
//!
//! Reads answer for the node that was asked; [`Client::pinned`] chooses it. Changes of the members
//! go to the leader through any node.

use hyper::Method;

use super::Client;
use crate::answer::Answer;
use crate::backup::Backup;
use crate::call::Call;
use crate::decode;
use crate::error::Error;
use crate::retry::Repeat;
use crate::wire::{
    Cluster, Health, MemberAdded, MemberRequest, PaymentsRequest, Probe, Snapshot, TransferRequest,
};

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
    /// `POST /cluster/members`: adds a node as a learner, which gets its vote once it has caught
    /// up. Safe to repeat: a member that is there already is a success.
    ///
    /// # Errors
    /// Rejected with `member_conflict`, `unknown_member`, `quorum_at_risk`, `change_in_progress`.
    pub async fn add_member(&self, request: &MemberRequest) -> Result<Answer<MemberAdded>, Error> {
        let call = Call::write(Method::POST, "/api/v1/cluster/members", Repeat::Replace);
        self.run(call.json(request)?, decode::envelope).await
    }

    /// `DELETE /cluster/members/{id}`: removes a member for good. Safe to repeat. The answer is the
    /// cluster as the answering node sees it then.
    ///
    /// # Errors
    /// Rejected with `unknown_member`, `quorum_at_risk`, `cannot_lead`, `change_in_progress`.
    pub async fn remove_member(&self, id: u64) -> Result<Answer<Cluster>, Error> {
        let path = format!("/api/v1/cluster/members/{id}");
        self.run(Call::write(Method::DELETE, path, Repeat::Replace), decode::envelope).await
    }

    /// `POST /cluster/transfer-leader`: hands leadership to this voter, or to any other than the
    /// one that leads.
    ///
    /// # Errors
    /// Rejected with `unknown_member`, `cannot_lead`.
    pub async fn transfer_leader(&self, to: Option<u64>) -> Result<Answer<Cluster>, Error> {
        let call = Call::write(Method::POST, "/api/v1/cluster/transfer-leader", Repeat::Replace);
        self.run(call.json(&TransferRequest { to })?, decode::envelope).await
    }

    /// `POST /cluster/payments`: lets payments wait, or go on, on all nodes.
    ///
    /// # Errors
    /// When the outcome is not known: asking again is safe.
    pub async fn set_payments(&self, paused: bool) -> Result<Answer<Cluster>, Error> {
        let call = Call::write(Method::POST, "/api/v1/cluster/payments", Repeat::Replace);
        self.run(call.json(&PaymentsRequest { paused })?, decode::envelope).await
    }

    /// `GET /cluster/backup`: a backup from whichever node answers, with everything that was
    /// acknowledged before; with [`Client::stale`] of what that node has. Taking the snapshot may
    /// take its time: without [`Client::with_deadline`] ten minutes are waited.
    ///
    /// # Errors
    /// When no node could be asked, or none has a backup in time.
    pub async fn backup(&self) -> Result<Backup, Error> {
        Backup::open(&self.inner, &self.scope).await
    }

    /// `POST /cluster/snapshot`: a snapshot of what the node that answers has applied up to now.
    /// Nodes take them by themselves; this is for whoever wants one now. Safe to repeat.
    ///
    /// # Errors
    /// [`Error::Unknown`] when it was not finished in time: it may be finished later.
    pub async fn take_snapshot(&self) -> Result<Answer<Snapshot>, Error> {
        let call = Call::write(Method::POST, "/api/v1/cluster/snapshot", Repeat::Replace);
        self.run(call, decode::envelope).await
    }
}
