//! Snapshots in the core: when the log may be truncated, who gets a snapshot, and how a received
//! one replaces the log.
//!
//! Raft's message holds only the metadata of a snapshot. The follower requests the file part by
//! part, so at most one part is in flight and heartbeats never wait behind it. It hands the message
//! to raft only after the file was verified and made into a state beside the old one. Both sides
//! give up after a silence. The leader then tells raft that the transfer failed, and raft starts
//! again with the newest snapshot.

use engine::ids::NodeId;
use raft::eraftpb::{Message, MessageType};
use raft::{ProgressState, SnapshotStatus, StateRole};

use super::Core;
use super::actions::{Actions, FileTask, Install};
use super::transfers::{Receiving, Sending, Stage};
use crate::members::Membership;
use crate::message::PeerMessage;
use crate::snapshot::Meta;

/// A lost part is requested again after this time.
const ASK_AGAIN_MS: u64 = 1_000;
/// A side that hears nothing for this long gives up the transfer.
const SILENCE_MAX_MS: u64 = 10_000;
/// A transfer that takes longer no longer keeps the log from being truncated.
const LOG_KEPT_MS_MAX: u64 = 600_000;
/// The offset in requests of a follower that has the whole file and is busy with it.
const ALL: u64 = u64::MAX;

impl Core {
    /// Starts a transfer when raft sends a message about a snapshot.
    pub(super) fn note_sent(&mut self, message: &Message) {
        if message.get_msg_type() != MessageType::MsgSnapshot {
            return;
        }
        let index = message.get_snapshot().get_metadata().index;
        let now_ms = self.now.mono_ms;
        let sending = Sending { index, since_ms: now_ms, heard_ms: now_ms };
        self.transfers.sending.insert(NodeId(message.to), sending);
    }

    /// Handles raft's message about a snapshot. It waits for the file, unless the snapshot holds
    /// nothing new for this node.
    pub(super) fn offered(&mut self, from: NodeId, message: Box<Message>, actions: &mut Actions) {
        let about = message.get_snapshot().get_metadata();
        let (index, term) = (about.index, about.term);
        if self.transfers.installing.is_some() || self.raw.snap().is_some() {
            // One at a time: the leader offers it again.
            return;
        }
        if message.term < self.raw.raft.term || index <= self.raw.raft.raft_log.committed {
            let _ = self.raw.step(*message);
            return;
        }
        let now_ms = self.now.mono_ms;
        if let Some(receiving) = &mut self.transfers.receiving
            && (receiving.from, receiving.index, receiving.term) == (from, index, term)
        {
            // The same snapshot again: keep the received parts.
            receiving.message = message;
            return;
        }
        let receiving = Receiving {
            from,
            message,
            index,
            term,
            offset: 0,
            stage: Stage::Asking,
            asked_ms: now_ms,
            heard_ms: now_ms,
        };
        self.transfers.replace(Some(receiving), actions);
        actions.send.push((from, PeerMessage::FetchSnapshot { index, offset: 0 }));
    }

    /// Handles a peer's request for a part of a snapshot.
    pub(super) fn fetched(&mut self, from: NodeId, index: u64, offset: u64, actions: &mut Actions) {
        let now_ms = self.now.mono_ms;
        let Some(sending) = self.transfers.sending.get_mut(&from) else { return };
        if sending.index == index {
            sending.heard_ms = now_ms;
            if offset != ALL {
                actions.files.push(FileTask::Send { to: from, index, offset });
            }
        }
    }

    /// Handles a part of a snapshot. Parts other than the requested one are late copies.
    pub(super) fn part_arrived(
        &mut self,
        from: NodeId,
        part: (u64, u64, u64),
        bytes: Vec<u8>,
        actions: &mut Actions,
    ) {
        let (index, offset, size) = part;
        let Some(receiving) = &mut self.transfers.receiving else { return };
        let awaited = (receiving.from, receiving.index, receiving.offset, receiving.stage);
        let end = offset.saturating_add(bytes.len() as u64);
        if awaited != (from, index, offset, Stage::Asking) || bytes.is_empty() || end > size {
            return;
        }
        receiving.heard_ms = self.now.mono_ms;
        receiving.offset = end;
        receiving.stage = Stage::Writing;
        #[cfg(feature = "simulation")]
        let end = crate::planted::without_last_part(end, bytes.len() as u64, size);
        actions.files.push(FileTask::Write { index, offset, bytes });
        if end == size {
            receiving.stage = Stage::Preparing;
            let (index, term) = (receiving.index, receiving.term);
            actions.files.push(FileTask::Prepare { index, term });
        }
    }

    /// Requests the next part after one was written.
    pub(super) fn part_written(&mut self, index: u64, ok: bool, actions: &mut Actions) {
        let now_ms = self.now.mono_ms;
        let Some(receiving) = &mut self.transfers.receiving else { return };
        if receiving.index != index || receiving.stage == Stage::Asking {
            return;
        }
        if !ok {
            return self.transfers.replace(None, actions);
        }
        if receiving.stage == Stage::Writing {
            receiving.stage = Stage::Asking;
            receiving.asked_ms = now_ms;
            let offset = receiving.offset;
            let ask = PeerMessage::FetchSnapshot { index, offset };
            actions.send.push((receiving.from, ask));
        }
    }

