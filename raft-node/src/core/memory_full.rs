//! When writes that add rows are refused for lack of memory.
//!
//! All nodes have the same rows. If nodes went on until one of them ran out of memory, all would
//! end at about the same entry, and again after each restart. So each node tells the others while
//! its memory is nearly used up, and nodes refuse what adds rows once the voters with memory are
//! no majority. A smaller node alone stops nobody. What frees or settles rows goes on. Nothing here
//! decides what is committed.

use engine::ids::NodeId;

use super::Core;
use super::actions::Actions;
use crate::message::PeerMessage;

/// How long a peer's news about its memory counts, in milliseconds.
const NEWS_HOLD_MS: u64 = 3_000;
/// Interval between repetitions of such news.
const NEWS_REPEAT_MS: u64 = 1_000;

impl Core {
    /// Returns whether this node refuses writes that add rows: its own memory is nearly used up, or
    /// the voters with memory are no majority.
    pub(super) fn is_memory_full(&self) -> bool {
        let progress = self.raw.raft.prs();
        let has_memory = |id: &u64| match NodeId(*id) == self.node {
            true => !self.memory_full.own,
            false => {
                let until = self.memory_full.heard.get(&NodeId(*id));
                until.is_none_or(|until_ms| self.now.mono_ms >= *until_ms)
            }
        };
        let others = progress.iter().map(|(id, _)| *id).filter(has_memory);
        self.memory_full.own || !progress.has_quorum(&others.collect())
    }

    /// Takes a new judgement of this node's memory.
    pub(super) fn take_memory(&mut self, is_full: bool) {
        self.memory_full.own = is_full;
    }

    /// Takes a peer's news about its memory.
    pub(super) fn take_memory_news(&mut self, from: NodeId, is_full: bool) {
        let heard = &mut self.memory_full.heard;
        match is_full {
            true => heard.insert(from, self.now.mono_ms + NEWS_HOLD_MS),
            false => heard.remove(&from),
        };
    }

    /// After every step: tells the peers any news. A node whose memory is nearly used up says so
    /// again and again, so a lost all-clear does no lasting harm.
    pub(super) fn tell_memory(&mut self, actions: &mut Actions) {
        let (now_ms, state) = (self.now.mono_ms, &mut self.memory_full);
        let is_due = state.own && now_ms >= state.told_at_ms + NEWS_REPEAT_MS;
        if state.own == state.told && !is_due {
            return;
        }
        (state.told, state.told_at_ms) = (state.own, now_ms);
        let full = state.own;
        for (id, _) in self.raw.raft.prs().iter().filter(|(id, _)| **id != self.node.0) {
            actions.send.push((NodeId(*id), PeerMessage::Memory { full }));
        }
    }
}
