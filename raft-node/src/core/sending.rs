//! The sender's side of snapshot transfers: who is sent which file, and which files and entries are
//! kept for that.
//!
//! Any member may fetch a file that this node has. Usually this node leads and raft offered it; but
//! a transfer from a node that led before goes on. A part that was requested twice is read once.
//! While this node reads, or checks a file that it has not written itself, it says that it is busy.

use std::collections::BTreeSet;

use engine::ids::NodeId;
use raft::eraftpb::{Message, MessageType};
use raft::{ProgressState, SnapshotStatus, StateRole};

use super::Core;
use super::actions::{Actions, FileTask};
use super::snapshots::{ALL, SAY_BUSY_MS, SILENCE_MAX_MS};
use super::space::Space;
use super::transfers::Sending;
use super::window::PARTS_MAX;
use crate::message::{PeerMessage, SnapshotNews};

/// A transfer that is not heard of for this long is forgotten, and its file may be removed.
const FORGOTTEN_MS: u64 = 60_000;
/// A transfer that gets no further for this long, while the peer says that it is busy, holds
/// neither its file nor the log any more.
const STUCK_MS: u64 = 600_000;

impl Core {
    /// Notes a transfer when raft sends a message about a snapshot.
    pub(super) fn note_sent(&mut self, message: &Message, actions: &mut Actions) {
        if message.get_msg_type() != MessageType::MsgSnapshot {
            return;
        }
        let index = message.get_snapshot().get_metadata().index;
        let now_ms = self.now.mono_ms;
        let sending = self.transfers.sending.entry(NodeId(message.to));
        let sending = sending.or_insert_with(|| Sending::new(index, now_ms));
        if now_ms.saturating_sub(sending.heard_ms) >= SILENCE_MAX_MS {
            *sending = Sending::new(index, now_ms);
        }
        sending.heard_ms = now_ms;
        self.hold(actions);
    }

    /// Handles a peer's request for a part of a snapshot, or its word that it is busy with one.
    pub(super) fn fetched(&mut self, from: NodeId, index: u64, offset: u64, actions: &mut Actions) {
        let now_ms = self.now.mono_ms;
        let is_known = self.transfers.sending.contains_key(&from);
        if !is_known && (self.members.member(from).is_none() || offset == ALL) {
            return;
        }
        let sending = self.transfers.sending.entry(from);
        let sending = sending.or_insert_with(|| Sending::new(index, now_ms));
        let is_another = sending.index != index;
        if is_another {
            *sending = Sending::new(index, now_ms);
        }
        sending.heard_ms = now_ms;
        if offset == ALL {
            return;
        }
        if offset > sending.furthest {
            (sending.furthest, sending.moved_ms) = (offset, now_ms);
        }
        if sending.reading.is_empty() {
            sending.sent_ms = now_ms;
        }
        if sending.reading.len() < 2 * PARTS_MAX && sending.reading.insert(offset) {
            actions.files.push(FileTask::Send { to: from, index, offset });
        }
        if is_another || !is_known {
            self.hold(actions);
        }
    }

    /// Handles that a requested part was sent, or that there is no such file.
    pub(super) fn part_sent(
        &mut self,
        to: NodeId,
        index: u64,
        offset: u64,
        ok: bool,
        actions: &mut Actions,
    ) {
        let Some(sending) = self.transfers.sending.get_mut(&to) else { return };
        if sending.index != index {
            return;
        }
        sending.reading.remove(&offset);
        sending.sent_ms = self.now.mono_ms;
        if !ok {
            let news = PeerMessage::SnapshotNews { index, news: SnapshotNews::Gone };
            actions.send.push((to, news));
        }
    }

    /// A peer could not use a file: check it again.
    pub(super) fn sent_damaged(&mut self, from: NodeId, index: u64, actions: &mut Actions) {
        let is_sent = |sending: &Sending| sending.index == index;
        if self.transfers.sending.get(&from).is_some_and(is_sent) {
            self.transfers.sending.remove(&from);
            self.raw.report_snapshot(from.0, SnapshotStatus::Failure);
            actions.files.push(FileTask::Verify { index });
        }
    }

    /// Withdraws a damaged snapshot.
    pub(super) fn lost(&mut self, index: u64, actions: &mut Actions) {
        self.raw.mut_store().withdraw(index);
        let sent = self.transfers.sending.extract_if(.., |_, sending| sending.index == index);
        for (peer, _) in sent {
            // Otherwise raft would wait for it for ever.
            self.raw.report_snapshot(peer.0, SnapshotStatus::Failure);
        }
        actions.files.push(FileTask::Take);
    }

    /// At every tick: tells raft the result of each transfer, tells peers that this node is busy,
    /// and names the files that are needed.
    pub(super) fn tick_sending(&mut self, actions: &mut Actions) {
        let now_ms = self.now.mono_ms;
        if self.raw.raft.state == StateRole::Leader {
            self.report_sent();
        }
        let since = |at_ms: u64| now_ms.saturating_sub(at_ms);
        self.transfers.sending.retain(|_, sending| since(sending.heard_ms) < FORGOTTEN_MS);
        for (peer, sending) in &mut self.transfers.sending {
            if !sending.reading.is_empty() && since(sending.sent_ms) >= SAY_BUSY_MS {
                sending.sent_ms = now_ms;
                let news = SnapshotNews::Busy;
                actions
                    .send
                    .push((*peer, PeerMessage::SnapshotNews { index: sending.index, news }));
            }
        }
        self.hold(actions);
    }

    /// Names the files that are being sent. A transfer is useless without its file and the entries
    /// after it, but neither must fill the disk.
    fn hold(&mut self, actions: &mut Actions) {
        let now_ms = self.now.mono_ms;
        let since = |at_ms: u64| now_ms.saturating_sub(at_ms);
        let has_room = self.room.own == Space::Ample;
        let sent = self.transfers.sending.values();
        let sent = sent.filter(|sending| has_room && since(sending.moved_ms) < STUCK_MS);
        let held: BTreeSet<u64> = sent.map(|sending| sending.index).collect();
        if held != self.transfers.held {
            self.transfers.held.clone_from(&held);
            actions.held = Some(held);
        }
    }

    /// Tells raft the result of each transfer that it waits for.
    fn report_sent(&mut self) {
        let now_ms = self.now.mono_ms;
        let mut over = Vec::new();
        for (peer, sending) in &mut self.transfers.sending {
            let Some(progress) = self.raw.raft.prs().get(peer.0) else {
                over.push((*peer, SnapshotStatus::Finish));
                continue;
            };
            let waits = progress.state == ProgressState::Snapshot;
            if progress.matched >= sending.index {
                // If another one was offered meanwhile, raft looks for entries after this one.
                let status = if waits { SnapshotStatus::Failure } else { SnapshotStatus::Finish };
                over.push((*peer, status));
            } else if waits && now_ms.saturating_sub(sending.heard_ms) >= SILENCE_MAX_MS {
                over.push((*peer, SnapshotStatus::Failure));
            }
        }
        for (peer, status) in over {
            self.transfers.sending.remove(&peer);
            self.raw.report_snapshot(peer.0, status);
        }
    }
}
