//! The endpoints about nodes rather than the shop.
//!
//! Reads describe the node that is asked; [`Client::pinned`] selects it. Any node forwards changes
//! of the members to the leader.

use hyper::Method;

use super::Client;
use crate::answer::Answer;
use crate::backup::Backup;
use crate::call::Call;
use crate::decode;
use crate::error::Error;
use crate::retry::Repeat;
use crate::wire::{
    Cluster, Health, LevelRequest, LogFilter, LogFilterRequest, MemberAdded, MemberRequest,
    PaymentsRequest, Probe, Snapshot, TransferRequest,
};

/// Nodes. Each method fails with an [`Error`] when no node answered.
impl Client {
    /// `GET /health`: the parts of a node. A degraded node is an answer too, with
    /// [`crate::Receipt::status`] 503.
    ///
    /// # Errors
    /// When no node answered.
    pub async fn health(&self) -> Result<Answer<Health>, Error> {
        self.run(Call::read("/health").also_answers(503), decode::bare).await
    }

    /// `GET /livez`: whether the process works. A node that says no is an answer too.
    ///
    /// # Errors
    /// When no node answered.
    pub async fn livez(&self) -> Result<Answer<Probe>, Error> {
        self.run(Call::read("/livez").also_answers(503), decode::bare).await
    }

    /// `GET /readyz`: whether the node knows a leader and has applied what was committed when it
    /// started. A node that says no is an answer too.
    ///
    /// # Errors
    /// When no node answered.
    pub async fn readyz(&self) -> Result<Answer<Probe>, Error> {
        self.run(Call::read("/readyz").also_answers(503), decode::bare).await
    }

    /// `GET /cluster`: the members as the node knows them. It needs no quorum.
    ///
    /// # Errors
    /// When no node answered.
    pub async fn cluster(&self) -> Result<Answer<Cluster>, Error> {
        self.run(Call::read("/api/v1/cluster"), decode::envelope).await
    }
    /// `POST /cluster/members`: adds a node as a learner; the leader makes it a voter once it has
    /// caught up. Safe to repeat: an existing member is a success.
    ///
    /// # Errors
    /// Rejected with `member_conflict`, `unknown_member`, `quorum_at_risk`, `change_in_progress`,
    /// `level_conflict`.
    pub async fn add_member(&self, request: &MemberRequest) -> Result<Answer<MemberAdded>, Error> {
        let call = Call::write(Method::POST, "/api/v1/cluster/members", Repeat::Replace);
        self.run(call.json(request)?, decode::envelope).await
    }

    /// `DELETE /cluster/members/{id}`: removes a member for good. Safe to repeat. The answer is the
    /// cluster as the answering node knows it afterwards.
    ///
    /// # Errors
    /// Rejected with `unknown_member`, `quorum_at_risk`, `cannot_lead`, `change_in_progress`.
    pub async fn remove_member(&self, id: u64) -> Result<Answer<Cluster>, Error> {
        let path = format!("/api/v1/cluster/members/{id}");
        self.run(Call::write(Method::DELETE, path, Repeat::Replace), decode::envelope).await
    }

    /// `POST /cluster/transfer-leader`: transfers leadership to this voter, or to any other than
    /// the current leader.
    ///
    /// # Errors
    /// Rejected with `unknown_member`, `cannot_lead`.
    pub async fn transfer_leader(&self, to: Option<u64>) -> Result<Answer<Cluster>, Error> {
        let call = Call::write(Method::POST, "/api/v1/cluster/transfer-leader", Repeat::Replace);
        self.run(call.json(&TransferRequest { to })?, decode::envelope).await
    }

    /// `POST /cluster/accept-clock`: says that the clocks of the nodes are right, however far the
    /// cluster's clock is behind them. Safe to repeat.
    ///
    /// # Errors
    /// When no leader was found in time.
    pub async fn accept_clock(&self) -> Result<Answer<Cluster>, Error> {
        let call = Call::write(Method::POST, "/api/v1/cluster/accept-clock", Repeat::Replace);
        self.run(call, decode::envelope).await
    }

    /// `POST /cluster/level`: raises the cluster's level, to the newest that the answering node
    /// speaks by default. Safe to repeat. There is no way back.
    ///
    /// # Errors
    /// Rejected with `level_conflict`.
    pub async fn raise_level(&self, to: Option<u32>) -> Result<Answer<Cluster>, Error> {
        let call = Call::write(Method::POST, "/api/v1/cluster/level", Repeat::Replace);
        self.run(call.json(&LevelRequest { to })?, decode::envelope).await
    }

    /// `POST /cluster/payments`: pauses or resumes payments on all nodes.
    ///
    /// # Errors
    /// When the outcome is unknown; repeating the call is safe.
    pub async fn set_payments(&self, paused: bool) -> Result<Answer<Cluster>, Error> {
        let call = Call::write(Method::POST, "/api/v1/cluster/payments", Repeat::Replace);
        self.run(call.json(&PaymentsRequest { paused })?, decode::envelope).await
    }

    /// `GET /cluster/backup`: a backup from whichever node answers, with everything that was
    /// acknowledged before; with [`Client::stale`], of what that node has. Taking the snapshot may
    /// take long: without [`Client::with_deadline`] the client waits ten minutes.
    ///
    /// # Errors
    /// When no node answered, or none has a backup in time.
    pub async fn backup(&self) -> Result<Backup, Error> {
        Backup::open(&self.inner, &self.scope).await
    }

    /// `POST /cluster/snapshot`: takes a snapshot of what the answering node has applied. Nodes
    /// take snapshots by themselves; use this to get one now. Safe to repeat.
    ///
    /// # Errors
    /// [`Error::Unknown`] when it was not finished in time: it may be finished later.
    pub async fn take_snapshot(&self) -> Result<Answer<Snapshot>, Error> {
        let call = Call::write(Method::POST, "/api/v1/cluster/snapshot", Repeat::Replace);
        self.run(call, decode::envelope).await
    }

    /// `GET /admin/log-filter`: which log lines the node that is asked writes.
    ///
    /// # Errors
    /// When no node answered.
    pub async fn log_filter(&self) -> Result<Answer<LogFilter>, Error> {
        self.run(Call::read("/api/v1/admin/log-filter"), decode::envelope).await
    }

    /// `PUT /admin/log-filter`: changes for a while which log lines the node that is asked writes.
    /// Safe to repeat.
    ///
    /// # Errors
    /// Rejected with `validation_error` if it is no filter.
    pub async fn set_log_filter(
        &self,
        request: &LogFilterRequest,
    ) -> Result<Answer<LogFilter>, Error> {
        let call = Call::write(Method::PUT, "/api/v1/admin/log-filter", Repeat::Replace);
        self.run(call.json(request)?, decode::envelope).await
    }
}
