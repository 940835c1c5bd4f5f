//! Members and leadership: how a committed change takes effect, and how the leader answers requests
//! for a change.
//!
//! Only the leader judges, and only by what it knows for sure: the committed membership, and who
//! was heard recently. It does not answer while a change is open. The asking node asks again until
//! the change is made or refused, which also survives a change of leader. The leader promotes
//! learners by itself, once they have caught up.

use std::collections::BTreeSet;

use ::engine::ids::NodeId;
use protobuf::Message as _;
use raft::eraftpb::{ConfChangeV2, Entry, EntryType};
use raft::{INVALID_ID, StateRole};

use super::Core;
use super::actions::{Actions, NoOutcome};
use super::admin::Open;
use crate::members::{Ask, Change, Membership, Refusal, Role, Standing, Verdict, is_change};
use crate::message::PeerMessage;

/// Most open operator requests of one node.
const ASKS_MAX: usize = 64;
/// Interval between two requests to the leader.
const ASK_EVERY_MS: u64 = 100;
/// The ticket of the node's own requests. No operator has it.
const OWN_TICKET: u64 = 0;
/// How long the node's own request to be moved stays open.
const MOVE_ASKED_FOR_MS: u64 = 5_000;

impl Core {
    /// The members, as of the entries that this node knows to be committed.
    pub fn members(&self) -> &Membership {
        &self.members
    }

    /// Puts the changes among committed entries into effect. Returns the resulting memberships,
    /// oldest first.
    ///
    /// A change that is invalid here is invalid on every node, since all nodes have the same
    /// membership before it. It has no effect.
    pub(super) fn take_changes(&mut self, committed: &[Entry]) -> Vec<Membership> {
        let mut changed = Vec::new();
        for entry in committed.iter().filter(|entry| is_change(entry)) {
            match self.take_change(entry) {
                Ok(members) => {
                    self.members = members.clone();
                    changed.push(members);
                }
                Err(reason) => tracing::error!(
                    node = self.node.0,
                    index = entry.index,
                    reason,
                    "an invalid change of the membership is ignored"
                ),
            }
        }
        changed
    }

    fn take_change(&mut self, entry: &Entry) -> Result<Membership, String> {
        if entry.get_entry_type() != EntryType::EntryConfChangeV2 {
            return Err("it is of a kind that no version writes".into());
        }
        let steps = ConfChangeV2::parse_from_bytes(&entry.data).map_err(|e| e.to_string())?;
        let change = Change::of(&steps).map_err(|error| error.to_string())?;
        #[cfg(feature = "simulation")]
        if crate::planted::is_planted(crate::planted::Bug::JointPhaseSkipped) {
            let mut conf = self.members.conf_state();
            for single in steps.get_changes() {
                let mut step = ConfChangeV2::default();
                step.set_changes(vec![single.clone()].into());
                conf = self.raw.apply_conf_change(&step).map_err(|error| error.to_string())?;
            }
            return Ok(self.members.after(entry.index, change.as_ref(), &conf));
        }
        let conf = self.raw.apply_conf_change(&steps).map_err(|error| error.to_string())?;
        Ok(self.members.after(entry.index, change.as_ref(), &conf))
    }

    /// A peer says that this node was removed. One alone is not believed: a single member whose key
    /// was stolen would end all others. A node that lags learns it from a majority of the other
    /// voters that it knows. If its own log says so too, one suffices.
    pub(super) fn heard_removal(&mut self, from: NodeId, actions: &mut Actions) {
        let voters = self.members.voters.iter().chain(&self.members.voters_outgoing);
        let others: BTreeSet<NodeId> = voters.copied().filter(|id| *id != self.node).collect();
        if others.contains(&from) {
            self.admin.removed_by.insert(from);
        }
        let told = others.intersection(&self.admin.removed_by).count();
        if told > others.len() / 2 || self.members.was_removed(self.node) {
            self.leave(actions);
        }
    }

    /// Ends this node's part in the cluster: it no longer leads or asks for votes.
    pub(super) fn leave(&mut self, actions: &mut Actions) {
        if self.admin.removed {
            return;
        }
        self.admin.removed = true;
        let term = self.raw.raft.term;
        self.raw.raft.become_follower(term, INVALID_ID);
        actions.failed.extend(self.requests.give_up());
        actions.reads_failed.extend(self.reads.give_up());
        let own = Ask::Change(Change::Remove(self.node));
        for open in std::mem::take(&mut self.admin.open) {
            let verdict = match open.ask == own {
                true => Ok(Ok(self.members.index)),
                false => Err(NoOutcome::Unknown),
            };
            actions.verdicts.push((open.ticket, verdict));
        }
    }

