//! Which nodes have room on their disks, when writes are refused, and who should not lead.
//!
//! A node short of space tells the others again and again. They forget news that is not repeated,
//! so a lost all-clear does no lasting harm. Nothing here decides what is committed: a node that
//! takes no entries acknowledges none. A disk that hangs (see `stall`) counts as one without room.

use engine::ids::NodeId;
use raft::StateRole;
use raft::eraftpb::MessageType;

use super::Core;
use super::actions::{Actions, NoOutcome};
use super::space::{News, Space};
use crate::message::PeerMessage;

/// How long a peer's news about its disk counts, in milliseconds.
const NEWS_HOLD_MS: u64 = 3_000;
/// Interval between repetitions of such news.
const NEWS_REPEAT_MS: u64 = 1_000;
/// Pause between two attempts to transfer leadership to a node with more room.
const HAND_OVER_MS: u64 = 2_000;

impl Core {
    /// Returns whether this node refuses new writes, for lack of room here or at too many others.
    pub fn refuses_writes(&self) -> bool {
        self.write_refusal().is_some()
    }

    /// Returns why this node refuses new writes, if it does.
    pub(super) fn write_refusal(&self) -> Option<NoOutcome> {
        if self.is_stalled() {
            return Some(NoOutcome::Stalled);
        }
        let lacks_room = if self.room.own != Space::Ample {
            true
        } else if self.raw.raft.state == StateRole::Leader {
            !self.has_room_in_majority()
        } else {
            self.room.of(NodeId(self.raw.raft.leader_id), self.now.mono_ms).refuses
        };
        lacks_room.then_some(NoOutcome::StorageFull)
    }

    /// Returns whether this node's disk takes new writes.
    fn has_room(&self) -> bool {
        self.room.own == Space::Ample && !self.is_stalled()
    }

    /// Returns whether the voters with room form a majority. The others still take the open
    /// entries, but without new writes their reserve lasts.
    fn has_room_in_majority(&self) -> bool {
        let progress = self.raw.raft.prs();
        let has_room = |id: &u64| match NodeId(*id) == self.node {
            true => self.has_room(),
            false => !self.room.of(NodeId(*id), self.now.mono_ms).low,
        };
        let roomy = progress.iter().map(|(id, _)| *id).filter(has_room);
        progress.has_quorum(&roomy.collect())
    }

    /// Takes a new judgement of this node's disk.
    pub(super) fn take_space(&mut self, space: Space) {
        self.room.own = space;
    }

    /// Takes a peer's news about its disk.
    pub(super) fn take_news(&mut self, from: NodeId, low: bool, refuses: bool) {
        let until_ms = self.now.mono_ms + NEWS_HOLD_MS;
        self.room.heard.insert(from, (News { low, refuses }, until_ms));
    }

    /// Returns whether this message would grow the log on a nearly full disk. Such a message is
    /// dropped, which raft tolerates: the leader sends it again.
    pub(super) fn has_no_room_for(&self, message: &raft::eraftpb::Message) -> bool {
        self.room.own == Space::Exhausted
            && match message.get_msg_type() {
                MessageType::MsgAppend => !message.entries.is_empty(),
                MessageType::MsgSnapshot => true,
                _ => false,
            }
    }

    /// After every step: tells the peers any news, refuses waiting requests, transfers leadership.
    pub(super) fn mind_room(&mut self, actions: &mut Actions) {
        let refusal = self.write_refusal();
        let refuses = refusal.is_some();
        let leads = self.raw.raft.state == StateRole::Leader;
        let news = News { low: !self.has_room(), refuses: refuses && leads };
        let now_ms = self.now.mono_ms;
        let due = news != News::default() && now_ms >= self.room.told_at_ms + NEWS_REPEAT_MS;
        if news != self.room.told || due {
            self.room.told = news;
            self.room.told_at_ms = now_ms;
            let News { low, refuses } = news;
            for (id, _) in self.raw.raft.prs().iter() {
                if *id != self.node.0 {
                    actions.send.push((NodeId(*id), PeerMessage::Room { low, refuses }));
                }
            }
        }
        if let Some(failure) = refusal {
            let never = self.requests.take_never_sent();
            actions.failed.extend(never.into_iter().map(|seq| (seq, failure)));
        }
        if leads && news.low {
            self.hand_over_for_room();
        }
    }

    /// Transfers leadership to the most advanced voter with room, if there is one.
    fn hand_over_for_room(&mut self) {
        let now_ms = self.now.mono_ms;
        let recent = |at: u64| now_ms < at + HAND_OVER_MS;
        if self.room.handed_over_at_ms.is_some_and(recent)
            || self.raw.raft.lead_transferee.is_some()
        {
            return;
        }
        let progress = self.raw.raft.prs();
        let voters: Vec<u64> = progress.conf().voters().ids().iter().collect();
        let fit = progress.iter().filter(|(id, progress)| {
            let node = NodeId(**id);
            node != self.node
                && voters.contains(id)
                && progress.recent_active
                && !self.room.of(node, self.now.mono_ms).low
        });
        let furthest = fit.max_by_key(|(id, progress)| (progress.matched, **id));
        if let Some((to, _)) = furthest {
            let to = *to;
            self.room.handed_over_at_ms = Some(now_ms);
            self.raw.transfer_leader(to);
        }
    }
}
