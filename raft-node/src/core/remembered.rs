//! What peers remember of each other, and how a node notices that its data was put back.
//!
//! 1. A node that starts writes its boot and the random number of its process to its log, synced,
//!    and tells them to each peer ([`PeerMessage::About`]).
//! 2. The peer writes a boot that is new to its log, synced, and then answers with what it
//!    remembers ([`PeerMessage::Remembered`]).
//! 3. Until then the node drops that peer's messages of raft: it neither votes for the peer nor
//!    acknowledges anything to it.
//! 4. If the peer remembers a boot that this node has not written, or an entry that is not in its
//!    log, the node stops ([`RolledBack`]).
//!
//! Once a second each node tells the others up to where its log is committed and synced
//! ([`PeerMessage::Progress`]). They write it to their logs at most once a second. So a copy that
//! is less than about two seconds old looks like a torn tail, as decision 4 says of the watermark.
//!
//! Builds before levels know none of these messages. They are heard without an introduction.

use ::engine::ids::NodeId;

use super::Core;
use super::actions::{Actions, Append, Keep, RolledBack};
use crate::memory::Remembered;
use crate::message::PeerMessage;

/// Interval between two messages about progress, and least interval between two writes of it, in
/// milliseconds.
const PROGRESS_EVERY_MS: u64 = 1_000;

impl Core {
    /// Whether messages of raft from this peer count: it has told what it remembers of this node,
    /// or its build cannot.
    pub(super) fn is_introduced(
        &mut self,
        peer: NodeId,
        speaks: u32,
        actions: &mut Actions,
    ) -> bool {
        #[cfg(feature = "simulation")]
        if crate::planted::is_planted(crate::planted::Bug::PutBackBelieved) {
            return true;
        }
        if self.levels.speaks == 0 || speaks == 0 || self.remembering.introduced.contains(&peer) {
            return true;
        }
        if self.remembering.may_ask(peer, self.now.mono_ms) {
            actions.send.push((peer, self.remembering.about()));
        }
        false
    }

    /// Gives this process another random number.
    #[cfg(test)]
    pub(super) fn remembering_run(&mut self, run: u64) {
        self.remembering.run = run;
        self.remembering.memory.began(self.remembering.boot, run);
    }

    /// A peer has begun a boot, and asks what is remembered of it.
    pub(super) fn take_about(&mut self, from: NodeId, boot: u64, run: u64, actions: &mut Actions) {
        if self.levels.speaks == 0 {
            return;
        }
        let remembering = &mut self.remembering;
        // Nobody who is no member votes or acknowledges, so nothing of it can be lost.
        if self.members.member(from).is_some() && remembering.memory.booted(from, boot, run) {
            remembering.is_changed = true;
            remembering.boots_in = remembering.handed_out + 1;
        }
        remembering.waiting.insert(from, run);
        actions.send.extend(remembering.answers());
    }

    /// A peer tells what it remembers of this node.
    pub(super) fn take_remembered(
        &mut self,
        from: NodeId,
        run: u64,
        remembered: Remembered,
        actions: &mut Actions,
    ) {
        if run != self.remembering.run {
            // It answers an earlier process.
            return;
        }
        let Remembered { boot, run, index, term } = remembered;
        if !self.remembering.memory.had(boot, run) {
            let own = self.remembering.boot;
            actions.rolled_back = Some(RolledBack::Boot { peer: from, remembered: boot, own });
            return;
        }
        let log = &self.raw.raft.raft_log;
        let last_index = log.last_index();
        // raft says 0 for an entry that is truncated. It was committed and applied here.
        let is_other = log.term(index).is_ok_and(|own| own != 0 && own != term);
        if index > 0 && (index > last_index || is_other) {
            actions.rolled_back =
                Some(RolledBack::Entries { peer: from, acknowledged: index, term, last_index });
            return;
        }
        self.remembering.introduced.insert(from);
    }

    /// A peer has committed entries up to this one on disk.
    pub(super) fn take_progress(&mut self, from: NodeId, index: u64, term: u64) {
        if self.members.member(from).is_some() {
            self.remembering.is_changed |= self.remembering.memory.reached(from, index, term);
        }
    }

    /// The memory of this number, and all before it, are on disk.
    pub(super) fn kept(&mut self, number: u64, actions: &mut Actions) {
        self.remembering.kept = self.remembering.kept.max(number);
        actions.send.extend(self.remembering.answers());
    }

    /// At every tick: introduces this node to peers that have not answered, and tells all how far
    /// it has come.
    pub(super) fn tick_remembering(&mut self, actions: &mut Actions) {
        if self.levels.speaks == 0 {
            return;
        }
        let now_ms = self.now.mono_ms;
        let members = self.members.members.iter().map(|member| member.id);
        let peers: Vec<NodeId> = members.filter(|id| *id != self.node).collect();
        for peer in &peers {
            if !self.remembering.introduced.contains(peer)
                && self.levels.peers.get(peer) != Some(&0)
                && self.remembering.may_ask(*peer, now_ms)
            {
                actions.send.push((*peer, self.remembering.about()));
            }
        }
        if now_ms < self.remembering.told_at_ms + PROGRESS_EVERY_MS {
            return;
        }
        self.remembering.told_at_ms = now_ms;
        let log = &self.raw.raft.raft_log;
        let index = log.committed.min(log.persisted);
        let Ok(term) = log.term(index) else { return };
        for peer in peers.into_iter().filter(|_| index > 0) {
            actions.send.push((peer, PeerMessage::Progress { index, term }));
        }
    }

    /// Hands the memory out to be written: at once if a peer waits for that, else once a second.
    pub(super) fn keep_memory(&mut self, actions: &mut Actions) {
        let remembering = &mut self.remembering;
        let now_ms = self.now.mono_ms;
        let is_waited_for = remembering.boots_in > remembering.handed_out;
        let is_due = now_ms >= remembering.handed_out_at_ms + PROGRESS_EVERY_MS;
        if self.levels.speaks == 0
            || !remembering.is_changed
            || remembering.handed_out > remembering.kept
            || !(is_waited_for || is_due)
        {
            return;
        }
        remembering.memory.keep_members(&self.members);
        remembering.is_changed = false;
        remembering.handed_out += 1;
        remembering.handed_out_at_ms = now_ms;
        let keep = Keep { number: remembering.handed_out, memory: remembering.memory.clone() };
        actions.appends.push(Append {
            number: self.outbox.newest(),
            install: None,
            entries: Vec::new(),
            hard_state: None,
            members: Vec::new(),
            keep: Some(keep),
        });
    }
}