    /// Steps down if a change took this node's vote while it leads or stands for election. raft
    /// 0.7.0 looks up the progress of every leader and panics without one.
    pub(super) fn stand_down_without_vote(&mut self) {
        let raft = &mut self.raw.raft;
        if raft.state != StateRole::Follower && raft.prs().get(self.node.0).is_none() {
            let term = raft.term;
            raft.become_follower(term, INVALID_ID);
        }
    }

    /// At every tick: notices this node's removal, promotes learners, asks again.
    pub(super) fn tick_members(&mut self, actions: &mut Actions) {
        if self.members.was_removed(self.node) {
            self.leave(actions);
        }
        self.promote();
        self.ask_to_move();
        let now_ms = self.now.mono_ms;
        for open in self.admin.open.extract_if(.., |open| open.deadline_ms <= now_ms) {
            let sent = open.asked_at_ms.is_some();
            let failure = if sent { NoOutcome::Unknown } else { NoOutcome::NoLeader };
            actions.verdicts.push((open.ticket, Err(failure)));
        }
        self.ask_leader(actions);
    }

    /// Asks the leader to record this node's addresses, if the membership has others.
    fn ask_to_move(&mut self) {
        let Some((raft_addr, http_addr)) = &self.addresses else { return };
        let Some(known) = self.members.member(self.node) else { return };
        let is_moved = known.raft_addr != *raft_addr
            || (http_addr.is_some() && known.http_addr.is_some() && known.http_addr != *http_addr);
        let is_open = self.admin.open.iter().any(|open| open.ticket == OWN_TICKET);
        if !is_moved || is_open || self.levels.current == 0 || self.admin.removed {
            return;
        }
        let change = Change::Move {
            id: self.node,
            raft_addr: raft_addr.clone(),
            http_addr: http_addr.clone().or_else(|| known.http_addr.clone()),
        };
        self.admin.open.push(Open {
            ticket: OWN_TICKET,
            ask: Ask::Change(change),
            deadline_ms: self.now.mono_ms + MOVE_ASKED_FOR_MS,
            asked_at_ms: None,
        });
    }

    /// Drops the verdicts on this node's own requests: it sees what became of them.
    pub(super) fn keep_verdicts_of_operators(actions: &mut Actions) {
        actions.verdicts.retain(|(ticket, _)| *ticket != OWN_TICKET);
    }

    /// Whether a node may ask for this. Only a node itself says where it is.
    pub(super) fn may_ask_for(from: NodeId, ask: &Ask) -> bool {
        match ask {
            Ask::Change(Change::Move { id, .. }) => *id == from,
            _ => true,
        }
    }

    pub(super) fn take_ask(
        &mut self,
        ticket: u64,
        ask: Ask,
        deadline_ms: u64,
        actions: &mut Actions,
    ) {
        if self.admin.open.len() >= ASKS_MAX {
            actions.verdicts.push((ticket, Err(NoOutcome::Overloaded)));
            return;
        }
        self.admin.open.push(Open { ticket, ask, deadline_ms, asked_at_ms: None });
        self.ask_leader(actions);
    }

    /// Sends open requests to the leader, unless it was asked recently.
    fn ask_leader(&mut self, actions: &mut Actions) {
        let leader = self.raw.raft.leader_id;
        if leader == INVALID_ID {
            return;
        }
        let now_ms = self.now.mono_ms;
        let (mut own, mut abroad) = (Vec::new(), Vec::new());
        for open in &mut self.admin.open {
            if open.asked_at_ms.is_some_and(|at| now_ms < at + ASK_EVERY_MS) {
                continue;
            }
            open.asked_at_ms = Some(now_ms);
            let (ticket, ask) = (open.ticket, open.ask.clone());
            match leader == self.node.0 {
                true => own.push((ticket, ask)),
                false => abroad.push((ticket, ask)),
            }
        }
        for (ticket, ask) in own {
            if let Some(verdict) = self.judge(&ask) {
                self.take_verdict(ticket, verdict, actions);
            }
        }
        let leader = NodeId(leader);
        for (ticket, ask) in abroad {
            match for_build(ask, leader, self.levels.of(leader)) {
                Ok(ask) => actions.send.push((leader, PeerMessage::Ask { ticket, ask })),
                Err(refusal) => self.take_verdict(ticket, Err(refusal), actions),
            }
        }
    }

