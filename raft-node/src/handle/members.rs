//! Changes of members and leadership, for operators of any node.

use std::sync::atomic::Ordering;
use std::time::Duration;

use engine::ids::NodeId;
use tokio::time::{Instant, timeout_at};

use super::{GRACE, Handle};
use crate::config::Join;
use crate::error::ProposeError;
use crate::members::{Ask, Change, Member, Membership, Verdict};

impl Handle {
    /// Asks for a change of the membership, until it is made or the leader refuses it. Safe to
    /// repeat: a change that is made already counts as done.
    ///
    /// # Errors
    /// See [`ProposeError`]; only [`ProposeError::TimedOut`] leaves the outcome open.
    pub async fn change_members(
        &self,
        change: Change,
        deadline: Instant,
    ) -> Result<Verdict, ProposeError> {
        self.ask_and_see(Ask::Change(change), deadline).await
    }

    /// Asks for a new member whose build speaks levels up to `speaks`. Safe to repeat.
    ///
    /// # Errors
    /// See [`ProposeError`]; only [`ProposeError::TimedOut`] leaves the outcome open.
    pub async fn add_member(
        &self,
        member: Member,
        speaks: u32,
        deadline: Instant,
    ) -> Result<Verdict, ProposeError> {
        self.ask_and_see(Ask::Add { member, speaks }, deadline).await
    }

    /// Asks to raise the cluster's level, until it is raised or the leader refuses it. Safe to
    /// repeat. There is no way back.
    ///
    /// # Errors
    /// See [`ProposeError`]; only [`ProposeError::TimedOut`] leaves the outcome open.
    pub async fn raise_level(&self, to: u32, deadline: Instant) -> Result<Verdict, ProposeError> {
        self.ask_and_see(Ask::Raise { to }, deadline).await
    }

    async fn ask_and_see(&self, ask: Ask, deadline: Instant) -> Result<Verdict, ProposeError> {
        let verdict = self.ask(ask, deadline).await?;
        // Wait until the caller can see the change here.
        if let Ok(index) = &verdict {
            let _ = timeout_at(deadline, self.shared.await_applied(*index)).await;
        }
        Ok(verdict)
    }

    /// Transfers leadership to this voter, or away from the current leader.
    ///
    /// # Errors
    /// See [`ProposeError`]; only [`ProposeError::TimedOut`] leaves the outcome open.
    pub async fn transfer_leader(
        &self,
        to: Option<NodeId>,
        deadline: Instant,
    ) -> Result<Verdict, ProposeError> {
        let from = loop {
            let leader = self.shared.view.read().leader;
            match leader {
                Some(leader) => break leader,
                None if Instant::now() >= deadline => return Err(ProposeError::NoLeader),
                None => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        };
        let verdict = self.ask(Ask::Transfer { from, to }, deadline).await?;
        // This node hears of the new leader a moment later. Wait until the caller can see it here.
        let patience = deadline.min(Instant::now() + Duration::from_secs(1));
        while verdict.is_ok()
            && self
                .shared
                .view
                .read()
                .leader
                .is_none_or(|now| to.map_or(now == from, |to| now != to))
            && Instant::now() < patience
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(verdict)
    }

    /// Says that the clocks of the nodes are right, however far the leader's clock is behind them.
    /// It catches up after its usual wait. Without a gap nothing changes.
    ///
    /// # Errors
    /// See [`ProposeError`].
    pub async fn accept_clock(&self, deadline: Instant) -> Result<Verdict, ProposeError> {
        self.ask(Ask::AcceptClock, deadline).await
    }

    async fn ask(&self, ask: Ask, deadline: Instant) -> Result<Verdict, ProposeError> {
        let shared = &self.shared;
        if shared.stopping.load(Ordering::Relaxed) || shared.failure.borrow().is_some() {
            return Err(ProposeError::Stopping);
        }
        let (ticket, judged) = shared.await_verdict(ask, deadline.into_std());
        match timeout_at(deadline + GRACE, judged).await {
            Ok(Ok(judged)) => judged,
            Ok(Err(_)) | Err(_) => {
                shared.forget_ask(ticket);
                Err(ProposeError::TimedOut)
            }
        }
    }

    /// The members as this node knows them.
    pub fn members(&self) -> Membership {
        self.shared.members.borrow().clone()
    }

    /// What a joining node has to know: the cluster's hash and name, its founders, and the
    /// incarnations that this node has met.
    pub fn join_info(&self) -> Join {
        let identity = &self.shared.identity;
        let mut met = identity.met();
        for member in &self.shared.members.borrow().members {
            met.extend(member.incarnation.map(|incarnation| (member.id, incarnation)));
        }
        met.insert(identity.node(), identity.incarnation());
        Join {
            cluster: identity.cluster_id(),
            cluster_name: self.shared.cluster_name.clone(),
            founders: identity.founders(),
            met,
        }
    }
}