    /// Hands the message to raft once the state of the snapshot is ready, or drops it if that
    /// failed.
    pub(super) fn prepared(&mut self, index: u64, ok: bool, actions: &mut Actions) {
        if self.transfers.prepares_stale > 0 {
            // Tasks run in order: the old state is dropped before the next one is made.
            self.transfers.prepares_stale -= 1;
            return;
        }
        let Some(receiving) =
            self.transfers.receiving.take_if(|receiving| receiving.index == index)
        else {
            return;
        };
        if ok {
            let _ = self.raw.step(*receiving.message);
        }
        if self.raw.snap().is_none() {
            // It came too late, or is unusable.
            actions.files.push(FileTask::Forget);
        }
    }

    /// Replaces the log with a snapshot that raft accepted. Returns what the surroundings have to
    /// do.
    pub(super) fn install(
        &mut self,
        number: u64,
        snapshot: &raft::eraftpb::Snapshot,
        actions: &mut Actions,
    ) -> Install {
        let about = snapshot.get_metadata();
        let members = Membership::decode(&snapshot.data)
            .expect("the file with the same membership was read before raft heard of it");
        let (index, term) = (about.index, about.term);
        self.raw.mut_store().install(index, term);
        // Raft accepts no snapshot that ends before the commit index.
        self.outbox.drop_waiting();
        self.members = members.clone();
        actions.members = Some(members.clone());
        self.transfers.installing = Some((number, index));
        self.transfers.installed += 1;
        self.transfers.older = index;
        // Some of this node's requests may be in the snapshot, which does not hold their outcomes.
        actions.failed.extend(self.requests.give_up_sent());
        Install { index, term, members }
    }

    /// Handles that all appends up to `number` are on disk. A snapshot among them counts as applied
    /// from here on: raft must not look for entries before it any more, which it does in an
    /// election.
    pub(super) fn installed(&mut self, number: u64) {
        let done = self.transfers.installing.take_if(|(installing, _)| *installing <= number);
        if let Some((_, index)) = done
            && index > self.applied_index
        {
            self.applied_index = index;
            self.raw.advance_apply_to(index);
        }
    }

    /// Offers a new snapshot to peers; an older one is kept.
    pub(super) fn taken(&mut self, meta: Meta, older: u64, actions: &mut Actions) {
        if self.raw.store().offered().is_some_and(|offered| offered.index >= meta.index) {
            return;
        }
        self.transfers.older = older;
        self.raw.mut_store().offer(meta);
        self.compact(actions);
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

    /// Stops sending after a change of leader: the new leader sends its own.
    pub(super) fn stop_sending(&mut self) {
        self.transfers.sending.clear();
    }

    /// At every tick: requests lost parts again, and ends silent transfers.
    pub(super) fn tick_snapshots(&mut self, actions: &mut Actions) {
        let now_ms = self.now.mono_ms;
        if self.raw.raft.state == StateRole::Leader {
            self.report_sent();
        }
        if self.raw.store().take_missed() {
            actions.files.push(FileTask::Take);
        }
        self.compact(actions);
        let Some(receiving) = &mut self.transfers.receiving else { return };
        let silent = receiving.stage == Stage::Asking
            && now_ms.saturating_sub(receiving.heard_ms) >= SILENCE_MAX_MS;
        if silent {
            return self.transfers.replace(None, actions);
        }
        if now_ms.saturating_sub(receiving.asked_ms) >= ASK_AGAIN_MS {
            receiving.asked_ms = now_ms;
            // The leader must not mistake work for silence.
            let busy = receiving.stage != Stage::Asking;
            let offset = if busy { ALL } else { receiving.offset };
            let ask = PeerMessage::FetchSnapshot { index: receiving.index, offset };
            actions.send.push((receiving.from, ask));
        }
    }

    /// Tells raft the result of each transfer.
    fn report_sent(&mut self) {
        let now_ms = self.now.mono_ms;
        let mut over = Vec::new();
        for (peer, sending) in &self.transfers.sending {
            let progress = self.raw.raft.prs().get(peer.0);
            let waits = progress.is_some_and(|progress| progress.state == ProgressState::Snapshot);
            if !waits {
                over.push((*peer, SnapshotStatus::Finish));
            } else if now_ms.saturating_sub(sending.heard_ms) >= SILENCE_MAX_MS {
                over.push((*peer, SnapshotStatus::Failure));
            }
        }
        for (peer, status) in over {
            self.transfers.sending.remove(&peer);
            self.raw.report_snapshot(peer.0, status);
        }
    }

    /// Truncates the log as far as nobody is expected to need it:
    ///
    /// - Never past the older of two snapshots, so a damaged one loses nothing.
    /// - Not within the margin of the newer one, so a short absence costs no transfer.
    /// - Not past a snapshot that is being sent, which is useless without the entries after it.
    /// - Not while the snapshots are ahead of what is applied here, as received ones may be.
    fn compact(&mut self, actions: &mut Actions) {
        let store = self.raw.store();
        let Some(newest) = store.offered().map(|meta| meta.index) else { return };
        let now_ms = self.now.mono_ms;
        let sent = self.transfers.sending.values();
        let sent = sent
            .filter(|sending| now_ms.saturating_sub(sending.since_ms) < LOG_KEPT_MS_MAX)
            .map(|sending| sending.index)
            .min()
            .unwrap_or(u64::MAX);
        let margin = newest.saturating_sub(self.config.log_margin_entries);
        let target = self.transfers.older.min(margin).min(sent);
        #[cfg(feature = "simulation")]
        let target = crate::planted::compacted_too_far(target, self.applied_index);
        if target <= store.compacted().0 || target > self.applied_index {
            return;
        }
        let term = raft::Storage::term(store, target).expect("an applied entry is in the log");
        self.raw.mut_store().compact(target, term);
        actions.files.push(FileTask::Compact { index: target, term });
    }
}
