//! The cluster's level: when it may be raised, and who may join after that.
//!
//! A build that does not speak the level stops at the entry that raises it. So a leader proposes
//! the raise only when every member said on its link, within the last seconds, that it speaks it,
//! and while no member comes or goes. Until the raise is applied, no member is added.

use ::engine::actor::Actor;
use ::engine::command::{Command, Envelope, RaiseLevel};
use ::engine::entry::Builder;
use ::engine::ids::{NodeId, RequestId, Timestamp};
use ::engine::trace::TraceId;
use raft::StateRole;

use super::Core;
use crate::members::{Refusal, Verdict};

/// How long ago a member may have been heard that counts as present for a raise, in milliseconds.
const HEARD_MS_MAX: u64 = 3_000;

impl Core {
    /// At a change of leader.
    pub(super) fn lead_levels(&mut self) {
        self.levels.raising = None;
        self.levels.led_from = self.raw.raft.raft_log.last_index();
    }

    /// A leader without any replicated time has applied everything before its term: if there still
    /// is none, the cluster is new. It begins at the newest level, before any other command, unless
    /// a peer of an older build was heard.
    pub(super) fn begin_at_newest(&mut self) {
        let to = self.levels.speaks;
        let is_new = self.raw.raft.state == StateRole::Leader && self.state_clock == Timestamp(0);
        let all_speak = self.levels.peers.values().all(|speaks| *speaks >= to);
        if is_new && all_speak && to > self.levels.current {
            self.propose_raise(to);
        }
    }

    /// Judges a request to raise the level.
    pub(super) fn judge_raise(&mut self, to: u32) -> Option<Verdict> {
        if to <= self.levels.current {
            return Some(Ok(self.applied_index));
        }
        if to > self.levels.speaks {
            let (node, speaks) = (self.node, self.levels.speaks);
            return Some(Err(Refusal::Speaks { node, speaks, needs: to }));
        }
        if !self.knows_level() || self.is_changing() || self.levels.raising.is_some() {
            return None;
        }
        if let Err(refusal) = self.all_speak(to) {
            return Some(Err(refusal));
        }
        self.propose_raise(to);
        None
    }

    /// Whether the state holds every raise that was committed before this node led.
    pub(super) fn knows_level(&self) -> bool {
        self.applied_index >= self.levels.led_from
    }

    /// Whether a member may be added that speaks this level. `None` while that is not known.
    pub(super) fn may_join(&self, node: NodeId, speaks: u32) -> Option<Result<(), Refusal>> {
        let needs = self.levels.current;
        if speaks < needs {
            return Some(Err(Refusal::Speaks { node, speaks, needs }));
        }
        (self.knows_level() && self.levels.raising.is_none()).then_some(Ok(()))
    }

    fn all_speak(&self, to: u32) -> Result<(), Refusal> {
        for member in self.members.members.iter().map(|member| member.id) {
            if member == self.node {
                continue;
            }
            let heard = self.heard.get(&member).copied();
            if heard.is_none_or(|at| at + HEARD_MS_MAX < self.now.mono_ms) {
                return Err(Refusal::NotHeard(member));
            }
            let speaks = self.levels.of(member);
            if speaks < to {
                return Err(Refusal::Speaks { node: member, speaks, needs: to });
            }
        }
        Ok(())
    }

    /// Proposes the raise in an entry of its own.
    fn propose_raise(&mut self, to: u32) {
        let command = Command::RaiseLevel(RaiseLevel { to, secret: self.levels.secret });
        // No node has this number, so its boots and sequence numbers are those of the log.
        let boot = self.raw.raft.raft_log.last_index() + 1;
        let request = RequestId { node: NodeId(0), boot, seq: 1 };
        let mut builder = Builder::new(self.clock.now(self.now));
        builder.push(
            &Envelope { request, trace: TraceId::NONE, actor: Actor::System, command }.encode_at(0),
        );
        // Raft refuses while leadership is transferred. The node that asked asks again.
        if self.raw.propose(vec![], builder.finish()).is_ok() {
            self.levels.raising = Some(to);
        }
    }
}