    pub(super) fn take_verdict(&mut self, ticket: u64, verdict: Verdict, actions: &mut Actions) {
        let before = self.admin.open.len();
        self.admin.open.retain(|open| open.ticket != ticket);
        // Ignore a verdict on a request that timed out or was answered already.
        if self.admin.open.len() < before {
            actions.verdicts.push((ticket, Ok(verdict)));
        }
    }

    /// The leader's verdict, if this node leads and can tell already.
    pub(super) fn judge(&mut self, ask: &Ask) -> Option<Verdict> {
        let raft = &self.raw.raft;
        if raft.state != StateRole::Leader || !raft.commit_to_current_term() {
            return None;
        }
        match ask {
            // A build before levels asks for it, or somebody on its behalf.
            Ask::Change(change) => self.judge_change(change, 0),
            Ask::Add { member, speaks } => self.judge_change(&Change::Add(member.clone()), *speaks),
            Ask::Raise { to } => self.judge_raise(*to),
            Ask::Transfer { from, to } => self.judge_transfer(*from, *to),
            Ask::AcceptClock => {
                self.clock.accept();
                Some(Ok(self.members.index))
            }
        }
    }

    /// Judges a change. A member to be added speaks levels up to `speaks`.
    fn judge_change(&mut self, change: &Change, speaks: u32) -> Option<Verdict> {
        match self.members.standing(change) {
            Err(refusal) => return Some(Err(refusal)),
            // The change is complete when its joint phase is.
            Ok(Standing::Done) if self.members.is_joint() => return None,
            Ok(Standing::Done) => return Some(Ok(self.members.index)),
            Ok(Standing::New) => {}
        }
        if matches!(change, Change::Move { .. }) && self.levels.current == 0 {
            return None;
        }
        if let Change::Add(member) = change
            && let Err(refusal) = self.may_join(member.id, speaks)?
        {
            return Some(Err(refusal));
        }
        if self.is_changing() {
            let other = self.admin.proposed.as_ref().is_some_and(|proposed| proposed != change);
            return other.then_some(Err(Refusal::InProgress));
        }
        if let Err(refusal) = self.check_quorum_after(change) {
            return Some(Err(refusal));
        }
        if *change == Change::Remove(self.node) {
            // The next leader is asked again, and removes this node.
            return match self.successor() {
                Some(to) => {
                    self.hand_over(to);
                    None
                }
                None => Some(Err(Refusal::NobodyElse)),
            };
        }
        self.propose_change(change);
        self.admin.proposed = Some(change.clone());
        None
    }

    fn judge_transfer(&mut self, from: NodeId, to: Option<NodeId>) -> Option<Verdict> {
        if to == Some(self.node) || (to.is_none() && from != self.node) {
            return Some(Ok(self.raw.raft.raft_log.committed));
        }
        let to = match to {
            Some(to) if self.members.role(to).is_none() => {
                return Some(Err(Refusal::Unknown(to)));
            }
            Some(to) if !self.can_lead(to) => return Some(Err(Refusal::CannotLead(to))),
            Some(to) => to,
            None => match self.successor() {
                Some(to) => to,
                None => return Some(Err(Refusal::NobodyElse)),
            },
        };
        self.hand_over(to);
        None
    }

    /// Returns whether a change is proposed and not applied, or between its two steps.
    pub(super) fn is_changing(&self) -> bool {
        self.members.is_joint() || self.raw.raft.has_pending_conf()
    }

    fn propose_change(&mut self, change: &Change) {
        let entry = change.entry(&self.members);
        // Raft refuses while leadership is transferred or too much is uncommitted. The asking node
        // asks again.
        let _ = self.raw.propose_conf_change(vec![], entry);
    }

    /// Checks that the voters after the change that are heard form a majority.
    fn check_quorum_after(&self, change: &Change) -> Result<(), Refusal> {
        let voters = self.members.voters_after(change);
        let healthy = voters.iter().filter(|id| self.is_heard(**id)).count();
        match healthy > voters.len() / 2 || voters == self.members.voters {
            true => Ok(()),
            false => {
                Err(Refusal::QuorumAtRisk { healthy: healthy as u64, voters: voters.len() as u64 })
            }
        }
    }

    /// Promotes a learner that has caught up. Repeated at every tick until it is done.
    fn promote(&mut self) {
        let raft = &self.raw.raft;
        if raft.state != StateRole::Leader
            || !raft.commit_to_current_term()
            || raft.lead_transferee.is_some()
            || self.is_changing()
        {
            return;
        }
        let learners = self.members.learners.iter().copied();
        let ready =
            learners.filter(|id| self.has_caught_up(*id)).map(Change::Promote).find(|change| {
                self.members.standing(change) == Ok(Standing::New)
                    && self.check_quorum_after(change).is_ok()
            });
        if let Some(change) = ready {
            self.propose_change(&change);
        }
    }

    /// A voter that is far behind would delay commits.
    fn has_caught_up(&self, learner: NodeId) -> bool {
        let last_index = self.raw.raft.raft_log.last_index();
        let Some(progress) = self.raw.raft.prs().get(learner.0) else { return false };
        let lag = last_index.saturating_sub(progress.matched);
        #[cfg(feature = "simulation")]
        let lag = match crate::planted::is_planted(crate::planted::Bug::PromotedTooSoon) {
            true => 0,
            false => lag,
        };
        lag <= self.config.promote_lag_entries_max && self.is_heard(learner)
    }

    /// Returns whether a node was heard within the last two election timeouts.
    fn is_heard(&self, id: NodeId) -> bool {
        let patience = 2 * self.config.election_ticks as u64 * self.config.tick_ms;
        id == self.node || self.heard.get(&id).is_some_and(|at| at + patience >= self.now.mono_ms)
    }

    fn can_lead(&self, id: NodeId) -> bool {
        id != self.node && self.members.voters.contains(&id) && self.is_heard(id)
    }

    /// The most advanced voter that is heard.
    fn successor(&self) -> Option<NodeId> {
        let matched = |id: NodeId| self.raw.raft.prs().get(id.0).map_or(0, |p| p.matched);
        let others = self.members.voters.iter().copied().filter(|id| self.can_lead(*id));
        others.max_by_key(|id| (matched(*id), *id))
    }

    fn hand_over(&mut self, to: NodeId) {
        if self.raw.raft.lead_transferee != Some(to.0) {
            self.raw.transfer_leader(to.0);
        }
    }

    /// Transfers leadership to this node, or to the best one, without reporting back.
    pub(super) fn transfer_leader(&mut self, to: Option<NodeId>) {
        if self.raw.raft.state != StateRole::Leader {
            return;
        }
        let to = to.filter(|to| self.members.role(*to) == Some(Role::Voter));
        if let Some(to) = to.or_else(|| self.successor()) {
            self.hand_over(to);
        }
    }

    /// Milliseconds since the leader was heard; on the leader itself, since a majority was.
    pub(super) fn quorum_heard_ms_ago(&self) -> u64 {
        let ago = |node: NodeId| match node == self.node {
            true => 0,
            false => {
                let heard = self.heard.get(&node);
                heard.map_or(u64::MAX, |at| self.now.mono_ms.saturating_sub(*at))
            }
        };
        if self.raw.raft.state != StateRole::Leader {
            return match self.raw.raft.leader_id {
                INVALID_ID => u64::MAX,
                leader => ago(NodeId(leader)),
            };
        }
        let majority = |voters: &[NodeId]| {
            let mut times: Vec<u64> = voters.iter().map(|id| ago(*id)).collect();
            times.sort_unstable();
            times.get(times.len() / 2).copied()
        };
        let both = [majority(&self.members.voters), majority(&self.members.voters_outgoing)];
        both.into_iter().flatten().max().unwrap_or(u64::MAX)
    }
}

/// The request as the leader's build understands it, if it speaks levels up to `speaks`.
fn for_build(ask: Ask, leader: NodeId, speaks: u32) -> Result<Ask, Refusal> {
    match ask {
        Ask::Add { member, .. } if speaks == 0 => Ok(Ask::Change(Change::Add(member))),
        Ask::Raise { to } if speaks == 0 => {
            Err(Refusal::Speaks { node: leader, speaks, needs: to })
        }
        ask => Ok(ask),
    }
}
